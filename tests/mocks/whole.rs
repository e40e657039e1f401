//! The real daemon between a contact and its provider: messages out, what the provider tells about them in.

use blackbox::daemon::Daemon;
use serde_json::{Value, json};

use crate::running::Mock;
use crate::world::{
    CONFIG, FALLBACK, TENANT, daemon, daemon_with, enroll, explained, held, inbox, number, of, put, sms,
    tells, until, until_held, webhook, wrote,
};

const ANA: &str = "+5511999990000";
const STRANGER: &str = "+5511888880000";
const CY: &str = "+5511777770000";

/// A template that nothing holds.
const HELLO: &str = "  fallback: { name: hello_world, language: en_US }\n";

/// A file with its words and its name, that WhatsApp is to fetch.
const FILE: &str = "  media:
    kind: document
    link: \"https://cdn.example/{{ contact.id }}.pdf\"
    caption: \"Para {{ contact.id }}\"
    file_name: aula.pdf
";

#[test]
fn a_paused_template_holds_its_step_until_it_is_approved_and_a_closed_window_sends_it() {
    let (mock, folder) = (Mock::start("whatsapp"), tempfile::tempdir().unwrap());
    let daemon = daemon(&folder, "whatsapp", |_| number(&mock));
    let (mut client, url) = (daemon.client(), webhook(&daemon, "mail"));
    let template = |event: &str| {
        let value = json!({ "event": event, "message_template_id": 7, "message_template_name": "aula",
            "message_template_language": "pt-BR", "reason": "NONE" });
        json!({ "field": "message_template_status_update", "value": value })
    };
    assert_eq!(tells(&mock, template("PAUSED"), &url), 200);
    let holds = held(&mut client);
    assert_eq!((holds.len(), &holds[0]["step"]), (1, &json!(1)), "{holds:?}");
    assert_eq!(holds[0]["held"]["reason"], "its template: the provider paused aula (pt_BR)");
    enroll(&mut client, "ana", ANA);
    // One that waits for nothing leaves by the same lane, enrolled later: the lane has looked at both.
    let other = folder.path().join("other.yaml");
    std::fs::write(&other, format!("steps:\n- channel: whatsapp\n  body: \"hi\"\n{HELLO}")).unwrap();
    daemon.cli_must(TENANT, &["sequence", "put", "other", "-f", &other.display().to_string(), "--publish"]);
    let bo = json!({ "contact": "bo", "profile": { "phone": STRANGER } });
    client.must("EnrollmentService/Enroll", &json!({ "tenant": TENANT, "sequence": "other", "enroll": bo }));
    until(&daemon, "bo", |bo| bo.statuses == ["sent"]);
    let explained = explained(&daemon, "ana");
    assert_eq!(
        (&explained["reason"], &explained["bindingGate"]),
        (&json!("step"), &json!("hold")),
        "{explained}"
    );
    let sent = mock.sent();
    assert_eq!((sent.len(), &sent[0]["message"]["template"]["name"]), (1, &json!("hello_world")), "{sent:?}");
    for _ in 0..2 {
        assert_eq!(tells(&mock, template("APPROVED"), &url), 200);
    }
    assert_eq!(held(&mut client), Vec::<Value>::new());
    until(&daemon, "ana", |ana| ana.statuses == ["sent", "pending"]);

    // They wrote, says the platform; WhatsApp knows better.
    wrote(&mut client, "cy");
    let refused = json!({ "next": [{ "kind": "refuse", "code": 131_047 }] });
    mock.side("POST", "/_fail", &refused.to_string());
    enroll(&mut client, "cy", CY);
    until(&daemon, "cy", |cy| cy.statuses == ["failed", "sent", "pending"]);
    let sent = mock.sent();
    assert_eq!((sent.len(), &sent[2]["message"]["template"]["name"]), (3, &json!("aula")));
}

