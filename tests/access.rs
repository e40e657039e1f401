//! Who may call what: every unary call of every service without a key, with a wrong role, with another tenant's key
//! and with one that is over. The calls are read from the protos, so that a new one is in the table by itself.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use blackbox::daemon::{Daemon, Files};
use blackbox::http::{Client, Door, Failed, frame};
use blackbox::{row, table};
use serde_json::{Value, json};

const TENANT: &str = "acme";
const OTHER: &str = "globex";

const FILES: Files<'_> = Files {
    tenant: "on: true\ntime_zone: UTC\n",
    channel: "kind: email\ntransport: outbox\n",
    sequence: "steps:\n  - wait: 1 hour\n    channel: mail\n    subject: Hello\n    body: Dear friend\n",
};

/// `Service/Method` of every unary call.
fn calls() -> BTreeSet<String> {
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../daemon/proto/followupd/v1");
    let mut calls = BTreeSet::new();
    for file in fs::read_dir(protos).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let mut service = String::new();
        for line in text.lines() {
            if let Some(named) = line.strip_prefix("service ") {
                service = named.trim_end_matches(" {").to_owned();
            }
            let call = line.trim().strip_prefix("rpc ").filter(|call| !call.contains("stream "));
            if let Some((method, _)) = call.and_then(|call| call.split_once('(')) {
                calls.insert(format!("{service}/{method}"));
            }
        }
    }
    calls
}

/// A request that names a tenant and what it has, whichever of these fields the call knows.
fn request(call: &str, tenant: &str, enrollment: &str) -> Value {
    let settings = json!({ "on": true, "timeZone": "UTC" });
    let channel = json!({ "kind": "email", "transport": "outbox" });
    let draft = json!({ "steps": [{ "channel": "mail", "body": "Dear friend", "subject": "Hello" }] });
    let event = json!({ "source": "inbox", "id": "e", "type": "message.received", "contact": "ana" });
    let one = json!({ "tenant": tenant, "enrollmentId": enrollment });
    match call.split_once('/').unwrap().1 {
        "PutTenant" => json!({ "name": tenant, "settings": settings }),
        "PutChannel" => json!({ "tenant": tenant, "name": "mail", "settings": channel }),
        "PutAccount" => json!({ "tenant": tenant, "name": "main" }),
        "PutSequence" => json!({ "tenant": tenant, "name": "welcome", "sequence": draft }),
        "GetTenant" | "DeleteTenant" | "ListAccounts" | "ListChannels" | "ListHolds" | "ListSequences" => {
            json!({ "tenant": tenant })
        }
        "ListTenants" => json!({}),
        "Compare" => json!({ "tenant": tenant, "wanted": [{ "tenant": settings }] }),
        "GetAccount" => json!({ "tenant": tenant, "account": "main" }),
        "GetChannel" => json!({ "tenant": tenant, "channel": "mail" }),
        "PreviewSequence" => {
            json!({ "tenant": tenant, "sequence": "welcome", "enroll": { "contact": "ana" } })
        }
        "ValidateSequence" => json!({ "tenant": tenant, "draft": draft }),
        "GetSequence" | "PauseSequence" | "ActivateSequence" | "ArchiveSequence" | "Publish"
        | "GetFunnel" => json!({ "tenant": tenant, "sequence": "welcome" }),
        "StopSending" | "ResumeSending" => json!({}),
        "Hold" | "Release" | "PreviewRelease" => {
            json!({ "tenant": tenant, "scope": { "sequence": "welcome" } })
        }
        "Enroll" => json!({ "tenant": tenant, "sequence": "welcome", "enroll": { "contact": "bo" } }),
        "EnrollBatch" => json!({ "tenant": tenant, "sequence": "welcome", "enrolls": [{ "contact": "bo" }] }),
        "Send" => json!({ "tenant": tenant, "event": event }),
        "SendReceipts" => json!({ "tenant": tenant, "receipts": [{ "sendId": "snd_X", "status": "read" }] }),
        "SendBatch" => json!({ "tenant": tenant, "events": [event] }),
        "GetContact" | "Suppress" | "Lift" | "ExportContact" | "Erase" | "ListByContact" => {
            json!({ "tenant": tenant, "contact": "ana" })
        }
        "ListQuarantined" | "ListEnrollments" => json!({ "tenant": tenant }),
        "GetEnrollment" | "GetTimeline" | "Explain" | "Exit" | "Pause" | "Resume" | "ReleaseQuarantine" => {
            one
        }
        "CreateKey" => json!({ "name": "another", "keyTenant": tenant, "roles": ["ROLE_READER"] }),
        "RevokeKey" => json!({ "name": format!("{tenant}-operator") }),
        "ListAudit" => json!({ "tenant": tenant }),
        "ListKeys" => json!({}),
        other => panic!("what does a request of {other} look like?"),
    }
}

