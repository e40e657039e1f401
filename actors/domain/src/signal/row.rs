//! How many messages of a lane failed in a row.

use std::collections::VecDeque;

use crate::health::Said;
use crate::ids::SendId;
use crate::limits::IN_A_ROW;
use crate::reaction::Reaction;
use crate::time::Moment;

/// The latest messages of a lane, the oldest first, and whether each was refused. A message has the place of its first
/// answer: what is taken at a later attempt, or refused after all, is said of it there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// When a person saw all that came before.
    from: Moment,
    latest: VecDeque<(SendId, bool)>,
}

impl Row {
    /// What came of a message since a person looked, at `from`. What nobody knows the end of is left out, and so is a
    /// refusal that is about what many share, and not about the message.
    pub fn hear(&mut self, from: Moment, send: SendId, said: &Said) {
        let failed = match said {
            Said::Accepted => false,
            Said::Refused { reaction, .. } if is_of_message(*reaction) => true,
            Said::Refused { .. } | Said::Uncertain { .. } => return,
        };
        if self.from != from {
            *self = Row { from, latest: VecDeque::new() };
        }
        match self.latest.iter_mut().rfind(|(known, _)| *known == send) {
            Some((_, is)) => *is = failed,
            None => {
                self.latest.push_back((send, failed));
                if self.latest.len() > IN_A_ROW {
                    self.latest.pop_front();
                }
            }
        }
    }

    /// How many have failed since the last that did not, and since a person looked, at `from`.
    #[must_use]
    pub fn failed(&self, from: Moment) -> u32 {
        let failed = self.latest.iter().rev().take_while(|(_, failed)| *failed && self.from == from);
        u32::try_from(failed.count()).unwrap_or(u32::MAX)
    }
}

fn is_of_message(reaction: Reaction) -> bool {
    match reaction {
        Reaction::Again { .. }
        | Reaction::Later { .. }
        | Reaction::Never { .. }
        | Reaction::Skip
        | Reaction::Unusable
        | Reaction::NeedsTemplate
        | Reaction::OptOut => true,
        Reaction::BackOff { .. } | Reaction::Slow { .. } | Reaction::Hold { .. } | Reaction::Stop { .. } => {
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{EnrollmentId, Shard, StepNo};
    use crate::reaction::{Blames, Scope};
    use crate::time::Span;

    const FROM: Moment = Moment(1_000_000);

    fn send(no: u16) -> SendId {
        SendId { enrollment: EnrollmentId::new(FROM, Shard(1), 1), step: StepNo(0), occurrence: no, leg: 0 }
    }

    fn refused(reaction: Reaction) -> Said {
        Said::Refused { code: "7".into(), reaction, tries: 1 }
    }

    fn no() -> Said {
        refused(Reaction::never(Blames::Message))
    }

    fn heard(said: &[(u16, Said)]) -> Row {
        let mut row = Row::default();
        said.iter().for_each(|(no, said)| row.hear(FROM, send(*no), said));
        row
    }

    #[test]
    fn a_row_ends_with_a_message_that_is_taken() {
        let row = heard(&[(1, no()), (2, no())]);
        assert_eq!(row.failed(FROM), 2);
        assert_eq!(heard(&[(1, no()), (2, no()), (3, Said::Accepted)]).failed(FROM), 0);
        assert_eq!(heard(&[(1, no()), (2, Said::Accepted), (3, no())]).failed(FROM), 1);
    }

    #[test]
    fn a_message_counts_once_where_its_first_answer_came() {
        assert_eq!(heard(&[(1, refused(Reaction::SOON)), (1, refused(Reaction::SOON))]).failed(FROM), 1);
        let later = heard(&[(1, refused(Reaction::SOON)), (2, no()), (1, Said::Accepted)]);
        assert_eq!(later.failed(FROM), 1, "the second stands behind it");
        let after_all = heard(&[(1, Said::Accepted), (2, Said::Accepted), (1, no()), (2, no())]);
        assert_eq!(after_all.failed(FROM), 2);
        let between =
            heard(&[(1, Said::Accepted), (2, Said::Accepted), (3, Said::Accepted), (1, no()), (3, no())]);
        assert_eq!(between.failed(FROM), 1, "the second was taken");
    }

    #[test]
    fn what_is_about_others_or_unknown_says_nothing() {
        let others = [
            Reaction::stop(Scope::Sender),
            Reaction::back_off(Scope::Host, Span::ZERO),
            Reaction::Slow { after: Span::seconds(1) },
        ];
        let mut row = heard(&[(1, no())]);
        for (n, reaction) in (2..).zip(others) {
            row.hear(FROM, send(n), &refused(reaction));
        }
        row.hear(FROM, send(9), &Said::Uncertain { tries: 1 });
        assert_eq!(row.failed(FROM), 1);
    }

    #[test]
    fn what_a_person_has_seen_counts_no_more() {
        let mut row = heard(&[(1, no()), (2, no())]);
        let later = FROM + Span::hours(1);
        assert_eq!(row.failed(later), 0);
        row.hear(later, send(3), &no());
        assert_eq!((row.failed(later), row.failed(FROM)), (1, 0));
    }

    #[test]
    fn no_more_are_kept_than_a_switch_can_ask_for() {
        let mut row = Row::default();
        (0..=IN_A_ROW as u16).for_each(|n| row.hear(FROM, send(n), &no()));
        assert_eq!((row.failed(FROM), row.latest.len()), (IN_A_ROW as u32, IN_A_ROW));
    }
}
