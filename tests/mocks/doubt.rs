//! Calls of which nobody knows whether they were taken, to providers that know no key: each is made once, stays
//! uncertain in sight, and is settled by what is told later.

use std::time::{Duration, Instant};

use blackbox::daemon::Daemon;
use blackbox::timeline::{self, Timeline};
use serde_json::{Value, json};

use crate::running::Mock;
use crate::world::{PATIENCE, TENANT, daemon, inbox, number, sms, tells, webhook};

/// What a provider does with a message that it has taken, and what is told of it later. The last call is open when
/// the daemon is killed.
const DOUBTS: [(&str, &str); 5] = [
    ("hang", "delivered"),
    ("garbage", "sent"),
    ("close", "delivered"),
    ("ok_error", "sent"),
    ("hang", "sent"),
];

/// Enrollments of a test: one for each doubt, and one that nothing happens to.
const PEOPLE: usize = DOUBTS.len() + 1;

/// One enrollment.
struct One {
    contact: String,
    sequence: String,
    id: String,
}

impl One {
    /// Whoever stands at this place, enrolled.
    fn enroll(daemon: &Daemon, (contact, sequence): (String, String), place: usize) -> One {
        let profile = json!({ "phone": format!("+1555010000{place}") });
        let enroll = json!({ "contact": contact, "profile": profile });
        let wish = json!({ "tenant": TENANT, "sequence": sequence, "enroll": enroll });
        let answer = daemon.client().must("EnrollmentService/Enroll", &wish);
        One { contact, sequence, id: answer["result"]["enrollmentId"].as_str().unwrap().to_owned() }
    }

    fn timeline(&self, daemon: &Daemon) -> Timeline {
        let all = timeline::read_all(daemon, TENANT, &[&self.contact]).remove(0);
        all.into_iter().find(|one| one.id == self.id).unwrap()
    }

    /// The messages of its that the mock has taken: each carries the send's key, wherever its provider has room for it.
    fn taken(&self, mock: &Mock, daemon: &Daemon) -> Vec<Value> {
        let Some(send) = self.timeline(daemon).sends().into_iter().next() else { return Vec::new() };
        mock.sent().into_iter().filter(|sent| sent.to_string().contains(&send.id)).collect()
    }

    fn until(&self, daemon: &Daemon, statuses: [&str; 2]) {
        wait(&self.sequence, || self.timeline(daemon).statuses == statuses);
    }
}

fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How many enrollments' first step counts as uncertain, as sent, and as delivered, over these sequences.
fn funnel(daemon: &Daemon, people: &[One]) -> [u64; 3] {
    let sequences: std::collections::BTreeSet<&str> = people.iter().map(|one| &*one.sequence).collect();
    let mut counts = [0; 3];
    for sequence in sequences {
        let asked = json!({ "tenant": TENANT, "sequence": sequence });
        let shown = daemon.client().must("SequenceService/GetFunnel", &asked);
        for (count, field) in counts.iter_mut().zip(["uncertain", "sent", "delivered"]) {
            *count += shown["versions"][0]["steps"][0][field].as_u64().unwrap_or(0);
        }
    }
    counts
}

/// The name of the tenant's channel.
fn channel(daemon: &Daemon) -> String {
    let listed = daemon.client().must("TenantService/ListChannels", &json!({ "tenant": TENANT }));
    listed["channels"][0]["name"].as_str().unwrap().to_owned()
}

/// How many of its sends are told to be uncertain.
fn uncertain(daemon: &Daemon) -> u64 {
    let asked = json!({ "tenant": TENANT, "channel": channel(daemon) });
    let shown = daemon.client().must("TenantService/GetChannel", &asked);
    let count = &shown["channel"]["fares"]["uncertain"];
    count.as_str().map_or(0, |count| count.parse().unwrap())
}

