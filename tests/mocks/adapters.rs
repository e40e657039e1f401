//! Our adapters against the mocks, over real sockets: what they send is taken, what is refused is understood, what is
//! broken is in doubt, and the key comes back with a receipt.

use std::sync::Arc;
use std::time::Duration;

use followupd_channel::chatwoot::{self, Chatwoot};
use followupd_channel::http::Reach;
use followupd_channel::inbound::{Inbound, Status, meta, twilio as from_twilio};
use followupd_channel::resolve::System;
use followupd_channel::secret::Secret;
use followupd_channel::tls::Trust;
use followupd_channel::twilio::segments::segments;
use followupd_channel::twilio::{self, Sender, Twilio};
use followupd_channel::whatsapp::{self, WhatsApp};
use followupd_channel::{Answer, Call, Slot, Transport};
use followupd_domain::Moment;
use followupd_domain::channel::Kind;
use followupd_domain::reaction::{Blames, Reaction, Scope};
use serde_json::{Value, json};

use crate::running::{Mock, listen};
use crate::signatures::call;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(100);
const TEXTS: [&str; 3] = ["Oi", "Olá, \"Ana\" & cia: 100 %\n+1 👍", "[a](b) €"];

fn reach(answer: Duration) -> Reach {
    Reach { plain: true, networks: vec!["127.0.0.0/8".parse().unwrap()], answer, ..Reach::default() }
}

fn base(mock: &Mock) -> String {
    format!("http://{}", mock.address)
}

fn whatsapp(mock: &Mock, token: &str, answer: Duration) -> WhatsApp {
    let settings = whatsapp::Settings {
        base: base(mock),
        reach: reach(answer),
        ..whatsapp::Settings::new(mock.who("phone_number_id"), Secret::new(token))
    };
    WhatsApp::open(settings, &Trust::load(), Arc::new(System::default())).unwrap()
}

fn twilio(mock: &Mock, change: impl FnOnce(&mut twilio::Settings)) -> Twilio {
    let sender = Sender::Number(mock.who("number").to_owned());
    let mut settings = twilio::Settings::new(mock.who("account"), Secret::new(mock.who("token")), sender);
    (settings.base, settings.reach) = (base(mock), reach(LONG));
    change(&mut settings);
    Twilio::open(settings, &Trust::load(), Arc::new(System::default())).unwrap()
}

fn chatwoot(mock: &Mock, token: &str, answer: Duration) -> Chatwoot {
    let settings = chatwoot::Settings {
        reach: reach(answer),
        ..chatwoot::Settings::new(base(mock), 1, Secret::new(token))
    };
    Chatwoot::open(settings, &Trust::load(), Arc::new(System::default())).unwrap()
}

fn to(kind: Kind, address: &str, text: &str) -> Call {
    Call { kind, address: address.to_owned(), ..call(text, Moment(1_800_000_000_000)) }
}

fn by_whatsapp(text: &str) -> Call {
    to(Kind::Whatsapp, "5511999990000", text)
}

fn by_sms(text: &str) -> Call {
    to(Kind::Sms, "+5511999990000", text)
}

fn in_the_inbox(text: &str) -> Call {
    to(Kind::Conversation, "42", text)
}

async fn sends(way: &dyn Transport, call: Call) -> Answer {
    way.call(call, Slot::default()).await
}

/// What follows a refusal.
async fn refusal(way: &dyn Transport, call: Call) -> (String, Reaction) {
    match sends(way, call).await {
        Answer::Refused { code, reaction } => (code, reaction),
        other @ (Answer::Accepted | Answer::Unsent { .. } | Answer::Uncertain) => panic!("{other:?}"),
    }
}

/// Has the mock do this with the next call.
fn fail(mock: &Mock, fail: &Value) {
    mock.side("POST", "/_fail", &json!({ "next": [fail] }).to_string());
}

/// Everything after which nobody knows whether a message was taken, but a hang.
fn doubts() -> Vec<Value> {
    let status = |status: u16, body: &str| json!({ "kind": "status", "status": status, "body": body });
    let mut doubts = vec![
        json!({ "kind": "garbage", "taken": true }),
        json!({ "kind": "close", "taken": true }),
        json!({ "kind": "ok_error", "code": 190 }),
    ];
    doubts.extend(["", "{}", "<html>", "{\"messages\":"].map(|body| status(200, body)));
    doubts.extend([500, 502, 503, 504].map(|code| status(code, "oh")));
    doubts
}

#[tokio::test]
async fn whatsapps_mock_takes_what_our_adapter_sends() {
    let mock = Mock::start("whatsapp");
    let number = whatsapp(&mock, mock.who("token"), LONG);
    for text in TEXTS {
        assert_eq!(sends(&number, by_whatsapp(text)).await, Answer::Accepted, "{text}");
    }
    for (sent, text) in mock.sent().iter().zip(TEXTS) {
        let message = &sent["message"];
        assert_eq!(message["text"]["body"], text);
        assert_eq!(message["biz_opaque_callback_data"], by_whatsapp(text).key);
    }
}

