//! From system calls to what they did to the store's folder, and to when each answer left.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::durability::acks::{Ack, Acks};
use crate::durability::disk::{Kind, Name, Node, Op, ROOT, What};
use crate::durability::trace::Call;

/// The system calls that a recording is made of.
pub(crate) const CALLS: &str = "openat,creat,write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,ftruncate,rename,\
    renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,fsync,fdatasync,close,lseek,fallocate,copy_file_range,\
    sendfile,link,linkat,symlink,symlinkat,truncate";

/// What was recorded.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    /// What was done to the folder, in the order of the ends.
    pub(crate) ops: Vec<Op>,
    /// What was acknowledged, by the place where the answer began to leave.
    pub(crate) acks: Vec<(usize, Ack)>,
    /// The last place of the trace.
    pub(crate) last: usize,
    /// Bytes written.
    pub(crate) bytes: usize,
    /// Table files made.
    pub(crate) tables: usize,
}

/// An open file.
struct Open {
    node: Node,
    /// Where the next write goes; `None`: to the end.
    offset: Option<u64>,
}

/// The folder while it is followed.
struct Follower<'a> {
    root: &'a Path,
    nodes: BTreeMap<PathBuf, Node>,
    next: Node,
    open: HashMap<i64, Open>,
    length: BTreeMap<Node, u64>,
    recording: Recording,
}

/// Reads what was done below `root`, and when the answers of `acks` left.
pub(crate) fn read(calls: &[Call], root: &Path, acks: &Acks) -> Recording {
    let root = root.canonicalize().unwrap();
    let mut follower = Follower {
        root: &root,
        nodes: BTreeMap::from([(root.clone(), ROOT)]),
        next: ROOT + 1,
        open: HashMap::new(),
        length: BTreeMap::new(),
        recording: Recording::default(),
    };
    let mut answers: BTreeMap<u16, std::slice::Iter<'_, Ack>> =
        acks.iter().map(|(port, acks)| (*port, acks.iter())).collect();
    for call in calls.iter().filter(|call| call.returned >= 0) {
        match call.path().as_deref().and_then(port).and_then(|port| answers.get_mut(&port)) {
            Some(answers) if call.bytes().starts_with(b"HTTP/1.1 200") => {
                let ack = answers.next().unwrap().clone();
                follower.recording.acks.push((call.began, ack));
            }
            Some(_) => {}
            None => follower.follow(call),
        }
        follower.recording.last = follower.recording.last.max(call.ended);
    }
    let left: usize = answers.values().map(|answers| answers.len()).sum();
    assert_eq!(left, 0, "answers that are not in the trace");
    follower.recording
}

/// The client's port of a connection, `TCP:[127.0.0.1:7400->127.0.0.1:5000]`.
fn port(path: &str) -> Option<u16> {
    path.strip_prefix("TCP:[")?.rsplit_once(':')?.1.parse().ok()
}

