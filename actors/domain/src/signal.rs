//! Signals of how a sender fares with the people it writes to, and the kill switches that hold it on them.
//!
//! Each send counts in the hour it was sent, and what becomes of it later counts in that hour too: so a share is always
//! of the same messages, and those too young to have been answered are left out of it.

mod row;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::channel::Kind;
use crate::enrollment::{Enrollment, Send, SendFailure, SendStatus, SkipReason};
use crate::ids::ChannelNo;
use crate::limits;
use crate::scope::Scope;
use crate::time::{Moment, Span};

pub use row::{Row, Run};

/// What is counted of a channel's sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Signal {
    /// Sends that a provider took, or refused.
    Sent,
    /// Those it refused.
    Failed,
    /// Those that arrived.
    Delivered,
    /// Those that were answered.
    Replied,
    /// Those after which the contact opted out.
    OptedOut,
    /// Those that failed since the last that did not: a [`Row`] knows, and no hour counts it.
    FailedInARow,
    /// Those whose end nobody knows, no call of theirs being under way.
    Uncertain,
}

impl Signal {
    /// All that are counted by the hour; the number of each is the byte in a counter's key.
    pub const ALL: [Signal; 6] = [
        Signal::Sent,
        Signal::Failed,
        Signal::Delivered,
        Signal::Replied,
        Signal::OptedOut,
        Signal::Uncertain,
    ];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Signal::Sent => "sent",
            Signal::Failed => "failed",
            Signal::Delivered => "delivered",
            Signal::Replied => "replied",
            Signal::OptedOut => "opted_out",
            Signal::FailedInARow => "failed_in_a_row",
            Signal::Uncertain => "uncertain",
        }
    }

    /// How long it takes until most of it is known: younger sends are left out of its share.
    fn settles(self) -> Span {
        match self {
            Signal::Sent | Signal::Failed | Signal::OptedOut | Signal::FailedInARow | Signal::Uncertain => {
                Span::ZERO
            }
            Signal::Delivered => limits::DELIVERED_WITHIN,
            Signal::Replied => limits::REPLIED_WITHIN,
        }
    }
}

/// An hour of UTC, counted from 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Hour(pub u32);

impl Hour {
    /// The one a moment lies in.
    #[must_use]
    pub fn of(at: Moment) -> Hour {
        Hour(u32::try_from(at.0.div_euclid(Span::hours(1).0)).unwrap_or_default())
    }

    /// When it begins.
    #[must_use]
    pub fn begin(self) -> Moment {
        Moment(i64::from(self.0) * Span::hours(1).0)
    }

    /// When it is over.
    #[must_use]
    pub fn end(self) -> Moment {
        Moment((i64::from(self.0) + 1) * Span::hours(1).0)
    }
}

/// A count that a transition moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counted {
    /// Of which channel.
    pub channel: ChannelNo,
    /// In which hour.
    pub hour: Hour,
    /// What.
    pub signal: Signal,
    /// How many more, or fewer.
    pub by: i64,
    /// When the send was sent.
    pub sent_at: Moment,
}

/// What a transition from `before` to `after` counts as: what its sends show after it, less what they showed before.
///
/// That a contact opted out counts with what says so (see [`opted_out_after`]), whatever becomes of their enrollments.
#[must_use]
pub fn counted(before: &Enrollment, after: &Enrollment) -> Vec<Counted> {
    let mut counted = Vec::new();
    for (place, is) in after.sends.iter().enumerate() {
        let was = before.sends.get(place).filter(|was| was.step == is.step);
        let moved = [Signal::Sent, Signal::Failed, Signal::Delivered, Signal::Replied, Signal::Uncertain];
        for signal in moved {
            let shown = was.is_some_and(|_| counts(before, place, signal));
            let shows = counts(after, place, signal);
            // What counts no more is taken from the hour it counted in.
            let send = was.filter(|_| shown).unwrap_or(is);
            let sent_at = send.sent_at.unwrap_or(send.at);
            if shown != shows {
                let by = i64::from(shows) - i64::from(shown);
                counted.push(Counted { channel: send.channel, hour: Hour::of(sent_at), signal, by, sent_at });
            }
        }
    }
    counted
}

/// Whether a send counts as that. One whose call is under way is not uncertain. One that was refused for what passes,
/// and made way for the next one of its step, counts as nothing: that one does. Where that one comes to nothing that
/// counts (it is too late, its contact wants no more), nothing else has become of the step.
fn counts(enrollment: &Enrollment, place: usize, signal: Signal) -> bool {
    let send = enrollment.sends[place];
    let mut next = enrollment.sends[place + 1..].iter().filter(|next| next.step == send.step);
    let under_way = enrollment.open.is_some_and(|open| open.send.step == send.step);
    let made_way = shows(send.status, Signal::Failed) && next.any(|next| !counts_for_nothing(next.status));
    shows(send.status, signal) && !made_way && !(under_way && signal == Signal::Uncertain)
}

