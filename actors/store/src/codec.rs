//! How records become the bytes of rows: bincode in an envelope that tells kind, format and damage.
//!
//! An envelope is one byte of [`Format`], four of CRC-32 over everything else, then the body. It does not hold the
//! row's version, which is the store's own affair. bincode is pinned: its bytes are our format, held by golden
//! files. It reads only what a store wrote, never bytes from a network.

use bincode::Options;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits;

#[cfg(any(test, feature = "conformance"))]
pub mod golden;

/// What stands in an envelope: a kind of record and the format it is written in.
///
/// A number is never used again. A record whose encoding changes gets a new number; the old one stays and is read
/// through a conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Format {
    /// An enrollment with its latest history, format 1.
    Enrollment = 1,
    /// Older history of an enrollment, format 1.
    History = 2,
    /// A contact, format 1.
    Contact = 3,
    /// A target, format 1.
    Target = 4,
    /// A tenant, format 1.
    Tenant = 5,
    /// A channel, format 1.
    Channel = 6,
    /// A sequence, format 1.
    Sequence = 7,
    /// A published version, format 1.
    Version = 8,
    /// What a name stands for, format 1.
    Name = 9,
    /// An accepted event, format 1.
    Event = 10,
    /// What an event still has to move, format 1.
    FanOut = 11,
    /// The store's own row, format 1.
    Store = 12,
    /// An access key, format 1.
    Access = 13,
    /// A line of the audit log, format 1.
    Audit = 14,
    /// What came of a call that is made once, format 1.
    Once = 15,
    /// A sequence, format 2: it can be archived.
    Sequence2 = 16,
    /// What stops all sending, format 1.
    Stop = 17,
    /// What is suppressed of an address, format 1.
    Suppressed = 18,
    /// What the clock said last, format 1.
    Clock = 19,
    /// A tenant that was deleted, format 1.
    Deleted = 20,
    /// A channel, format 2: more limits, and holds that its provider's words have caused.
    Channel2 = 21,
    /// A contact, format 2: it remembers what it was sent.
    Contact2 = 22,
    /// A tenant, format 2: frequency caps of a contact.
    Tenant2 = 23,
    /// A sequence, format 3: its steps can be held by themselves.
    Sequence3 = 24,
    /// What is known against an address, format 2: it can be unusable for a while.
    Suppressed2 = 25,
    /// A version whose steps may be more than text.
    Version2 = 26,
    /// A sequence whose draft's steps may be more than text.
    Sequence4 = 27,
    /// A channel with what watches it.
    Channel3 = 29,
    /// An account, format 1.
    Account = 28,
    /// Since when wakes are counted by the hour, format 1.
    BacklogsKept = 30,
    /// A channel, format 4: it may belong to an account, and its signals begin anew within an hour.
    Channel4 = 31,
    /// A contact, format 3: when they wrote by each kind of channel, and which accounts have counted them.
    Contact3 = 32,
    /// What the clock said last, and engine time then.
    Clock2 = 36,
    /// What is known of an address, format 1 of its own: who wrote from it while nobody was known to have it, and who came back.
    AddressFacts = 33,
    /// A sequence, format 5: it has a weight, and so has its draft.
    Sequence5 = 34,
    /// A tenant, format 3: who opts out may do so of every kind of channel.
    Tenant3 = 40,
}

/// Why a record could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is larger than [`limits::RECORD_BYTES`], or serde could not write it.
    #[error("a {format:?} record cannot be encoded")]
    Encode {
        /// What it should have become.
        format: Format,
        /// What bincode says.
        source: bincode::Error,
    },
    /// Its envelope is cut short.
    #[error("a record of {length} bytes has no envelope")]
    Short {
        /// How many bytes there are.
        length: usize,
    },
    /// It is another kind of record, or of a format this build does not know.
    #[error("expected a {expected:?} record, found number {found}")]
    Kind {
        /// What was asked for.
        expected: Format,
        /// What the envelope says.
        found: u8,
    },
    /// Its bytes are not those that were written.
    #[error("the checksum of a {format:?} record is wrong")]
    Checksum {
        /// What the envelope says it is.
        format: Format,
    },
    /// Its bytes are whole and make no such record.
    #[error("a {format:?} record does not decode")]
    Decode {
        /// What it should be.
        format: Format,
        /// What bincode says.
        source: bincode::Error,
    },
}

