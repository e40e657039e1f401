//! A flood: what is more than the engine takes on is refused with a time to come back, and costs it nothing.
//!
//! A target of its own, because it looks at the memory of its process.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use followupd_channel::transports::Transports;
use followupd_channel::{Answer, Call, Slot, Transport};
use followupd_domain::decide::enroll::{Profile, Request};
use followupd_domain::sequence::{Draft, DraftStep};
use followupd_domain::{EnrollmentId, Moment, Span};
use followupd_runtime::{
    Caller, ChannelSettings, Config, Engine, EnrollAnswer, Env, Error, TenantSettings, inspect,
};
use followupd_store::keys::Table;
use followupd_store::memory::Memory;
use followupd_store::{Applied, Commit, Key, Refused, Row, Scan, Snapshot, Store};
use futures::future::BoxFuture;
use tokio::sync::watch;

/// Calls that come at once.
const FLOOD: usize = 100_000;
/// What the process may grow by, in KiB, while all of them are refused: room for the allocator's own habits.
const GROWTH_KIB: usize = 8 * 1_024;

struct Clocks(tokio::time::Instant, AtomicUsize);

impl Env for Clocks {
    fn wall(&self) -> Moment {
        Moment(1_795_435_200_000) + self.steady()
    }
    fn steady(&self) -> Span {
        Span(self.0.elapsed().as_millis() as i64)
    }
    fn random(&self) -> u64 {
        self.1.fetch_add(1, Ordering::Relaxed) as u64
    }
}

struct Nowhere;

impl Transport for Nowhere {
    fn call(&self, _call: Call, _slot: Slot) -> BoxFuture<'_, Answer> {
        Box::pin(std::future::ready(Answer::Accepted))
    }
}

/// A store that takes writes only while its gate is open.
struct Gated {
    store: Memory,
    open: watch::Receiver<bool>,
    waiting: Arc<AtomicUsize>,
}

impl Store for Gated {
    fn get(&self, keys: Vec<Key>) -> BoxFuture<'_, Result<Vec<Option<Row>>, followupd_store::Error>> {
        self.store.get(keys)
    }
    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Vec<(Key, Row)>, followupd_store::Error>> {
        self.store.scan(scan)
    }
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Applied, Refused>> {
        Box::pin(async move {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            let _ = self.open.clone().wait_for(|open| *open).await;
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.store.commit(commit).await
        })
    }
    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn Snapshot>, followupd_store::Error>> {
        self.store.snapshot()
    }
}

fn request(n: usize) -> Request {
    let email = Some(format!("c{n}@mail.example"));
    Request {
        contact: format!("c{n}"),
        profile: Profile { email, ..Profile::default() },
        ..Request::default()
    }
}

async fn enroll(engine: Engine, n: usize) -> Result<EnrollmentId, Error> {
    let answers = engine.enroll(&Caller::default(), "acme", "welcome", vec![request(n)]).await?;
    match answers.first() {
        Some(EnrollAnswer::Enrolled { id, .. }) => Ok(*id),
        other => panic!("contact {n}: {other:?}"),
    }
}

async fn set_up(engine: &Engine) {
    let caller = Caller::default();
    let tenant = TenantSettings { on: true, time_zone: "UTC".into(), ..TenantSettings::default() };
    engine.put_tenant(&caller, "acme", tenant).await.unwrap();
    let channel =
        ChannelSettings { kind: "email".into(), transport: "outbox".into(), ..ChannelSettings::default() };
    engine.put_channel(&caller, "acme", "mail", channel).await.unwrap();
    let step = DraftStep {
        wait: "30 days".into(),
        channel: "mail".into(),
        body: "hello".into(),
        ..DraftStep::default()
    };
    let draft = Draft { steps: vec![step], ..Draft::default() };
    engine.put_sequence(&caller, "acme", "welcome", draft).await.unwrap();
    engine.publish(&caller, "acme", "welcome").await.unwrap();
}

/// Memory of this process that is in use, in KiB (`VmRSS`, proc(5)).
fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_refused_with_a_time_to_come_back() {
    let (gate, open) = watch::channel(true);
    let (store, waiting) = (Memory::default(), Arc::new(AtomicUsize::new(0)));
    let gated = Gated { store: store.clone(), open, waiting: Arc::clone(&waiting) };
    let clocks = Arc::new(Clocks(tokio::time::Instant::now(), AtomicUsize::new(0)));
    let transports = Transports::only(Arc::new(Nowhere));
    let engine = Engine::start(Config::default(), Arc::new(gated), clocks, transports).await.unwrap();
    set_up(&engine).await;

    // The store stands still, and as many calls as there is room for wait for it.
    gate.send_replace(false);
    let mut admitted = Vec::new();
    let mut refused = 0;
    while refused < 10 {
        let call = tokio::spawn(enroll(engine.clone(), admitted.len()));
        tokio::task::yield_now().await;
        if !call.is_finished() {
            admitted.push(call);
            continue;
        }
        let Err(Error::Overloaded { retry_after }) = call.await.unwrap() else {
            panic!("it waits or is refused")
        };
        assert!(retry_after > Span::ZERO && retry_after <= Span::minutes(1), "{retry_after:?}");
        refused += 1;
    }
    let room = admitted.len();
    assert!(room >= 1_000, "{room} calls may wait");
    assert_eq!(waiting.load(Ordering::Relaxed), room);

    // The flood: each is refused at once, and nothing is kept of it.
    let before = resident_kib();
    for n in 0..FLOOD {
        let answer = enroll(engine.clone(), room + n).await;
        assert!(matches!(answer, Err(Error::Overloaded { .. })), "{answer:?}");
    }
    let grown = resident_kib().saturating_sub(before);
    assert!(grown <= GROWTH_KIB, "{FLOOD} refusals took {grown} KiB");
    assert_eq!(waiting.load(Ordering::Relaxed), room);

    // The store goes on: whoever was admitted is answered, and is there after a crash.
    gate.send_replace(true);
    let mut acknowledged = Vec::new();
    for call in admitted {
        acknowledged.push(call.await.unwrap().unwrap());
    }
    assert!(enroll(engine.clone(), room).await.is_ok(), "there is room again");
    let rows = store.crash().dump();
    let rows = rows.iter().filter(|(key, _)| key.as_bytes()[0] == Table::Enrollment as u8);
    let there: std::collections::BTreeSet<EnrollmentId> =
        rows.map(|(_, row)| inspect::enrollment(&row.body).unwrap().enrollment.id).collect();
    assert!(acknowledged.iter().all(|id| there.contains(id)), "nothing acknowledged is lost");
    println!("{room} calls waited, {FLOOD} were refused, memory grew by {grown} KiB");
}
