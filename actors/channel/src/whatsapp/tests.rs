//! The sender against a scripted server on this machine. What hangs meets short real time-outs: sockets do not wait
//! for a paused clock.

use std::time::Duration;

use followupd_domain::channel::Kind;
use serde_json::{Value, json};

use super::*;
use crate::http::testing::{Say, call, doubts, reach, seen, serve, status};
use crate::resolve::System;
use crate::secret::Secret;
use crate::tls::testing;
use followupd_domain::reaction::{Reaction, Scope};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(200);
const TAKEN: &str = r#"{"messaging_product":"whatsapp","messages":[{"id":"wamid.HBg"}]}"#;

fn number(port: u16, answer: Duration) -> WhatsApp {
    let settings = Settings {
        base: format!("http://127.0.0.1:{port}"),
        reach: reach(answer),
        ..Settings::new("106540352242922", Secret::new("EAAJB"))
    };
    WhatsApp::open(settings, &testing::distrust(), Arc::new(System::default())).unwrap()
}

async fn called(number: &WhatsApp) -> Answer {
    number.call(call(Kind::Whatsapp, "5511999990000"), Slot::default()).await
}

fn refusal(http: u16, code: u64) -> Say {
    let error = json!({ "error": { "message": "No", "type": "OAuthException", "code": code } });
    status(http, "", &error.to_string())
}

#[tokio::test]
async fn a_message_is_posted_with_its_token_and_its_key() {
    let (port, served) = serve(vec![vec![status(200, "", TAKEN); 2]]).await;
    let number = number(port, LONG);
    for _ in 0..2 {
        assert_eq!(called(&number).await, Answer::Accepted);
    }
    let [seen, _] = &seen(served).await[..] else { panic!("two requests") };
    assert_eq!(seen.path, "/v23.0/106540352242922/messages");
    assert_eq!(seen.headers["authorization"], "Bearer EAAJB");
    assert_eq!(seen.headers["content-type"], "application/json");
    let body: Value = serde_json::from_str(&seen.body).unwrap();
    assert_eq!(body["biz_opaque_callback_data"], "snd_TEST");
    assert_eq!(body["text"], json!({ "body": "Tudo \"bem\"?" }));
}

#[tokio::test]
async fn what_is_broken_after_the_request_left_is_in_doubt() {
    for says in doubts() {
        let (port, served) = serve(vec![vec![says.clone()]]).await;
        assert_eq!(called(&number(port, SHORT)).await, Answer::Uncertain, "{says:?}");
        seen(served).await;
    }
}

#[tokio::test]
async fn a_200_that_says_no_is_in_doubt() {
    let (port, served) = serve(vec![vec![refusal(200, 131_026)]]).await;
    assert_eq!(called(&number(port, LONG)).await, Answer::Uncertain);
    seen(served).await;
}

#[tokio::test]
async fn wrong_credentials_use_no_attempt_and_the_number_rests() {
    let (port, served) = serve(vec![vec![refusal(401, 190)]]).await;
    let number = number(port, LONG);
    assert_eq!(called(&number).await, Answer::refused("190", Reaction::stop(Scope::Sender)));
    assert_eq!(called(&number).await, Answer::unsent("host_rests"));
    assert!(number.slot(false).await.is_err());
    seen(served).await;
}

#[tokio::test]
async fn one_contacts_pace_slows_nobody_else() {
    let (port, served) = serve(vec![vec![refusal(400, 131_056), status(200, "", TAKEN)]]).await;
    let number = number(port, LONG);
    assert_eq!(called(&number).await, Answer::refused("131056", reaction(131_056).unwrap()));
    assert_eq!(called(&number).await, Answer::Accepted);
    seen(served).await;
}

#[tokio::test]
async fn a_code_decides_whatever_the_status() {
    for (http, code) in [(400, 100), (500, 131_000), (404, 132_001), (400, 131_047), (403, 131_031)] {
        let (port, served) = serve(vec![vec![refusal(http, code)]]).await;
        let expected = Answer::refused(code.to_string(), reaction(code).unwrap());
        assert_eq!(called(&number(port, LONG)).await, expected, "{code}");
        seen(served).await;
    }
    let (port, served) = serve(vec![vec![refusal(400, 7)]]).await;
    assert_eq!(called(&number(port, LONG)).await, Answer::refused("7", Reaction::BAD_STEP));
    seen(served).await;
}

#[tokio::test]
async fn a_text_that_would_be_refused_is_not_posted() {
    let number = number(1, LONG);
    let mut call = call(Kind::Whatsapp, "5511999990000");
    call.message.body = String::new();
    let code = "text: from 1 to 4096 characters".to_owned();
    let expected = Answer::refused(code, Reaction::BAD_STEP);
    assert_eq!(number.call(call, Slot::default()).await, expected);
}

#[tokio::test]
async fn what_cannot_be_connected_to_backs_off() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    assert_eq!(called(&number(port, LONG)).await, Answer::unsent("connect"));
}
