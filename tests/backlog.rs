//! A backlog from outside: what is said of it, who goes first, and who leaves it. At full size it is measured by
//! `followupd-loadtest backlog`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::time::{Duration, Instant};

use blackbox::daemon::Daemon;
use blackbox::http::Client;
use blackbox::seed::Seed;
use blackbox::wire::Sink;
use serde_json::{Value, json};

const TENANT: &str = "acme";
const IN_LINE: usize = 3_000;
/// After so long it is not going to happen.
const PATIENCE: Duration = Duration::from_secs(60);
const ZONES: [&str; 3] = ["America/Sao_Paulo", "Europe/Lisbon", "Asia/Tokyo"];

/// A daemon whose channel `hook` leads to this sink, with two usual sequences and a transactional one.
fn start(folder: &std::path::Path, sink: &Sink) -> Daemon {
    let daemon = Daemon::start_with(folder, "[http]\nallow_plain = true\nnetworks = [\"127.0.0.0/8\"]\n");
    let put = |kind: &str, name: &str, text: &str| {
        let file = folder.join("put.yaml");
        fs::write(&file, text).unwrap();
        let file = file.display().to_string();
        let publish: &[&str] = if kind == "sequence" { &["--publish"] } else { &[] };
        daemon.cli_must(TENANT, &[&[kind, "put", name, "-f", &file], publish].concat());
    };
    put("tenant", TENANT, "on: true\ntime_zone: UTC\ncontact_time_zone: true\n");
    let channel = format!(
        "kind: webhook\ntransport: http\nrate: {{count: 20, burst: 1}}\nhttp:\n  url: http://{}/\n  secrets:\n    \
         - value: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
        sink.address
    );
    put("channel", "hook", &channel);
    for (name, class) in [("renewal", "normal"), ("welcome", "normal"), ("code", "transactional")] {
        let steps = format!("class: {class}\nsteps:\n  - channel: hook\n    body: \"{name}\"\n");
        put("sequence", name, &steps);
    }
    daemon
}

fn hold(client: &mut Client, scope: &Value) {
    client.must("TenantService/Hold", &json!({ "tenant": TENANT, "scope": scope, "reason": "not yet" }));
}

fn enroll(daemon: &Daemon, folder: &std::path::Path, sequence: &str, numbers: std::ops::Range<usize>) {
    let rows: String = numbers.map(|number| format!("ct-{number},{}\n", ZONES[number % 3])).collect();
    let file = folder.join("line.csv");
    fs::write(&file, format!("contact,time_zone\n{rows}")).unwrap();
    daemon.cli_must(TENANT, &["enroll", "--sequence", sequence, "--csv", &file.display().to_string()]);
}

fn shown(client: &mut Client) -> Value {
    let asked = json!({ "tenant": TENANT, "channel": "hook" });
    client.must("TenantService/GetChannel", &asked)["backlog"].clone()
}

/// Contacts whose messages have come.
fn came(sink: &Sink) -> Vec<String> {
    sink.seen().taken.values().map(|body| body["contact"].to_string()).collect()
}

#[test]
fn a_backlog_says_its_length_lets_the_urgent_go_first_and_loses_who_replies() {
    let (folder, sink) = (tempfile::tempdir().unwrap(), Sink::start(0, Seed::of_this_run()));
    let daemon = start(folder.path(), &sink);
    let mut client = daemon.client();
    assert!(daemon.cli_must(TENANT, &["channel", "show", "hook"]).contains("# nothing waits to leave\n"));
    hold(&mut client, &json!({ "channel": "hook" }));
    enroll(&daemon, folder.path(), "renewal", 0..2_000);
    enroll(&daemon, folder.path(), "welcome", 2_000..IN_LINE);
    hold(&mut client, &json!({ "sequence": "welcome" }));
    let urgent = json!({ "tenant": TENANT, "sequence": "code", "enroll": { "contact": "urgent" } });
    client.must("EnrollmentService/Enroll", &urgent);

    let waiting = shown(&mut client);
    assert_eq!((&waiting["due"], &waiting["waitsFor"][0]["gate"]), (&json!(IN_LINE + 1), &json!("channel")));
    assert!(waiting["emptyAt"].is_null() && waiting["perSecond"] == 20.0, "{waiting}");
    client.must("TenantService/Release", &json!({ "tenant": TENANT, "scope": { "channel": "hook" } }));
    let began = Instant::now();
    let first = loop {
        let came = came(&sink);
        if !came.is_empty() {
            break came;
        }
        assert!(began.elapsed() < PATIENCE, "nothing leaves");
        std::thread::yield_now();
    };
    assert!(
        first.contains(&json!("urgent").to_string()),
        "the urgent goes before who was in line: {first:?}"
    );

    let event = json!({ "source": "inbox", "id": "1", "type": "message.received", "contact": "ct-1999",
        "text": "Yes" });
    let answer = client.must("EventService/Send", &json!({ "tenant": TENANT, "event": event }));
    assert_eq!(answer["result"]["exited"].as_array().map(Vec::len), Some(1), "{answer}");
    let waiting = shown(&mut client);
    assert!(waiting["waitsFor"].is_null() && !waiting["emptyAt"].is_null(), "{waiting}");
    let printed = daemon.cli_must(TENANT, &["channel", "show", "hook"]);
    assert!(printed.contains("# leaves at 20 a second (rate) · empty about 20"), "{printed}");
    let held = printed.lines().find(|line| line.contains("welcome")).unwrap_or_default();
    assert!(held.contains("1,000") && held.ends_with("the sequence is held: release it"), "{printed}");

    // At rest it is exact: who was in line, without those who have left and the one who replied.
    hold(&mut client, &json!({ "channel": "hook" }));
    let began = Instant::now();
    loop {
        let (left, due) = (came(&sink).len(), shown(&mut client)["due"].as_u64().unwrap() as usize);
        if due + left == IN_LINE {
            break;
        }
        assert!(due + left >= IN_LINE, "{due} are due and {left} have left");
        assert!(began.elapsed() < PATIENCE, "it does not come to rest: {due} are due and {left} have left");
    }
    assert!(
        !sink.seen().taken.values().any(|body| body["body"] == "welcome"),
        "nobody of the held sequence has left"
    );
    let store = daemon.store().display().to_string();
    daemon.stop();
    let verified = blackbox::daemon::command().args(["store", "verify", "--store", &store]).output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
}
