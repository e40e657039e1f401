//! Settings that change while the daemon runs.

use std::fs;

use blackbox::daemon::Daemon;

#[test]
fn a_hangup_changes_the_log_level_and_what_makes_no_sense_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start_with(folder.path(), "[log]\nlevel = \"info\"\n");
    let settings = |text: &str| fs::write(folder.path().join("config.toml"), text).unwrap();
    settings("[log]\nlevle = \"debug\"\n");
    daemon.signal("HUP");
    daemon.wait_until_logged("the settings make no sense", 1);
    settings("[log]\nlevel = \"info,followupd::http=debug\"\n[drain]\nwithin_seconds = 7\n");
    daemon.signal("HUP");
    daemon.wait_until_logged("the settings were read again", 1);
    daemon.wait_until_logged("they count after the next start", 1);
    let log = fs::read_to_string(daemon.log()).unwrap();
    assert!(log.contains("did you mean `level`?") && !log.contains("DEBUG"), "{log}");
    // Half a preface of HTTP/2 and no more is worth a line at debug.
    let half = std::net::TcpStream::connect(daemon.door().address).unwrap();
    std::io::Write::write_all(&mut &half, b"PRI * HTTP/2").unwrap();
    drop(half);
    daemon.wait_until_logged("DEBUG", 1);
    assert!(daemon.client().is_ready());
}
