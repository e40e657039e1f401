//! What the mocks post to a URL of ours, as `followupd_channel::inbound` checks and reads it.

use followupd_channel::inbound::{Choice, Inbound, Receipt, Said, Status, Wants, meta, twilio};
use followupd_channel::secret::Secret;
use followupd_domain::Moment;
use serde_json::{Value, json};

use crate::refusals::{FORM, basic};
use crate::running::{Came, Mock, listen};

const AT: u64 = 1_739_321_024;
const NOW: Moment = Moment(1_739_321_024_000);

/// What a mock posts when it is ordered to.
fn posted(mock: &Mock, path: &str, order: &Value) -> Came {
    let (address, came) = listen(1, "");
    let mut order = order.clone();
    order["url"] = json!(format!("http://{address}{path}"));
    assert_eq!(mock.side("POST", "/_status", &order.to_string())["status"], 200);
    came.join().unwrap().remove(0)
}

fn from_meta(mock: &Mock, order: &Value) -> Vec<Inbound> {
    let came = posted(mock, "/meta", order);
    let secrets = [Secret::new("next"), Secret::new(mock.who("app_secret"))];
    meta::check(came.header(meta::SIGNATURE), &came.body, &secrets).unwrap();
    assert!(meta::check(came.header(meta::SIGNATURE), &came.body, &secrets[..1]).is_err());
    meta::read(&came.body).unwrap()
}

