//! What a store has written so far: counted as it writes, read at any time for metrics and by the test of costs.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::commit::{Class, Commit};

/// What the commits of one class came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassStats {
    /// Commits written.
    pub commits: u64,
    /// Commits refused, for whatever reason.
    pub refused: u64,
    /// Rows they put, counters and ledgers aside.
    pub puts: u64,
    /// Rows they deleted.
    pub deletes: u64,
    /// Bytes of keys and bodies they put.
    pub bytes: u64,
}

/// What a store has written since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// By class, in the order of [`Class::ALL`].
    pub classes: [ClassStats; Class::ALL.len()],
    /// Groups written.
    pub groups: u64,
    /// Counters and ledgers written, once a group each.
    pub shared_rows: u64,
    /// Time spent writing and syncing, in microseconds.
    pub write_us: u64,
    /// The longest of these, in microseconds.
    pub write_us_max: u64,
}

impl Stats {
    /// What the commits of one class came to.
    #[must_use]
    pub fn class(&self, class: Class) -> ClassStats {
        self.classes[class as usize]
    }

    /// What was written after `earlier` was read.
    #[must_use]
    pub fn since(&self, earlier: &Stats) -> Stats {
        let mut classes = self.classes;
        for (now, then) in classes.iter_mut().zip(earlier.classes) {
            now.commits -= then.commits;
            now.refused -= then.refused;
            now.puts -= then.puts;
            now.deletes -= then.deletes;
            now.bytes -= then.bytes;
        }
        Stats {
            classes,
            groups: self.groups - earlier.groups,
            shared_rows: self.shared_rows - earlier.shared_rows,
            write_us: self.write_us - earlier.write_us,
            write_us_max: self.write_us_max,
        }
    }
}

#[derive(Debug, Default)]
struct ClassCounters {
    commits: AtomicU64,
    refused: AtomicU64,
    puts: AtomicU64,
    deletes: AtomicU64,
    bytes: AtomicU64,
}

/// The counters behind [`Stats`]; one writer, any number of readers.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    classes: [ClassCounters; Class::ALL.len()],
    groups: AtomicU64,
    shared_rows: AtomicU64,
    write_us: AtomicU64,
    write_us_max: AtomicU64,
}

impl Counters {
    /// A commit was written.
    pub(crate) fn written(&self, commit: &Commit) {
        let class = &self.classes[commit.class as usize];
        let bytes: usize = commit.puts.iter().map(|(key, body)| key.as_bytes().len() + body.len()).sum();
        class.commits.fetch_add(1, Relaxed);
        class.puts.fetch_add(commit.puts.len() as u64, Relaxed);
        class.deletes.fetch_add(commit.deletes.len() as u64, Relaxed);
        class.bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// A commit was refused.
    pub(crate) fn refused(&self, class: Class) {
        self.classes[class as usize].refused.fetch_add(1, Relaxed);
    }

    /// A group was written.
    pub(crate) fn group(&self, shared_rows: usize, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.groups.fetch_add(1, Relaxed);
        self.shared_rows.fetch_add(shared_rows as u64, Relaxed);
        self.write_us.fetch_add(took, Relaxed);
        self.write_us_max.fetch_max(took, Relaxed);
    }

    /// What they say now. Each number is right; numbers of a group under way may not agree with each other.
    pub(crate) fn read(&self) -> Stats {
        let class = |class: Class| {
            let counters = &self.classes[class as usize];
            ClassStats {
                commits: counters.commits.load(Relaxed),
                refused: counters.refused.load(Relaxed),
                puts: counters.puts.load(Relaxed),
                deletes: counters.deletes.load(Relaxed),
                bytes: counters.bytes.load(Relaxed),
            }
        };
        Stats {
            classes: Class::ALL.map(class),
            groups: self.groups.load(Relaxed),
            shared_rows: self.shared_rows.load(Relaxed),
            write_us: self.write_us.load(Relaxed),
            write_us_max: self.write_us_max.load(Relaxed),
        }
    }
}