#[tokio::test]
async fn each_code_of_whatsapps_has_its_reaction_through_the_wire() {
    let mock = Mock::start("whatsapp");
    let codes = [
        0, 1, 2, 3, 4, 10, 100, 190, 368, 80_007, 130_429, 130_472, 131_000, 131_005, 131_008, 131_009,
        131_016, 131_021, 131_026, 131_031, 131_042, 131_045, 131_047, 131_048, 131_049, 131_050, 131_051,
        131_052, 131_053, 131_056, 131_057, 132_000, 132_001, 132_005, 132_007, 132_012, 132_015, 132_016,
        133_004, 133_010,
    ];
    for code in codes {
        fail(&mock, &json!({ "kind": "refuse", "code": code }));
        let number = whatsapp(&mock, mock.who("token"), LONG);
        let expected = (code.to_string(), whatsapp::reaction(code).unwrap());
        assert_eq!(refusal(&number, by_whatsapp("Oi")).await, expected);
    }
    assert_eq!(mock.sent(), [] as [Value; 0]);
}

#[tokio::test]
async fn what_whatsapps_mock_leaves_in_doubt_is_uncertain() {
    let mock = Mock::start("whatsapp");
    for doubt in doubts() {
        fail(&mock, &doubt);
        let number = whatsapp(&mock, mock.who("token"), LONG);
        assert_eq!(sends(&number, by_whatsapp("Oi")).await, Answer::Uncertain, "{doubt}");
    }
    fail(&mock, &json!({ "kind": "hang" }));
    let number = whatsapp(&mock, mock.who("token"), SHORT);
    assert_eq!(sends(&number, by_whatsapp("Oi")).await, Answer::Uncertain);
}

#[tokio::test]
async fn a_wrong_or_expired_token_of_whatsapps_stops_the_sender() {
    let mock = Mock::start("whatsapp");
    for token in ["nonsense", mock.who("expired_token")] {
        let expected = ("190".to_owned(), Reaction::stop(Scope::Sender));
        assert_eq!(refusal(&whatsapp(&mock, token, LONG), by_whatsapp("Oi")).await, expected);
    }
}

