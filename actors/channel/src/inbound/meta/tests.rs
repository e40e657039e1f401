//! Bodies as the reference describes them, whole and broken.

use serde_json::{Value, json};

use super::super::{Choice, May, Receipt, Said, Status, Template, Wants};
use super::*;
use followupd_domain::Moment;

const AT: Moment = Moment(1_739_321_024_000);

fn envelope(values: &[Value]) -> Vec<u8> {
    let change = |value: &Value| {
        let mut value = value.clone();
        value["messaging_product"] = json!("whatsapp");
        value["metadata"] =
            json!({ "display_phone_number": "15550783881", "phone_number_id": "106540352242922" });
        json!({ "field": "messages", "value": value })
    };
    let changes: Vec<Value> = values.iter().map(change).collect();
    json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "changes": changes }] })
        .to_string()
        .into_bytes()
}

fn told(value: Value) -> Vec<Inbound> {
    read(&envelope(&[value])).unwrap()
}

#[test]
fn how_a_template_fares_is_told_under_a_field_of_its_own() {
    let told = |event: &str, more: Value| {
        let mut value = json!({
            "event": event, "message_template_id": 1_689_556_908_129_832_u64, "reason": "NONE",
            "message_template_name": "aula", "message_template_language": "pt-BR",
        });
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let change = json!({ "field": "message_template_status_update", "value": value });
        let entry = json!([{ "id": "1", "time": 1_739_321_024, "changes": [change] }]);
        read(json!({ "object": "whatsapp_business_account", "entry": entry }).to_string().as_bytes()).unwrap()
    };
    for (event, may) in [
        ("APPROVED", May::Now),
        ("REINSTATED", May::Now),
        ("PAUSED", May::Later),
        ("DISABLED", May::Not),
        ("REJECTED", May::Not),
        ("PENDING_DELETION", May::Not),
    ] {
        let template = Template { name: "aula".into(), language: "pt_BR".into(), may };
        assert_eq!(told(event, json!({})), [Inbound::Template(template)], "{event}");
    }
    for event in ["FLAGGED", "IN_APPEAL", "PENDING", "LOCKED"] {
        assert_eq!(told(event, json!({})), [], "{event} changes nothing");
    }
    let unread = told("PAUSED", json!({ "message_template_name": 7 }));
    let [Inbound::Unread(wrong)] = &unread[..] else { panic!("{unread:?}") };
    assert_eq!(wrong.at, "entry[0].changes[0].value.message_template_name");
}

fn status(word: &str) -> Value {
    json!({
        "id": "wamid.HBg", "status": word, "timestamp": "1739321024", "recipient_id": "5511999990000",
        "biz_opaque_callback_data": "snd_1",
        "conversation": { "id": "c", "origin": { "type": "marketing" } },
        "pricing": { "billable": true, "pricing_model": "PMP", "category": "marketing" },
    })
}

fn receipt(status: Status) -> Receipt {
    Receipt {
        key: Some("snd_1".into()),
        id: "wamid.HBg".into(),
        status,
        at: AT,
        code: None,
        contact: Some("5511999990000".into()),
        sender: Some("106540352242922".into()),
    }
}

fn message(kind: &str, part: &Value) -> Value {
    let mut message =
        json!({ "from": "5511999990000", "id": "wamid.IN", "timestamp": "1739321024", "type": kind });
    message[kind] = part.clone();
    message
}

fn said(text: Option<&str>) -> Said {
    Said {
        contact: "5511999990000".into(),
        sender: "106540352242922".into(),
        id: "wamid.IN".into(),
        text: text.map(str::to_owned),
        button: None,
        answers: None,
        at: AT,
    }
}

fn unread(told: &[Inbound]) -> Vec<String> {
    let wrong = told.iter().map(|one| match one {
        Inbound::Unread(wrong) => wrong.to_string(),
        Inbound::Receipt(_) | Inbound::Said(_) | Inbound::Choice(_) | Inbound::Template(_) => {
            panic!("{one:?} is read")
        }
    });
    wrong.collect()
}

