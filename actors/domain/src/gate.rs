//! Gates: everything that may hold, skip or stop a send, in the order it is asked.
//!
//! All gates are asked on fresh state at the last look. The first that is not open binds. Limits are asked after
//! these, by the pacer that grants the permit and again by the commit that charges it.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

use crate::calendar::{Calendar, Hours};
use crate::channel::{Channel, Kind};
use crate::contact::Contact;
use crate::enrollment::{Enrollment, ExitReason, FailReason, SendFailure, SkipReason};
use crate::lane::{HoldGroup, Queue};
use crate::limits;
use crate::scope::{HeldBy, Scope};
use crate::sequence::{Late, Step, Version};
use crate::target::{Target, TargetKind, Terminal};
use crate::time::{Moment, Span};

/// Everything a decision about one enrollment is taken on.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Its state.
    pub enrollment: &'a Enrollment,
    /// Its contact.
    pub contact: &'a Contact,
    /// Its target, where it has one.
    pub target: Option<&'a Target>,
    /// Its tenant, channel and sequence.
    pub scope: &'a Scope,
    /// The version it is pinned to.
    pub version: &'a Version,
    /// When it is looked at.
    pub now: Moment,
    /// How far engine time, which limits count in, is ahead of that; it may be behind.
    pub engine_ahead: Span,
}

/// What one gate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing stands in the way.
    Open,
    /// Not before that moment.
    Until(Moment),
    /// Not before somebody releases it.
    Held(HeldBy),
    /// Never, by rule; the enrollment goes on.
    Skip(SkipReason),
    /// Never, it cannot be; the enrollment goes on.
    Fail(SendFailure),
    /// Never: the enrollment leaves.
    Exit(ExitReason),
    /// Never: the enrollment cannot go on.
    Broken(FailReason),
}

/// The gate that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Binding {
    /// A channel to send through.
    Channel,
    /// The target's terminal facts.
    Target,
    /// The longest life of an enrollment, and that of its sequence.
    Lifetime,
    /// Suppression of the contact.
    Suppression,
    /// An address of the channel's kind.
    Address,
    /// The late policy of the step.
    Late,
    /// Holds of tenant, sequence and channel.
    Hold,
    /// The wait of the step, and what holds pushed it back by.
    PushedBack,
    /// The queue of the zone and hours that apply now.
    Queue,
    /// Open hours.
    Hours,
    /// The pause between attempts.
    Retry,
    /// The limits of its lane.
    Limits,
    /// Those that stand in line before it.
    Line,
    /// The gap that its channel keeps between two sends to one contact.
    RecipientGap,
    /// What the tenant allows to be sent to one contact in a day and in a week.
    ContactCaps,
    /// Room among the people its channel may write to in 24 h.
    NewRecipients,
}

impl Binding {
    /// Whether it puts a wake off by itself for as long as a limit says that may be changed meanwhile.
    #[must_use]
    pub fn puts_off(self) -> bool {
        matches!(self, Binding::RecipientGap | Binding::ContactCaps | Binding::NewRecipients)
    }
}

pub(crate) type Gate = (Binding, fn(&View<'_>, &Step) -> Verdict);

/// The gates, in order: what ends the business comes before what only delays it.
pub(crate) const GATES: [Gate; 11] = [
    (Binding::Target, target),
    (Binding::Lifetime, lifetime),
    (Binding::Channel, channel),
    (Binding::Suppression, suppression),
    (Binding::Address, address),
    (Binding::Hold, hold),
    (Binding::PushedBack, pushed_back),
    (Binding::Late, late),
    (Binding::RecipientGap, recipient_gap),
    (Binding::ContactCaps, contact_caps),
    (Binding::Hours, hours),
];

/// Asks the gates in order; the first that is not open, and what it says.
#[must_use]
pub fn ask(view: &View<'_>, step: &Step) -> Option<(Binding, Verdict)> {
    GATES.iter().map(|(name, gate)| (*name, gate(view, step))).find(|(_, verdict)| *verdict != Verdict::Open)
}

impl View<'_> {
    /// Not before a moment of engine time.
    fn until(&self, at: Moment) -> Verdict {
        let left = at.since(self.now + self.engine_ahead);
        if left > Span::ZERO { Verdict::Until(self.now + left) } else { Verdict::Open }
    }

    /// The channel a step goes through now.
    #[must_use]
    pub fn channel(&self, step: &Step) -> Option<&Channel> {
        self.scope.channel(&step.channel)
    }

    /// The tenant's calendar, read in the zone that applies to the contact.
    #[must_use]
    pub fn calendar(&self) -> Cow<'_, Calendar> {
        self.scope.tenant.calendar.in_zone(self.scope.tenant.zone_of(self.contact.zone))
    }

    /// The queue a step's wake stands in now.
    #[must_use]
    pub fn queue(&self, step: &Step) -> Queue {
        let place = (self.enrollment.version, self.enrollment.step);
        let held = self.scope.held_step(self.enrollment.sequence, place, self.now).is_some();
        Queue {
            class: self.version.class,
            sequence: self.enrollment.sequence,
            zone: self.scope.tenant.zone_of(self.contact.zone).code(),
            narrowed: (held || step.hours.narrows()).then_some(place),
            hold: if held { HoldGroup::Step } else { HoldGroup::None },
        }
    }
}