/// A message that the mock has accepted: its id.
fn sent(mock: &Mock) -> String {
    let path = format!("/v23.0/{}/messages", mock.who("phone_number_id"));
    let token = format!("Bearer {}", mock.who("token"));
    let message = json!({
        "messaging_product": "whatsapp", "to": "5511999990000", "type": "text", "text": { "body": "Olá" },
        "biz_opaque_callback_data": "snd_1",
    });
    let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
    let (_, says) = mock.ask("POST", &path, &headers, &message.to_string());
    says["messages"][0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn what_the_mock_of_whatsapp_tells_is_taken_and_read() {
    let mock = Mock::start("whatsapp");
    let id = sent(&mock);
    let (contact, sender) = ("5511999990000".to_owned(), mock.who("phone_number_id").to_owned());
    for (order, status, code) in [
        (json!({ "status": "sent" }), Status::Sent, None),
        (json!({ "status": "delivered" }), Status::Delivered, None),
        (json!({ "status": "read" }), Status::Read, None),
        (json!({ "status": "failed", "code": 131_049 }), Status::Failed, Some("131049".to_owned())),
    ] {
        let mut order = order;
        (order["id"], order["timestamp"]) = (json!(id), json!(AT));
        let receipt = Receipt {
            key: Some("snd_1".into()),
            id: id.clone(),
            status,
            at: NOW,
            code,
            contact: Some(contact.clone()),
            sender: Some(sender.clone()),
        };
        assert_eq!(from_meta(&mock, &order), [Inbound::Receipt(receipt)]);
    }
    let part = json!({ "type": "button_reply", "button_reply": { "id": "yes", "title": "Sim, já!" } });
    let order = json!({
        "from": contact, "type": "interactive", "part": part, "id": "wamid.IN", "context": id, "timestamp": AT,
    });
    let said = Said {
        contact,
        sender,
        id: "wamid.IN".into(),
        text: Some("Sim, já!".into()),
        button: Some("yes".into()),
        answers: Some(id),
        at: NOW,
    };
    assert_eq!(from_meta(&mock, &order), [Inbound::Said(said)]);
}

#[test]
fn what_is_forged_in_metas_name_is_not_taken() {
    let mock = Mock::start("whatsapp");
    let order = json!({ "status": "sent", "id": "wamid.1", "secret": "guessed" });
    let came = posted(&mock, "/meta", &order);
    let secrets = [Secret::new(mock.who("app_secret"))];
    assert!(meta::check(came.header(meta::SIGNATURE), &came.body, &secrets).is_err());
}

#[test]
fn the_mock_of_whatsapp_verifies_an_endpoint() {
    let mock = Mock::start("whatsapp");
    let (address, came) = listen(1, "1158201444");
    let order = json!({ "url": format!("http://{address}/meta"), "token": "o & o" });
    let says = mock.side("POST", "/_verify", &order.to_string());
    assert_eq!(says, json!({ "status": 200, "body": "1158201444" }));
    let target = came.join().unwrap().remove(0).target;
    let (_, query) = target.split_once('?').unwrap();
    assert_eq!(meta::handshake(query, &[Secret::new("o & o")]).as_deref(), Ok("1158201444"));
    assert!(meta::handshake(query, &[Secret::new("o")]).is_err());
}

fn from_twilio(mock: &Mock, path: &str, order: &Value) -> Vec<Inbound> {
    let came = posted(mock, path, order);
    let url = format!("http://{}{}", came.header("host").unwrap(), came.target);
    let content_type = came.header("content-type");
    let request = twilio::Request { url: &url, content_type, body: &came.body };
    let signature = came.header(twilio::SIGNATURE);
    let tokens = [Secret::new("next"), Secret::new(mock.who("token"))];
    request.check(signature, &tokens).unwrap();
    assert!(request.check(signature, &tokens[..1]).is_err());
    let elsewhere = url.replace("/twilio", "/elsewhere");
    assert!(twilio::Request { url: &elsewhere, ..request }.check(signature, &tokens).is_err());
    request.read(NOW).unwrap()
}

#[test]
fn what_the_mock_of_twilio_tells_is_taken_and_read() {
    let mock = Mock::start("twilio");
    let (number, contact) = (mock.who("number").to_owned(), "+5511999990000".to_owned());
    let form = |status: &str, code: &str| {
        json!({ "form": {
            "MessageSid": "SM1", "MessageStatus": status, "ErrorCode": code, "To": contact, "From": number,
        } })
    };
    for (order, status, code) in [
        (form("sent", ""), Status::Sent, None),
        (form("delivered", ""), Status::Delivered, None),
        (form("undelivered", "30005"), Status::Failed, Some("30005".to_owned())),
    ] {
        let receipt = Receipt {
            key: Some("snd_1".into()),
            id: "SM1".into(),
            status,
            at: NOW,
            code,
            contact: Some(contact.clone()),
            sender: Some(number.clone()),
        };
        let told = from_twilio(&mock, "/twilio?for=acme&send=snd_1", &order);
        assert_eq!(told, [Inbound::Receipt(receipt)]);
    }
    let order = json!({ "from": contact, "text": "Parar & já", "opt_out": "STOP", "sid": "SM2" });
    let said = Said {
        contact: contact.clone(),
        sender: number.clone(),
        id: "SM2".into(),
        text: Some("Parar & já".into()),
        button: None,
        answers: None,
        at: NOW,
    };
    let choice = Choice { contact, sender: number, id: "SM2".into(), wants: Wants::Out, at: NOW };
    let told = from_twilio(&mock, "/twilio", &order);
    assert_eq!(told, [Inbound::Said(said), Inbound::Choice(choice)]);
}

#[test]
fn a_status_goes_to_the_messages_own_callback_as_often_as_it_is_told() {
    const TIMES: usize = 3;
    let mock = Mock::start("twilio");
    let (address, came) = listen(TIMES, "");
    let callback = format!("http://{address}/twilio?send=snd_1");
    let path = format!("/2010-04-01/Accounts/{}/Messages.json", mock.who("account"));
    let form = [
        ("To", "+5511999990000"),
        ("From", mock.who("number")),
        ("Body", "Oi"),
        ("StatusCallback", callback.as_str()),
    ];
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let login = basic(&format!("{}:{}", mock.who("account"), mock.who("token")));
    let headers = [("Authorization", login.as_str()), ("Content-Type", FORM)];
    let (status, says) = mock.ask("POST", &path, &headers, &form);
    assert_eq!(
        (status, says["status"].as_str(), says["num_segments"].as_str()),
        (201, Some("queued"), Some("1"))
    );
    let order = json!({ "sid": says["sid"], "status": "delivered", "times": TIMES });
    mock.side("POST", "/_status", &order.to_string());
    for came in came.join().unwrap() {
        let content_type = came.header("content-type");
        let request = twilio::Request { url: &callback, content_type, body: &came.body };
        request.check(came.header(twilio::SIGNATURE), &[Secret::new(mock.who("token"))]).unwrap();
        let told = request.read(NOW).unwrap();
        let [Inbound::Receipt(receipt)] = &told[..] else { panic!("{told:?}") };
        assert_eq!((receipt.key.as_deref(), receipt.status), (Some("snd_1"), Status::Delivered));
        assert_eq!(Some(receipt.id.as_str()), says["sid"].as_str());
    }
    let path = path.replace(".json", &format!("/{}.json", says["sid"].as_str().unwrap()));
    assert_eq!(mock.ask("GET", &path, &headers, "").1["status"], "delivered");
}
