//! The suite every store passes: each clause of the contract of [`Store`], as named cases. For tests only.
//!
//! A store brings a [`Fixture`] that makes fresh stores and opens them again; [`run`] tries every case on a fresh
//! one. Cases need a tokio runtime and no other clock than the store's own.

use bytes::Bytes;
use followupd_domain::ledger::{Charge, DayContext, Limits};
use followupd_domain::{Moment, Shard, TenantNo};
use futures::future::BoxFuture;
use std::sync::Arc;

use crate::commit::{Applied, Class, Commit, Count, Expect, LedgerChange, LedgerOp, Refused};
use crate::keys::Table;
use crate::row::{Row, Version};
use crate::{Key, Store};

/// Fails a case with what was seen unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($seen:tt)+) => {
        if !$condition {
            return Err(format!($($seen)+));
        }
    };
}

mod commits;
mod races;
mod reads;
mod shared;
mod snapshots;

/// A store as the suite sees it.
pub type Opened = Arc<dyn Store>;

/// Makes stores of one kind.
pub trait Fixture: Send {
    /// An empty store.
    fn fresh(&mut self) -> BoxFuture<'_, Opened>;

    /// The same rows after an orderly end and a new start.
    fn reopen(&mut self, store: Opened) -> BoxFuture<'_, Opened>;

    /// Whether stores of this kind show all their rows as of one moment.
    fn has_snapshots(&self) -> bool {
        true
    }
}

/// What a case says: nothing, or what was not as it must be.
pub type Outcome = Result<(), String>;

/// One clause of the contract.
#[derive(Clone, Copy)]
pub struct Case {
    /// The clause, as a sentence.
    pub name: &'static str,
    /// Tries it.
    pub run: for<'a> fn(&'a mut dyn Fixture) -> BoxFuture<'a, Outcome>,
}

/// A clause that a store breaks.
#[derive(Debug, thiserror::Error)]
#[error("`{case}` does not hold: {seen}")]
pub struct Failure {
    /// The clause.
    pub case: &'static str,
    /// What was seen.
    pub seen: String,
}

/// Every clause.
pub fn cases() -> impl Iterator<Item = Case> {
    [reads::CASES, commits::CASES, shared::CASES, races::CASES].into_iter().flatten().copied()
}

/// The clauses for stores that show all their rows as of one moment.
pub fn snapshot_cases() -> impl Iterator<Item = Case> {
    snapshots::CASES.iter().copied()
}

/// Tries every clause, each on a fresh store.
///
/// # Errors
/// The first clause that does not hold.
pub async fn run(fixture: &mut dyn Fixture) -> Result<(), Failure> {
    let snapshots = fixture.has_snapshots();
    for case in cases().chain(snapshot_cases().filter(|_| snapshots)) {
        (case.run)(fixture).await.map_err(|seen| Failure { case: case.name, seen })?;
    }
    Ok(())
}

const SHARD: Shard = Shard(7);
const TENANT: TenantNo = TenantNo(3);

/// A key of the contact table.
fn key(name: &str) -> Key {
    Key::contact(SHARD, TENANT, name)
}

/// A key of another table.
fn other(table: Table, name: &str) -> Key {
    let mut bytes = Key::table(table, SHARD).as_bytes().to_vec();
    bytes.extend_from_slice(name.as_bytes());
    Key::from_bytes(bytes)
}

fn commit() -> Commit {
    Commit::new(Class::Event, TENANT, SHARD)
}

fn put(name: &str, body: &str) -> Commit {
    let mut commit = commit();
    commit.puts.push((key(name), Bytes::copy_from_slice(body.as_bytes())));
    commit
}

fn expecting(mut commit: Commit, name: &str, version: Option<Version>) -> Commit {
    commit.expects.push(Expect { key: key(name), version });
    commit
}

fn count(name: &str, by: i64) -> Count {
    Count { key: other(Table::Count, name), by }
}

fn at(ms: i64) -> Moment {
    Moment(1_800_000_000_000 + ms)
}

fn today() -> DayContext {
    DayContext { day: 20_833, next_day_at: at(43_200_000) }
}

fn charge(limits: &Limits, now: Moment) -> LedgerChange {
    let op = LedgerOp::Charge { limits: limits.clone(), now, day: today() };
    LedgerChange { key: other(Table::Ledger, "lane"), op }
}

fn charged(now: Moment) -> Charge {
    Charge { at: now, day: today(), open: true }
}

fn per_minute(cap: u32) -> Limits {
    Limits { per_minute: Some(cap), ..Limits::default() }
}

/// A commit that must be written.
async fn written(store: &Opened, commit: Commit) -> Result<Applied, String> {
    store.commit(commit).await.map_err(|refused| format!("refused: {refused:?}"))
}

/// A commit that must be refused because `name` has changed.
async fn stale(store: &Opened, commit: Commit, name: &str) -> Outcome {
    match store.commit(commit).await {
        Err(Refused::Stale(stale)) if stale == key(name) => Ok(()),
        other => Err(format!("{name} should be stale, not {other:?}")),
    }
}

async fn rows(store: &Opened, keys: Vec<Key>) -> Result<Vec<Option<Row>>, String> {
    store.get(keys).await.map_err(|error| format!("unreadable: {error:?}"))
}

async fn row(store: &Opened, key: Key) -> Result<Option<Row>, String> {
    rows(store, vec![key]).await.map(|mut rows| rows.pop().flatten())
}

/// The body under a contact key as text.
async fn body(store: &Opened, name: &str) -> Result<Option<String>, String> {
    let row = row(store, key(name)).await?;
    Ok(row.map(|row| String::from_utf8_lossy(&row.body).into_owned()))
}

/// The value of a counter; nothing where there is no row.
async fn number(store: &Opened, name: &str) -> Result<Option<i64>, String> {
    match row(store, other(Table::Count, name)).await? {
        None => Ok(None),
        Some(row) => match row.body.as_ref().try_into() {
            Ok(bytes) => Ok(Some(i64::from_le_bytes(bytes))),
            Err(_) => Err(format!("a counter of {} bytes", row.body.len())),
        },
    }
}
