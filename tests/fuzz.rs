//! Every unary call of every service with random and hostile values in every field, generated from the protos, and streams and
//! events as CloudEvents likewise: the daemon stays up, answers each with a refusal of its own or does it, and changes nothing
//! where it refuses.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "fuzz/clouds.rs"]
mod clouds;
#[path = "fuzz/protos.rs"]
mod protos;
#[path = "fuzz/streams.rs"]
mod streams;
#[path = "fuzz/values.rs"]
mod values;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use blackbox::daemon::{Daemon, Files};
use blackbox::http::{Client, Failed};
use blackbox::seed::Seed;
use blackbox::{row, table};
use protos::Protos;
use serde_json::{Value, json};
use values::Maker;

const TENANT: &str = "acme";

/// Cases of each call.
const CASES: usize = 60;

/// After so long it is not going to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Nothing is due while the test runs, so that what is read before and after a refusal is the same.
const FILES: Files<'_> = Files {
    tenant: "on: true\ntime_zone: UTC\n",
    channel: "kind: email\ntransport: outbox\n",
    sequence: "steps:\n  - wait: 80 days\n    channel: mail\n    subject: Hello\n    body: Dear friend\n",
};

/// What a caller's fault or the state of things is answered with; all else is a fault of ours.
const REFUSALS: [u16; 5] = [400, 404, 409, 412, 429];

/// What the people and the settings are, as far as calls can read it; the audit log grows with every change.
fn state(client: &mut Client) -> Value {
    let contacts = ["ana", "bo", "cy"].map(|contact| {
        let asked = json!({ "tenant": TENANT, "contact": contact });
        client.call("ContactService/GetContact", &asked).map_or(Value::Null, |found| found["contact"].clone())
    });
    let listed =
        client.must("EnrollmentService/ListEnrollments", &json!({ "tenant": TENANT, "pageSize": 1_000 }));
    let ids: Vec<Value> = listed["enrollments"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| json!([one["id"], one["state"], one["reason"]]))
        .collect();
    let audit = |client: &mut Client, tenant: &str| {
        client.must("AccessService/ListAudit", &json!({ "tenant": tenant, "pageSize": 1_000 }))["entries"]
            .clone()
    };
    let keys = client.must("AccessService/ListKeys", &json!({}));
    json!([contacts, ids, audit(client, TENANT), audit(client, ""), keys])
}

/// The status of a call, and what was said.
fn outcome(client: &mut Client, call: &str, request: &Value) -> (u16, Value) {
    match client.call(call, request) {
        Ok(answer) => (200, answer),
        Err(Failed::Refused { status, says }) => (status, says),
        Err(Failed::Broken(error)) => panic!("{call} {request}: {error}"),
    }
}

/// A daemon with two who are enrolled, and the enrollment of the first.
fn started(folder: &Path) -> (Daemon, String) {
    let daemon = Daemon::start(folder);
    let enrollment = populate(&daemon);
    (daemon, enrollment)
}

/// Makes the tenant with two who are enrolled; the enrollment of the first.
fn populate(daemon: &Daemon) -> String {
    daemon.put(TENANT, "welcome", &FILES);
    let mut client = daemon.client();
    let mut enroll = |contact: &str| {
        let wish = json!({ "tenant": TENANT, "sequence": "welcome", "enroll": { "contact": contact,
            "profile": { "email": format!("{contact}@mail.example") } } });
        client.must("EnrollmentService/Enroll", &wish)["result"]["enrollmentId"].as_str().unwrap().to_owned()
    };
    let enrollment = enroll("ana");
    enroll("bo");
    enrollment
}

/// Waits until nobody is left in a sequence that was archived: its enrollments leave one by one after the answer.
fn emptied(client: &mut Client, sequence: &Value) {
    let began = Instant::now();
    for state in ["active", "paused"] {
        let filter = json!({ "sequence": sequence, "state": state });
        let asked = json!({ "tenant": TENANT, "filter": filter });
        let left = |client: &mut Client| {
            let found = client.must("EnrollmentService/ListEnrollments", &asked);
            found["enrollments"].as_array().is_some_and(|left| !left.is_empty())
        };
        while left(client) {
            assert!(began.elapsed() < PATIENCE, "{sequence} was archived and has {state} enrollments");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// How often something was answered so, as text.
fn said<Word: Display>(told: &BTreeMap<Word, usize>) -> String {
    let said: Vec<String> = told.iter().map(|(word, times)| format!("{word} × {times}")).collect();
    said.join(", ")
}

/// It has not panicked, and stops as it should.
fn well(daemon: Daemon) {
    let log = fs::read_to_string(daemon.log()).unwrap();
    assert!(!log.contains("panicked"), "{log}");
    daemon.stop();
}

#[test]
fn no_request_breaks_the_daemon_or_is_half_done() {
    let folder = tempfile::tempdir().unwrap();
    let (daemon, enrollment) = started(folder.path());
    let mut client = daemon.client();
    let protos = Protos::read();
    let mut maker = Maker::new(&protos, Seed::of_this_run(), enrollment);
    let mut rows = Vec::new();
    // Behind all others, since it leaves nothing for them.
    let (last, first): (Vec<_>, Vec<_>) =
        protos.calls.iter().partition(|call| call.path == "TenantService/DeleteTenant");
    for call in first.into_iter().chain(last) {
        let mut told: BTreeMap<u16, usize> = BTreeMap::new();
        for _ in 0..CASES {
            let request = maker.message(&call.request, 0);
            let before = state(&mut client);
            let (status, says) = outcome(&mut client, &call.path, &request);
            *told.entry(status).or_default() += 1;
            if status == 200 && call.path == "TenantService/DeleteTenant" && request["tenant"] == TENANT {
                populate(&daemon);
            }
            if status == 200 && call.path == "SequenceService/ArchiveSequence" && request["tenant"] == TENANT
            {
                emptied(&mut client, &request["sequence"]);
            }
            let text = request.to_string();
            assert!(status == 200 || REFUSALS.contains(&status), "{} {text}: {status} {says}", call.path);
            if status != 200 {
                assert_eq!(
                    before,
                    state(&mut client),
                    "{} {text} was refused and changed something",
                    call.path
                );
            }
        }
        rows.push(row![call.path, said(&told)]);
    }
    table::print("calls and how often they were answered so", &rows);
    well(daemon);
}
