//! What waits in a lane, as messages.

use buffa::MessageField;
use followupd_runtime::{Backlog, BacklogGroup, Waits, WaitsFor};

use crate::rpc::show;
use followupd_proto::v1;

/// What waits in a lane.
pub(super) fn backlog(found: Backlog) -> v1::Backlog {
    let (limit, every) = found.pace.unzip();
    v1::Backlog {
        due: count(found.due),
        due_24h: count(found.due_24h),
        later: count(found.later),
        about: found.about,
        more: found.more,
        groups: found.groups.into_iter().map(group).collect(),
        per_second: every.map(per_second).unwrap_or_default(),
        limit: limit.map(|limit| limit.to_string()).unwrap_or_default(),
        pace_percent: found.share / 10,
        waits_for: found.waits.into_iter().map(waits).collect(),
        empty_at: found.empty_at.map_or_else(MessageField::none, show::moment),
        ..Default::default()
    }
}

/// How many leave in a second when one does every so many microseconds; to a hundredth, one a day is more than none.
fn per_second(every: u64) -> f64 {
    let exact = 1_000_000.0 / every.max(1) as f64;
    if exact < 1.0 { exact } else { (exact * 100.0).round() / 100.0 }
}

fn count(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn group(group: BacklogGroup) -> v1::BacklogGroup {
    v1::BacklogGroup {
        sequence: group.sequence.map(|name| name.to_string()).unwrap_or_default(),
        class: group.class.word().to_owned(),
        due: count(group.due),
        due_24h: count(group.due_24h),
        later: count(group.later),
        waits_for: group.waits.map_or_else(MessageField::none, |found| waits(found).into()),
        ..Default::default()
    }
}

fn waits(Waits { on, until }: Waits) -> v1::WaitsFor {
    let (gate, text) = match on {
        WaitsFor::AllSending => ("all_sending", "all sending is stopped: followupd resume-sending --all"),
        WaitsFor::Tenant => ("tenant", "the tenant is held or off: release it, or switch it on"),
        WaitsFor::Account => (
            "account",
            "the account of the channel is held: release it, or wait until its provider lets it go on",
        ),
        WaitsFor::Channel => ("channel", "the channel is held: release it"),
        WaitsFor::Provider => (
            "provider",
            "what its provider says, or a kill switch, holds the channel: it goes on at the end that `holds` shows, or when it is released",
        ),
        WaitsFor::Host => (
            "host",
            "the server it calls does not answer and is tried again by itself, or a secret of the channel is missing: \
             the log says which",
        ),
        WaitsFor::Sequence => ("sequence", "the sequence is held: release it"),
        WaitsFor::Step => {
            ("step", "providers refuse what their step says: publish it anew, or release the sequence")
        }
        WaitsFor::Quarantine => ("quarantine", "they kept failing and are quarantined: release them"),
        WaitsFor::Hours => ("hours", "their hours are closed"),
        WaitsFor::Limit(limit) => {
            let until = until.map_or_else(MessageField::none, show::moment);
            let text = format!("its limit {limit} is used up");
            return v1::WaitsFor { gate: limit.to_string(), text, until, ..Default::default() };
        }
    };
    let until = until.map_or_else(MessageField::none, show::moment);
    v1::WaitsFor { gate: gate.to_owned(), text: text.to_owned(), until, ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use followupd_domain::Moment;
    use followupd_domain::ledger::LimitName;

    #[test]
    fn a_pace_is_told_by_the_second_and_a_slow_one_is_not_none() {
        assert_eq!(per_second(12_500), 80.0);
        assert_eq!(per_second(333_334), 3.0);
        assert!(per_second(86_400_000_000) > 0.0);
    }

    #[test]
    fn what_ends_by_itself_says_when() {
        let until = Some(Moment(1_795_435_200_000));
        let shown = waits(Waits { on: WaitsFor::Limit(LimitName::PerDay), until });
        assert!(shown.gate == "per_day" && shown.until.as_option().is_some());
        assert_eq!(shown.text, "its limit per_day is used up");
        assert!(waits(Waits { on: WaitsFor::Sequence, until: None }).until.as_option().is_none());
    }
}
