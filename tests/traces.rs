//! Calls as spans: a collector of OTLP over HTTP gets them, under the trace of whoever called, and the timeline names
//! the same trace.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};

use blackbox::daemon::{Daemon, Files};
use blackbox::http::Client;
use serde_json::json;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

const FILES: Files<'_> = Files {
    tenant: "on: true\ntime_zone: UTC\n",
    channel: "kind: email\ntransport: outbox\n",
    sequence: "steps:\n  - wait: 30 days\n    channel: mail\n    subject: Hello\n    body: Hello\n",
};

/// A collector: takes what is posted to it, and says yes.
fn collector() -> (SocketAddr, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, (took, taken)) = (listener.local_addr().unwrap(), mpsc::channel());
    // It ends with the process.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let took = took.clone();
            std::thread::spawn(move || while serve(&stream, &took).is_some() {});
        }
    });
    (address, taken)
}

fn serve(stream: &TcpStream, took: &Sender<(String, Vec<u8>)>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
    });
    let mut body = vec![0; length?];
    reader.read_exact(&mut body).ok()?;
    took.send((head.lines().next().unwrap().to_owned(), body)).ok()?;
    let mut stream = stream;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn has(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_call_is_a_span_under_its_callers_trace() {
    let folder = tempfile::tempdir().unwrap();
    let (address, taken) = collector();
    let settings = format!("[traces]\nendpoint = \"http://{address}\"\n");
    let daemon = Daemon::start_with(folder.path(), &settings);
    daemon.put("acme", "welcome", &FILES);
    let client = Client::new(&daemon.door());
    let mut client = client.with_header("traceparent", &format!("00-{TRACE}-{CALLER}-01"));
    let enroll = json!({ "tenant": "acme", "sequence": "welcome", "enroll": { "contact": "ana" } });
    let enrolled = client.must("EnrollmentService/Enroll", &enroll);
    let id = enrolled["result"]["enrollmentId"].as_str().unwrap();
    let timeline =
        client.must("EnrollmentService/GetTimeline", &json!({ "tenant": "acme", "enrollmentId": id }));
    assert_eq!(timeline["entries"][0]["traceId"], json!(TRACE), "{timeline}");
    // What has gathered goes out when it stops.
    daemon.stop();
    let all: Vec<(String, Vec<u8>)> = taken.try_iter().collect();
    let parts = [bytes(TRACE), bytes(CALLER), b"EnrollmentService/Enroll".to_vec(), b"followupd".to_vec()];
    let ours = all.iter().find(|(_, body)| parts.iter().all(|part| has(body, part)));
    let (line, _) = ours.expect("a span of the call, its trace and its caller");
    assert_eq!(line, "POST /v1/traces HTTP/1.1");
}
