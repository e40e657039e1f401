//! Where contacts come from, so that they can be read twice: a plain file as it lies, everything else through a
//! temporary file, up to a bound.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::exit::Failure;
use crate::limits;

/// A file of contacts.
pub(super) struct Source {
    /// What people call it.
    pub(super) name: String,
    /// How long it is.
    pub(super) bytes: u64,
    /// Where it lies, if it can be read again by another run.
    pub(super) path: Option<PathBuf>,
    file: Arc<File>,
}

impl Source {
    /// Opens it; what comes through a pipe is read to its end.
    ///
    /// # Errors
    /// It is not there, is no file, or more comes through a pipe than is kept.
    pub(super) fn open(path: &Path) -> Result<Source, Failure> {
        let name = if path == Path::new("-") { "stdin".to_owned() } else { path.display().to_string() };
        let wrong = |error: io::Error| Failure::input(format!("{name} cannot be read: {error}"));
        let (file, path) = if path == Path::new("-") {
            (kept(io::stdin().lock(), limits::CSV_PIPE_BYTES, &name)?, None)
        } else {
            let kind = fs::metadata(path).map_err(wrong)?.file_type();
            if kind.is_dir() {
                return Err(Failure::input(format!("{name} is a folder: name a file of contacts")));
            }
            let file = File::open(path).map_err(wrong)?;
            match kind.is_file() {
                true => (file, Some(path.to_path_buf())),
                false => (kept(file, limits::CSV_PIPE_BYTES, &name)?, None),
            }
        };
        let bytes = file.metadata().map_err(wrong)?.len();
        Ok(Source { name, bytes, path, file: Arc::new(file) })
    }

    /// It, from its beginning, whoever else reads it meanwhile.
    pub(super) fn read(&self) -> Reading {
        Reading { file: Arc::clone(&self.file), at: 0 }
    }
}

/// A file as it is read, with a place of its own: a handle that was cloned would share it.
pub(super) struct Reading {
    file: Arc<File>,
    at: u64,
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// What comes through a pipe, in a file without a name, which is gone with the process.
fn kept(from: impl Read, most: u64, name: &str) -> Result<File, Failure> {
    let cannot = |error: io::Error| Failure::input(format!("{name} cannot be kept for reading it: {error}"));
    let mut file = tempfile::tempfile().map_err(cannot)?;
    let taken = io::copy(&mut from.take(most + 1), &mut file).map_err(cannot)?;
    if taken > most {
        let mib = most / 1_024 / 1_024;
        return Err(Failure::input(format!(
            "{name}: more than {mib} MiB came through a pipe, which may have no end: save it as a file, and name that"
        )));
    }
    file.flush().map_err(cannot)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_end_is_given_up() {
        let failure = kept(io::repeat(b'a'), 2 * 1_024 * 1_024, "stdin").unwrap_err();
        assert!(failure.says.contains("more than 2 MiB"), "{failure}");
        let file = Arc::new(kept(&b"contact\n"[..], 8, "stdin").unwrap());
        let mut text = String::new();
        Reading { file, at: 0 }.read_to_string(&mut text).unwrap();
        assert_eq!(text, "contact\n");
    }

    #[test]
    fn a_file_is_read_as_often_as_it_is_asked_for_at_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "contact\nct-1\n").unwrap();
        let source = Source::open(file.path()).unwrap();
        let (mut one, mut other, mut text) = (source.read(), source.read(), String::new());
        one.read_exact(&mut [0; 8]).unwrap();
        other.read_to_string(&mut text).unwrap();
        assert_eq!(text, "contact\nct-1\n");
        text.clear();
        one.read_to_string(&mut text).unwrap();
        assert_eq!(text, "ct-1\n", "each has its own place");
        let folder = file.path().parent().unwrap();
        assert!(Source::open(folder).err().unwrap().says.contains("is a folder"));
    }
}
