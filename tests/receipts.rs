//! Receipts over the RPC and from the command line: what became of messages, as a platform tells it that hears of it
//! itself.

use std::time::{Duration, Instant};

use blackbox::daemon::{Daemon, Files};
use blackbox::timeline::{self, Timeline};
use serde_json::{Value, json};

const TENANT: &str = "acme";

const FILES: Files<'_> = Files {
    tenant: "on: true\ntime_zone: UTC\n",
    channel: "kind: sms\ntransport: outbox\n",
    sequence: "steps:\n  - channel: mail\n    body: Dear friend\n  - wait: 1 day\n    channel: mail\n    body: Again\n",
};

/// The one enrollment of a contact whose first message was sent.
fn sent(daemon: &Daemon, contact: &str) -> Timeline {
    let enroll = json!({ "contact": contact, "profile": { "phone": "+15550100" } });
    let wish = json!({ "tenant": TENANT, "sequence": "welcome", "enroll": enroll });
    daemon.client().must("EnrollmentService/Enroll", &wish);
    let began = Instant::now();
    loop {
        let one = timeline::read_all(daemon, TENANT, &[contact]).remove(0).remove(0);
        if one.entries.iter().any(|entry| entry.kind == "sent") {
            return one;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "it is not sent: {one:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn receipt(send: &str, status: &str, code: &str) -> Value {
    json!({ "sendId": send, "status": status, "code": code })
}

#[test]
fn what_became_of_a_message_is_told_over_the_rpc_and_repeats_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    daemon.put(TENANT, "welcome", &FILES);
    let id = sent(&daemon, "ana").sends().remove(0).id;
    let client = &mut daemon.client();
    let mut tell = |receipts: Value| {
        let told = json!({ "tenant": TENANT, "receipts": receipts });
        let answer = client.must("EventService/SendReceipts", &told);
        let results = answer["results"].as_array().unwrap().iter();
        results
            .map(|one| {
                let outcome = one["outcome"].as_str().unwrap().trim_start_matches("RECEIPT_OUTCOME_");
                (outcome.to_owned(), one["problem"].as_str().unwrap_or_default().to_owned())
            })
            .collect::<Vec<_>>()
    };
    let outcomes = tell(json!([
        receipt(&id, "delivered", ""),
        receipt(&id, "delivered", ""),
        receipt(&id, "sent", ""),
        receipt(&id, "failed", "30008"),
        receipt(&id, "read", ""),
        receipt("snd_forged", "read", ""),
        receipt(&id, "opened", ""),
        receipt(&id, "read", "7"),
    ]));
    let words: Vec<&str> = outcomes.iter().map(|(outcome, _)| outcome.as_str()).collect();
    let expected = ["TAKEN_IN", "UNCHANGED", "UNCHANGED", "UNCHANGED", "TAKEN_IN"];
    assert_eq!(words, [&expected[..], &["REFUSED"; 3]].concat(), "{outcomes:?}");
    for (place, field, right) in [(5, "send_id", "snd_"), (6, "status", "delivered"), (7, "code", "failed")] {
        let problem = &outcomes[place].1;
        assert!(problem.starts_with(field) && problem.contains(right), "{problem}");
    }
    let one = timeline::read_all(&daemon, TENANT, &["ana"]).remove(0).remove(0);
    assert_eq!(one.statuses[0], "read", "{one:?}");
}

#[test]
fn a_person_tells_that_a_message_failed() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    daemon.put(TENANT, "welcome", &FILES);
    let id = sent(&daemon, "bo").sends().remove(0).id;
    let failed = ["event", "receipt", &id, "failed", "--code", "blocked"];
    assert_eq!(daemon.cli_must(TENANT, &failed), "taken in\n");
    assert_eq!(daemon.cli_must(TENANT, &failed), "nothing new: nothing changed\n");
    let wrong = daemon.cli(TENANT, &["event", "receipt", "snd_1", "failed"]);
    let says = String::from_utf8_lossy(&wrong.stderr);
    assert!(wrong.status.code() == Some(4) && says.contains("send_id"), "{says}");
    let one = timeline::read_all(&daemon, TENANT, &["bo"]).remove(0).remove(0);
    assert_eq!((one.statuses[0].as_str(), one.state.as_str()), ("failed", "active"), "{one:?}");
}
