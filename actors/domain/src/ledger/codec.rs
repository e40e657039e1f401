//! The bytes of a ledger: fixed width, little endian, no padding, so that a script in Redis can read and write them
//! with `struct.unpack` and `struct.pack`.
//!
//! | offset | format | what |
//! |---|---|---|
//! | 0 | `B` u8 | format of the record, 2 |
//! | 1 | `i8` i64 | mark, ms since the epoch |
//! | 9 | `i8` i64 | last start, ms since the epoch, −1 if none |
//! | 17 | `i8` i64 | arrival time of the rate, µs since the epoch |
//! | 25 | `i8` i64 | interval of the rate at the last charge, µs, 0 if none |
//! | 33 | `i8` i64 | when the next day begins, ms since the epoch |
//! | 41 | `i4` i32 | day number |
//! | 45 | `I4` u32 | starts on that day |
//! | 49 | `I4` u32 | starts on the day after it |
//! | 53 | `I4` u32 | open sends |
//! | 57 | `I4` u32 | starts since the last rest |
//! | 61 | `i4` i32 | day number of the first start, −2147483648 if none |
//! | 65 | 68 × `I4` u32 | minute: sub-window k at offset 65 + 4 · (k mod 68) |
//! | 337 | 68 × `I4` u32 | hour: sub-window k at offset 337 + 4 · (k mod 68) |
//! | 609 | | end |
//!
//! Format 1 ends after 601 bytes: it lacks the eight at offset 57. Its run is taken as 0, and its first day as the day
//! it has reached, if it knows a start: whoever sets a warm-up later warms up from there.
//!
//! k = ⌊ms · 64 / span⌋. A new ledger has last start −1, both days −2147483648 and zeros. Lua numbers are doubles, exact to
//! 2^53: mark and last start end in the year 2223, the arrival time at 2^53 µs, k · span stays below both, and
//! [`Ledger::decode`] refuses more. Counts are u32, not u16: an hour's sub-window of 56 s can pass 65,535.

use super::gcra::{EXACT, Gcra};
use super::limits::LONGEST;
use super::ring::{CELLS, Ring};
use super::{DayContext, LAST_MOMENT, Ledger, NO_DAY, Today};
use crate::time::Moment;

const FORMAT: u8 = 2;
/// The format without a run and a first day.
const FORMAT_1: u8 = 1;
/// Stands for no last start; moments are never negative.
const NO_START: i64 = -1;

/// Bytes of an encoded ledger.
pub const ENCODED_LEN: usize = 1 + 5 * 8 + 6 * 4 + 2 * 4 * CELLS;
/// Bytes of one of format 1.
const ENCODED_LEN_1: usize = ENCODED_LEN - 2 * 4;

/// Why bytes are not a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Short or trailing bytes.
    #[error("a ledger has {} bytes, or {} of format 1, not {found}", ENCODED_LEN, ENCODED_LEN_1)]
    Length {
        /// Bytes given.
        found: usize,
    },
    /// Written by another format of the record.
    #[error("ledger of format {found}; this build reads {} and {}", FORMAT_1, FORMAT)]
    Format {
        /// The format given.
        found: u8,
    },
    /// A number that no ledger holds.
    #[error("ledger field {field} holds {found}")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// Its value.
        found: i64,
    },
}

