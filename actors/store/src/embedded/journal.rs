//! Cuts a torn end off the journal before fjall reads it.
//!
//! fjall 3.1 drops a last batch that has no end, and refuses to open (in a debug build it panics) where a power cut
//! left a last batch with holes: a wrong count, a wrong checksum. A batch is synced before the next one is written,
//! so only the last can be torn, and nobody was told of it. A bad batch with whole ones behind it is no tear but
//! damage to what was acknowledged, and is not cut away.
//!
//! The layout is that of `journal/entry.rs` in fjall 3.1.13: little-endian, a batch is a start (count, sequence
//! number), its items, and an end (XXH3 of the items as they stand, magic bytes).

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use crate::limits;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const MAGIC: [u8; 4] = *b"FJL\x03";

/// Bytes of an item before its key: kind, compression, keyspace, length of the key, of the value, and of the value
/// as it stands.
const ITEM_HEAD: usize = 1 + 1 + 8 + 2 + 4 + 4;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Whole batches only, or no journal.
    Whole,
    /// A torn end of so many bytes, which is gone now.
    Cut(u64),
    /// A bad batch at this byte of this file, and whole ones behind it.
    Damaged(PathBuf, u64),
}

/// Looks through the journal that was written last in `folder`, and cuts it at the end of its last whole batch.
pub(super) fn trim(folder: &Path) -> io::Result<Found> {
    let Some(path) = newest(folder)? else { return Ok(Found::Whole) };
    let mut reader = BufReader::new(File::open(&path)?);
    let mut whole = 0;
    while let Some(bytes) = batch(&mut reader)? {
        whole += bytes;
    }
    let written = written(&path, whole)?;
    if written == whole {
        return Ok(Found::Whole);
    }
    if has_batch(&path, whole, written)? {
        return Ok(Found::Damaged(path, whole));
    }
    let file = OpenOptions::new().write(true).open(&path)?;
    file.set_len(whole)?;
    file.sync_all()?;
    Ok(Found::Cut(written - whole))
}

/// The journal with the highest number, which is the one that is written to.
fn newest(folder: &Path) -> io::Result<Option<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        entries => entries?,
    };
    let mut newest: Option<(u64, PathBuf)> = None;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".jnl"));
        let Some(number) = name.and_then(|name| name.parse().ok()) else { continue };
        if newest.as_ref().is_none_or(|(highest, _)| number > *highest) {
            newest = Some((number, path));
        }
    }
    Ok(newest.map(|(_, path)| path))
}

/// Reads one batch; tells its length, or nothing where there is no whole one.
fn batch(reader: &mut impl Read) -> io::Result<Option<u64>> {
    match whole_batch(reader) {
        Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData) => Ok(None),
        length => length.map(Some),
    }
}

/// Reads one batch; tells its length. What is none is [`ErrorKind::InvalidData`].
fn whole_batch(reader: &mut impl Read) -> io::Result<u64> {
    let none = || Err(ErrorKind::InvalidData.into());
    let [START, count @ .., _, _, _, _, _, _, _, _] = array::<13>(reader)? else { return none() };
    let (mut hash, mut length) = (Xxh3::new(), 13);
    let mut body = Vec::new();
    for _ in 0..u32::from_le_bytes(count) {
        let [tag] = array(reader)?;
        hash.update(&[tag]);
        body.clear();
        match tag {
            ITEM => {
                let head: [u8; ITEM_HEAD] = array(reader)?;
                let [.., k0, k1, _, _, _, _, v0, v1, v2, v3] = head;
                let bytes = usize::from(u16::from_le_bytes([k0, k1]))
                    .saturating_add(u32::from_le_bytes([v0, v1, v2, v3]) as usize);
                if bytes > limits::GROUP_BYTES {
                    return none();
                }
                hash.update(&head);
                body.resize(bytes, 0);
                length += ITEM_HEAD as u64;
            }
            CLEAR => body.resize(8, 0),
            _ => return none(),
        }
        reader.read_exact(&mut body)?;
        hash.update(&body);
        length += 1 + body.len() as u64;
    }
    let [END, checksum @ .., m0, m1, m2, m3] = array::<13>(reader)? else { return none() };
    if [m0, m1, m2, m3] != MAGIC || u64::from_le_bytes(checksum) != hash.digest() {
        return none();
    }
    Ok(length + 13)
}

fn array<const N: usize>(reader: &mut impl Read) -> io::Result<[u8; N]> {
    let mut array = [0; N];
    reader.read_exact(&mut array)?;
    Ok(array)
}

/// Where the bytes that are not zero end, from a place on: fjall reserves its journals with zeros.
fn written(path: &Path, from: u64) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let (mut at, mut end) = (file.seek(SeekFrom::Start(from))?, from);
    let mut chunk = vec![0; limits::JOURNAL_CHUNK_BYTES];
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok(end);
        }
        if let Some(last) = chunk[..read].iter().rposition(|byte| *byte != 0) {
            end = at + last as u64 + 1;
        }
        at += read as u64;
    }
}

/// Whether a whole batch begins behind some other's end in this part of a file.
fn has_batch(path: &Path, from: u64, to: u64) -> io::Result<bool> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(to - from).read_to_end(&mut bytes)?;
    let ends = bytes.windows(MAGIC.len()).enumerate().filter(|(_, window)| *window == MAGIC);
    for (at, _) in ends {
        if batch(&mut &bytes[at + MAGIC.len()..])?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
