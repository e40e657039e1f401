//! The store of tests and of the simulator: rows in a map, no thread and no clock, and a place for every fault.
//!
//! It groups and applies commits with the same code as the embedded store, so what a test sees of groups is what
//! happens in production. A commit waits in a queue until a group takes it; what is applied becomes visible only
//! when its group is synced. [`Hooks`] say at named points how long that takes and what goes wrong. On a
//! `current_thread` runtime everything is decided by the hooks and the order of the calls.

use futures::future::{self, BoxFuture};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

use crate::commit::{Commit, Refused};
use crate::committer::queue::Room;
use crate::committer::{Changes, Group, Queue, Verdict, Waiting};
use crate::limits;
use crate::row::{Row, Version};
use crate::stats::{Counters, Stats};
use crate::{Applied, Error, Key, Scan, Snapshot, Store};

/// A moment in the life of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// It was handed over and waits for a group.
    Submitted,
    /// It passed its checks; its group is not synced.
    Applied,
    /// Its group is synced; nobody knows yet.
    Synced,
    /// Its answer is about to reach the caller.
    Answering,
}

/// What happens at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Nothing.
    Go,
    /// Others run first, so many times.
    Yield(u32),
    /// Nothing is written; [`Refused::Unavailable`].
    Refuse,
    /// Nothing is written; [`Refused::Unknown`].
    Lose,
    /// It is written and durable; [`Refused::Unknown`].
    Unanswered,
    /// The process is killed here: this call and every later one never returns. See [`Memory::crash`].
    Die,
}

/// Decides what happens at each point. From a seed, so that it happens again.
///
/// At [`Point::Applied`] `Refuse` and `Lose` hit the whole group, as a failed write does. What is synced cannot be
/// taken back: at [`Point::Synced`] and [`Point::Answering`] `Refuse` and `Lose` mean `Unanswered`.
pub trait Hooks: Send + Sync + 'static {
    /// What happens to `commit` at `point`.
    fn at(&self, point: Point, commit: &Commit) -> Reaction {
        let _ = (point, commit);
        Reaction::Go
    }

    /// What happens to a read; `Refuse` fails it, `Lose` and `Unanswered` mean nothing here.
    fn read(&self) -> Reaction {
        Reaction::Go
    }
}

/// Nothing ever goes wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fair;

impl Hooks for Fair {}

/// A hook wanted it so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a hook refused it")]
pub struct Injected;

struct Ticket {
    commit: Commit,
    answer: oneshot::Sender<Verdict>,
    unanswered: bool,
}

impl Waiting for Ticket {
    fn commit(&self) -> &Commit {
        &self.commit
    }
}

#[derive(Default)]
struct State {
    /// What is synced, which is all that is ever seen.
    rows: BTreeMap<Key, Row>,
    last: Version,
    queue: Queue<Ticket>,
    driven: bool,
    dead: bool,
}

struct Inner {
    state: Mutex<State>,
    hooks: Arc<dyn Hooks>,
    counters: Counters,
}

/// The killed process says nothing.
struct Dead;

/// A reaction that does not concern time.
enum Fault {
    None,
    Refuse,
    Lose,
    Unanswered,
}

