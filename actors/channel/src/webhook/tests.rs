//! The transport against a strict receiver on this machine. What hangs meets short real time-outs: sockets do not
//! wait for a paused clock.

use std::io;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use followupd_domain::channel::Kind;
use followupd_domain::decision::TraceId;
use followupd_domain::name::Name;
use followupd_domain::reaction::{Again, Blames, Reaction};
use followupd_domain::render::Message;
use followupd_domain::{EnrollmentId, Moment, SendId, Shard, Span, StepNo};
use ring::hmac::{Key, verify};

use super::*;
use crate::http::testing::{Say, seen, serve, serve_tls, status};
use crate::limits;
use crate::resolve::System;
use crate::secret::Secret;
use crate::tls::testing;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SHORT: Duration = Duration::from_millis(200);

fn call() -> Call {
    let enrollment = EnrollmentId::new(Moment(1_800_000_000_000), Shard(1), 1);
    Call {
        send: SendId { enrollment, step: StepNo(2), occurrence: 0, leg: 0 },
        key: "snd_TEST".into(),
        tenant: Name::parse("acme").unwrap(),
        channel: Name::parse("hook").unwrap(),
        kind: Kind::Webhook,
        address: "ct-1".into(),
        contact: "ct-1".into(),
        message: Message::of("Olá", "Tudo \"bem\"?\n"),
        trace: TraceId(7),
        at: Moment(1_800_000_000_123),
        again: false,
    }
}

/// Names with the addresses they are said to have, one answer after the other.
struct Names(Mutex<Vec<Vec<IpAddr>>>);

impl Names {
    fn of(answers: &[&[&str]]) -> Arc<Names> {
        let parse = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
        Arc::new(Names(Mutex::new(answers.iter().rev().map(parse).collect())))
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        assert!(host.ends_with(".example"), "a name, not an address: {host}");
        let answer = self.0.lock().unwrap().pop();
        Box::pin(async move { answer.ok_or_else(|| io::Error::other("no such name")) })
    }
}

fn settings(url: &str) -> Settings {
    let settings = Settings::new(url, Secret::new(SECRET));
    let networks = vec!["127.0.0.0/8".parse().unwrap()];
    Settings { plain: true, networks, answer: Duration::from_secs(20), ..settings }
}

fn webhook(port: u16) -> Webhook {
    let url = format!("http://127.0.0.1:{port}/hook?for=acme");
    Webhook::open(settings(&url), &testing::distrust(), Arc::new(System::default())).unwrap()
}

async fn called(webhook: &Webhook, call: Call) -> Answer {
    webhook.call(call, Slot::default()).await
}

fn backed_off(code: &str) -> Answer {
    Answer::refused(code, Reaction::HOST_RESTS)
}

fn later(code: &str) -> Answer {
    Answer::refused(code, Reaction::again(Again::Soon { at_least: Span::seconds(1) }))
}

fn rejected(code: &str, blames: Blames) -> Answer {
    Answer::refused(code, Reaction::never(blames))
}

#[tokio::test]
async fn a_message_is_a_signed_request() {
    let (port, served) = serve(vec![vec![status(200, "", "ok")]]).await;
    assert_eq!(called(&webhook(port), call()).await, Answer::Accepted);
    let [seen] = &seen(served).await[..] else { panic!("one request") };
    assert_eq!(seen.path, "/hook?for=acme");
    let body: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
    let expected = serde_json::json!({
        "id": "snd_TEST", "type": "message", "tenant": "acme", "channel": "hook", "contact": "ct-1",
        "enrollment": call().send.enrollment.to_string(), "step": 2, "address": "ct-1", "subject": "Olá",
        "body": "Tudo \"bem\"?\n", "trace": format!("{:032x}", 7),
    });
    assert_eq!(body, expected);
    let header = |name: &str| seen.headers.get(name).unwrap_or_else(|| panic!("{name}")).as_str();
    assert_eq!(header("host"), format!("127.0.0.1:{port}"));
    assert_eq!(header("content-type"), "application/json");
    assert_eq!([header("webhook-id"), header("idempotency-key")], ["snd_TEST"; 2]);
    assert_eq!(header("webhook-timestamp"), "1800000000");
    let parts: Vec<&str> = header("traceparent").split('-').collect();
    assert_eq!([parts[0], parts[1], parts[3]], ["00", &format!("{:032x}", 7), "01"]);
    assert_eq!(parts[2].len(), 16);
    let signed = format!("snd_TEST.1800000000.{}", seen.body);
    assert!(is_signed(SECRET, header("webhook-signature"), &signed));
}

