//! TLS on the port: who is believed, what is spoken, and certificates that change while the daemon runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use blackbox::daemon::{Daemon, command};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// An authority with a certificate for this machine, in files of a folder.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    ca: PathBuf,
}

impl Authority {
    fn new(folder: &Path, name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let ca = folder.join(format!("{name}.pem"));
        fs::write(&ca, issuer.pem()).unwrap();
        Authority { issuer, ca }
    }

    /// Writes a certificate of this authority and its key.
    fn issue(&self, certificate: &Path, key: &Path) {
        self.issue_for(certificate, key, Duration::from_secs(90 * 24 * 3_600));
    }

    /// The same, good for so long from now.
    fn issue_for(&self, certificate: &Path, key: &Path, good_for: Duration) {
        let pair = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + now + good_for;
        let signed = params.signed_by(&pair, &self.issuer).unwrap();
        fs::write(certificate, signed.pem()).unwrap();
        fs::write(key, pair.serialize_pem()).unwrap();
    }
}

fn settings(folder: &Path, more: &str) -> String {
    let file = |name: &str| folder.join(name).display().to_string();
    format!("[listen.tls]\ncertificate = {:?}\nkey = {:?}\n{more}", file("cert.pem"), file("key.pem"))
}

fn start(folder: &Path, authority: &Authority, more: &str) -> Daemon {
    authority.issue(&folder.join("cert.pem"), &folder.join("key.pem"));
    Daemon::start_with(folder, &settings(folder, more))
}

/// `followupd key list` against the daemon.
fn key_list(daemon: &Daemon, scheme: &str, ca: Option<&Path>) -> Output {
    let door = daemon.door();
    let mut command = command();
    command.args(["--server", &format!("{scheme}://{}", door.address)]).env("FOLLOWUPD_KEY", &door.key);
    if let Some(ca) = ca {
        command.arg("--ca").arg(ca);
    }
    command.args(["key", "list"]).output().unwrap()
}

/// What curl answers: its exit code, and status and HTTP version.
fn curl(daemon: &Daemon, arguments: &[&str]) -> (Option<i32>, String) {
    let url = format!("https://{}/healthz", daemon.door().address);
    let asked = Command::new("curl")
        .args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code} %{http_version}"])
        .args(arguments)
        .arg(url)
        .output()
        .unwrap();
    (asked.status.code(), String::from_utf8_lossy(&asked.stdout).into_owned())
}

#[test]
fn callers_check_the_certificate_and_speak_either_http() {
    let folder = tempfile::tempdir().unwrap();
    let (trusted, other) = (Authority::new(folder.path(), "trusted"), Authority::new(folder.path(), "other"));
    let daemon = start(folder.path(), &trusted, "");
    let listed = key_list(&daemon, "https", Some(&trusted.ca));
    assert!(listed.status.success(), "{listed:?}");
    assert!(String::from_utf8_lossy(&listed.stdout).contains("operator"), "{listed:?}");
    for (scheme, ca) in [("https", Some(other.ca.as_path())), ("http", None)] {
        let refused = key_list(&daemon, scheme, ca);
        assert_eq!(refused.status.code(), Some(3), "{scheme}: {refused:?}");
    }
    let ca = trusted.ca.display().to_string();
    assert_eq!(curl(&daemon, &["--cacert", &ca]), (Some(0), "200 2".into()));
    assert_eq!(curl(&daemon, &["--cacert", &ca, "--http1.1"]), (Some(0), "200 1.1".into()));
}