impl Ledger {
    /// Appends the [`ENCODED_LEN`] bytes of this ledger.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.reserve(ENCODED_LEN);
        bytes.push(FORMAT);
        let last_start = self.last_start.map_or(NO_START, |at| at.0);
        let next_day_at = self.today.day.next_day_at.0;
        for number in [self.mark.0, last_start, self.gcra.arrival, self.gcra.interval, next_day_at] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.today.day.day.to_le_bytes());
        for count in [self.today.count, self.today.after, self.open, self.run] {
            bytes.extend_from_slice(&count.to_le_bytes());
        }
        bytes.extend_from_slice(&self.first_day.unwrap_or(NO_DAY).to_le_bytes());
        for count in self.minute.counts.iter().chain(&self.hour.counts) {
            bytes.extend_from_slice(&count.to_le_bytes());
        }
    }

    /// Reads what [`encode`](Ledger::encode) wrote.
    ///
    /// # Errors
    /// A [`DecodeError`] for anything that `encode` cannot have written.
    pub fn decode(bytes: &[u8]) -> Result<Ledger, DecodeError> {
        let length = DecodeError::Length { found: bytes.len() };
        let mut reader = Reader { rest: bytes, length };
        let [found] = reader.take::<1>()?;
        let expected = match found {
            FORMAT => ENCODED_LEN,
            FORMAT_1 => ENCODED_LEN_1,
            _ => return Err(DecodeError::Format { found }),
        };
        if bytes.len() != expected {
            return Err(length);
        }
        // In the order of the bytes.
        let mark = Moment(reader.number("mark", 0, LAST_MOMENT.0)?);
        let last_start = reader.number("last_start", NO_START, LAST_MOMENT.0)?;
        let arrival = reader.number("arrival", 0, EXACT)?;
        let interval = reader.number("interval", 0, LONGEST.0 * 1_000)?;
        let next_day_at = Moment(reader.number("next_day_at", 0, LAST_MOMENT.0)?);
        let day = DayContext { day: i32::from_le_bytes(reader.take()?), next_day_at };
        let today = Today { day, count: reader.count()?, after: reader.count()? };
        let last_start = (last_start != NO_START).then_some(Moment(last_start));
        let open = reader.count()?;
        let (run, first_day) = if found == FORMAT_1 {
            (0, last_start.map_or(NO_DAY, |_| day.day))
        } else {
            (reader.count()?, i32::from_le_bytes(reader.take()?))
        };
        Ok(Ledger {
            mark,
            last_start,
            gcra: Gcra { arrival, interval },
            today,
            open,
            run,
            first_day: (first_day != NO_DAY).then_some(first_day),
            minute: reader.ring()?,
            hour: reader.ring()?,
        })
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    length: DecodeError,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(self.length)?;
        self.rest = rest;
        Ok(*head)
    }

    fn number(&mut self, field: &'static str, least: i64, most: i64) -> Result<i64, DecodeError> {
        let found = i64::from_le_bytes(self.take()?);
        if (least..=most).contains(&found) {
            Ok(found)
        } else {
            Err(DecodeError::OutOfRange { field, found })
        }
    }

    fn count(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    fn ring<const SPAN: i64>(&mut self) -> Result<Ring<SPAN>, DecodeError> {
        let mut ring = Ring::default();
        for count in &mut ring.counts {
            *count = self.count()?;
        }
        Ok(ring)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Limits, Rate};
    use super::*;
    use crate::time::Span;

    fn example() -> Ledger {
        let rate = Rate { count: 80, per: Span::seconds(1), burst: 4 };
        let limits = Limits { rate: Some(rate), ..Limits::default() };
        let day = DayContext { day: 20_000, next_day_at: Moment(1_728_086_400_000) };
        let mut ledger = Ledger::default();
        let at = Moment(1_728_030_000_000);
        let first = ledger.charge(&limits, at, day).unwrap();
        ledger.settle(first, Some(at + Span(250)));
        ledger.charge(&limits, at + Span(300), day).unwrap();
        ledger
    }

    fn encoded(ledger: &Ledger) -> Vec<u8> {
        let mut bytes = Vec::new();
        ledger.encode(&mut bytes);
        bytes
    }

    #[test]
    fn the_bytes_are_those_of_the_table() {
        let bytes = encoded(&example());
        let mut golden = vec![0_u8; 609];
        golden[0] = 2;
        golden[1..9].copy_from_slice(&1_728_030_000_300_i64.to_le_bytes());
        golden[9..17].copy_from_slice(&1_728_030_000_250_i64.to_le_bytes());
        golden[17..25].copy_from_slice(&1_728_030_000_262_500_i64.to_le_bytes());
        golden[25..33].copy_from_slice(&12_500_i64.to_le_bytes());
        golden[33..41].copy_from_slice(&1_728_086_400_000_i64.to_le_bytes());
        golden[41..45].copy_from_slice(&20_000_i32.to_le_bytes());
        // One start on the day, none after it, one send open; then k = 1,843,232,000 and 30,720,533.
        golden[45..57].copy_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
        golden[57] = 1;
        golden[61..65].copy_from_slice(&20_000_i32.to_le_bytes());
        golden[65 + 4 * (1_843_232_000 % 68)] = 1;
        golden[337 + 4 * (30_720_533 % 68)] = 1;
        assert_eq!(bytes, golden);
        assert_eq!(bytes[..9], *b"\x02\xac\x44\x9d\x56\x92\x01\x00\x00");
        assert_eq!(Ledger::decode(&bytes), Ok(example()));
    }

    /// The bytes as format 1 had them.
    fn encoded_1(ledger: &Ledger) -> Vec<u8> {
        let mut bytes = encoded(ledger);
        bytes[0] = 1;
        bytes.drain(57..65);
        bytes
    }

    #[test]
    fn a_ledger_of_format_1_goes_on_without_a_run_and_warms_up_from_the_day_it_has_reached() {
        let bytes = encoded_1(&example());
        assert_eq!(bytes.len(), 601);
        let first_day = Some(20_000);
        assert_eq!(Ledger::decode(&bytes), Ok(Ledger { run: 0, first_day, ..example() }));
        assert_eq!(Ledger::decode(&encoded_1(&Ledger::default())), Ok(Ledger::default()));
        assert!(matches!(Ledger::decode(&bytes[..600]), Err(DecodeError::Length { found: 600 })));
    }

    #[test]
    fn a_new_ledger_has_no_start_and_no_day() {
        let bytes = encoded(&Ledger::default());
        assert_eq!(bytes[9..17], (-1_i64).to_le_bytes());
        assert_eq!(bytes[41..45], i32::MIN.to_le_bytes());
        assert_eq!(bytes[61..65], i32::MIN.to_le_bytes());
        assert_eq!(bytes.iter().filter(|byte| **byte != 0).count(), 1 + 8 + 1 + 1);
        assert_eq!(Ledger::decode(&bytes), Ok(Ledger::default()));
    }

    #[test]
    fn short_and_trailing_bytes_are_refused() {
        let mut bytes = encoded(&example());
        for length in 0..bytes.len() {
            assert_eq!(Ledger::decode(&bytes[..length]), Err(DecodeError::Length { found: length }));
        }
        bytes.push(0);
        assert_eq!(Ledger::decode(&bytes), Err(DecodeError::Length { found: 610 }));
    }

    #[test]
    fn numbers_that_no_ledger_holds_are_refused() {
        let mut bytes = encoded(&example());
        bytes[0] = 3;
        assert_eq!(Ledger::decode(&bytes), Err(DecodeError::Format { found: 3 }));
        for (offset, name) in [(1, "mark"), (9, "last_start"), (17, "arrival"), (25, "interval")] {
            let mut bytes = encoded(&example());
            bytes[offset..offset + 8].copy_from_slice(&i64::MAX.to_le_bytes());
            let found = i64::MAX;
            assert_eq!(Ledger::decode(&bytes), Err(DecodeError::OutOfRange { field: name, found }));
        }
    }
}
