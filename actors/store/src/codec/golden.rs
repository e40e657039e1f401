//! Golden files: the bytes of sample records as a release wrote them. For tests only.
//!
//! One line a record: `golden::check("contact_v1", Format::Contact, &sample)`. A file that is missing is written
//! when the environment variable `GOLDEN` is `write`; one that is there is never changed, because stores out there
//! hold such bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::path::{Path, PathBuf};

use super::{Format, decode, encode};

/// Holds that `value` is written as `golden/<name>.bin` records it, and that the file reads as `value`.
pub fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, format: Format, value: &T) {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(format!("{name}.bin"));
    let written = encode(format, value);
    assert!(written.is_ok(), "{name} cannot be encoded: {written:?}");
    let Ok(written) = written else { return };
    if !path.exists() && std::env::var("GOLDEN").is_ok_and(|word| word == "write") {
        let saved = std::fs::write(&path, &written);
        assert!(saved.is_ok(), "{} cannot be written: {saved:?}", path.display());
    }
    let recorded = std::fs::read(&path);
    assert!(recorded.is_ok(), "{} is missing; run this test with GOLDEN=write", path.display());
    let recorded = recorded.unwrap_or_default();
    assert_eq!(recorded, written, "the bytes of {name} have changed: that is a new Format, not a new file");
    let read = decode::<T>(format, &recorded);
    assert!(read.as_ref().is_ok_and(|read| read == value), "{name} reads as {read:?}");
}