#[test]
fn with_mutual_tls_a_caller_shows_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (own, theirs) = (Authority::new(folder.path(), "own"), Authority::new(folder.path(), "theirs"));
    let daemon = start(folder.path(), &own, &format!("client_ca = {:?}\n", theirs.ca.display().to_string()));
    theirs.issue(&at("client.pem"), &at("client.key"));
    own.issue(&at("wrong.pem"), &at("wrong.key"));
    let ca = own.ca.display().to_string();
    let with = |name: &str| {
        let (cert, key) = (at(&format!("{name}.pem")), at(&format!("{name}.key")));
        let (cert, key) = (cert.display().to_string(), key.display().to_string());
        curl(&daemon, &["--cacert", &ca, "--cert", &cert, "--key", &key])
    };
    assert_eq!(with("client"), (Some(0), "200 2".into()));
    assert_ne!(with("wrong").0, Some(0));
    let listed = |name: &str, key: bool| {
        let door = daemon.door();
        let mut command = command();
        command.args(["--server", &format!("https://{}", door.address), "--ca", &ca, "key", "list"]);
        command.env("FOLLOWUPD_KEY", &door.key).env("FOLLOWUPD_CERTIFICATE", at(&format!("{name}.pem")));
        if key {
            command.env("FOLLOWUPD_CERTIFICATE_KEY", at(&format!("{name}.key")));
        }
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(listed("client", true), (Some(0), String::new()));
    assert_eq!(listed("wrong", true).0, Some(3));
    let (code, says) = listed("client", false);
    assert!(code == Some(2) && says.contains("--certificate goes with --certificate-key"), "{says}");
    assert_eq!(key_list(&daemon, "https", Some(&own.ca)).status.code(), Some(3), "it shows none");
    assert_ne!(curl(&daemon, &["--cacert", &ca]).0, Some(0));
}

#[test]
fn a_new_certificate_is_shown_and_one_that_makes_no_sense_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (Authority::new(folder.path(), "old"), Authority::new(folder.path(), "new"));
    let mut daemon = start(folder.path(), &old, "");
    new.issue(&folder.path().join("cert.pem"), &folder.path().join("key.pem"));
    daemon.signal("HUP");
    daemon.wait_until_logged("the certificate was read anew", 1);
    assert!(key_list(&daemon, "https", Some(&new.ca)).status.success());
    let refused = key_list(&daemon, "https", Some(&old.ca));
    let says = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(3) && says.contains("is --ca its authority's?"), "{says}");
    // A key of another certificate, found without a signal.
    old.issue(&folder.path().join("not-used.pem"), &folder.path().join("key.pem"));
    daemon.wait_until_logged("the new files make no sense", 1);
    assert!(key_list(&daemon, "https", Some(&new.ca)).status.success());
    daemon.stop();
}

/// What /readyz says of the certificate, by somebody who does not look at it.
fn readiness(daemon: &Daemon) -> String {
    let url = format!("https://{}/readyz", daemon.door().address);
    let asked = Command::new("curl").args(["--silent", "--insecure"]).arg(url).output().unwrap();
    let text = String::from_utf8_lossy(&asked.stdout).into_owned();
    text.lines().find(|line| line.starts_with("certificate: ")).unwrap_or(&text).to_owned()
}

#[test]
fn a_certificate_that_expires_is_said_and_the_next_one_taken_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let authority = Authority::new(folder.path(), "own");
    authority.issue_for(&at("cert.pem"), &at("key.pem"), Duration::from_secs(8));
    let mut daemon = Daemon::start_with(folder.path(), &settings(folder.path(), ""));
    daemon.wait_until_logged("the certificate expires soon", 1);
    daemon.wait_until_logged("the certificate has expired", 1);
    assert_eq!(key_list(&daemon, "https", Some(&authority.ca)).status.code(), Some(3), "a caller turns away");
    let says = readiness(&daemon);
    assert!(says.contains("not ok, expired"), "it listens on: {says}");
    authority.issue(&at("cert.pem"), &at("key.pem"));
    daemon.wait_until_logged("the certificate was read anew", 1);
    assert!(key_list(&daemon, "https", Some(&authority.ca)).status.success());
    let says = readiness(&daemon);
    assert!(says.contains("ok, good for 89 more days") && !says.contains("not ok"), "{says}");
    daemon.stop();
}

#[test]
fn files_that_make_no_sense_end_the_start_with_their_name() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "any");
    let at = |name: &str| folder.path().join(name);
    let config = at("config.toml");
    fs::write(&config, settings(folder.path(), "")).unwrap();
    let serve = || {
        let output = command().args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(&config).output();
        let output = output.unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, says) = serve();
    assert!(
        code == Some(2) && says.contains("listen.tls.certificate") && says.contains("cert.pem"),
        "{says}"
    );
    authority.issue(&at("cert.pem"), &at("key.pem"));
    authority.issue(&at("not-used.pem"), &at("key.pem"));
    let (code, says) = serve();
    assert!(code == Some(2) && says.contains("listen.tls.key does not fit"), "{says}");
    fs::write(at("key.pem"), "nothing").unwrap();
    let (code, says) = serve();
    assert!(code == Some(2) && says.contains("listen.tls.key") && says.contains("PEM"), "{says}");
}
