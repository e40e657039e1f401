//! What people and programs get wrong: each input with its status or exit code, its reason and its field, and the store
//! as it was before.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use blackbox::daemon::{self, Daemon, Files};
use blackbox::http::{Client, Door, Failed};
use blackbox::{refusal, row, state, table};
use serde_json::{Value, json};

const TENANT: &str = "acme";

const FILES: Files<'_> = Files {
    tenant: "on: true\ntime_zone: UTC\n",
    channel: "kind: email\ntransport: outbox\n",
    sequence: "steps:\n  - wait: 20 days\n    channel: mail\n    subject: Hello\n    body: Dear friend\n",
};

/// Who calls | call | request, without its tenant, which is `acme` unless it is named | status | reason | first wrong
/// field | words of the message. `TOKEN` is of another filter, `LONG` has 70,000 bytes, `STEP` the rest of a right step.
const CALLS: &str = r#"
operator | TenantService/PutTenant | "name": "acme", "settings": { "timeZone": "Europe/Berln" } | 400 | INVALID | settings.time_zone | Europe/Berlin
operator | TenantService/PutTenant | "name": "initech", "settings": { "timeZone": "Mars/Olympus" } | 400 | INVALID | settings.time_zone | Mars/Olympus
operator | TenantService/PutTenant | "name": "acme", "settings": { "timeZone": "UTC", "quietHours": [{ "days": "mon-sun", "from": "00:00", "to": "24:00" }] } | 400 | INVALID | settings.quiet_hours | hour
operator | TenantService/PutTenant | "name": "Acme Inc", "settings": { "timeZone": "UTC" } | 400 | INVALID | name | a-z
operator | TenantService/PutChannel | "name": "fax", "settings": { "kind": "emial", "transport": "outbox" } | 400 | INVALID | settings.kind | did you mean "email"
operator | TenantService/PutChannel | "name": "mail", "settings": { "kind": "email", "transport": "outbox" }, "expectedRevision": 1 | 409 | REVISION_MISMATCH | | read it again
operator | TenantService/PutChannel | "name": "mail", "settings": { "kind": "email", "transport": "outbox" }, "onlyNew": true | 409 | REVISION_MISMATCH | | none was to be there
operator | TenantService/PutChannel | "name": "chat", "settings": { "kind": "email", "transport": "outbox", "account": "portfolo" } | 400 | INVALID | settings.account | put it first
operator | TenantService/PutChannel | "name": "chat", "settings": { "kind": "email", "transport": "outbox", "noKillSwitches": true, "killSwitches": [{ "signal": "failed", "percent": 20, "after": 20 }] } | 400 | INVALID | settings.no_kill_switches | one of them
operator | TenantService/PutChannel | "name": "hook", "settings": { "kind": "webhook", "transport": "http", "http": { "url": "https://169.254.169.254/", "secrets": [{ "value": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }] } } | 400 | INVALID | settings.http.url | open internet
operator | TenantService/PutChannel | "name": "hook", "settings": { "kind": "webhook", "transport": "http", "http": { "url": "https://0x7f.1/", "secrets": [{ "value": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }] } } | 400 | INVALID | settings.http.url | 127.0.0.1
operator | TenantService/PutChannel | "name": "hook", "settings": { "kind": "webhook", "transport": "http", "http": { "url": "http://hooks.example/", "secrets": [{ "value": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }] } } | 400 | INVALID | settings.http.url | https
operator | TenantService/PutChannel | "name": "wa", "settings": { "kind": "whatsapp", "transport": "meta", "meta": { "phoneNumberId": "1", "token": { "value": "t" }, "base": "https://169.254.169.254/" } } | 400 | INVALID | settings.meta.base | open internet
operator | TenantService/PutChannel | "name": "chat", "settings": { "kind": "conversation", "transport": "chatwoot", "chatwoot": { "base": "https://10.0.0.7/", "account": 1, "token": { "value": "t" } } } | 400 | INVALID | settings.chatwoot.base | open internet
operator | TenantService/PutAccount | "name": "Port Folio" | 400 | INVALID | name | a-z
operator | TenantService/PutAccount | "name": "portfolio", "expectedRevision": 9 | 409 | REVISION_MISMATCH | | not there
operator | TenantService/GetAccount | "account": "portfolio" | 404 | NOT_FOUND | | portfolio
operator | TenantService/Hold | "scope": { "account": "portfolio" } | 404 | NOT_FOUND | | portfolio
sender | TenantService/PutAccount | "name": "portfolio" | 403 | ROLE_MISSING | | operator
operator | SequenceService/PutSequence | "name": "later", "sequence": { "steps": [{ "wait": "36500 days", STEP }] } | 400 | INVALID | sequence.steps[0].wait | 366 days
operator | SequenceService/PutSequence | "name": "later", "sequence": { "steps": [{ "wait": "0 hours", STEP }] } | 400 | INVALID | sequence.steps[0].wait | leave it out
operator | SequenceService/PutSequence | "name": "later", "sequence": { "steps": [] } | 400 | INVALID | sequence.steps | at least one step
operator | SequenceService/PutSequence | "name": "later", "sequence": { "steps": [{ "channel": "mail" }] } | 400 | INVALID | sequence.steps[0].body | give a body
operator | SequenceService/PutSequence | "name": "later", "sequence": { "steps": [{ "channel": "mail", "subject": "a", "body": "{{ contact.emial }}" }] } | 400 | INVALID | sequence.steps[0].body | email
operator | SequenceService/PutSequence | "name": "later", "sequence": { "steps": [{ "channel": "mail", "subject": "a", "body": "LONG" }] } | 400 | INVALID | sequence.steps[0].body | 65536
operator | SequenceService/PutSequence | "name": "later", "sequence": { "steps": [{ "channel": "post", "subject": "a", "body": "b" }] } | 400 | INVALID | sequence.steps[0].channel | post
operator | AccessService/CreateKey | "name": "crm", "roles": ["ROLE_SENDER"], "expiresAfter": "315576000000s" | 400 | INVALID | expires_after | 3660 days
operator | SettingsService/Compare | "wanted": [] | 400 | INVALID | wanted | 1 to 1000
operator | SettingsService/Compare | "wanted": [{ "name": "mail" }] | 400 | INVALID | wanted[0] | says nothing
operator | SettingsService/Compare | "tenant": "nobody", "wanted": [{ "name": "mail", "channel": { "kind": "email" } }] | 404 | NOT_FOUND | | nobody
sender | SettingsService/Compare | "wanted": [{ "tenant": { "timeZone": "UTC" } }] | 403 | ROLE_MISSING | | operator
operator | EnrollmentService/Enroll | "sequence": "resting", "enroll": { "contact": "bo", "profile": { "email": "bo@mail.example" } } | 400 | SEQUENCE_PAUSED | | paused
operator | EnrollmentService/Enroll | "sequence": "welcom", "enroll": { "contact": "bo" } | 404 | NOT_FOUND | | welcom
operator | EnrollmentService/Enroll | "sequence": "welcome", "enroll": { "contact": "bo", "profile": { "email": "bo" } } | 400 | INVALID | enroll.profile.email | @
operator | EnrollmentService/ListEnrollments | "pageSize": 1, "pageToken": "TOKEN" | 400 | INVALID | page_token |
operator | EventService/Send | "event": { "source": "inbox", "id": "e1", "type": "message.recieved", "contact": "ana" } | 400 | INVALID | event.type | message.received
operator | EventService/Send | "event": { "source": "inbox", "id": "e2", "type": "message.received", "contact": "ana", "occurredAt": "2126-01-01T00:00:00Z" } | 400 | INVALID | event.occurred_at | ahead
operator | EventService/Send | "event": { "source": "inbox", "id": "e3", "type": "message.received", "contact": "ana", "occurredAt": "2016-01-01T00:00:00Z" } | 400 | INVALID | event.occurred_at |
globex | TenantService/PutChannel | "name": "mail", "settings": { "kind": "email", "transport": "outbox" } | 404 | NOT_FOUND | | acme
globex | EventService/Send | "event": { "source": "inbox", "id": "e4", "type": "message.received", "contact": "ana" } | 404 | NOT_FOUND | | acme
sender | TenantService/PutTenant | "name": "acme", "settings": { "timeZone": "UTC" } | 403 | ROLE_MISSING | | operator
sender | TenantService/StopSending | "reason": "mine" | 403 | ROLE_MISSING | | operator
expired | EnrollmentService/Enroll | "sequence": "welcome", "enroll": { "contact": "bo" } | 401 | KEY_EXPIRED | | expired
"#;

