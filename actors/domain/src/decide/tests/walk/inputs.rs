//! Everything that can happen to an enrollment, how often it does in a walk, and where it can find it.

use super::Walk;
use crate::calendar::Zone;
use crate::channel::Kind;
use crate::decide::outcome::{Outcome, Receipt};
use crate::decide::tests::{holds, leaves, refused, rejected, said_no};
use crate::enrollment::{ExitReason, State};
use crate::event::EventKind;
use crate::ids::ChannelNo;
use crate::reaction::Reaction;
use crate::target::{TargetKind, Terminal};
use crate::time::Span;

use super::{Sample, channel, channels};

/// Its name; how often it comes; what it does. The number says how long, which step or which scope.
type Row = (&'static str, usize, fn(&mut Walk<'_>, u8));

/// What ends a walk is rare, or none would come far.
const INPUTS: [Row; 42] = [
    ("time", 4, |walk, n| {
        walk.sample.pass([Span(1), Span::minutes(7), Span::hours(5)][usize::from(n % 3)]);
    }),
    ("until due", 8, |walk, _| walk.until_due()),
    ("wake", 16, |walk, _| {
        walk.wake();
    }),
    ("stale wake", 1, |walk, _| walk.stale_wake()),
    ("restart", 2, |walk, _| walk.restart()),
    ("accepted", 6, |walk, n| walk.outcome(&Outcome::Accepted { at: walk.sample.now }, n)),
    ("refused", 4, |walk, n| walk.outcome(&refused(), n)),
    ("rejected", 1, |walk, n| walk.outcome(&rejected(), n)),
    ("not begun", 2, |walk, n| walk.outcome(&Outcome::NotBegun, n)),
    ("backed off", 2, |walk, n| walk.outcome(&said_no(Reaction::HOST_RESTS), n)),
    ("uncertain", 2, |walk, n| walk.outcome(&Outcome::Uncertain, n)),
    ("stray outcome", 1, |walk, _| walk.stray_outcome()),
    ("delivered", 2, |walk, n| walk.receipt(n, Receipt::Delivered)),
    ("read", 2, |walk, n| walk.receipt(n, Receipt::Read)),
    ("taken after all", 1, |walk, n| walk.receipt(n, Receipt::Sent)),
    ("opt-out after all", 1, |walk, n| {
        walk.receipt(n, Receipt::Failed(Some(Reaction::OptOut)));
    }),
    ("refused after all", 2, |walk, n| walk.receipt(n, Receipt::Failed(None))),
    ("busy after all", 4, |walk, n| walk.receipt(n, Receipt::Failed(Some(Reaction::SOON)))),
    ("throttled after all", 2, |walk, n| {
        walk.receipt(n, Receipt::Failed(Some(Reaction::Slow { after: Span::seconds(1) })));
    }),
    ("reply", 1, |walk, _| walk.hear(EventKind::MessageReceived, |_| ())),
    ("automatic reply", 1, |walk, _| walk.hear(EventKind::MessageReceived, |reply| reply.automatic = true)),
    ("opt-out of one", 1, |walk, _| {
        walk.hear(EventKind::ContactOptedOut, |stop| stop.channel = Some(Kind::Email));
    }),
    ("stop word", 1, |walk, _| walk.hear(EventKind::MessageReceived, |stop| stop.text = "stop".into())),
    ("goal", 1, |walk, _| walk.hear(EventKind::Target(TargetKind::Charge, Terminal::Goal), |_| ())),
    ("cancelled", 1, |walk, _| walk.hear(EventKind::Target(TargetKind::Charge, Terminal::Cancelled), |_| ())),
    ("pause", 3, |walk, _| walk.take(holds::pause)),
    ("resume", 4, |walk, _| walk.take(holds::resume)),
    ("set apart", 2, |walk, _| walk.take(|view| holds::quarantine(view, "it panics"))),
    ("release", 2, |walk, _| walk.take(holds::release)),
    ("exit", 1, |walk, _| walk.take(|view| leaves::exit(view, ExitReason::Manual))),
    ("hold", 2, |walk, n| walk.hold_scope(n)),
    ("provider holds", 1, |walk, n| walk.provider_holds(n)),
    ("step held", 2, |walk, _| walk.hold_step()),
    ("opt-out told", 1, |walk, n| walk.outcome(&said_no(Reaction::OptOut), n)),
    ("end of holds", 5, |walk, _| walk.release_scopes()),
    ("tenant off", 1, |walk, _| walk.sample.scope.tenant.switch(false, walk.sample.now)),
    ("tenant on", 3, |walk, _| walk.sample.scope.tenant.switch(true, walk.sample.now)),
    ("zone moves", 2, |walk, n| {
        let zones = [None, Some(Zone::UTC), Zone::parse("Asia/Tokyo").ok()];
        walk.sample.contact.zone = zones[usize::from(n % 3)];
    }),
    ("address lost", 1, |walk, _| walk.sample.contact.phone = None),
    ("channel gone", 1, |walk, n| {
        walk.sample.scope.channels.remove(&ChannelNo(1 + u32::from(n % 3)));
    }),
    ("default moves", 6, |walk, n| {
        let scope = &mut walk.sample.scope;
        scope.channels.entry(ChannelNo(4)).or_insert_with(|| channel(4, "mail2", Kind::Email));
        scope.tenant.default_channels.insert(Kind::Email, ChannelNo(if n % 2 == 0 { 4 } else { 1 }));
    }),
    ("channel back", 2, |walk, _| channels(&mut walk.sample.scope)),
];

/// One thing that happens.
#[derive(Clone, Copy)]
pub(super) struct Input {
    place: usize,
    n: u8,
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name(), self.n)
    }
}

impl Input {
    /// The input that a number below [`Input::weight`] stands for.
    pub(super) fn pick(mut at: usize, n: u8) -> Input {
        let mut place = 0;
        while at >= INPUTS[place].1 {
            at -= INPUTS[place].1;
            place += 1;
        }
        Input { place, n }
    }

    /// How often all inputs come together.
    pub(super) fn weight() -> usize {
        INPUTS.iter().map(|row| row.1).sum()
    }

    pub(super) fn name(self) -> &'static str {
        INPUTS[self.place].0
    }

    pub(super) fn happen(self, walk: &mut Walk<'_>) {
        INPUTS[self.place].2(walk, self.n);
    }

    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        INPUTS.iter().map(|row| row.0)
    }
}

/// Where an input can find an enrollment.
pub(super) const STANDINGS: [&str; 11] = [
    "waiting",
    "due",
    "in flight",
    "apart",
    "apart in flight",
    "paused",
    "paused in flight",
    "completed",
    "exited",
    "exited in flight",
    "failed",
];

/// Where an enrollment stands, as one of [`STANDINGS`].
pub(super) fn standing(sample: &Sample) -> &'static str {
    let enrollment = &sample.enrollment;
    let (in_flight, apart) = (enrollment.open.is_some(), enrollment.quarantine.is_some());
    match (enrollment.state, in_flight, apart) {
        (State::Active, true, false) => "in flight",
        (State::Active, false, true) => "apart",
        (State::Active, true, true) => "apart in flight",
        (State::Active, false, false) if sample.row().due_at > sample.now => "waiting",
        (State::Active, false, false) => "due",
        (State::Paused { .. }, false, false) => "paused",
        (State::Paused { .. }, true, false) => "paused in flight",
        (State::Completed, false, false) => "completed",
        (State::Exited(_), false, false) => "exited",
        (State::Exited(_), true, false) => "exited in flight",
        (State::Failed(_), false, false) => "failed",
        other => panic!("no enrollment stands like {other:?}"),
    }
}
