//! The tree from end to end in virtual time: a memory store, a transport that keeps what it was given.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use followupd_channel::transports::Transports;
use followupd_channel::{Answer, Call, Slot, Transport};
use followupd_domain::decide::enroll::{Profile, Request};
use followupd_domain::decision::{Decision, Source};
use followupd_domain::enrollment::{Enrollment, ExitReason, State};
use followupd_domain::event::{Event, EventKey, EventKind};
use followupd_domain::sequence::{Draft, DraftStep};
use followupd_domain::{EnrollmentId, Moment, Span};
use followupd_runtime::{
    Caller, ChannelSettings, Command, Config, Engine, EnrollAnswer, Env, EventAnswer, EventCall,
    TenantSettings,
};
use followupd_store::memory::{Hooks, Memory, Point, Reaction};
use followupd_store::{Class, Commit};
use futures::future::BoxFuture;

struct VirtualEnv {
    started: tokio::time::Instant,
    drawn: AtomicI64,
    /// Whoever asks for the time next panics.
    broken: AtomicBool,
}

const START: i64 = 1_795_435_200_000;

impl Env for VirtualEnv {
    fn wall(&self) -> Moment {
        assert!(!self.broken.swap(false, Ordering::SeqCst), "the clock was broken by a test");
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
    fn call(&self, call: Call, _slot: Slot) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            self.calls.lock().unwrap().push(call);
            if self.slow {
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
            Answer::Accepted
        })
    }
}

/// What a commit meets at a point.
type Fault = Box<dyn Fn(Point, &Commit) -> Reaction + Send + Sync>;

/// Faults that a test sets while it runs.
#[derive(Default)]
struct Faults(Mutex<Option<Fault>>);

impl Faults {
    fn set(&self, fault: impl Fn(Point, &Commit) -> Reaction + Send + Sync + 'static) {
        *self.0.lock().unwrap() = Some(Box::new(fault));
    }

    fn clear(&self) {
        *self.0.lock().unwrap() = None;
    }
}

impl Hooks for Faults {
    fn at(&self, point: Point, commit: &Commit) -> Reaction {
        self.0.lock().unwrap().as_ref().map_or(Reaction::Go, |fault| fault(point, commit))
    }
}

struct World {
    engine: Engine,
    env: Arc<VirtualEnv>,
    kept: Arc<Kept>,
    store: Memory,
    faults: Arc<Faults>,
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
    let faults = Arc::new(Faults::default());
    let hooks: Arc<dyn Hooks> = faults.clone();
    let (store, kept) = (Memory::new(hooks), Arc::new(Kept { slow, ..Kept::default() }));
    let (started, drawn) = (tokio::time::Instant::now(), AtomicI64::new(1));
    let env = Arc::new(VirtualEnv { started, drawn, broken: AtomicBool::new(false) });
    let (transport, clock): (_, Arc<dyn Env>) = (Transports::only(kept.clone()), env.clone());
    let engine = Engine::start(Config::default(), Arc::new(store.clone()), clock, transport).await.unwrap();
    let caller = Caller::default();
    let tenant = TenantSettings { on: true, time_zone: "UTC".into(), ..TenantSettings::default() };
    engine.put_tenant(&caller, "acme", tenant).await.unwrap();
    let channel = ChannelSettings { kind: "email".into(), transport: "outbox".into(), ..channel };
    engine.put_channel(&caller, "acme", "mail", channel).await.unwrap();
    engine.put_sequence(&caller, "acme", "welcome", draft()).await.unwrap();
    engine.publish(&caller, "acme", "welcome").await.unwrap();
    World { engine, env, kept, store, faults }
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

    async fn one(&self, contact: &str) -> EnrollmentId {
        let answers = self.enroll([contact.to_owned()].into_iter()).await;
        let id = |answer: &EnrollAnswer| match answer {
            EnrollAnswer::Enrolled { id, .. } | EnrollAnswer::AlreadyEnrolled { id } => Some(*id),
            EnrollAnswer::Refused { .. } => None,
        };
        answers.first().and_then(id).unwrap()
    }

    async fn enrollment(&self, id: EnrollmentId) -> Enrollment {
        self.engine.get(&Caller::default(), "acme", id).await.unwrap().enrollment
    }

    async fn reply(&self, contact: &str, id: &str) -> EventAnswer {
        self.events(vec![self.message(contact, id)]).await.unwrap().remove(0)
    }

    async fn events(&self, calls: Vec<EventCall>) -> Result<Vec<EventAnswer>, followupd_runtime::Error> {
        self.engine.event(&Caller::default(), "acme", calls).await
    }

