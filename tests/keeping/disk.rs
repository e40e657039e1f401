//! A store on a small disk that fills up: what is refused early, what goes on, and how it recovers.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use blackbox::daemon::Daemon;
use blackbox::http::{Client, Failed};
use serde_json::{Value, json};

use super::{FILES, SEQUENCE, TENANT, enroll, offline};

const MIB: usize = 1 << 20;

/// More than the daemon keeps free for exits and outcomes (512 MiB), by what the test itself writes.
const DISK_MIB: usize = 640;

const CONTACTS: usize = 600;

/// Longest wait for the daemon to see that its disk has changed: it looks every second, and tries to open a store that
/// failed after ten at most.
const SEEN: Duration = Duration::from_secs(60);

/// A daemon whose store lies on a disk of its own.
struct Small {
    daemon: Daemon,
    /// The disk, as this process reaches it.
    disk: PathBuf,
    mounted: Option<PathBuf>,
}

impl Drop for Small {
    fn drop(&mut self) {
        if let Some(mounted) = &self.mounted {
            let _ = Command::new("umount").arg("--lazy").arg(mounted).status();
        }
    }
}

/// Starts it; says why where that cannot be.
fn start(folder: &Path) -> Result<Small, String> {
    let store = folder.join("store");
    fs::create_dir_all(&store).unwrap();
    let size = format!("size={DISK_MIB}m,mode=700");
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&store).output();
    let refused = match mount {
        Ok(done) if done.status.success() => {
            return Ok(Small { daemon: Daemon::start(folder), disk: store.clone(), mounted: Some(store) });
        }
        Ok(done) => String::from_utf8_lossy(&done.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    println!("A TMPFS CANNOT BE MOUNTED HERE ({refused}): trying a namespace of its own");
    let own = |script: String| ["unshare", "-rmf", "sh", "-c", &script, "sh"].map(str::to_owned).to_vec();
    let mount = format!("mount -t tmpfs -o {size} tmpfs {:?}", store.display().to_string());
    let tried = Command::new("unshare").args(["-rmf", "sh", "-c", &mount]).output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        return Err(format!("neither mount ({refused}) nor unshare -rm gives this test a small disk"));
    }
    let daemon = Daemon::start_under(own(format!("{mount} && exec \"$@\"")), folder);
    let disk = PathBuf::from(format!("/proc/{}/root", daemon.pid())).join(store.strip_prefix("/").unwrap());
    Ok(Small { daemon, disk, mounted: None })
}

impl Small {
    /// Takes room until so many MiB are left, or none; the file that takes it.
    fn fill(&self, name: &str, leave: usize) -> PathBuf {
        let path = self.disk.join(name);
        let mut file = File::create(&path).unwrap();
        let chunk = vec![1; MIB / 4];
        while leave == 0 || self.free() > leave * MIB {
            if file.write_all(&chunk).is_err() {
                assert_eq!(leave, 0, "the disk was full too early");
                break;
            }
        }
        path
    }

    fn free(&self) -> usize {
        let disk = rustix::fs::statvfs(&self.disk).unwrap();
        usize::try_from(disk.f_bavail * disk.f_frsize).unwrap()
    }

    /// Waits until readiness is as wanted; what it says then.
    fn until_ready(&self, ready: bool) -> String {
        let (mut client, began) = (self.daemon.client(), Instant::now());
        loop {
            let (status, says) = client.request("GET", "/readyz", &[], "").unwrap();
            if (status == 200) == ready {
                return says;
            }
            assert!(began.elapsed() < SEEN, "{says}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The state of an enrollment.
fn state(client: &mut Client, id: &str) -> String {
    let found =
        client.must("EnrollmentService/GetEnrollment", &json!({ "tenant": TENANT, "enrollmentId": id }));
    found["enrollment"]["state"].as_str().unwrap_or_default().to_owned()
}

/// What a refusal says; `None`: it was done.
fn refusal(client: &mut Client, call: &str, request: &Value) -> Option<(u16, String)> {
    match client.call(call, request) {
        Ok(_) => None,
        Err(Failed::Refused { status, says }) => Some((status, says["message"].to_string())),
        Err(Failed::Broken(error)) => panic!("{call}: {error}"),
    }
}

#[test]
fn a_full_disk_refuses_new_work_early_serves_exits_and_recovers_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let small = match start(folder.path()) {
        Ok(small) => small,
        Err(why) => return println!("SKIPPED, NOT TESTED: {why}"),
    };
    small.daemon.put(TENANT, SEQUENCE, &FILES);
    let ids = enroll(&small.daemon, 0..CONTACTS);
    let mut client = small.daemon.client();
    let exit = |id: &str| json!({ "tenant": TENANT, "enrollmentId": id });
    let new = json!({ "tenant": TENANT, "sequence": SEQUENCE, "enroll": { "contact": "new",
        "profile": { "email": "new@mail.example" } } });
    let stop = json!({ "tenant": TENANT, "event": { "source": "inbox", "id": "stop", "type": "message.received",
        "contact": "c1", "text": "STOP" } });

    // Nearly full: what begins is refused, what ends is served.
    let most = small.fill("most", 300);
    let says = small.until_ready(false);
    assert!(says.contains("enrolls and events are refused"), "{says}");
    let (status, says) = refusal(&mut client, "EnrollmentService/Enroll", &new).unwrap();
    assert!(status == 503 && says.contains("the disk is nearly full"), "{status} {says}");
    assert_eq!(state(&mut client, &ids[0]), "active", "reads go on");
    assert_eq!(refusal(&mut client, "EnrollmentService/Exit", &exit(&ids[0])), None);
    assert_eq!(refusal(&mut client, "EventService/Send", &stop), None, "an opt-out is served as well");

    // Full: commits fail, and the daemon lives on.
    let rest = small.fill("rest", 0);
    let mut exited = vec![0, 1];
    let refused = (2..CONTACTS).find_map(|n| {
        let refused = refusal(&mut client, "EnrollmentService/Exit", &exit(&ids[n]));
        exited.extend(refused.is_none().then_some(n));
        refused
    });
    let (status, says) = refused.expect("a full disk takes no write");
    let full = says.contains("the disk is full") || says.contains("did not answer a write");
    assert!(status == 503 && full, "{status} {says}");
    println!("{} exits were served on a disk of {DISK_MIB} MiB before one was refused: {says}", exited.len());
    small.until_ready(false);

    // Room again: it recovers by itself, and what was acknowledged is there.
    let pid = small.daemon.pid();
    fs::remove_file(rest).unwrap();
    fs::remove_file(most).unwrap();
    let says = small.until_ready(true);
    assert!(says.contains("store: ok"), "{says}");
    assert_eq!(small.daemon.pid(), pid);
    for n in &exited {
        assert_eq!(state(&mut client, &ids[*n]), "exited", "c{n} was acknowledged");
    }
    let last = ids.last().unwrap();
    assert_eq!(state(&mut client, last), "active");
    assert_eq!(refusal(&mut client, "EnrollmentService/Enroll", &new), None);
    assert_eq!(refusal(&mut client, "EnrollmentService/Exit", &exit(last)), None);

    // Looked at as a backup: a namespace of its own goes with its daemon.
    let file = folder.path().join("after.backup").display().to_string();
    small.daemon.cli_must(TENANT, &["backup", &file]);
    let (code, says) = offline(&["store", "verify", "--backup", &file]);
    assert!(code == Some(0) && says.contains("make sense together"), "{says}");
}
