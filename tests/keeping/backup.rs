//! A backup while messages go out, a kill, and the store that is made of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use blackbox::daemon::{Daemon, Files, asking};
use blackbox::maildir::{Mail, Maildir};
use blackbox::time;
use serde_json::json;

use super::{FILES, SEQUENCE, TENANT, enroll, offline, said};

const CONTACTS: usize = 400;

/// Long enough that the outcome of a mail that was written so long ago is durable.
const SETTLED_MS: i64 = 2_000;

fn contact(mail: &Mail) -> String {
    mail.header("X-Followup-Contact").to_owned()
}

/// Reads mails until there is at least one of so many contacts.
fn until(outbox: &mut Maildir, mails: &mut Vec<Mail>, contacts: usize) {
    while mails.iter().map(contact).collect::<BTreeSet<_>>().len() < contacts {
        mails.extend(outbox.more());
        std::thread::yield_now();
    }
}

#[test]
fn what_was_acknowledged_before_a_backup_is_there_after_it_and_waits_for_a_person() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut daemon = Daemon::start(folder.path());
    let files = Files {
        channel: "kind: email\ntransport: outbox\nrate: { count: 30, per: 1 second, burst: 10 }\n",
        sequence: "steps:\n  - channel: mail\n    subject: Hello\n    body: Dear friend\n",
        ..FILES
    };
    daemon.put(TENANT, SEQUENCE, &files);
    let enrolled = enroll(&daemon, 0..CONTACTS);
    let (mut outbox, mut mails) = (Maildir::new(daemon.outbox()), Vec::new());
    until(&mut outbox, &mut mails, CONTACTS / 8);
    let file = other.path().join("followupd.backup").display().to_string();
    let began = time::now_ms();
    let says = daemon.cli_must(TENANT, &["backup", &file]);
    assert!(says.contains("rows as of") && says.contains("seal.key"), "{says}");
    mails.extend(outbox.more());
    assert!(mails.len() < CONTACTS, "messages went out while the backup was written");
    let key = fs::read_to_string(daemon.store().join("operator.key")).unwrap();
    daemon.kill();
    mails.extend(outbox.more());

    assert_eq!(offline(&["store", "verify", "--backup", &file]).0, Some(0));
    let store = other.path().join("store").display().to_string();
    let (code, says) = offline(&["restore", &file, "--store", &store]);
    assert!(
        code == Some(0) && says.contains("resume-sending --all") && says.contains("put the seal key"),
        "{says}"
    );
    let (code, says) = offline(&["restore", &file, "--store", &store]);
    assert!(code == Some(6) && says.contains("there is rows:"), "{says}");
    let (code, says) = offline(&["store", "verify", "--store", &store]);
    assert!(code == Some(0) && says.contains("make sense together"), "{says}");

    // Its keys are those of the backup; the file with the operator's is kept by a person.
    fs::write(other.path().join("store/operator.key"), key).unwrap();
    let mut restored = Daemon::start(other.path());
    restored.wait_until_logged("nothing is sent: restored from the backup of", 1);
    let (_, ready) = restored.client().request("GET", "/readyz", &[], "").unwrap();
    assert!(ready.contains("calls: ok, taken; all sending is held: restored from"), "{ready}");
    for id in &enrolled {
        let one = json!({ "tenant": TENANT, "enrollmentId": id });
        restored.client().must("EnrollmentService/GetEnrollment", &one);
    }
    let shown = restored.cli_must(TENANT, &["resume-sending", "--all"]);
    assert!(shown.contains("acme") && shown.contains("nothing was changed"), "{shown}");
    assert!(Maildir::new(restored.outbox()).more().is_empty(), "nothing was sent before a person said so");
    restored.cli_must(TENANT, &["resume-sending", "--all", "--yes"]);

    let settled = |mail: &&Mail| mail.written_at < began - SETTLED_MS;
    let settled: BTreeSet<String> = mails.iter().filter(settled).map(contact).collect();
    let before: BTreeSet<String> = mails.iter().map(contact).collect();
    let (mut outbox, mut later) = (Maildir::new(restored.outbox()), Vec::new());
    while before.iter().cloned().chain(later.iter().map(contact)).collect::<BTreeSet<_>>().len() < CONTACTS {
        later.extend(outbox.more());
        std::thread::sleep(Duration::from_millis(10));
    }
    let again: Vec<String> = later.iter().map(contact).filter(|contact| settled.contains(contact)).collect();
    assert!(again.is_empty(), "sent before the backup and again after it: {again:?}");
    restored.stop();
    assert_eq!(offline(&["store", "verify", "--store", &store]).0, Some(0));
}

#[test]
fn a_backup_is_there_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    daemon.put(TENANT, SEQUENCE, &FILES);
    enroll(&daemon, 0..100);
    let path = folder.path().join("one.backup");
    let file = path.display().to_string();
    daemon.cli_must(TENANT, &["backup", &file]);
    assert!(!folder.path().join("one.backup.partial").exists());
    assert_eq!(mode(&path), 0o600);
    let (code, says) = said(&daemon.cli(TENANT, &["backup", &file]));
    assert!(code == Some(2) && says.contains("is there already"), "{says}");
    let second = folder.path().join("two.backup").display().to_string();
    let created = daemon.cli_must("", &["key", "create", "reader", "--role", "reader"]);
    let refused = asking(&daemon.door())
        .env("FOLLOWUPD_KEY", created.trim())
        .args(["backup", &second])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    assert!(!folder.path().join("two.backup").exists() && !folder.path().join("two.backup.partial").exists());

    let whole = fs::read(&path).unwrap();
    let store = folder.path().join("restored").display().to_string();
    let bad = folder.path().join("bad.backup");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let table = [
        (&whole[..whole.len() / 2], 9, "it is cut off after"),
        (&whole[..whole.len() - 3], 9, "it is cut off after"),
        (&flipped[..], 9, "a checksum is wrong"),
        (b"nothing", 2, "is no backup of followupd"),
    ];
    for (bytes, code, words) in table {
        fs::write(&bad, bytes).unwrap();
        let bad = bad.display().to_string();
        for asked in [&["restore", &bad, "--store", &store][..], &["store", "verify", "--backup", &bad]] {
            let (found, says) = offline(asked);
            assert!(found == Some(code) && says.contains(words), "{asked:?}: {found:?} {says}");
        }
        assert!(!Path::new(&store).exists(), "nothing was made of it");
    }
}

fn mode(path: &Path) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions()) & 0o777
}
