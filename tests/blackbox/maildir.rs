//! Reads what a daemon has sent: a Maildir with one file for each send.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::time;

/// One message, as it lies there.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The file's name.
    pub file: String,
    /// When it was written.
    pub written_at: i64,
    /// Its headers.
    pub headers: BTreeMap<String, String>,
    /// Its text.
    pub body: String,
}

impl Mail {
    /// A header; empty where there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Which step it is of, from 0.
    ///
    /// # Panics
    /// It does not say.
    #[must_use]
    pub fn step(&self) -> usize {
        let step = self.header("X-Followup-Step");
        step.parse().unwrap_or_else(|_| panic!("{} has the step {step:?}", self.file))
    }

    fn read(path: &Path) -> Mail {
        let text = fs::read_to_string(path).expect("a mail can be read");
        let written = path.metadata().and_then(|known| known.modified()).expect("a mail has a time");
        let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
        let headers = head.lines().filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Mail { file, written_at: time::of(written), headers, body: body.to_owned() }
    }
}

/// A Maildir that is looked at again and again.
#[derive(Debug)]
pub struct Maildir {
    folder: PathBuf,
    seen: HashSet<String>,
}

impl Maildir {
    /// The one in this folder, of which nothing was seen yet.
    #[must_use]
    pub fn new(folder: PathBuf) -> Maildir {
        Maildir { folder, seen: HashSet::new() }
    }

    /// The mails that were not there the last time.
    ///
    /// # Panics
    /// It cannot be read.
    pub fn more(&mut self) -> Vec<Mail> {
        let new = self.folder.join("new");
        let Ok(entries) = fs::read_dir(&new) else { return Vec::new() };
        let names = entries.map(|entry| entry.expect("the outbox can be read").file_name());
        let names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        let unseen: Vec<String> = names.into_iter().filter(|name| self.seen.insert(name.clone())).collect();
        unseen.iter().map(|name| Mail::read(&new.join(name))).collect()
    }
}
