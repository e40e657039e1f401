//! People as an operator meets them: wrong requests are refused with a reason and a field and change nothing, and the
//! command line lists, explains, suppresses, hands out and erases.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use blackbox::daemon::{Daemon, Files};
use blackbox::http::{Client, Failed};
use blackbox::{refusal, row, table};
use serde_json::{Value, json};

const TENANT: &str = "acme";

const FILES: Files<'_> = Files {
    tenant: "on: true\ntime_zone: UTC\n",
    channel: "kind: email\ntransport: outbox\n",
    sequence: "steps:\n  - wait: 20 days\n    channel: mail\n    subject: Hello\n    body: Dear friend\n",
};

fn started(folder: &std::path::Path) -> (Daemon, Client, String) {
    let daemon = Daemon::start(folder);
    daemon.put(TENANT, "welcome", &FILES);
    let mut client = daemon.client();
    let mut ids = Vec::new();
    for contact in ["ana", "bo", "cy"] {
        let wish = json!({ "tenant": TENANT, "sequence": "welcome", "enroll": { "contact": contact,
            "profile": { "name": "somebody", "email": format!("{contact}@mail.example") } } });
        let answer = client.must("EnrollmentService/Enroll", &wish);
        ids.push(answer["result"]["enrollmentId"].as_str().unwrap().to_owned());
    }
    (daemon, client, ids.remove(0))
}

/// The status, the reason and the first wrong field of a refusal.
fn refused(client: &mut Client, call: &str, request: &Value) -> (u16, String, String) {
    match client.call(call, request) {
        Ok(answer) => panic!("{call} {request} is answered: {answer}"),
        Err(Failed::Broken(error)) => panic!("{call}: {error}"),
        Err(Failed::Refused { status, says }) => (status, refusal::reason(&says), refusal::field(&says)),
    }
}

/// Everything of a tenant that these calls could change.
fn state(client: &mut Client) -> Value {
    let all = client.must("EnrollmentService/ListEnrollments", &json!({ "tenant": TENANT }));
    let contacts = ["ana", "bo", "cy"].map(|contact| {
        client.must("ContactService/GetContact", &json!({ "tenant": TENANT, "contact": contact }))
    });
    let audit = client.must("AccessService/ListAudit", &json!({ "tenant": TENANT }));
    json!([all, contacts, audit])
}

/// Call, request (without its tenant, which is `acme` unless it is named), status, first wrong field. `TOKEN` is of
/// another list, `ID` an enrollment, `NONE` is well written and nobody's, `LONG` has 129 bytes.
const WRONG: &str = r#"
EnrollmentService/ListEnrollments | "tenant": "nobody" | 404 |
EnrollmentService/ListEnrollments | "filter": { "sequence": "nothing" } | 404 |
EnrollmentService/ListEnrollments | "filter": { "state": "activ" } | 400 | filter.state
EnrollmentService/ListEnrollments | "filter": { "exitReason": "reply" } | 400 | filter.exit_reason
EnrollmentService/ListEnrollments | "filter": { "contact": "LONG" } | 400 | filter.contact
EnrollmentService/ListEnrollments | "filter": { "target": { "kind": "chrage", "id": "x" } } | 400 | filter.target.kind
EnrollmentService/ListEnrollments | "filter": { "dueFrom": "2026-03-02T00:00:00Z", "dueUntil": "2026-03-01T00:00:00Z" } | 400 | filter.due_until
EnrollmentService/ListEnrollments | "pageSize": 1001 | 400 | page_size
EnrollmentService/ListEnrollments | "pageToken": "TOKEN" | 400 | page_token
EnrollmentService/ListEnrollments | "pageToken": "zz" | 400 | page_token
EnrollmentService/ListQuarantined | "pageToken": "TOKEN" | 400 | page_token
EnrollmentService/ListQuarantined | "tenant": "nobody" | 404 |
EnrollmentService/Explain | "enrollmentId": "ana" | 400 | enrollment_id
EnrollmentService/Explain | "enrollmentId": "NONE" | 404 |
EnrollmentService/Explain | "tenant": "nobody", "enrollmentId": "ID" | 404 |
ContactService/GetContact | "contact": "nobody" | 404 |
ContactService/GetContact | "contact": "" | 400 | contact
ContactService/GetContact | "tenant": "nobody", "contact": "ana" | 404 |
ContactService/Suppress | "contact": "" | 400 | contact
ContactService/Suppress | "contact": "a\nb" | 400 | contact
ContactService/Suppress | "contact": "ana", "address": "+15550100" | 400 | address
ContactService/Suppress | "address": "0171" | 400 | address
ContactService/Suppress | "contact": "ana", "kind": "emial" | 400 | kind
ContactService/Suppress | "address": "+15550100", "kind": "email" | 400 | kind
ContactService/Suppress | "tenant": "nobody", "contact": "ana" | 404 |
ContactService/Lift | "contact": "nobody" | 404 |
ContactService/Lift | "contact": "ana", "kind": "fax" | 400 | kind
ContactService/ExportContact | "contact": "nobody" | 404 |
ContactService/ExportContact | "contact": "ana", "pageToken": "TOKEN" | 400 | page_token
ContactService/Erase | "contact": "nobody" | 404 |
ContactService/Erase | "contact": "LONG" | 400 | contact
"#;

