//! The daemon under a service manager: what it tells it, and the unit that starts it.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use blackbox::daemon::{binary, command};

/// A daemon that has told nothing by then never will.
const NEVER: Duration = Duration::from_secs(60);

#[test]
fn the_service_manager_is_told_when_it_runs_and_when_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    socket.set_read_timeout(Some(NEVER)).unwrap();
    let told = || {
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let mut serve = command();
    serve.args(["serve", "--listen", "127.0.0.1:0"]);
    serve.arg("--store").arg(folder.path().join("store"));
    serve.arg("--outbox").arg(folder.path().join("outbox"));
    serve.env("NOTIFY_SOCKET", folder.path().join("notify"));
    let mut daemon = serve.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let ready = told();
    let stopped = Command::new("kill").args(["-TERM", &daemon.id().to_string()]).status().unwrap();
    let (stopping, status) = (told(), daemon.wait().unwrap());
    assert!(stopped.success() && status.success(), "{status}");
    assert_eq!((ready.as_str(), stopping.as_str()), ("READY=1", "STOPPING=1"));
}

#[test]
fn the_unit_is_one_that_systemd_reads_without_a_word() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/followupd.service");
    let unit = fs::read_to_string(unit).unwrap();
    assert!(unit.contains("Type=notify") && unit.contains("/usr/local/bin/followupd serve"), "{unit}");
    // What it starts has to be there for a check of the whole.
    let unit = unit.replace("/usr/local/bin/followupd", &binary().display().to_string());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("followupd.service");
    fs::write(&path, unit).unwrap();
    match Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output() {
        Ok(output) => {
            let says = String::from_utf8_lossy(&output.stderr);
            let about_it = says.lines().any(|line| line.contains("followupd.service"));
            assert!(output.status.success() && !about_it, "{says}");
        }
        Err(error) => println!("not checked by systemd: {error}"),
    }
}
