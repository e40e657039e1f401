//! The kill test: 10,000 contacts, three steps, replies all along, and a daemon that is killed again and again.
//!
//! Whatever the daemon was doing when it died, afterwards each contact holds exactly what the CSV, the sequence and
//! the acknowledged replies say: nothing twice, nothing lost, nothing begun after a reply was acknowledged, and the
//! funnel counts the same. What must hold is worked out by an oracle that shares no code with the daemon.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod kill {
    pub(crate) mod contacts;
    pub(crate) mod load;
    pub(crate) mod oracle;
    pub(crate) mod planted;
}

use std::collections::BTreeMap;
use std::time::Instant;

use blackbox::daemon::{Daemon, Files};
use blackbox::maildir::Mail;
use blackbox::seed::Seed;
use blackbox::timeline::{self, Timeline, in_flight};
use blackbox::{row, table};

use kill::contacts::{self, Contact};
use kill::load::{self, Kill, Reply};
use kill::oracle::{self, Case, Verdict};

const TENANT: &str = "acme";
const SEQUENCE: &str = "onboarding";
const CONTACTS: usize = 10_000;

/// So many kills, and so many of them with sends on the wire.
const KILLS_MIN: usize = 5;
const KILLS_IN_FLIGHT_MIN: usize = 3;
/// Replies of contacts whose next send is due within a second.
const NEAR_DUE_MIN: usize = 500;

const FILES: Files<'_> = Files {
    tenant: "on: true\ntime_zone: Europe/Lisbon\n",
    channel: "kind: email\ntransport: outbox\nrate: { count: 700, per: 1 second, burst: 50 }\n",
    sequence: contacts::SEQUENCE_YAML,
};

#[test]
fn a_killed_daemon_loses_nothing_and_sends_nothing_twice() {
    let began = Instant::now();
    let mut seed = Seed::of_this_run();
    let contacts = contacts::generate(CONTACTS, &mut seed.fork());
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path());
    daemon.put(TENANT, SEQUENCE, &FILES);

    let played = load::run(&mut daemon, folder.path(), &contacts, &mut seed);
    let took = began.elapsed();
    let ids: Vec<&str> = contacts.iter().map(|contact| contact.id.as_str()).collect();
    let timelines = timeline::read_all(&daemon, TENANT, &ids);
    let funnel = daemon
        .client()
        .must("SequenceService/GetFunnel", &serde_json::json!({ "tenant": TENANT, "sequence": SEQUENCE }));
    daemon.stop();

    let verdicts = judge(&contacts, &played.replies, &played.mails, &timelines);
    let mut findings: Vec<String> = verdicts.iter().flat_map(|verdict| verdict.findings.clone()).collect();
    findings.extend(oracle::funnel(&verdicts, &funnel));
    let in_flight: Vec<usize> = played.kills.iter().map(|kill| in_flight(&timelines, kill.dead_at)).collect();
    report(&played.kills, &in_flight, &played.replies, &verdicts, &findings);
    println!("the run took {took:.1?}, all of it {:.1?}", began.elapsed());

    let shown: Vec<&String> = findings.iter().take(20).collect();
    assert!(findings.is_empty(), "{} findings, the first: {shown:#?}", findings.len());
    assert!(played.kills.len() >= KILLS_MIN, "{} kills", played.kills.len());
    let hit = in_flight.iter().filter(|sends| **sends > 0).count();
    assert!(hit >= KILLS_IN_FLIGHT_MIN, "{hit} kills with sends in flight: {in_flight:?}");
    let near = verdicts.iter().filter(|verdict| verdict.near_due).count();
    assert!(near >= NEAR_DUE_MIN, "{near} replies near a due send");
}

/// What became of each contact.
fn judge(
    contacts: &[Contact],
    replies: &BTreeMap<usize, Reply>,
    mails: &[Mail],
    timelines: &[Vec<Timeline>],
) -> Vec<Verdict> {
    let mut by_contact: BTreeMap<&str, Vec<&Mail>> = BTreeMap::new();
    for mail in mails {
        by_contact.entry(mail.header("X-Followup-Contact")).or_default().push(mail);
    }
    let mut verdicts = Vec::new();
    for (index, contact) in contacts.iter().enumerate() {
        let mails = by_contact.remove(contact.id.as_str()).unwrap_or_default();
        let case = Case { contact, mails, reply: replies.get(&index), timelines: &timelines[index] };
        verdicts.push(oracle::judge(&case));
    }
    assert!(by_contact.is_empty(), "mails to nobody: {:?}", by_contact.keys().collect::<Vec<_>>());
    verdicts
}

fn report(
    kills: &[Kill],
    in_flight: &[usize],
    replies: &BTreeMap<usize, Reply>,
    verdicts: &[Verdict],
    findings: &[String],
) {
    let mut rows = vec![row!["kill", "after s", "sends in flight", "down ms"]];
    for (number, (kill, sends)) in kills.iter().zip(in_flight).enumerate() {
        let after = format!("{:.1}", kill.after.as_secs_f64());
        rows.push(row![number + 1, after, sends, kill.back_at - kill.dead_at]);
    }
    table::print("kills", &rows);
    let count = |is: fn(&Verdict) -> bool| verdicts.iter().filter(|verdict| is(verdict)).count();
    let sum = |of: fn(&Verdict) -> usize| verdicts.iter().map(of).sum::<usize>();
    let again = replies.values().filter(|reply| reply.tries > 1).count();
    table::print(
        "contacts",
        &[
            row!["contacts", verdicts.len()],
            row!["replies", replies.len()],
            row!["  asked more than once", again],
            row!["  with a send due within a second", count(|verdict| verdict.near_due)],
            row!["  that name a send in flight", count(|verdict| verdict.in_flight)],
            row!["left by a reply", count(|verdict| verdict.state == "exited")],
            row!["completed", count(|verdict| verdict.state == "completed")],
            row!["mails", sum(|verdict| verdict.mails)],
            row!["  sent twice", sum(|verdict| verdict.twice)],
            row!["  lost", sum(|verdict| verdict.lost)],
            row!["sends left uncertain", sum(|verdict| verdict.uncertain())],
            row!["findings", findings.len()],
        ],
    );
}
