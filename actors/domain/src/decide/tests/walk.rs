//! Random walks: any input in any state, on any small version; every invariant after every transition; and an end
//! within a bound once nothing disturbs it (E12).

mod inputs;
mod plan;

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{SCOPES, Sample, charge, event, holds, leaves, message, outcomes, refused, wakes};
use crate::channel::Kind;
use crate::decide::outcome::{Outcome, Receipt};
use crate::decide::samples::channel;
use crate::decide::tests::ScopeRef;
use crate::decide::wake::Look;
use crate::decision::Decision;
use crate::enrollment::State;
use crate::event::{Event, EventKind};
use crate::funnel::{self, Metric};
use crate::gate;
use crate::holds::Reacted;
use crate::ids::{ChannelNo, SendId, SequenceNo, StepNo};
use crate::invariant;
use crate::lane::{HoldGroup, WakeRow};
use crate::scope::{HeldBy, Scope};
use crate::time::{Moment, Span};
use inputs::{Input, STANDINGS, standing};

/// Inputs that still come when an enrollment is over.
const AFTER_THE_END: usize = 6;

/// How often each input came in each standing.
type Hits = BTreeMap<(&'static str, &'static str), u32>;

struct Walk<'a> {
    sample: Sample,
    counters: BTreeMap<Metric, i64>,
    first_row: WakeRow,
    hits: &'a RefCell<Hits>,
}