/// Bytes before the body.
const ENVELOPE: usize = 5;

/// The body's encoding: varint integers, no more than a record may have, nothing after the end.
fn options() -> impl Options {
    bincode::DefaultOptions::new()
        .with_limit(limits::RECORD_BYTES as u64)
        .with_varint_encoding()
        .reject_trailing_bytes()
}

fn checksum(format: u8, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[format]);
    hasher.update(body);
    hasher.finalize()
}

/// The row body of a record.
///
/// # Errors
/// [`Error::Encode`] when the record is too large.
pub fn encode<T: Serialize>(format: Format, value: &T) -> Result<Bytes, Error> {
    let mut bytes = vec![format as u8, 0, 0, 0, 0];
    options().serialize_into(&mut bytes, value).map_err(|source| Error::Encode { format, source })?;
    let checksum = checksum(format as u8, &bytes[ENVELOPE..]);
    bytes[1..ENVELOPE].copy_from_slice(&checksum.to_le_bytes());
    Ok(bytes.into())
}

/// The record of a row body that [`encode`] wrote.
///
/// # Errors
/// Any but [`Error::Encode`]; each means that the row is damaged or another one.
pub fn decode<T: DeserializeOwned>(format: Format, bytes: &[u8]) -> Result<T, Error> {
    let Some((&[found, a, b, c, d], body)) = bytes.split_first_chunk::<ENVELOPE>() else {
        return Err(Error::Short { length: bytes.len() });
    };
    if found != format as u8 {
        return Err(Error::Kind { expected: format, found });
    }
    if u32::from_le_bytes([a, b, c, d]) != checksum(found, body) {
        return Err(Error::Checksum { format });
    }
    options().deserialize(body).map_err(|source| Error::Decode { format, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        at: i64,
        name: String,
        tags: Vec<u32>,
        next: Option<u8>,
    }

    fn sample() -> Sample {
        Sample { at: 1_800_000_000_123, name: "käthe".to_owned(), tags: vec![1, 300, 70_000], next: None }
    }

    #[test]
    fn a_record_survives_its_bytes() {
        let bytes = encode(Format::Contact, &sample()).unwrap();
        assert_eq!(decode::<Sample>(Format::Contact, &bytes).unwrap(), sample());
    }

    #[test]
    fn the_recorded_bytes_of_a_sample_still_hold() {
        golden::check("codec_sample", Format::Contact, &sample());
    }

    #[test]
    fn a_record_of_another_kind_is_refused() {
        let bytes = encode(Format::Contact, &sample()).unwrap();
        let error = decode::<Sample>(Format::Target, &bytes).unwrap_err();
        assert!(matches!(error, Error::Kind { expected: Format::Target, found: 3 }), "{error}");
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = encode(Format::Contact, &sample()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode::<Sample>(Format::Contact, &bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_cut_record_and_one_with_trailing_bytes_are_refused() {
        let bytes = encode(Format::Contact, &sample()).unwrap();
        for length in 0..bytes.len() {
            assert!(decode::<Sample>(Format::Contact, &bytes[..length]).is_err(), "{length} bytes");
        }
        // A right checksum over too much: bincode itself must refuse it.
        let mut long = encode(Format::Contact, &sample()).unwrap().to_vec();
        long.push(0);
        let sum = checksum(long[0], &long[ENVELOPE..]);
        long[1..ENVELOPE].copy_from_slice(&sum.to_le_bytes());
        assert!(matches!(decode::<Sample>(Format::Contact, &long), Err(Error::Decode { .. })));
    }

    #[test]
    fn a_record_above_the_limit_is_not_written() {
        let huge = "x".repeat(limits::RECORD_BYTES);
        assert!(matches!(encode(Format::Contact, &huge), Err(Error::Encode { .. })));
        let fits = "x".repeat(limits::RECORD_BYTES - 9);
        assert!(encode(Format::Contact, &fits).is_ok());
    }

    #[test]
    fn a_length_that_lies_does_not_take_memory() {
        // A string that claims 2^60 bytes.
        let body = [253, 0, 0, 0, 0, 0, 0, 0, 16];
        let mut bytes = vec![Format::Contact as u8];
        bytes.extend_from_slice(&checksum(Format::Contact as u8, &body).to_le_bytes());
        bytes.extend_from_slice(&body);
        assert!(matches!(decode::<String>(Format::Contact, &bytes), Err(Error::Decode { .. })));
    }
}
