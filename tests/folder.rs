//! A tenant kept in files: `init`, `check-config`, `diff` and `apply` as a person and a pipeline use them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Output;

use blackbox::daemon::{self, Daemon};
use blackbox::state;
use serde_json::{Value, json};

const TENANT: &str = "acme";

const SEQUENCE: &str =
    "steps:\n  - wait: 1 hour\n    channel: hook\n    subject: Hello\n    body: Dear friend\n";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Exit code, stdout and stderr of a command about a folder.
fn run(daemon: &Daemon, command: &str, folder: &Path) -> (i32, String, String) {
    let output = daemon.cli(TENANT, &[command, &folder.display().to_string()]);
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn init(folder: &Path, tenant: &str) -> Output {
    daemon::command().args(["init", "--tenant", tenant]).arg(folder).output().unwrap()
}

fn mend(path: &Path, from: &str, to: &str) {
    let written = fs::read_to_string(path).unwrap();
    assert!(written.contains(from), "{from:?} is not in {written}");
    fs::write(path, written.replace(from, to)).unwrap();
}

#[test]
fn what_init_writes_is_sound_and_applies_at_once_and_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("files");
    let begun = init(&files, TENANT);
    assert!(begun.status.success(), "{begun:?}");
    assert!(text(&begun.stdout).contains("followupd --tenant acme apply"), "{begun:?}");
    mend(&files.join("config.toml"), "data/store", "elsewhere/store");
    let again = init(&files, TENANT);
    assert_eq!(text(&again.stdout).matches("kept ").count(), 4, "{again:?}");
    assert!(fs::read_to_string(files.join("config.toml")).unwrap().contains("elsewhere/store"), "kept");
    assert_eq!(init(&files, "Acme Inc").status.code(), Some(2));

    let daemon = Daemon::start(folder.path());
    let of_tenant = files.join(TENANT);
    let (code, shown, says) = run(&daemon, "diff", &of_tenant);
    assert_eq!((code, shown.matches("  new\n").count()), (8, 3), "{shown}{says}");
    let (code, _, says) = run(&daemon, "apply", &of_tenant);
    assert_eq!(code, 0, "{says}");
    assert!(says.contains("sequences/charge-reminder.yaml: put, version 1 published"), "{says}");
    let after = state::everything(&mut daemon.client());
    let (code, shown, says) = run(&daemon, "diff", &of_tenant);
    assert_eq!((code, shown.matches("  unchanged\n").count(), says.as_str()), (0, 3, ""), "{shown}");
    let (code, _, says) = run(&daemon, "apply", &of_tenant);
    assert!(code == 0 && says.contains("acme is as"), "{says}");
    assert_eq!(after, state::everything(&mut daemon.client()), "applying what is so changes nothing");
}

/// A folder with a tenant, a webhook with a secret of its own, and a sequence, applied to a daemon.
fn applied(folder: &Path) -> Daemon {
    let of_tenant = folder.join(TENANT);
    for (file, text) in [
        ("tenant.yaml", "on: true\ntime_zone: UTC\n"),
        ("accounts/main.yaml", "new_recipients: 250\n"),
        (
            "channels/hook.yaml",
            "kind: webhook\ntransport: http\naccount: main\nhttp:\n  url: https://hooks.example.com/in\n  secrets: \
             [{ value: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw }]\n",
        ),
        ("sequences/welcome.yaml", SEQUENCE),
    ] {
        let path = of_tenant.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let daemon = Daemon::start(folder);
    let (code, _, says) = run(&daemon, "apply", &of_tenant);
    assert_eq!(code, 0, "{says}");
    daemon
}

#[test]
fn a_diff_shows_the_lines_and_a_secret_differs_only_when_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = applied(folder.path());
    let files = folder.path().join(TENANT);
    assert_eq!(run(&daemon, "diff", &files).0, 0, "the same secret is the same");
    mend(&files.join("channels/hook.yaml"), "MfKQ9r8G", "AfKQ9r8G");
    mend(&files.join("sequences/welcome.yaml"), "1 hour", "2 hours");
    mend(&files.join("accounts/main.yaml"), "250", "2000");
    let before = state::everything(&mut daemon.client());
    let (code, shown, says) = run(&daemon, "diff", &files);
    assert_eq!(code, 8, "{shown}{says}");
    assert!(shown.contains("    - - wait: 1 hour\n    + - wait: 2 hours\n"), "{shown}");
    assert!(shown.contains("    - new_recipients: 250\n    + new_recipients: 2000\n"), "{shown}");
    assert!(shown.contains("http.secrets[0] has another value"), "{shown}");
    assert!(!shown.contains("fKQ9r8G") && !says.contains("fKQ9r8G"), "{shown}{says}");
    assert!(says.contains("3 changed (of 4 files)"), "{says}");
    let json = daemon.cli(TENANT, &["diff", "--json", &files.display().to_string()]);
    let report: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&report["equal"], &report["files"][0]["change"]), (&json!(false), &json!("unchanged")));
    assert_eq!(before, state::everything(&mut daemon.client()), "a diff changes nothing");
    assert_eq!(run(&daemon, "apply", &files).0, 0);
    assert_eq!(run(&daemon, "diff", &files).0, 0);
}

