//! How many messages of a lane failed in a row.

use std::collections::VecDeque;

use crate::ids::{EnrollmentId, SendId, StepNo};
use crate::limits::IN_A_ROW_SEES;
use crate::time::Moment;

/// The latest messages of a lane, in the order of their first answers, and whether each failed. What is said of one later
/// (it is taken at another attempt, refused after all, arrives after all) is said in its place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// When a person saw all that came before.
    from: Moment,
    latest: VecDeque<Message>,
}

/// One message, whichever of its attempts and occurrences.
#[derive(Clone, Debug, PartialEq)]
struct Message {
    enrollment: EnrollmentId,
    step: StepNo,
    failed: bool,
}

/// How many failed since the last that did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Since a person saw all that came before, at this moment.
    from: Moment,
    failed: u32,
}

impl Run {
    /// How long it is, where a person looked last at `from`.
    #[must_use]
    pub fn since(self, from: Moment) -> u32 {
        if self.from == from { self.failed } else { 0 }
    }
}

impl Row {
    /// An answer to a call, or the first word of a message whose call had none; a person looked last at `from`.
    pub fn answered(&mut self, from: Moment, send: SendId, failed: bool) {
        if self.from != from {
            *self = Row { from, latest: VecDeque::new() };
        }
        if self.told(send, failed) {
            return;
        }
        self.latest.push_back(Message { enrollment: send.enrollment, step: send.step, failed });
        if self.latest.len() > IN_A_ROW_SEES {
            self.latest.pop_front();
        }
    }

    /// A later word of a message; whether it is known. One that is not may stand anywhere among those that are: it is of
    /// before a restart, or a person has seen it.
    pub fn told(&mut self, send: SendId, failed: bool) -> bool {
        let is = |known: &&mut Message| (known.enrollment, known.step) == (send.enrollment, send.step);
        self.latest.iter_mut().rfind(is).map(|known| known.failed = failed).is_some()
    }

    /// How many failed since the last that did not.
    #[must_use]
    pub fn run(&self) -> Run {
        let failed = self.latest.iter().rev().take_while(|known| known.failed).count();
        Run { from: self.from, failed: u32::try_from(failed).unwrap_or(u32::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Shard;
    use crate::time::Span;

    const FROM: Moment = Moment(1_000_000);

    fn send(no: u32) -> SendId {
        let enrollment = EnrollmentId::new(FROM, Shard(1), no);
        SendId { enrollment, step: StepNo(0), occurrence: 0, leg: 0 }
    }

    /// The answers to these calls: which failed.
    fn answered(answers: &[(u32, bool)]) -> Row {
        let mut row = Row::default();
        answers.iter().for_each(|(no, failed)| row.answered(FROM, send(*no), *failed));
        row
    }

    fn run(row: &Row) -> u32 {
        row.run().since(FROM)
    }

    #[test]
    fn a_run_ends_with_a_message_that_is_taken() {
        assert_eq!(run(&answered(&[(1, true), (2, true)])), 2);
        assert_eq!(run(&answered(&[(1, true), (2, true), (3, false)])), 0);
        assert_eq!(run(&answered(&[(1, true), (2, false), (3, true)])), 1);
    }

    #[test]
    fn a_message_counts_once_in_the_place_of_its_first_answer() {
        assert_eq!(run(&answered(&[(1, true), (1, true)])), 1, "tried again");
        let mut again = answered(&[(1, true)]);
        again.answered(FROM, SendId { occurrence: 1, ..send(1) }, true);
        assert_eq!(run(&again), 1, "planned again");
        assert_eq!(run(&answered(&[(1, true), (2, true), (1, false)])), 1, "the second stands behind it");
        let mut gateway = answered(&[(1, false), (2, false), (3, false)]);
        assert!(gateway.told(send(1), true) && gateway.told(send(3), true));
        assert_eq!(run(&gateway), 1, "the second was taken");
        assert!(gateway.told(send(2), true));
        assert_eq!(run(&gateway), 3);
        assert!(gateway.told(send(3), false));
        assert_eq!(run(&gateway), 0, "it arrived after all");
    }

    #[test]
    fn what_a_person_has_seen_and_what_was_before_a_restart_counts_no_more() {
        let mut row = answered(&[(1, true), (2, true)]);
        let later = FROM + Span::hours(1);
        assert_eq!(row.run().since(later), 0);
        row.answered(later, send(3), true);
        assert!(!row.told(send(2), true), "its receipt comes late");
        assert_eq!((row.run().since(later), row.run().since(FROM)), (1, 0));
        let mut restarted = Row::default();
        assert!(!restarted.told(send(1), true));
        assert_eq!(restarted, Row::default());
    }

    #[test]
    fn the_latest_are_kept() {
        let mut row = Row::default();
        (0..=IN_A_ROW_SEES as u32).for_each(|no| row.answered(FROM, send(no), true));
        assert_eq!((run(&row), row.latest.len()), (IN_A_ROW_SEES as u32, IN_A_ROW_SEES));
    }
}
