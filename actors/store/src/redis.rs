//! The Redis store: proof that the contract fits one script call per commit. Not a product yet.
//!
//! What is here: all keys of a shard under one hash tag, so that a cluster can place it; each commit one script
//! (`redis/commit.lua`) that checks the fencing token, expectations and limits before it writes anything; op ids, so that
//! a call repeated after a broken connection is answered and not done again. What is missing before anyone may
//! rely on it: leases that hand out epochs (here each opening takes the next one), Sentinel and Cluster, wakes in
//! buckets and packed records for memory, the loss of writes by a failover, and any word on durability: an answer
//! is as durable as `appendfsync` and `WAIT` make it, which this store does not look at.
//!
//! Counters are whole up to 2^53 here, as Lua knows only doubles.

use bytes::Bytes;
use futures::future::BoxFuture;
use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::{ErrorKind, RedisError, Script, ServerErrorKind, Value};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::commit::{Commit, Refused};
use crate::row::{Row, Version};
use crate::{Applied, Error, Key, Scan, Snapshot, Store, limits};

mod script;

use script::Call;

/// Another owner has this shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another owner has taken the shard")]
pub struct Fenced;

/// The Redis store.
pub struct Redis {
    connection: ConnectionManager,
    prefix: String,
    epoch: u64,
    /// Tells this tenure from another of the same epoch, and its ops from everyone else's.
    incarnation: String,
    next_op: AtomicU64,
    commit: Script,
    scan: Script,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redis({}, epoch {})", self.prefix, self.epoch)
    }
}

/// The first part of a key: table and shard.
type Place = (u8, u16);

fn place(key: &Key) -> Option<Place> {
    Some((*key.as_bytes().first()?, key.shard()?.0))
}

impl Redis {
    /// Connects to `url` and takes the next epoch of the store whose keys begin with `prefix`.
    ///
    /// # Errors
    /// What the client says: the address is wrong, or nobody answers there.
    pub async fn open(url: &str, prefix: &str) -> Result<Self, RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_min_delay(limits::REDIS_CONNECT_AFTER)
            .set_max_delay(limits::REDIS_CONNECT_AFTER_MAX)
            .set_number_of_retries(limits::REDIS_CONNECTS)
            .set_connection_timeout(Some(limits::REDIS_CALL))
            .set_response_timeout(Some(limits::REDIS_CALL));
        let client = redis::Client::open(url)?;
        let mut connection = ConnectionManager::new_with_config(client, config).await?;
        let epoch: u64 =
            redis::cmd("INCR").arg(format!("{prefix}epoch")).query_async(&mut connection).await?;
        Ok(Redis {
            connection,
            prefix: prefix.to_owned(),
            epoch,
            incarnation: format!("{:016x}", RandomState::new().hash_one(epoch)),
            next_op: AtomicU64::new(0),
            commit: Script::new(concat!(include_str!("redis/ledger.lua"), include_str!("redis/commit.lua"))),
            scan: Script::new(include_str!("redis/scan.lua")),
        })
    }

    /// The name of something of a shard.
    fn name(&self, shard: u16, what: &str) -> String {
        format!("{}{{{shard}}}:{what}", self.prefix)
    }

    fn rows(&self, (table, shard): Place) -> String {
        self.name(shard, &format!("rows:{}", char::from(table)))
    }

    fn keys(&self, (table, shard): Place) -> String {
        self.name(shard, &format!("keys:{}", char::from(table)))
    }

    /// Sends one commit, again with the same op id when the connection broke.
    async fn send(&self, commit: &Commit) -> Result<Value, Refused> {
        let call = Call::new(commit);
        let op = format!("{}-{}", self.incarnation, self.next_op.fetch_add(1, Ordering::Relaxed));
        let mut invocation = self.commit.prepare_invoke();
        for name in ["meta", "ops", "order"] {
            invocation.key(self.name(commit.shard.0, name));
        }
        for table in &call.tables {
            invocation.key(self.rows((*table, commit.shard.0)));
            invocation.key(self.keys((*table, commit.shard.0)));
        }
        invocation.arg(self.epoch).arg(&self.incarnation).arg(op);
        for argument in &call.arguments {
            invocation.arg(argument.as_slice());
        }
        let mut perhaps_sent = false;
        let mut attempt = 1;
        loop {
            let error = match invocation.invoke_async(&mut self.connection.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            perhaps_sent |= !not_written(&error);
            if !error.is_io_error() || attempt == limits::REDIS_ATTEMPTS {
                tracing::warn!(%error, attempt, perhaps_sent, "a commit was not answered");
                let refused = Refused::Unavailable(Box::new(error));
                return Err(if perhaps_sent { Refused::Unknown } else { refused });
            }
            attempt += 1;
        }
    }

    async fn get_rows(&self, keys: &[Key]) -> Result<Vec<Option<Row>>, Error> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = redis::pipe();
        pipeline.atomic();
        for key in keys {
            let place = place(key).ok_or_else(|| Error::Damaged(format!("{key:?} is no key")))?;
            pipeline.hget(self.rows(place), key.as_bytes());
        }
        let found: Vec<Option<Vec<u8>>> =
            pipeline.query_async(&mut self.connection.clone()).await.map_err(unreadable)?;
        keys.iter().zip(found).map(|(key, value)| value.map(|value| row(key, value)).transpose()).collect()
    }

    async fn scan_rows(&self, scan: &Scan) -> Result<Vec<(Key, Row)>, Error> {
        let limit = scan.limit.min(limits::SCAN_ROWS);
        if scan.from >= scan.to || limit == 0 {
            return Ok(Vec::new());
        }
        let place = place(&scan.from).ok_or_else(|| Error::Damaged(format!("{:?} is no key", scan.from)))?;
        let mut invocation = self.scan.key(self.rows(place));
        invocation.key(self.keys(place)).arg(scan.from.as_bytes()).arg(scan.to.as_bytes()).arg(limit);
        let found: Vec<Vec<u8>> =
            invocation.invoke_async(&mut self.connection.clone()).await.map_err(unreadable)?;
        let mut rows = Vec::with_capacity(found.len() / 2);
        let mut found = found.into_iter();
        while let (Some(key), Some(value)) = (found.next(), found.next()) {
            let key = Key::from_bytes(key);
            let row = row(&key, value)?;
            rows.push((key, row));
        }
        Ok(rows)
    }

    /// Whether Redis answers at all.
    ///
    /// # Errors
    /// What the client says.
    pub async fn ping(&self) -> Result<(), RedisError> {
        self.connection.clone().req_packed_command(&redis::cmd("PING")).await.map(|_| ())
    }
}