/// When a step is due, before all gates: a relative wait is pushed back by the holds it ran through, up to now.
#[must_use]
pub fn due(view: &View<'_>, step: &Step) -> Moment {
    let enrollment = view.enrollment;
    match view.channel(step) {
        Some(channel) if step.wait.is_relative() => {
            let wait = (enrollment.waits_from, enrollment.step_due_at);
            view.scope.pushed_back(enrollment.sequence, channel.no, wait, view.now)
        }
        _ => enrollment.step_due_at,
    }
}

/// Whether one of the steps left, from the one under way on, could reach the contact: through a channel there is,
/// of a kind they have not opted out of, at an address that is known.
#[must_use]
pub fn can_reach(view: &View<'_>) -> bool {
    view.version.steps.iter().skip(usize::from(view.enrollment.step.0)).any(|step| {
        view.channel(step).is_some_and(|channel| {
            let address = view.enrollment.address(view.contact, channel.kind);
            address.is_some() && !view.contact.is_suppressed(channel.kind)
        })
    })
}

/// The hours in which a queue of a lane may send: the tenant's, unless the channel ignores quiet hours, and within
/// them the step's own.
#[must_use]
pub fn open_hours(scope: &Scope, channel: &Channel, queue: &Queue) -> Hours {
    let narrowed = queue.narrowed.and_then(|(version, step)| {
        let version = scope.version(queue.sequence, version)?;
        version.step(step).map(|step| step.hours.clone())
    });
    let mut hours = narrowed.unwrap_or_default();
    hours.ignore_quiet |= channel.ignores_quiet_hours;
    hours
}

/// Until when a call may begin that all gates let through now: as long as what they saw is fresh enough to act on,
/// and the hours last (E5).
#[must_use]
pub fn begins_until(view: &View<'_>, step: &Step) -> Moment {
    let fresh = view.now + limits::INTENT_LIFE;
    let Some(channel) = view.channel(step) else { return fresh };
    let hours = open_hours(view.scope, channel, &view.queue(step));
    let closes_at = view.calendar().closes_at(view.now, &hours);
    closes_at.map_or(fresh, |closes_at| fresh.min(closes_at - Span(1)))
}

fn target(view: &View<'_>, _step: &Step) -> Verdict {
    let Some(target) = view.target else { return Verdict::Open };
    let kind = view.enrollment.target.as_ref().map_or(TargetKind::Contact, |target| target.kind);
    let exits = view.version.exits;
    match target.terminal.as_ref().map(|fact| fact.terminal) {
        Some(Terminal::Goal) if exits.on_goal => Verdict::Exit(ExitReason::Goal),
        Some(Terminal::Resolved) if exits.on_resolved && kind == TargetKind::Conversation => {
            Verdict::Exit(ExitReason::Resolved)
        }
        Some(Terminal::Lost | Terminal::Cancelled) => Verdict::Exit(ExitReason::TargetCancelled),
        Some(Terminal::Goal | Terminal::Resolved) | None => Verdict::Open,
    }
}

fn lifetime(view: &View<'_>, _step: &Step) -> Verdict {
    outlived(view).map_or(Verdict::Open, Verdict::Exit)
}

/// Why an enrollment has lived too long, if it has: its time is over, or its sequence is archived.
pub(crate) fn outlived(view: &View<'_>) -> Option<ExitReason> {
    let sequence = view.scope.sequences.get(&view.enrollment.sequence);
    if sequence.is_some_and(|sequence| sequence.archived_at.is_some()) {
        Some(ExitReason::Archived)
    } else {
        (view.now >= view.enrollment.expires_at).then_some(ExitReason::Expired)
    }
}

