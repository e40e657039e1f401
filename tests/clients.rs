//! Others' programs drive the daemon: a gRPC client generated from the protos, plain curl, and an SDK of CloudEvents.
//!
//! Each sets up a tenant, enrolls, waits for mails in the outbox, ends the cadence with a reply, compares timelines,
//! funnel and outbox, and is refused a wrong call. The programs stand in `tests/clients`, say what they see, and fail
//! with what they wanted.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use blackbox::daemon::Daemon;
use blackbox::wire::python;

const PROTOS: [&str; 5] = [
    "followupd/v1/tenant.proto",
    "followupd/v1/sequence.proto",
    "followupd/v1/enrollment.proto",
    "followupd/v1/event.proto",
    "google/rpc/error_details.proto",
];

/// What stands in this crate's folder.
fn of_tests(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Python that leaves no files beside what it runs.
fn python_without_caches() -> Command {
    let mut command = Command::new(python());
    command.arg("-B");
    command
}

/// Runs a program that must succeed.
fn must(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let (says, fails) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    print!("{says}");
    assert!(output.status.success(), "{}\n{says}{fails}", output.status);
}

/// Runs a program against a new daemon.
fn drives_a_cadence(folder: &Path, mut command: Command, program: &str) {
    let daemon = Daemon::start(&folder.join("daemon"));
    let door = daemon.door();
    command.arg(of_tests(program)).args([&door.address.to_string(), &door.key]).arg(daemon.outbox());
    must(&mut command);
    daemon.stop();
}

#[test]
fn a_python_grpc_client_generated_from_the_protos_drives_a_cadence() {
    let folder = tempfile::tempdir().unwrap();
    let stubs = folder.path().join("stubs");
    fs::create_dir(&stubs).unwrap();
    let mut protoc = python_without_caches();
    protoc.args(["-m", "grpc_tools.protoc", "-I"]).arg(of_tests("../daemon/proto"));
    protoc.arg("-I").arg(of_tests("clients")).arg("--python_out").arg(&stubs);
    must(protoc.arg("--grpc_python_out").arg(&stubs).args(PROTOS).arg("status.proto"));

    let mut client = python_without_caches();
    client.env("PYTHONPATH", &stubs);
    drives_a_cadence(folder.path(), client, "clients/grpc_client.py");
}

#[test]
fn plain_curl_drives_a_cadence() {
    let folder = tempfile::tempdir().unwrap();
    drives_a_cadence(folder.path(), Command::new("bash"), "clients/curl.sh");
}

#[test]
fn a_cloudevents_sdk_drives_a_cadence() {
    let folder = tempfile::tempdir().unwrap();
    drives_a_cadence(folder.path(), python_without_caches(), "clients/cloud_events.py");
}