fn counts_for_nothing(status: SendStatus) -> bool {
    match status {
        SendStatus::Failed(failure) => !is_providers(failure),
        SendStatus::Skipped(reason) => reason != SkipReason::NotDelivered,
        SendStatus::Pending
        | SendStatus::Uncertain
        | SendStatus::Sent
        | SendStatus::Delivered
        | SendStatus::Read
        | SendStatus::Replied => false,
    }
}

fn is_failed(send: &Send) -> bool {
    matches!(send.status, SendStatus::Failed(_))
}

/// What it counts as that a contact opted out by these kinds of channel at a moment: of the messages in `enrollments`
/// that reached them by then, the last; once, however many enrollments there are, and whether or not they are over.
#[must_use]
pub fn opted_out_after<'a>(
    enrollments: impl IntoIterator<Item = &'a Enrollment>,
    scope: &Scope,
    kinds: &BTreeSet<Kind>,
    at: Moment,
) -> Option<Counted> {
    let is_about = |send: &Send| {
        let kind = scope.channels.get(&send.channel).map(|channel| channel.kind);
        kind.is_some_and(|kind| kinds.contains(&kind)) && shows(send.status, Signal::Sent) && !is_failed(send)
    };
    let sends =
        enrollments.into_iter().flat_map(|enrollment| &enrollment.sends).filter(|send| is_about(send));
    let sent = sends.filter_map(|send| Some((send.sent_at.filter(|sent_at| *sent_at <= at)?, send.channel)));
    let (sent_at, channel) = sent.max()?;
    Some(Counted { channel, hour: Hour::of(sent_at), signal: Signal::OptedOut, by: 1, sent_at })
}

/// Whether a send of this status counts as that.
fn shows(status: SendStatus, signal: Signal) -> bool {
    let refused = match status {
        SendStatus::Failed(failure) => is_providers(failure),
        SendStatus::Pending
        | SendStatus::Uncertain
        | SendStatus::Sent
        | SendStatus::Delivered
        | SendStatus::Read
        | SendStatus::Replied
        | SendStatus::Skipped(_) => false,
    };
    let arrived = matches!(status, SendStatus::Delivered | SendStatus::Read | SendStatus::Replied);
    match signal {
        Signal::Sent => refused || arrived || status == SendStatus::Sent,
        Signal::Failed => refused,
        Signal::Delivered => arrived,
        Signal::Replied => status == SendStatus::Replied,
        Signal::Uncertain => status == SendStatus::Uncertain,
        Signal::OptedOut | Signal::FailedInARow => false,
    }
}

/// Whether a send failed at its provider, and not before.
fn is_providers(failure: SendFailure) -> bool {
    match failure {
        SendFailure::Refused
        | SendFailure::Attempts
        | SendFailure::BadAddress
        | SendFailure::NeedsTemplate
        | SendFailure::Unusable => true,
        SendFailure::NoAddress
        | SendFailure::Suppressed
        | SendFailure::MissingVariable
        | SendFailure::Render => false,
    }
}

/// Holds a channel when a share of its latest sends is too high, or too low; or when too many in a row have failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillSwitch {
    /// The share of what: of failed and opted out at most, of delivered and replied at least; or those in a row.
    pub signal: Signal,
    /// How much of the sends, in percent; 0 of those in a row.
    pub percent: u8,
    /// From so many sends on: of fewer a share says nothing. Of those in a row, so many.
    pub after: u32,
    /// Whether it only says so, and holds nothing.
    pub report_only: bool,
}

impl KillSwitch {
    /// What can be a switch, with its word.
    pub const SIGNALS: [Signal; 5] =
        [Signal::Failed, Signal::OptedOut, Signal::Delivered, Signal::Replied, Signal::FailedInARow];

    /// Whether it holds when there is less of its signal, and not more.
    #[must_use]
    pub fn is_floor(&self) -> bool {
        matches!(self.signal, Signal::Delivered | Signal::Replied)
    }

    /// Whether it looks at those that failed in a row.
    #[must_use]
    pub fn is_of_a_row(&self) -> bool {
        self.signal == Signal::FailedInARow
    }

    /// Why it holds at `now`, in words, where so many failed in a row; nothing while all is well, or too little is known.
    #[must_use]
    pub fn trips(&self, counts: &Counts, in_a_row: u32, now: Moment) -> Option<String> {
        if self.is_of_a_row() {
            let trips = in_a_row >= self.after;
            return trips.then(|| format!("{in_a_row} sends failed in a row: {} are too many", self.after));
        }
        let (sent, of_them) = counts.share(self.signal, now);
        let limit = sent * u64::from(self.percent);
        let over = if self.is_floor() { of_them * 100 < limit } else { of_them * 100 > limit };
        if sent < u64::from(self.after.max(1)) || !over {
            return None;
        }
        let (word, than) = (self.signal.word(), if self.is_floor() { "at least" } else { "at most" });
        Some(format!("{of_them} of {sent} sends {word}: it should be {than} {} %", self.percent))
    }
}

