//! Explaining: what an enrollment does next on things as they are, when, and what each gate says.
//!
//! It asks the gates that the last look asks, each at the moment by which those before it have opened. What others do
//! meanwhile is not foreseen: limits and the line before it give estimates.

use crate::decision::{Decision, Entry};
use crate::enrollment::{ExitReason, FailReason, SendFailure, SkipReason, State};
use crate::gate::{self, Binding, GATES, Verdict, View};
use crate::ids::ChannelNo;
use crate::ledger::Earliest;
use crate::render;
use crate::scope::HeldBy;
use crate::sequence::Step;
use crate::time::{Moment, Span};

/// Passes over the gates: one that opens late can close another, such as hours that make a step too late.
const PASSES: usize = 8;

/// What an enrollment does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The step under way is sent through this channel.
    Send(ChannelNo),
    /// The step is skipped, and it goes on.
    Skip(SkipReason),
    /// The step fails, and it goes on.
    Fail(SendFailure),
    /// It leaves.
    Exit(ExitReason),
    /// It cannot go on.
    End(FailReason),
    /// A send has begun: its outcome comes first.
    Settle(ChannelNo),
    /// Nothing, before somebody releases what holds it.
    Held(HeldBy),
    /// Nothing, before somebody resumes it.
    Paused,
    /// Nothing: it is over.
    Over,
}

/// What one gate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// What the last look would be told.
    Exactly(Verdict),
    /// It opens about then.
    About(Moment),
    /// It opens when sends that are out are settled.
    WhenSettled,
}

/// What a lane's past and its line let expect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// When its limits allow one more send.
    pub earliest: Earliest,
    /// When each of those before it is due, in their order.
    pub ahead: Vec<Moment>,
    /// By when the days to come have room for all of those and for it; `None`: nothing bounds a day, or nobody stands
    /// before it.
    pub days_room_at: Option<Moment>,
    /// Until when nothing leaves it, since the host it calls rests.
    pub rests_until: Option<Moment>,
}

/// An explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// What happens next.
    pub next: Next,
    /// When; `None` where an event decides.
    pub at: Option<Moment>,
    /// Whether that moment is an estimate.
    pub estimated: bool,
    /// The gate that decides the moment.
    pub binding: Option<Binding>,
    /// All gates in order, and what each says; none where no step is waiting for them.
    pub gates: Vec<(Binding, Said)>,
    /// What the provider said of the attempt that came to nothing, as a short code, where the next one is to come.
    pub code: Option<String>,
}

impl Explained {
    fn bare(next: Next) -> Explained {
        Explained { next, at: None, estimated: false, binding: None, gates: Vec::new(), code: None }
    }
}

/// Explains one enrollment with this history.
#[must_use]
pub fn explain(view: &View<'_>, history: &[Entry], outlook: &Outlook) -> Explained {
    let enrollment = view.enrollment;
    if let Some(open) = enrollment.open {
        return Explained::bare(Next::Settle(open.channel));
    }
    match enrollment.state {
        State::Active => {}
        State::Paused { .. } => return Explained::bare(Next::Paused),
        State::Completed | State::Exited(_) | State::Failed(_) => return Explained::bare(Next::Over),
    }
    let Some(step) = view.version.step(enrollment.step) else { return Explained::bare(Next::Over) };
    let placed = placed(history);
    let mut walk = Walk {
        view,
        step,
        placed: placed.map(|(decision, _)| decision),
        code: placed.and_then(|(decision, before)| code(decision, before)),
        rests_until: outlook.rests_until,
        at: view.now,
        binding: None,
        gates: Vec::new(),
        stop: None,
    };
    for _ in 0..PASSES {
        if !walk.pass() {
            break;
        }
    }
    walk.end(outlook)
}

/// The decision that says why a wake stands where it does, and those before it.
fn placed(history: &[Entry]) -> Option<(&Decision, &[Entry])> {
    let places = |entry: &Entry| {
        matches!(
            entry.decision,
            Decision::Planned { .. }
                | Decision::Moved { .. }
                | Decision::Resumed { .. }
                | Decision::Released { .. }
                | Decision::Quarantined { .. }
                | Decision::Refused { .. }
                | Decision::BackedOff { .. }
                | Decision::Doubted { .. }
                | Decision::Reopened { .. }
        )
    };
    let place = history.iter().rposition(places)?;
    Some((&history[place].decision, &history[..place]))
}

