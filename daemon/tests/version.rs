//! The binary stands by itself. That this test is here also has `cargo test` build it, for the tests that drive it.

use std::process::Command;

#[test]
fn the_binary_tells_its_version() {
    let told = Command::new(env!("CARGO_BIN_EXE_followupd")).arg("--version").output().unwrap();
    assert!(told.status.success() && told.stderr.is_empty(), "{told:?}");
    let expected = format!("followupd {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(told.stdout).unwrap(), expected);
}
