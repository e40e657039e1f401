//! A file of contacts that is interrupted and goes on: each row has one result, and each rejected row stands once in
//! the file of rejected rows.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use blackbox::daemon::{self, Daemon, Files};
use serde_json::Value;

const TENANT: &str = "acme";

const ROWS: usize = 60_000;
/// One row in so many is wrong.
const WRONG_EACH: usize = 100;

const FILES: Files<'_> = Files {
    tenant: "on: true\ntime_zone: UTC\n",
    channel: "kind: email\ntransport: outbox\n",
    sequence: "steps:\n  - wait: 20 days\n    channel: mail\n    subject: Hello\n    body: Dear friend\n",
};

fn started(folder: &Path) -> (Daemon, PathBuf) {
    let daemon = Daemon::start(folder);
    daemon.put(TENANT, "welcome", &FILES);
    let mut text = String::from("contact,email\n");
    for row in 0..ROWS {
        let at = if row % WRONG_EACH == 7 { "" } else { "@" };
        text.push_str(&format!("ct-{row},ct-{row}{at}mail.example\n"));
    }
    let csv = folder.join("contacts.csv");
    fs::write(&csv, text).unwrap();
    (daemon, csv)
}

fn enroll(daemon: &Daemon, csv: &Path, more: &[&str]) -> Output {
    let csv = csv.display().to_string();
    let mut arguments = vec!["enroll", "--sequence", "welcome", "--csv", &csv, "--json"];
    arguments.extend(more);
    daemon.cli(TENANT, &arguments)
}

fn totals(output: &Output) -> [u64; 4] {
    let totals: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    ["rows", "enrolled", "alreadyEnrolled", "rejected"].map(|name| totals[name].as_u64().unwrap_or(u64::MAX))
}

fn says(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Rows that have their result, as the file beside it says.
fn rows_done(progress: &Path) -> u64 {
    let text = fs::read_to_string(progress).unwrap_or_default();
    let mark: Value = serde_json::from_str(&text).unwrap_or_default();
    mark["totals"]["rows"].as_u64().unwrap_or(0)
}

#[test]
fn an_upload_that_was_killed_goes_on_where_it_had_results() {
    let folder = tempfile::tempdir().unwrap();
    let (daemon, csv) = started(folder.path());
    let progress = folder.path().join("contacts.csv.progress");
    let mut killed = daemon::asking(&daemon.door())
        .args(["--tenant", TENANT, "enroll", "--sequence", "welcome", "--csv"])
        .arg(&csv)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while rows_done(&progress) < 1_000 {
        assert!(killed.try_wait().unwrap().is_none(), "it was too fast to be killed");
        std::thread::yield_now();
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    let done = rows_done(&progress);
    assert!((1_000..ROWS as u64).contains(&done), "{done} rows had results");

    let other = enroll(&daemon, &csv, &["--resume", "--sequence", "welcome"]);
    assert_eq!(other.status.code(), Some(2), "an option is given once: {}", says(&other));
    let resumed = enroll(&daemon, &csv, &["--resume"]);
    assert_eq!(resumed.status.code(), Some(7), "{}", says(&resumed));
    assert!(says(&resumed).contains("contacts.csv: goes on after "), "{}", says(&resumed));
    let wrong = (ROWS / WRONG_EACH) as u64;
    let [rows, enrolled, already, rejected] = totals(&resumed);
    assert_eq!((rows, rejected), (ROWS as u64, wrong));
    assert_eq!(enrolled + already, ROWS as u64 - wrong, "what was under way is recognised");
    assert!(already <= 12 * 500, "{already} rows were sent twice: those of the batches under way");
    assert!(!progress.exists(), "it is done");
    let written = fs::read_to_string(folder.path().join("contacts.csv.rejected.csv")).unwrap();
    let mut contacts: Vec<&str> = written.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
    assert_eq!(contacts.len() as u64, wrong, "each rejected row stands once");
    contacts.dedup();
    assert_eq!(contacts.len() as u64, wrong, "in the order of the file");
    assert_eq!(written.matches("rejected_line").count(), 1, "one heading");
    let funnel = daemon.cli_must(TENANT, &["funnel", "welcome", "--json"]);
    let funnel: Value = serde_json::from_str(&funnel).unwrap();
    assert_eq!(funnel["versions"][0]["enrolled"], ROWS as u64 - wrong);

    let anew = enroll(&daemon, &csv, &["--resume"]);
    assert!(says(&anew).contains("begins with the first row"), "{}", says(&anew));
    assert_eq!(totals(&anew), [ROWS as u64, 0, ROWS as u64 - wrong, wrong]);
}

#[test]
fn a_pipe_is_read_whole_before_anybody_is_enrolled_and_cannot_be_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    daemon.put(TENANT, "welcome", &FILES);
    let piped = |text: &[u8], more: &[&str]| {
        let mut command = daemon::asking(&daemon.door());
        command.args(["--tenant", TENANT, "enroll", "--sequence", "welcome", "--csv", "-", "--json"]);
        command.args(more).current_dir(folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(text).unwrap();
        child.wait_with_output().unwrap()
    };
    let late = b"contact,name\nana,Ana\nbo,Bo\ncy,C\xe9cile\n";
    let refused = piped(late, &[]);
    assert_eq!(refused.status.code(), Some(2), "{}", says(&refused));
    assert!(says(&refused).contains("stdin: line 4, column \"name\""), "{}", says(&refused));
    let funnel = || daemon.cli_must(TENANT, &["funnel", "welcome", "--json"]);
    assert!(!funnel().contains("\"enrolled\""), "{}", funnel());
    let done = piped(b"contact,email\nana,ana@mail.example\n", &[]);
    assert_eq!(totals(&done), [1, 1, 0, 0], "{}", says(&done));
    let resumed = piped(b"contact,email\nana,ana@mail.example\n", &["--resume"]);
    assert!(says(&resumed).contains("--resume needs a file"), "{}", says(&resumed));
}
