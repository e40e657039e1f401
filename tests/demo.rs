//! The demo as a person runs it: what it prints is what lies in the Maildir it names.
//!
//! Both runs are piped, and they run at once: each has a daemon, a port and folders of its own.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use blackbox::daemon;
use blackbox::maildir::{Mail, Maildir};
use serde_json::Value;

/// What the demo promises.
const WITHIN: Duration = Duration::from_secs(60);

/// What one run left behind.
struct Run {
    stdout: String,
    stderr: String,
    took: Duration,
}

/// Runs the demo to its end.
fn run(arguments: &[&str]) -> Run {
    let began = Instant::now();
    let output = daemon::command().arg("demo").args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let run = Run { stdout: text(&output.stdout), stderr: text(&output.stderr), took: began.elapsed() };
    assert!(output.status.success(), "{} {}{}", output.status, run.stdout, run.stderr);
    run
}

/// The word after a label in what the demo says of itself.
fn named<'a>(says: &'a str, label: &str) -> &'a str {
    let line = says.lines().find_map(|line| line.trim().strip_prefix(label));
    line.unwrap_or_else(|| panic!("no {label:?} in {says}")).trim()
}

fn mails(outbox: &Path) -> Vec<Mail> {
    Maildir::new(outbox.to_path_buf()).more()
}

/// Mails by step, counted from 0.
fn by_step(mails: &[Mail]) -> BTreeMap<usize, u64> {
    let mut counts = BTreeMap::new();
    for mail in mails {
        *counts.entry(mail.step()).or_default() += 1;
    }
    counts
}

/// A number as tables print it.
fn number(cell: &str) -> Option<u64> {
    cell.replace(',', "").parse().ok()
}

/// Accepted sends by step, from the printed table: the rows under its heading begin with step, entered, accepted.
fn accepted_of_table(table: &str) -> BTreeMap<usize, u64> {
    let heading = |line: &&str| line.to_lowercase().starts_with("step ");
    let rows = table.lines().skip_while(|line| !heading(line)).skip(1);
    let cells = rows.map(|row| row.split_whitespace().filter_map(number).collect::<Vec<_>>());
    let steps = cells.filter(|cells| cells.len() >= 3);
    steps.map(|cells| (cells[0] as usize - 1, cells[2])).collect()
}

/// Accepted sends by step, from the funnel as JSON.
fn accepted_of_json(funnel: &Value) -> BTreeMap<usize, u64> {
    let steps = funnel["versions"][0]["steps"].as_array().unwrap();
    let number = |step: &Value, name: &str| step[name].as_u64().unwrap_or(0);
    steps.iter().map(|step| (number(step, "step") as usize, number(step, "accepted"))).collect()
}

/// What holds for the mails of every demo.
fn check_mails(mails: &[Mail]) {
    assert!(mails.len() > 2_000, "{} mails", mails.len());
    let mut seen = BTreeMap::new();
    for mail in mails {
        assert_eq!(mail.file, mail.header("X-Followup-Send"));
        let to = mail.header("To");
        assert!(to.ends_with(".example") || to.ends_with(".test"), "{to} could be somebody's");
        assert!(!mail.body.contains("{{") && !mail.body.is_empty(), "{}", mail.body);
        let again = seen.insert((mail.header("X-Followup-Enrollment"), mail.step()), &mail.file);
        assert_eq!(again, None, "one step is sent twice");
    }
}

#[test]
fn two_demos_at_once_each_leave_the_mails_they_print() {
    let kept = tempfile::tempdir().unwrap();
    let chosen = kept.path().join("demo");
    let (text, json) = std::thread::scope(|scope| {
        let text = scope.spawn(|| run(&[]));
        let json = scope.spawn(|| run(&["--json", "--keep-folder", chosen.to_str().unwrap()]));
        (text.join().unwrap(), json.join().unwrap())
    });
    for run in [&text, &json] {
        assert!(run.took < WITHIN, "{:?}\n{}", run.took, run.stderr);
        assert!(!run.stderr.contains('\x1b'), "colours in a pipe: {}", run.stderr);
    }

    let folder = PathBuf::from(named(&text.stderr, "folder"));
    let in_text = mails(&folder.join("outbox"));
    check_mails(&in_text);
    let printed = accepted_of_table(&text.stdout);
    assert_eq!(printed.len(), 3, "{}", text.stdout);
    assert_eq!(by_step(&in_text), printed, "{}", text.stdout);

    let report: Value = serde_json::from_str(&json.stdout).unwrap();
    let outbox = report["outbox"].as_str().unwrap();
    assert!(Path::new(outbox).starts_with(&chosen), "{outbox}");
    let in_json = mails(Path::new(outbox));
    check_mails(&in_json);
    assert_eq!(by_step(&in_json), accepted_of_json(&report["funnel"]), "{}", json.stdout);
    assert_eq!(report["allEnded"], true);
    ended_are_all(&report);

    println!("{:?} and {:?}, {} and {} mails", text.took, json.took, in_text.len(), in_json.len());
    // The first run chose its own folder, which is kept for people to look at.
    fs::remove_dir_all(folder).unwrap();
}

/// Everybody in the funnel has completed or left, and those who left are those whose events were played.
fn ended_are_all(report: &Value) {
    let version = &report["funnel"]["versions"][0];
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    let exited: u64 = version["exited"].as_array().unwrap().iter().map(|one| count(&one["count"])).sum();
    assert_eq!(count(&version["enrolled"]), count(&version["completed"]) + exited, "{version}");
    assert_eq!(exited, count(&report["played"]["exited"]), "{report}");
    assert_eq!(count(&version["enrolled"]), count(&report["upload"]["enrolled"]), "{report}");
    let rejected = fs::read_to_string(report["rejectedRows"].as_str().unwrap()).unwrap();
    assert_eq!(rejected.lines().count() as u64 - 1, count(&report["upload"]["rejected"]), "{rejected}");
}
