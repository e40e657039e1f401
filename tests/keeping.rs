//! What keeps an installation: a backup and the store made of it, looking whether rows make sense, one process a
//! store, a disk that is full.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "keeping/backup.rs"]
mod backup;
#[path = "keeping/disk.rs"]
mod disk;
#[path = "keeping/verify.rs"]
mod verify;

use std::process::Output;

use blackbox::daemon::{Daemon, Files, command};
use serde_json::{Value, json};

const TENANT: &str = "acme";

const SEQUENCE: &str = "welcome";

const FILES: Files<'_> = Files {
    tenant: "on: true\ntime_zone: UTC\n",
    channel: "kind: email\ntransport: outbox\n",
    sequence: "steps:\n  - wait: 1 hour\n    channel: mail\n    subject: Hello\n    body: Dear friend\n",
};

/// Runs a command that asks no daemon; its exit code, and what it says.
fn offline(arguments: &[&str]) -> (Option<i32>, String) {
    said(&command().args(arguments).output().unwrap())
}

fn said(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// Enrolls `c0`, `c1`, … in one batch; their enrollments.
fn enroll(daemon: &Daemon, contacts: std::ops::Range<usize>) -> Vec<String> {
    let enrolls: Vec<Value> = contacts
        .map(|n| json!({ "contact": format!("c{n}"), "profile": { "email": format!("c{n}@mail.example") } }))
        .collect();
    let request = json!({ "tenant": TENANT, "sequence": SEQUENCE, "enrolls": enrolls });
    let answer = daemon.client().must("EnrollmentService/EnrollBatch", &request);
    let results = answer["results"].as_array().unwrap();
    results.iter().map(|result| result["enrollmentId"].as_str().unwrap().to_owned()).collect()
}