#[test]
fn a_fault_is_found_before_the_first_put_and_names_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = applied(folder.path());
    let files = folder.path().join(TENANT);
    mend(&files.join("tenant.yaml"), "UTC", "Europe/Berlin");
    mend(&files.join("sequences/welcome.yaml"), "1 hour", "1 fortnight");
    let before = state::everything(&mut daemon.client());
    for command in ["diff", "apply"] {
        let (code, shown, says) = run(&daemon, command, &files);
        assert_eq!(code, 4, "{shown}{says}");
        assert!(shown.contains("tenant.yaml             changed"), "{shown}");
        assert!(says.contains("sequences/welcome.yaml: steps[0].wait:"), "{says}");
    }
    fs::write(files.join("sequences/welcome.yaml"), "stepps: []\n").unwrap();
    let (code, shown, says) = run(&daemon, "apply", &files);
    assert!(code == 2 && shown.is_empty() && says.contains("did you mean `steps`?"), "{shown}{says}");
    assert_eq!(before, state::everything(&mut daemon.client()), "nothing of it was put");
}

#[test]
fn a_draft_is_published_and_what_the_folder_does_not_name_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = applied(folder.path());
    let files = folder.path().join(TENANT);
    let path = files.join("sequences/welcome.yaml");
    mend(&path, "1 hour", "2 hours");
    let put = |name: &str| {
        daemon.cli_must(TENANT, &["sequence", "put", name, "-f", &path.display().to_string()]);
    };
    put("welcome");
    put("other");
    let (code, shown, says) = run(&daemon, "diff", &files);
    assert!(code == 8 && shown.contains("sequences/welcome.yaml  unpublished"), "{shown}{says}");
    assert!(shown.contains("not in the folder, left alone: sequence other"), "{shown}");
    let (code, _, says) = run(&daemon, "apply", &files);
    assert!(code == 0 && says.contains("sequences/welcome.yaml: version 2 published"), "{says}");
    assert!(daemon.cli_must(TENANT, &["sequence", "list"]).contains("other"));
    assert_eq!(run(&daemon, "diff", &files).0, 0);
}

#[test]
fn a_check_prints_what_is_in_force_and_touches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("checked.toml");
    fs::write(
        &settings,
        "[store]\nfolder = \"STORE\"\n[drain]\nwithin_seconds = 7\n"
            .replace("STORE", &folder.path().join("store").display().to_string()),
    )
    .unwrap();
    let check = |more: &[&str]| {
        let output =
            daemon::command().args(["check-config", "--config"]).arg(&settings).args(more).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        (text(&output.stdout), text(&output.stderr))
    };
    let (shown, says) = check(&[]);
    assert!(shown.contains("[drain]\nwithin_seconds = 7\n"), "{shown}");
    assert!(says.contains("checked.toml: sound") && says.contains("store.folder is made"), "{says}");
    assert!(!folder.path().join("store").exists(), "nothing is made");
    let json: Value = serde_json::from_str(&check(&["--json"]).0).unwrap();
    assert_eq!(json["drain"]["within_seconds"], 7);
    let daemon = Daemon::start(folder.path());
    let (_, says) = check(&[]);
    assert!(says.contains(&format!("in use by process {}", daemon.pid())), "{says}");
    assert!(daemon.client().is_ready());
    daemon.stop();
}

#[test]
fn each_shell_gets_a_script_that_knows_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let output = daemon::command().args(["completions", shell]).output().unwrap();
        let script = text(&output.stdout);
        assert!(output.status.success() && script.contains("check-config"), "{shell}: {script}");
    }
}
