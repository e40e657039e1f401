//! Funnels as messages.

use std::collections::BTreeMap;

use followupd_domain::enrollment::SendStatus;
use followupd_domain::funnel::{Metric, Standing};
use followupd_runtime::Funnel;

use followupd_proto::v1;

/// One version's funnel.
pub(super) fn show(funnel: &Funnel) -> v1::Funnel {
    let mut shown = v1::Funnel { version: funnel.version.0, ..Default::default() };
    let mut steps: BTreeMap<u16, v1::StepFunnel> = BTreeMap::new();
    for (metric, count) in &funnel.counts {
        // Never below zero (E9); beyond 4 billion a funnel stays there.
        let count = u32::try_from((*count).max(0)).unwrap_or(u32::MAX);
        match metric {
            Metric::Enrolled => shown.enrolled = count,
            Metric::Standing(Standing::Active) => shown.active = count,
            Metric::Standing(Standing::Paused) => shown.paused = count,
            Metric::Standing(Standing::Completed) => shown.completed = count,
            Metric::Standing(Standing::Exited(reason)) => {
                shown.exited.push(reason_count(reason.word(), count))
            }
            Metric::Standing(Standing::Failed(reason)) => {
                shown.failed.push(reason_count(reason.word(), count))
            }
            Metric::Sends(step, status) => {
                let fresh = || v1::StepFunnel { step: u32::from(step.0), ..Default::default() };
                add(steps.entry(step.0).or_insert_with(fresh), *status, count);
            }
        }
    }
    shown.steps = steps.into_values().collect();
    shown
}

fn add(step: &mut v1::StepFunnel, status: SendStatus, count: u32) {
    step.entered += count;
    match status {
        SendStatus::Pending => step.pending += count,
        SendStatus::Uncertain => step.uncertain += count,
        SendStatus::Sent => step.sent += count,
        SendStatus::Delivered => step.delivered += count,
        SendStatus::Read => step.read += count,
        SendStatus::Replied => step.replied += count,
        SendStatus::Skipped(reason) => step.skipped.push(reason_count(reason.word(), count)),
        SendStatus::Failed(failure) => step.failed.push(reason_count(failure.word(), count)),
    }
    if matches!(status, SendStatus::Sent | SendStatus::Delivered | SendStatus::Read | SendStatus::Replied) {
        step.accepted += count;
    }
}

fn reason_count(reason: &str, count: u32) -> v1::ReasonCount {
    v1::ReasonCount { reason: reason.to_owned(), count, ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use followupd_domain::enrollment::{ExitReason, SendFailure};
    use followupd_domain::{StepNo, VersionNo};

    #[test]
    fn a_send_counts_once_and_what_was_accepted_adds_up() {
        let counts = vec![
            (Metric::Enrolled, 9),
            (Metric::Standing(Standing::Completed), 6),
            (Metric::Standing(Standing::Exited(ExitReason::Replied)), 3),
            (Metric::Sends(StepNo(0), SendStatus::Sent), 5),
            (Metric::Sends(StepNo(0), SendStatus::Replied), 3),
            (Metric::Sends(StepNo(0), SendStatus::Failed(SendFailure::NoAddress)), 1),
        ];
        let shown = show(&Funnel { version: VersionNo(2), counts });
        assert_eq!((shown.version, shown.enrolled, shown.completed), (2, 9, 6));
        assert_eq!(shown.exited[0].reason, "replied");
        let step = &shown.steps[0];
        assert_eq!((step.entered, step.sent, step.replied, step.accepted), (9, 5, 3, 8));
        assert_eq!(step.failed[0].reason, "no_address");
    }
}
