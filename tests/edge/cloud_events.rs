//! Events as CloudEvents: each mode of the HTTP binding, and what is wrong with a request, as tables.

use blackbox::daemon::Daemon;
use blackbox::http::{Client, Door};
use serde_json::{Value, json};

use crate::{FILES, TENANT};

const PATH: &str = "/v1/tenants/acme/events";
const ONE: &str = "application/cloudevents+json";
const MANY: &str = "application/cloudevents-batch+json";

fn enroll(client: &mut Client, contact: &str) {
    let profile = json!({ "email": format!("{contact}@mail.example") });
    let enroll = json!({ "contact": contact, "profile": profile });
    client.must(
        "EnrollmentService/Enroll",
        &json!({ "tenant": TENANT, "sequence": "welcome", "enroll": enroll }),
    );
}

fn event(id: &str) -> Value {
    json!({ "specversion": "1.0", "id": id, "source": "inbox", "type": "message.received" })
}

fn post(client: &mut Client, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
    let (status, body) = client.request("POST", PATH, headers, body).unwrap();
    (status, serde_json::from_str(&body).unwrap())
}

#[test]
fn a_cloud_event_in_each_mode_does_what_the_rpc_does() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    daemon.put(TENANT, "welcome", &FILES);
    let client = &mut daemon.client();
    for contact in ["ana", "bo", "cy"] {
        enroll(client, contact);
    }
    let mut structured = event("1");
    structured["subject"] = json!("contact/ana");
    let (status, says) = post(client, &[("Content-Type", ONE)], &structured.to_string());
    assert_eq!((status, &says["result"]["exited"][0]["reason"]), (200, &json!("replied")), "{says}");
    // The same source and id by another way in is the same event.
    let by_rpc = json!({ "source": "inbox", "id": "1", "type": "message.received", "contact": "ana" });
    let again = client.must("EventService/Send", &json!({ "tenant": TENANT, "event": by_rpc }));
    assert_eq!(again["result"]["outcome"], "EVENT_OUTCOME_DUPLICATE", "{again}");

    let binary = [
        ("Content-Type", "application/json; charset=utf-8"),
        ("ce-specversion", "1.0"),
        ("ce-id", "2%20"),
        ("ce-source", "inbox"),
        ("ce-type", "message.received"),
        ("ce-other", "an extension"),
    ];
    let (status, says) = post(client, &binary, r#"{"contact":"bo","text":"no, thanks"}"#);
    assert_eq!((status, &says["result"]["exited"][0]["reason"]), (200, &json!("replied")), "{says}");

    let (mut cy, mut wrong) = (event("3"), event("4"));
    cy["data"] = json!({ "contact": "cy" });
    wrong["type"] = json!("message.recieved");
    let (status, says) = post(client, &[("Content-Type", MANY)], &json!([cy, wrong, cy]).to_string());
    let outcomes: Vec<&str> = says["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["outcome"].as_str().unwrap())
        .collect();
    let expected = ["EVENT_OUTCOME_ACCEPTED", "EVENT_OUTCOME_REFUSED", "EVENT_OUTCOME_DUPLICATE"];
    assert_eq!((status, outcomes), (200, expected.to_vec()), "{says}");
    assert!(says["results"][1]["problem"].as_str().unwrap().contains("message.received"), "{says}");
}

#[test]
fn a_wrong_request_says_what_would_be_right() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    daemon.put(TENANT, "welcome", &FILES);
    let client = &mut daemon.client();
    let with = |name: &str, value: Value| {
        let mut event = event("1");
        event["subject"] = json!("contact/ana");
        event[name] = value;
        event.to_string()
    };
    let many = |count: usize| Value::Array(vec![event("1"); count]).to_string();
    let large = with("data", json!({ "text": "x".repeat(4 * 1_024 * 1_024) }));
    let table: [(&str, String, u16, &str); 13] = [
        (ONE, "{".into(), 400, "body"),
        (ONE, "[]".into(), 400, "JSON object"),
        (ONE, json!({ "specversion": "1.0" }).to_string(), 400, "source: is missing"),
        (ONE, with("specversion", json!("0.3")), 400, "specversion"),
        (ONE, with("type", json!("message.recieved")), 400, "message.received"),
        (ONE, with("time", json!("yesterday")), 400, "RFC 3339"),
        (ONE, with("time", json!("2020-01-01T00:00:00Z")), 400, "time: "),
        (ONE, with("subject", json!("ana")), 400, "subject"),
        (ONE, with("data", json!({ "contct": "ana" })), 400, "data.contct"),
        (ONE, large, 413, "4194304"),
        (MANY, "[]".into(), 400, "1 to 1000"),
        (MANY, many(1_001), 400, "1001"),
        ("text/plain", "hello".into(), 415, ONE),
    ];
    for (kind, body, status, word) in table {
        let (answered, says) = post(&mut daemon.client(), &[("Content-Type", kind)], &body);
        assert_eq!(answered, status, "{word}: {says}");
        assert!(says["message"].as_str().unwrap().contains(word), "{word}: {says}");
        assert!(says["code"].is_string(), "{says}");
    }
    let (status, _) = client
        .request("POST", "/v1/tenants/nobody/events", &[("Content-Type", ONE)], &with("x", json!(1)))
        .unwrap();
    assert_eq!(status, 404);
    assert_eq!(client.request("GET", PATH, &[], "").unwrap().0, 405);
}

#[test]
fn a_cloud_event_needs_the_key_of_a_sender_of_its_tenant() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    for tenant in [TENANT, "globex"] {
        daemon.put(tenant, "welcome", &FILES);
    }
    let mut event = event("1");
    event["subject"] = json!("contact/ana");
    let event = event.to_string();
    let key = |tenant: &str, role: &str| {
        let request = json!({ "name": format!("{tenant}-{role}"), "keyTenant": tenant,
            "roles": [format!("ROLE_{}", role.to_uppercase())] });
        let made = daemon.client().must("AccessService/CreateKey", &request);
        made["text"].as_str().unwrap().to_owned()
    };
    let table = [
        (String::new(), 401),
        ("fup_0".to_owned(), 401),
        (key(TENANT, "reader"), 403),
        (key("globex", "sender"), 404),
        (key(TENANT, "sender"), 200),
    ];
    for (key, status) in table {
        let mut client = Client::new(&Door { key: key.clone(), ..daemon.door() });
        let (answered, says) = post(&mut client, &[("Content-Type", ONE)], &event);
        assert_eq!(answered, status, "{key}: {says}");
    }
}
