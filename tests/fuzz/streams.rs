//! The calls whose caller streams: batches of random items one after the other, and streams that are none.

use std::collections::BTreeMap;

use blackbox::http::{Client, frame};
use blackbox::seed::Seed;
use blackbox::{row, table};
use serde_json::{Value, json};

use crate::protos::{Call, Protos};
use crate::values::Maker;
use crate::{TENANT, said, started, state, well};

/// Streams of each call.
const CASES: usize = 120;

/// Batches of a stream, at most.
const BATCHES: usize = 4;

/// What a stream may end with: a caller's fault, or the state of things. All else is a fault of ours.
const REFUSALS: [&str; 5] =
    ["invalid_argument", "not_found", "failed_precondition", "already_exists", "resource_exhausted"];

/// What became of items that changed nothing.
const UNCHANGED: [&str; 3] = ["ENROLL_OUTCOME_REFUSED", "EVENT_OUTCOME_REFUSED", "EVENT_OUTCOME_DUPLICATE"];

/// The results of a batch.
fn results(batch: &Value) -> Vec<Value> {
    batch["results"].as_array().cloned().unwrap_or_default()
}

/// The items of a batch as it is asked for.
fn items(batch: &Value) -> usize {
    ["enrolls", "events"].iter().filter_map(|field| batch[field].as_array()).map(Vec::len).sum()
}

/// A batch: random throughout, or one that is meant, but for one field of some of its items.
fn batch(maker: &mut Maker<'_>, call: &Call) -> Value {
    if maker.once_in(4) {
        return maker.message(&call.request, 0);
    }
    let (field, item) =
        if call.path.starts_with("Enrollment") { ("enrolls", "Enroll") } else { ("events", "Event") };
    let meant = |maker: &mut Maker<'_>| {
        let contact = maker.pick(&["ana", "bo", "cy"]);
        let mut meant = match item {
            "Enroll" => {
                json!({ "contact": contact, "profile": { "email": format!("{contact}@mail.example") } })
            }
            _ => json!({ "source": "inbox", "id": format!("id-{}", maker.below(500)), "contact": contact,
                "type": maker.pick(&["message.received", "custom.thing"]) }),
        };
        let random = maker.message(item, 0);
        let fields: Vec<(&String, &Value)> = random.as_object().unwrap().iter().collect();
        if !fields.is_empty() && maker.once_in(3) {
            let (name, value) = fields[maker.below(fields.len())];
            meant[name] = value.clone();
        }
        meant
    };
    let items: Vec<Value> = (0..=maker.below(4)).map(|_| meant(maker)).collect();
    let mut batch = json!({ "tenant": TENANT });
    batch[field] = Value::from(items);
    if item == "Enroll" {
        batch["sequence"] = json!("welcome");
    }
    batch
}

/// Streams these bytes, and checks that what was refused changed nothing; the batches that were answered, and how the stream ended.
fn streamed(client: &mut Client, call: &Call, frames: &[u8], shown: &str) -> (Vec<Value>, String) {
    let before = state(client);
    let (status, mut answers) = client.stream(&call.path, frames).unwrap();
    assert_eq!(status, 200, "{} {shown}", call.path);
    let end = answers.pop().unwrap_or_default();
    let code = end["error"]["code"].as_str().unwrap_or("ok").to_owned();
    let outcomes: Vec<Value> = answers.iter().flat_map(results).collect();
    let changed = |result: &Value| !UNCHANGED.contains(&result["outcome"].as_str().unwrap_or_default());
    if !outcomes.iter().any(changed) {
        assert_eq!(before, state(client), "{} {shown} was refused and changed something", call.path);
    }
    (answers, code)
}

#[test]
fn no_stream_breaks_the_daemon_or_leaves_a_refused_item_half_done() {
    let folder = tempfile::tempdir().unwrap();
    let (daemon, enrollment) = started(folder.path());
    let mut client = daemon.client();
    let protos = Protos::read();
    let mut maker = Maker::new(&protos, Seed::of_this_run(), enrollment);
    let mut rows = Vec::new();
    for call in &protos.streams {
        let (mut ends, mut outcomes) = (BTreeMap::new(), BTreeMap::new());
        for _ in 0..CASES {
            let batches: Vec<Value> = (0..=maker.below(BATCHES)).map(|_| batch(&mut maker, call)).collect();
            let frames: Vec<u8> =
                batches.iter().flat_map(|batch| frame(0, batch.to_string().as_bytes())).collect();
            let shown = Value::from(batches.clone()).to_string();
            let (answers, end) = streamed(&mut client, call, &frames, &shown);
            assert!(end == "ok" || REFUSALS.contains(&end.as_str()), "{} {shown}: {end}", call.path);
            if end == "ok" {
                assert_eq!(answers.len(), batches.len(), "{} {shown}", call.path);
            }
            for (batch, answer) in batches.iter().zip(&answers) {
                assert_eq!(results(answer).len(), items(batch), "{} {shown}: {answer}", call.path);
            }
            *ends.entry(end).or_default() += 1;
            for result in answers.iter().flat_map(results) {
                *outcomes.entry(result["outcome"].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
        rows.push(row![call.path, said(&ends)]);
        rows.push(row!["  items", said(&outcomes)]);
    }
    assert_eq!(rows.len(), 4, "both streams");
    table::print("streams and how they ended", &rows);
    well(daemon);
}

#[test]
fn what_is_no_stream_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (daemon, _) = started(folder.path());
    let protos = Protos::read();
    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    let lies = |length: u32| [&[0][..], &length.to_be_bytes(), b"{}"].concat();
    let invalid = "invalid_argument";
    let table = [
        ("nothing", Vec::new(), "ok"),
        ("an empty message", frame(0, b""), invalid),
        ("no JSON", frame(0, b"\xff\xfe\x00"), invalid),
        ("another type", frame(0, b"[]"), invalid),
        ("deep", frame(0, &deep), invalid),
        ("deep in a field", frame(0, &[b"{\"tenant\":", &deep[..], b"}"].concat()), invalid),
        ("half a head", vec![0, 0, 0], invalid),
        ("more promised than sent", lies(100), invalid),
        ("far more promised", lies(u32::MAX), "resource_exhausted"),
        ("less promised than sent", lies(1), invalid),
        // So says Connect's protocol of a stream whose head named no compression.
        ("compressed that is not", frame(1, b"{}"), "internal"),
        ("flags that are none", frame(0xfc, b"{}"), invalid),
    ];
    let mut rows = Vec::new();
    for call in &protos.streams {
        for (name, frames, expected) in &table {
            let mut client = daemon.client();
            let (answers, end) = streamed(&mut client, call, frames, name);
            assert_eq!((answers.len(), end.as_str()), (0, *expected), "{} {name}", call.path);
            rows.push(row![call.path, name, end]);
        }
    }
    table::print("what is no stream, and its end", &rows);
    well(daemon);
}