/// Has each doubt come up and holds the daemon to one call each. `whom` says who stands at a place and which sequence
/// they are enrolled in; `told` tells how far the message of a record at the mock came.
fn check(
    mock: &Mock,
    daemon: &mut Daemon,
    whom: impl Fn(usize) -> (String, String),
    told: impl Fn(&Daemon, &Value, &str),
) {
    let mut people = Vec::new();
    for (place, (kind, _)) in DOUBTS.iter().enumerate() {
        let fail = json!({ "next": [{ "kind": kind, "taken": true, "code": 190 }] });
        mock.side("POST", "/_fail", &fail.to_string());
        let one = One::enroll(daemon, whom(place), place);
        wait(kind, || one.taken(mock, daemon).len() == 1);
        // A call that hangs ends by the daemon's own time-out, while the others come up.
        if *kind != "hang" {
            one.until(daemon, ["uncertain", "pending"]);
        }
        people.push(one);
        // The last one hangs when the first, which hung as well, has long been given up.
        if place + 2 == DOUBTS.len() {
            people[0].until(daemon, ["uncertain", "pending"]);
        }
    }
    daemon.kill();
    daemon.restart();
    for (one, (kind, _)) in people.iter().zip(DOUBTS) {
        one.until(daemon, ["uncertain", "pending"]);
        assert_eq!(one.timeline(daemon).of("left_uncertain").count(), 1, "{kind}");
    }
    assert_eq!(funnel(daemon, &people), [people.len() as u64, 0, 0]);
    assert_eq!(uncertain(daemon), people.len() as u64);
    for does in ["hold", "release"] {
        daemon.cli_must(TENANT, &[does, "--channel", &channel(daemon)]);
    }
    assert_eq!(uncertain(daemon), people.len() as u64, "whoever has released the channel");

    // The lane goes on, and comes back to none of them.
    let after = One::enroll(daemon, whom(people.len()), people.len());
    after.until(daemon, ["sent", "pending"]);
    for (one, (kind, status)) in people.iter().zip(DOUBTS) {
        let taken = one.taken(mock, daemon);
        assert_eq!(taken.len(), 1, "{kind}: {taken:?}");
        told(daemon, &taken[0], status);
        assert_eq!(one.timeline(daemon).statuses, [status, "pending"], "{kind}");
    }
    people.push(after);
    let counted = |status| DOUBTS.iter().filter(|(_, told)| *told == status).count() as u64;
    assert_eq!(funnel(daemon, &people), [0, counted("sent") + 1, counted("delivered")]);
    assert_eq!(uncertain(daemon), 0, "all are settled");
    assert_eq!(mock.sent().len(), PEOPLE);
}

fn somebody(place: usize) -> (String, String) {
    (format!("ct-{place}"), "welcome".to_owned())
}

#[test]
fn a_whatsapp_message_in_doubt_is_sent_once_and_settled_by_its_receipt() {
    let (mock, folder) = (Mock::start("whatsapp"), tempfile::tempdir().unwrap());
    let mut daemon = daemon(&folder, "whatsapp", |_| number(&mock));
    check(&mock, &mut daemon, somebody, |daemon, sent, status| {
        let order = json!({ "id": sent["id"], "status": status });
        assert_eq!(tells(&mock, order, &webhook(daemon, "mail")), 200);
    });
}

#[test]
fn an_sms_in_doubt_is_sent_once_and_settled_by_its_receipt() {
    let (mock, folder) = (Mock::start("twilio"), tempfile::tempdir().unwrap());
    let mut daemon = daemon(&folder, "sms", |daemon| sms(&mock, daemon));
    check(&mock, &mut daemon, somebody, |_, sent, status| {
        let order = json!({ "sid": sent["id"], "status": status });
        assert_eq!(mock.side("POST", "/_status", &order.to_string())["status"], 204);
    });
}

#[test]
fn a_message_in_doubt_to_a_conversation_is_sent_once_and_settled_by_who_hears_of_it() {
    let (mock, folder) = (Mock::start("chatwoot"), tempfile::tempdir().unwrap());
    let mut daemon = daemon(&folder, "conversation", |_| inbox(&mock, mock.who("token")));
    // The mock has one conversation: it gets the messages of several sequences.
    let file = folder.path().join("sequence.yaml").display().to_string();
    for place in 0..PEOPLE {
        let name = format!("welcome-{place}");
        daemon.cli_must(TENANT, &["sequence", "put", &name, "-f", &file, "--publish"]);
    }
    let conversation = mock.number("conversation").to_string();
    let whom = |place| (conversation.clone(), format!("welcome-{place}"));
    check(&mock, &mut daemon, whom, |daemon, sent, status| {
        let key = &sent["message"]["content_attributes"]["followupd_send"];
        let receipt = json!({ "sendId": key, "status": status });
        let told = json!({ "tenant": TENANT, "receipts": [receipt] });
        let answer = daemon.client().must("EventService/SendReceipts", &told);
        assert_eq!(answer["results"][0]["outcome"], "RECEIPT_OUTCOME_TAKEN_IN", "{answer}");
    });
}
