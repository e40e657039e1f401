//! Filters: which enrollments a list is about, and in which rows they are found.

use crate::enrollment::{Enrollment, ExitReason, State};
use crate::ids::SequenceNo;
use crate::target::TargetRef;
use crate::time::Moment;

/// Which enrollments of a tenant; what is left out leaves nothing out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those through this sequence.
    pub sequence: Option<SequenceNo>,
    /// Those that stand so: one of [`State::WORDS`].
    pub state: Option<&'static str>,
    /// Those of this contact.
    pub contact: Option<String>,
    /// Those about this target.
    pub target: Option<TargetRef>,
    /// Those that left for this reason.
    pub reason: Option<ExitReason>,
    /// Those that stand in line from then on, or later.
    pub due_from: Option<Moment>,
    /// Those that stand in line from before then.
    pub due_until: Option<Moment>,
    /// Those with a send that got so far: one of [`SendStatus::WORDS`](crate::enrollment::SendStatus::WORDS).
    pub send_status: Option<&'static str>,
}

/// The rows in which all enrollments of a filter are found; the narrowest there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way<'a> {
    /// The contact's own, which indexes its enrollments.
    Contact(&'a str),
    /// The target's own, which indexes those that are not over.
    Target(&'a TargetRef),
    /// The wakes, in the order they are due.
    Due,
    /// The enrollments themselves, in the order they began.
    All,
}

impl Filter {
    /// Whether an enrollment is one of them.
    #[must_use]
    pub fn passes(&self, enrollment: &Enrollment) -> bool {
        let due_at = enrollment.wake.map(|wake| wake.due_at);
        let reason = match enrollment.state {
            State::Exited(reason) => Some(reason),
            State::Active | State::Paused { .. } | State::Completed | State::Failed(_) => None,
        };
        self.sequence.is_none_or(|wanted| wanted == enrollment.sequence)
            && self.state.is_none_or(|wanted| wanted == enrollment.state.word())
            && self.contact.as_ref().is_none_or(|wanted| *wanted == enrollment.contact)
            && (self.target.is_none() || self.target == enrollment.target)
            && (self.reason.is_none() || self.reason == reason)
            && self.due_from.is_none_or(|from| due_at.is_some_and(|due_at| due_at >= from))
            && self.due_until.is_none_or(|until| due_at.is_some_and(|due_at| due_at < until))
            && self
                .send_status
                .is_none_or(|wanted| enrollment.sends.iter().any(|send| send.status.word() == wanted))
    }

    /// Where to look.
    #[must_use]
    pub fn way(&self) -> Way<'_> {
        let open = self.state.is_some_and(|word| ["active", "paused"].contains(&word));
        match (&self.contact, &self.target) {
            (Some(contact), _) => Way::Contact(contact),
            (None, Some(target)) if open => Way::Target(target),
            // An active one has a wake (E1); so has whatever is due.
            _ if self.due_from.is_some() || self.due_until.is_some() || self.state == Some("active") => {
                Way::Due
            }
            _ => Way::All,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::samples::Sample;
    use crate::target::TargetKind;

    #[test]
    fn each_part_of_a_filter_leaves_out_what_it_does_not_name() {
        let sample = Sample::enrolled().enrollment;
        let due_at = sample.wake.unwrap().due_at;
        let other = TargetRef { kind: TargetKind::Deal, id: "other".into() };
        let past = |moment: Moment| Moment(moment.0 + 1);
        for (passes, filter) in [
            (true, Filter::default()),
            (true, Filter { sequence: Some(sample.sequence), ..Filter::default() }),
            (false, Filter { sequence: Some(SequenceNo(99)), ..Filter::default() }),
            (true, Filter { state: Some("active"), ..Filter::default() }),
            (false, Filter { state: Some("paused"), ..Filter::default() }),
            (true, Filter { contact: Some(sample.contact.clone()), ..Filter::default() }),
            (false, Filter { contact: Some("other".into()), ..Filter::default() }),
            (false, Filter { target: Some(other), ..Filter::default() }),
            (false, Filter { reason: Some(ExitReason::Replied), ..Filter::default() }),
            (true, Filter { due_from: Some(due_at), due_until: Some(past(due_at)), ..Filter::default() }),
            (false, Filter { due_from: Some(past(due_at)), ..Filter::default() }),
            (false, Filter { due_until: Some(due_at), ..Filter::default() }),
            (true, Filter { send_status: Some("pending"), ..Filter::default() }),
            (false, Filter { send_status: Some("uncertain"), ..Filter::default() }),
        ] {
            assert_eq!(filter.passes(&sample), passes, "{filter:?}");
        }
        let mut exited = sample;
        exited.state = State::Exited(ExitReason::Replied);
        assert!(Filter { reason: Some(ExitReason::Replied), ..Filter::default() }.passes(&exited));
    }

    #[test]
    fn the_narrowest_rows_are_looked_at() {
        let target = TargetRef { kind: TargetKind::Charge, id: "ch-1".into() };
        let about = Filter { target: Some(target.clone()), ..Filter::default() };
        assert_eq!(about.way(), Way::All, "a target forgets those that are over");
        assert_eq!(Filter { state: Some("paused"), ..about.clone() }.way(), Way::Target(&target));
        let of_ana = Filter { contact: Some("ana".into()), ..about };
        assert_eq!(of_ana.way(), Way::Contact("ana"));
        assert_eq!(Filter { state: Some("active"), ..Filter::default() }.way(), Way::Due);
        assert_eq!(Filter { due_until: Some(Moment(9)), ..Filter::default() }.way(), Way::Due);
        assert_eq!(Filter { state: Some("exited"), ..Filter::default() }.way(), Way::All);
    }
}
