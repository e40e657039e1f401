//! Previews: what one contact would get of a version that began now, if every lane were free.
//!
//! The steps walk through the same waits, gates and rendering as real ones; each send is taken as accepted the moment
//! it begins. Holds are left out, and named beside what they hold.

use crate::contact::Contact;
use crate::decide::{apply, plan_step, settle};
use crate::decision::{self, Beginning, Decision};
use crate::enrollment::{Enrollment, ExitReason, FailReason, SendFailure, SkipReason, State};
use crate::gate::{self, Verdict, View};
use crate::ids::{ChannelNo, StepNo};
use crate::render::{self, Message};
use crate::scope::{HeldBy, Scope};
use crate::sequence::Version;
use crate::target::Target;
use crate::time::{Moment, Span};

/// How often gates may put a step off before its hours count as never opening together.
const LOOKS: usize = 16;

/// What is foreseen of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreseen {
    /// Which.
    pub step: StepNo,
    /// When it is due, before all gates.
    pub due_at: Moment,
    /// When it is sent, or what else becomes of it is settled.
    pub at: Moment,
    /// Through which channel; `None`: there is none.
    pub channel: Option<ChannelNo>,
    /// What holds it now: it is not sent before that is released.
    pub held_by: Option<HeldBy>,
    /// What becomes of it.
    pub becomes: Becomes,
}

/// What becomes of a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Becomes {
    /// It is sent.
    Sent(Message),
    /// It is not, by rule.
    Skipped(SkipReason),
    /// It cannot be; the enrollment goes on, or exits where the step says so.
    Failed(SendFailure),
    /// The enrollment leaves instead; nothing follows.
    Exits(ExitReason),
    /// The enrollment cannot go on; nothing follows.
    Broken(FailReason),
}

/// Who is to walk what.
#[derive(Clone, Copy, Debug)]
pub struct Walk<'a> {
    /// The contact as it would be known.
    pub contact: &'a Contact,
    /// The target, where there is one.
    pub target: Option<&'a Target>,
    /// The tenant's scope, which has the sequence and the version.
    pub scope: &'a Scope,
    /// The version.
    pub version: &'a Version,
}

/// Foresees every step of an enrollment that begins like this, at `now`.
#[must_use]
pub fn foresee(beginning: &Beginning, walk: &Walk<'_>, now: Moment) -> Vec<Foreseen> {
    let free = walk.scope.released();
    let begun = decision::begin(beginning, now);
    let first = plan_step(&walk.view(&free, &begun, now), None);
    let mut state = apply(begun, &[first], now);
    let mut foreseen = Vec::new();
    while state.state == State::Active
        && let Some(one) = walk.one(&free, &state)
    {
        let at = walk.view(&free, &state, one.at);
        let decisions = match &one.becomes {
            Becomes::Sent(_) => settle(&at, Decision::Accepted { at: one.at }),
            Becomes::Skipped(reason) => settle(&at, Decision::Skipped(*reason)),
            Becomes::Failed(failure) => settle(&at, Decision::StepFailed(*failure)),
            Becomes::Exits(reason) => vec![Decision::Exited(*reason)],
            Becomes::Broken(reason) => vec![Decision::Failed(*reason)],
        };
        state = apply(state, &decisions, one.at);
        foreseen.push(one);
    }
    foreseen
}