fn channel(view: &View<'_>, step: &Step) -> Verdict {
    match view.channel(step) {
        None => Verdict::Broken(FailReason::NoChannel),
        Some(_) => Verdict::Open,
    }
}

fn suppression(view: &View<'_>, step: &Step) -> Verdict {
    let channel = view.channel(step);
    if !channel.is_some_and(|channel| view.contact.is_suppressed(channel.kind)) {
        Verdict::Open
    } else if can_reach(view) {
        Verdict::Fail(SendFailure::Suppressed)
    } else {
        Verdict::Exit(ExitReason::OptedOut)
    }
}

fn address(view: &View<'_>, step: &Step) -> Verdict {
    let kind = view.channel(step).map(|channel| channel.kind);
    let address = kind.and_then(|kind| view.enrollment.address(view.contact, kind));
    let rests = kind.and_then(|kind| {
        let until = view.contact.unusable_until.get(&kind)?;
        // Who has written since has been reached.
        let wrote = view.contact.inbound.get(&kind).is_some_and(|at| *at + limits::UNUSABLE_FOR > *until);
        Some(until).filter(|_| !wrote)
    });
    match address {
        None => Verdict::Fail(SendFailure::NoAddress),
        Some(_) if rests.is_some_and(|until| view.now < *until) => Verdict::Fail(SendFailure::Unusable),
        Some(_) => Verdict::Open,
    }
}

fn hold(view: &View<'_>, step: &Step) -> Verdict {
    if view.enrollment.quarantine.is_some() {
        return Verdict::Held(HeldBy::Quarantine);
    }
    let Some(channel) = view.channel(step) else { return Verdict::Open };
    let (scope, sequence) = (view.scope, view.enrollment.sequence);
    let step = || scope.held_step(sequence, (view.enrollment.version, view.enrollment.step), view.now);
    let held = scope.held_by(sequence, channel.no, view.now);
    held.or_else(|| step().map(|_| HeldBy::Step)).map_or(Verdict::Open, Verdict::Held)
}

fn pushed_back(view: &View<'_>, step: &Step) -> Verdict {
    let due = due(view, step);
    if due > view.now { Verdict::Until(due) } else { Verdict::Open }
}

/// When a step is of no use any more.
pub(crate) fn useless_at(view: &View<'_>, step: &Step) -> Option<Moment> {
    step.useless_after.map(|span| due(view, step) + span)
}

fn late(view: &View<'_>, step: &Step) -> Verdict {
    match (useless_at(view, step), step.late) {
        (Some(at), Late::Skip) if view.now >= at => Verdict::Skip(SkipReason::Late),
        (Some(at), Late::Exit) if view.now >= at => Verdict::Exit(ExitReason::Late),
        (_, Late::Skip | Late::Exit) => Verdict::Open,
    }
}

fn recipient_gap(view: &View<'_>, step: &Step) -> Verdict {
    let Some(channel) = view.channel(step) else { return Verdict::Open };
    let last = view.contact.last_sent(channel.no);
    let opens = channel.limits.recipient_gap.zip(last).map(|(gap, last)| last + gap);
    opens.map_or(Verdict::Open, |at| view.until(at))
}

/// Calls of a webhook are the tenant's own affair: they do not count, and nothing counts against them.
fn contact_caps(view: &View<'_>, step: &Step) -> Verdict {
    let counts = |no| view.scope.channels.get(&no).is_none_or(|channel| channel.kind != Kind::Webhook);
    if !view.channel(step).is_some_and(|channel| counts(channel.no)) {
        return Verdict::Open;
    }
    let tenant = &view.scope.tenant;
    let caps = [(tenant.contact_per_day, Span::days(1)), (tenant.contact_per_week, Span::days(7))];
    let room = caps.into_iter().filter_map(|(cap, span)| Some(view.contact.room_at(cap?, span, counts)));
    room.max().map_or(Verdict::Open, |at| view.until(at))
}

/// The open hours of the step's channel, in the contact's zone.
#[must_use]
pub fn hours(view: &View<'_>, step: &Step) -> Verdict {
    let Some(channel) = view.channel(step) else { return Verdict::Open };
    let hours = open_hours(view.scope, channel, &view.queue(step));
    let calendar = view.calendar();
    match calendar.next_open(view.now, &hours) {
        Some(open) if open <= view.now => Verdict::Open,
        Some(open) => Verdict::Until(open),
        // Hours that never open are refused when they are put; holidays can still fill a year.
        None => Verdict::Until(view.enrollment.expires_at),
    }
}

#[cfg(test)]
mod tests;
