//! Receivers that are broken, each in its way, all at once: what becomes of what was meant for them, and that nobody
//! else waits for it. Mail comes at most once whatever a server does; a webhook comes once under its key as soon as
//! its receiver is back.
//!
//! How long a server may be silent is not a setting: a minute in most phases of a mail, half a minute for a webhook,
//! which this test waits for. After a mail's final dot it is ten minutes, which it does not: it looks at what can be
//! seen meanwhile, kills the daemon with that mail on the wire, and sees that it stays uncertain.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "faults/mail_server.rs"]
mod mail_server;
#[path = "faults/receiver.rs"]
mod receiver;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use blackbox::daemon::{Daemon, free_address};
use blackbox::http::Client;
use blackbox::timeline::{self, Timeline};
use blackbox::{row, table};
use mail_server::{KIND, MailServer, Say, Script};
use receiver::{Broken, Receiver};
use serde_json::{Value, json};

const TENANT: &str = "acme";
const CONFIG: &str =
    "[smtp]\nhelo = \"[127.0.0.1]\"\n[http]\nallow_plain = true\nnetworks = [\"127.0.0.0/8\"]\n";

/// After so long it is not going to happen.
const PATIENCE: Duration = Duration::from_secs(150);

/// A port that nobody has.
const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Contacts of each receiver of webhooks.
const CONTACTS: usize = 5;

/// More memory than this, and a server's flood was kept.
const MEMORY_MIB: f64 = 256.0;

const NO_SUCH: Say = Say::Line("550-5.1.1 no such\r\n550 5.1.1 mailbox");
const CLOSING: Say = Say::Line("421 4.3.2 closing");
const GARBAGE: Say = Say::Line("\u{1}\u{7f}garbage");