#[test]
fn a_whatsapp_cadence_goes_out_hears_its_receipts_and_ends_with_the_reply() {
    let (mock, folder) = (Mock::start("whatsapp"), tempfile::tempdir().unwrap());
    let daemon = daemon(&folder, "whatsapp", |_| number(&mock));
    let (mut client, url) = (daemon.client(), webhook(&daemon, "mail"));

    let asked = |token| mock.side("POST", "/_verify", &json!({ "url": url, "token": token }).to_string());
    assert_eq!(asked("hello"), json!({ "status": 200, "body": "1158201444" }));
    assert_eq!(asked("hallo")["status"], 403);

    enroll(&mut client, "ana", ANA);
    until(&daemon, "ana", |ana| ana.statuses == ["sent", "pending"]);
    let sent = mock.sent();
    let template = &sent[0]["message"]["template"];
    assert_eq!(
        (sent.len(), &template["name"], &template["language"]["code"]),
        (1, &json!("aula"), &json!("pt_BR"))
    );
    let texts = json!([{ "type": "text", "text": "ana" }, { "type": "text", "text": "19h" }]);
    assert_eq!(template["components"][1]["parameters"], texts);
    let id = sent[0]["id"].clone();
    for (status, shown) in
        [("delivered", "delivered"), ("sent", "delivered"), ("read", "read"), ("delivered", "read")]
    {
        for _ in 0..3 {
            assert_eq!(tells(&mock, json!({ "id": id, "status": status }), &url), 200);
        }
        assert_eq!(of(&daemon, "ana").statuses[0], shown, "{status}");
    }

    // Whoever has no secret of the app's changes nothing, nor what is told of others' messages.
    let said = |from: &str, text: &str| json!({ "from": from, "type": "text", "part": { "body": text } });
    let mut forged = said(&ANA[1..], "oi");
    forged["secret"] = json!("another");
    assert_eq!(tells(&mock, forged, &url), 403);
    assert_eq!(tells(&mock, json!({ "id": "wamid.other", "status": "read" }), &url), 200);
    assert_eq!(tells(&mock, json!({ "id": id, "status": "read" }), &webhook(&daemon, "none")), 404);
    let (status, says) = client.request("POST", "/v1/webhooks/acme/mail", &[], "{}").unwrap();
    assert!(status == 401 && says.contains("X-Hub-Signature-256"), "{status} {says}");
    assert_eq!(of(&daemon, "ana").state, "active");

    assert_eq!(tells(&mock, said(&ANA[1..], "oi"), &url), 200);
    let ana = of(&daemon, "ana");
    assert_eq!((&*ana.state, &*ana.reason, &*ana.statuses[0]), ("exited", "replied", "replied"));

    // Somebody nobody knows says stop: nobody is enrolled by that number.
    assert_eq!(tells(&mock, said(&STRANGER[1..], "stop"), &url), 200);
    let refused = enroll(&mut client, "bob", STRANGER).to_string();
    assert!(refused.contains("suppressed"), "{refused}");
    assert_eq!(mock.sent().len(), 1);

    // Whoever has written gets what is meant, and answers by its button.
    wrote(&mut client, "cy");
    enroll(&mut client, "cy", CY);
    until(&daemon, "cy", |cy| cy.statuses == ["sent", "pending"]);
    let asked = &mock.sent()[1]["message"];
    assert_eq!(
        (&asked["type"], &asked["interactive"]["body"]["text"]),
        (&json!("interactive"), &json!("hi"))
    );
    let reply = asked["interactive"]["action"]["buttons"][0]["reply"].clone();
    assert_eq!(reply, json!({ "id": "yes", "title": "Sim" }));
    let pressed = json!({ "type": "button_reply", "button_reply": reply });
    let pressed = json!({ "from": &CY[1..], "type": "interactive", "part": pressed });
    assert_eq!(tells(&mock, pressed, &url), 200);
    assert_eq!(of(&daemon, "cy").reason, "replied");
}

#[test]
fn a_file_goes_to_who_wrote_with_its_words_and_its_name_and_a_template_to_the_others() {
    let (mock, folder) = (Mock::start("whatsapp"), tempfile::tempdir().unwrap());
    let daemon = daemon_with(&folder, "whatsapp", &[FILE, FALLBACK].concat(), |_| number(&mock));
    let mut client = daemon.client();
    enroll(&mut client, "ana", ANA);
    until(&daemon, "ana", |ana| ana.statuses == ["sent", "pending"]);
    assert_eq!(mock.sent()[0]["message"]["template"]["name"], "aula");

    wrote(&mut client, "cy");
    enroll(&mut client, "cy", CY);
    until(&daemon, "cy", |cy| cy.statuses == ["sent", "pending"]);
    let sent = &mock.sent()[1]["message"];
    let file = json!({ "link": "https://cdn.example/cy.pdf", "caption": "Para cy", "filename": "aula.pdf" });
    assert_eq!((&sent["type"], &sent["document"]), (&json!("document"), &file));
}