/// As a receiver checks it.
fn is_signed(secret: &str, header: &str, signed: &str) -> bool {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let key = Key::new(hmac::HMAC_SHA256, &STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap());
    header.split(' ').any(|signature| {
        let signature = STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap();
        verify(&key, signed.as_bytes(), &signature).is_ok()
    })
}

#[tokio::test]
async fn a_request_called_again_has_the_same_id() {
    let (port, served) = serve(vec![vec![Say::Close], vec![status(200, "", "")]]).await;
    let webhook = webhook(port);
    assert_eq!(called(&webhook, call()).await, Answer::Uncertain);
    let again = Call { again: true, at: Moment(1_800_000_090_000), ..call() };
    assert_eq!(called(&webhook, again).await, Answer::Accepted);
    let seen = seen(served).await;
    assert_eq!(seen[0].headers["webhook-id"], seen[1].headers["webhook-id"]);
    assert_eq!(seen[0].headers["traceparent"], seen[1].headers["traceparent"]);
    assert_ne!(seen[0].headers["webhook-timestamp"], seen[1].headers["webhook-timestamp"]);
    assert_eq!(seen[0].body, seen[1].body, "receivers may compare what has one key");
}

#[tokio::test]
async fn while_rotating_each_receiver_finds_its_signature() {
    let other = format!("whsec_{}", "A".repeat(32));
    let (port, served) = serve(vec![vec![status(204, "", "")]]).await;
    let mut settings = settings(&format!("http://127.0.0.1:{port}"));
    settings.secrets.push(Secret::new(&*other));
    let webhook = Webhook::open(settings, &testing::distrust(), Arc::new(System::default())).unwrap();
    assert_eq!(called(&webhook, call()).await, Answer::Accepted);
    let [seen] = &seen(served).await[..] else { panic!("one request") };
    let signed = format!("snd_TEST.1800000000.{}", seen.body);
    assert!([SECRET, &other].iter().all(|s| is_signed(s, &seen.headers["webhook-signature"], &signed)));
}

#[tokio::test]
async fn a_call_outside_any_trace_names_none() {
    let (port, served) = serve(vec![vec![status(200, "", "")]]).await;
    called(&webhook(port), Call { trace: TraceId(0), ..call() }).await;
    assert!(!seen(served).await[0].headers.contains_key("traceparent"));
}