/// The memory store.
#[derive(Clone)]
pub struct Memory {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.inner.lock();
        write!(f, "Memory({} rows, {} commits)", state.rows.len(), state.last.0)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Memory::new(Arc::new(Fair))
    }
}

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new(hooks: Arc<dyn Hooks>) -> Self {
        Memory::with(State::default(), hooks)
    }

    fn with(state: State, hooks: Arc<dyn Hooks>) -> Self {
        Memory { inner: Arc::new(Inner { state: Mutex::new(state), hooks, counters: Counters::default() }) }
    }

    /// The store as it is found after a crash: what was synced, and nothing else. This one is dead from here:
    /// its calls, also those under way, never return.
    #[must_use]
    pub fn crash(&self) -> Memory {
        self.inner.die();
        let state = self.inner.lock();
        let found = State { rows: state.rows.clone(), last: state.last, ..State::default() };
        Memory::with(found, Arc::clone(&self.inner.hooks))
    }

    /// Every row, in key order, without hooks: for checking invariants.
    #[must_use]
    pub fn dump(&self) -> Vec<(Key, Row)> {
        self.inner.lock().rows.iter().map(|(key, row)| (key.clone(), row.clone())).collect()
    }

    /// Whether a hook or [`Memory::crash`] has killed it.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.inner.lock().dead
    }

    /// What it has written since it was made.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.counters.read()
    }

    async fn submit(&self, commit: Commit) -> Result<Verdict, Dead> {
        let inner = &self.inner;
        if let Err(invalid) = commit.check() {
            return Ok(Err(invalid.into()));
        }
        let unanswered = match inner.react(Point::Submitted, &commit).await? {
            Fault::None => false,
            Fault::Unanswered => true,
            Fault::Refuse => return Ok(Err(injected())),
            Fault::Lose => return Ok(Err(Refused::Unknown)),
        };
        // Kept for the last hook; bodies are shared, so this costs the keys only.
        let copy = commit.clone();
        let (answer, verdict) = oneshot::channel();
        if inner.enqueue(Ticket { commit, answer, unanswered })? {
            tokio::spawn(Arc::clone(inner).drive());
        }
        let verdict = verdict.await.map_err(|_| Dead)?;
        match inner.react(Point::Answering, &copy).await? {
            Fault::None => Ok(verdict),
            Fault::Refuse | Fault::Lose | Fault::Unanswered => Ok(verdict.and(Err(Refused::Unknown))),
        }
    }

    async fn read<T>(&self, read: impl FnOnce(&State) -> T) -> Result<Result<T, Error>, Dead> {
        match self.inner.pass(self.inner.hooks.read()).await? {
            Fault::Refuse => return Ok(Err(Error::Unavailable(Box::new(Injected)))),
            Fault::None | Fault::Lose | Fault::Unanswered => {}
        }
        let state = self.inner.lock();
        if state.dead { Err(Dead) } else { Ok(Ok(read(&state))) }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn die(&self) {
        let mut state = self.lock();
        state.dead = true;
        drop(state.queue.drain());
    }

    async fn react(&self, point: Point, commit: &Commit) -> Result<Fault, Dead> {
        self.pass(self.hooks.at(point, commit)).await
    }

    async fn pass(&self, reaction: Reaction) -> Result<Fault, Dead> {
        let fault = match reaction {
            Reaction::Go => Fault::None,
            Reaction::Yield(times) => {
                for _ in 0..times {
                    tokio::task::yield_now().await;
                }
                Fault::None
            }
            Reaction::Refuse => Fault::Refuse,
            Reaction::Lose => Fault::Lose,
            Reaction::Unanswered => Fault::Unanswered,
            Reaction::Die => {
                self.die();
                Fault::None
            }
        };
        if self.lock().dead { Err(Dead) } else { Ok(fault) }
    }

    /// Lets a commit wait; says whether nobody is taking groups yet.
    fn enqueue(&self, ticket: Ticket) -> Result<bool, Dead> {
        let mut state = self.lock();
        if state.dead {
            return Err(Dead);
        }
        state.queue.push(ticket);
        Ok(!std::mem::replace(&mut state.driven, true))
    }

    /// Takes groups until none waits. A task of its own, so that a caller that goes away takes no group with it.
    async fn drive(self: Arc<Self>) {
        while let Some((tickets, verdicts, changes, last)) = self.apply() {
            if self.finish(tickets, verdicts, changes, last).await.is_err() {
                return;
            }
        }
    }

    fn apply(&self) -> Option<(Vec<Ticket>, Vec<Verdict>, Changes, Version)> {
        let mut state = self.lock();
        let tickets = state.queue.take(Room::FULL);
        state.driven = !tickets.is_empty();
        if !state.driven {
            return None;
        }
        let mut group = Group::new(|key: &Key| Ok::<_, Error>(state.rows.get(key).cloned()), state.last);
        let verdicts = tickets.iter().map(|ticket| group.apply(&ticket.commit)).collect();
        let last = group.last();
        let changes = group.finish();
        Some((tickets, verdicts, changes, last))
    }

    async fn finish(
        &self,
        mut tickets: Vec<Ticket>,
        verdicts: Vec<Verdict>,
        changes: Changes,
        last: Version,
    ) -> Result<(), Dead> {
        let mut fate = None;
        for (ticket, _) in tickets.iter_mut().zip(&verdicts).filter(|(_, verdict)| verdict.is_ok()) {
            match self.react(Point::Applied, &ticket.commit).await? {
                Fault::None => {}
                Fault::Unanswered => ticket.unanswered = true,
                Fault::Refuse => fate = fate.or(Some(Fault::Refuse)),
                Fault::Lose => fate = Some(Fault::Lose),
            }
        }
        if fate.is_none() {
            self.sync(changes, last)?;
            for (ticket, _) in tickets.iter_mut().zip(&verdicts).filter(|(_, verdict)| verdict.is_ok()) {
                self.counters.written(&ticket.commit);
                ticket.unanswered |= !matches!(self.react(Point::Synced, &ticket.commit).await?, Fault::None);
            }
        }
        for (ticket, verdict) in tickets.into_iter().zip(verdicts) {
            let verdict = match (verdict, &fate) {
                (Ok(applied), None) if !ticket.unanswered => Ok(applied),
                (Ok(_), None | Some(Fault::Lose)) => Err(Refused::Unknown),
                (Err(refused), None) => Err(refused),
                // A refusal may rest on a commit that is not there after all.
                (_, Some(_)) => Err(injected()),
            };
            // A caller that went away does not want to know.
            let _ = ticket.answer.send(verdict);
        }
        Ok(())
    }

    fn sync(&self, changes: Changes, last: Version) -> Result<(), Dead> {
        let mut state = self.lock();
        if state.dead {
            return Err(Dead);
        }
        if last > state.last {
            self.counters.group(changes.shared, Duration::ZERO);
        }
        state.last = last;
        for key in &changes.deletes {
            state.rows.remove(key);
        }
        state.rows.extend(changes.puts);
        Ok(())
    }
}