#[test]
fn a_last_message_that_is_refused_later_is_sent_again_unless_a_person_took_its_contact_out() {
    let (mock, folder) = (Mock::start("twilio"), tempfile::tempdir().unwrap());
    let daemon = Daemon::start_with(folder.path(), CONFIG);
    let channel = format!("kind: sms\n{}", sms(&mock, &daemon));
    let sequence = "steps:\n- { channel: sms, body: \"hi\" }\n";
    put(&daemon, TENANT, &channel, sequence);
    let mut client = daemon.client();
    enroll(&mut client, "ana", ANA);
    until(&daemon, "ana", |ana| ana.state == "completed");
    // Too fast for the carrier, as Twilio says only later.
    let refuses = |place: usize| {
        let receipt = json!({ "sid": mock.sent()[place]["id"], "status": "failed", "code": "30022" });
        assert_eq!(mock.side("POST", "/_status", &receipt.to_string())["status"], 204);
    };
    refuses(0);
    let ana = of(&daemon, "ana");
    assert_eq!((&*ana.state, ana.statuses), ("active", vec!["failed".to_owned(), "scheduled".to_owned()]));
    until(&daemon, "ana", |ana| ana.state == "completed");
    assert_eq!(of(&daemon, "ana").statuses, ["failed", "sent"]);

    let out = json!({ "tenant": TENANT, "enrollmentId": ana.id });
    let told = client.must("EnrollmentService/Exit", &out);
    assert!(
        told["change"]["changed"] != true && told["change"]["enrollment"]["state"] == "completed",
        "{told}"
    );
    refuses(1);
    let ana = of(&daemon, "ana");
    assert_eq!((&*ana.state, ana.statuses), ("completed", vec!["failed".to_owned(), "failed".to_owned()]));
    let kinds: Vec<&str> = ana.entries.iter().map(|entry| entry.kind.as_str()).collect();
    let again = ["reopened", "intended", "sent", "completed", "closed", "code", "received"];
    assert_eq!(kinds[kinds.len() - again.len()..], again, "{kinds:?}");

    let store = daemon.store().display().to_string();
    daemon.stop();
    let verified = blackbox::daemon::command().args(["store", "verify", "--store", &store]).output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
}

#[test]
fn an_sms_cadence_goes_out_hears_its_receipts_and_ends_with_stop() {
    let (mock, folder) = (Mock::start("twilio"), tempfile::tempdir().unwrap());
    let daemon = daemon(&folder, "sms", |daemon| sms(&mock, daemon));
    let (mut client, url) = (daemon.client(), webhook(&daemon, "mail"));
    enroll(&mut client, "ana", ANA);
    until(&daemon, "ana", |ana| ana.statuses == ["sent", "pending"]);
    let sid = mock.sent()[0]["id"].clone();
    let receipt = json!({ "sid": sid, "status": "delivered" });
    for _ in 0..2 {
        assert_eq!(mock.side("POST", "/_status", &receipt.to_string())["status"], 204);
    }
    assert_eq!(of(&daemon, "ana").statuses[0], "delivered");
    let mut forged = json!({ "from": ANA, "text": "oi" });
    forged["token"] = json!("another");
    assert_eq!(tells(&mock, forged, &url), 403);
    assert_eq!(of(&daemon, "ana").state, "active");
    assert_eq!(tells(&mock, json!({ "from": ANA, "text": "STOP", "opt_out": "STOP" }), &url), 204);
    let ana = of(&daemon, "ana");
    assert_eq!((&*ana.state, &*ana.reason), ("exited", "opted_out"));
    let refused = enroll(&mut client, "ana-again", ANA).to_string();
    assert!(refused.contains("suppressed"), "{refused}");
    assert_eq!(
        tells(
            &mock,
            json!({ "from": ANA, "text": "START", "opt_out": "START", "sid": "SM".to_owned() + &"a".repeat(32) }),
            &url
        ),
        204
    );
    let taken = enroll(&mut client, "ana-again", ANA).to_string();
    assert!(!taken.contains("suppressed"), "{taken}");
}

#[test]
fn a_conversation_gets_its_messages_and_a_wrong_token_holds_the_channel_until_it_is_released() {
    let (mock, folder) = (Mock::start("chatwoot"), tempfile::tempdir().unwrap());
    let daemon = daemon(&folder, "conversation", |_| inbox(&mock, "wrong"));
    let mut client = daemon.client();
    let contact = mock.number("conversation").to_string();
    enroll(&mut client, &contact, ANA);
    let hold = until_held(&mut client);
    assert_eq!(
        (&hold["held"]["by"], &hold["held"]["reason"]),
        (&json!("followupd"), &json!("the provider said 401"))
    );
    assert_eq!(of(&daemon, &contact).statuses, ["scheduled"], "nobody fails");

    let shown = daemon.cli_must(TENANT, &["channel", "get", "mail"]);
    assert!(shown.contains("the provider said 401"), "{shown}");
    let channel = folder.path().join("channel.yaml");
    std::fs::write(&channel, format!("kind: conversation\n{}", inbox(&mock, mock.who("token")))).unwrap();
    daemon.cli_must(TENANT, &["channel", "put", "mail", "-f", &channel.display().to_string()]);
    daemon.cli_must(TENANT, &["release", "--channel", "mail"]);
    until(&daemon, &contact, |one| one.statuses == ["sent", "pending"]);
    assert_eq!(mock.sent().len(), 1);
}