/// The status and the reason of a refusal; 200 for an answer.
fn outcome(client: &mut Client, call: &str, request: &Value) -> (u16, String) {
    match client.call(call, request) {
        Ok(_) => (200, String::new()),
        Err(Failed::Broken(error)) => panic!("{call}: {error}"),
        Err(Failed::Refused { status, says }) => {
            let reason = says["details"][0]["debug"]["reason"].as_str().or(says["code"].as_str());
            (status, reason.unwrap_or_default().to_owned())
        }
    }
}

fn key(daemon: &Daemon, name: &str, tenant: &str, role: &str) -> Client {
    let roles = json!([format!("ROLE_{}", role.to_uppercase())]);
    let request = json!({ "name": name, "keyTenant": tenant, "roles": roles });
    let made = daemon.client().must("AccessService/CreateKey", &request);
    Client::new(&Door { key: made["text"].as_str().unwrap().to_owned(), ..daemon.door() })
}

fn with(daemon: &Daemon, key: &str) -> Client {
    Client::new(&Door { key: key.to_owned(), ..daemon.door() })
}

#[test]
fn no_call_passes_without_the_key_the_role_and_the_tenant_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    for tenant in [TENANT, OTHER] {
        daemon.put(tenant, "welcome", &FILES);
        daemon.client().must("TenantService/PutAccount", &json!({ "tenant": tenant, "name": "main" }));
    }
    let mut operator = daemon.client();
    let ana = json!({ "tenant": TENANT, "sequence": "welcome", "enroll": { "contact": "ana",
        "profile": { "email": "ana@mail.example" } } });
    let answer = operator.must("EnrollmentService/Enroll", &ana);
    let enrollment = answer["result"]["enrollmentId"].as_str().unwrap().to_owned();
    key(&daemon, "acme-operator", TENANT, "operator");
    let mut reviewer = key(&daemon, "reviewer", "", "reviewer");
    let mut other = key(&daemon, "globex-operator", OTHER, "operator");
    let mut revoked = key(&daemon, "revoked", "", "operator");
    operator.must("AccessService/RevokeKey", &json!({ "name": "revoked" }));
    let door = daemon.door();
    let forged = format!("{}{}", &door.key[..door.key.len() - 4], "0000");
    let before = operator.must("EnrollmentService/GetTimeline", &request("x/Exit", TENANT, &enrollment));

    let mut rows = Vec::new();
    for call in calls() {
        let asked = request(&call, TENANT, &enrollment);
        for (who, client) in [
            ("none", &mut with(&daemon, "")),
            ("forged", &mut with(&daemon, &forged)),
            ("revoked", &mut revoked),
        ] {
            assert_eq!(outcome(client, &call, &asked).0, 401, "{call} with key: {who}");
        }
        assert_eq!(outcome(&mut reviewer, &call, &asked).0, 403, "{call} with a wrong role");
        let (status, _) = outcome(&mut other, &call, &asked);
        if ["AccessService/ListKeys", "TenantService/ListTenants"].contains(&call.as_str()) {
            let own = other.must(&call, &asked).to_string();
            assert!(!own.contains(TENANT) && !own.contains("reviewer"), "{own}");
        } else {
            assert!(matches!(status, 400 | 404), "{call} with another tenant's key: {status}");
        }
        rows.push(row![call, 401, 403, status]);
    }
    table::print("calls: no key, wrong role, another tenant's key", &rows);
    let after = operator.must("EnrollmentService/GetTimeline", &request("x/Exit", TENANT, &enrollment));
    assert_eq!(before, after, "nothing of it was done");
    let nobody = request("x/PutTenant", "initech", "");
    assert_eq!(
        outcome(&mut other, "TenantService/PutTenant", &nobody).0,
        404,
        "a tenant is made by a key for all"
    );
}

#[test]
fn health_needs_no_key_and_reflection_any() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    let asks = r#"{"listServices":""}"#;
    // A stream of Connect: each message is led by a byte of flags and four of its length.
    let asks = format!("\0\0\0\0{}{asks}", char::from(u8::try_from(asks.len()).unwrap()));
    let reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let health = |service: &str| json!({ "service": service }).to_string();
    let (json, stream) = ("application/json", "application/connect+json");
    let check = "/grpc.health.v1.Health/Check";
    let (none, reviewer) = (|| with(&daemon, ""), || key(&daemon, "reviewer", "", "reviewer"));
    let table = [
        ("none", none(), check, json, health(""), 200, "SERVING"),
        ("none", none(), check, json, health("followupd.v1.EventService"), 200, "SERVING"),
        ("none", none(), check, json, health("followupd.v1.Other"), 404, "there are followupd.v1."),
        ("none", none(), reflection, stream, asks.clone(), 200, "unauthenticated"),
        ("reviewer", reviewer(), reflection, stream, asks, 200, "followupd.v1.EventService"),
    ];
    let mut rows = Vec::new();
    for (who, mut client, path, kind, body, status, says) in table {
        let headers = [("Content-Type", kind), ("Connect-Protocol-Version", "1")];
        let (answered, body) = client.request("POST", path, &headers, &body).unwrap();
        assert_eq!(answered, status, "{path} with key: {who}: {body}");
        assert!(body.contains(says), "{path} with key: {who}: {body}");
        rows.push(row![path, who, answered, says]);
    }
    table::print("health and reflection", &rows);
}

