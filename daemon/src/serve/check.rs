//! What a start would need, looked at beforehand: the files of TLS, the folders and the seal key. Nothing is made,
//! nothing is taken.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{Access, access};

use crate::config::Config;
use crate::exit::{Code, Failure};
use crate::serve::{lock, seal_key};
use crate::tls::Tls;

/// What is worth knowing and keeps nothing from starting, one line each.
///
/// # Errors
/// What a start would fail with.
pub(crate) fn check(config: &Config) -> Result<Vec<String>, Failure> {
    config.tls.clone().map(Tls::open).transpose().map_err(Failure::input)?;
    let mut notes = Vec::new();
    for (what, folder) in [("store", &config.store), ("outbox", &config.outbox)] {
        let unusable = |error: io::Error| {
            let says = format!("{what}.folder: {} cannot be used: {error}", folder.display());
            Failure::new(Code::Folder, says)
        };
        if !usable(folder).map_err(unusable)? {
            notes.push(format!("{what}.folder is made: {} is not there yet", folder.display()));
        }
    }
    let cannot = |error| Failure::new(Code::Folder, format!("{}: {error}", config.store.display()));
    if let Some(owner) = lock::owner(&config.store).map_err(cannot)? {
        notes.push(format!("store.folder is in use by {owner}: a daemon runs on it"));
    }
    if !seal_key::check(&config.outside.seal_key)? {
        notes.push(format!(
            "secrets.key_file is made: {} is not there yet",
            config.outside.seal_key.display()
        ));
    }
    Ok(notes)
}

/// Whether a folder is there; it can be written, or made by whoever asks.
fn usable(folder: &Path) -> io::Result<bool> {
    let there = folder.ancestors().find(|path| fs::symlink_metadata(path).is_ok());
    let there = there.unwrap_or(Path::new("/"));
    if !fs::metadata(there)?.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::NotADirectory,
            format!("{} is no folder", there.display()),
        ));
    }
    access(there, Access::WRITE_OK | Access::EXEC_OK)?;
    Ok(there == folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_usable_where_it_is_or_can_be_made() {
        let folder = tempfile::tempdir().unwrap();
        assert!(usable(folder.path()).unwrap());
        assert!(!usable(&folder.path().join("a/b")).unwrap());
        assert!(!folder.path().join("a").exists(), "nothing is made");
        fs::write(folder.path().join("file"), "").unwrap();
        let error = usable(&folder.path().join("file/store")).unwrap_err();
        assert!(error.to_string().contains("is no folder"), "{error}");
    }
}
