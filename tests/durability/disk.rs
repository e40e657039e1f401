//! A disk that keeps what was synced and forgets at random what was not.
//!
//! Of a file's writes since its last sync each is there, is not there, or is torn at some byte, independent of the
//! others. Of the names made, moved and removed in a folder since its last sync the first few are there: file systems
//! keep a folder's changes in order. Syncing a file says nothing of its name; only syncing its folder does.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use blackbox::seed::Seed;

/// Which file or folder, whatever its name is by now.
pub(crate) type Node = usize;

/// What is under way is among so many of the next ops: more than there are threads.
const UNDER_WAY_MOST: usize = 64;

/// The folder everything lies in; it is always there.
pub(crate) const ROOT: Node = 0;

/// One thing that was done to the disk.
#[derive(Clone, Debug)]
pub(crate) struct Op {
    /// The place in the trace where it began.
    pub(crate) began: usize,
    /// The place where it ended.
    pub(crate) ended: usize,
    /// What.
    pub(crate) what: What,
}

/// What can be done to the disk.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// Bytes were written to a file.
    Write(Node, u64, Arc<[u8]>),
    /// A file was cut or grown to a length.
    SetLength(Node, u64),
    /// The names in a folder changed.
    Name(Node, Name),
    /// A file or folder was synced.
    Sync(Node),
}

/// A change of the names in a folder.
#[derive(Clone, Debug)]
pub(crate) enum Name {
    /// A new file or folder.
    Made(String, Node, Kind),
    /// It is called otherwise; whatever was called so before is gone.
    Moved(String, String),
    /// It is gone.
    Removed(String),
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A file.
    File,
    /// A folder.
    Folder,
}

#[derive(Clone, Debug, Default)]
struct Content {
    /// What is surely there, without zeros that were only reserved.
    bytes: Vec<u8>,
    /// How long the file is.
    length: u64,
}

impl Content {
    fn write(&mut self, at: u64, bytes: &[u8]) {
        let (from, to) = (at as usize, at as usize + bytes.len());
        if self.bytes.len() < to {
            self.bytes.resize(to, 0);
        }
        self.bytes[from..to].copy_from_slice(bytes);
        self.length = self.length.max(to as u64);
    }

    fn set_length(&mut self, length: u64) {
        self.bytes.truncate(length as usize);
        self.length = length;
    }
}

type Names = BTreeMap<String, (Node, Kind)>;

fn rename(names: &mut Names, name: &Name) {
    match name {
        Name::Made(name, node, kind) => {
            names.insert(name.clone(), (*node, *kind));
        }
        Name::Moved(from, to) => {
            if let Some(moved) = names.remove(from) {
                names.insert(to.clone(), moved);
            }
        }
        Name::Removed(name) => {
            names.remove(name);
        }
    }
}

/// The disk at some moment.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// Ops that have been played.
    played: usize,
    files: BTreeMap<Node, Content>,
    folders: BTreeMap<Node, Names>,
    /// What was done and is not synced, in the order it was done.
    loose: Vec<Op>,
    /// What has begun and not ended: it may be there as well as not.
    under_way: Vec<Op>,
}

impl Disk {
    /// Plays what was done before `place`. Places only grow from one call to the next. `ops` stand in the order of
    /// their ends.
    pub(crate) fn play(&mut self, ops: &[Op], place: usize) {
        while let Some(op) = ops.get(self.played).filter(|op| op.ended < place) {
            self.played += 1;
            match op.what {
                What::Sync(node) => self.sync(node, op.began),
                What::Write(..) | What::SetLength(..) | What::Name(..) => self.loose.push(op.clone()),
            }
        }
        let begun = ops[self.played..].iter().take(UNDER_WAY_MOST).filter(|op| op.began < place);
        self.under_way = begun.filter(|op| !matches!(op.what, What::Sync(_))).cloned().collect();
    }

    /// What was done to a node before its sync began is kept from now on.
    fn sync(&mut self, node: Node, began: usize) {
        let loose = std::mem::take(&mut self.loose);
        for op in loose {
            match &op.what {
                What::Write(of, at, bytes) if *of == node && op.ended < began => {
                    self.files.entry(node).or_default().write(*at, bytes);
                }
                What::SetLength(of, length) if *of == node && op.ended < began => {
                    self.files.entry(node).or_default().set_length(*length);
                }
                What::Name(of, name) if *of == node && op.ended < began => {
                    rename(self.folders.entry(node).or_default(), name);
                }
                What::Write(..) | What::SetLength(..) | What::Name(..) | What::Sync(_) => self.loose.push(op),
            }
        }
    }

    /// Makes the folder as it may be after a power cut now.
    pub(crate) fn after_a_cut(&self, to: &Path, chance: &mut Seed) {
        let folders = self.names_after_a_cut(chance);
        let mut open = vec![(ROOT, to.to_path_buf())];
        while let Some((folder, path)) = open.pop() {
            fs::create_dir_all(&path).unwrap();
            for (name, (node, kind)) in folders.get(&folder).into_iter().flatten() {
                match kind {
                    Kind::Folder => open.push((*node, path.join(name))),
                    Kind::File => self.put_file(*node, path.join(name), chance),
                }
            }
        }
    }

    fn names_after_a_cut(&self, chance: &mut Seed) -> BTreeMap<Node, Names> {
        let mut changes: BTreeMap<Node, Vec<&Name>> = BTreeMap::new();
        for op in self.loose.iter().chain(&self.under_way) {
            if let What::Name(folder, name) = &op.what {
                changes.entry(*folder).or_default().push(name);
            }
        }
        let mut folders = self.folders.clone();
        for (folder, changes) in changes {
            let kept = chance.below(changes.len() as u64 + 1) as usize;
            let names = folders.entry(folder).or_default();
            changes[..kept].iter().for_each(|change| rename(names, change));
        }
        folders
    }

    fn put_file(&self, node: Node, path: PathBuf, chance: &mut Seed) {
        let none = Content::default();
        let known = self.files.get(&node).unwrap_or(&none);
        let mut file = File::create(path).unwrap();
        file.write_all(&known.bytes).unwrap();
        file.set_len(known.length).unwrap();
        for op in self.loose.iter().chain(&self.under_way) {
            match &op.what {
                What::Write(of, at, bytes) if *of == node => {
                    let kept = match chance.below(3) {
                        0 => 0,
                        1 => bytes.len(),
                        _ => chance.below(bytes.len() as u64 + 1) as usize,
                    };
                    if kept > 0 {
                        file.seek(SeekFrom::Start(*at)).unwrap();
                        file.write_all(&bytes[..kept]).unwrap();
                    }
                }
                What::SetLength(of, length) if *of == node && chance.below(2) == 0 => {
                    file.set_len(*length).unwrap();
                }
                What::Write(..) | What::SetLength(..) | What::Name(..) | What::Sync(_) => {}
            }
        }
    }
}
