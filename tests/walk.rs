//! The newcomer's walk: what the README shows under "Your first cadence" is done line by line, and has to come out as
//! it stands there.
//!
//! A block that names a file (```` ```yaml tenant.yaml ````) is that file; in a `console` block what follows `$ ` is
//! typed into one shell, and the lines below it are what it answers. `…` stands for anything within a line, and alone
//! on a line for any lines.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use blackbox::daemon::{self, free_address};
use blackbox::wire;

const HEADING: &str = "## Your first cadence";
/// A walk that takes so long hangs: it waits for a step of fifteen seconds, and compiles nothing.
const PATIENCE: Duration = Duration::from_secs(240);
/// What the shell says after the answer of each command.
const MARK: &str = "@@ answered @@";

/// What a walk consists of, in its order.
#[derive(Debug)]
enum Piece {
    File { name: String, text: String },
    Typed { command: String, answer: Vec<String> },
}

/// The pieces that stand under the heading.
fn pieces(readme: &str) -> Vec<Piece> {
    let (_, walk) = readme.split_once(HEADING).expect("the README has the walk");
    let walk = walk.split("\n## ").next().unwrap();
    let mut pieces = Vec::new();
    for block in walk.split("\n```").skip(1).step_by(2) {
        let (info, text) = block.split_once('\n').unwrap();
        match info.split_once(' ') {
            Some((_, name)) => pieces.push(Piece::File { name: name.to_owned(), text: format!("{text}\n") }),
            None => typed(text, &mut pieces),
        }
    }
    pieces
}

fn typed(block: &str, pieces: &mut Vec<Piece>) {
    for line in block.lines() {
        match (line.strip_prefix("$ "), pieces.last_mut()) {
            (Some(command), _) => {
                pieces.push(Piece::Typed { command: command.to_owned(), answer: Vec::new() });
            }
            (None, Some(Piece::Typed { answer, .. })) => answer.push(line.to_owned()),
            (None, _) => panic!("{line:?} answers no command"),
        }
    }
}

/// Whether a line is as it should be; `…` stands for anything.
fn like(expected: &str, line: &str) -> bool {
    let mut parts = expected.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
    for part in between {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Whether an answer is as it should be; a line that is only `…` stands for any lines.
fn answers(expected: &[String], lines: &[&str]) -> bool {
    match (expected, lines) {
        ([], []) => true,
        ([first, rest @ ..], lines) if first == "…" => {
            (0..=lines.len()).any(|skipped| answers(rest, &lines[skipped..]))
        }
        ([first, expected @ ..], [line, lines @ ..]) => like(first, line) && answers(expected, lines),
        ([], _) | (_, []) => false,
    }
}

/// Runs a script in a shell of its own, in a group of its own that is gone afterwards; what it said.
fn run(script: &str, folder: &Path) -> String {
    let said = folder.join("said");
    let out = File::create(&said).unwrap();
    let path = [daemon::binary(), wire::python()].map(|file| file.parent().unwrap().display().to_string());
    let path = format!("{}:{}", path.join(":"), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command.args(["-c", script]).current_dir(folder).env("PATH", path).process_group(0);
    for variable in ["FOLLOWUPD_KEY", "FOLLOWUPD_TENANT", "FOLLOWUPD_CONFIG", "FOLLOWUPD_LOG", "FOLLOWUPD_CA"]
    {
        command.env_remove(variable);
    }
    let both = (Stdio::from(out.try_clone().unwrap()), Stdio::from(out));
    let mut shell = command.stdin(Stdio::null()).stdout(both.0).stderr(both.1).spawn().unwrap();
    let began = Instant::now();
    let ended = loop {
        match shell.try_wait().unwrap() {
            None if began.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(50)),
            ended => break ended,
        }
    };
    let group = format!("-{}", shell.id());
    // Where all of it has ended there is nobody to end.
    let _ = Command::new("kill").args(["-9", "--", &group]).stderr(Stdio::null()).status();
    let _ = shell.wait();
    let said = fs::read_to_string(said).unwrap();
    assert!(ended.is_some_and(|status| status.success()), "the walk ended with {ended:?}:\n{said}");
    said
}

#[test]
fn the_walk_of_the_readme_goes_as_it_says() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    // Ports of its own: others may run beside it.
    let (server, catcher) = (free_address(), free_address());
    let readme = readme
        .replace("followupd serve", &format!("followupd serve --listen {server}"))
        .replace("127.0.0.1:7400", &server.to_string())
        .replace("127.0.0.1:2525", &catcher.to_string())
        .replace("port: 2525", &format!("port: {}", catcher.port()));
    let folder = tempfile::tempdir().unwrap();
    let mut script = format!("export FOLLOWUPD_SERVER=http://{server}\n");
    let mut expected = Vec::new();
    for piece in pieces(&readme) {
        match piece {
            Piece::File { name, text } => fs::write(folder.path().join(name), text).unwrap(),
            Piece::Typed { command, answer } => {
                script.push_str(&format!("{command}\necho '{MARK}'\n"));
                expected.push((command, answer));
            }
        }
    }
    assert!(expected.len() > 10, "the walk is there: {expected:?}");
    let said = run(&script, folder.path());
    let answered: Vec<&str> = said.split_inclusive(&format!("{MARK}\n")).collect();
    let mut faults = String::new();
    for ((command, answer), said) in expected.iter().zip(&answered) {
        let said: Vec<&str> = said.lines().filter(|line| *line != MARK).collect();
        if !answers(answer, &said) {
            faults.push_str(&format!(
                "$ {command}\nthe README says:\n{}\nit says:\n{}\n\n",
                answer.join("\n"),
                said.join("\n")
            ));
        }
    }
    assert!(faults.is_empty(), "the README and the walk differ:\n\n{faults}");
    assert_eq!(answered.len(), expected.len(), "every command is answered:\n{said}");
}

#[test]
fn dots_stand_for_what_differs() {
    assert!(like("a … c … e", "a b c d e") && like("…", "anything") && like("same", "same"));
    assert!(!like("a … c", "a b c d") && !like("same", "same ") && !like("… x", "y"));
    let any = ["a", "…", "z"].map(str::to_owned);
    assert!(answers(&any, &["a", "b", "c", "z"]) && answers(&any, &["a", "z"]));
    assert!(!answers(&any, &["a", "b"]) && !answers(&any[..1], &["a", "b"]));
}