impl Walk<'_> {
    fn take(&mut self, decide: impl FnOnce(&gate::View<'_>) -> Vec<Decision>) {
        let before = self.sample.enrollment.clone();
        let decisions = self.sample.take(decide);
        let after = &self.sample.enrollment;
        assert!(invariant::status_moves_forward(&before, after), "{before:?} by {decisions:?}");
        let again = decisions.iter().any(|decision| matches!(decision, Decision::Reopened { .. }));
        let returns = before.state == State::Completed && !before.is_closed() && again;
        assert!(before.state == after.state || !before.state.is_over() || returns, "back by {decisions:?}");
        assert!(after.step >= before.step || again, "a step came back: {decisions:?}");
        assert!(usize::from(after.send_id().occurrence) < 9, "again and again: {after:?}");
        let apart = after.wake.is_some_and(|wake| wake.queue.hold == HoldGroup::Quarantine);
        let waits_apart = after.quarantine.is_some() && after.open.is_none();
        // A withdrawn call leaves its row where it was: that one moves apart when it fires.
        let withdrawn = decisions == [Decision::Withdrawn] || before.wake == after.wake;
        assert!(apart == waits_apart || withdrawn, "set apart, or not: {after:?} by {decisions:?}");
        for (metric, by) in funnel::difference(Some(&before), after) {
            *self.counters.entry(metric).or_insert(0) += by;
        }
        self.counters.retain(|_, count| *count != 0);
        let mut counted = BTreeMap::new();
        funnel::contribution(after).for_each(|metric| *counted.entry(metric).or_insert(0) += 1);
        assert_eq!(self.counters, counted, "E9: counters equal the fold");
    }

    /// What must hold of every call as it begins.
    fn may_begin(&self, no: ChannelNo) {
        let Sample { enrollment, scope, contact, now, .. } = &self.sample;
        let channel = &scope.channels[&no];
        assert_eq!(enrollment.state, State::Active, "E8: nothing begins after it is over, or in a pause");
        assert_eq!(enrollment.quarantine, None);
        assert!(!contact.is_suppressed(channel.kind), "E8: they opted out");
        assert_eq!(scope.held_by(SequenceNo(1), no, *now), None, "held");
        let place = (enrollment.version, enrollment.step);
        assert_eq!(scope.held_step(SequenceNo(1), place, *now), None, "held");
        assert!(*now < enrollment.expires_at && *now >= enrollment.step_due_at);
        let view = self.sample.view();
        let hours = gate::open_hours(
            scope,
            channel,
            &view.queue(&view.version.steps[usize::from(enrollment.step.0)]),
        );
        assert!(view.calendar().is_open(*now, &hours), "E5");
    }

    /// A wake fires; when it leads to a time, that is answered.
    fn wake(&mut self) -> Option<Moment> {
        let row = self.sample.enrollment.wake_row()?;
        match wakes::look(&self.sample.view(), &row) {
            Look::Send(channel, _) => {
                let no = channel.no;
                self.may_begin(no);
                let intent = wakes::intend(
                    &self.sample.view(),
                    channel,
                    charge(self.sample.now),
                    self.sample.now + crate::limits::INTENT_LIFE,
                );
                self.take(|_| vec![intent]);
            }
            Look::Decided(decisions) => self.take(|_| decisions),
            Look::Closed(at) => return Some(at),
            Look::InDoubt(open) => assert_eq!(Some(open), self.sample.enrollment.open),
            Look::Held(by) => {
                let (scope, channel) = (&self.sample.scope, row.lane.channel);
                let held = scope.held_by(SequenceNo(1), channel, self.sample.now).is_some();
                let closed = held && scope.channels.contains_key(&channel);
                let apart = match row.queue.hold {
                    HoldGroup::None => false,
                    HoldGroup::Quarantine => by == HeldBy::Quarantine,
                    HoldGroup::Step => by == HeldBy::Step,
                };
                assert!(closed || apart, "held by {by:?} in an open queue: {row:?}");
            }
            Look::Gone => panic!("its own wake is gone: {:?}", self.sample.enrollment),
        }
        None
    }

    /// A lane starts and finds the send that is open.
    fn restart(&mut self) {
        let Some(open) = self.sample.enrollment.open else { return };
        self.take(|view| wakes::in_doubt(view, &open));
    }

    fn outcome(&mut self, outcome: &Outcome, jitter: u8) {
        let open = self.sample.enrollment.open.map(|open| open.send);
        let send = open.unwrap_or_else(|| self.sample.enrollment.send_id());
        self.take(|view| outcomes::outcome(view, send, outcome, u16::from(jitter) * 4));
        assert_eq!(self.sample.enrollment.open, None);
    }

    fn hear(&mut self, kind: EventKind, change: impl FnOnce(&mut Event)) {
        let mut heard = match kind {
            EventKind::MessageReceived => message(&self.sample, "hello"),
            EventKind::ContactOptedOut | EventKind::Target(..) | EventKind::Custom(_) => {
                event(&self.sample, kind)
            }
        };
        change(&mut heard);
        let opted_out = self.sample.learns(&heard);
        self.take(|view| leaves::event(view, &heard, opted_out));
    }

    fn receipt(&mut self, n: u8, receipt: Receipt) {
        let send = SendId {
            step: StepNo(u16::from(n % 4)),
            occurrence: u16::from(n / 4 % 3),
            ..self.sample.enrollment.send_id()
        };
        self.take(|view| outcomes::receipt(view, send, receipt, u16::from(n)));
    }

    fn until_due(&mut self) {
        let due_at = self.sample.enrollment.wake.map(|wake| wake.due_at);
        self.sample.now = self.sample.now.max(due_at.unwrap_or(self.sample.now));
    }

    fn stale_wake(&self) {
        let stale = Some(self.first_row) != self.sample.enrollment.wake_row();
        let gone = wakes::look(&self.sample.view(), &self.first_row) == Look::Gone;
        assert_eq!(gone, stale);
    }

    fn stray_outcome(&self) {
        let mut other = self.sample.enrollment.send_id();
        other.step = StepNo(other.step.0.wrapping_sub(1));
        assert_eq!(outcomes::outcome(&self.sample.view(), other, &refused(), 0), []);
    }

    fn hold_scope(&mut self, n: u8) {
        let scope = SCOPES[usize::from(n % 3)];
        let gone = scope == ScopeRef::Channel(ChannelNo(1))
            && !self.sample.scope.channels.contains_key(&ChannelNo(1));
        if !gone {
            let now = self.sample.now;
            self.sample.holds(&scope).hold(now, "stop");
        }
    }

    /// What its provider said holds a channel: for a while, or until it is released.
    fn provider_holds(&mut self, n: u8) {
        let since = self.sample.now;
        let until = n.is_multiple_of(2).then(|| since + Span::minutes(10));
        let reacted = Some(Reacted { since, until, to: "the provider said 190".into() });
        for channel in self.sample.scope.channels.values_mut() {
            channel.reacted.clone_from(&reacted);
        }
    }

    /// The step under way is held.
    fn hold_step(&mut self) {
        let (version, step) = (self.sample.enrollment.version, self.sample.enrollment.step);
        let reacted = Reacted { since: self.sample.now, until: None, to: "the provider said 100".into() };
        for sequence in self.sample.scope.sequences.values_mut() {
            sequence.held_steps.insert((version, step), reacted.clone());
        }
    }

    fn release_scopes(&mut self) {
        let scope = &mut self.sample.scope;
        scope.channels.values_mut().for_each(|channel| channel.reacted = None);
        scope.sequences.values_mut().for_each(|sequence| sequence.held_steps.clear());
        let channels = scope.channels.values_mut().map(|channel| &mut channel.holds);
        let sequences = scope.sequences.values_mut().map(|sequence| &mut sequence.holds);
        for holds in channels.chain(sequences).chain([&mut scope.tenant.holds]) {
            holds.release(self.sample.now);
        }
    }

    fn step(&mut self, input: Input) {
        *self.hits.borrow_mut().entry((input.name(), standing(&self.sample))).or_default() += 1;
        input.happen(self);
    }

    /// E12: undisturbed, it ends within as many wakes as its steps, retries and moves can take.
    fn ends(&mut self) {
        self.release_scopes();
        self.sample.scope.tenant.switch(true, self.sample.now);
        channels(&mut self.sample.scope);
        self.take(holds::resume);
        self.take(holds::release);
        let wakes = self.sample.version().steps.len() * 8;
        for _ in 0..wakes {
            if self.sample.enrollment.open.is_some() {
                self.outcome(&Outcome::Accepted { at: self.sample.now }, 0);
            }
            if self.sample.enrollment.state.is_over() {
                assert_eq!(self.sample.enrollment.wake, None);
                return;
            }
            self.until_due();
            if let Some(at) = self.wake() {
                assert!(at > self.sample.now, "closed until a moment that has come");
                self.sample.now = at;
            }
        }
        panic!("E12: it never ends: {:?}", self.sample.enrollment);
    }
}

