//! What the engine says of itself: its figures move with what happens, and a lane that cannot look is seen.

use std::sync::Arc;
use std::time::Duration;

use followupd_channel::transports::Transports;
use followupd_channel::{Answer, Call, Slot, Transport};
use followupd_domain::channel::Kind;
use followupd_domain::decide::enroll::{Profile, Request};
use followupd_domain::sequence::{Draft, DraftStep};
use followupd_domain::{Moment, Span};
use followupd_runtime::{Caller, ChannelSettings, Config, Engine, TenantSettings};
use followupd_store::memory::Memory;
use followupd_store::{Applied, Commit, Error, Key, Refused, Row, Scan, Snapshot, Store};
use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::virtual_env::VirtualEnv;

struct Taken;

impl Transport for Taken {
    fn call(&self, _call: Call, _slot: Slot) -> BoxFuture<'_, Answer> {
        Box::pin(std::future::ready(Answer::Accepted))
    }
}

/// A store that answers scans only while its gate is open.
struct Gated(Memory, watch::Receiver<bool>);

impl Store for Gated {
    fn get(&self, keys: Vec<Key>) -> BoxFuture<'_, Result<Vec<Option<Row>>, Error>> {
        self.0.get(keys)
    }
    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Vec<(Key, Row)>, Error>> {
        Box::pin(async move {
            let _ = self.1.clone().wait_for(|open| *open).await;
            self.0.scan(scan).await
        })
    }
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Applied, Refused>> {
        self.0.commit(commit)
    }
    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn Snapshot>, Error>> {
        self.0.snapshot()
    }
}

/// An engine with one contact that has a message due after two minutes, and the gate of its store.
async fn engine() -> (Engine, watch::Sender<bool>) {
    let (gate, open) = watch::channel(true);
    let store = Arc::new(Gated(Memory::default(), open));
    let clocks = Arc::new(VirtualEnv::at(Moment(1_795_435_200_000)));
    let engine =
        Engine::start(Config::default(), store, clocks, Transports::only(Arc::new(Taken))).await.unwrap();
    let caller = Caller::default();
    let tenant = TenantSettings { on: true, time_zone: "UTC".into(), ..TenantSettings::default() };
    engine.put_tenant(&caller, "acme", tenant).await.unwrap();
    let channel =
        ChannelSettings { kind: "email".into(), transport: "outbox".into(), ..ChannelSettings::default() };
    engine.put_channel(&caller, "acme", "mail", channel).await.unwrap();
    let step = DraftStep {
        wait: "2 minutes".into(),
        channel: "mail".into(),
        subject: "hello".into(),
        body: "hello".into(),
        ..DraftStep::default()
    };
    let draft = Draft { steps: vec![step], ..Draft::default() };
    engine.put_sequence(&caller, "acme", "welcome", draft).await.unwrap();
    engine.publish(&caller, "acme", "welcome").await.unwrap();
    let profile = Profile { email: Some("ana@mail.example".into()), ..Profile::default() };
    let ana = Request { contact: "ana".into(), profile, ..Request::default() };
    engine.enroll(&caller, "acme", "welcome", vec![ana.clone()]).await.unwrap();
    engine.enroll(&caller, "acme", "welcome", vec![ana]).await.unwrap();
    (engine, gate)
}

#[tokio::test(start_paused = true)]
async fn a_send_shows_in_every_figure_it_moves() {
    let (engine, _gate) = engine().await;
    assert_eq!(engine.stats().enrolls, [1, 1, 0]);
    assert_eq!(engine.stats().activations, 0);
    tokio::time::sleep(Duration::from_secs(150)).await;
    let stats = engine.stats();
    let email = stats.sends.iter().find(|sends| sends.kind == Kind::Email).unwrap();
    assert_eq!(email.by_outcome, [1, 0, 0, 0, 0, 0]);
    assert_eq!(stats.lateness.iter().sum::<u64>(), 1);
    assert_eq!((stats.activations, stats.live_enrollments), (1, 0));
    assert_eq!(engine.behind(), Span::ZERO);
    assert_eq!(engine.clock_ahead(), Span::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_cannot_look_is_behind_until_it_can() {
    let (engine, gate) = engine().await;
    gate.send_replace(false);
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(engine.behind() >= Span::minutes(2), "{:?}", engine.behind());
    assert_eq!(engine.stats().lateness.iter().sum::<u64>(), 0);
    gate.send_replace(true);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(engine.behind(), Span::ZERO);
    assert_eq!(engine.stats().lateness.iter().sum::<u64>(), 1);
}
