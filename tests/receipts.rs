//! Receipts over the RPC and from the command line: what became of messages, as a platform tells it that hears of it
//! itself.

use std::time::{Duration, Instant};

use blackbox::daemon::{Daemon, Files};
use blackbox::time;
use blackbox::timeline::{self, Timeline};
use blackbox::wire::MailServer;
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
    until_sent(daemon, contact)
}

/// The one enrollment of a contact, once its first message was sent.
fn until_sent(daemon: &Daemon, contact: &str) -> Timeline {
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

/// What follows a status of a mail that came back.
enum Then {
    /// The mail has failed for this reason, and that is all.
    Fails(&'static str),
    /// So has it, and nothing is sent to the address any more.
    Suppressed,
    /// It is tried again after so many milliseconds at the least.
    Again(i64),
}

#[test]
fn a_mail_that_came_back_is_told_by_its_status_and_has_its_consequence() {
    const DAY: i64 = 86_400_000;
    let folder = tempfile::tempdir().unwrap();
    let server = MailServer::start(&folder.path().join("mails"));
    let daemon = Daemon::start_with(folder.path(), "[smtp]\nhelo = \"[127.0.0.1]\"\n");
    let channel = format!(
        "kind: email\ntransport: smtp\nsmtp:\n  host: 127.0.0.1\n  port: {}\n  security: none\n  from: \
         team@acme.example\n",
        server.address.port()
    );
    let again = FILES.sequence.replace("body: Dear", "subject: Hello\n    body: Dear");
    let sequence = again.replace("body: Again", "subject: Again\n    body: Again");
    daemon.put(TENANT, "welcome", &Files { channel: &channel, sequence: &sequence, ..FILES });
    let client = &mut daemon.client();
    for (who, status, then) in [
        ("gone", "5.1.1", Then::Suppressed),
        ("full", "5.2.2", Then::Again(DAY)),
        ("policy", "5.7.1", Then::Again(15_000)),
        ("slow", "4.4.7", Then::Fails("refused")),
        ("odd", "2.0.0", Then::Fails("refused")),
    ] {
        let address = format!("{who}@mail.example");
        let enroll = json!({ "contact": who, "profile": { "email": address } });
        client.must(
            "EnrollmentService/Enroll",
            &json!({ "tenant": TENANT, "sequence": "welcome", "enroll": enroll }),
        );
        let one = until_sent(&daemon, who);
        let send = &one.sends()[0].id;
        assert_eq!(server.mails()[send].len(), 1, "{who}");
        let (told_at, receipts) = (time::now_ms(), json!([receipt(send, "failed", status)]));
        let told =
            client.must("EventService/SendReceipts", &json!({ "tenant": TENANT, "receipts": receipts }));
        assert_eq!(told["results"][0]["outcome"], "RECEIPT_OUTCOME_TAKEN_IN", "{who}: {told}");

        let asked = json!({ "tenant": TENANT, "enrollmentId": one.id });
        let shown = client.must("EnrollmentService/GetEnrollment", &asked)["enrollment"].clone();
        let (state, failed) = (&shown["state"], &shown["sends"][0]);
        assert_eq!((state, &failed["status"]), (&json!("active"), &json!("failed")), "{who}");
        let known = client.must("ContactService/GetContact", &json!({ "tenant": TENANT, "contact": who }));
        let suppressions = known["contact"]["suppressions"].as_array().cloned().unwrap_or_default();
        let why: Vec<&Value> = suppressions.iter().map(|one| &one["why"]).collect();
        let next = client.must("EnrollmentService/Explain", &asked);
        let after = next["at"].as_str().and_then(time::parse).unwrap_or_default() - told_at;
        match then {
            Then::Suppressed => {
                assert_eq!((&failed["reason"], &*why), (&json!("bad_address"), &[&json!("bounced")][..]));
                let other = json!({ "contact": "other", "profile": { "email": address } });
                let wish = json!({ "tenant": TENANT, "sequence": "welcome", "enroll": other });
                let refused = format!("{:?}", client.call("EnrollmentService/Enroll", &wish));
                assert!(refused.contains("suppressed"), "{refused}");
                continue;
            }
            Then::Again(span) => {
                assert_eq!(
                    (&next["bindingGate"], &next["step"]),
                    (&json!("retry"), &json!(0)),
                    "{who}: {next}"
                );
                assert!((span..span + span / 2).contains(&after), "{who}: {next}");
            }
            Then::Fails(reason) => {
                assert_eq!((&failed["reason"], &next["step"]), (&json!(reason), &json!(1)), "{who}: {next}");
            }
        }
        assert_eq!(why, [] as [&Value; 0], "{who}");
    }
}