#[test]
fn each_status_is_a_receipt_with_the_sends_key() {
    for (word, expected) in [
        ("sent", Status::Sent),
        ("delivered", Status::Delivered),
        ("read", Status::Read),
        ("played", Status::Read),
        ("failed", Status::Failed),
    ] {
        assert_eq!(told(json!({ "statuses": [status(word)] })), [Inbound::Receipt(receipt(expected))]);
    }
    assert_eq!(told(json!({ "statuses": [status("deleted")] })), []);
}

#[test]
fn a_failure_has_its_code() {
    let mut failed = status("failed");
    failed["errors"] = json!([{
        "code": 131_050, "title": "x", "message": "x", "error_data": { "details": "x" },
        "href": "https://developers.facebook.com/",
    }]);
    let expected = Receipt { code: Some("131050".into()), ..receipt(Status::Failed) };
    assert_eq!(told(json!({ "statuses": [failed] })), [Inbound::Receipt(expected)]);
}

#[test]
fn a_message_that_another_sent_has_no_key() {
    let mut other = status("sent");
    other.as_object_mut().unwrap().remove("biz_opaque_callback_data");
    let expected = Receipt { key: None, ..receipt(Status::Sent) };
    assert_eq!(told(json!({ "statuses": [other] })), [Inbound::Receipt(expected)]);
}

#[test]
fn what_is_said_in_words_has_them() {
    for (kind, part, words) in [
        ("text", json!({ "body": "Quero sim" }), Some("Quero sim")),
        ("button", json!({ "text": "Sim" }), Some("Sim")),
        ("interactive", json!({ "type": "button_reply", "button_reply": { "title": "Sim" } }), Some("Sim")),
        ("interactive", json!({ "type": "list_reply", "list_reply": { "title": "19h" } }), Some("19h")),
        ("interactive", json!({ "type": "nfm_reply", "nfm_reply": { "body": "Sent" } }), Some("Sent")),
        ("reaction", json!({ "emoji": "👍" }), Some("👍")),
        ("image", json!({ "id": "1", "mime_type": "image/jpeg", "caption": "olha" }), Some("olha")),
        ("audio", json!({ "id": "1", "voice": true }), None),
        ("location", json!({ "latitude": 1.0, "longitude": 2.0 }), None),
        ("contacts", json!([{ "name": { "formatted_name": "Ana" } }]), None),
        ("unsupported", json!(null), None),
        ("what_comes_next_year", json!({ "x": 1 }), None),
    ] {
        let told = told(json!({ "contacts": [{ "wa_id": "1" }], "messages": [message(kind, &part)] }));
        assert_eq!(told, [Inbound::Said(said(words))], "{kind} {part}");
    }
}

#[test]
fn a_button_says_what_stands_behind_it_and_which_message_it_answers() {
    for (kind, part) in [
        ("button", json!({ "payload": "yes", "text": "Sim" })),
        ("interactive", json!({ "button_reply": { "id": "yes", "title": "Sim" } })),
        ("interactive", json!({ "list_reply": { "id": "yes", "title": "Sim", "description": "x" } })),
    ] {
        let mut message = message(kind, &part);
        message["context"] = json!({ "from": "15550783881", "id": "wamid.HBg" });
        let answers = Some("wamid.HBg".to_owned());
        let expected = Said { button: Some("yes".into()), answers, ..said(Some("Sim")) };
        assert_eq!(told(json!({ "messages": [message] })), [Inbound::Said(expected)], "{kind}");
    }
}

#[test]
fn somebody_who_shows_no_number_has_an_id() {
    let mut message = message("text", &json!({ "body": "Oi" }));
    message.as_object_mut().unwrap().remove("from");
    message["from_user_id"] = json!("BR.13491208655302741918");
    let expected = Said { contact: "BR.13491208655302741918".into(), ..said(Some("Oi")) };
    assert_eq!(told(json!({ "messages": [message] })), [Inbound::Said(expected)]);
}