/// The channels a walk can lose and get back, as they were first.
fn channels(scope: &mut Scope) {
    let kinds = [Kind::Email, Kind::Sms, Kind::Webhook];
    for (no, kind) in (1..).zip(kinds) {
        scope
            .channels
            .entry(ChannelNo(no))
            .or_insert_with(|| channel(no, ["mail", "texts", "hook"][no as usize - 1], kind));
    }
}

#[test]
fn whatever_happens_every_invariant_holds_and_every_enrollment_ends() {
    let hits = RefCell::new(Hits::new());
    let config = Config { cases: 20_000, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let walked = runner.run(&plan::walks(), |(plan, inputs)| {
        let sample = plan.enrolls();
        let counters = funnel::difference(None, &sample.enrollment);
        let first_row = sample.row();
        let mut walk = Walk { sample, counters, first_row, hits: &hits };
        let mut surplus = AFTER_THE_END;
        for input in inputs {
            surplus -= usize::from(walk.sample.enrollment.state.is_over());
            walk.step(input);
            if surplus == 0 {
                break;
            }
        }
        walk.ends();
        Ok(())
    });
    if let Err(error) = walked {
        panic!("{error}");
    }
    let hits = hits.into_inner();
    let (table, missed) = table(&hits);
    assert!(missed.is_empty(), "pairs no walk came to: {missed:?}\n{table}");
}

/// How often each input came in each standing, and the pairs that never came.
fn table(hits: &Hits) -> (String, Vec<(&'static str, &'static str)>) {
    let mut text = format!("{:>18}", "");
    let mut missed = Vec::new();
    for standing in STANDINGS {
        let _ = write!(text, "{standing:>17}");
    }
    for input in Input::names() {
        let _ = write!(text, "\n{input:>18}");
        for standing in STANDINGS {
            let count = hits.get(&(input, standing)).copied().unwrap_or_default();
            let _ = write!(text, "{count:>17}");
            if count == 0 {
                missed.push((input, standing));
            }
        }
    }
    (text, missed)
}