/// Whether a failed call surely wrote nothing: it did not get there, or was turned away before the script wrote.
fn not_written(error: &RedisError) -> bool {
    let turned_away = [
        ServerErrorKind::BusyLoading,
        ServerErrorKind::MasterDown,
        ServerErrorKind::ReadOnly,
        ServerErrorKind::ClusterDown,
        ServerErrorKind::NoPerm,
        ServerErrorKind::NoScript,
    ];
    error.is_connection_refusal()
        || turned_away.iter().any(|kind| error.kind() == ErrorKind::Server(*kind))
        || error.code() == Some("OOM")
}

fn unreadable(error: RedisError) -> Error {
    Error::Unavailable(Box::new(error))
}

fn row(key: &Key, value: Vec<u8>) -> Result<Row, Error> {
    let version =
        *value.first_chunk::<8>().ok_or_else(|| Error::Damaged(format!("{key:?} has no version")))?;
    Ok(Row { version: Version(u64::from_be_bytes(version)), body: Bytes::from(value).slice(8..) })
}

impl Store for Redis {
    fn get(&self, keys: Vec<Key>) -> BoxFuture<'_, Result<Vec<Option<Row>>, Error>> {
        Box::pin(async move { self.get_rows(&keys).await })
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Vec<(Key, Row)>, Error>> {
        Box::pin(async move { self.scan_rows(&scan).await })
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Applied, Refused>> {
        Box::pin(async move {
            commit.check()?;
            script::verdict(&commit, self.send(&commit).await?)
        })
    }

    /// There is none: the shards of a cluster lie on several servers, which have no moment in common.
    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn Snapshot>, Error>> {
        Box::pin(async { Err(Error::NoSnapshots) })
    }
}

#[cfg(test)]
mod tests;