/// The code of the attempt that came to nothing, where a wake stands for the next one.
fn code<'a>(placed: &'a Decision, before: &'a [Entry]) -> Option<&'a str> {
    if let Decision::Refused { code, .. } | Decision::BackedOff { code, .. } = placed {
        return Some(code);
    }
    // What opened a step again was told just before.
    let mut before = before.iter().rev().filter(|_| matches!(placed, Decision::Reopened { .. }));
    let told = before.find(|entry| matches!(entry.decision, Decision::Code { .. }))?;
    if let Decision::Code { code, .. } = &told.decision { Some(code) } else { None }
}

/// The way through the gates.
struct Walk<'a> {
    view: &'a View<'a>,
    step: &'a Step,
    /// Why its wake stands where it does.
    placed: Option<&'a Decision>,
    code: Option<&'a str>,
    rests_until: Option<Moment>,
    /// The moment by which all gates so far are open.
    at: Moment,
    binding: Option<Binding>,
    gates: Vec<(Binding, Said)>,
    /// The gate that never opens, and what it says.
    stop: Option<(Binding, Verdict)>,
}

impl Walk<'_> {
    /// Asks all gates once; whether another pass may say more.
    fn pass(&mut self) -> bool {
        let before = self.at;
        for (binding, gate) in GATES {
            let verdict = gate(&View { now: self.at, ..*self.view }, self.step);
            self.hears(binding, verdict);
        }
        let verdict = self.retry();
        self.hears(Binding::Retry, verdict);
        let verdict = self.new_recipients();
        self.hears(Binding::NewRecipients, verdict);
        self.stop.is_none() && self.at > before
    }

    /// The pause after an attempt that came to nothing: its own, whose wake stands later than the step is due, or that of
    /// the host.
    fn retry(&self) -> Verdict {
        let came_to_nothing = matches!(
            self.placed,
            Some(
                Decision::Refused { .. }
                    | Decision::BackedOff { .. }
                    | Decision::Doubted { .. }
                    | Decision::Reopened { .. }
            )
        );
        let wake = self.view.enrollment.wake.filter(|_| came_to_nothing).map(|wake| wake.due_at);
        self.later(wake.max(self.rests_until))
    }

    /// Who waits for room among the new recipients was put off by what the store counts.
    fn new_recipients(&self) -> Verdict {
        let put_off = matches!(self.placed, Some(Decision::Moved { gate: Binding::NewRecipients, .. }));
        self.later(self.view.enrollment.wake.filter(|_| put_off).map(|wake| wake.due_at))
    }

    fn later(&self, until: Option<Moment>) -> Verdict {
        until.filter(|until| *until > self.at).map_or(Verdict::Open, Verdict::Until)
    }

    fn hears(&mut self, binding: Binding, verdict: Verdict) {
        match verdict {
            Verdict::Until(at) if self.stop.is_none() && at > self.at => {
                self.at = at;
                self.binding = Some(binding);
            }
            Verdict::Open | Verdict::Until(_) => {}
            Verdict::Held(_)
            | Verdict::Skip(_)
            | Verdict::Fail(_)
            | Verdict::Exit(_)
            | Verdict::Broken(_) => {
                self.stop.get_or_insert((binding, verdict));
            }
        }
        match self.gates.iter_mut().find(|(known, _)| *known == binding) {
            // That it opened later is worth more than that it is open by then.
            Some(_) if verdict == Verdict::Open => {}
            Some(known) => known.1 = Said::Exactly(verdict),
            None => self.gates.push((binding, Said::Exactly(verdict))),
        }
    }

    fn end(self, outlook: &Outlook) -> Explained {
        let (at, next) = match self.stop {
            None => return self.sends(outlook),
            Some((_, Verdict::Held(by))) => (None, Next::Held(by)),
            Some((Binding::Lifetime, Verdict::Exit(reason))) => {
                (Some(self.view.enrollment.expires_at.max(self.view.now)), Next::Exit(reason))
            }
            Some((_, Verdict::Exit(reason))) => (Some(self.looks_at()), Next::Exit(reason)),
            Some((_, Verdict::Skip(reason))) => (Some(self.looks_at()), Next::Skip(reason)),
            Some((_, Verdict::Fail(failure))) => (Some(self.looks_at()), Next::Fail(failure)),
            Some((_, Verdict::Broken(reason))) => (Some(self.looks_at()), Next::End(reason)),
            Some((_, Verdict::Open | Verdict::Until(_))) => return self.sends(outlook),
        };
        let binding = self.stop.map(|(binding, _)| binding);
        self.explained(next, at, false, binding)
    }

    /// When it is looked at next: what a gate ends is ended then, not before.
    fn looks_at(&self) -> Moment {
        let wake = self.view.enrollment.wake.map_or(self.view.now, |wake| wake.due_at);
        wake.max(self.at)
    }

    /// All gates open: what its lane and its text say.
    fn sends(mut self, outlook: &Outlook) -> Explained {
        let View { enrollment, .. } = *self.view;
        let Some(channel) = self.view.channel(self.step) else {
            return Explained::bare(Next::End(FailReason::NoChannel));
        };
        let at_gates = self.at;
        let limits = match outlook.earliest {
            Earliest::At(at, _) if at > self.at => {
                (self.at, self.binding) = (at, Some(Binding::Limits));
                Said::About(at)
            }
            Earliest::WhenOpenSettles(_) => Said::WhenSettled,
            Earliest::Now | Earliest::At(..) => Said::Exactly(Verdict::Open),
        };
        // Where hours close it now, those before it wait for them too.
        let opens_at = if self.binding == Some(Binding::Hours) { at_gates } else { self.view.now };
        let clear_at = clear_at(opens_at, &outlook.ahead, channel.limits.pace());
        let clear_at = clear_at.max(outlook.days_room_at.unwrap_or(clear_at));
        let line = if clear_at > self.at {
            // By then its hours may be closed.
            let hours = gate::hours(&View { now: clear_at, ..*self.view }, self.step);
            let clear_at = if let Verdict::Until(opens_at) = hours { opens_at } else { clear_at };
            (self.at, self.binding) = (clear_at, Some(Binding::Line));
            Said::About(clear_at)
        } else {
            Said::Exactly(Verdict::Open)
        };
        self.gates.extend([(Binding::Limits, limits), (Binding::Line, line)]);
        let estimated = self.at > at_gates || limits == Said::WhenSettled;
        if self.at >= enrollment.expires_at {
            let next = Next::Exit(ExitReason::Expired);
            let (at, binding) = (Some(enrollment.expires_at), Some(Binding::Lifetime));
            return self.explained(next, at, estimated, binding);
        }
        // What it says may depend on when it leaves: by then a service window can have closed.
        let then = View { now: self.at, ..*self.view };
        let next = match render::render(&then, self.step) {
            Ok(_) => Next::Send(channel.no),
            Err(failure) => Next::Fail(failure),
        };
        let (at, binding) = (Some(self.at), self.binding);
        self.explained(next, at, estimated, binding)
    }

    fn explained(
        self,
        next: Next,
        at: Option<Moment>,
        estimated: bool,
        binding: Option<Binding>,
    ) -> Explained {
        let code = self.code.map(str::to_owned);
        Explained { next, at, estimated, binding, gates: self.gates, code }
    }
}

/// When a lane of this pace has sent all that stands before, from `opens_at` on.
fn clear_at(opens_at: Moment, ahead: &[Moment], pace: Span) -> Moment {
    ahead.iter().fold(opens_at, |clear_at, due_at| clear_at.max(*due_at) + pace)
}

/// The moment up to which wakes stand in line before this enrollment's; `None` where it stands in no line.
#[must_use]
pub fn line_until(view: &View<'_>) -> Option<Moment> {
    let step = view.version.step(view.enrollment.step)?;
    let sends = view.channel(step).is_some_and(|channel| {
        view.enrollment.wake.is_some_and(|wake| wake.channel == channel.no)
            && view.scope.held_by(view.enrollment.sequence, channel.no, view.now).is_none()
    });
    let waits = view.enrollment.state == State::Active && view.enrollment.open.is_none();
    view.enrollment.wake.filter(|_| sends && waits).map(|wake| wake.due_at.max(gate::due(view, step)))
}
