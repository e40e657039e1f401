//! What the clock said last, written down while the process runs and compared at the next start: sends that a wrong
//! clock would let go out, or that a long sleep has piled up, wait for a person.
//!
//! Engine time goes on from what was kept of it, and from the limits' own rows where these are later.

use std::sync::{Arc, Weak};

use chrono::{DateTime, SecondsFormat};
use followupd_domain::{Moment, Span, TenantNo};
use followupd_store::codec::Format;
use followupd_store::keys::SYSTEM;
use followupd_store::{Class, Commit, Key};

use crate::api::{Caller, Error};
use crate::node::Node;
use crate::{limits, old, record, settings, stop};

/// Who stops sending where the clock at a start is not to be believed.
const WHO: &str = "the start";

/// Writes down what the clock says.
pub(crate) async fn keep(node: &Node) -> Result<(), Error> {
    // The row takes no room of its own, so it may be written as long as anything is.
    let mut commit = Commit::new(Class::Outcome, TenantNo(0), SYSTEM);
    let kept = node.clock.to_keep(&*node.env);
    record::put(&mut commit, Key::clock(), Format::Clock2, &kept)?;
    settings::submit(node, commit).await?;
    node.clock.has_kept(kept);
    Ok(())
}

/// Writes it down whenever the clock has jumped, for as long as the node lives.
pub(crate) async fn keep_jumps(node: Weak<Node>) {
    loop {
        let Some(clock) = node.upgrade().map(|node| Arc::clone(&node.clock)) else { return };
        clock.moved().await;
        let Some(node) = node.upgrade() else { return };
        if let Err(error) = keep(&node).await {
            tracing::warn!(%error, "a jump of the clock is not written down yet");
            tokio::time::sleep(limits::KEEP_AGAIN).await;
        }
    }
}

/// Goes on with engine time from what was kept of it, and stops all sending where the clock is before what it said last,
/// or far ahead of it.
pub(crate) async fn go_on(node: &Node) -> Result<(), Error> {
    let Some(row) = node.store.get(vec![Key::clock()]).await?.pop().flatten() else { return Ok(()) };
    let kept = old::clock(&row.body)?;
    node.clock.goes_on_from(kept, &*node.env);
    match reason(kept.wall, node.now()) {
        None => Ok(()),
        Some(reason) => {
            let caller = Caller { by: WHO.to_owned(), ..Caller::default() };
            stop::stop(node, &caller, &reason).await
        }
    }
}

/// Why nothing may be sent at a start now, if the clock said this last.
fn reason(last: Moment, now: Moment) -> Option<String> {
    let off = now.0.saturating_sub(last.0);
    let (by, word) = if off < -limits::CLOCK_BACK_MOST.0 {
        (-off, "before")
    } else if off > limits::CLOCK_AHEAD_MOST.0 {
        (off, "after")
    } else {
        return None;
    };
    let (at, by) = (utc(now), length(Span(by)));
    Some(format!("the clock at the start, {at}, is {by} {word} what it said last, {}", utc(last)))
}

/// A moment for people.
pub(crate) fn utc(at: Moment) -> String {
    let at = DateTime::from_timestamp_millis(at.0);
    at.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true)).unwrap_or_else(|| "no date".to_owned())
}

fn length(span: Span) -> String {
    let minutes = span.0 / Span::minutes(1).0;
    match (minutes / (24 * 60), minutes / 60 % 24, minutes % 60) {
        (0, 0, 0) => format!("{} s", span.0 / 1_000),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: Moment = Moment(1_795_435_200_000);

    #[test]
    fn a_clock_that_was_corrected_or_slept_some_hours_is_believed() {
        for span in [-5_000, -1, 0, 60_000, 6 * 3_600_000] {
            assert_eq!(reason(LAST, LAST + Span(span)), None, "{span}");
        }
    }

    #[test]
    fn a_clock_that_is_before_or_far_after_what_it_said_last_is_not() {
        let table = [
            (-5_001, "2026-11-23T11:59:54Z, is 5 s before what it said last, 2026-11-23T12:00:00Z"),
            (-90 * 60_000, "is 1 h 30 min before what"),
            (6 * 3_600_000 + 1, "is 6 h 0 min after what"),
            (49 * 3_600_000, "is 2 d 1 h after what"),
        ];
        for (span, words) in table {
            let reason = reason(LAST, LAST + Span(span)).unwrap();
            assert!(reason.contains(words), "{reason}");
        }
    }
}