#[tokio::test]
async fn each_status_is_what_the_table_says() {
    for (code, expected) in [
        (200, Answer::Accepted),
        (202, Answer::Accepted),
        (204, Answer::Accepted),
        (301, backed_off("301")),
        (400, rejected("400", Blames::Message)),
        (401, backed_off("401")),
        (404, backed_off("404")),
        (408, later("408")),
        (410, backed_off("410")),
        (425, later("425")),
        (429, backed_off("429")),
        (500, Answer::Uncertain),
        (502, Answer::Uncertain),
        (503, Answer::Uncertain),
    ] {
        let (port, served) = serve(vec![vec![status(code, "retry-after: 1\r\n", "")]]).await;
        assert_eq!(called(&webhook(port), call()).await, expected, "{code}");
        seen(served).await;
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (elsewhere, other) = serve(vec![vec![status(200, "", "")]]).await;
    let location = format!("location: http://127.0.0.1:{elsewhere}/\r\n");
    let (port, served) = serve(vec![vec![status(307, &location, "")]]).await;
    assert_eq!(called(&webhook(port), call()).await, backed_off("307"));
    assert_eq!(seen(served).await.len(), 1);
    assert!(!other.is_finished());
    other.abort();
}

#[tokio::test]
async fn what_was_sent_and_not_answered_is_uncertain() {
    for says in [Say::Close, Say::Hang, Say::Raw("garbage\r\n\r\n".into()), Say::Raw("HTTP/1.1 20".into())] {
        let (port, served) = serve(vec![vec![says.clone()]]).await;
        let url = format!("http://127.0.0.1:{port}/");
        let settings = Settings { answer: SHORT, ..settings(&url) };
        let webhook = Webhook::open(settings, &testing::distrust(), Arc::new(System::default())).unwrap();
        assert_eq!(called(&webhook, call()).await, Answer::Uncertain, "{says:?}");
        seen(served).await;
    }
}

#[tokio::test]
async fn what_cannot_be_connected_to_backs_off() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let webhook = webhook(port);
    assert_eq!(called(&webhook, call()).await, Answer::unsent("connect"));
    assert_eq!(called(&webhook, call()).await, Answer::unsent("host_rests"));
    assert!(webhook.slot(false).await.is_err());
}

#[tokio::test]
async fn an_answer_too_long_is_not_read_to_its_end() {
    let long = "x".repeat(limits::ANSWER_BYTES + 1);
    let endless = Say::Raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n".into());
    for says in [status(200, "", &long), endless] {
        let (port, served) = serve(vec![vec![says], vec![status(200, "", "")]]).await;
        let settings =
            Settings { answer: Duration::from_secs(1), ..settings(&format!("http://127.0.0.1:{port}/")) };
        let webhook = Webhook::open(settings, &testing::distrust(), Arc::new(System::default())).unwrap();
        for _ in 0..2 {
            assert_eq!(called(&webhook, call()).await, Answer::Accepted);
        }
        let seen = seen(served).await;
        assert_eq!([seen[0].connection, seen[1].connection], [0, 1]);
    }
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let ok = || status(200, "", "thanks");
    let (port, served) = serve(vec![vec![ok(), ok(), status(500, "", "oh"), ok()]]).await;
    let webhook = webhook(port);
    for expected in [Answer::Accepted, Answer::Accepted, Answer::Uncertain, Answer::Accepted] {
        assert_eq!(called(&webhook, call()).await, expected);
    }
    assert!(seen(served).await.iter().all(|seen| seen.connection == 0));
}

