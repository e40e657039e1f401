//! Readiness: whether calls are wanted now, and what speaks against it. `/readyz` shows it, gRPC health follows it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use followupd_domain::Span;
use followupd_runtime::{Engine, Stop};
use followupd_store::embedded::{Disk, Embedded, State};
use serde::Serialize;
use tokio::sync::watch;

use crate::limits;
use crate::tls::{Age, Tls};

const DAY: u64 = 24 * 3_600;

/// What readiness is read from.
#[derive(Clone)]
pub(crate) struct Readiness {
    /// The engine, for its lanes and its clock.
    pub(crate) engine: Engine,
    /// The store, for whether it takes writes.
    pub(crate) store: Arc<Embedded>,
    /// The certificate, where there is one.
    pub(crate) tls: Option<Arc<Tls>>,
    /// Set when the daemon drains.
    pub(crate) stopping: watch::Receiver<bool>,
}

/// One thing that has to be right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// What.
    name: &'static str,
    /// Whether it is.
    ok: bool,
    /// What was found.
    says: String,
}

/// All of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    /// Whether calls are wanted.
    pub(crate) ready: bool,
    checks: Vec<Check>,
}

impl Readiness {
    /// Looks at everything now. It costs no read of the store.
    pub(crate) fn look(&self) -> Report {
        let health = self.store.health();
        let mut checks = vec![
            calls(*self.stopping.borrow(), self.engine.stopped().as_ref()),
            store(&health.state, health.disk, health.free_bytes),
            lanes(self.engine.behind()),
            clock(self.engine.clock_ahead()),
        ];
        checks.extend(self.tls.as_ref().map(|tls| certificate(tls.age(SystemTime::now()))));
        Report { ready: checks.iter().all(|check| check.ok), checks }
    }

    /// Keeps `serving` at what is found, until the daemon drains.
    pub(crate) async fn keep(mut self, serving: watch::Sender<bool>) {
        loop {
            let report = self.look();
            let changed =
                serving.send_if_modified(|was| std::mem::replace(was, report.ready) != report.ready);
            if *self.stopping.borrow() {
                return;
            }
            if changed && report.ready {
                tracing::info!("ready");
            } else if changed {
                tracing::warn!(why = report.text().trim_end().replace('\n', "; "), "not ready");
            }
            // A sender that is gone stops as well.
            let stopping = self.stopping.wait_for(|stopping| *stopping);
            if let Ok(Err(_)) = tokio::time::timeout(limits::READY_EVERY, stopping).await {
                return;
            }
        }
    }
}

impl Report {
    /// One line for each check.
    pub(crate) fn text(&self) -> String {
        let line = |check: &Check| {
            let word = if check.ok { "ok" } else { "not ok" };
            format!("{}: {word}, {}\n", check.name, check.says)
        };
        self.checks.iter().map(line).collect()
    }
}

/// Calls are wanted also while nothing may be sent: enrolls, events and opt-outs wait for nobody.
fn calls(stopping: bool, held: Option<&Stop>) -> Check {
    let says = match (stopping, held) {
        (true, _) => "draining".to_owned(),
        (false, None) => "taken".to_owned(),
        (false, Some(stop)) => format!("taken; all sending is held: {}", stop.reason),
    };
    Check { name: "calls", ok: !stopping, says }
}

fn certificate(age: Age) -> Check {
    let says = match age {
        Age::Good(left) => format!("good for {} more days", left.as_secs() / DAY),
        Age::Soon(left) => format!("expires in {} h: put a new one in its place", left.as_secs() / 3_600),
        Age::Over => "expired, callers turn away: put a new one in its place".to_owned(),
        Age::Unknown => "it does not say until when it is good".to_owned(),
    };
    Check { name: "certificate", ok: age != Age::Over, says }
}

fn store(state: &State, disk: Disk, free_bytes: Option<u64>) -> Check {
    let room = free_bytes.map_or_else(|| "an unknown number of".to_owned(), |free| free.to_string());
    let (ok, says) = match (state, disk) {
        (State::Reopening(_), _) => {
            (false, "it failed and is being opened again; the log says why".to_owned())
        }
        (State::Closed, _) => (false, "it is closed".to_owned()),
        (State::Ready, Disk::Low | Disk::Critical) => {
            (false, format!("{room} bytes are free on its disk: enrolls and events are refused"))
        }
        (State::Ready, Disk::Roomy) => (true, "it takes writes".to_owned()),
    };
    Check { name: "store", ok, says }
}

fn lanes(behind: Span) -> Check {
    let ok = behind <= span(limits::BEHIND_MOST);
    let says = format!("the one most behind should have looked {} ms ago", behind.0);
    Check { name: "lanes", ok, says }
}

fn clock(ahead: Span) -> Check {
    let ok = Span(ahead.0.abs()) <= span(limits::CLOCK_OFF_MOST);
    let says = format!("it is {} ms ahead of the time limits are counted in", ahead.0);
    Check { name: "clock", ok, says }
}

fn span(of: Duration) -> Span {
    Span(i64::try_from(of.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_fails_by_itself_and_says_why() {
        let room = Some(7);
        let stop = Stop { since: followupd_domain::Moment(0), reason: "wrong list".into(), by: "zoe".into() };
        let table = [
            (calls(false, None), true, "taken"),
            (calls(false, Some(&stop)), true, "all sending is held: wrong list"),
            (calls(true, None), false, "draining"),
            (certificate(Age::Good(Duration::from_secs(40 * DAY))), true, "40 more days"),
            (certificate(Age::Soon(Duration::from_secs(7_200))), true, "expires in 2 h"),
            (certificate(Age::Over), false, "expired"),
            (certificate(Age::Unknown), true, "does not say"),
            (store(&State::Ready, Disk::Roomy, room), true, "takes writes"),
            (store(&State::Ready, Disk::Low, room), false, "7 bytes are free"),
            (store(&State::Reopening("x".into()), Disk::Roomy, room), false, "opened again"),
            (store(&State::Closed, Disk::Roomy, None), false, "closed"),
            (lanes(Span::ZERO), true, "0 ms"),
            (lanes(span(limits::BEHIND_MOST) + Span(1)), false, "should have looked"),
            (clock(Span(-1_000)), true, "-1000 ms"),
            (clock(Span(-1 - span(limits::CLOCK_OFF_MOST).0)), false, "ahead"),
        ];
        for (check, ok, word) in table {
            assert_eq!(check.ok, ok, "{check:?}");
            assert!(check.says.contains(word), "{check:?}");
        }
    }

    #[test]
    fn the_text_has_a_line_for_each_check() {
        let report = Report { ready: false, checks: vec![calls(true, None), lanes(Span::ZERO)] };
        assert_eq!(report.text().lines().next(), Some("calls: not ok, draining"));
        assert_eq!(report.text().lines().count(), 2);
    }
}
