//! All rows of a store as one file, whatever kind of store they come from: how it is written, and how it is read.
//!
//! A file is eight bytes that say what it is, then frames: a head (when, of which release, up to which commit), rows
//! in key order, and an end with what all of it comes to, without which the file was cut off. A frame is its length
//! and CRC-32 (little-endian, four bytes each), then a byte of what it is and its body. Names, keys and bodies are as
//! the store has them, so the file holds all that is secret in them, sealed as it is there.
//!
//! ```text
//! head  moment i64 · last commit u64 · release, UTF-8
//! rows  any number of: length of the key u16 · version u64 · length of the body u32 · key · body
//! end   rows u64 · CRC-32 of the checksums of all frames before it u32
//! ```

use bytes::Bytes;
use followupd_domain::time::Moment;
use std::io::{self, ErrorKind, Read};

use crate::row::{Row, Version};
use crate::{Key, limits};

/// Begins every backup of this format.
const MAGIC: [u8; 8] = *b"fupback1";

const HEAD: u8 = b'h';
const ROWS: u8 = b'r';
const END: u8 = b'e';

/// Bytes of a row before its key.
const ROW_HEAD: usize = 2 + 8 + 4;

/// What a backup is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// When it was begun, by the daemon's clock.
    pub at: Moment,
    /// The last commit that is in it.
    pub last: Version,
    /// Which release wrote it.
    pub release: String,
}

/// Why a backup cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It begins as no backup does.
    #[error("this is no backup of followupd, or one of a newer format")]
    NotOne,
    /// It ends too early.
    #[error("it is cut off after {rows} rows: it was not written to its end")]
    CutOff {
        /// The rows before.
        rows: u64,
    },
    /// Its bytes are not those that were written.
    #[error("it is damaged at byte {at}: {what}")]
    Damaged {
        /// Where the bad frame begins.
        at: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// The medium failed.
    #[error("it cannot be read")]
    Medium(#[from] io::Error),
}

/// Makes the bytes of a backup, part by part.
#[derive(Debug)]
pub struct Writer {
    rows: u64,
    sums: crc32fast::Hasher,
}

impl Writer {
    /// Begins a backup: the writer, and the first bytes.
    #[must_use]
    pub fn begin(head: &Head) -> (Writer, Vec<u8>) {
        let mut writer = Writer { rows: 0, sums: crc32fast::Hasher::new() };
        let mut body = vec![HEAD];
        body.extend_from_slice(&head.at.0.to_le_bytes());
        body.extend_from_slice(&head.last.0.to_le_bytes());
        body.extend_from_slice(head.release.as_bytes());
        let bytes = [&MAGIC[..], &writer.frame(&body)].concat();
        (writer, bytes)
    }

    /// The bytes of some rows, which follow those before them in key order.
    #[must_use]
    pub fn rows(&mut self, rows: &[(Key, Row)]) -> Vec<u8> {
        let mut body = vec![ROWS];
        for (key, row) in rows {
            let (key, length) = (key.as_bytes(), u32::try_from(row.body.len()).unwrap_or(u32::MAX));
            body.extend_from_slice(&u16::try_from(key.len()).unwrap_or(u16::MAX).to_le_bytes());
            body.extend_from_slice(&row.version.0.to_le_bytes());
            body.extend_from_slice(&length.to_le_bytes());
            body.extend_from_slice(key);
            body.extend_from_slice(&row.body);
        }
        self.rows += rows.len() as u64;
        self.frame(&body)
    }

    /// The last bytes.
    #[must_use]
    pub fn end(mut self) -> Vec<u8> {
        let sums = self.sums.clone().finalize();
        let body = [&[END][..], &self.rows.to_le_bytes(), &sums.to_le_bytes()].concat();
        self.frame(&body)
    }

    /// The rows so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.rows
    }

    fn frame(&mut self, body: &[u8]) -> Vec<u8> {
        let sum = crc32fast::hash(body).to_le_bytes();
        self.sums.update(&sum);
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        [&length.to_le_bytes()[..], &sum, body].concat()
    }
}

