//! Metrics: every figure that is documented is there, moves with what happens, and names nobody.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use blackbox::daemon::Daemon;
use blackbox::http::{Client, Door};
use serde_json::json;

use crate::{FILES, TENANT};

/// By then what is due at once has gone out.
const SOON: Duration = Duration::from_secs(20);

const AT_ONCE: &str = "steps:\n  - channel: mail\n    subject: Hello\n    body: Dear friend\n";

fn scrape(daemon: &Daemon) -> BTreeMap<String, f64> {
    let mut anybody = Client::new(&Door { key: String::new(), ..daemon.door() });
    let (status, text) = anybody.request("GET", "/metrics", &[], "").unwrap();
    assert_eq!(status, 200, "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let figure = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    lines.map(figure).collect()
}

#[test]
fn metrics_move_with_what_happens_and_name_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    daemon.put(TENANT, "welcome", &blackbox::daemon::Files { sequence: AT_ONCE, ..FILES });
    let enroll = json!({ "contact": "ana", "profile": { "email": "ana@mail.example" } });
    let request = json!({ "tenant": TENANT, "sequence": "welcome", "enroll": enroll });
    let mut client = daemon.client();
    client.must("EnrollmentService/Enroll", &request);
    client.must("EnrollmentService/Enroll", &request);
    let wrong = json!({ "tenant": "nobody", "sequence": "welcome", "enroll": enroll });
    assert!(client.call("EnrollmentService/Enroll", &wrong).is_err());

    let sent = "followupd_sends_total{kind=\"email\",outcome=\"accepted\"}";
    let (began, mut figures) = (Instant::now(), scrape(&daemon));
    while figures[sent] < 1.0 {
        assert!(began.elapsed() < SOON, "{figures:?}");
        figures = scrape(&daemon);
    }
    let method = "method=\"followupd.v1.EnrollmentService/Enroll\"";
    let table = [
        (format!("followupd_calls_total{{{method},code=\"ok\"}}"), 2.0),
        (format!("followupd_calls_total{{{method},code=\"not_found\"}}"), 1.0),
        (format!("followupd_call_seconds_count{{{method}}}"), 3.0),
        (sent.to_owned(), 1.0),
        ("followupd_sends_total{kind=\"sms\",outcome=\"accepted\"}".to_owned(), 0.0),
        ("followupd_enrolls_total{outcome=\"enrolled\"}".to_owned(), 1.0),
        ("followupd_enrolls_total{outcome=\"already_enrolled\"}".to_owned(), 1.0),
        ("followupd_lateness_seconds_count".to_owned(), 1.0),
        ("followupd_lateness_seconds_bucket{le=\"+Inf\"}".to_owned(), 1.0),
        ("followupd_activations_total".to_owned(), 1.0),
        ("followupd_commits_total{class=\"intent\"}".to_owned(), 1.0),
        ("followupd_store_reopened_total".to_owned(), 0.0),
        ("followupd_log_lines_dropped_total".to_owned(), 0.0),
    ];
    for (name, value) in table {
        assert_eq!(figures.get(&name), Some(&value), "{name} in {figures:#?}");
    }
    for name in [
        "followupd_live_enrollments",
        "followupd_live_lanes",
        "followupd_lanes_behind_milliseconds",
        "followupd_connections",
        "followupd_commit_groups_total",
        "followupd_commit_group_microseconds_total",
        "followupd_store_free_bytes",
    ] {
        assert!(figures.contains_key(name), "{name}");
    }
    assert!(figures["process_resident_memory_bytes"] > 1e6);
    let all = figures.keys().map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(!["ana", TENANT, "welcome", "\"mail\""].iter().any(|name| all.contains(name)), "{all}");
}