struct World {
    daemon: Daemon,
    folder: tempfile::TempDir,
}

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    for tenant in [TENANT, "globex"] {
        daemon.put(tenant, "welcome", &FILES);
    }
    daemon.put(TENANT, "resting", &FILES);
    daemon.cli_must(TENANT, &["sequence", "pause", "resting", "--reason", "typo"]);
    for contact in ["ana", "zoe"] {
        let email = format!("{contact}@mail.example");
        let enroll = ["enroll", "--sequence", "welcome", "--contact", contact, "--email", &email];
        daemon.cli_must(TENANT, &enroll);
    }
    World { daemon, folder }
}

fn with(daemon: &Daemon, request: &Value) -> Client {
    let made = daemon.client().must("AccessService/CreateKey", request);
    Client::new(&Door { key: made["text"].as_str().unwrap().to_owned(), ..daemon.door() })
}

#[test]
fn each_wrong_call_names_its_reason_and_field_and_changes_nothing() {
    let World { daemon, folder: _folder } = world();
    let mut operator = daemon.client();
    let mut sender =
        with(&daemon, &json!({ "name": "sender", "keyTenant": TENANT, "roles": ["ROLE_SENDER"] }));
    let mut globex =
        with(&daemon, &json!({ "name": "globex", "keyTenant": "globex", "roles": ["ROLE_OPERATOR"] }));
    let expires = json!({ "name": "gone", "roles": ["ROLE_OPERATOR"], "expiresAfter": "0.001s" });
    let mut expired = with(&daemon, &expires);
    let page = json!({ "tenant": TENANT, "pageSize": 1, "filter": { "sequence": "welcome" } });
    let next = operator.must("EnrollmentService/ListEnrollments", &page)["nextPageToken"].clone();
    let token = next.as_str().unwrap_or_default();
    assert!(!token.is_empty(), "there are two, and a page of one");
    let step = r#""channel": "mail", "subject": "a", "body": "b""#;
    let before = state::everything(&mut operator);
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    for line in CALLS.lines().filter(|line| !line.is_empty()) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [who, call, request, status, reason, field, says] = cells[..] else { panic!("{line}") };
        let request = request.replace("TOKEN", token).replace("STEP", step);
        let request = format!("{{ {} }}", request.replace("LONG", &"x".repeat(70_000)));
        let mut request: Value = serde_json::from_str(&request).unwrap();
        if !["PutTenant", "StopSending", "CreateKey"].iter().any(|own| call.ends_with(own)) {
            request.as_object_mut().unwrap().entry("tenant").or_insert_with(|| json!(TENANT));
        }
        let client = match who {
            "operator" => &mut operator,
            "sender" => &mut sender,
            "globex" => &mut globex,
            "expired" => &mut expired,
            other => panic!("who is {other}?"),
        };
        match client.call(call, &request) {
            Err(Failed::Refused { status: found, says: body }) => {
                let message = body["message"].as_str().unwrap_or_default();
                let found = (found.to_string(), refusal::reason(&body), refusal::field(&body));
                let wanted = (status.to_owned(), reason.to_owned(), field.to_owned());
                if found != wanted || !message.contains(says) {
                    wrong.push(format!("{line}\n    {found:?} {message}"));
                }
            }
            answer => panic!("{call} {request}: {answer:?}"),
        }
        assert_eq!(before, state::everything(&mut operator), "{call} has changed something");
        rows.push(row![call, who, status, reason, field]);
    }
    table::print("wrong calls: who, status, reason, field", &rows);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Limits that contradict each other: what is put | the field of it that would go | the other one.