impl Walk<'_> {
    fn view<'a>(&'a self, free: &'a Scope, enrollment: &'a Enrollment, now: Moment) -> View<'a> {
        let (contact, target, version) = (self.contact, self.target, self.version);
        View { enrollment, contact, target, scope: free, version, now, engine_ahead: Span::ZERO }
    }

    /// What becomes of the step under way.
    fn one(&self, free: &Scope, state: &Enrollment) -> Option<Foreseen> {
        let step = self.version.step(state.step)?;
        let due_at = state.step_due_at;
        // Nobody outlives the longest life: a step that is due later ends it then.
        let mut at = due_at.min(state.expires_at);
        let mut becomes = Becomes::Exits(ExitReason::Expired);
        for _ in 0..LOOKS {
            let view = self.view(free, state, at);
            becomes = match gate::ask(&view, step).map(|(_, verdict)| verdict) {
                None | Some(Verdict::Open) => {
                    render::render(&view, step).map_or_else(Becomes::Failed, Becomes::Sent)
                }
                Some(Verdict::Until(later)) if later > at => {
                    at = later.min(state.expires_at);
                    continue;
                }
                // Nothing is held here, and a gate that opens at once is open.
                Some(Verdict::Until(_) | Verdict::Held(_)) => Becomes::Exits(ExitReason::Expired),
                Some(Verdict::Skip(reason)) => Becomes::Skipped(reason),
                Some(Verdict::Fail(failure)) => Becomes::Failed(failure),
                Some(Verdict::Exit(reason)) => Becomes::Exits(reason),
                Some(Verdict::Broken(reason)) => Becomes::Broken(reason),
            };
            break;
        }
        let channel = self.scope.channel(&step.channel).map(|channel| channel.no);
        let held_by = channel.and_then(|channel| self.scope.held_by(state.sequence, channel, at));
        Some(Foreseen { step: state.step, due_at, at, channel, held_by, becomes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::{MinuteOfDay, QuietWindow, WeekdaySet};
    use crate::decide::samples::{self, NOON};
    use crate::decision::Source;
    use crate::ids::{EnrollmentId, SequenceNo, Shard, VersionNo};
    use crate::sequence::{Draft, draft};
    use crate::time::Span;

    fn foreseen(change: impl FnOnce(&mut Scope, &mut Draft, &mut Contact)) -> Vec<Foreseen> {
        let (mut scope, mut draft) = (samples::scope(), samples::draft());
        let mut contact = Contact { email: Some("ana@mail.example".into()), ..Contact::default() };
        change(&mut scope, &mut draft, &mut contact);
        let version = draft::compile(&draft, VersionNo(1), &scope).unwrap();
        let request = samples::request();
        let beginning = Beginning {
            id: EnrollmentId::new(NOON, Shard(9), 1),
            tenant: scope.tenant.no,
            sequence: SequenceNo(1),
            version: VersionNo(1),
            contact: request.contact,
            target: request.target,
            expires_at: NOON + version.max_lifetime,
            source: Source::Api,
            by: String::new(),
        };
        let walk = Walk { contact: &contact, target: None, scope: &scope, version: &version };
        foresee(&beginning, &walk, NOON)
    }

    #[test]
    fn steps_follow_each_other_through_waits_and_quiet_hours() {
        let found = foreseen(|scope, draft, _| {
            let [from, to] = ["13:00", "15:00"].map(|text| MinuteOfDay::parse(text).unwrap());
            scope.tenant.calendar.quiet.windows.push(QuietWindow { days: WeekdaySet::ALL, from, to });
            draft.steps.push(draft.steps[1].clone());
        });
        let hours = |n| NOON + Span::hours(n);
        let times: Vec<(Moment, Moment)> = found.iter().map(|one| (one.due_at, one.at)).collect();
        assert_eq!(times, [(NOON, NOON), (hours(2), hours(3)), (hours(5), hours(5))]);
        let body = |one: &Foreseen| matches!(&one.becomes, Becomes::Sent(text) if text.body == "about ch-1");
        assert!(found.iter().all(body), "{found:?}");
    }

    #[test]
    fn a_hold_is_named_and_does_not_stop_the_walk() {
        let found = foreseen(|scope, _, _| scope.tenant.on = false);
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|one| one.held_by == Some(HeldBy::Tenant)));
        assert!(matches!(found[1].becomes, Becomes::Sent(_)));
    }

    #[test]
    fn what_cannot_be_sent_says_why_and_ends_where_the_step_says_so() {
        let found = foreseen(|_, draft, _| draft.steps[0].body = "{{ contact.name }}".into());
        assert_eq!(found[0].becomes, Becomes::Failed(SendFailure::MissingVariable));
        assert_eq!(found.len(), 2, "it goes on");
        let found = foreseen(|_, draft, contact| {
            draft.steps[0].on_failure = "exit".into();
            contact.email = None;
        });
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].becomes, Becomes::Failed(SendFailure::NoAddress));
    }

    #[test]
    fn what_comes_after_the_longest_life_expires() {
        let found = foreseen(|_, draft, _| draft.max_lifetime = "1 hour".into());
        assert_eq!(found[1].becomes, Becomes::Exits(ExitReason::Expired));
        assert_eq!(found[1].at, NOON + Span::hours(1));
    }
}
