//! Funnels: counts of enrollments by where they stand, and of sends by step and status.
//!
//! What an enrollment counts for is a function of its state ([`contribution`]); a transition moves the counters by
//! the difference. So the counters equal the fold of the history (E9) by construction.

use std::collections::BTreeMap;

use crate::enrollment::{Enrollment, ExitReason, FailReason, SendFailure, SendStatus, SkipReason, State};
use crate::ids::StepNo;

/// One number of a funnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Enrollments that began.
    Enrolled,
    /// Enrollments that stand so.
    Standing(Standing),
    /// Sends of a step that got so far.
    Sends(StepNo, SendStatus),
}

impl PartialOrd for SendStatus {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SendStatus {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.code().cmp(&other.code())
    }
}

impl std::hash::Hash for SendStatus {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.code().hash(state);
    }
}

/// Where an enrollment stands, as a funnel counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// On its way.
    Active,
    /// Paused by itself.
    Paused,
    /// All steps settled.
    Completed,
    /// Left early.
    Exited(ExitReason),
    /// Could not go on.
    Failed(FailReason),
}

impl From<State> for Standing {
    fn from(state: State) -> Self {
        match state {
            State::Active => Standing::Active,
            State::Paused { .. } => Standing::Paused,
            State::Completed => Standing::Completed,
            State::Exited(reason) => Standing::Exited(reason),
            State::Failed(reason) => Standing::Failed(reason),
        }
    }
}

/// The step number under which enrollments as such are counted; above every step there can be.
const ENROLLMENTS: u16 = u16::MAX;

impl SendStatus {
    fn code(self) -> (u8, u8) {
        match self {
            SendStatus::Pending => (0, 0),
            SendStatus::Uncertain => (1, 0),
            SendStatus::Sent => (2, 0),
            SendStatus::Delivered => (3, 0),
            SendStatus::Read => (4, 0),
            SendStatus::Replied => (5, 0),
            SendStatus::Skipped(SkipReason::Late) => (6, 0),
            SendStatus::Skipped(SkipReason::NotDelivered) => (6, 1),
            SendStatus::Failed(failure) => (7, place(&SendFailure::ALL, failure)),
        }
    }

    fn from_code(code: u8, reason: u8) -> Option<SendStatus> {
        Some(match (code, reason) {
            (0, 0) => SendStatus::Pending,
            (1, 0) => SendStatus::Uncertain,
            (2, 0) => SendStatus::Sent,
            (3, 0) => SendStatus::Delivered,
            (4, 0) => SendStatus::Read,
            (5, 0) => SendStatus::Replied,
            (6, 0) => SendStatus::Skipped(SkipReason::Late),
            (6, 1) => SendStatus::Skipped(SkipReason::NotDelivered),
            (7, reason) => SendStatus::Failed(*SendFailure::ALL.get(usize::from(reason))?),
            _ => return None,
        })
    }
}

fn place<T: PartialEq>(all: &[T], one: T) -> u8 {
    all.iter().position(|known| *known == one).and_then(|place| u8::try_from(place).ok()).unwrap_or(u8::MAX)
}

impl Metric {
    /// Length in bytes, as stored.
    pub const LEN: usize = 4;

    /// The bytes that stand in a counter's key.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let (step, (code, reason)) = match self {
            Metric::Enrolled => (ENROLLMENTS, (0, 0)),
            Metric::Standing(Standing::Active) => (ENROLLMENTS, (1, 0)),
            Metric::Standing(Standing::Paused) => (ENROLLMENTS, (2, 0)),
            Metric::Standing(Standing::Completed) => (ENROLLMENTS, (3, 0)),
            Metric::Standing(Standing::Exited(reason)) => (ENROLLMENTS, (4, place(&ExitReason::ALL, reason))),
            Metric::Standing(Standing::Failed(FailReason::NoChannel)) => (ENROLLMENTS, (5, 0)),
            Metric::Sends(step, status) => (step.0, status.code()),
        };
        let [high, low] = step.to_be_bytes();
        [high, low, code, reason]
    }

    /// The metric of these bytes, if there is one.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::LEN]) -> Option<Metric> {
        let [high, low, code, reason] = bytes;
        let step = u16::from_be_bytes([high, low]);
        if step != ENROLLMENTS {
            return SendStatus::from_code(code, reason).map(|status| Metric::Sends(StepNo(step), status));
        }
        Some(match (code, reason) {
            (0, 0) => Metric::Enrolled,
            (1, 0) => Metric::Standing(Standing::Active),
            (2, 0) => Metric::Standing(Standing::Paused),
            (3, 0) => Metric::Standing(Standing::Completed),
            (4, reason) => Metric::Standing(Standing::Exited(*ExitReason::ALL.get(usize::from(reason))?)),
            (5, 0) => Metric::Standing(Standing::Failed(FailReason::NoChannel)),
            _ => return None,
        })
    }
}

/// What an enrollment in this state counts for.
pub fn contribution(state: &Enrollment) -> impl Iterator<Item = Metric> + '_ {
    // Of a step that was planned again its last send counts.
    let is_last = |place: usize, step| state.sends.iter().skip(place + 1).all(|later| later.step != step);
    let sends = state.sends.iter().enumerate().filter(move |(place, send)| is_last(*place, send.step));
    let sends = sends.map(|(_, send)| Metric::Sends(send.step, send.status));
    [Metric::Enrolled, Metric::Standing(state.state.into())].into_iter().chain(sends)
}

/// How the counters move when an enrollment goes from one state to another; a new one comes from none.
#[must_use]
pub fn difference(before: Option<&Enrollment>, after: &Enrollment) -> BTreeMap<Metric, i64> {
    let mut moved = BTreeMap::new();
    for metric in contribution(after) {
        *moved.entry(metric).or_insert(0) += 1;
    }
    for metric in before.into_iter().flat_map(contribution) {
        *moved.entry(metric).or_insert(0) -= 1;
    }
    moved.retain(|_, by| *by != 0);
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_survive_their_bytes() {
        let mut all = vec![Metric::Enrolled];
        let standings = [
            Standing::Active,
            Standing::Paused,
            Standing::Completed,
            Standing::Failed(FailReason::NoChannel),
        ];
        all.extend(standings.map(Metric::Standing));
        all.extend(ExitReason::ALL.map(|reason| Metric::Standing(Standing::Exited(reason))));
        all.extend(SendFailure::ALL.map(|failure| Metric::Sends(StepNo(3), SendStatus::Failed(failure))));
        let statuses = [SendStatus::Pending, SendStatus::Uncertain, SendStatus::Sent, SendStatus::Delivered];
        all.extend(statuses.map(|status| Metric::Sends(StepNo(0), status)));
        for metric in &all {
            assert_eq!(Metric::from_bytes(metric.to_bytes()), Some(*metric));
        }
        let bytes: std::collections::BTreeSet<_> = all.iter().map(|metric| metric.to_bytes()).collect();
        assert_eq!(bytes.len(), all.len(), "every metric has bytes of its own");
    }
}
