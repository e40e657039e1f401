//! The kill test over real wires: mails to a real SMTP server, and webhooks to a receiver that honours their key and
//! fails now and then, from a daemon that is killed again and again.
//!
//! Mail has no key that a server would know, so what was on the wire at a kill is left uncertain and is there at most
//! once; whatever the daemon says was sent is there exactly once, and nothing else is. A webhook is sent again under
//! its key: nothing is missing and nothing stays uncertain.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use blackbox::daemon::Daemon;
use blackbox::seed::Seed;
use blackbox::timeline::{self, Timeline, in_flight};
use blackbox::wire::{MailServer, Sink};
use blackbox::{row, table, time};
use serde_json::{Value, json};

const TENANT: &str = "acme";
const CONTACTS: usize = 1_500;
const KILLS: usize = 6;
/// Kills with sends on the wire that there have to be.
const KILLS_IN_FLIGHT_MIN: usize = 2;
/// Of a thousand webhooks so many are not answered with 200.
const UNKIND: u64 = 60;
/// After so long it is not going to end.
const PATIENCE: Duration = Duration::from_secs(180);

const CONFIG: &str = "[http]\nallow_plain = true\nnetworks = [\"127.0.0.0/8\"]\n";

#[test]
fn a_killed_daemon_keeps_its_word_over_smtp_and_webhooks() {
    let mut seed = Seed::of_this_run();
    let folder = tempfile::tempdir().unwrap();
    let server = MailServer::start(&folder.path().join("mails"));
    let sink = Sink::start(UNKIND, seed.fork());
    let mut daemon = Daemon::start_with(folder.path(), CONFIG);
    set_up(&daemon, folder.path(), &server, &sink);
    enroll(&daemon, folder.path());

    let kills = kill(&mut daemon, &mut seed, || server.mails().len() + sink.seen().taken.len());
    wait_until_settled(&daemon);

    let (mails, hooks) = (ids("m"), ids("h"));
    let by_mail = timeline::read_all(&daemon, TENANT, &refs(&mails));
    let by_hook = timeline::read_all(&daemon, TENANT, &refs(&hooks));
    daemon.stop();
    let flying: usize = kills.iter().map(|at| in_flight(&by_mail, *at)).sum();
    let seen = sink.seen();
    let (mut findings, uncertain) = judge_mails(&by_mail, &server.mails());
    findings.extend(judge_hooks(&by_hook, &seen.taken));
    let hit = kills.iter().filter(|at| in_flight(&by_mail, **at) + in_flight(&by_hook, **at) > 0).count();
    table::print(
        "over the wires",
        &[
            row!["contacts by mail and by webhook", CONTACTS],
            row!["kills", kills.len()],
            row!["  with sends in flight", hit],
            row!["mails in flight at kills", flying],
            row!["mails left uncertain", uncertain],
            row!["webhooks the receiver failed", seen.moods.values().sum::<usize>()],
            row!["webhooks that came again under their key", seen.repeats],
            row!["findings", findings.len()],
        ],
    );
    assert!(
        findings.is_empty(),
        "{} findings, the first: {:#?}",
        findings.len(),
        &findings[..findings.len().min(20)]
    );
    assert!(uncertain <= flying, "{uncertain} mails are uncertain, and {flying} were in flight at the kills");
    assert_eq!(seen.changed, [""; 0], "a key came again with another message");
    assert!(!seen.moods.is_empty() && seen.repeats > 0, "the receiver was always kind");
    assert!(hit >= KILLS_IN_FLIGHT_MIN, "{hit} kills with sends in flight");
}

fn ids(prefix: &str) -> Vec<String> {
    (0..CONTACTS).map(|number| format!("{prefix}-{number:05}")).collect()
}

fn refs(ids: &[String]) -> Vec<&str> {
    ids.iter().map(String::as_str).collect()
}

fn set_up(daemon: &Daemon, folder: &Path, server: &MailServer, sink: &Sink) {
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let pace = "rate: { count: 120, per: 1 second, burst: 20 }";
    let mail = format!(
        "kind: email\ntransport: smtp\n{pace}\nsmtp:\n  host: 127.0.0.1\n  port: {}\n  security: none\n  \
         from: team@acme.example\n",
        server.address.port()
    );
    let hook = format!(
        "kind: webhook\ntransport: http\n{pace}\nhttp:\n  url: http://{}/hook\n  secrets:\n    \
         - value: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
        sink.address
    );
    let steps = |channel: &str| {
        format!(
            "steps:\n  - channel: {channel}\n    subject: one\n    body: first for {{{{ contact.id }}}}\n  \
             - wait: 3 seconds\n    channel: {channel}\n    subject: two\n    body: second for {{{{ contact.id }}}}\n"
        )
    };
    let tenant = file("tenant.yaml", "on: true\ntime_zone: UTC\n");
    daemon.cli_must(TENANT, &["tenant", "put", TENANT, "-f", &tenant]);
    for (channel, text, sequence) in [("mail", mail, "mails"), ("hook", hook, "hooks")] {
        daemon.cli_must(TENANT, &["channel", "put", channel, "-f", &file("channel.yaml", &text)]);
        let draft = file("sequence.yaml", &steps(channel));
        daemon.cli_must(TENANT, &["sequence", "put", sequence, "-f", &draft, "--publish"]);
    }
}