#[test]
fn each_wrong_request_names_its_reason_and_field_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (_daemon, mut client, id) = started(folder.path());
    let page = json!({ "tenant": TENANT, "pageSize": 1, "filter": { "state": "active" } });
    let next = client.must("EnrollmentService/ListEnrollments", &page)["nextPageToken"].clone();
    let token = next.as_str().expect("there are three, and a page of one");
    let none = id.replace(&id[8..12], "0000");
    let before = state(&mut client);
    let mut rows = Vec::new();
    for line in WRONG.lines().filter(|line| !line.is_empty()) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [call, request, status, field] = cells[..] else { panic!("{line}") };
        let request = request.replace("TOKEN", token).replace("NONE", &none).replace("ID", &id);
        let request = format!("{{ {} }}", request.replace("LONG", &"x".repeat(129)));
        let mut request: Value = serde_json::from_str(&request).unwrap();
        request.as_object_mut().unwrap().entry("tenant").or_insert_with(|| json!(TENANT));
        let found = refused(&mut client, call, &request);
        let reason = if status == "404" { "NOT_FOUND" } else { "INVALID" };
        let found = (found.0.to_string(), found.1.as_str(), found.2.as_str());
        assert_eq!(found, (status.to_owned(), reason, field), "{call} {request}");
        rows.push(row![call, status, reason, field]);
    }
    table::print("wrong requests: status, reason, field", &rows);
    assert_eq!(before, state(&mut client), "nothing of it was done");
}

#[test]
fn an_operator_lists_explains_suppresses_hands_out_and_erases() {
    let folder = tempfile::tempdir().unwrap();
    let (mut daemon, _, id) = started(folder.path());
    let cli = |daemon: &Daemon, arguments: &[&str]| daemon.cli_must(TENANT, arguments);
    let listed = cli(&daemon, &["enrollment", "list"]);
    assert_eq!(listed.lines().count(), 4, "a heading and three: {listed}");
    let of_ana = cli(&daemon, &["enrollment", "list", "ana", "--state", "active"]);
    assert!(of_ana.contains(&id) && of_ana.lines().count() == 2, "{of_ana}");
    let explained = cli(&daemon, &["enrollment", "explain", &id]);
    assert!(explained.starts_with("step 1: the step is sent, through mail, 20"), "{explained}");
    assert!(explained.contains("decided by: wait"), "{explained}");
    let done = cli(&daemon, &["contact", "suppress", "ana", "--kind", "email", "--reason", "asked by phone"]);
    assert!(done.contains(&format!("{id} has left")), "{done}");
    let explained = cli(&daemon, &["enrollment", "explain", &id]);
    assert!(explained.starts_with("it is over"), "{explained}");
    let shown = cli(&daemon, &["contact", "show", "ana"]);
    assert!(shown.contains("by_hand") && shown.contains("asked by phone"), "{shown}");
    assert!(cli(&daemon, &["contact", "lift", "ana"]).contains("is lifted"));
    assert!(cli(&daemon, &["contact", "lift", "ana"]).contains("was not suppressed"));
    // What they write counts whoever hears it, and once.
    let opted_out = |text: &str, id: &str| {
        let written = ["event", "send", "message.received", "--contact", "ana", "--channel", "email"];
        cli(&daemon, &[written.as_slice(), &["--text", text, "--id", id]].concat());
        cli(&daemon, &["contact", "show", "ana"]).contains("opted_out")
    };
    for (text, id, out) in
        [("stop", "m1", true), ("Start", "m2", false), ("stop", "m3", true), ("Start", "m2", true)]
    {
        assert_eq!(opted_out(text, id), out, "{text} {id}");
    }
    assert!(!opted_out("unstop", "m4"));
    let document: Value = serde_json::from_str(&cli(&daemon, &["contact", "export", "ana"])).unwrap();
    assert_eq!(document["contact"]["profile"]["email"], "ana@mail.example");
    assert_eq!(document["enrollments"][0]["entries"][0]["kind"], "enrolled");
    let unmeant = daemon.cli(TENANT, &["contact", "erase", "ana"]);
    assert_eq!(unmeant.status.code(), Some(2), "it has to be meant: {unmeant:?}");
    let erased = cli(&daemon, &["contact", "erase", "ana", "--yes"]);
    assert!(erased.contains("person-") && erased.contains("in 1 enrollments"), "{erased}");
    daemon.kill();
    daemon.restart();
    let mut client = daemon.client();
    let same = json!({ "tenant": TENANT, "sequence": "welcome", "enroll": { "contact": "dora",
        "profile": { "email": "ANA@mail.example" } } });
    assert_eq!(refused(&mut client, "EnrollmentService/Enroll", &same).1, "SUPPRESSED");
    let gone =
        refused(&mut client, "ContactService/GetContact", &json!({ "tenant": TENANT, "contact": "ana" }));
    assert_eq!(gone.0, 404);
    let acts = cli(&daemon, &["audit"]);
    for act in ["suppress", "lift", "export", "erase"] {
        assert!(acts.contains(act), "{acts}");
    }
    assert!(!acts.contains(" ana"), "the audit log names nobody: {acts}");
}
