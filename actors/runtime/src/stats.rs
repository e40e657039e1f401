//! What the tree has done so far: counted as it happens, read at any time for metrics. Nothing here is decided by,
//! and no name of a tenant, channel or contact stands in it, so that its size is fixed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use followupd_domain::Span;
use followupd_domain::channel::Kind;
use followupd_domain::decide::outcome::Outcome;
use followupd_domain::reaction::{Reaction, Scope};

use crate::api::EnrollAnswer;

/// What can come of a call, in the order of [`Sends::by_outcome`].
pub const OUTCOMES: [&str; 6] = ["accepted", "refused", "rejected", "not_begun", "uncertain", "backed_off"];

/// What can become of a wish to enroll, in the order of [`Stats::enrolls`].
pub const ENROLLS: [&str; 3] = ["enrolled", "already_enrolled", "refused"];

/// Upper ends of the buckets of lateness, in milliseconds; what is later has a bucket of its own.
pub const LATENESS_MS: [u64; 12] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 15_000, 60_000, 300_000, 3_600_000, 86_400_000];

/// What came of the calls of one kind of channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sends {
    /// The kind.
    pub kind: Kind,
    /// Calls, in the order of [`OUTCOMES`].
    pub by_outcome: [u64; OUTCOMES.len()],
}

/// What the tree has done since it was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Wishes to enroll, in the order of [`ENROLLS`].
    pub enrolls: [u64; ENROLLS.len()],
    /// Calls, in the order of [`Kind::ALL`].
    pub sends: [Sends; Kind::ALL.len()],
    /// Wakes pulled by how late they were, each bucket for itself; the last holds what is later than all ends.
    pub lateness: [u64; LATENESS_MS.len() + 1],
    /// The sum of these, in milliseconds.
    pub lateness_ms_sum: u64,
    /// Enrollments that became an actor.
    pub activations: u64,
    /// Enrollments that are one.
    pub live_enrollments: u64,
    /// Lanes that are one.
    pub live_lanes: u64,
}

/// The counters behind [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    enrolls: [AtomicU64; ENROLLS.len()],
    sends: [[AtomicU64; OUTCOMES.len()]; Kind::ALL.len()],
    lateness: [AtomicU64; LATENESS_MS.len() + 1],
    lateness_ms_sum: AtomicU64,
    activations: AtomicU64,
    live_enrollments: Arc<AtomicU64>,
    live_lanes: Arc<AtomicU64>,
}

/// Something that lives: it counts until this is dropped.
#[derive(Debug)]
pub(crate) struct Living(Arc<AtomicU64>);

impl Living {
    fn of(count: &Arc<AtomicU64>) -> Living {
        count.fetch_add(1, Relaxed);
        Living(Arc::clone(count))
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Counters {
    /// Wishes to enroll were answered.
    pub(crate) fn enrolled(&self, answers: &[EnrollAnswer]) {
        for answer in answers {
            let place = match answer {
                EnrollAnswer::Enrolled { .. } => 0,
                EnrollAnswer::AlreadyEnrolled { .. } => 1,
                EnrollAnswer::Refused { .. } => 2,
            };
            self.enrolls[place].fetch_add(1, Relaxed);
        }
    }

    /// A call has ended.
    pub(crate) fn sent(&self, kind: Kind, outcome: &Outcome) {
        let place = match outcome {
            Outcome::Accepted { .. } => 0,
            Outcome::Refused { reaction, .. } => match reaction {
                Reaction::Again { .. } | Reaction::Later { .. } => 1,
                Reaction::BackOff { scope: Scope::Contact, .. } => 1,
                Reaction::Never { .. }
                | Reaction::Skip
                | Reaction::NeedsTemplate
                | Reaction::Unusable
                | Reaction::OptOut => 2,
                Reaction::BackOff { .. }
                | Reaction::Slow { .. }
                | Reaction::Hold { .. }
                | Reaction::Stop { .. } => 5,
            },
            Outcome::NotBegun => 3,
            Outcome::Uncertain => 4,
        };
        let row = Kind::ALL.iter().position(|known| *known == kind).unwrap_or_default();
        self.sends[row][place].fetch_add(1, Relaxed);
    }

    /// A wake was pulled so late.
    pub(crate) fn pulled(&self, lateness: Span) {
        let ms = u64::try_from(lateness.0).unwrap_or_default();
        let bucket = LATENESS_MS.partition_point(|end| *end < ms);
        self.lateness[bucket].fetch_add(1, Relaxed);
        self.lateness_ms_sum.fetch_add(ms, Relaxed);
    }

    /// An enrollment became an actor.
    pub(crate) fn activated(&self) -> Living {
        self.activations.fetch_add(1, Relaxed);
        Living::of(&self.live_enrollments)
    }

    /// A lane became an actor.
    pub(crate) fn lane(&self) -> Living {
        Living::of(&self.live_lanes)
    }

    /// What they say now.
    pub(crate) fn read(&self) -> Stats {
        let mut sends = Kind::ALL.map(|kind| Sends { kind, by_outcome: [0; OUTCOMES.len()] });
        for (row, counters) in sends.iter_mut().zip(&self.sends) {
            row.by_outcome = counters.each_ref().map(|count| count.load(Relaxed));
        }
        Stats {
            enrolls: self.enrolls.each_ref().map(|count| count.load(Relaxed)),
            sends,
            lateness: self.lateness.each_ref().map(|count| count.load(Relaxed)),
            lateness_ms_sum: self.lateness_ms_sum.load(Relaxed),
            activations: self.activations.load(Relaxed),
            live_enrollments: self.live_enrollments.load(Relaxed),
            live_lanes: self.live_lanes.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_is_no_later_than_its_end() {
        let counters = Counters::default();
        for lateness in [-5, 50, 51, 86_400_001] {
            counters.pulled(Span(lateness));
        }
        let stats = counters.read();
        assert_eq!((stats.lateness[0], stats.lateness[1]), (2, 1));
        assert_eq!(stats.lateness.last(), Some(&1));
        assert_eq!(stats.lateness_ms_sum, 50 + 51 + 86_400_001);
    }

    #[test]
    fn what_lives_counts_until_it_is_gone() {
        let counters = Counters::default();
        let (one, other) = (counters.activated(), counters.activated());
        drop(one);
        let stats = counters.read();
        assert_eq!((stats.activations, stats.live_enrollments, stats.live_lanes), (2, 1, 0));
        drop(other);
        assert_eq!(counters.read().live_enrollments, 0);
    }

    #[test]
    fn each_outcome_has_its_word() {
        let counters = Counters::default();
        counters.sent(Kind::Email, &Outcome::Uncertain);
        let stats = counters.read();
        let email = stats.sends.iter().find(|sends| sends.kind == Kind::Email).unwrap();
        let uncertain = OUTCOMES.iter().position(|word| *word == "uncertain").unwrap();
        assert_eq!(email.by_outcome[uncertain], 1);
    }
}