#[test]
fn a_preference_is_a_choice_in_both_of_its_forms() {
    let choice = |wants| {
        Inbound::Choice(Choice {
            contact: "5511999990000".into(),
            sender: "106540352242922".into(),
            id: format!("5511999990000-{}", AT.0),
            wants,
            at: AT,
        })
    };
    for (word, wants) in [("stop", Wants::Out), ("resume", Wants::In)] {
        let preference = json!({
            "wa_id": "5511999990000", "detail": "x", "category": "marketing_messages", "value": word,
            "timestamp": 1_739_321_024,
        });
        assert_eq!(told(json!({ "user_preferences": [preference] })), [choice(wants)]);
        let system = json!({ "body": "x", "marketing": word, "type": "user_preference_changed" });
        assert_eq!(told(json!({ "messages": [message("system", &system)] })), [choice(wants)]);
    }
    let moved = json!({ "body": "x", "wa_id": "2", "type": "user_changed_number" });
    assert_eq!(told(json!({ "messages": [message("system", &moved)] })), [], "nobody said this");
}

#[test]
fn every_change_of_every_entry_is_read_in_order() {
    let body = envelope(&[
        json!({ "statuses": [status("sent"), status("delivered")] }),
        json!({ "messages": [message("text", &json!({ "body": "Oi" }))] }),
    ]);
    let mut body: Value = serde_json::from_slice(&body).unwrap();
    let again = body["entry"][0].clone();
    body["entry"].as_array_mut().unwrap().push(again);
    let once = [
        Inbound::Receipt(receipt(Status::Sent)),
        Inbound::Receipt(receipt(Status::Delivered)),
        Inbound::Said(said(Some("Oi"))),
    ];
    let expected: Vec<_> = once.iter().chain(&once).cloned().collect();
    assert_eq!(read(body.to_string().as_bytes()), Ok(expected));
}

#[test]
fn a_part_that_is_broken_takes_nothing_else_with_it() {
    let mut broken = status("read");
    broken["timestamp"] = json!("soon");
    let told = told(json!({ "statuses": [broken, status("read")] }));
    let wrong = "entry[0].changes[0].value.statuses[0].timestamp: seconds since 1970";
    assert_eq!(unread(&told[..1]), [wrong]);
    assert_eq!(told[1..], [Inbound::Receipt(receipt(Status::Read))]);
}

#[test]
fn what_is_missing_is_named() {
    let item = "entry[0].changes[0].value";
    for name in ["id", "status", "timestamp"] {
        let mut broken = status("read");
        broken.as_object_mut().unwrap().remove(name);
        let told = told(json!({ "statuses": [broken] }));
        assert!(unread(&told)[0].starts_with(&format!("{item}.statuses[0].{name}: ")), "{told:?}");
    }
    for name in ["from", "id", "timestamp", "type"] {
        for instead in [json!(null), json!({}), json!("")] {
            let mut broken = message("text", &json!({ "body": "Oi" }));
            broken[name] = instead;
            let told = told(json!({ "messages": [broken] }));
            assert!(unread(&told)[0].starts_with(&format!("{item}.messages[0].{name}: ")), "{told:?}");
        }
    }
    for time in [json!("-1"), json!(i64::MAX), json!("9223372036854775807"), json!(1.5)] {
        let mut broken = status("read");
        broken["timestamp"] = time;
        assert_eq!(unread(&told(json!({ "statuses": [broken] }))).len(), 1);
    }
    assert_eq!(unread(&told(json!({ "statuses": {} }))), [format!("{item}.statuses: a list")]);
}

#[test]
fn a_number_that_is_not_ours_is_not_guessed() {
    let body = json!({ "object": "whatsapp_business_account", "entry": [{ "changes": [
        { "field": "messages", "value": { "messages": [message("text", &json!({ "body": "Oi" }))] } },
        { "field": "account_update" },
        7,
    ] }] });
    let told = read(body.to_string().as_bytes()).unwrap();
    let wrong = "entry[0].changes[0].value.metadata.phone_number_id: the id of the phone number";
    assert_eq!(unread(&told), [wrong]);
}