#[tokio::test]
async fn the_key_of_a_whatsapp_message_comes_back_with_its_receipt() {
    let mock = Mock::start("whatsapp");
    let call = by_whatsapp("Oi");
    let key = call.key.clone();
    assert_eq!(sends(&whatsapp(&mock, mock.who("token"), LONG), call).await, Answer::Accepted);
    let (address, came) = listen(1, "");
    let url = format!("http://{address}/");
    let order = json!({ "url": url, "id": mock.sent()[0]["id"], "status": "delivered" });
    mock.side("POST", "/_status", &order.to_string());
    let came = came.join().unwrap().remove(0);
    meta::check(came.header(meta::SIGNATURE), &came.body, &[Secret::new(mock.who("app_secret"))]).unwrap();
    let told = meta::read(&came.body).unwrap();
    let [Inbound::Receipt(receipt)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((receipt.key.as_ref(), receipt.status), (Some(&key), Status::Delivered));
}

#[tokio::test]
async fn twilios_mock_takes_what_our_adapter_sends() {
    let mock = Mock::start("twilio");
    let service = Sender::Service(mock.who("service").to_owned());
    for number in [twilio(&mock, |_| {}), twilio(&mock, |settings| settings.sender = service)] {
        for text in TEXTS {
            assert_eq!(sends(&number, by_sms(text)).await, Answer::Accepted, "{text}");
        }
    }
    let by_key = twilio(&mock, |settings| {
        settings.username = mock.who("api_key").to_owned();
        settings.password = Secret::new(mock.who("key_secret"));
    });
    assert_eq!(sends(&by_key, by_sms("Oi")).await, Answer::Accepted);
    let sent = mock.sent();
    for (sent, text) in sent.iter().zip(TEXTS.iter().chain(&TEXTS)) {
        assert_eq!(sent["form"]["Body"], *text);
    }
    assert_eq!(sent.len(), 2 * TEXTS.len() + 1);
}

#[tokio::test]
async fn each_code_of_twilios_has_its_reaction_through_the_wire() {
    let mock = Mock::start("twilio");
    for code in [20_003, 20_429, 21_211, 21_610, 21_611, 21_614, 30_001, 30_022, 63_038] {
        fail(&mock, &json!({ "kind": "refuse", "code": code }));
        let expected = (code.to_string(), twilio::reaction(code).unwrap());
        assert_eq!(refusal(&twilio(&mock, |_| {}), by_sms("Oi")).await, expected);
    }
    let (code, reaction) = refusal(&twilio(&mock, |_| {}), to(Kind::Sms, "123", "Oi")).await;
    assert_eq!((code.as_str(), Some(reaction)), ("21211", twilio::reaction(21_211)));
    let wrong = twilio(&mock, |settings| settings.password = Secret::new("nonsense"));
    assert_eq!(refusal(&wrong, by_sms("Oi")).await, ("20003".to_owned(), Reaction::stop(Scope::Sender)));
    assert_eq!(mock.sent(), [] as [Value; 0]);
}

#[tokio::test]
async fn who_said_stop_to_twilio_is_not_written_to() {
    let mock = Mock::start("twilio");
    let (address, came) = listen(1, "");
    let url = format!("http://{address}/");
    let order = json!({ "url": url, "from": "+5511999990000", "text": "STOP", "opt_out": "STOP" });
    mock.side("POST", "/_status", &order.to_string());
    came.join().unwrap();
    let (code, reaction) = refusal(&twilio(&mock, |_| {}), by_sms("Oi")).await;
    assert_eq!((code.as_str(), Some(reaction)), ("21610", twilio::reaction(21_610)));
}

#[tokio::test]
async fn what_twilios_mock_leaves_in_doubt_is_uncertain() {
    let mock = Mock::start("twilio");
    for doubt in doubts() {
        fail(&mock, &doubt);
        assert_eq!(sends(&twilio(&mock, |_| {}), by_sms("Oi")).await, Answer::Uncertain, "{doubt}");
    }
    fail(&mock, &json!({ "kind": "hang" }));
    let number = twilio(&mock, |settings| settings.reach = reach(SHORT));
    assert_eq!(sends(&number, by_sms("Oi")).await, Answer::Uncertain);
}

#[tokio::test]
async fn the_key_of_an_sms_comes_back_with_its_receipt() {
    let mock = Mock::start("twilio");
    let (address, came) = listen(1, "");
    let callback = format!("http://{address}/twilio?for=acme");
    let call = by_sms("Oi");
    let key = call.key.clone();
    let number = twilio(&mock, |settings| settings.status_callback = Some(callback));
    assert_eq!(sends(&number, call).await, Answer::Accepted);
    let sent = mock.sent().remove(0);
    let order = json!({ "sid": sent["id"], "status": "undelivered", "code": "30005" });
    mock.side("POST", "/_status", &order.to_string());
    let came = came.join().unwrap().remove(0);
    let url = format!("http://{}{}", came.header("host").unwrap(), came.target);
    let content_type = came.header("content-type");
    let request = from_twilio::Request { url: &url, content_type, body: &came.body };
    request.check(came.header(from_twilio::SIGNATURE), &[Secret::new(mock.who("token"))]).unwrap();
    let told = request.read(Moment(0)).unwrap();
    let [Inbound::Receipt(receipt)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((receipt.key.as_ref(), receipt.status), (Some(&key), Status::Failed));
    assert_eq!(receipt.code.as_deref(), Some("30005"));
}

#[test]
fn we_count_segments_as_twilios_mock_does() {
    let mock = Mock::start("twilio");
    let letters = ["a", "é", "€", "ç", "👍", "\n"];
    let lengths =
        [1, 66, 67, 68, 69, 70, 71, 76, 77, 80, 81, 133, 134, 135, 152, 153, 154, 160, 161, 306, 307];
    for (first, rest) in letters.iter().flat_map(|first| letters.map(|rest| (first, rest))) {
        for length in lengths {
            let text = format!("{first}{}", rest.repeat(length - 1));
            let counted = mock.side("POST", "/_segments", &json!({ "text": text }).to_string());
            assert_eq!(counted["segments"], segments(&text).count, "{text}");
        }
    }
}

#[tokio::test]
async fn chatwoots_mock_takes_what_our_adapter_sends() {
    let mock = Mock::start("chatwoot");
    let inbox = chatwoot(&mock, mock.who("token"), LONG);
    for text in TEXTS {
        assert_eq!(sends(&inbox, in_the_inbox(text)).await, Answer::Accepted, "{text}");
    }
    for (sent, text) in mock.sent().iter().zip(TEXTS) {
        assert_eq!(sent["message"]["content"], text);
        let attributes = json!({ "followupd_send": in_the_inbox(text).key });
        assert_eq!(sent["message"]["content_attributes"], attributes);
    }
}

#[tokio::test]
async fn what_chatwoots_mock_refuses_is_understood() {
    let mock = Mock::start("chatwoot");
    for token in ["nonsense", mock.who("other_token")] {
        let expected = ("401".to_owned(), Reaction::stop(Scope::Sender));
        assert_eq!(refusal(&chatwoot(&mock, token, LONG), in_the_inbox("Oi")).await, expected);
    }
    let inbox = chatwoot(&mock, mock.who("token"), LONG);
    let missing = Reaction::Never { blames: Blames::Message, alike: Some(Scope::Sender) };
    let expected = ("404".to_owned(), missing);
    assert_eq!(refusal(&inbox, to(Kind::Conversation, "43", "Oi")).await, expected);
    for doubt in doubts() {
        fail(&mock, &doubt);
        let inbox = chatwoot(&mock, mock.who("token"), LONG);
        assert_eq!(sends(&inbox, in_the_inbox("Oi")).await, Answer::Uncertain, "{doubt}");
    }
    fail(&mock, &json!({ "kind": "hang" }));
    let inbox = chatwoot(&mock, mock.who("token"), SHORT);
    assert_eq!(sends(&inbox, in_the_inbox("Oi")).await, Answer::Uncertain);
}
