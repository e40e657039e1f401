//! New recipients of a sender: how many people it has written to in any moving 24 h.
//!
//! Everybody counts once, at the latest moment they were written to: whoever is written to again is moved there, which
//! adds nobody. Who that is, and when it was, stands in the contact's row. A send that is given back keeps its place:
//! that it was surely not made is known too late to be worth a change here.

use super::codec::DecodeError;
use super::limits::LimitName;
use super::ring::{CELLS, Ring};
use super::{LAST_MOMENT, Refusal, Verdict, bounded};
use crate::time::Moment;

const FORMAT: u8 = 1;
/// Bytes of an encoded record: the format as `B`, the mark as `i8`, then 68 × `I4`, sub-window k at 9 + 4 · (k mod 68).
const LEN: usize = 1 + 8 + 4 * CELLS;

/// The people a sender has written to in the last 24 h, counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recipients {
    /// The highest moment seen.
    mark: Moment,
    day: Ring<86_400_000>,
}

impl Recipients {
    /// When there is room for somebody who was counted `before`, if ever; nothing where there is room now. With a cap
    /// of `cap`, in engine time.
    #[must_use]
    pub fn room_at(&self, cap: u32, now: Moment, before: Option<Moment>) -> Option<Moment> {
        let now = bounded(now).max(self.mark);
        if before.is_some_and(|before| Recipients::holds(now, before)) {
            return None;
        }
        match self.day.verdict(self.mark, cap.max(1), 0) {
            Verdict::Free(at) => Some(at).filter(|at| *at > now),
            Verdict::Open => None,
        }
    }

    /// Whether somebody who was counted `before` is one of the people of the 24 h up to `now`, in engine time.
    #[must_use]
    pub fn holds(now: Moment, before: Moment) -> bool {
        Ring::<86_400_000>::holds(now, before)
    }

    /// Counts a send that begins at `counted_at` at the latest, to somebody who was counted `before`.
    ///
    /// # Errors
    /// The [`Refusal`] that agrees with [`room_at`](Recipients::room_at); nothing is changed then.
    pub fn count(
        &mut self,
        cap: u32,
        now: Moment,
        before: Option<Moment>,
        counted_at: Moment,
    ) -> Result<(), Refusal> {
        if let Some(at) = self.room_at(cap, now, before) {
            return Err(Refusal::Until { limit: LimitName::NewRecipients, at });
        }
        let now = bounded(now).max(self.mark);
        self.day.advance(self.mark, now);
        self.mark = now;
        if let Some(before) = before {
            self.day.remove(now, before);
        }
        self.day.add(now, bounded(counted_at).max(now));
        Ok(())
    }

    /// How many people count now.
    #[must_use]
    pub fn counted(&self, now: Moment) -> u32 {
        let mut known = self.clone();
        let now = bounded(now).max(self.mark);
        known.day.advance(self.mark, now);
        known.day.sum(now)
    }

    /// Appends the bytes of this record.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.reserve(LEN);
        bytes.push(FORMAT);
        bytes.extend_from_slice(&self.mark.0.to_le_bytes());
        for count in &self.day.counts {
            bytes.extend_from_slice(&count.to_le_bytes());
        }
    }

    /// Reads what [`encode`](Recipients::encode) wrote.
    ///
    /// # Errors
    /// A [`DecodeError`] for anything that `encode` cannot have written.
    pub fn decode(bytes: &[u8]) -> Result<Recipients, DecodeError> {
        let length = DecodeError::Length { found: bytes.len() };
        let (head, rest) = bytes.split_first_chunk::<9>().ok_or(length)?;
        let [format, mark @ ..] = *head;
        if format != FORMAT {
            return Err(DecodeError::Format { found: format });
        }
        let (cells, []) = rest.as_chunks::<4>() else { return Err(length) };
        let mark = i64::from_le_bytes(mark);
        if !(0..=LAST_MOMENT.0).contains(&mark) {
            return Err(DecodeError::OutOfRange { field: "mark", found: mark });
        }
        let mut day = Ring::default();
        if cells.len() != CELLS {
            return Err(length);
        }
        for (count, cell) in day.counts.iter_mut().zip(cells) {
            *count = u32::from_le_bytes(*cell);
        }
        Ok(Recipients { mark: Moment(mark), day })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const NOW: Moment = Moment(1_728_030_000_000);

    #[test]
    fn who_was_written_to_again_counts_once_and_is_moved() {
        let mut sender = Recipients::default();
        assert_eq!(sender.count(1, NOW, None, NOW + Span(2_000)), Ok(()));
        let later = NOW + Span::hours(20);
        assert!(sender.count(1, later, None, later).is_err(), "somebody else");
        assert_eq!(sender.count(1, later, Some(NOW + Span(2_000)), later), Ok(()));
        let Some(at) = sender.room_at(1, later, None) else { panic!("the cap is used up") };
        assert!(at > later + Span::days(1) && at <= later + Span::days(1) + Span::minutes(23), "{at:?}");
        assert_eq!(sender.room_at(1, at, None), None);
        assert_eq!((sender.counted(later), sender.counted(at)), (1, 0));
        // By then who was counted before is somebody new.
        assert_eq!(sender.count(1, at, Some(later), at), Ok(()));
        assert!(sender.room_at(1, at, None).is_some());
    }

    #[test]
    fn its_bytes_are_those_of_its_table() {
        let mut sender = Recipients::default();
        sender.count(5, NOW, None, NOW).unwrap();
        let mut bytes = Vec::new();
        sender.encode(&mut bytes);
        let mut golden = vec![0_u8; 281];
        golden[0] = 1;
        golden[1..9].copy_from_slice(&NOW.0.to_le_bytes());
        golden[9 + 4 * (1_280_022 % 68)] = 1;
        assert_eq!(bytes, golden);
        assert_eq!(Recipients::decode(&bytes), Ok(sender));
        assert_eq!(Recipients::decode(&bytes[..280]), Err(DecodeError::Length { found: 280 }));
        bytes[0] = 9;
        assert_eq!(Recipients::decode(&bytes), Err(DecodeError::Format { found: 9 }));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

        #[test]
        fn no_moving_day_has_one_person_more(
            cap in 1..6_u32,
            sends in prop::collection::vec((0..20_000_000_i64, 0..12_u8, 0..=2_000_i64, any::<bool>()), 1..150),
        ) {
            let (mut sender, mut now) = (Recipients::default(), NOW);
            let (mut counted, mut starts): (BTreeMap<u8, Moment>, Vec<(i64, u8)>) = Default::default();
            for (wait, person, start_after, crash) in sends {
                now = now + Span(wait);
                let at = now + Span(2_000);
                if sender.count(cap, now, counted.get(&person).copied(), at).is_ok() {
                    counted.insert(person, at);
                    starts.push((now.0 + start_after, person));
                }
                if crash {
                    let mut bytes = Vec::new();
                    sender.encode(&mut bytes);
                    prop_assert_eq!(Recipients::decode(&bytes), Ok(sender.clone()));
                }
            }
            for (end, _) in &starts {
                let within = starts.iter().filter(|(at, _)| (end - 86_400_000..=*end).contains(at));
                let people: std::collections::BTreeSet<u8> = within.map(|(_, person)| *person).collect();
                prop_assert!(people.len() <= cap as usize, "{people:?} up to {end}");
            }
        }
    }
}