/// What has to become of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comes {
    /// It backs off with this code and goes out later.
    Later(&'static str),
    /// Nobody knows, at once.
    Uncertain,
    /// It is refused with this code for minutes.
    Refused(&'static str),
    /// The address is no good.
    BadAddress,
    /// The server is silent for longer than the test lasts.
    Open,
}

/// Its name, what its server does in the first conversation, and what comes of it.
type Case = (&'static str, Option<Script>, Comes);

const CASES: [Case; 20] = [
    ("well", Some(KIND), Comes::Later("")),
    ("gone", None, Comes::Later("connect")),
    ("hangs-after-ehlo", Some(Script { ehlo: Say::Hang, ..KIND }), Comes::Later("time_out")),
    ("hangs-after-mail", Some(Script { mail: Say::Hang, ..KIND }), Comes::Later("time_out")),
    ("hangs-after-dot", Some(Script { body: Say::Hang, ..KIND }), Comes::Open),
    ("hangs-after-dot-too", Some(Script { body: Say::Hang, ..KIND }), Comes::Open),
    ("closes-at-greeting", Some(Script { greeting: Say::Close, ..KIND }), Comes::Later("broken_reply")),
    ("closes-at-rcpt", Some(Script { rcpt: Say::Close, ..KIND }), Comes::Refused("broken_reply")),
    ("closes-at-data", Some(Script { data: Say::Close, ..KIND }), Comes::Refused("broken_reply")),
    ("closes-before-dot", Some(Script { stays: false, ..KIND }), Comes::Uncertain),
    ("closes-after-dot", Some(Script { body: Say::Close, ..KIND }), Comes::Uncertain),
    ("garbage-at-greeting", Some(Script { greeting: GARBAGE, ..KIND }), Comes::Later("broken_reply")),
    ("garbage-at-rcpt", Some(Script { rcpt: GARBAGE, ..KIND }), Comes::Refused("broken_reply")),
    ("garbage-after-dot", Some(Script { body: GARBAGE, ..KIND }), Comes::Uncertain),
    ("no-last-line-at-ehlo", Some(Script { ehlo: Say::Flood("250-more\r\n"), ..KIND }), Comes::Later("io")),
    ("no-line-end-after-dot", Some(Script { body: Say::Flood("250 on and on "), ..KIND }), Comes::Uncertain),
    ("no-such-mailbox", Some(Script { rcpt: NO_SUCH, ..KIND }), Comes::BadAddress),
    (
        "too-many-at-rcpt",
        Some(Script { rcpt: Say::Line("452 4.5.3 wait"), ..KIND }),
        Comes::Refused("452 4.5.3"),
    ),
    ("closing-at-rcpt", Some(Script { rcpt: CLOSING, ..KIND }), Comes::Refused("421 4.3.2")),
    ("closing-after-dot", Some(Script { body: CLOSING, ..KIND }), Comes::Refused("421 4.3.2")),
];

/// Which of them is not there at first.
const GONE: usize = 1;

/// Names of contacts whose server hangs when everybody else's mail is settled or goes again.
const HANGING: [&str; 4] = ["hangs-after-ehlo", "hangs-after-mail", "hangs-after-dot", "hangs-after-dot-too"];

fn started(folder: &std::path::Path) -> Daemon {
    let daemon = Daemon::start_with(folder, CONFIG);
    let settings = json!({ "on": true, "timeZone": "UTC" });
    daemon.client().must("TenantService/PutTenant", &json!({ "name": TENANT, "settings": settings }));
    daemon
}

/// A channel, and a published sequence of one step through it, both of this name.
fn put(client: &mut Client, name: &str, settings: &Value) {
    let channel = json!({ "tenant": TENANT, "name": name, "settings": settings });
    client.must("TenantService/PutChannel", &channel);
    let steps = json!([{ "channel": name, "subject": "Hello", "body": "Dear {{ contact.id }}" }]);
    let sequence = json!({ "tenant": TENANT, "name": name, "sequence": { "steps": steps } });
    client.must("SequenceService/PutSequence", &sequence);
    client.must("SequenceService/Publish", &json!({ "tenant": TENANT, "sequence": name }));
}

fn enroll(client: &mut Client, sequence: &str, contact: &str) {
    let profile = json!({ "email": format!("{contact}@mail.example") });
    let enroll = json!({ "contact": contact, "profile": profile });
    let wish = json!({ "tenant": TENANT, "sequence": sequence, "enroll": enroll });
    client.must("EnrollmentService/Enroll", &wish);
}

/// The one enrollment of a contact.
fn of(daemon: &Daemon, contact: &str) -> Timeline {
    timeline::read_all(daemon, TENANT, &[contact]).remove(0).remove(0)
}

/// Waits until each of these contacts has a line of one of these kinds.
fn until(daemon: &Daemon, contacts: &[&str], kinds: &[&str]) {
    let began = Instant::now();
    let has = |one: &[Timeline]| one[0].entries.iter().any(|entry| kinds.contains(&entry.kind.as_str()));
    loop {
        let all = timeline::read_all(daemon, TENANT, contacts);
        let Some(waits) = all.iter().find(|one| !has(one)) else { return };
        assert!(began.elapsed() < PATIENCE, "{kinds:?} does not happen: {waits:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_broken_mail_server_keeps_nobody_else_waiting_and_gets_no_mail_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = started(folder.path());
    let client = &mut daemon.client();
    let gone = free_address();
    let mut servers = CASES.map(|(_, script, _)| script.map(|script| MailServer::start(ANYWHERE, script)));
    for ((name, ..), server) in CASES.iter().zip(&servers) {
        let port = server.as_ref().map_or(gone, |server| server.address).port();
        let smtp = json!({ "host": "127.0.0.1", "port": port, "security": "none",
            "from": "team@acme.example" });
        put(client, name, &json!({ "kind": "email", "transport": "smtp", "smtp": smtp }));
    }
    // Whose server is well is the last in line.
    for (name, ..) in CASES.iter().rev() {
        enroll(client, name, name);
    }
    until(&daemon, &["well"], &["sent"]);
    until(&daemon, &["gone"], &["backed_off"]);
    servers[GONE] = Some(MailServer::start(gone, KIND));
    until(&daemon, &HANGING, &["intended"]);
    let exited = exit_while_on_the_wire(&daemon, client);

    let settled: Vec<&str> = CASES.iter().filter(|case| case.2 != Comes::Open).map(|case| case.0).collect();
    until(&daemon, &settled, &["sent", "left_uncertain", "refused", "step_failed"]);
    // Two of the servers have flooded it by now.
    assert!(daemon.memory_peak_mib() < MEMORY_MIB, "{} MiB", daemon.memory_peak_mib());
    // Killed with two mails on the wire, one of them of somebody who has left.
    daemon.kill();
    daemon.restart();
    until(&daemon, &["hangs-after-dot", "hangs-after-dot-too"], &["left_uncertain"]);

    let mut rows = Vec::new();
    for (case, server) in CASES.iter().zip(&servers) {
        rows.push(judge(&daemon, *case, server.as_ref().unwrap()));
    }
    table::print("mail servers and what came of their mail", &rows);
    let one = of(&daemon, "hangs-after-dot-too");
    assert_eq!((one.state.as_str(), one.id), ("exited", exited));
    healthy(daemon);
}

/// Somebody leaves whose mail is on the wire: the answer comes at once and names it. Their enrollment.
fn exit_while_on_the_wire(daemon: &Daemon, client: &mut Client) -> String {
    let one = of(daemon, "hangs-after-dot-too");
    let asked = json!({ "tenant": TENANT, "enrollmentId": one.id });
    let change = client.must("EnrollmentService/Exit", &asked)["change"].clone();
    let send = one.sends().remove(0).id;
    assert_eq!((&change["changed"], &change["inFlightSendId"]), (&json!(true), &json!(send)), "{change}");
    assert_eq!(change["enrollment"]["state"], "exited", "{change}");
    one.id
}

/// Checks one case when all is settled; a row of it.
fn judge(daemon: &Daemon, (name, _, comes): Case, server: &MailServer) -> Vec<String> {
    let (one, seen) = (of(daemon, name), server.seen());
    let (kinds, sends) = (kinds(&one), one.sends());
    let says = format!("{name}: {one:?} {seen:?}");
    assert_eq!(seen.wrong, [""; 0], "{says}");
    let status = one.statuses.last().map_or("", String::as_str);
    let ids: std::collections::BTreeSet<&str> = sends.iter().map(|send| send.id.as_str()).collect();
    assert_eq!(ids.len(), 1, "one send, however often it is tried: {says}");
    let (outcomes, taken) = match comes {
        Comes::Later("") => (vec!["sent"], 1),
        Comes::Later(_) => (vec!["backed_off", "sent"], 1),
        Comes::Uncertain | Comes::Open => (vec!["left_uncertain"], 0),
        Comes::Refused(_) => (vec!["refused"], 0),
        Comes::BadAddress => (vec![""], 0),
    };
    let found: Vec<&str> = sends.iter().map(|send| send.outcome.as_str()).collect();
    assert_eq!((found, seen.taken), (outcomes, taken), "{says}");
    match comes {
        Comes::Later(code) => {
            let reasons: Vec<String> = of_kind(daemon, &one, "backed_off");
            assert!(reasons.iter().all(|reason| reason == code), "{reasons:?} {says}");
            assert_eq!((one.state.as_str(), status), ("completed", "sent"), "{says}");
        }
        Comes::Uncertain | Comes::Open => {
            assert_eq!((seen.conversations, status), (1, "uncertain"), "never again: {says}");
            assert!(seen.mails.len() <= 1, "{says}");
        }
        Comes::Refused(code) => {
            assert_eq!(of_kind(daemon, &one, "refused"), [code], "{says}");
            assert_eq!((one.state.as_str(), seen.conversations), ("active", 1), "{says}");
        }
        Comes::BadAddress => {
            assert_eq!(of_kind(daemon, &one, "step_failed"), ["bad_address"], "{says}");
            assert_eq!((one.state.as_str(), status), ("completed", "failed"), "{says}");
        }
    }
    let suppressed = is_suppressed(daemon, name);
    assert_eq!(suppressed, comes == Comes::BadAddress, "{says}");
    row![name, kinds, status, seen.conversations, seen.taken]
}

fn kinds(one: &Timeline) -> String {
    let kinds: Vec<&str> = one.entries.iter().map(|entry| entry.kind.as_str()).collect();
    kinds.join(" ")
}

/// The reasons of the lines of one kind.
fn of_kind(daemon: &Daemon, one: &Timeline, kind: &str) -> Vec<String> {
    let asked = json!({ "tenant": TENANT, "enrollmentId": one.id });
    let answer = daemon.client().must("EnrollmentService/GetTimeline", &asked);
    let entries = answer["entries"].as_array().unwrap().iter().filter(|entry| entry["kind"] == kind);
    entries.map(|entry| entry["reason"].as_str().unwrap_or_default().to_owned()).collect()
}

fn is_suppressed(daemon: &Daemon, contact: &str) -> bool {
    let asked = json!({ "tenant": TENANT, "contact": contact });
    let found = daemon.client().must("ContactService/GetContact", &asked);
    found["contact"]["suppressions"].as_array().is_some_and(|all| !all.is_empty())
}

fn healthy(daemon: Daemon) {
    assert!(daemon.memory_peak_mib() < MEMORY_MIB, "{} MiB", daemon.memory_peak_mib());
    let log = fs::read_to_string(daemon.log()).unwrap();
    assert!(!log.contains("panicked"), "{log}");
    daemon.stop();
}

#[test]
fn a_receiver_that_was_broken_has_everything_once_under_its_key_when_it_is_back() {
    const WAYS: [(&str, Broken, &str); 5] = [
        ("gone", Broken::Gone, "backed_off"),
        ("hangs", Broken::Hangs, "doubted"),
        ("garbage", Broken::Garbage, "doubted"),
        ("closes-in-head", Broken::ClosesInHead, "doubted"),
        ("closes-in-body", Broken::ClosesInBody, "sent"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let daemon = started(folder.path());
    let client = &mut daemon.client();
    let mut receivers = WAYS.map(|(name, broken, _)| {
        let receiver =
            Receiver::start(if broken == Broken::Gone { free_address() } else { ANYWHERE }, broken);
        let http = json!({ "url": format!("http://{}/hook", receiver.address),
            "secrets": [{ "value": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }] });
        put(client, name, &json!({ "kind": "webhook", "transport": "http", "http": http }));
        receiver
    });
    let contacts =
        WAYS.map(|(name, ..)| (0..CONTACTS).map(move |at| format!("{name}-{at}")).collect::<Vec<_>>());
    for ((name, ..), contacts) in WAYS.iter().zip(&contacts) {
        contacts.iter().for_each(|contact| enroll(client, name, contact));
    }
    // Each is back when it has broken something, the one that hangs last.
    for place in [0, 2, 3, 4, 1] {
        until(&daemon, &[&contacts[place][0]], &[WAYS[place].2]);
        receivers[place].come_back();
    }
    let mut rows = Vec::new();
    for (((name, broken, first), contacts), receiver) in WAYS.iter().zip(&contacts).zip(&receivers) {
        let contacts: Vec<&str> = contacts.iter().map(String::as_str).collect();
        until(&daemon, &contacts, &["completed"]);
        let taken = receiver.taken();
        assert_eq!(taken.len(), CONTACTS, "{name}: {:?}", taken.keys());
        let came: usize = taken.values().map(Vec::len).sum();
        for one in timeline::read_all(&daemon, TENANT, &contacts).iter().flatten() {
            assert_eq!(one.statuses, ["sent"], "{one:?}");
            let sends = one.sends();
            let messages = taken.get(&sends[0].id).unwrap_or_else(|| panic!("not there: {one:?}"));
            assert!(sends.iter().all(|send| send.id == sends[0].id), "{one:?}");
            for message in messages {
                assert_eq!(
                    (&message["enrollment"], &message["body"]),
                    (&json!(one.id), &messages[0]["body"])
                );
            }
        }
        let again = matches!(broken, Broken::Hangs | Broken::Garbage | Broken::ClosesInHead);
        assert_eq!(came > CONTACTS, again, "{name}: {came} came of {CONTACTS}");
        rows.push(row![name, first, CONTACTS, came]);
    }
    table::print("receivers, what they did first, and how often messages came", &rows);
    healthy(daemon);
}
