//! A million enrollments asleep: what the daemon's memory comes to while they are made, and after a kill when some
//! of them wake up to a reply.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::daemon::{Daemon, Files};
use crate::http::Client;
use crate::{row, table};

/// The tenant and the sequence of the sleepers.
pub const TENANT: &str = "acme";
/// See [`TENANT`].
pub const SEQUENCE: &str = "sleepers";

/// Their first step is due in a month.
const FILES: Files<'_> = Files {
    tenant: "on: true\ntime_zone: America/Sao_Paulo\n",
    channel: "kind: email\ntransport: outbox\n",
    sequence: "steps:\n  - wait: 30 days\n    channel: mail\n    subject: Hello\n    body: Dear {{ contact.name }}\n",
};

/// Events of one batch.
const BATCH: usize = 500;

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// How many sleep.
    pub contacts: usize,
    /// How long it took to enroll them.
    pub enrolling: Duration,
    /// The most memory the daemon had until all were enrolled, in MiB.
    pub made_mib: f64,
    /// How long it took to start again.
    pub restarting: Duration,
    /// How many replied then.
    pub replies: usize,
    /// How long that took.
    pub replying: Duration,
    /// The most memory the daemon had from its second start until all had replied, in MiB.
    pub replied_mib: f64,
}

impl Measured {
    /// Prints it.
    pub fn print(&self) {
        let a_second = |count: usize, took: Duration| format!("{:.0}", count as f64 / took.as_secs_f64());
        let mib = |mib: f64| format!("{mib:.0}");
        table::print(
            "sleepers",
            &[
                row!["enrolled", self.contacts],
                row!["enrolled a second", a_second(self.contacts, self.enrolling)],
                row!["VmHWM until then, MiB", mib(self.made_mib)],
                row!["seconds to start again after a kill", format!("{:.2}", self.restarting.as_secs_f64())],
                row!["replies", self.replies],
                row!["replies a second", a_second(self.replies, self.replying)],
                row!["VmHWM since that start, MiB", mib(self.replied_mib)],
            ],
        );
    }
}

/// Starts a daemon with a tenant and a sequence whose enrollments sleep.
#[must_use]
pub fn start(folder: &Path) -> Daemon {
    let daemon = Daemon::start(folder);
    daemon.put(TENANT, SEQUENCE, &FILES);
    daemon
}

/// Enrolls so many contacts from a file, over one stream; tells how long it took.
///
/// # Panics
/// Not all are enrolled.
pub fn enroll(daemon: &Daemon, folder: &Path, contacts: usize) -> Duration {
    let csv = folder.join("sleepers.csv");
    let mut file = BufWriter::new(fs::File::create(&csv).expect("the folder can be written"));
    let mut line = |text: &str| writeln!(file, "{text}").expect("the file can be written");
    line("contact,email,name,plan");
    for number in 0..contacts {
        line(&format!("ct-{number:07},c{number}@mail.example,Contact {number},plan {}", number % 7));
    }
    file.into_inner().expect("the file can be written");
    let began = Instant::now();
    let said =
        daemon.cli_must(TENANT, &["enroll", "-s", SEQUENCE, "--json", "--csv", &csv.display().to_string()]);
    let took = began.elapsed();
    let totals: Value = serde_json::from_str(&said).expect("the totals are JSON");
    assert_eq!(totals["enrolled"], json!(contacts), "{totals}");
    took
}

/// Makes `contacts` sleepers, kills the daemon, starts it again and has `replies` of them reply.
///
/// # Panics
/// The daemon does not do what it should.
#[must_use]
pub fn measure(folder: &Path, contacts: usize, replies: usize) -> Measured {
    let mut daemon = start(folder);
    let enrolling = enroll(&daemon, folder, contacts);
    let made_mib = daemon.memory_peak_mib();
    daemon.kill();
    let restarted = Instant::now();
    daemon.restart();
    let (restarting, began) = (restarted.elapsed(), Instant::now());
    let mut client = daemon.client();
    let numbers: Vec<usize> = (0..replies).map(|number| number * (contacts / replies)).collect();
    let left: usize = numbers.chunks(BATCH).map(|batch| reply(&mut client, batch)).sum();
    let replying = began.elapsed();
    assert_eq!(left, replies, "whoever replies leaves");
    let replied_mib = daemon.memory_peak_mib();
    let funnel = client.must("SequenceService/GetFunnel", &json!({ "tenant": TENANT, "sequence": SEQUENCE }));
    let version = &funnel["versions"][0];
    assert_eq!(version["enrolled"], json!(contacts), "{version}");
    assert_eq!(version["active"], json!(contacts - replies), "{version}");
    daemon.stop();
    Measured { contacts, enrolling, made_mib, restarting, replies, replying, replied_mib }
}

/// These contacts reply, in one batch; tells how many left by it.
fn reply(client: &mut Client, numbers: &[usize]) -> usize {
    let event = |number: &usize| {
        let contact = format!("ct-{number:07}");
        json!({ "source": "inbox", "id": contact, "type": "message.received", "contact": contact, "text": "Yes" })
    };
    let events: Vec<Value> = numbers.iter().map(event).collect();
    let answer = client.must("EventService/SendBatch", &json!({ "tenant": TENANT, "events": events }));
    let results = answer["results"].as_array().cloned().unwrap_or_default();
    let left = |result: &&Value| result["exited"].as_array().is_some_and(|exited| exited.len() == 1);
    results.iter().filter(left).count()
}