/// What a channel's counters say: hours, in any order, each with how many of what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts(pub Vec<(Hour, Signal, i64)>);

impl Counts {
    /// Without what was counted before; but what is uncertain is so until it is settled, whoever has seen it.
    #[must_use]
    pub fn without(mut self, before: &Counts) -> Counts {
        let before = before.0.iter().filter(|(_, signal, _)| *signal != Signal::Uncertain);
        self.0.extend(before.map(|(hour, signal, count)| (*hour, *signal, -count)));
        self
    }

    /// How many of the week show a signal.
    #[must_use]
    pub fn of(&self, signal: Signal, now: Moment) -> u64 {
        self.sum(signal, |hour| hour.end() + limits::SIGNALS_OF >= now)
    }

    fn sum(&self, wanted: Signal, counts: impl Fn(Hour) -> bool) -> u64 {
        let counted = self.0.iter().filter(|(hour, signal, _)| *signal == wanted && counts(*hour));
        // One that was uncertain before that was counted takes nothing away from those of other hours.
        let least = if wanted == Signal::Uncertain { 0 } else { i64::MIN };
        u64::try_from(counted.map(|(_, _, count)| *count.max(&least)).sum::<i64>()).unwrap_or_default()
    }

    /// How many were sent, and how many of these show a signal, of sends old enough to be known of and not older than
    /// [`limits::SIGNALS_OF`].
    #[must_use]
    pub fn share(&self, signal: Signal, now: Moment) -> (u64, u64) {
        let old_enough = |hour: Hour| signal.settles() == Span::ZERO || hour.end() + signal.settles() <= now;
        let of = |wanted| self.sum(wanted, |hour| hour.end() + limits::SIGNALS_OF >= now && old_enough(hour));
        (of(Signal::Sent), of(signal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment(1_795_435_200_000);

    fn counts(hours_ago: u32, of: &[(Signal, i64)]) -> Counts {
        let hour = Hour(Hour::of(NOW).0 - hours_ago);
        Counts(of.iter().map(|(signal, count)| (hour, *signal, *count)).collect())
    }

    fn switch(signal: Signal, percent: u8) -> KillSwitch {
        KillSwitch { signal, percent, after: 50, report_only: false }
    }

    #[test]
    fn a_switch_trips_on_a_share_of_enough_sends() {
        let failed = switch(Signal::Failed, 20);
        let of = |sent, bad| counts(0, &[(Signal::Sent, sent), (Signal::Failed, bad)]);
        for (sent, bad, trips) in [(49, 49, false), (50, 10, false), (50, 11, true), (1_000, 201, true)] {
            assert_eq!(failed.trips(&of(sent, bad), 0, NOW).is_some(), trips, "{bad} of {sent}");
        }
        let says = failed.trips(&of(50, 11), 0, NOW).unwrap();
        assert_eq!(says, "11 of 50 sends failed: it should be at most 20 %");
    }

    #[test]
    fn what_is_uncertain_is_so_whoever_has_seen_it_and_whatever_was_settled_of_other_hours() {
        let mut now = counts(0, &[(Signal::Uncertain, 2), (Signal::Sent, 7)]);
        let seen = now.clone();
        now.0.extend(counts(5, &[(Signal::Uncertain, -3)]).0);
        let of = now.without(&seen);
        assert_eq!((of.of(Signal::Uncertain, NOW), of.of(Signal::Sent, NOW)), (2, 0));
    }

    #[test]
    fn a_switch_of_a_row_trips_on_its_length_alone() {
        let switch = KillSwitch { signal: Signal::FailedInARow, percent: 0, after: 5, report_only: false };
        let all_failed = counts(0, &[(Signal::Sent, 50), (Signal::Failed, 50)]);
        assert_eq!(switch.trips(&all_failed, 4, NOW), None);
        let says = switch.trips(&Counts::default(), 6, NOW).unwrap();
        assert_eq!(says, "6 sends failed in a row: 5 are too many");
    }

    #[test]
    fn what_nobody_could_have_answered_yet_and_what_is_long_ago_counts_for_nothing() {
        let replied = switch(Signal::Replied, 10);
        let silent = |hours_ago| counts(hours_ago, &[(Signal::Sent, 50), (Signal::Replied, 4)]);
        let settles = u32::try_from(limits::REPLIED_WITHIN.0 / Span::hours(1).0).unwrap();
        assert_eq!(replied.trips(&silent(settles - 1), 0, NOW), None, "too young");
        let says = replied.trips(&silent(settles + 1), 0, NOW).unwrap();
        assert_eq!(says, "4 of 50 sends replied: it should be at least 10 %");
        let window = u32::try_from(limits::SIGNALS_OF.0 / Span::hours(1).0).unwrap();
        assert_eq!(replied.trips(&silent(window + 2), 0, NOW), None, "long ago");
    }
}
