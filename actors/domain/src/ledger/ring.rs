//! Settled starts of a moving span, counted by sub-windows of 1/64 of it.
//!
//! Sub-window k holds the moments from ⌈k·SPAN/64⌉ up to that of k+1. A span [t−SPAN, t] reaches from the
//! sub-window of t back to the 64th before it, so a sub-window leaves when t enters the 65th after it: then even
//! its last instant is out. A start thus counts for SPAN at least and SPAN · 65/64 at most. Beyond the sub-window of
//! the ledger's mark the ring keeps [`AHEAD`] more, for starts that are only known to lie before some moment.

use super::{START_WITHIN, Verdict};
use crate::time::Moment;

const PARTS: i64 = 64;
/// Sub-windows after the mark's: of a minute, three cover [`START_WITHIN`].
const AHEAD: i64 = 3;
/// Cells of the ring: sub-window k is in cell k mod CELLS.
pub(super) const CELLS: usize = (PARTS + 1 + AHEAD) as usize;

const _: () = assert!(AHEAD * 60_000 >= START_WITHIN.0 * PARTS, "a guessed start must fit ahead of the mark");

/// Counts of the sub-windows around the mark. A minute is the shortest `SPAN`, in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ring<const SPAN: i64> {
    pub(super) counts: [u32; CELLS],
}

impl<const SPAN: i64> Default for Ring<SPAN> {
    fn default() -> Self {
        Ring { counts: [0; CELLS] }
    }
}

impl<const SPAN: i64> Ring<SPAN> {
    /// When a cap allows one more besides `open` ones.
    pub(super) fn verdict(&self, mark: Moment, cap: u32, open: u32) -> Verdict {
        let Some(room) = cap.checked_sub(open.saturating_add(1)) else { return Verdict::Open };
        let newest = sub_window(mark, SPAN) + AHEAD;
        let mut newer = 0_u64;
        for k in (newest - CELLS as i64 + 1..=newest).rev() {
            newer += u64::from(self.counts[cell(k)]);
            if newer > u64::from(room) {
                return Verdict::Free(begin(k + PARTS + 1, SPAN));
            }
        }
        Verdict::Free(Moment(0))
    }

    /// How many starts are counted at `mark`.
    pub(super) fn sum(&self, mark: Moment) -> u32 {
        let now = sub_window(mark, SPAN);
        (now - PARTS..=now + AHEAD).map(|k| self.counts[cell(k)]).fold(0, u32::saturating_add)
    }

    /// Empties the cells that take on a new sub-window when the mark moves from `mark` to `to`.
    pub(super) fn advance(&mut self, mark: Moment, to: Moment) {
        let newest = sub_window(to, SPAN) + AHEAD;
        let first = (sub_window(mark, SPAN) + AHEAD + 1).max(newest - CELLS as i64 + 1);
        for k in first..=newest {
            self.counts[cell(k)] = 0;
        }
    }

    /// Counts a start; one from before the span counts where it is first to leave. Few settle that late, and under a
    /// clock that went back such a start may be the latest there is.
    pub(super) fn add(&mut self, mark: Moment, at: Moment) {
        let at = at.max(begin(sub_window(mark, SPAN) - PARTS, SPAN));
        if let Some(count) = self.count_mut(mark, at) {
            *count = count.saturating_add(1);
        }
    }

    /// Takes back a start if it is still in the ring.
    pub(super) fn remove(&mut self, mark: Moment, at: Moment) {
        if let Some(count) = self.count_mut(mark, at) {
            *count = count.saturating_sub(1);
        }
    }

    /// Whether a ring whose mark is `mark` still holds what was counted at `at`.
    pub(super) fn holds(mark: Moment, at: Moment) -> bool {
        let (k, now) = (sub_window(at, SPAN), sub_window(mark, SPAN));
        (now - PARTS..=now + AHEAD).contains(&k)
    }

    fn count_mut(&mut self, mark: Moment, at: Moment) -> Option<&mut u32> {
        Self::holds(mark, at).then(|| &mut self.counts[cell(sub_window(at, SPAN))])
    }
}

fn sub_window(at: Moment, span: i64) -> i64 {
    at.0.saturating_mul(PARTS).div_euclid(span)
}

fn begin(k: i64, span: i64) -> Moment {
    Moment((k * span + PARTS - 1).div_euclid(PARTS))
}

fn cell(k: i64) -> usize {
    k.rem_euclid(CELLS as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    type Minute = Ring<60_000>;

    fn free_at(ring: &Minute, mark: i64, cap: u32, open: u32) -> Option<i64> {
        match ring.verdict(Moment(mark), cap, open) {
            Verdict::Free(at) => Some(at.0),
            Verdict::Open => None,
        }
    }

    #[test]
    fn sub_windows_meet_without_overlap() {
        for k in 0..1_000 {
            let at = begin(k, 60_000);
            assert_eq!(sub_window(at, 60_000), k);
            assert_eq!(sub_window(Moment(at.0 - 1), 60_000), k - 1);
        }
    }

    #[test]
    fn a_start_counts_for_its_span_and_at_most_a_64th_more() {
        for at in 0..2_000 {
            let mut ring = Minute::default();
            ring.add(Moment(at), Moment(at));
            let counted = free_at(&ring, at, 1, 0).unwrap() - at;
            assert!((60_001..=60_938).contains(&counted), "{counted} ms from {at}");
        }
    }

    #[test]
    fn a_start_ahead_of_the_mark_counts_at_once() {
        let mut ring = Minute::default();
        ring.add(Moment(937), Moment(2_937));
        assert_eq!(free_at(&ring, 937, 1, 0), Some(begin(sub_window(Moment(2_937), 60_000) + 65, 60_000).0));
    }

    #[test]
    fn advancing_forgets_exactly_what_is_out() {
        let mut ring = Minute::default();
        ring.add(Moment(0), Moment(0));
        ring.add(Moment(0), Moment(1_000));
        ring.advance(Moment(0), Moment(60_937));
        assert_eq!(ring.counts.iter().sum::<u32>(), 2);
        ring.advance(Moment(60_937), Moment(60_938));
        assert_eq!(ring.counts.iter().sum::<u32>(), 1);
        ring.advance(Moment(60_938), Moment(9_000_000));
        assert_eq!(ring, Minute::default());
    }

    #[test]
    fn a_refund_that_comes_too_late_takes_nothing_from_others() {
        let mut ring = Minute::default();
        let late = begin(CELLS as i64, 60_000);
        ring.add(late, late);
        ring.remove(late, Moment(0));
        assert_eq!(ring.counts[0], 1);
    }

    #[test]
    fn open_sends_take_room_that_no_moment_frees() {
        let ring = Minute::default();
        assert_eq!(free_at(&ring, 0, 3, 2), Some(0));
        assert_eq!(free_at(&ring, 0, 3, 3), None);
    }
}
