//! The Redis store against the suite, on a real server, and its ledger against the one of the domain.

use super::*;
use crate::commit::{Class, LedgerChange, LedgerOp};
use crate::conformance::{self, Fixture, Opened};
use crate::keys::Table;
use followupd_domain::ledger::{Charge, DayContext, Ledger, Limits, Rate, Refusal, Rest, WarmUp};
use followupd_domain::{Moment, Shard, Span, TenantNo};
use proptest::prelude::*;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;

/// A Redis server of its own for each test, on a socket in a folder that goes with it.
struct Server {
    process: Child,
    folder: TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket", "redis.sock"])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect(
                "these tests need the program `redis-server` in the PATH (package `redis-server` or `redis`)",
            );
        Server { process, folder }
    }

    fn url(&self) -> String {
        format!("redis+unix://{}", self.folder.path().join("redis.sock").display())
    }

    async fn open(&self, prefix: &str) -> Redis {
        // A server says nowhere that it listens but there.
        for _ in 0..200 {
            if self.folder.path().join("redis.sock").exists()
                && let Ok(store) = Redis::open(&self.url(), prefix).await
            {
                return store;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("redis-server does not answer on {}", self.url());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Stores side by side in one server.
struct Prefixes {
    server: Server,
    stores: u32,
}

impl Fixture for Prefixes {
    fn fresh(&mut self) -> BoxFuture<'_, Opened> {
        self.stores += 1;
        let prefix = format!("test{}:", self.stores);
        Box::pin(async move { Arc::new(self.server.open(&prefix).await) as Opened })
    }

    fn reopen(&mut self, store: Opened) -> BoxFuture<'_, Opened> {
        drop(store);
        let prefix = format!("test{}:", self.stores);
        Box::pin(async move { Arc::new(self.server.open(&prefix).await) as Opened })
    }

    fn has_snapshots(&self) -> bool {
        false
    }
}

const SHARD: Shard = Shard(5);

fn key(name: &str) -> Key {
    Key::contact(SHARD, TenantNo(1), name)
}

fn put(name: &str) -> Commit {
    let mut commit = Commit::new(Class::Event, TenantNo(1), SHARD);
    commit.puts.push((key(name), Bytes::from_static(b"body")));
    commit
}

#[tokio::test]
async fn it_keeps_the_contract() {
    let mut fixture = Prefixes { server: Server::start(), stores: 0 };
    conformance::run(&mut fixture).await.unwrap();
}

#[tokio::test]
async fn a_former_owner_is_fenced_once_a_new_one_has_written() {
    let server = Server::start();
    let old = server.open("fenced:").await;
    old.commit(put("first")).await.unwrap();
    let new = server.open("fenced:").await;
    old.commit(put("still")).await.unwrap();
    new.commit(put("taken")).await.unwrap();
    let refused = old.commit(put("late")).await;
    assert!(
        matches!(&refused, Err(Refused::Unavailable(cause)) if cause.downcast_ref() == Some(&Fenced)),
        "{refused:?}"
    );
    assert!(new.get(vec![key("late")]).await.unwrap()[0].is_none());
}

#[tokio::test]
async fn a_repeated_call_is_answered_and_not_done_again() {
    let server = Server::start();
    let store = server.open("again:").await;
    let mut counted = put("ada");
    counted.counts.push(crate::Count { key: key("count"), by: 1 });
    let first = store.commit(counted.clone()).await.unwrap();
    store.next_op.store(0, Ordering::Relaxed);
    assert_eq!(store.commit(counted.clone()).await.unwrap(), first);
    assert_eq!(store.commit(counted).await.unwrap().version.0, first.version.0 + 1);
    let body = store.get(vec![key("count")]).await.unwrap().remove(0).unwrap().body;
    assert_eq!(*body, 2_i64.to_le_bytes());
}

#[tokio::test]
async fn ops_are_forgotten_in_the_order_they_came() {
    let server = Server::start();
    let store = server.open("ops:").await;
    let commits = (0..limits::OPS_REMEMBERED + 10).map(|_| store.commit(put("ada")));
    assert!(futures::future::join_all(commits).await.iter().all(Result::is_ok));
    let mut ask = redis::cmd("HLEN");
    ask.arg(store.name(SHARD.0, "ops"));
    let remembered: usize = ask.query_async(&mut store.connection.clone()).await.unwrap();
    assert_eq!(remembered, limits::OPS_REMEMBERED);
}

#[tokio::test]
async fn a_server_that_is_gone_is_told_apart_from_a_refusal() {
    let mut server = Server::start();
    let store = server.open("gone:").await;
    store.commit(put("ada")).await.unwrap();
    server.process.kill().unwrap();
    server.process.wait().unwrap();
    let refused = store.commit(put("late")).await;
    assert!(matches!(refused, Err(Refused::Unknown | Refused::Unavailable(_))), "{refused:?}");
    assert!(matches!(store.get(vec![key("ada")]).await, Err(Error::Unavailable(_))));
}

/// One step of a lane's life.
#[derive(Clone, Debug)]
enum Step {
    /// So many milliseconds later, or earlier.
    Charge { wait: i64, limits: Limits },
    /// The n-th pending charge, with its start so many milliseconds after the intent.
    Settle { which: usize, after: Option<i64> },
    /// The n-th pending or settled charge.
    Refund { which: usize },
}

fn some_limits() -> impl Strategy<Value = Limits> {
    let rate = (1..200_u32, prop_oneof![1..90_000_i64, Just(366 * 86_400_000)], 1..6_u32)
        .prop_map(|(count, per, burst)| Rate { count, per: Span(per), burst });
    let cap = || prop::option::of(1..8_u32);
    let rest = (1..5_u32, 1..200_000_i64).prop_map(|(after, span)| Rest { after, span: Span(span) });
    let warm_up = (0..9_u32, 1..12_u32).prop_map(|(days, from)| WarmUp { days, from });
    let caps = (cap(), cap(), cap());
    let more = (prop::option::weighted(0.3, rest), prop::option::of(warm_up));
    (prop::option::of(rate), prop::option::weighted(0.2, 1..20_000_i64), caps, more).prop_map(
        |(rate, gap, (per_minute, per_hour, per_day), (rest, warm_up))| Limits {
            rate,
            gap: gap.map(Span),
            jitter: None,
            per_minute,
            per_hour,
            per_day,
            rest,
            warm_up,
            recipient_gap: None,
            new_recipients: None,
        },
    )
}

fn some_step() -> impl Strategy<Value = Step> {
    let wait = prop_oneof![
        4 => 0..2_000_i64,
        2 => 0..90_000_i64,
        1 => 0..5_000_000_i64,
        1 => 0..200_000_000_i64,
        1 => -100_000..0_i64,
    ];
    let after = prop_oneof![3 => (0..2_500_i64).prop_map(Some), 1 => Just(None), 1 => (-500..90_000_i64).prop_map(Some)];
    prop_oneof![
        5 => (wait, some_limits()).prop_map(|(wait, limits)| Step::Charge { wait, limits }),
        4 => (any::<usize>(), after).prop_map(|(which, after)| Step::Settle { which, after }),
        1 => any::<usize>().prop_map(|which| Step::Refund { which }),
    ]
}

/// A lane in Redis beside the same lane in the domain.
struct Lane {
    store: Redis,
    key: Key,
    model: Ledger,
    now: i64,
    /// Milliseconds of a day; short ones, so that many nights are crossed.
    day: i64,
    charges: Vec<Charge>,
}

impl Lane {
    async fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let (op, expected) = match step {
            Step::Charge { wait, limits } => {
                self.now += wait;
                let now = Moment(self.now);
                let day = self.now.div_euclid(self.day);
                let day = DayContext { day: day as i32, next_day_at: Moment((day + 1) * self.day) };
                let charged = self.model.charge(limits, now, day);
                // As an intent stores it: what was asked for, which the ledger may have taken as later.
                self.charges.extend(charged.map(|_| Charge { at: now, day, open: true }));
                (LedgerOp::Charge { limits: limits.clone(), now, day }, charged.err())
            }
            Step::Settle { .. } | Step::Refund { .. } if self.charges.is_empty() => return Ok(()),
            Step::Settle { which, after } => {
                let which = which % self.charges.len();
                let charge = self.charges[which];
                let started_at = after.map(|after| charge.at + Span(after));
                self.charges[which] = self.model.settle(charge, started_at);
                (LedgerOp::Settle { charge, started_at }, None)
            }
            Step::Refund { which } => {
                let charge = self.charges.swap_remove(which % self.charges.len());
                self.model.refund(charge);
                (LedgerOp::Refund { charge }, None)
            }
        };
        self.hold(op, expected).await
    }

    async fn hold(&self, op: LedgerOp, expected: Option<Refusal>) -> Result<(), TestCaseError> {
        let mut commit = Commit::new(Class::Intent, TenantNo(1), SHARD);
        commit.ledger.push(LedgerChange { key: self.key.clone(), op });
        match (self.store.commit(commit).await, expected) {
            (Ok(_), None) => {}
            (Err(Refused::Limit(said)), Some(expected)) => prop_assert_eq!(said, expected),
            (said, expected) => prop_assert!(false, "{:?}, not {:?}", said, expected),
        }
        let row = self.store.get(vec![self.key.clone()]).await.unwrap().remove(0);
        let mut bytes = Vec::new();
        self.model.encode(&mut bytes);
        match row {
            Some(row) => prop_assert_eq!(&row.body[..], &bytes[..]),
            None => prop_assert_eq!(&self.model, &Ledger::default()),
        }
        Ok(())
    }
}

#[test]
fn the_ledger_in_lua_is_the_ledger_of_the_domain() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = Server::start();
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) };
    let mut lanes = 0_u32;
    let lane = std::cell::RefCell::new(&mut lanes);
    let days = prop_oneof![Just(86_400_000_i64), Just(10_000_i64)];
    let steps = prop::collection::vec(some_step(), 1..80);
    proptest!(config, |(steps in steps, day in days, start in 0..4_000_000_000_000_i64)| {
        let number = { let mut lanes = lane.borrow_mut(); **lanes += 1; **lanes };
        runtime.block_on(async {
            let mut key = Key::table(Table::Ledger, SHARD).as_bytes().to_vec();
            key.extend_from_slice(&number.to_be_bytes());
            let mut lane = Lane {
                store: server.open("lua:").await,
                key: Key::from_bytes(key),
                model: Ledger::default(),
                now: start,
                day,
                charges: Vec::new(),
            };
            for step in &steps {
                lane.step(step).await?;
            }
            Ok::<(), TestCaseError>(())
        })?;
    });
}
