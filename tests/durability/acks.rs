//! A workload with many callers at once, and what the daemon acknowledged to each of them, in order.

use std::collections::BTreeMap;

use blackbox::daemon::{Daemon, Files};
use blackbox::seed::Seed;
use serde_json::{Value, json};

pub(crate) const TENANT: &str = "acme";
const SEQUENCE: &str = "one";

/// Callers at once: their commits share syncs.
const CALLERS: usize = 4;
/// Batches of enrolls of each caller, and contacts in each.
const ROUNDS: usize = 60;
const BATCH: usize = 25;
/// Bytes that each contact carries, so that tables are written.
const PADDING: usize = 3_600;

const FILES: Files<'_> = Files {
    tenant: "on: true\ntime_zone: UTC\n",
    channel: "kind: email\ntransport: outbox\nrate: { count: 150, per: 1 second, burst: 20 }\n",
    sequence: "steps:\n  - channel: mail\n    subject: Hello\n    body: Dear friend\n  \
               - wait: 2 seconds\n    channel: mail\n    subject: Hello\n    body: Dear friend\n",
};

/// What one answer acknowledged.
#[derive(Clone, Debug)]
pub(crate) enum Ack {
    /// These contacts are enrolled, each under this id.
    Enrolled(Vec<(String, String)>),
    /// This enrollment is over.
    Over(String),
    /// The event of this id was taken in.
    TakenIn(String),
    /// This enrollment is over by the event of this id.
    Replied(String, String),
}

/// The answers of each connection, by its client's port, in their order.
pub(crate) type Acks = BTreeMap<u16, Vec<Ack>>;

/// Enrolls, has contacts reply, and takes some out, from several callers at once.
pub(crate) fn make(daemon: &Daemon, seed: u64) -> Acks {
    daemon.put(TENANT, SEQUENCE, &FILES);
    let mut seed = Seed::new(seed);
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let chance = seed.fork();
                scope.spawn(move || call(daemon, caller, chance))
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    })
}

fn call(daemon: &Daemon, caller: usize, mut chance: Seed) -> (u16, Vec<Ack>) {
    let mut client = daemon.client();
    let mut acks = Vec::new();
    let mut enrolled: Vec<(String, String)> = Vec::new();
    for round in 0..ROUNDS {
        let contacts: Vec<String> = (0..BATCH).map(|n| format!("ct-{caller}-{round}-{n}")).collect();
        let enrolls: Vec<Value> = contacts.iter().map(|contact| enroll(contact, &mut chance)).collect();
        let request = json!({ "tenant": TENANT, "sequence": SEQUENCE, "enrolls": enrolls });
        let answer = client.must("EnrollmentService/EnrollBatch", &request);
        let ids = answer["results"].as_array().cloned().unwrap_or_default();
        let id = |result: &Value| result["enrollmentId"].as_str().unwrap_or("").to_owned();
        let new: Vec<(String, String)> = contacts.into_iter().zip(ids.iter().map(id)).collect();
        assert!(new.iter().all(|(_, id)| !id.is_empty()), "{answer}");
        enrolled.extend(new.iter().cloned());
        acks.push(Ack::Enrolled(new));
        for _ in 0..BATCH / 4 {
            let (contact, id) = enrolled.swap_remove(chance.below(enrolled.len() as u64) as usize);
            acks.push(if chance.below(2) == 0 {
                let answer = client.must("EnrollmentService/Exit", &json!({ "tenant": TENANT, "enrollmentId": id }));
                assert!(answer["change"].is_object(), "{answer}");
                Ack::Over(id)
            } else {
                let event = json!({ "source": "inbox", "id": contact, "type": "message.received", "contact": contact });
                let answer = client.must("EventService/Send", &json!({ "tenant": TENANT, "event": event }));
                match answer["result"]["exited"][0]["enrollmentId"].as_str() {
                    Some(exited) => Ack::Replied(exited.to_owned(), contact),
                    None => Ack::TakenIn(contact),
                }
            });
        }
    }
    (client.port().unwrap(), acks)
}

fn enroll(contact: &str, chance: &mut Seed) -> Value {
    // Not to be compressed away.
    let words = (0..PADDING / 16).map(|_| format!("{:016x}", chance.draw()));
    let attributes = json!({ "padding": words.collect::<String>() });
    let profile = json!({ "email": format!("{contact}@mail.example"), "attributes": attributes });
    json!({ "contact": contact, "profile": profile })
}