/// Reads a backup frame by frame, and holds it to its checksums, its order and its end.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    head: Head,
    /// The byte at which the next frame begins.
    at: u64,
    rows: u64,
    sums: crc32fast::Hasher,
    before: Option<Key>,
    frame: std::vec::IntoIter<(Key, Row)>,
    over: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the head.
    ///
    /// # Errors
    /// It is no backup, or damaged where it begins.
    pub fn open(mut from: R) -> Result<Reader<R>, Error> {
        let mut magic = [0; MAGIC.len()];
        match from.read_exact(&mut magic) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(Error::NotOne),
            read => read?,
        }
        if magic != MAGIC {
            return Err(Error::NotOne);
        }
        let mut reader = Reader {
            from,
            head: Head { at: Moment(0), last: Version(0), release: String::new() },
            at: MAGIC.len() as u64,
            rows: 0,
            sums: crc32fast::Hasher::new(),
            before: None,
            frame: Vec::new().into_iter(),
            over: false,
        };
        let (at, body) = reader.frame()?;
        reader.head = head(&body).ok_or(Error::Damaged { at, what: "it has no head" })?;
        Ok(reader)
    }

    /// What it is of.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Reads the rest, and says how many rows there were in all.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(mut self) -> Result<u64, Error> {
        for row in self.by_ref() {
            row?;
        }
        Ok(self.rows)
    }

    /// The next row, or none behind the last.
    fn row(&mut self) -> Result<Option<(Key, Row)>, Error> {
        loop {
            if let Some((key, row)) = self.frame.next() {
                self.rows += 1;
                return Ok(Some((key, row)));
            }
            let sums = self.sums.clone().finalize();
            let (at, body) = self.frame()?;
            let damaged = |what| Error::Damaged { at, what };
            match body.split_first() {
                Some((&ROWS, body)) => {
                    let rows = rows(body).ok_or(damaged("its rows do not fill their frame"))?;
                    for (key, row) in &rows {
                        if self.before.as_ref().is_some_and(|before| before >= key) {
                            return Err(damaged("its rows are out of order"));
                        }
                        if row.version > self.head.last {
                            return Err(damaged("a row is newer than the last commit"));
                        }
                        self.before = Some(key.clone());
                    }
                    self.frame = rows.into_iter();
                }
                Some((&END, body)) => return self.end(body, sums, at).map(|()| None),
                _ => return Err(damaged("it has a part of an unknown kind")),
            }
        }
    }

    fn end(&mut self, body: &[u8], sums: u32, at: u64) -> Result<(), Error> {
        let wanted = [&self.rows.to_le_bytes()[..], &sums.to_le_bytes()].concat();
        if body != wanted {
            return Err(Error::Damaged { at, what: "a part of it is missing, or there twice" });
        }
        match self.from.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(Error::Damaged { at: self.at, what: "something stands behind its end" }),
        }
    }

    /// The body of the next frame, and where the frame began.
    fn frame(&mut self) -> Result<(u64, Vec<u8>), Error> {
        let (at, rows) = (self.at, self.rows);
        let cut = |error: io::Error| {
            if error.kind() == ErrorKind::UnexpectedEof {
                Error::CutOff { rows }
            } else {
                Error::Medium(error)
            }
        };
        let mut lead = [0; 8];
        self.from.read_exact(&mut lead).map_err(cut)?;
        let [a, b, c, d, sum @ ..] = lead;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if length > limits::BACKUP_FRAME_BYTES {
            return Err(Error::Damaged { at, what: "a part is longer than any" });
        }
        let mut body = vec![0; length];
        self.from.read_exact(&mut body).map_err(cut)?;
        if u32::from_le_bytes(sum) != crc32fast::hash(&body) {
            return Err(Error::Damaged { at, what: "a checksum is wrong" });
        }
        self.sums.update(&sum);
        self.at += (lead.len() + length) as u64;
        Ok((at, body))
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<(Key, Row), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let row = self.row().transpose();
        // Behind the end, or where it is damaged, there is nothing to read.
        self.over = !matches!(row, Some(Ok(_)));
        row
    }
}

fn head(frame: &[u8]) -> Option<Head> {
    let (&HEAD, body) = frame.split_first()? else { return None };
    let (at, body) = body.split_first_chunk::<8>()?;
    let (last, release) = body.split_first_chunk::<8>()?;
    Some(Head {
        at: Moment(i64::from_le_bytes(*at)),
        last: Version(u64::from_le_bytes(*last)),
        release: String::from_utf8(release.to_vec()).ok()?,
    })
}

