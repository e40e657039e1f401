//! What is learned of an address before anybody is known to have it: that somebody wrote from it, that they want no more,
//! that they want to be written to again; however late and however often it is told.

use blackbox::daemon::Daemon;
use blackbox::time::now_ms;
use serde_json::{Value, json};

use crate::running::Mock;
use crate::world::{TENANT, daemon, enroll, number, of, sms, taken, tells, until, webhook};

const HOUR: i64 = 60 * 60;

/// A daemon whose provider's mock tells what numbers write.
struct Stage {
    mock: Mock,
    daemon: Daemon,
    _folder: tempfile::TempDir,
}

fn whatsapp() -> Stage {
    let (mock, folder) = (Mock::start("whatsapp"), tempfile::tempdir().unwrap());
    let daemon = daemon(&folder, "whatsapp", |_| number(&mock));
    Stage { mock, daemon, _folder: folder }
}

impl Stage {
    /// A number writes a text; `ago` seconds before now, in a message of this id.
    fn writes(&self, phone: &str, text: &str, ago: i64, id: &str) {
        let at = now_ms() / 1_000 - ago;
        let order = json!({ "from": &phone[1..], "type": "text", "part": { "body": text }, "timestamp": at,
            "id": format!("wamid.{id}") });
        assert_eq!(tells(&self.mock, order, &webhook(&self.daemon, "mail")), 200, "{text}");
    }

    /// Kinds of channel that nothing is sent to a contact by.
    fn suppressed(&self, contact: &str) -> Vec<Value> {
        let asked = json!({ "tenant": TENANT, "contact": contact });
        let known = self.daemon.client().must("ContactService/GetContact", &asked);
        known["contact"]["suppressions"].as_array().cloned().unwrap_or_default()
    }

    /// Whether somebody with this number may be enrolled.
    fn takes(&self, contact: &str, phone: &str) -> bool {
        let answer = enroll(&mut self.daemon.client(), contact, phone);
        match answer["failed"].as_str() {
            None => true,
            Some(failed) => {
                assert!(failed.contains("suppressed"), "{failed}");
                false
            }
        }
    }
}

#[test]
fn who_wrote_before_they_were_enrolled_gets_what_is_meant_for_24_hours_and_then_a_template() {
    let stage = whatsapp();
    let people = [
        ("fresh", "+15550100001", 60),
        ("late", "+15550100002", 23 * HOUR),
        ("old", "+15550100003", 25 * HOUR),
    ];
    for (who, phone, ago) in people {
        stage.writes(phone, "oi", ago, who);
    }
    let silent = ("silent", "+15550100004", 0);
    for (who, phone, _) in people.into_iter().chain([silent]) {
        enroll(&mut stage.daemon.client(), who, phone);
        until(&stage.daemon, who, |one| one.statuses == ["sent", "pending"]);
        let sent = taken(&stage.mock, phone);
        let kinds: Vec<&Value> = sent.iter().map(|sent| &sent["message"]["type"]).collect();
        let expected = if ["fresh", "late"].contains(&who) { "interactive" } else { "template" };
        assert_eq!(kinds, [expected], "{who}");
    }
}

#[test]
fn a_stop_that_was_taken_back_stays_taken_back_however_late_and_often_it_is_told() {
    let stage = whatsapp();
    // STOP was written a minute before START.
    let stop = |phone: &str| stage.writes(phone, "Stop", 90, &format!("stop{phone}"));
    let start = |phone: &str| stage.writes(phone, "START", 30, &format!("start{phone}"));
    let (late, again, out) = ("+15550100001", "+15550100002", "+15550100003");
    start(late);
    stop(late);
    stop(late);
    stop(again);
    start(again);
    stop(again);
    stop(out);
    start(out);
    stage.writes(out, "stop", 0, "once-more");
    assert!(stage.takes("late", late) && stage.takes("again", again));
    assert!(!stage.takes("out", out), "they changed their mind once more");

    // The same of somebody who is known.
    let known = "+15550100004";
    assert!(stage.takes("known", known));
    stage.writes(known, "stop", 90, "known-stop");
    assert_eq!(of(&stage.daemon, "known").reason, "opted_out");
    assert_eq!(stage.suppressed("known").len(), 1);
    start(known);
    assert_eq!(stage.suppressed("known"), [] as [Value; 0]);
    stage.writes(known, "stop", 90, "known-stop");
    stage.writes(known, "stop", 60, "known-stop-too");
    assert_eq!(stage.suppressed("known"), [] as [Value; 0]);
    assert!(stage.takes("known-too", known));
}

#[test]
fn an_sms_stop_holds_until_start_and_start_that_comes_first_holds_nothing_up() {
    let (mock, folder) = (Mock::start("twilio"), tempfile::tempdir().unwrap());
    let daemon = daemon(&folder, "sms", |daemon| sms(&mock, daemon));
    let stage = Stage { mock, daemon, _folder: folder };
    let url = webhook(&stage.daemon, "mail");
    let says = |phone: &str, word: &str, number: u8| {
        let sid = format!("SM{number:032x}");
        let order = json!({ "from": phone, "text": word, "opt_out": word, "sid": sid });
        assert_eq!(tells(&stage.mock, order, &url), 204, "{word}");
    };
    let phone = "+15550100001";
    says(phone, "STOP", 1);
    says(phone, "STOP", 1);
    assert!(!stage.takes("ana", phone));
    says(phone, "START", 2);
    says(phone, "START", 2);
    assert!(stage.takes("ana", phone));
    let other = "+15550100002";
    says(other, "START", 3);
    assert!(stage.takes("bo", other));

    // What Twilio was not answered it tells again, without saying when it was written.
    let again = |phone: &str, first: &str, second: &str, number: u8| {
        says(phone, first, number);
        says(phone, second, number + 1);
        says(phone, first, number);
    };
    let (back, gone, known) = ("+15550100003", "+15550100004", "+15550100005");
    again(back, "STOP", "START", 10);
    assert!(stage.takes("back", back));
    again(gone, "START", "STOP", 12);
    assert!(!stage.takes("gone", gone), "they left after they had come back");
    // The same of somebody who is known.
    assert!(stage.takes("known", known));
    again(known, "STOP", "START", 14);
    assert_eq!(stage.suppressed("known"), [] as [Value; 0]);
    again(known, "START", "STOP", 16);
    assert_eq!(stage.suppressed("known").len(), 1);
}

#[test]
fn a_pressed_button_is_what_its_id_says_and_not_its_title() {
    let stage = whatsapp();
    let presses = |phone: &str, id: &str, title: &str| {
        let reply = json!({ "id": id, "title": title });
        let part = json!({ "type": "button_reply", "button_reply": reply });
        let order =
            json!({ "from": &phone[1..], "type": "interactive", "part": part, "id": format!("wamid.{id}") });
        assert_eq!(tells(&stage.mock, order, &webhook(&stage.daemon, "mail")), 200, "{title}");
    };
    let (ana, bo, stranger) = ("+15550100001", "+15550100002", "+15550100003");
    assert!(stage.takes("ana", ana) && stage.takes("bo", bo));
    presses(ana, "appointment-7", "Cancel");
    presses(stranger, "appointment-8", "Cancel");
    presses(bo, "stop", "Thanks, no more");
    assert_eq!(of(&stage.daemon, "ana").reason, "replied");
    assert_eq!(stage.suppressed("ana"), [] as [Value; 0]);
    assert!(stage.takes("stranger", stranger));
    assert_eq!(of(&stage.daemon, "bo").reason, "opted_out");
}
