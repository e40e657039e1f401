//! How the sequences of a class share a lane: start-time fair queueing.
//!
//! Each row costs its sequence the more the smaller its weight, and the one whose next row begins at the lowest tag goes
//! first. A class has a virtual time, the tag its last row began at, and no row begins before it: a sequence that was
//! idle, held or shut goes on where the others are, and has no claim on what they had meanwhile.

use std::collections::BTreeMap;
use std::num::NonZeroU8;

use serde::{Deserialize, Serialize};

use super::{PriorityClass, Queue};
use crate::ids::SequenceNo;
use crate::limits;

/// How much of a lane a sequence gets beside others of its class, from 1 to [`limits::WEIGHT_MOST`]: twice the weight,
/// twice the rows, as long as both have some that are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Weight(NonZeroU8);

impl Weight {
    /// The weight of this number, where it is one.
    #[must_use]
    pub fn new(weight: u32) -> Option<Weight> {
        let weight = u8::try_from(weight).ok().filter(|weight| *weight <= limits::WEIGHT_MOST)?;
        NonZeroU8::new(weight).map(Weight)
    }

    /// Its number.
    #[must_use]
    pub fn get(self) -> u32 {
        u32::from(self.0.get())
    }
}

impl Default for Weight {
    fn default() -> Self {
        Weight(NonZeroU8::MIN)
    }
}

/// What a row of a sequence of weight 1 costs. Every weight up to 16 divides it, and of the others what is rounded off
/// comes to a row in a million; tags count 250 billion of the dearest rows before they end, more than a lane lives.
const COST: u64 = 72_072_000;

/// How much the sequences of a lane have had, by class.
#[derive(Clone, Debug, Default)]
pub struct Shares {
    /// The tag at which the next row of a sequence begins, unless its class has come farther.
    served: BTreeMap<(PriorityClass, SequenceNo), u64>,
    /// The tag at which the last row of a class began.
    reached: BTreeMap<PriorityClass, u64>,
}

impl Shares {
    /// The tag at which the next row of a queue begins.
    #[must_use]
    pub fn tag(&self, queue: &Queue) -> u64 {
        let served = self.served.get(&(queue.class, queue.sequence)).copied().unwrap_or_default();
        served.max(self.reached.get(&queue.class).copied().unwrap_or_default())
    }

    /// A row of a queue was taken, and its sequence has this weight.
    pub fn take(&mut self, queue: &Queue, weight: Weight) {
        let start = self.tag(queue);
        let cost = COST / u64::from(weight.get());
        self.served.insert((queue.class, queue.sequence), start.saturating_add(cost));
        self.reached.insert(queue.class, start);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::head;
    use super::super::{Head, next};
    use super::*;
    use crate::time::Moment;
    use proptest::prelude::*;

    const NOW: Moment = Moment(1_000);

    /// A lane of sequences that always have rows due, each open or not.
    struct Line {
        shares: Shares,
        weights: Vec<u32>,
    }

    impl Line {
        fn new(weights: &[u32]) -> Line {
            Line { shares: Shares::default(), weights: weights.to_vec() }
        }

        /// Takes the next row of those that are open; says whose it was.
        fn take(&mut self, open: &[bool]) -> Option<usize> {
            let of = |n: usize| head(PriorityClass::Normal, n as u32, 0, 10);
            let heads = (0..self.weights.len()).filter(|n| open[*n]).map(of);
            let heads: Vec<Head> =
                heads.map(|head| Head { tag: self.shares.tag(&head.row.queue), ..head }).collect();
            let row = next(&heads, 0, NOW)?;
            let sequence = row.queue.sequence.0 as usize;
            self.shares.take(&row.queue, Weight::new(self.weights[sequence]).unwrap());
            Some(sequence)
        }
    }

    #[test]
    fn a_weight_is_from_1_to_100() {
        assert_eq!(Weight::new(1), Some(Weight::default()));
        assert_eq!(Weight::new(100).map(Weight::get), Some(100));
        assert_eq!([0, 101, 257].map(Weight::new), [None; 3]);
    }

    #[test]
    fn one_that_was_held_while_others_sent_thousands_gets_its_share_and_no_more() {
        let mut line = Line::new(&[1, 1]);
        line.take(&[false, true]);
        line.take(&[true, false]);
        for _ in 0..10_000 {
            line.take(&[false, true]);
        }
        let taken: Vec<usize> = (0..100).filter_map(|_| line.take(&[true, true])).collect();
        let count = taken.iter().filter(|sequence| **sequence == 0).count();
        assert!((49..=51).contains(&count), "{count}");
    }

    #[test]
    fn one_that_is_new_does_not_begin_where_one_that_is_held_was_left() {
        let mut line = Line::new(&[1, 1, 1]);
        line.take(&[true, false, false]);
        for _ in 0..1_000 {
            line.take(&[false, true, false]);
        }
        let taken: Vec<usize> = (0..10).filter_map(|_| line.take(&[false, true, true])).collect();
        assert_eq!(taken.iter().filter(|sequence| **sequence == 2).count(), 5, "{taken:?}");
    }

    proptest! {
        /// However they open and close: while two are open, what they get stands as their weights do, within one row
        /// of each. So those that were always open share by weight, and one that comes back gets no more than that.
        #[test]
        fn while_two_are_open_they_share_by_weight_within_a_turn(
            weights in prop::collection::vec(1..=100u32, 2..6),
            spells in prop::collection::vec((prop::collection::vec(any::<bool>(), 6), 1..400usize), 1..12),
        ) {
            let mut line = Line::new(&weights);
            let most = weights.len();
            let mut since_open = vec![vec![[0u32; 2]; most]; most];
            for (open, takes) in spells {
                for (i, j) in (0..most).flat_map(|i| (0..most).map(move |j| (i, j))) {
                    if !(open[i] && open[j]) {
                        since_open[i][j] = [0; 2];
                    }
                }
                for _ in 0..takes {
                    let Some(taken) = line.take(&open) else { break };
                    for (i, j) in (0..most).flat_map(|i| (0..most).map(move |j| (i, j))) {
                        if i == j || !(open[i] && open[j]) {
                            continue;
                        }
                        let counts = &mut since_open[i][j];
                        counts[0] += u32::from(taken == i);
                        counts[1] += u32::from(taken == j);
                        let turns = |count: u32, n: usize| f64::from(count) / f64::from(weights[n]);
                        let apart = (turns(counts[0], i) - turns(counts[1], j)).abs();
                        let turn = turns(1, i) + turns(1, j);
                        prop_assert!(apart <= turn + 0.001, "{counts:?} of {weights:?}: {i} and {j}");
                    }
                }
            }
        }

        /// Nobody starves: between two rows of one that stays open the others get as many as their weights allow it
        /// and one more each, even if they come and go.
        #[test]
        fn nobody_that_is_open_waits_for_more_than_a_turn_of_the_others(
            weights in prop::collection::vec(1..=100u32, 2..6),
            open in prop::collection::vec(prop::collection::vec(any::<bool>(), 6), 2_000),
        ) {
            let mut line = Line::new(&weights);
            let patience = weights[1..].iter().map(|weight| weight.div_ceil(weights[0]) as usize + 1).sum();
            let mut waited: usize = 0;
            for mut open in open {
                open[0] = true;
                waited = if line.take(&open) == Some(0) { 0 } else { waited + 1 };
                prop_assert!(waited <= patience, "{waited} of {patience}: {weights:?}");
            }
        }
    }
}