fn rows(mut body: &[u8]) -> Option<Vec<(Key, Row)>> {
    let mut rows = Vec::new();
    while !body.is_empty() {
        let (lead, rest) = body.split_first_chunk::<ROW_HEAD>()?;
        let [k0, k1, version @ .., b0, b1, b2, b3] = *lead;
        let (key, rest) = rest.split_at_checked(u16::from_le_bytes([k0, k1]).into())?;
        let (value, rest) = rest.split_at_checked(u32::from_le_bytes([b0, b1, b2, b3]) as usize)?;
        let version = Version(u64::from_le_bytes(version));
        rows.push((Key::from_bytes(key.to_vec()), Row { version, body: Bytes::copy_from_slice(value) }));
        body = rest;
    }
    Some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use followupd_domain::{Shard, TenantNo};
    use proptest::prelude::*;
    use std::path::Path;

    fn row_of(name: &str, version: u64, body: &[u8]) -> (Key, Row) {
        let key = Key::contact(Shard(7), TenantNo(3), name);
        (key, Row { version: Version(version), body: Bytes::copy_from_slice(body) })
    }

    fn sample() -> (Head, Vec<(Key, Row)>) {
        let head = Head { at: Moment(1_795_435_200_123), last: Version(9), release: "0.1.0".into() };
        (head, vec![row_of("ana", 9, b"body"), row_of("bo", 1, b""), row_of("cy", 4, &[0, 255])])
    }

    fn written(head: &Head, rows: &[(Key, Row)], a_part: usize) -> Vec<u8> {
        let (mut writer, mut bytes) = Writer::begin(head);
        for rows in rows.chunks(a_part) {
            bytes.extend(writer.rows(rows));
        }
        bytes.extend(writer.end());
        bytes
    }

    fn read(bytes: &[u8]) -> Result<(Head, Vec<(Key, Row)>), Error> {
        let reader = Reader::open(bytes)?;
        Ok((reader.head().clone(), reader.collect::<Result<_, _>>()?))
    }

    #[test]
    fn a_backup_is_read_as_it_was_written() {
        let (head, rows) = sample();
        for a_part in 1..=3 {
            let bytes = written(&head, &rows, a_part);
            assert_eq!(read(&bytes).unwrap(), (head.clone(), rows.clone()));
            assert_eq!(Reader::open(&bytes[..]).unwrap().check().unwrap(), 3);
        }
        assert_eq!(read(&written(&head, &[], 1)).unwrap(), (head, Vec::new()));
    }

    #[test]
    fn a_backup_has_the_recorded_bytes() {
        let (head, rows) = sample();
        let bytes = written(&head, &rows, 2);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/backup_1.bin");
        if !path.exists() && std::env::var("GOLDEN").is_ok_and(|word| word == "write") {
            std::fs::write(&path, &bytes).unwrap();
        }
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "a changed backup is a new format");
    }

    #[test]
    fn a_backup_that_was_cut_off_anywhere_is_recognised() {
        let (head, rows) = sample();
        let bytes = written(&head, &rows, 1);
        for end in 0..bytes.len() {
            let error = read(&bytes[..end]).unwrap_err();
            let expected = if end < MAGIC.len() {
                matches!(error, Error::NotOne)
            } else {
                matches!(error, Error::CutOff { .. })
            };
            assert!(expected, "cut at {end}: {error}");
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let (head, rows) = sample();
        let bytes = written(&head, &rows, 2);
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_part_that_is_missing_or_there_twice_is_noticed() {
        let (head, rows) = sample();
        let (mut writer, begin) = Writer::begin(&head);
        let parts: Vec<Vec<u8>> = rows.iter().map(|row| writer.rows(std::slice::from_ref(row))).collect();
        assert_eq!(writer.count(), 3);
        let end = writer.end();
        for order in [&[0, 1][..], &[0, 2], &[0, 2, 1], &[0, 1, 1, 2], &[1, 2]] {
            let middle: Vec<u8> = order.iter().flat_map(|n| parts[*n].clone()).collect();
            let error = read(&[&begin[..], &middle, &end].concat()).unwrap_err();
            assert!(matches!(error, Error::Damaged { .. }), "{order:?}: {error}");
        }
        let behind = [&begin[..], &parts.concat(), &end, b"x"].concat();
        assert!(matches!(read(&behind), Err(Error::Damaged { .. })));
    }

    proptest! {
        #[test]
        fn bytes_that_are_no_backup_end_in_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let lead = [&MAGIC[..], &bytes].concat();
            prop_assert!(read(&lead).is_err());
            prop_assert!(read(&bytes).is_err());
        }
    }
}
