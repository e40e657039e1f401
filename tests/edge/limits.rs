//! Peers that ask too much or keep the daemon waiting: each is refused or cut off, and the daemon goes on.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use blackbox::daemon::Daemon;
use blackbox::http::Failed;
use serde_json::json;

/// No peer is waited for longer in these tests; one that is not cut off by then never is.
const NEVER: Duration = Duration::from_secs(60);

fn connect(daemon: &Daemon) -> TcpStream {
    let stream = TcpStream::connect(daemon.door().address).unwrap();
    stream.set_read_timeout(Some(NEVER)).unwrap();
    stream.set_write_timeout(Some(NEVER)).unwrap();
    stream
}

/// What a peer is told until the connection is closed, and whether it was closed at all.
fn until_closed(stream: &mut TcpStream) -> (String, bool) {
    let (mut said, mut buffer) = (Vec::new(), [0; 4_096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (String::from_utf8_lossy(&said).into_owned(), true),
            Ok(read) => said.extend_from_slice(&buffer[..read]),
            Err(error) => {
                let waited = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                return (String::from_utf8_lossy(&said).into_owned(), !waited);
            }
        }
    }
}

/// The preface of HTTP/2 and empty settings (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[test]
fn a_peer_that_keeps_the_daemon_waiting_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_with(folder.path(), "[limits]\nhead_seconds = 1\nstall_seconds = 1\n");
    let table: [(&str, &[u8]); 5] = [
        ("says nothing", b""),
        ("half a preface", b"PRI * HTTP/2"),
        ("half a head", b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: "),
        ("rests on HTTP/1.1", b"GET /healthz HTTP/1.1\r\nHost: followupd\r\n\r\n"),
        ("answers no ping", PREFACE),
    ];
    let mut peers: Vec<(&str, TcpStream)> = Vec::new();
    for (who, bytes) in table {
        let mut stream = connect(&daemon);
        stream.write_all(bytes).unwrap();
        peers.push((who, stream));
    }
    for (who, mut stream) in peers {
        let (said, closed) = until_closed(&mut stream);
        assert!(closed, "{who}: {said}");
    }
    assert!(daemon.client().is_ready());
}

#[test]
fn a_peer_that_reads_nothing_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_with(folder.path(), "[limits]\nstall_seconds = 1\n");
    let mut stream = connect(&daemon);
    let began = Instant::now();
    let cut = loop {
        match stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: followupd\r\n\r\n") {
            Ok(()) => assert!(began.elapsed() < NEVER, "it is read on and on"),
            Err(error) => break error,
        }
    };
    assert!(matches!(cut.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{cut:?}");
    assert!(daemon.client().is_ready());
}

#[test]
fn connections_and_calls_on_one_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_with(folder.path(), "[limits]\nconnections = 2\ncalls_per_connection = 7\n");
    let (mut one, _other) = (connect(&daemon), connect(&daemon));
    let (said, closed) = until_closed(&mut connect(&daemon));
    assert!(closed && said.is_empty(), "the third is closed: {said}");
    one.write_all(PREFACE).unwrap();
    let mut head = [0; 9];
    one.read_exact(&mut head).unwrap();
    let mut settings = vec![0; usize::from(head[1]) * 256 + usize::from(head[2])];
    one.read_exact(&mut settings).unwrap();
    // SETTINGS_MAX_CONCURRENT_STREAMS is 3 (RFC 9113 §6.5.2).
    let most = settings.chunks_exact(6).find(|setting| setting[..2] == [0, 3]).unwrap();
    assert_eq!((head[3], &most[2..]), (4, &[0, 0, 0, 7][..]));
}

#[test]
fn a_key_that_calls_too_often_is_told_when_to_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_with(folder.path(), "[limits]\ncalls_per_second_per_key = 1\n");
    let mut client = daemon.client();
    let refused = (0..10).find_map(|_| client.call("AccessService/ListKeys", &json!({})).err());
    let Some(Failed::Refused { status: 429, says }) = refused else { panic!("{refused:?}") };
    let details: Vec<&str> =
        says["details"].as_array().unwrap().iter().map(|detail| detail["type"].as_str().unwrap()).collect();
    assert_eq!(details, ["google.rpc.ErrorInfo", "google.rpc.RetryInfo"], "{says}");
    assert!(says["message"].as_str().unwrap().contains("calls_per_second_per_key"), "{says}");
    let key = client.until_answered("AccessService/ListKeys", &json!({}), NEVER);
    assert!(key.0["keys"].is_array(), "{key:?}");
}

#[test]
fn a_call_whose_request_never_ends_is_past_its_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_with(folder.path(), "[limits]\ncall_seconds = 1\n");
    let key = daemon.door().key;
    for (path, kind) in [
        ("/followupd.v1.EventService/Send", "application/json"),
        ("/v1/tenants/acme/events", "application/cloudevents+json"),
    ] {
        let mut stream = connect(&daemon);
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: followupd\r\nContent-Type: {kind}\r\nAuthorization: Bearer {key}\r\n\
             Content-Length: 100\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut said = [0; 12];
        stream.read_exact(&mut said).unwrap();
        assert_eq!(String::from_utf8_lossy(&said), "HTTP/1.1 504", "{path}");
    }
}
