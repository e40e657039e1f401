//! The threads that read: reads block, so none runs on an async worker.
//!
//! A thread that is awake goes on with whatever waits, so that under load a read costs no switch between threads: only
//! where more wait than those awake will soon have done, another is roused. Fewer than that wait for a read that blocks.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::oneshot;

use super::database::Database;
use super::{Closed, Shared};
use crate::{Error, limits};

/// A read that waits for a thread. It gets the database, or why there is none, and tells its caller itself.
type Job = Box<dyn FnOnce(Result<&Arc<Database>, Closed>) + Send>;

#[derive(Default)]
struct Line {
    jobs: VecDeque<Job>,
    /// Threads that run, or were told to.
    awake: usize,
    /// Of these, those that have not noticed yet.
    roused: usize,
    over: bool,
}

/// The line before the threads, and the threads.
#[derive(Default)]
pub(super) struct Readers {
    line: Mutex<Line>,
    changed: Condvar,
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.lock();
        f.debug_struct("Readers").field("waiting", &line.jobs.len()).field("awake", &line.awake).finish()
    }
}

impl Readers {
    /// Starts the threads. They end with [`Readers::end`], or when nobody has the store any more.
    pub(super) fn start(shared: &Arc<Shared>) -> Result<Arc<Readers>, std::io::Error> {
        let readers = Arc::new(Readers::default());
        readers.lock().awake = limits::READERS;
        for _ in 0..limits::READERS {
            let (line, shared) = (Arc::clone(&readers), Arc::downgrade(shared));
            let thread = std::thread::Builder::new().name("reader".to_owned());
            if let Err(error) = thread.spawn(move || line.run(&shared)) {
                readers.end();
                return Err(error);
            }
        }
        Ok(readers)
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has `read` run on a thread.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Arc<Database>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        self.push(Box::new(move |database| {
            // A caller that went away does not want to know.
            let _ = answer.send(database.map_err(Error::from).and_then(read));
        }))?;
        // An answer that never comes means that the read panicked, or that the store was closed before it.
        answered.await.map_err(|error| Error::Unavailable(Box::new(error)))?
    }

    fn push(&self, job: Job) -> Result<(), Closed> {
        let mut line = self.lock();
        if line.over {
            return Err(Closed::Stopped);
        }
        line.jobs.push_back(job);
        let rouse = line.awake < limits::READERS && line.jobs.len() > line.awake * limits::READS_AHEAD;
        if rouse {
            line.awake += 1;
            line.roused += 1;
        }
        drop(line);
        if rouse {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Ends the threads; what waits is refused.
    pub(super) fn end(&self) {
        let mut line = self.lock();
        line.over = true;
        line.jobs.clear();
        drop(line);
        self.changed.notify_all();
    }

    fn run(&self, shared: &Weak<Shared>) {
        while let Some(job) = self.next() {
            let Some(shared) = shared.upgrade() else { return };
            let database = shared.database();
            let job = || job(database.as_ref().map_err(|closed| *closed));
            // The caller is told by the end of its channel; the thread is needed for the others.
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err() {
                tracing::error!("a read panicked");
            }
        }
    }

    /// The next read; sleeps while there is none. `None` at the end.
    fn next(&self) -> Option<Job> {
        let mut line = self.lock();
        loop {
            if let Some(job) = line.jobs.pop_front() {
                return Some(job);
            }
            if line.over {
                return None;
            }
            line.awake -= 1;
            while line.roused == 0 && !line.over {
                line = self.changed.wait(line).unwrap_or_else(PoisonError::into_inner);
            }
            line.roused = line.roused.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Readers without a store: every job is told that it is gone.
    fn readers() -> (Arc<Readers>, tempfile::TempDir, super::super::Embedded) {
        let folder = tempfile::tempdir().unwrap();
        let store = super::super::Embedded::open(folder.path(), super::super::Options::default()).unwrap();
        (Arc::clone(&store.readers), folder, store)
    }

    #[tokio::test]
    async fn a_read_that_panics_fails_alone() {
        let (readers, _folder, _store) = readers();
        for _ in 0..2 * limits::READERS {
            let failed = readers.read::<()>(|_| panic!("planted")).await;
            assert!(failed.is_err());
        }
        assert_eq!(readers.read(|_| Ok(7)).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn what_blocks_one_thread_keeps_no_others_waiting_for_ever() {
        let (readers, _folder, _store) = readers();
        let (release, blocked) = mpsc::channel::<()>();
        let (began, begun) = oneshot::channel();
        let slow = {
            let readers = Arc::clone(&readers);
            tokio::spawn(async move {
                let wait = move |_: &Arc<Database>| {
                    let _ = began.send(());
                    let _ = blocked.recv();
                    Ok(())
                };
                readers.read(wait).await
            })
        };
        begun.await.unwrap();
        // Some may wait behind it; as more come, another thread goes on with them.
        let reads = |number| {
            let readers = Arc::clone(&readers);
            tokio::spawn(async move { readers.read(move |_| Ok(number)).await })
        };
        let (first, mut more) = (reads(0), Vec::new());
        while !first.is_finished() {
            more.push(reads(more.len() + 1));
            tokio::task::yield_now().await;
        }
        assert_eq!(first.await.unwrap().unwrap(), 0);
        release.send(()).unwrap();
        slow.await.unwrap().unwrap();
        for (number, read) in (1..).zip(more) {
            assert_eq!(read.await.unwrap().unwrap(), number);
        }
    }

    #[tokio::test]
    async fn after_the_end_reads_are_refused() {
        let (readers, _folder, _store) = readers();
        readers.end();
        assert!(readers.read(|_| Ok(())).await.is_err());
    }
}
