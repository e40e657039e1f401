//! The tree from end to end in virtual time: a memory store, a transport that keeps what it was given.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use followupd_channel::{Answer, Call, Transport};
use followupd_domain::decide::enroll::{Profile, Request};
use followupd_domain::enrollment::{ExitReason, State};
use followupd_domain::event::{Event, EventKey, EventKind};
use followupd_domain::sequence::{Draft, DraftStep};
use followupd_domain::{Moment, Span};
use followupd_runtime::{
    Caller, ChannelSettings, Command, Config, Engine, EnrollAnswer, Env, EventAnswer, EventCall,
    TenantSettings,
};
use followupd_store::memory::Memory;
use futures::future::BoxFuture;

struct VirtualEnv {
    started: tokio::time::Instant,
    drawn: AtomicI64,
}

const START: i64 = 1_795_435_200_000;

impl Env for VirtualEnv {
    fn wall(&self) -> Moment {
        Moment(START) + self.steady()
    }
    fn steady(&self) -> Span {
        Span(self.started.elapsed().as_millis() as i64)
    }
    fn random(&self) -> u64 {
        (self.drawn.fetch_add(1, Ordering::Relaxed) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

#[derive(Default)]
struct Kept {
    calls: Mutex<Vec<Call>>,
    slow: bool,
}

impl Transport for Kept {
    fn call(&self, call: Call) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            self.calls.lock().unwrap().push(call);
            if self.slow {
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
            Answer::Accepted
        })
    }
}

struct World {
    engine: Engine,
    kept: Arc<Kept>,
    store: Memory,
}

fn draft() -> Draft {
    let step = |wait: &str| DraftStep {
        wait: wait.into(),
        channel: "email".into(),
        subject: "hello".into(),
        body: "dear {{ contact.name | default('friend') }}".into(),
        ..DraftStep::default()
    };
    Draft { steps: vec![step(""), step("2 hours"), step("1 day")], ..Draft::default() }
}

async fn world(slow: bool, channel: ChannelSettings) -> World {
    let (store, kept) = (Memory::default(), Arc::new(Kept { slow, ..Kept::default() }));
    let env = Arc::new(VirtualEnv { started: tokio::time::Instant::now(), drawn: AtomicI64::new(1) });
    let transport: Arc<dyn Transport> = kept.clone();
    let engine = Engine::start(Config::default(), Arc::new(store.clone()), env, transport).await.unwrap();
    let caller = Caller::default();
    let tenant = TenantSettings { on: true, time_zone: "UTC".into(), ..TenantSettings::default() };
    engine.put_tenant(&caller, "acme", tenant).await.unwrap();
    let channel = ChannelSettings { kind: "email".into(), transport: "outbox".into(), ..channel };
    engine.put_channel(&caller, "acme", "mail", channel).await.unwrap();
    engine.put_sequence(&caller, "acme", "welcome", draft()).await.unwrap();
    engine.publish(&caller, "acme", "welcome").await.unwrap();
    World { engine, kept, store }
}

impl World {
    async fn enroll(&self, contacts: impl Iterator<Item = String>) -> Vec<EnrollAnswer> {
        let requests = contacts.map(|contact| Request {
            profile: Profile { email: Some(format!("{contact}@mail.example")), ..Profile::default() },
            contact,
            ..Request::default()
        });
        self.engine.enroll(&Caller::default(), "acme", "welcome", requests.collect()).await.unwrap()
    }

    async fn reply(&self, contact: &str, id: &str) -> EventAnswer {
        let event = Event {
            key: EventKey { source: "inbox".into(), id: id.into() },
            kind: EventKind::MessageReceived,
            occurred_at: self.now(),
            contact: Some(contact.into()),
            target: None,
            channel: None,
            text: "yes".into(),
            automatic: false,
        };
        let call = EventCall { event, profile: Profile::default() };
        self.engine.event(&Caller::default(), "acme", vec![call]).await.unwrap().remove(0)
    }

