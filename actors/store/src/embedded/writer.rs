//! The committer thread: takes groups, applies and writes them, answers; opens the database again when it failed.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::database::{Database, WriteError};
use super::health::State;
use super::inbox::{Ticket, Work};
use super::{Closed, OpenError, Shared};
use crate::commit::Refused;
use crate::committer::{Group, Verdict, Waiting};
use crate::limits;
use crate::row::Version;

/// The state of the committer thread.
struct Writer {
    shared: Arc<Shared>,
    last: Version,
    looked_at: Option<Instant>,
    /// Commits of the group before.
    before: usize,
    opened_at: Instant,
    /// How long to wait before the next attempt to open.
    pause: Duration,
}

/// Refuses everything once the thread is gone, also when it panicked.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.inbox.close();
        self.0.inbox.refuse(Closed::Stopped);
        self.0.set_database(None);
        self.0.monitor.set(State::Closed);
    }
}

/// Starts the thread. `last` is the number of the last commit.
pub(super) fn start(shared: Arc<Shared>, last: Version) -> Result<JoinHandle<()>, std::io::Error> {
    let mut writer = Writer {
        shared,
        last,
        looked_at: None,
        before: 0,
        opened_at: Instant::now(),
        pause: limits::REOPEN_AFTER,
    };
    std::thread::Builder::new().name("committer".to_owned()).spawn(move || {
        let _end = End(Arc::clone(&writer.shared));
        writer.run();
    })
}

impl Writer {
    fn run(&mut self) {
        loop {
            self.look_at_disk();
            // Several came at once: others are on their way, and a sync costs the same for all of them.
            if self.before > 1 {
                self.shared.inbox.gather();
            }
            let work = self.shared.inbox.next(limits::CHECK_EVERY);
            let Ok(database) = self.shared.database() else { return };
            let done = match work {
                Work::Group(tickets) => self.write(&database, tickets),
                Work::Quiet => database.sound(),
                Work::Over => return self.close(database),
            };
            if let Err(error) = done
                && !self.reopen(database, &error)
            {
                return;
            }
        }
    }

    fn look_at_disk(&mut self) {
        if self.looked_at.is_none_or(|at| at.elapsed() >= limits::CHECK_EVERY) {
            self.looked_at = Some(Instant::now());
            self.shared.monitor.look(&self.shared.path, self.shared.options.free_bytes_min);
        }
    }

    /// Applies, writes and answers one group.
    fn write(&mut self, database: &Database, tickets: Vec<Ticket>) -> Result<(), WriteError> {
        let begun = Instant::now();
        self.before = tickets.len();
        let mut group = Group::new(|key: &_| database.read(key), self.last);
        let verdicts: Vec<Verdict> = tickets.iter().map(|ticket| group.apply(ticket.commit())).collect();
        let last = group.last();
        let changes = group.finish();
        let shared_rows = changes.shared;
        let written = if last == self.last { Ok(()) } else { self.write_changes(database, changes, last) };
        if written.is_ok() && last != self.last {
            self.last = last;
            self.shared.counters.group(shared_rows, begun.elapsed());
        }
        for (ticket, verdict) in tickets.into_iter().zip(verdicts) {
            let verdict = match (verdict, &written) {
                (Ok(applied), Ok(())) => {
                    self.shared.counters.written(ticket.commit());
                    Ok(applied)
                }
                (Err(refused), Ok(())) => Err(refused),
                (Ok(_), Err(WriteError::Unknown(_))) => Err(Refused::Unknown),
                // A refusal may rest on a commit that is not there after all.
                (_, Err(_)) => Err(self.shared.why(Closed::GroupFailed).into()),
            };
            ticket.answer(verdict);
        }
        written
    }

    #[cfg(not(test))]
    fn write_changes(
        &self,
        database: &Database,
        changes: crate::committer::Changes,
        last: Version,
    ) -> Result<(), WriteError> {
        database.write(changes, last)
    }

    #[cfg(test)]
    fn write_changes(
        &self,
        database: &Database,
        changes: crate::committer::Changes,
        last: Version,
    ) -> Result<(), WriteError> {
        use std::sync::atomic::Ordering::SeqCst;
        if self.shared.faults.fail_before_write.swap(false, SeqCst) {
            return Err(WriteError::NotWritten(fjall::Error::Poisoned));
        }
        database.write(changes, last)?;
        if self.shared.faults.fail_after_write.swap(false, SeqCst) {
            return Err(WriteError::Unknown(fjall::Error::Poisoned));
        }
        Ok(())
    }

    /// Closes a failed database and opens it again; `false` when the end came first.
    fn reopen(&mut self, failed: Arc<Database>, error: &WriteError) -> bool {
        let cause = chain(error);
        tracing::error!(cause, "the store failed; it is opened again");
        // Whoever is refused from here on is told whether the disk is full, and it may have filled this instant.
        self.looked_at = None;
        self.look_at_disk();
        self.shared.monitor.set(State::Reopening(cause));
        self.shared.inbox.refuse(self.shared.why(Closed::Reopening));
        self.close(failed);
        // One that opens and fails at once, as on a full disk, does not begin with short pauses each time.
        if self.opened_at.elapsed() > limits::REOPENED_WELL_AFTER {
            self.pause = limits::REOPEN_AFTER;
        }
        loop {
            let pause = self.pause;
            if self.shared.inbox.sleep(pause) {
                return false;
            }
            self.pause = (pause * 2).min(limits::REOPEN_AFTER_MAX);
            self.look_at_disk();
            match self.open() {
                Ok(()) => break,
                Err(error) => {
                    tracing::warn!(cause = chain(&*error), ?pause, "the store cannot be opened yet")
                }
            }
        }
        self.opened_at = Instant::now();
        tracing::info!(last = self.last.0, "the store is open again");
        self.shared.monitor.set(State::Ready);
        self.shared.inbox.accept();
        true
    }

    fn open(&mut self) -> Result<(), Box<dyn std::error::Error>> {
        #[cfg(test)]
        {
            use std::sync::atomic::Ordering::SeqCst;
            let left = self.shared.faults.fail_opens.load(SeqCst);
            if left > 0 {
                self.shared.faults.fail_opens.store(left - 1, SeqCst);
                return Err("a test wants no database".into());
            }
        }
        let (database, last): (Database, Version) =
            Database::open(&self.shared.path, &self.shared.options).map_err(Box::<OpenError>::new)?;
        database.settle()?;
        self.last = last;
        self.shared.set_database(Some(Arc::new(database)));
        Ok(())
    }

    /// Takes the database away from new readers, waits for those under way, and lets it go.
    fn close(&self, database: Arc<Database>) {
        self.shared.set_database(None);
        let begun = Instant::now();
        while Arc::strong_count(&database) > 1 && begun.elapsed() < limits::STALL_MAX {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(database);
    }
}

/// An error and all its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
