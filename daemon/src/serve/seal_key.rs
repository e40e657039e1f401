//! The key under which secrets of channels are sealed: a file that only its owner may read.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use followupd_channel::seal::{KEY_BYTES, Seal};

use crate::exit::{Code, Failure};

/// The seal whose key lies at `path`; a key is made where there is none.
///
/// # Errors
/// The file cannot be read or made, or what it holds is no key.
pub(crate) fn open(path: &Path) -> Result<Seal, Failure> {
    let cannot = |error: io::Error| {
        Failure::new(Code::Folder, format!("the seal key {} cannot be opened: {error}", path.display()))
    };
    let key = match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path).map_err(cannot)?,
        read => read.map_err(cannot)?,
    };
    seal(path, &key)
}

/// Whether there is a key at `path`; nothing is made.
///
/// # Errors
/// The file cannot be read, or what it holds is no key.
pub(crate) fn check(path: &Path) -> Result<bool, Failure> {
    match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => {
            let says = format!("the seal key {} cannot be opened: {error}", path.display());
            Err(Failure::new(Code::Folder, says))
        }
        Ok(key) => seal(path, &key).map(|_| true),
    }
}

fn seal(path: &Path, key: &[u8]) -> Result<Seal, Failure> {
    Seal::new(key).map_err(|right| {
        Failure::new(
            Code::Folder,
            format!(
                "{} is no seal key: {right}, this file {}; put the right one back",
                path.display(),
                key.len()
            ),
        )
    })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut key = Vec::new();
    fs::File::open(path)?.take(KEY_BYTES as u64 + 1).read_to_end(&mut key)?;
    Ok(key)
}

/// Makes it aside and moves it there whole: one that was cut off would be taken for another.
fn make(path: &Path) -> io::Result<Vec<u8>> {
    let mut key = vec![0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(|_| io::Error::other("the system has no randomness to give"))?;
    let aside = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    file.write_all(&key)?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(folder)?.sync_all()?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use followupd_channel::secret::Secret;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seal.key");
        let sealed = open(&path).unwrap().seal("1/1", &Secret::new("hunter2")).unwrap();
        assert_eq!(open(&path).unwrap().open("1/1", &sealed).unwrap().reveal(), "hunter2");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_no_key_is_said_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seal.key");
        for text in ["", "short", &"x".repeat(40)] {
            fs::write(&path, text).unwrap();
            let failure = open(&path).err().unwrap();
            assert!(failure.says.contains("is no seal key"), "{failure}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