    fn message(&self, contact: &str, id: &str) -> EventCall {
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
        EventCall { event, profile: Profile::default() }
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
    let timeline = world.engine.get(&Caller::default(), "acme", *id).await.unwrap();
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
    let timeline = world.engine.get(&Caller::default(), "acme", *id).await.unwrap();
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

#[tokio::test(start_paused = true)]
async fn a_batch_about_one_contact_is_taken_in_in_its_order() {
    let world = world(false, ChannelSettings::default()).await;
    world.one("ana").await;
    hours(1).await;
    let calls = (0..200).map(|n| world.message("ana", &n.to_string())).collect();
    let answers = world.events(calls).await.unwrap();
    let ended =
        |answer: &EventAnswer| matches!(answer, EventAnswer::Accepted { exited, .. } if !exited.is_empty());
    assert!(ended(&answers[0]) && !answers[1..].iter().any(ended), "the first of them ends it");
    let answers = world.enroll((0..200).map(|_| "bo".to_owned())).await;
    let known = |answer: &EnrollAnswer| matches!(answer, EnrollAnswer::AlreadyEnrolled { .. });
    assert!(!known(&answers[0]) && answers[1..].iter().all(known));
}

#[tokio::test(start_paused = true)]
async fn what_was_enrolled_of_a_batch_that_failed_leaves_on_time() {
    let world = world(false, ChannelSettings::default()).await;
    // Its lane has read all there is, so it learns of new rows by being told only.
    world.one("ana").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let enrolls = AtomicI64::new(0);
    world.faults.set(move |point, commit| match (point, commit.class) {
        (Point::Submitted, Class::Enroll) if enrolls.fetch_add(1, Ordering::Relaxed) % 2 == 1 => {
            Reaction::Refuse
        }
        _ => Reaction::Go,
    });
    let requests = (0..10).map(|n| Request {
        contact: format!("c{n}"),
        profile: Profile { email: Some(format!("c{n}@mail.example")), ..Profile::default() },
        ..Request::default()
    });
    let failed = world.engine.enroll(&Caller::default(), "acme", "welcome", requests.collect()).await;
    assert!(failed.is_err());
    world.faults.clear();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.called().len(), 1 + 5);
}

#[tokio::test(start_paused = true)]
async fn an_event_says_what_is_new_of_its_contact() {
    let world = world(false, ChannelSettings::default()).await;
    world.one("ana").await;
    hours(1).await;
    let mut call = world.message("ana", "moved");
    call.event.kind = EventKind::Custom("contact_moved".into());
    call.profile.email = Some("new@mail.example".into());
    world.events(vec![call]).await.unwrap();
    hours(2).await;
    let addresses: Vec<String> =
        world.kept.calls.lock().unwrap().iter().map(|call| call.address.clone()).collect();
    assert_eq!(addresses, ["ana@mail.example", "new@mail.example"]);
}

#[tokio::test(start_paused = true)]
async fn what_enrolled_stands_in_the_history() {
    let world = world(false, ChannelSettings::default()).await;
    let request = Request { contact: "ana".into(), source: Source::Manual, ..Request::default() };
    let caller = Caller { by: "zoe".into(), ..Caller::default() };
    let answers = world.engine.enroll(&caller, "acme", "welcome", vec![request]).await.unwrap();
    let EnrollAnswer::Enrolled { id, .. } = &answers[0] else { panic!("{answers:?}") };
    let history = world.engine.get(&Caller::default(), "acme", *id).await.unwrap().history;
    let Decision::Enrolled(beginning) = &history[0].decision else { panic!("{history:?}") };
    assert_eq!((beginning.source, beginning.by.as_str()), (Source::Manual, "zoe"));
}

#[tokio::test(start_paused = true)]
async fn a_reply_after_the_end_is_credited_to_the_last_send() {
    let world = world(false, ChannelSettings::default()).await;
    let id = world.one("ana").await;
    hours(40).await;
    assert_eq!(world.enrollment(id).await.state, State::Completed);
    world.reply("ana", "late").await;
    let sends = world.enrollment(id).await.sends;
    assert_eq!(sends.iter().map(|send| send.status.word()).collect::<Vec<_>>(), ["sent", "sent", "replied"]);
}

#[tokio::test(start_paused = true)]
async fn a_paused_enrollment_expires_all_the_same() {
    let world = world(false, ChannelSettings::default()).await;
    let id = world.one("ana").await;
    hours(1).await;
    world.engine.command(&Caller::default(), "acme", id, Command::Pause).await.unwrap();
    hours(89 * 24).await;
    assert!(!world.enrollment(id).await.state.is_over());
    hours(30).await;
    assert_eq!(world.enrollment(id).await.state, State::Exited(ExitReason::Expired));
}

#[tokio::test(start_paused = true)]
async fn an_outcome_waits_for_the_store_as_long_as_that_takes() {
    let world = world(true, ChannelSettings { gap: "1 minute".into(), ..ChannelSettings::default() }).await;
    let id = world.one("ana").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.faults.set(|_, _| Reaction::Refuse);
    hours(1).await;
    assert_eq!(world.enrollment(id).await.sends[0].status.word(), "uncertain");
    world.faults.clear();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.enrollment(id).await.sends[0].status.word(), "sent");
    hours(40).await;
    assert_eq!(world.called().len(), 3, "its lane goes on");
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_fails_starts_anew() {
    let world = world(false, ChannelSettings::default()).await;
    world.one("ana").await;
    // Everything sleeps; the shard's own timer is the next to ask for the time.
    tokio::time::sleep(Duration::from_secs(60)).await;
    world.env.broken.store(true, Ordering::SeqCst);
    hours(3).await;
    assert!(!world.env.broken.load(Ordering::SeqCst), "somebody has asked for the time");
    assert_eq!(world.called().len(), 2);
    let EventAnswer::Accepted { exited, .. } = world.reply("ana", "1").await else { panic!("refused") };
    assert_eq!(exited.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_put_that_fails_leaves_its_tenant_at_work() {
    let world = world(false, ChannelSettings::default()).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    world.env.broken.store(true, Ordering::SeqCst);
    let settings = || TenantSettings { on: true, time_zone: "UTC".into(), ..TenantSettings::default() };
    assert!(world.engine.put_tenant(&Caller::default(), "acme", settings()).await.is_err());
    assert!(world.engine.put_tenant(&Caller::default(), "acme", settings()).await.is_ok());
}
