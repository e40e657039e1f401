//! Codes that come later: a message was taken, and then its provider says that it failed. Each code with what follows
//! for the step, the contact, the address and the sender, through the real daemon.

use blackbox::daemon::Daemon;
use blackbox::http::Client;
use blackbox::time;
use serde_json::{Value, json};

use crate::running::Mock;
use crate::world::{
    TENANT, daemon, enroll, explained, held, number, of, sms, taken, tells, until, until_held, webhook, wrote,
};

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// What follows a code beside that the send has failed.
#[derive(Clone, Copy)]
enum Then {
    /// Nothing: the enrollment goes on with its next step.
    GoesOn,
    /// Its address is suppressed, for this reason.
    Suppressed(&'static str),
    /// Nothing is sent to the address for a week.
    Rests,
    /// The step comes again, no sooner than after so many milliseconds.
    Again(i64),
    /// The step's template goes.
    FallsBack,
}

/// One code.
struct Row {
    code: u64,
    /// Why the send failed.
    reason: &'static str,
    /// The enrollment's state and why it is over.
    state: [&'static str; 2],
    then: Then,
}

const fn row(code: u64, reason: &'static str, then: Then) -> Row {
    Row { code, reason, state: ["active", ""], then }
}

const fn leaves(code: u64, then: Then) -> Row {
    Row { code, reason: "refused", state: ["exited", "opted_out"], then }
}

const META: [Row; 6] = [
    // It takes the longest, and goes on while the others are looked at.
    row(131_047, "needs_template", Then::FallsBack),
    leaves(131_050, Then::Suppressed("opted_out")),
    row(131_049, "refused", Then::Again(DAY)),
    row(131_026, "unusable", Then::Rests),
    row(130_472, "refused", Then::GoesOn),
    row(999_999, "refused", Then::GoesOn),
];

const TWILIO: [Row; 7] = [
    leaves(30_004, Then::Suppressed("opted_out")),
    leaves(21_610, Then::Suppressed("opted_out")),
    row(30_005, "bad_address", Then::Suppressed("bounced")),
    row(30_007, "refused", Then::GoesOn),
    row(30_008, "refused", Then::Again(5 * MINUTE)),
    row(63_016, "needs_template", Then::GoesOn),
    row(99_999, "refused", Then::GoesOn),
];

fn phone(code: u64) -> String {
    format!("+1555{code:07}")
}

fn contact(code: u64) -> String {
    format!("ct-{code}")
}

/// Enrolls whoever is to get a code, and waits until the first message was taken; its record at the mock.
fn sent(daemon: &Daemon, mock: &Mock, code: u64) -> Value {
    enroll(&mut daemon.client(), &contact(code), &phone(code));
    until(daemon, &contact(code), |one| one.statuses == ["sent", "pending"]);
    taken(mock, &phone(code)).remove(0)
}

/// The first send of a contact's enrollment.
fn first_send(client: &mut Client, daemon: &Daemon, contact: &str) -> Value {
    let asked = json!({ "tenant": TENANT, "enrollmentId": of(daemon, contact).id });
    client.must("EnrollmentService/GetEnrollment", &asked)["enrollment"]["sends"][0].clone()
}

/// Looks at what has followed a code that was told after `told_at`.
fn check(daemon: &Daemon, row: &Row, told_at: i64) {
    let (client, id, code) = (&mut daemon.client(), contact(row.code), row.code);
    let send = first_send(client, daemon, &id);
    assert_eq!((&send["status"], &send["reason"]), (&json!("failed"), &json!(row.reason)), "{code}");
    let now = of(daemon, &id);
    assert_eq!([&*now.state, &*now.reason], row.state, "{code}: {now:?}");
    let known = client.must("ContactService/GetContact", &json!({ "tenant": TENANT, "contact": id }));
    let suppressed = known["contact"]["suppressions"].as_array().cloned().unwrap_or_default();
    let why: Vec<&Value> = suppressed.iter().map(|one| &one["why"]).collect();
    let resting = known["contact"]["unusable"].as_array().cloned().unwrap_or_default();
    let next = explained(daemon, &id);
    let after = |at: &Value| at.as_str().and_then(time::parse).unwrap_or_default() - told_at;
    match row.then {
        Then::Suppressed(reason) => {
            assert_eq!(why, [&json!(reason)], "{code}");
            let other = enroll(client, &format!("{id}-too"), &phone(code)).to_string();
            assert!(other.contains("suppressed"), "{code}: {other}");
            return;
        }
        Then::Rests => {
            assert!(
                resting.len() == 1 && (6 * DAY..8 * DAY).contains(&after(&resting[0]["until"])),
                "{known}"
            );
            assert_eq!((&next["bindingGate"], &next["reason"]), (&json!("address"), &json!("unusable")));
        }
        Then::Again(span) => {
            assert_eq!((&next["action"], &next["bindingGate"]), (&json!("send"), &json!("retry")), "{next}");
            assert!(next["step"] == 0 && (span..span + span / 2).contains(&after(&next["at"])), "{next}");
        }
        Then::FallsBack => {
            assert_eq!((&next["action"], &next["step"]), (&json!("send"), &json!(0)), "{next}")
        }
        Then::GoesOn => {
            assert_eq!((&next["bindingGate"], &next["step"]), (&json!("wait"), &json!(1)), "{code}: {next}");
        }
    }
    assert_eq!(why, [] as [&Value; 0], "{code}");
}

/// A code that holds the sender: held with its reason, nobody else is written to, and when a person has released it
/// all of them are, each once more.
fn check_held(daemon: &Daemon, mock: &Mock, code: u64, ends: bool) {
    let client = &mut daemon.client();
    let hold = until_held(client);
    let said = format!("the provider said {code}");
    assert_eq!((&hold["held"]["by"], &hold["held"]["reason"]), (&json!("followupd"), &json!(said)));
    assert_eq!(
        (&hold["scope"]["channel"], hold["held"]["until"].is_string()),
        (&json!("mail"), ends),
        "{hold}"
    );
    let (who, other) = (contact(code), format!("ct-{code}-waits"));
    let state = of(daemon, &who);
    assert_eq!((&*state.state, &*state.statuses[0]), ("active", "failed"), "{state:?}");
    let waits_at = phone(code + 500_000);
    enroll(client, &other, &waits_at);
    for one in [&who, &other] {
        let next = explained(daemon, one);
        assert_eq!(
            (&next["bindingGate"], &next["reason"]),
            (&json!("hold"), &json!("provider")),
            "{one}: {next}"
        );
    }
    assert_eq!((taken(mock, &phone(code)).len(), taken(mock, &waits_at).len()), (1, 0));
    daemon.cli_must(TENANT, &["release", "--channel", "mail"]);
    assert_eq!(held(client), [] as [Value; 0]);
    until(daemon, &other, |one| one.statuses == ["sent", "pending"]);
    until(daemon, &who, |one| one.statuses == ["failed", "sent", "pending"]);
    assert_eq!((taken(mock, &phone(code)).len(), taken(mock, &waits_at).len()), (2, 1));
}

#[test]
fn each_code_that_whatsapp_tells_later_has_its_consequence() {
    let (mock, folder) = (Mock::start("whatsapp"), tempfile::tempdir().unwrap());
    let daemon = daemon(&folder, "whatsapp", |_| number(&mock));
    let (mut client, url) = (daemon.client(), webhook(&daemon, "mail"));
    let fails = |id: &Value, code: u64| {
        let told = json!({ "id": id, "status": "failed", "code": code });
        // As often as it comes.
        for _ in 0..2 {
            assert_eq!(tells(&mock, told.clone(), &url), 200, "{code}");
        }
    };
    for row in &META {
        if matches!(row.then, Then::FallsBack) {
            wrote(&mut client, &contact(row.code));
        }
        let (sent, told_at) = (sent(&daemon, &mock, row.code), time::now_ms());
        fails(&sent["id"], row.code);
        check(&daemon, row, told_at);
    }
    let fell_back = contact(131_047);
    until(&daemon, &fell_back, |one| one.statuses == ["failed", "sent", "pending"]);
    let kinds: Vec<Value> =
        taken(&mock, &phone(131_047)).iter().map(|sent| sent["message"]["type"].clone()).collect();
    assert_eq!(kinds, ["interactive", "template"]);

    fails(&sent(&daemon, &mock, 131_048)["id"], 131_048);
    check_held(&daemon, &mock, 131_048, false);
    for row in META.iter().filter(|row| !matches!(row.then, Then::FallsBack)) {
        assert_eq!(taken(&mock, &phone(row.code)).len(), 1, "{}", row.code);
    }
}

#[test]
fn each_code_that_twilio_tells_later_has_its_consequence() {
    let (mock, folder) = (Mock::start("twilio"), tempfile::tempdir().unwrap());
    let daemon = daemon(&folder, "sms", |daemon| sms(&mock, daemon));
    let fails = |sid: &Value, code: u64| {
        let told = json!({ "sid": sid, "status": "undelivered", "code": code.to_string() });
        for _ in 0..2 {
            let said = mock.side("POST", "/_status", &told.to_string());
            assert_eq!(said["status"], 204, "{code}");
        }
    };
    for row in &TWILIO {
        let (sent, told_at) = (sent(&daemon, &mock, row.code), time::now_ms());
        fails(&sent["id"], row.code);
        check(&daemon, row, told_at);
    }
    // A daily cap ends by itself; a suspended number waits for a person.
    for (code, ends) in [(30_023, true), (30_002, false)] {
        fails(&sent(&daemon, &mock, code)["id"], code);
        check_held(&daemon, &mock, code, ends);
    }
    for row in &TWILIO {
        assert_eq!(taken(&mock, &phone(row.code)).len(), 1, "{}", row.code);
    }
}
