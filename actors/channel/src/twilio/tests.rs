//! The sender against a scripted server on this machine. What hangs meets short real time-outs: sockets do not wait
//! for a paused clock.

use std::collections::BTreeMap;
use std::time::Duration;

use followupd_domain::channel::Kind;
use followupd_domain::reaction::Scope;
use serde_json::json;

use super::*;
use crate::http::testing::{Say, call, doubts, reach, seen, serve, status};
use crate::resolve::System;
use crate::secret::Secret;
use crate::tls::testing;

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(200);
const TAKEN: &str = r#"{"sid":"SM0","status":"queued","error_code":null}"#;

fn account() -> String {
    format!("AC{}", "0".repeat(32))
}

fn twilio(port: u16, answer: Duration) -> Twilio {
    let sender = Sender::Number("+15005550006".into());
    let settings = Settings {
        base: format!("http://127.0.0.1:{port}"),
        status_callback: Some("http://127.0.0.1/in".into()),
        reach: reach(answer),
        ..Settings::new(account(), Secret::new("hunter2"), sender)
    };
    Twilio::open(settings, &testing::distrust(), Arc::new(System::default())).unwrap()
}

async fn called(twilio: &Twilio) -> Answer {
    twilio.call(call(Kind::Sms, "+5511999990000"), Slot::default()).await
}

fn refusal(http: u16, code: u64) -> Say {
    status(http, "", &json!({ "code": code, "message": "No", "status": http }).to_string())
}

#[tokio::test]
async fn a_message_is_a_form_with_its_login() {
    let (port, served) = serve(vec![vec![status(201, "", TAKEN); 2]]).await;
    let twilio = twilio(port, LONG);
    for _ in 0..2 {
        assert_eq!(called(&twilio).await, Answer::Accepted);
    }
    let [seen, _] = &seen(served).await[..] else { panic!("two requests") };
    assert_eq!(seen.path, format!("/2010-04-01/Accounts/{}/Messages.json", account()));
    assert_eq!(seen.headers["content-type"], "application/x-www-form-urlencoded");
    let login = seen.headers["authorization"].strip_prefix("Basic ").unwrap();
    assert_eq!(STANDARD.decode(login).unwrap(), format!("{}:hunter2", account()).into_bytes());
    let form: BTreeMap<String, String> =
        url::form_urlencoded::parse(seen.body.as_bytes()).into_owned().collect();
    let expected = [
        ("Body", "Tudo \"bem\"?"),
        ("From", "+15005550006"),
        ("StatusCallback", "http://127.0.0.1/in?send=snd_TEST"),
        ("To", "+5511999990000"),
    ];
    assert_eq!(form, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
}

#[tokio::test]
async fn what_is_broken_after_the_request_left_is_in_doubt() {
    let made_nothing = status(200, "", TAKEN);
    for says in doubts().into_iter().chain([made_nothing]) {
        let (port, served) = serve(vec![vec![says.clone()]]).await;
        assert_eq!(called(&twilio(port, SHORT)).await, Answer::Uncertain, "{says:?}");
        seen(served).await;
    }
}

#[tokio::test]
async fn a_yes_that_says_no_is_in_doubt() {
    for status in [200, 201] {
        let (port, served) = serve(vec![vec![refusal(status, 30_008)]]).await;
        assert_eq!(called(&twilio(port, LONG)).await, Answer::Uncertain);
        seen(served).await;
    }
}

#[tokio::test]
async fn wrong_credentials_use_no_attempt_and_the_sender_rests() {
    let (port, served) = serve(vec![vec![refusal(401, 20_003)]]).await;
    let twilio = twilio(port, LONG);
    assert_eq!(called(&twilio).await, Answer::refused("20003", Reaction::stop(Scope::Sender)));
    assert_eq!(called(&twilio).await, Answer::unsent("host_rests"));
    assert!(twilio.slot(false).await.is_err());
    seen(served).await;
}

#[tokio::test]
async fn a_code_decides_whatever_the_status() {
    for (http, code) in [(400, 21_610), (400, 21_211), (429, 20_429), (400, 63_016), (500, 30_008)] {
        let (port, served) = serve(vec![vec![refusal(http, code)]]).await;
        let expected = Answer::refused(code.to_string(), reaction(code).unwrap());
        assert_eq!(called(&twilio(port, LONG)).await, expected, "{code}");
        seen(served).await;
    }
}
