//! One process at a time in a folder: a lock on a file in it, which the system releases when the process ends,
//! however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;

use crate::exit::{Code, Failure};
use crate::serve::make_private;

/// Held as long as the value lives.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the folder, which is made where it is missing.
    ///
    /// # Errors
    /// It cannot be written, or another process has it, whose number is named.
    pub(crate) fn take(folder: &Path) -> Result<FolderLock, Failure> {
        let refuse = |why: String| Failure::new(Code::Folder, format!("{}: {why}", folder.display()));
        let io = |error: io::Error| refuse(format!("cannot be written: {error}"));
        make_private(folder).map_err(io)?;
        let path = folder.join("lock");
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = open.map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                // Who it is helps, but need not be readable.
                let _ = file.read_to_string(&mut owner);
                let owner = owner.trim();
                let owner = if owner.is_empty() { String::new() } else { format!(" ({owner})") };
                return Err(refuse(format!(
                    "another process{owner} uses this store: stop it, or give store.folder another folder"
                )));
            }
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        file.set_len(0).and_then(|()| writeln!(file, "process {}", std::process::id())).map_err(io)?;
        Ok(FolderLock { _file: file })
    }
}

/// Who has the folder now, without taking or making anything; `None`: nobody.
///
/// # Errors
/// The file of the lock cannot be read.
pub(super) fn owner(folder: &Path) -> io::Result<Option<String>> {
    let mut file = match File::open(folder.join("lock")) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {}
        // What was locked is free again with the file.
        Ok(()) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let mut owner = String::new();
    file.read_to_string(&mut owner)?;
    Ok(Some(owner.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_is_told_who_has_it() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(owner(folder.path()).unwrap(), None);
        let held = FolderLock::take(folder.path()).unwrap();
        assert_eq!(owner(folder.path()).unwrap(), Some(format!("process {}", std::process::id())));
        let failure = FolderLock::take(folder.path()).unwrap_err();
        assert_eq!(failure.code, Code::Folder);
        assert!(failure.says.contains(&format!("process {}", std::process::id())), "{failure}");
        drop(held);
        assert!(FolderLock::take(folder.path()).is_ok());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let failure = FolderLock::take(&file.path().join("store")).unwrap_err();
        assert_eq!(failure.code, Code::Folder);
        assert!(failure.says.contains("cannot be written"), "{failure}");
    }
}