    fn now(&self) -> Moment {
        // When the last call was made: a reply only needs to lie after the enroll.
        self.kept.calls.lock().unwrap().last().map_or(Moment(START), |call| call.at)
    }

    fn called(&self) -> Vec<(String, u16)> {
        let mut calls: Vec<_> = self
            .kept
            .calls
            .lock()
            .unwrap()
            .iter()
            .map(|call| (call.contact.clone(), call.send.step.0))
            .collect();
        calls.sort();
        calls
    }
}

async fn hours(n: u64) {
    tokio::time::sleep(Duration::from_secs(n * 3_600)).await;
}

#[tokio::test(start_paused = true)]
async fn a_contact_walks_its_sequence_and_leaves() {
    let world = world(false, ChannelSettings::default()).await;
    let answers = world.enroll(["ana".to_owned()].into_iter()).await;
    let EnrollAnswer::Enrolled { id, .. } = &answers[0] else { panic!("{answers:?}") };
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(world.called(), [("ana".to_owned(), 0)]);
    hours(3).await;
    assert_eq!(world.called().len(), 2);
    hours(30).await;
    assert_eq!(world.called().len(), 3);
    let timeline = world.engine.get("acme", *id).await.unwrap();
    assert_eq!(timeline.enrollment.state, State::Completed);
    assert!(followupd_domain::invariant::e9_state_is_fold(&timeline.enrollment, &timeline.history));
    let wakes = world.store.dump().iter().filter(|(key, _)| key.to_wake().is_some()).count();
    assert_eq!(wakes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_reply_ends_it_at_once_and_only_once() {
    let world = world(false, ChannelSettings::default()).await;
    world.enroll(["ana".to_owned(), "bo".to_owned()].into_iter()).await;
    hours(1).await;
    let EventAnswer::Accepted { exited, in_flight } = world.reply("ana", "1").await else {
        panic!("refused")
    };
    assert_eq!(exited.iter().map(|(_, reason)| *reason).collect::<Vec<_>>(), [ExitReason::Replied]);
    assert_eq!(in_flight, []);
    assert_eq!(world.reply("ana", "1").await, EventAnswer::Duplicate);
    hours(40).await;
    let of_ana = world.called().into_iter().filter(|(contact, _)| contact == "ana").count();
    assert_eq!((of_ana, world.called().len()), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn an_exit_names_the_send_that_is_on_the_wire() {
    let world = world(true, ChannelSettings::default()).await;
    let answers = world.enroll(["ana".to_owned()].into_iter()).await;
    let EnrollAnswer::Enrolled { id, .. } = &answers[0] else { panic!("{answers:?}") };
    tokio::time::sleep(Duration::from_millis(100)).await;
    let changed = world.engine.command(&Caller::default(), "acme", *id, Command::Exit).await.unwrap();
    assert_eq!(changed.in_flight.map(|send| send.step.0), Some(0));
    hours(1).await;
    let timeline = world.engine.get("acme", *id).await.unwrap();
    assert_eq!(timeline.enrollment.state, State::Exited(ExitReason::Manual));
    assert_eq!(timeline.enrollment.sends[0].status.word(), "sent");
    assert_eq!(timeline.enrollment.wake, None);
}

#[tokio::test(start_paused = true)]
async fn a_rate_paces_a_thousand_due_at_once() {
    let channel = ChannelSettings { rate_count: 10, rate_burst: 2, ..ChannelSettings::default() };
    let world = world(false, channel).await;
    let answers = world.enroll((0..1_000).map(|n| format!("c{n}"))).await;
    assert!(answers.iter().all(|answer| matches!(answer, EnrollAnswer::Enrolled { .. })));
    tokio::time::sleep(Duration::from_secs(50)).await;
    let first = world.called().len();
    assert!((480..=502).contains(&first), "{first}");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.called().len(), 1_000);
}
