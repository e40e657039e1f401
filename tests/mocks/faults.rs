//! Whatever a mock is told to do instead of its work, it does, once.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use serde_json::json;

use crate::running::Mock;

/// Everything a mock says to one message until it closes, or until the caller has closed its half.
fn raw(mock: &Mock, head: &str, body: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(mock.address).unwrap();
    let length = body.len();
    write!(stream, "POST {head}\r\nHost: mock\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut says = Vec::new();
    stream.read_to_end(&mut says).unwrap();
    says
}

#[test]
fn a_mock_fails_as_it_is_told_and_then_works_again() {
    let mock = Mock::start("chatwoot");
    let token = mock.who("token");
    let head = format!(
        "/api/v1/accounts/1/conversations/42/messages HTTP/1.1\r\nContent-Type: application/json\r\n\
         api_access_token: {token}"
    );
    let fails = json!({ "next": [
        { "kind": "hang" },
        { "kind": "garbage" },
        { "kind": "close", "taken": true },
        { "kind": "refuse", "code": 429 },
        { "kind": "ok_error", "code": 422 },
        { "kind": "status", "status": 503, "body": "oh", "headers": { "Retry-After": "7" } },
    ] });
    mock.side("POST", "/_fail", &fails.to_string());
    let post = || raw(&mock, &head, r#"{"content":"Oi"}"#);
    let text = |says: Vec<u8>| String::from_utf8(says).unwrap();

    assert_eq!(post(), b"", "it hangs until the caller goes away");
    assert!(post().starts_with(b"\x00\xff"));
    let half = text(post());
    let (head_of, body) = half.split_once("\r\n\r\n").unwrap();
    let length: usize = head_of.rsplit_once(": ").unwrap().1.parse().unwrap();
    assert!(head_of.starts_with("HTTP/1.1 200 ") && !body.is_empty() && body.len() < length, "{half}");
    assert_eq!(mock.sent().len(), 1, "it said yes and took it");
    assert!(text(post()).starts_with("HTTP/1.1 429 "));
    let both = text(post());
    assert!(both.starts_with("HTTP/1.1 200 ") && both.contains("\"error\""), "{both}");
    let busy = text(post());
    assert!(busy.starts_with("HTTP/1.1 503 ") && busy.contains("Retry-After: 7\r\n"), "{busy}");
    assert_eq!(mock.sent().len(), 1);
    assert!(text(post()).starts_with("HTTP/1.1 200 "));
    assert_eq!(mock.sent().len(), 2);
}

#[test]
fn a_mock_refuses_with_its_providers_error() {
    let whatsapp = Mock::start("whatsapp");
    whatsapp.side("POST", "/_fail", r#"{"next":[{"kind":"refuse","code":131056,"unchecked":true}]}"#);
    let (status, says) = whatsapp.ask("POST", "/v23.0/106540352242922/messages", &[], "{}");
    assert_eq!(status, 400);
    assert_eq!(says["error"]["code"], 131_056);
    for field in ["message", "type", "fbtrace_id"] {
        assert!(says["error"][field].is_string(), "{says}");
    }
    assert!(says["error"]["error_data"]["details"].is_string(), "{says}");

    let twilio = Mock::start("twilio");
    twilio.side("POST", "/_fail", r#"{"next":[{"kind":"refuse","code":21610,"unchecked":true}]}"#);
    let expected = json!({
        "code": 21610, "message": "Attempt to send to unsubscribed recipient",
        "more_info": "https://www.twilio.com/docs/errors/21610", "status": 400,
    });
    assert_eq!(twilio.ask("POST", "/2010-04-01/Accounts/AC/Messages.json", &[], ""), (400, expected));
}

#[test]
fn a_side_door_is_strict_too() {
    let mock = Mock::start("twilio");
    for order in [
        "",
        "{}",
        "[]",
        r#"{"next":{}}"#,
        r#"{"next":[{}]}"#,
        r#"{"next":[{"kind":"explode"}]}"#,
        r#"{"next":[{"kind":"hang","for":1}]}"#,
        r#"{"next":[],"next":[]}"#,
        r#"{"next":[{"kind":"refuse","code":NaN}]}"#,
    ] {
        let (status, says) = mock.ask("POST", "/_fail", &[], order);
        assert!(status == 400 && says["wrong"].is_string(), "{order}: {says}");
    }
    assert_eq!(mock.ask("GET", "/_nothing", &[], "").0, 404);
}