fn enroll(daemon: &Daemon, folder: &Path) {
    for (prefix, sequence) in [("m", "mails"), ("h", "hooks")] {
        let rows = ids(prefix).into_iter().map(|id| format!("{id},{id}@mail.example\n"));
        let path = folder.join(format!("{sequence}.csv"));
        fs::write(&path, format!("contact,email\n{}", rows.collect::<String>())).unwrap();
        let path = path.display().to_string();
        daemon.cli_must(TENANT, &["enroll", "--sequence", sequence, "--csv", &path]);
    }
}

/// Kills at moments of the seed, while messages arrive; when it was dead each time.
fn kill(daemon: &mut Daemon, seed: &mut Seed, arrived: impl Fn() -> usize) -> Vec<i64> {
    let mut kills = Vec::new();
    for _ in 0..KILLS {
        std::thread::sleep(Duration::from_millis(seed.between(300, 2_500)));
        let (before, waited) = (arrived(), Instant::now());
        while arrived() == before && waited.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(1));
        }
        daemon.kill();
        kills.push(time::now_ms());
        daemon.restart();
    }
    kills
}

fn wait_until_settled(daemon: &Daemon) {
    let (began, mut client) = (Instant::now(), daemon.client());
    for sequence in ["mails", "hooks"] {
        let asked = json!({ "tenant": TENANT, "sequence": sequence });
        loop {
            let funnel = client.must("SequenceService/GetFunnel", &asked);
            if funnel["versions"][0]["active"].as_u64().unwrap_or(0) == 0 {
                break;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "it does not end: {funnel} {} {}",
                active(daemon),
                daemon.cli_must(TENANT, &["channel", "show", "hook"])
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The enrollments that are under way, with what happened to them.
fn active(daemon: &Daemon) -> Value {
    let filter = json!({ "tenant": TENANT, "filter": { "state": "active" }, "pageSize": 3 });
    let page = daemon.client().must("EnrollmentService/ListEnrollments", &filter);
    let timeline = |one: &Value| {
        let asked = json!({ "tenant": TENANT, "enrollmentId": one["id"] });
        daemon.client().must("EnrollmentService/GetTimeline", &asked)
    };
    page["enrollments"].as_array().into_iter().flatten().map(timeline).collect()
}

/// What became of each send in the end.
fn outcomes(timelines: &[Vec<Timeline>]) -> BTreeMap<String, String> {
    let mut outcomes = BTreeMap::new();
    for send in timelines.iter().flatten().flat_map(Timeline::sends) {
        outcomes.insert(send.id, send.outcome);
    }
    outcomes
}

/// Whoever has not walked both steps to the end.
fn unfinished(timelines: &[Vec<Timeline>], may_be: &[&str]) -> Vec<String> {
    let whole = |one: &[Timeline]| match one {
        [one] => {
            one.statuses.len() == 2
                && one.state == "completed"
                && one.statuses.iter().all(|status| may_be.contains(&status.as_str()))
        }
        _ => false,
    };
    timelines
        .iter()
        .filter(|one| !whole(one))
        .map(|one| format!("it did not end as it must: {one:?}"))
        .collect()
}

/// What is wrong with the mails, and how many sends are uncertain.
fn judge_mails(timelines: &[Vec<Timeline>], mails: &BTreeMap<String, Vec<String>>) -> (Vec<String>, usize) {
    let mut findings = unfinished(timelines, &["sent", "uncertain"]);
    let outcomes = outcomes(timelines);
    for (id, outcome) in &outcomes {
        let there = mails.get(id).map_or(0, Vec::len);
        let right = match outcome.as_str() {
            "sent" => there == 1,
            "left_uncertain" => there <= 1,
            _ => false,
        };
        if !right {
            findings.push(format!("{id} is {outcome:?} and there {there} times"));
        }
    }
    let strange = mails.keys().filter(|id| !outcomes.contains_key(*id));
    findings.extend(strange.map(|id| format!("nobody sent a mail {id:?}")));
    (findings, outcomes.values().filter(|outcome| *outcome == "left_uncertain").count())
}

/// What is wrong with the webhooks: each send is there under its key, and no other.
fn judge_hooks(timelines: &[Vec<Timeline>], taken: &BTreeMap<String, Value>) -> Vec<String> {
    let mut findings = unfinished(timelines, &["sent"]);
    let outcomes = outcomes(timelines);
    for timeline in timelines.iter().flatten() {
        for send in timeline.sends() {
            let message = taken.get(&send.id).unwrap_or(&Value::Null);
            if message["enrollment"] != timeline.id.as_str() || message["step"] != send.step {
                findings.push(format!("{} is not there as it was sent: {message}", send.id));
            }
        }
    }
    let strange = taken.keys().filter(|id| !outcomes.contains_key(*id));
    findings.extend(strange.map(|id| format!("nobody sent {id:?}")));
    findings
}