fn injected() -> Refused {
    Refused::Unavailable(Box::new(Injected))
}

impl Store for Memory {
    fn get(&self, keys: Vec<Key>) -> BoxFuture<'_, Result<Vec<Option<Row>>, Error>> {
        Box::pin(async move {
            let rows = self.read(|state| keys.iter().map(|key| state.rows.get(key).cloned()).collect()).await;
            match rows {
                Ok(rows) => rows,
                Err(Dead) => future::pending().await,
            }
        })
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Vec<(Key, Row)>, Error>> {
        Box::pin(async move {
            if scan.from >= scan.to {
                return Ok(Vec::new());
            }
            let limit = scan.limit.min(limits::SCAN_ROWS);
            let rows = self.read(|state| {
                state
                    .rows
                    .range(scan.from..scan.to)
                    .take(limit)
                    .map(|(key, row)| (key.clone(), row.clone()))
                    .collect()
            });
            match rows.await {
                Ok(rows) => rows,
                Err(Dead) => future::pending().await,
            }
        })
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Applied, Refused>> {
        Box::pin(async move {
            let class = commit.class;
            let verdict = match self.submit(commit).await {
                Ok(verdict) => verdict,
                Err(Dead) => future::pending().await,
            };
            if verdict.is_err() {
                self.inner.counters.refused(class);
            }
            verdict
        })
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn Snapshot>, Error>> {
        Box::pin(async move {
            let copied = self.read(|state| Copied { rows: state.rows.clone(), last: state.last });
            match copied.await {
                Ok(copied) => copied.map(|copied| Box::new(copied) as Box<dyn Snapshot>),
                Err(Dead) => future::pending().await,
            }
        })
    }
}

/// A copy of all rows, from which they are taken.
struct Copied {
    rows: BTreeMap<Key, Row>,
    last: Version,
}

impl Snapshot for Copied {
    fn last(&self) -> Version {
        self.last
    }

    fn next(&mut self, bytes: usize) -> BoxFuture<'_, Result<Vec<(Key, Row)>, Error>> {
        let (mut piece, mut taken) = (Vec::new(), 0);
        while taken < bytes.max(1)
            && let Some((key, row)) = self.rows.pop_first()
        {
            taken += key.as_bytes().len() + row.body.len();
            piece.push((key, row));
        }
        Box::pin(future::ready(Ok(piece)))
    }
}

#[cfg(test)]
mod tests;