/// Reads what a stream answers until it has said this.
fn until_said(stream: &mut TcpStream, words: &str) {
    let (mut said, mut buffer) = (Vec::new(), [0; 4_096]);
    while !String::from_utf8_lossy(&said).contains(words) {
        let read = stream.read(&mut buffer).unwrap();
        assert_ne!(read, 0, "it ends without {words}: {}", String::from_utf8_lossy(&said));
        said.extend_from_slice(&buffer[..read]);
    }
}

#[test]
fn a_revoked_key_ends_the_stream_it_has_open() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    daemon.put(TENANT, "welcome", &FILES);
    let key = daemon.cli_must(TENANT, &["key", "create", "inbox", "--role", "sender"]);
    let mut stream = TcpStream::connect(daemon.door().address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let head = format!(
        "POST /followupd.v1.EventService/SendStream HTTP/1.1\r\nHost: followupd\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/connect+json\r\nConnect-Protocol-Version: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        key.trim()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut send = |id: &str, says: &str| {
        let event = json!({ "source": "inbox", "id": id, "type": "message.received", "contact": "ana" });
        let batch = frame(0, json!({ "tenant": TENANT, "events": [event] }).to_string().as_bytes());
        let chunk = [format!("{:x}\r\n", batch.len()).as_bytes(), &batch, b"\r\n"].concat();
        stream.write_all(&chunk).unwrap();
        until_said(&mut stream, says);
    };
    send("one", "EVENT_OUTCOME_ACCEPTED");
    send("one", "EVENT_OUTCOME_DUPLICATE");
    daemon.cli_must(TENANT, &["key", "revoke", "inbox"]);
    send("two", "\"unauthenticated\"");
    let again = json!({ "source": "inbox", "id": "two", "type": "message.received", "contact": "ana" });
    let sent = daemon.client().must("EventService/Send", &json!({ "tenant": TENANT, "event": again }));
    assert_eq!(sent["result"]["outcome"], "EVENT_OUTCOME_ACCEPTED", "it was not taken before: {sent}");
}

#[test]
fn a_person_makes_lists_and_revokes_keys() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path());
    daemon.put(TENANT, "welcome", &FILES);
    let text = daemon.cli_must(TENANT, &["key", "create", "inbox", "--role", "sender", "--days", "30"]);
    let mut inbox = with(&daemon, text.trim());
    let event = request("x/Send", TENANT, "");
    assert_eq!(outcome(&mut inbox, "EventService/Send", &event).0, 200);
    let listed = daemon.cli_must(TENANT, &["key", "list"]);
    assert!(listed.contains("inbox") && listed.contains("sender") && !listed.contains("fup_"), "{listed}");
    daemon.kill();
    daemon.restart();
    inbox = with(&daemon, text.trim());
    assert_eq!(outcome(&mut inbox, "EventService/Send", &event).0, 200, "keys are durable");
    daemon.cli_must(TENANT, &["key", "revoke", "inbox"]);
    assert_eq!(outcome(&mut inbox, "EventService/Send", &event).0, 401);
    let last = daemon.cli(TENANT, &["key", "revoke", "operator"]);
    assert_eq!(last.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&last.stderr).contains("last operator"), "{last:?}");
    let wrong = daemon.cli(TENANT, &["key", "create", "In Box", "--role", "sender"]);
    assert_eq!(wrong.status.code(), Some(4), "{wrong:?}");
    let acts = daemon.cli_must(TENANT, &["audit"]);
    assert!(acts.contains("publish") && acts.contains("sequence welcome"), "{acts}");
    let mut operator = daemon.client();
    let mut page = operator.must("AccessService/ListAudit", &json!({ "pageSize": 2 }));
    let what = |page: &Value| page["entries"][0]["what"].as_str().unwrap().to_owned();
    assert_eq!(what(&page), "key inbox");
    let token = page["nextPageToken"].clone();
    let elsewhere = json!({ "tenant": TENANT, "pageToken": token });
    assert_eq!(
        outcome(&mut operator, "AccessService/ListAudit", &elsewhere).0,
        400,
        "a token of another list"
    );
    page = operator.must("AccessService/ListAudit", &json!({ "pageSize": 2, "pageToken": token }));
    assert_eq!(
        (what(&page), &page["nextPageToken"]),
        ("key operator (all tenants)".to_owned(), &Value::Null)
    );
}