#[tokio::test]
async fn a_connection_closed_while_idle_costs_a_message_nothing() {
    let closing = status(200, "connection: close\r\n", "");
    let (port, served) = serve(vec![vec![closing], vec![status(200, "", "")]]).await;
    let webhook = webhook(port);
    for _ in 0..2 {
        assert_eq!(called(&webhook, call()).await, Answer::Accepted);
    }
    assert_eq!(seen(served).await.len(), 2);
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_connected_to() {
    for addresses in [
        &["127.0.0.1"][..],
        &["10.0.0.1", "192.168.1.1", "172.16.0.1"],
        &["169.254.169.254"],
        &["100.64.0.1"],
        &["0.0.0.0"],
        &["::1", "::", "fe80::1", "fd00::1"],
        &["::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1"],
        &["224.0.0.1", "255.255.255.255"],
    ] {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = format!("http://hooks.example:{port}/");
        let settings = Settings { networks: Vec::new(), ..settings(&url) };
        let webhook = Webhook::open(settings, &testing::distrust(), Names::of(&[addresses])).unwrap();
        assert_eq!(called(&webhook, call()).await, Answer::unsent("address_not_allowed"), "{addresses:?}");
        assert!(tokio::time::timeout(Duration::from_millis(20), listener.accept()).await.is_err());
    }
}

#[tokio::test]
async fn the_address_that_was_checked_is_the_one_connected_to() {
    let (port, served) = serve(vec![vec![status(200, "", "")]]).await;
    let url = format!("http://hooks.example:{port}/");
    // The first address is not allowed and is left out; a second question would find none.
    let names = Names::of(&[&["10.0.0.1", "127.0.0.1"]]);
    let webhook = Webhook::open(settings(&url), &testing::distrust(), names).unwrap();
    assert_eq!(called(&webhook, call()).await, Answer::Accepted);
    assert_eq!(seen(served).await[0].headers["host"], format!("hooks.example:{port}"));
    drop(webhook);

    let gone = Webhook::open(settings(&url), &testing::distrust(), Names::of(&[])).unwrap();
    assert_eq!(called(&gone, call()).await, Answer::unsent("resolve"));
}

#[tokio::test]
async fn a_name_that_leads_inside_the_second_time_is_asked_for_once_a_connection_and_then_refused() {
    let closing = status(200, "connection: close\r\n", "");
    let (port, served) = serve(vec![vec![closing]]).await;
    // Somebody listens inside too: whoever asked again between the check and the connection would come here.
    let inside = tokio::net::TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    let names = Names::of(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let networks = vec!["127.0.0.1/32".parse().unwrap()];
    let settings = Settings { networks, ..settings(&format!("http://hooks.example:{port}/")) };
    let webhook = Webhook::open(settings, &testing::distrust(), names.clone()).unwrap();
    assert_eq!(called(&webhook, call()).await, Answer::Accepted);
    assert_eq!(names.0.lock().unwrap().len(), 1, "it was asked for once");
    assert_eq!(called(&webhook, call()).await, Answer::unsent("address_not_allowed"));
    assert!(tokio::time::timeout(Duration::from_millis(20), inside.accept()).await.is_err());
    assert_eq!(seen(served).await.len(), 1);
}

#[tokio::test]
async fn the_next_address_is_tried_where_the_first_takes_no_connection() {
    let (port, served) = serve(vec![vec![status(200, "", "")]]).await;
    let names = Names::of(&[&["127.0.0.9", "127.0.0.1"]]);
    let webhook =
        Webhook::open(settings(&format!("http://hooks.example:{port}/")), &testing::distrust(), names)
            .unwrap();
    assert_eq!(called(&webhook, call()).await, Answer::Accepted);
    seen(served).await;
}

/// A webhook to this name on this machine over TLS.
fn secure(name: &str, port: u16, trust: &Trust) -> Webhook {
    let settings = Settings { plain: false, ..settings(&format!("https://{name}:{port}/")) };
    Webhook::open(settings, trust, Names::of(&[&["127.0.0.1"]])).unwrap()
}

#[tokio::test]
async fn a_message_goes_over_tls_to_the_name_in_the_certificate() {
    let (port, served) = serve_tls(vec![vec![status(200, "", ""); 2]]).await;
    let webhook = secure("hooks.example", port, &testing::trust());
    for _ in 0..2 {
        assert_eq!(called(&webhook, call()).await, Answer::Accepted);
    }
    assert_eq!(seen(served).await.len(), 2);
}

#[tokio::test]
async fn a_receiver_that_cannot_show_who_it_is_gets_nothing() {
    let (port, served) = serve_tls(vec![vec![status(200, "", "")]]).await;
    let webhook = secure("hooks.example", port, &testing::distrust());
    assert_eq!(called(&webhook, call()).await, Answer::unsent("tls"));
    assert_eq!(seen(served).await.len(), 0);

    let (port, served) = serve_tls(vec![vec![status(200, "", "")]]).await;
    let webhook = secure("other.example", port, &testing::trust());
    assert_eq!(called(&webhook, call()).await, Answer::unsent("tls"));
    assert_eq!(seen(served).await.len(), 0);
}

#[tokio::test]
async fn a_receiver_without_tls_gets_nothing_over_https() {
    let (port, served) = serve(vec![Vec::new()]).await;
    let webhook = secure("hooks.example", port, &testing::trust());
    assert_eq!(called(&webhook, call()).await, Answer::unsent("tls"));
    assert_eq!(seen(served).await.len(), 0);
}