const CONTRADICTIONS: &str = r#"
"jitter": "30 seconds" | jitter | gap
"rest": { "after": 9, "span": "1 minute" }, "perDay": 8 | rest.after | per_day
"rest": { "after": 9, "span": "1 minute" }, "gap": "1 minute" | rest.span | gap
"warmUp": { "days": 5, "from": 1 } | warm_up.days | per_day
"warmUp": { "days": 5, "from": 9 }, "perDay": 8 | warm_up.from | per_day
"rate": { "count": 80, "burst": 20 }, "gap": "90 seconds" | rate.burst | gap
"rate": { "count": 1, "per": "720 hours", "burst": 1000 } | rate.burst | rate.per
"#;

#[test]
fn limits_that_contradict_each_other_are_refused_with_the_field_and_both_names() {
    let World { daemon, folder: _folder } = world();
    let mut operator = daemon.client();
    let before = state::everything(&mut operator);
    let mut wrong = Vec::new();
    for line in CONTRADICTIONS.lines().filter(|line| !line.is_empty()) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [limits, field, other] = cells[..] else { panic!("{line}") };
        let settings = format!(r#"{{ "kind": "email", "transport": "outbox", {limits} }}"#);
        let settings: Value = serde_json::from_str(&settings).unwrap();
        let put = json!({ "tenant": TENANT, "name": "limited", "settings": settings });
        match operator.call("TenantService/PutChannel", &put) {
            Err(Failed::Refused { status: 400, says }) => {
                let (found, message) = (refusal::field(&says), says["message"].as_str().unwrap_or_default());
                let names_both = message.contains(field) && message.contains(other);
                if found != format!("settings.{field}") || !names_both {
                    wrong.push(format!("{line}\n    {found} {message}"));
                }
            }
            answer => panic!("{line}: {answer:?}"),
        }
    }
    assert_eq!(before, state::everything(&mut operator));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// After so long it is not going to happen.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_name_that_leads_to_this_machine_is_not_connected_to_and_its_message_waits() {
    let World { daemon, folder } = world();
    let mut operator = daemon.client();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let channel = format!(
        "kind: webhook\ntransport: http\nhttp:\n  url: https://localhost:{}/\n  secrets:\n  - value: \
         whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
        listener.local_addr().unwrap().port()
    );
    for (kind, name, text) in
        [("channel", "hook", &*channel), ("sequence", "inside", "steps:\n- channel: hook\n  body: hi\n")]
    {
        let file = folder.path().join("given.yaml");
        fs::write(&file, text).unwrap();
        let publish: &[&str] = if kind == "sequence" { &["--publish"] } else { &[] };
        daemon.cli_must(TENANT, &[&[kind, "put", name, "-f", &file.display().to_string()], publish].concat());
    }
    let enroll = json!({ "tenant": TENANT, "sequence": "inside", "enroll": { "contact": "bo" } });
    let enrolled = operator.must("EnrollmentService/Enroll", &enroll);
    let asked = json!({ "tenant": TENANT, "enrollmentId": enrolled["result"]["enrollmentId"] });
    let began = Instant::now();
    loop {
        let timeline = operator.must("EnrollmentService/GetTimeline", &asked);
        let entries = timeline["entries"].as_array().unwrap();
        let is_refused = |entry: &&Value| entry["reason"] == "address_not_allowed";
        if let Some(refused) = entries.iter().find(is_refused) {
            assert_eq!(refused["kind"], "backed_off", "{timeline}");
            assert_eq!(timeline["enrollment"]["sends"][0]["status"], "scheduled", "{timeline}");
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{timeline}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let came = listener.accept();
    assert!(came.is_err(), "somebody has connected: {came:?}");
}

#[test]
fn a_message_over_the_limit_is_refused_and_the_connection_serves_on() {
    let World { daemon, folder: _folder } = world();
    let mut operator = daemon.client();
    let before = state::everything(&mut operator);
    let steps: Vec<Value> =
        (0..80).map(|_| json!({ "channel": "mail", "subject": "a", "body": "x".repeat(60_000) })).collect();
    let request = json!({ "tenant": TENANT, "name": "large", "sequence": { "steps": steps } });
    match daemon.client().call("SequenceService/PutSequence", &request) {
        Err(Failed::Refused { status, says }) => {
            assert_eq!((status, says["code"].as_str().unwrap()), (429, "resource_exhausted"), "{says}");
        }
        answer => panic!("{answer:?}"),
    }
    assert_eq!(before, state::everything(&mut operator));
}

/// Command line | what lies in the file it names | exit code | words on stderr.
const COMMANDS: &str = r#"
enroll --sequence welcome --csv FILE | contcat,email\nbo,bo@mail.example\n | 2 | there is no column "contact" ("contcat" is near to it)
enroll --sequence welcome --csv FILE | contact,email,email\nbo,bo@mail.example,bo@mail.example\n | 2 | two columns "email"
enroll --sequence welcome --csv FILE | contact;email\nbo;bo@mail.example\n | 2 | separate the columns by commas
enroll --sequence welcome --csv FILE | contact,email\nbo,bo@mail.example\ncy,c\xe9@mail.example\n | 2 | line 3, column "email": not UTF-8 from byte 2 on: save the file as UTF-8
enroll --sequence welcome --csv FILE | | 2 | the file is empty
enroll --sequence welcome --csv FILE | contact,email\n | 2 | it has a heading and no rows
enroll --sequence welcome --csv FILE | contact,email\nbo;bo@mail.example\ncy;cy@mail.example\n | 2 | no row has the 2 cells of the heading: line 2 has 1
enroll --sequence welcome --csv FILE | contact,email\nbo,"bo@mail.example\nOPEN | 2 | from line 2: a row has more than 1048576 bytes: close its quote
enroll --sequence welcome --csv FOLDER | | 2 | is a folder: name a file of contacts
enroll --sequence welcome --csv FOLDER/nothing.csv | | 2 | cannot be read
enroll --sequence welcome --csv FILE --contact bo | contact\nbo\n | 2 | cannot be used with
enroll --sequence welcome --contact bo --resume | | 2 | cannot be used with
enroll --sequence resting --contact bo --email bo@mail.example | | 4 | paused
enroll --sequence resting --csv FILE | contact,email\nbo,bo@mail.example\n | 7 | 1 row was rejected
tenant put acme -f FILE | tiem_zone: UTC\n | 2 | unknown key `tiem_zone`: did you mean `time_zone`?
tenant put acme -f FILE | - UTC\n | 2 | holds a list instead of the keys of a tenant
tenant put acme -f FILE | time_zone: Europe/Berln\n | 4 | settings.time_zone
sequence put later -f FILE | steps:\n  - wait: 100 years\n    channel: mail\n    subject: a\n    body: b\n | 4 | sequence.steps[0].wait
event send message.recieved --id e1 --contact ana | | 4 | message.received
key create crm --role oparator | | 2 | operator
diff FOLDER/nothing | | 2 | cannot be read
check-config --config FILE | [stroe]\nfolder = "x"\n | 2 | line 1: unknown key `stroe`: did you mean `store`?
check-config --config FILE | [listen]\naddress = "0.0.0.0:7400"\n | 2 | insecure = true
check-config --config FILE | [listen.tls]\ncertificate = "nothing.pem"\nkey = "nothing.key"\n | 2 | listen.tls.certificate
check-config --store FILE/store | taken\n | 6 | is no folder
completions tcsh | | 2 | bash, zsh, fish
"#;

fn bytes(text: &str) -> Vec<u8> {
    let text = text.replace("\\n", "\n").replace("OPEN", &"x\n".repeat(1_000_000));
    let mut parts = text.split("\\xe9").map(|part| part.as_bytes().to_vec());
    let mut all = parts.next().unwrap_or_default();
    for part in parts {
        all.push(0xe9);
        all.extend(part);
    }
    all
}

fn run(daemon: &Daemon, arguments: &str, folder: &Path) -> Output {
    let place = |argument: &str| argument.replace("FOLDER", &folder.display().to_string());
    let file = folder.join("given").display().to_string();
    let arguments = arguments.split(' ').map(|argument| place(&argument.replace("FILE", &file)));
    daemon::asking(&daemon.door()).args(["--tenant", TENANT]).args(arguments).output().unwrap()
}

#[test]
fn each_wrong_command_line_and_file_has_its_exit_code_and_changes_nothing() {
    let World { daemon, folder } = world();
    let mut operator = daemon.client();
    let before = state::everything(&mut operator);
    let inputs = folder.path().join("inputs");
    fs::create_dir(&inputs).unwrap();
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    for line in COMMANDS.lines().filter(|line| !line.is_empty()) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [command, given, code, says] = cells[..] else { panic!("{line}") };
        fs::write(inputs.join("given"), bytes(given)).unwrap();
        let output = run(&daemon, command, &inputs);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let found = output.status.code().map(|code| code.to_string());
        // Only one that came to its end has something for stdout.
        let silent = output.stdout.is_empty() || code == "7";
        if found.as_deref() != Some(code) || !stderr.contains(says) || !silent {
            wrong.push(format!("{line}\n    {found:?} {stderr}"));
        }
        assert_eq!(before, state::everything(&mut operator), "{command} has changed something");
        rows.push(row![command, code, says.chars().take(60).collect::<String>()]);
    }
    table::print("wrong commands: exit code, words", &rows);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let left: Vec<_> = fs::read_dir(&inputs).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "the last input and the one file of rejected rows: {left:?}");
}

#[test]
fn a_pipe_without_an_end_is_given_up_and_enrolls_nobody() {
    let World { daemon, folder } = world();
    let mut operator = daemon.client();
    let before = state::everything(&mut operator);
    let fifo = folder.path().join("endless");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let writing = {
        let fifo = fifo.clone();
        std::thread::spawn(move || {
            let mut fifo = fs::OpenOptions::new().write(true).open(fifo).unwrap();
            fifo.write_all(b"contact,email\n").unwrap();
            let rows = "bo,bo@mail.example\n".repeat(10_000);
            // It ends when nobody reads any more.
            while fifo.write_all(rows.as_bytes()).is_ok() {}
        })
    };
    let output = run(&daemon, &format!("enroll --sequence welcome --csv {}", fifo.display()), folder.path());
    writing.join().unwrap();
    let says = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{says}");
    assert!(says.contains("more than 256 MiB came through a pipe"), "{says}");
    assert_eq!(before, state::everything(&mut operator));
}
