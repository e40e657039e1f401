//! Tenants, channels and sequences from outside: pages, revisions, request ids, and the commands of a person.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;

use blackbox::daemon::{Daemon, Files};
use blackbox::http::{Client, Failed};
use serde_json::{Value, json};

const TENANT: &str = "acme";

const FILES: Files<'_> = Files {
    tenant: "on: true\ntime_zone: UTC\nquiet_hours:\n  - {days: sat, from: '00:00', to: '24:00'}\n",
    channel: "kind: email\ntransport: outbox\nrate: {count: 80}\n",
    sequence: "steps:\n  - wait: 1 hour\n    channel: mail\n    subject: Hello\n    body: Dear {{ contact.name }}\n",
};

/// The status of a refusal and what it says.
fn refusal(client: &mut Client, call: &str, request: &Value) -> (u16, String) {
    match client.call(call, request) {
        Ok(answer) => panic!("{call} was answered: {answer}"),
        Err(Failed::Broken(error)) => panic!("{call}: {error}"),
        Err(Failed::Refused { status, says }) => {
            (status, says["message"].as_str().unwrap_or_default().to_owned())
        }
    }
}

#[test]
fn a_person_reads_what_was_put_tries_it_and_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    daemon.put(TENANT, "welcome", &FILES);
    let shown = daemon.cli_must(TENANT, &["tenant", "get", TENANT]);
    let file = folder.path().join("again.yaml");
    fs::write(&file, &shown).unwrap();
    daemon.cli_must(TENANT, &["tenant", "put", TENANT, "-f", &file.display().to_string()]);
    let settings = |text: &str| text.lines().filter(|line| !line.starts_with('#')).collect::<String>();
    assert_eq!(settings(&daemon.cli_must(TENANT, &["tenant", "get", TENANT])), settings(&shown));
    assert!(daemon.cli_must(TENANT, &["tenant", "list"]).contains("acme  on"), "{shown}");
    assert!(daemon.cli_must(TENANT, &["channel", "get", "mail"]).contains("count: 80"));
    assert!(daemon.cli_must(TENANT, &["channel", "list"]).contains("80 per 1 second"));

    let warned =
        daemon.cli_must(TENANT, &["sequence", "validate", "welcome", "-f", &sequence(&folder, "1 hour")]);
    assert!(warned.contains("warning steps[0].body: fails where contact.name is missing"), "{warned}");
    let wrong =
        daemon.cli(TENANT, &["sequence", "validate", "welcome", "-f", &sequence(&folder, "1 fortnight")]);
    assert_eq!(wrong.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&wrong.stdout).contains("fault   steps[0].wait"), "{wrong:?}");
    let seen = daemon.cli_must(
        TENANT,
        &[
            "sequence",
            "preview",
            "welcome",
            "--contact",
            "ana",
            "--email",
            "ana@mail.example",
            "--name",
            "Ana",
        ],
    );
    assert!(seen.contains("mail · sent") && seen.contains("Dear Ana"), "{seen}");

    daemon.cli_must(TENANT, &["sequence", "pause", "welcome", "--reason", "typo"]);
    let held = daemon.cli_must(TENANT, &["holds"]);
    assert!(
        held.contains("sequence welcome") && held.contains("operator") && held.contains("typo"),
        "{held}"
    );
    let refused = daemon
        .cli(TENANT, &["enroll", "--sequence", "welcome", "--contact", "bo", "--email", "b@mail.example"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("paused"), "{refused:?}");
    daemon.cli_must(TENANT, &["sequence", "resume", "welcome"]);
    daemon.cli_must(TENANT, &["sequence", "archive", "welcome"]);
    let listed = daemon.cli_must(TENANT, &["sequence", "list", "--status", "archived"]);
    assert!(listed.contains("welcome"), "{listed}");
    let shown = daemon.cli_must(TENANT, &["sequence", "get", "welcome"]);
    assert!(
        shown.contains("archived") && shown.contains("# version 1") && shown.contains("1 hour"),
        "{shown}"
    );
}

fn sequence(folder: &tempfile::TempDir, wait: &str) -> String {
    let path = folder.path().join("try.yaml");
    fs::write(&path, FILES.sequence.replace("1 hour", wait)).unwrap();
    path.display().to_string()
}

