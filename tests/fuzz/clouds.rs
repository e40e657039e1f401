//! Events as CloudEvents: each mode with random and hostile attributes, data, headers and bodies.

use std::collections::BTreeMap;

use blackbox::daemon::Daemon;
use blackbox::seed::Seed;
use blackbox::{row, table};
use serde_json::{Map, Value, json};

use crate::protos::Protos;
use crate::values::Maker;
use crate::{TENANT, said, started, state, well};

/// Requests of each mode.
const CASES: usize = 150;

const ONE: &str = "application/cloudevents+json";
const MANY: &str = "application/cloudevents-batch+json";

/// What a caller's fault or the state of things is answered with; all else is a fault of ours.
const REFUSALS: [u16; 8] = [400, 404, 409, 412, 413, 415, 429, 431];

/// Content types that are not what follows them, or nothing.
const KINDS: [&str; 12] = [
    ONE,
    MANY,
    "application/json",
    "APPLICATION/CLOUDEVENTS+JSON; charset=utf-8",
    "application/cloudevents+json; charset=utf-16",
    "application/cloudevents+xml",
    "application/cloudevents",
    "text/plain",
    "multipart/form-data; boundary=x",
    "application/x-protobuf",
    "; ; ;",
    "",
];

/// Values that a header may carry, hardly meant for one of ours.
const HEADERS: [&str; 10] =
    ["%", "%zz", "%00", "%ff%fe", "%c3%28", "\"", "\u{e9}", "a\tb", "%0d%0aX-Evil: 1", "%25%25%25"];

/// Attributes of an event.
const ATTRIBUTES: [&str; 10] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "dataschema",
    "traceparent",
    "other",
];