#[test]
fn a_body_of_something_else_is_refused() {
    let at = |body: &[u8]| match read(body) {
        Err(Error::Body(wrong)) => wrong.at,
        other => panic!("{other:?}"),
    };
    for body in [&b""[..], b"\xff", b"{", b"{} {}"] {
        assert_eq!(at(body), "body");
    }
    for body in [&b"{}"[..], b"[]", b"7", br#"{"object":"page","entry":[]}"#] {
        assert_eq!(at(body), "object");
    }
    assert_eq!(at(br#"{"object":"whatsapp_business_account","entry":{}}"#), "entry");
    assert_eq!(at("[".repeat(100_000).as_bytes()), "body");
    assert_eq!(at(&vec![b' '; limits::INBOUND_BYTES + 1]), "body");
    assert_eq!(read(br#"{"object":"whatsapp_business_account","entry":[]}"#), Ok(vec![]));
}

#[test]
fn no_damage_is_more_than_unread() {
    let values =
        json!({ "statuses": [status("sent")], "messages": [message("text", &json!({ "body": "Oi" }))] });
    let body = envelope(&[values]);
    for at in 0..body.len() {
        assert!(read(&body[..at]).is_err(), "{at} bytes");
        for bit in 0..8 {
            let mut damaged = body.clone();
            damaged[at] ^= 1 << bit;
            assert!(read(&damaged).map_or(0, |told| told.len()) <= 2, "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn the_handshake_gives_the_challenge_to_who_knows_the_token() {
    let tokens = [Secret::new("old"), Secret::new("n&w")];
    let asked = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=n%26w";
    assert_eq!(handshake(asked, &tokens).as_deref(), Ok("1158201444"));
    assert_eq!(handshake(&asked.replace("n%26w", "old"), &tokens).as_deref(), Ok("1158201444"));
    assert_eq!(handshake(&asked.replace("n%26w", "new"), &tokens), Err(Error::Forged));
    assert_eq!(handshake(asked, &[]), Err(Error::Forged));
    for (was, is, at) in [
        ("subscribe", "unsubscribe", "hub.mode"),
        ("hub.mode", "mode", "hub.mode"),
        ("hub.verify_token", "token", "hub.verify_token"),
        ("hub.challenge", "challenge", "hub.challenge"),
        ("1158201444", "", "hub.challenge"),
        ("1158201444", "%3Cscript%3E", "hub.challenge"),
    ] {
        match handshake(&asked.replace(was, is), &tokens) {
            Err(Error::Body(wrong)) => assert_eq!(wrong.at, at),
            other => panic!("{was} → {is}: {other:?}"),
        }
    }
}

#[test]
fn a_signature_is_of_these_bytes_by_a_secret_of_ours() {
    let (one, two) = ([Secret::new("one")], [Secret::new("two")]);
    let both = [Secret::new("one"), Secret::new("two")];
    let body = br#"{"a":"\u00e9"}"#;
    // echo -n '{"a":"\u00e9"}' | openssl dgst -sha256 -hmac two
    let theirs = "sha256=db655ba4788c40caa3874f40c9ad87642e69d56642d94edb74e510f6207e724d";
    assert_eq!(check(Some(theirs), body, &both), Ok(()));
    assert_eq!(check(Some(&theirs.to_uppercase().replace("SHA", "sha")), body, &two), Ok(()));
    assert_eq!(check(Some(theirs), body, &one), Err(Error::Forged));
    assert_eq!(check(Some(theirs), "{\"a\":\"é\"}".as_bytes(), &two), Err(Error::Forged));
    for signature in [None, Some(""), Some("sha256="), Some(&theirs[7..]), Some(&theirs[..70])] {
        let refused = check(signature, body, &two);
        assert!(matches!(refused, Err(Error::Unsigned(_))), "{signature:?}");
    }
    let odd = format!("sha256={}", "é".repeat(32));
    assert!(matches!(check(Some(&odd), body, &two), Err(Error::Unsigned(_))));
}