#[test]
fn a_person_puts_an_account_and_holds_all_its_channels() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    daemon.put(TENANT, "welcome", &FILES);
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let example = daemon.cli_must(TENANT, &["example", "account"]);
    daemon.cli_must(TENANT, &["account", "put", "portfolio", "-f", &file("account.yaml", &example)]);
    let channel = format!("{}account: portfolio\n", FILES.channel);
    daemon.cli_must(TENANT, &["channel", "put", "mail", "-f", &file("channel.yaml", &channel)]);
    let shown = daemon.cli_must(TENANT, &["account", "show", "portfolio"]);
    for line in
        ["# channels: mail\n", "# new recipients of the last 24 h: 0 of 2000\n", "new_recipients: 2000\n"]
    {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert!(daemon.cli_must(TENANT, &["channel", "show", "mail"]).contains("account: portfolio\n"));

    let held = daemon.cli_must(TENANT, &["hold", "--account", "portfolio", "--reason", "unpaid"]);
    assert!(held.starts_with("account portfolio is held"), "{held}");
    let ana = ["enroll", "--sequence", "welcome", "--contact", "ana", "--email", "ana@mail.example"];
    daemon.cli_must(TENANT, &ana);
    assert!(daemon.cli_must(TENANT, &["account", "list"]).contains("operator: unpaid"));
    assert!(daemon.cli_must(TENANT, &["holds"]).contains("account portfolio"));
    let backlog = daemon.cli_must(TENANT, &["channel", "show", "mail"]);
    assert!(backlog.contains("account of the channel is held"), "{backlog}");
    let released = daemon.cli_must(TENANT, &["resume-sending", "--account", "portfolio", "--yes"]);
    assert!(released.starts_with("account portfolio is released"), "{released}");
    let unknown = daemon.cli(TENANT, &["hold", "--account", "portfolo"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("account"), "{unknown:?}");
    assert_eq!(unknown.status.code(), Some(4));
}

#[test]
fn pages_revisions_and_request_ids_hold_over_the_wire() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    daemon.put(TENANT, "welcome", &FILES);
    let mut client = daemon.client();
    let settings = json!({ "kind": "email", "transport": "outbox" });
    let put = |name: &str, more: Value| {
        let mut request = json!({ "tenant": TENANT, "name": name, "settings": settings });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request
    };
    for name in ["b", "c"] {
        client.must("TenantService/PutChannel", &put(name, json!({ "onlyNew": true })));
    }
    let first = client.must("TenantService/ListChannels", &json!({ "tenant": TENANT, "pageSize": 2 }));
    let names = |page: &Value| -> Vec<String> {
        let channels = page["channels"].as_array().unwrap();
        channels.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&first), ["b", "c"]);
    let token = &first["nextPageToken"];
    let next = json!({ "tenant": TENANT, "pageSize": 2, "pageToken": token });
    assert_eq!(names(&client.must("TenantService/ListChannels", &next)), ["mail"]);
    let elsewhere = json!({ "pageToken": token });
    assert_eq!(refusal(&mut client, "TenantService/ListTenants", &elsewhere).0, 400);

    let exists = put("b", json!({ "onlyNew": true }));
    let (status, says) = refusal(&mut client, "TenantService/PutChannel", &exists);
    assert!(status == 409 && says.contains("none was to be there"), "{status} {says}");
    let seen = client.must("TenantService/GetChannel", &json!({ "tenant": TENANT, "channel": "b" }));
    let revision = &seen["channel"]["revision"];
    let again = put("b", json!({ "expectedRevision": revision }));
    assert_ne!(&client.must("TenantService/PutChannel", &again)["revision"], revision);
    assert_eq!(refusal(&mut client, "TenantService/PutChannel", &again).0, 409);

    let sequence =
        client.must("SequenceService/GetSequence", &json!({ "tenant": TENANT, "sequence": "welcome" }));
    let draft = json!({ "tenant": TENANT, "name": "welcome", "sequence": sequence["published"] });
    client.must("SequenceService/PutSequence", &draft);
    let mut once = client.with_header("request-id", "publish-1");
    let publish = json!({ "tenant": TENANT, "sequence": "welcome" });
    let published = once.must("SequenceService/Publish", &publish);
    assert_eq!(published["version"], 2);
    assert_eq!(once.must("SequenceService/Publish", &publish), published);
    let other = json!({ "tenant": TENANT, "sequence": "other" });
    let (status, says) = refusal(&mut once, "SequenceService/Publish", &other);
    assert!(status == 400 && says.contains("stands for another call"), "{status} {says}");
}
