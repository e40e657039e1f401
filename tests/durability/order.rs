//! One call at a time, and where in the trace its journal write, the sync and its answer stand.

use blackbox::daemon::{Daemon, Files};
use serde_json::{Value, json};

use crate::durability::trace::Call;

const TENANT: &str = "acme";

/// Nothing is sent meanwhile, so that every write is a call's.
const FILES: Files<'_> = Files {
    tenant: "on: true\ntime_zone: UTC\n",
    channel: "kind: email\ntransport: outbox\n",
    sequence: "steps:\n  - wait: 10 days\n    channel: mail\n    subject: Hello\n    body: Dear friend\n",
};

/// How many contacts are enrolled; each of them leaves, half by a reply, half by hand.
const CONTACTS: usize = 100;

/// Enrolls, replies and exits, each when the one before is answered; tells how many calls it made.
pub(crate) fn ask_one_after_another(daemon: &Daemon) -> usize {
    daemon.put(TENANT, "one", &FILES);
    let mut client = daemon.client();
    // The first request of a connection is read in pieces: the daemon looks which protocol it is.
    assert!(client.is_ready());
    for number in 0..CONTACTS {
        let contact = format!("ct-{number}");
        let profile = json!({ "email": format!("{contact}@mail.example") });
        let enroll = json!({ "contact": contact, "profile": profile });
        let request = json!({ "tenant": TENANT, "sequence": "one", "enroll": enroll });
        let enrolled = client.must("EnrollmentService/Enroll", &request);
        let id = &enrolled["result"]["enrollmentId"];
        assert!(id.is_string(), "{enrolled}");
        if number % 2 == 0 {
            let event =
                json!({ "source": "inbox", "id": contact, "type": "message.received", "contact": contact });
            let answer = client.must("EventService/Send", &json!({ "tenant": TENANT, "event": event }));
            assert_eq!(answer["result"]["exited"][0]["enrollmentId"], *id, "{answer}");
        } else {
            let request = json!({ "tenant": TENANT, "enrollmentId": id });
            let answer = client.must("EnrollmentService/Exit", &request);
            assert_eq!(answer["change"]["changed"], Value::Bool(true), "{answer}");
        }
    }
    2 * CONTACTS
}

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// Answers to enrolls, events and exits.
    pub(crate) answers: usize,
    /// Writes of the journal that stand between a request and its answer.
    pub(crate) writes: usize,
}

/// Holds that between every request and its answer the journal was written, then synced.
pub(crate) fn check(calls: &[Call]) -> Watched {
    let mut watched = Watched::default();
    let asks = ["EnrollmentService/Enroll ", "EventService/Send ", "EnrollmentService/Exit "];
    for request in calls.iter().filter(|call| is_request(call, &asks)) {
        let same = |call: &&Call| call.path() == request.path() && call.began > request.ended;
        let answer = calls.iter().filter(same).find(|call| call.bytes().starts_with(b"HTTP/1.1 "));
        let answer = answer.unwrap_or_else(|| panic!("no answer to {request:?}"));
        assert!(answer.bytes().starts_with(b"HTTP/1.1 200"), "{answer:?}");
        let between = |call: &&Call| call.began > request.ended && call.ended < answer.began;
        let journal = |call: &&Call| call.path().is_some_and(|path| path.ends_with(".jnl"));
        let at_journal: Vec<&Call> = calls.iter().filter(between).filter(journal).collect();
        let is_sync = |call: &Call| ["fsync", "fdatasync"].contains(&call.name.as_str());
        let writes = at_journal.iter().filter(|call| !is_sync(call) && call.returned > 0);
        let last = writes.clone().map(|call| call.ended).max();
        let last = last.unwrap_or_else(|| panic!("answered without a write to the journal: {request:?}"));
        let covers = |call: &&Call| is_sync(call) && call.returned == 0 && call.began > last;
        assert!(
            at_journal.iter().copied().any(|call| covers(&call)),
            "answered before it was synced: {request:?}"
        );
        watched.answers += 1;
        watched.writes += writes.count();
    }
    watched
}

fn is_request(call: &Call, asks: &[&str]) -> bool {
    let bytes = call.bytes();
    let text = String::from_utf8_lossy(&bytes);
    let method = text.strip_prefix("POST /followupd.v1.");
    method.is_some_and(|method| asks.iter().any(|ask| method.starts_with(ask)))
}