/// Bodies that are hardly meant.
fn bodies() -> Vec<Vec<u8>> {
    let event =
        r#"{"specversion":"1.0","id":"9","source":"inbox","type":"message.received","subject":"contact/ana""#;
    let with = |rest: &str| format!("{event},{rest}}}").into_bytes();
    let mut bodies: Vec<Vec<u8>> =
        ["", " ", "{", "[", "]", "null", "1e400", "\"", "{}", "[]", "[[]]", "[null]", "\u{feff}{}", "\u{0}"]
            .iter()
            .map(|text| text.as_bytes().to_vec())
            .collect();
    bodies.extend([b"[".repeat(200_000), b"{\"a\":".repeat(50_000), b"\xff\xfe\xfd".to_vec()]);
    bodies.extend([
        with(r#""subject":"\ud800""#),
        with(r#""time":"9999-99-99T99:99:99Z""#),
        with(r#""data":{"text":"\u0000","contact":"ana\u0000"}"#),
        with(r#""data":[]"#),
        with(r#""data":1e308"#),
        with(r#""data_base64":"%%%""#),
        with(r#""data":{"contact":"ana"},"data_base64":"e30=""#),
        with(r#""data":{"target":{"kind":"charge","id":{}}}"#),
    ]);
    bodies
}

/// The value of an attribute: mostly what could be meant.
fn attribute(maker: &mut Maker<'_>, name: &str) -> String {
    if maker.once_in(8) {
        return maker.text("hostile");
    }
    match name {
        "specversion" => "1.0".to_owned(),
        "subject" => maker.pick(&["contact/ana", "contact/bo", "charge/ch-1", "ana", "contact/"]).to_owned(),
        "time" => maker.pick(&["2026-02-30T00:00:00Z", "0001-01-01T00:00:00Z", "now", ""]).to_owned(),
        "datacontenttype" => maker.pick(&["application/json", "text/xml"]).to_owned(),
        "source" => maker.pick(&["inbox", "crm"]).to_owned(),
        other => maker.text(other),
    }
}

/// The attributes of an event: random ones, or such as are meant but for one at times.
fn attributes(maker: &mut Maker<'_>) -> Vec<(&'static str, String)> {
    let mut chosen = Vec::new();
    if maker.once_in(3) {
        for (place, name) in ATTRIBUTES.into_iter().enumerate() {
            let left_out = if place < 5 { maker.once_in(15) } else { !maker.once_in(5) };
            if !left_out {
                chosen.push((name, attribute(maker, name)));
            }
        }
        return chosen;
    }
    for (name, meant) in [("specversion", "1.0"), ("source", "inbox"), ("type", "message.received")] {
        chosen.push((name, meant.to_owned()));
    }
    chosen.push(("id", format!("id-{}", maker.below(500))));
    chosen.push(("subject", format!("contact/{}", maker.pick(&["ana", "bo", "cy"]))));
    if maker.once_in(2) {
        let name = ATTRIBUTES[maker.below(ATTRIBUTES.len())];
        chosen.retain(|(other, _)| *other != name);
        chosen.push((name, attribute(maker, name)));
    }
    chosen
}

/// An event as one object.
fn object(maker: &mut Maker<'_>) -> Value {
    let mut object: Map<String, Value> =
        attributes(maker).into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let (name, value) = match maker.below(5) {
        0 => ("data", maker.message("Event", 0)),
        1 => (maker.pick(&["data", "data_base64", "id", "x y", "", "\u{0}"]), json!([null, { "a": 1.5 }])),
        2 => ("data", json!({ "contact": maker.text("contact"), "text": maker.text("text") })),
        _ => ("data", json!({ "text": "no, thanks" })),
    };
    object.insert(name.to_owned(), value);
    Value::Object(object)
}

/// What may stand in a header; what cannot is left out.
fn headable(text: &str) -> String {
    text.chars()
        .filter(|letter| !matches!(letter, '\r' | '\n' | '\u{0}'))
        .filter(|c| !c.is_control())
        .collect()
}

/// A request: its headers and its body.
type Asked = (Vec<(String, String)>, Vec<u8>);

/// What makes requests of one mode.
type Mode = fn(&mut Maker<'_>) -> Asked;

fn of_kind(kind: &str, body: Vec<u8>) -> Asked {
    (vec![("Content-Type".to_owned(), kind.to_owned())], body)
}

fn structured(maker: &mut Maker<'_>) -> Asked {
    of_kind(ONE, object(maker).to_string().into_bytes())
}

fn batched(maker: &mut Maker<'_>) -> Asked {
    let many = if maker.once_in(40) { 1_001 } else { maker.below(6) };
    let events: Vec<Value> = (0..many).map(|_| object(maker)).collect();
    of_kind(MANY, Value::from(events).to_string().into_bytes())
}

fn binary(maker: &mut Maker<'_>) -> Asked {
    let mut headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    for (name, value) in attributes(maker) {
        let value = if maker.once_in(12) { maker.pick(&HEADERS).to_owned() } else { headable(&value) };
        headers.push((format!("ce-{name}"), value.clone()));
        if maker.once_in(40) {
            headers.push((format!("ce-{name}"), value));
        }
    }
    let body = if maker.once_in(4) { maker.message("Event", 0) } else { json!({ "text": "no, thanks" }) };
    (headers, body.to_string().into_bytes())
}

fn hostile(maker: &mut Maker<'_>) -> Asked {
    let mut bodies = bodies();
    bodies.extend((0..8).map(|_| object(maker).to_string().into_bytes()));
    let (mut headers, body) = of_kind(maker.pick(&KINDS), bodies[maker.below(bodies.len())].clone());
    for name in
        ["ce-specversion", "ce-id", "ce-source", "ce-type", "ce-subject", "Content-Encoding", "traceparent"]
    {
        if maker.once_in(3) {
            headers.push((name.to_owned(), maker.pick(&HEADERS).to_owned()));
        }
    }
    (headers, body)
}

/// Posts one and checks its answer; what it was, in a word.
fn post(daemon: &Daemon, path: &str, (headers, body): &Asked) -> String {
    let client = &mut daemon.client();
    let before = state(client);
    let lines: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let (status, says) = daemon.client().ask("POST", path, &lines, body).unwrap();
    let says = String::from_utf8_lossy(&says);
    let shown = || {
        let body = String::from_utf8_lossy(&body[..body.len().min(2_000)]);
        format!("{path} {headers:?} {body}: {status} {says}")
    };
    assert!(status == 200 || REFUSALS.contains(&status), "{}", shown());
    assert!(!says.contains("\"internal\"") && !says.contains("\"unknown\""), "{}", shown());
    let answer: Value = serde_json::from_str(&says).unwrap_or_default();
    let results = answer["results"].as_array().cloned().unwrap_or_else(|| vec![answer["result"].clone()]);
    let changes = |result: &Value| {
        !matches!(result["outcome"].as_str(), Some("EVENT_OUTCOME_REFUSED" | "EVENT_OUTCOME_DUPLICATE"))
    };
    if status != 200 || !results.iter().any(changes) {
        assert_eq!(before, state(client), "it was refused and changed something: {}", shown());
    }
    status.to_string()
}

#[test]
fn no_cloud_event_breaks_the_daemon_or_is_half_done() {
    let folder = tempfile::tempdir().unwrap();
    let (daemon, enrollment) = started(folder.path());
    let protos = Protos::read();
    let mut maker = Maker::new(&protos, Seed::of_this_run(), enrollment);
    let mut rows = Vec::new();
    let modes: [(&str, Mode); 4] =
        [("structured", structured), ("batched", batched), ("binary", binary), ("hostile", hostile)];
    for (name, mode) in modes {
        let mut told: BTreeMap<String, usize> = BTreeMap::new();
        for _ in 0..CASES {
            let tenant = if maker.once_in(15) {
                maker.pick(&["nobody", "%00", "%2e%2e", "..", "ACME", "a%2Fb", "%ff", "-"]).to_owned()
            } else {
                TENANT.to_owned()
            };
            let asked = mode(&mut maker);
            *told.entry(post(&daemon, &format!("/v1/tenants/{tenant}/events"), &asked)).or_default() += 1;
        }
        rows.push(row![name, said(&told)]);
    }
    table::print("cloud events and how often they were answered so", &rows);
    well(daemon);
}
