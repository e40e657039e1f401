//! How far a file has come, in `FILE.progress` beside it: written after each batch that had its results, removed at the
//! end, and what `--resume` goes on from.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::cli::enroll::source::Source;
use crate::cli::upload::{Into, Totals};
use crate::exit::Failure;
use crate::limits;

/// How far a file has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mark {
    server: String,
    tenant: String,
    sequence: String,
    /// The file's length and the SHA-256 of its beginning: another file begins anew.
    bytes: u64,
    head: String,
    /// What became of its rows so far.
    pub(super) totals: Totals,
    /// How long the file of rejected rows was then.
    pub(super) rejected_bytes: u64,
}

impl Mark {
    /// One at the beginning of a file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn of(source: &Source, server: &str, into: &Into) -> Result<Mark, Failure> {
        let mut head = Vec::new();
        let read = source.read().take(limits::CSV_HEAD_BYTES).read_to_end(&mut head);
        read.map_err(|error| Failure::input(format!("{} cannot be read: {error}", source.name)))?;
        Ok(Mark {
            server: server.to_owned(),
            tenant: into.tenant.clone(),
            sequence: into.sequence.clone(),
            bytes: source.bytes,
            head: Sha256::digest(&head).iter().map(|byte| format!("{byte:02x}")).collect(),
            totals: Totals::default(),
            rejected_bytes: 0,
        })
    }

    /// What an earlier run left at `path`, if it is of the same file into the same sequence as this one.
    ///
    /// # Errors
    /// It is of another; or it is none.
    pub(super) fn left(&self, path: &Path) -> Result<Option<Mark>, Failure> {
        let shown = path.display();
        let anew = "delete it, or leave --resume out, to begin anew";
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => {
                text.map_err(|error| Failure::input(format!("{shown} cannot be read: {error}; {anew}")))?
            }
        };
        let Ok(left) = serde_json::from_str::<Mark>(&text) else {
            return Err(Failure::input(format!("{shown} is not what an upload leaves: {anew}")));
        };
        if (left.bytes, &left.head) != (self.bytes, &self.head) {
            return Err(Failure::input(format!(
                "{shown} is of another file, or this one has changed: {anew}"
            )));
        }
        let into =
            |mark: &Mark| format!("sequence {} of tenant {} at {}", mark.sequence, mark.tenant, mark.server);
        if into(&left) != into(self) {
            return Err(Failure::input(format!("{shown} is of an upload into {}: {anew}", into(&left))));
        }
        Ok(Some(left))
    }

    /// Writes it whole: one that was cut off would be none.
    fn write(&self, path: &Path) -> io::Result<()> {
        let aside = beside(path, ".new");
        serde_json::to_writer(File::create(&aside)?, self)?;
        fs::rename(&aside, path)
    }
}

/// The mark of a run, kept beside its file as long as that can be.
pub(super) struct Kept {
    path: Option<PathBuf>,
    mark: Mark,
}

impl Kept {
    /// Kept at `path`; without one nowhere.
    pub(super) fn at(path: Option<PathBuf>, mark: Mark) -> Kept {
        Kept { path, mark }
    }

    /// So far it has come. A mark that cannot be written is said once: the run goes on without.
    pub(super) fn moves(&mut self, totals: &Totals, rejected_bytes: u64) {
        self.mark.totals.clone_from(totals);
        self.mark.rejected_bytes = rejected_bytes;
        let Some(path) = &self.path else { return };
        if let Err(error) = self.mark.write(path) {
            eprintln!("{} cannot be written ({error}): this run cannot be resumed", path.display());
            self.path = None;
        }
    }

    /// Where it stands, for whoever has to go on.
    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref().filter(|path| path.exists())
    }

    /// The run is over.
    pub(super) fn ends(self) {
        if let Some(path) = self.path
            && let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            eprintln!("{} cannot be removed: {error}", path.display());
        }
    }
}

/// A file beside another.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_of_one_file_and_one_sequence() {
        let folder = tempfile::tempdir().unwrap();
        let (csv, path) = (folder.path().join("c.csv"), folder.path().join("c.csv.progress"));
        fs::write(&csv, "contact\nct-1\nct-2\n").unwrap();
        let into = |sequence: &str| Into { tenant: "acme".into(), sequence: sequence.into() };
        let of =
            |sequence: &str| Mark::of(&Source::open(&csv).unwrap(), "http://a", &into(sequence)).unwrap();
        let begun = of("welcome");
        assert_eq!(begun.left(&path).unwrap(), None);
        let mut kept = Kept::at(Some(path.clone()), begun.clone());
        kept.moves(&Totals { rows: 1, enrolled: 1, ..Totals::default() }, 7);
        let left = begun.left(&path).unwrap().unwrap();
        assert_eq!((left.totals.rows, left.rejected_bytes), (1, 7));
        let other = of("other").left(&path).unwrap_err();
        assert!(other.says.contains("of an upload into sequence welcome of tenant acme"), "{other}");
        fs::write(&csv, "contact\nct-9\nct-2\n").unwrap();
        let changed = of("welcome").left(&path).unwrap_err();
        assert!(changed.says.contains("of another file"), "{changed}");
        fs::write(&path, "{").unwrap();
        assert!(begun.left(&path).unwrap_err().says.contains("is not what an upload leaves"));
        kept.ends();
        assert!(!path.exists());
    }
}
