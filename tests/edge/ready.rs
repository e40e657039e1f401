//! What load balancers ask: whether the process lives, and whether it wants calls.

use blackbox::daemon::Daemon;
use blackbox::http::{Client, Door};
use serde_json::Value;

#[test]
fn readiness_is_told_by_check_to_whoever_asks() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    let mut anybody = Client::new(&Door { key: String::new(), ..daemon.door() });
    let (status, text) = anybody.request("GET", "/readyz", &[], "").unwrap();
    let names: Vec<&str> = text.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!((status, names), (200, vec!["calls", "store", "lanes", "clock"]), "{text}");
    let (status, json) = anybody.request("GET", "/readyz", &[("Accept", "application/json")], "").unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((status, &json["ready"]), (200, &Value::Bool(true)), "{json}");
    assert!(json["checks"].as_array().unwrap().iter().all(|check| check["ok"] == true), "{json}");
    assert_eq!(anybody.request("GET", "/healthz", &[], "").unwrap(), (200, "ok\n".to_owned()));
}