impl Follower<'_> {
    fn follow(&mut self, call: &Call) {
        match call.name.as_str() {
            "openat" | "creat" => self.opened(call),
            "close" => {
                self.open.remove(&call.descriptor().unwrap_or(-1));
            }
            "write" | "writev" => self.written(call, None),
            "pwrite64" => {
                let at = call.arguments.rsplit_once(", ").and_then(|(_, at)| at.parse().ok());
                self.written(call, Some(at.unwrap()));
            }
            "lseek" => {
                if let Some(open) = self.open.get_mut(&call.descriptor().unwrap_or(-1)) {
                    open.offset = Some(call.returned as u64);
                }
            }
            "ftruncate" => self.cut(call),
            "fsync" | "fdatasync" => {
                if let Some(open) = self.open.get(&call.descriptor().unwrap_or(-1)) {
                    let node = open.node;
                    self.push(call, What::Sync(node));
                }
            }
            "rename" | "renameat" | "renameat2" => self.renamed(call),
            "unlink" | "unlinkat" | "rmdir" => {
                let path = path(&call.texts()[0]);
                if self.nodes.remove(&path).is_some() {
                    let (folder, name) = self.place(&path);
                    self.push(call, What::Name(folder, Name::Removed(name)));
                }
            }
            "mkdir" | "mkdirat" => {
                let path = path(&call.texts()[0]);
                if path.starts_with(self.root) && path != self.root {
                    self.made(call, path, Kind::Folder);
                }
            }
            "sendto" | "sendmsg" => {}
            other => {
                let inside = call.texts().iter().any(|text| path(text).starts_with(self.root));
                let open = call.descriptor().is_some_and(|descriptor| self.open.contains_key(&descriptor));
                assert!(!inside && !open, "a recording does not know {other}: {call:?}");
            }
        }
    }

    fn push(&mut self, call: &Call, what: What) {
        self.recording.ops.push(Op { began: call.began, ended: call.ended, what });
    }

    /// The folder's node and the name in it.
    fn place(&self, path: &Path) -> (Node, String) {
        let parent = path.parent().and_then(|parent| self.nodes.get(parent));
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let folder = parent.unwrap_or_else(|| panic!("a folder that nobody made: {}", path.display()));
        (*folder, name.unwrap_or_default())
    }

    fn made(&mut self, call: &Call, path: PathBuf, kind: Kind) -> Node {
        let (node, (folder, name)) = (self.next, self.place(&path));
        self.next += 1;
        if kind == Kind::File && path.parent().is_some_and(|parent| parent.ends_with("tables")) {
            self.recording.tables += 1;
        }
        self.nodes.insert(path, node);
        self.push(call, What::Name(folder, Name::Made(name, node, kind)));
        node
    }

    fn opened(&mut self, call: &Call) {
        let path = path(&call.texts()[0]);
        if !path.starts_with(self.root) {
            return;
        }
        let flags = call.arguments.rsplit('"').next().unwrap_or("");
        let node = match self.nodes.get(&path) {
            Some(node) => *node,
            None if flags.contains("O_CREAT") => self.made(call, path, Kind::File),
            None => panic!("a file that nobody made is opened: {}", path.display()),
        };
        if flags.contains("O_TRUNC") && self.length.get(&node).is_some_and(|length| *length > 0) {
            self.length.insert(node, 0);
            self.push(call, What::SetLength(node, 0));
        }
        let offset = (!flags.contains("O_APPEND")).then_some(0);
        self.open.insert(call.returned, Open { node, offset });
    }

    fn written(&mut self, call: &Call, at: Option<u64>) {
        let Some(open) = self.open.get_mut(&call.descriptor().unwrap_or(-1)) else { return };
        let mut bytes = call.bytes();
        assert!(bytes.len() as i64 >= call.returned, "strace has cut a write: {}", call.returned);
        bytes.truncate(call.returned as usize);
        let (node, length) = (open.node, self.length.entry(open.node).or_default());
        let from = at.or(open.offset).unwrap_or(*length);
        let to = from + bytes.len() as u64;
        *length = to.max(*length);
        if at.is_none() && open.offset.is_some() {
            open.offset = Some(to);
        }
        self.recording.bytes += bytes.len();
        self.push(call, What::Write(node, from, bytes.into()));
    }

    fn cut(&mut self, call: &Call) {
        let Some(open) = self.open.get(&call.descriptor().unwrap_or(-1)) else { return };
        let length = call.arguments.rsplit_once(", ").and_then(|(_, length)| length.parse().ok()).unwrap();
        let node = open.node;
        self.length.insert(node, length);
        self.push(call, What::SetLength(node, length));
    }

    fn renamed(&mut self, call: &Call) {
        let texts = call.texts();
        let (from, to) = (path(&texts[0]), path(&texts[1]));
        let Some(node) = self.nodes.remove(&from) else { return };
        assert_eq!(from.parent(), to.parent(), "a move between folders");
        let old = from.clone();
        let (folder, from) = self.place(&from);
        let (_, name) = self.place(&to);
        // What lies in a folder moves with it.
        let inside: Vec<PathBuf> = self.nodes.keys().filter(|path| path.starts_with(&old)).cloned().collect();
        for path in inside {
            if let (Some(node), Ok(rest)) = (self.nodes.remove(&path), path.strip_prefix(&old)) {
                self.nodes.insert(to.join(rest), node);
            }
        }
        self.nodes.insert(to, node);
        self.push(call, What::Name(folder, Name::Moved(from, name)));
    }
}

fn path(text: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsString::from_vec(text.to_vec()))
}
