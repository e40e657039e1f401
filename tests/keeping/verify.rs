//! Looking at a store that nobody runs, and one process a store.

use std::fs;

use blackbox::daemon::Daemon;
use serde_json::Value;

use super::{FILES, SEQUENCE, TENANT, enroll, offline};

#[test]
fn a_second_process_is_turned_away_and_the_first_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    daemon.put(TENANT, SEQUENCE, &FILES);
    let store = daemon.store().display().to_string();
    let second = folder.path().join("second").display().to_string();
    let owner = format!("another process (process {}) uses this store", daemon.pid());
    for asked in [
        &["serve", "--listen", "127.0.0.1:0", "--store", &store, "--outbox", &second][..],
        &["store", "verify", "--store", &store],
    ] {
        let (code, says) = offline(asked);
        assert!(code == Some(6) && says.contains(&owner), "{asked:?}: {code:?} {says}");
    }
    assert_eq!(enroll(&daemon, 0..3).len(), 3, "the first is unharmed");
    daemon.stop();
    assert_eq!(offline(&["store", "verify", "--store", &store]).0, Some(0));
}

#[test]
fn damage_to_a_store_is_found_and_nothing_is_done_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    daemon.put(TENANT, SEQUENCE, &FILES);
    enroll(&daemon, 0..10);
    let store = daemon.store().display().to_string();
    let rows = daemon.store().join("rows");
    daemon.stop();
    let (code, says) = offline(&["store", "verify", "--store", &store, "--json"]);
    let report: Value = serde_json::from_str(&says).unwrap();
    assert!(code == Some(0) && report["rows"]["enrollment"] == 10 && report["open"] == 10, "{says}");

    let journals = fs::read_dir(&rows).unwrap().map(|entry| entry.unwrap().path());
    let journal = journals.filter(|path| path.extension().is_some_and(|end| end == "jnl")).max().unwrap();
    let mut bytes = fs::read(&journal).unwrap();
    let written = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[written / 2] ^= 1;
    fs::write(&journal, &bytes).unwrap();
    let (code, says) = offline(&["store", "verify", "--store", &store]);
    assert!(code == Some(9) && says.contains("is damaged at byte"), "{code:?} {says}");
    assert_eq!(fs::read(&journal).unwrap(), bytes);

    let missing = folder.path().join("missing").display().to_string();
    let (code, says) = offline(&["store", "verify", "--store", &missing]);
    assert!(code == Some(2) && says.contains("there is no store"), "{says}");
}
