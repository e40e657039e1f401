//! The inbox against a scripted server on this machine. What hangs meets short real time-outs: sockets do not wait
//! for a paused clock.

use std::time::Duration;

use followupd_domain::channel::Kind;
use serde_json::{Value, json};

use super::*;
use crate::http::testing::{call, doubts, reach, seen, serve, status};
use crate::resolve::System;
use crate::secret::Secret;
use crate::tls::testing;
use followupd_domain::reaction::{Blames, Reaction, Scope};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(200);
const TAKEN: &str = r#"{"id":7,"content":"Oi","message_type":1}"#;
const NO: &str = r#"{"error":"no"}"#;

fn inbox(port: u16, answer: Duration) -> Chatwoot {
    let base = format!("http://127.0.0.1:{port}");
    let settings = Settings { reach: reach(answer), ..Settings::new(base, 3, Secret::new("token")) };
    Chatwoot::open(settings, &testing::distrust(), Arc::new(System::default())).unwrap()
}

async fn called(inbox: &Chatwoot) -> Answer {
    inbox.call(call(Kind::Conversation, "42"), Slot::default()).await
}

#[tokio::test]
async fn a_message_is_posted_into_its_conversation() {
    let (port, served) = serve(vec![vec![status(200, "", TAKEN); 2]]).await;
    let inbox = inbox(port, LONG);
    for _ in 0..2 {
        assert_eq!(called(&inbox).await, Answer::Accepted);
    }
    let [seen, _] = &seen(served).await[..] else { panic!("two requests") };
    assert_eq!(seen.path, "/api/v1/accounts/3/conversations/42/messages");
    assert_eq!(seen.headers["api_access_token"], "token");
    assert_eq!(seen.headers["content-type"], "application/json");
    let body: Value = serde_json::from_str(&seen.body).unwrap();
    let expected = json!({
        "content": "Tudo \"bem\"?", "message_type": "outgoing", "private": false,
        "content_attributes": { "followupd_send": "snd_TEST" },
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn what_is_broken_after_the_request_left_is_in_doubt() {
    for says in doubts().into_iter().chain([status(200, "", NO)]) {
        let (port, served) = serve(vec![vec![says.clone()]]).await;
        assert_eq!(called(&inbox(port, SHORT)).await, Answer::Uncertain, "{says:?}");
        seen(served).await;
    }
}

#[tokio::test]
async fn wrong_credentials_use_no_attempt_and_the_inbox_rests() {
    let (port, served) = serve(vec![vec![status(401, "", NO)]]).await;
    let inbox = inbox(port, LONG);
    assert_eq!(called(&inbox).await, Answer::refused("401", Reaction::stop(Scope::Sender)));
    assert_eq!(called(&inbox).await, Answer::unsent("host_rests"));
    seen(served).await;
}

#[tokio::test]
async fn a_conversation_that_is_gone_keeps_nobody_else_waiting() {
    let script = vec![status(404, "", NO), status(422, "", NO), status(200, "", TAKEN)];
    let (port, served) = serve(vec![script]).await;
    let inbox = inbox(port, LONG);
    let missing = Reaction::Never { blames: Blames::Message, alike: Some(Scope::Sender) };
    assert_eq!(called(&inbox).await, Answer::refused("404", missing));
    assert_eq!(called(&inbox).await, Answer::refused("422", Reaction::BAD_STEP));
    assert_eq!(called(&inbox).await, Answer::Accepted);
    seen(served).await;
}

#[tokio::test]
async fn a_contact_without_a_conversation_gets_nothing() {
    let code = "conversation: the number of a conversation, from 1 on".to_owned();
    let expected = Answer::refused(code, Reaction::never(Blames::Message));
    let call = call(Kind::Conversation, "ct-1");
    assert_eq!(inbox(1, LONG).call(call, Slot::default()).await, expected);
}
