//! A last message that its provider refuses after all, through the engine: its enrollment comes back into every row that
//! indexes it, or stays over.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use followupd_channel::transports::Transports;
use followupd_channel::{Answer, Call, Slot, Transport};
use followupd_domain::channel::Kind;
use followupd_domain::decide::enroll::{Profile, Request};
use followupd_domain::decide::outcome::Receipt;
use followupd_domain::enrollment::{Enrollment, State};
use followupd_domain::event::{Event, EventKey, EventKind};
use followupd_domain::reaction::Reaction;
use followupd_domain::sequence::{Draft, DraftStep};
use followupd_domain::suppression::Address;
use followupd_domain::target::{TargetKind, TargetRef};
use followupd_domain::{EnrollmentId, Moment, SendId, Span};
use followupd_runtime::verify::Verifier;
use followupd_runtime::{
    Caller, ChannelSettings, Command, Config, Engine, EnrollAnswer, EventCall, ReceiptAnswer, ReceiptCall,
    TenantSettings, Whom,
};
use followupd_store::Version;
use followupd_store::memory::Memory;
use futures::future::BoxFuture;

use crate::virtual_env::VirtualEnv;

/// When every test begins: 2026-11-23 12:00 UTC, a Monday.
const START: Moment = Moment(1_795_435_200_000);

/// Takes everything, and refuses nothing at once.
#[derive(Default)]
struct Kept(Mutex<Vec<SendId>>);

impl Transport for Kept {
    fn call(&self, call: Call, _slot: Slot) -> BoxFuture<'_, Answer> {
        self.0.lock().unwrap().push(call.send);
        Box::pin(async { Answer::Accepted })
    }
}

struct World {
    engine: Engine,
    store: Memory,
    kept: Arc<Kept>,
    /// Of ana, about a charge: its one message was taken, and it has completed.
    id: EnrollmentId,
}

fn request() -> Request {
    let profile = Profile { email: Some("ana@mail.example".into()), ..Profile::default() };
    let target = Some(TargetRef { kind: TargetKind::Charge, id: "ch-1".into() });
    Request { contact: "ana".into(), profile, target, ..Request::default() }
}

async fn seconds(n: u64) {
    tokio::time::sleep(Duration::from_secs(n)).await;
}

async fn completed() -> World {
    let env = VirtualEnv::at(START);
    let (store, kept) = (Memory::default(), Arc::new(Kept::default()));
    let transports = Transports::only(Arc::clone(&kept) as _);
    let engine = Engine::start(Config::default(), Arc::new(store.clone()), Arc::new(env), transports).await;
    let (engine, caller) = (engine.unwrap(), Caller::default());
    let tenant = TenantSettings { on: true, time_zone: "UTC".into(), ..TenantSettings::default() };
    engine.put_tenant(&caller, "acme", tenant).await.unwrap();
    let mail =
        ChannelSettings { kind: "email".into(), transport: "outbox".into(), ..ChannelSettings::default() };
    engine.put_channel(&caller, "acme", "mail", mail).await.unwrap();
    let (channel, subject, body) = ("mail".into(), "hello".into(), "hello".into());
    let step = DraftStep { channel, subject, body, ..DraftStep::default() };
    let draft = Draft { target: "charge".into(), steps: vec![step], ..Draft::default() };
    engine.put_sequence(&caller, "acme", "welcome", draft).await.unwrap();
    engine.publish(&caller, "acme", "welcome").await.unwrap();
    let answers = engine.enroll(&caller, "acme", "welcome", vec![request()]).await.unwrap();
    let EnrollAnswer::Enrolled { id, .. } = answers[0] else { panic!("{answers:?}") };
    seconds(5).await;
    let world = World { engine, store, kept, id };
    assert_eq!(world.enrollment().await.state, State::Completed);
    world
}

impl World {
    async fn enrollment(&self) -> Enrollment {
        self.engine.get(&Caller::default(), "acme", self.id).await.unwrap().enrollment
    }

    /// The provider says of the last message it took that it is too busy after all.
    async fn refuses(&self) {
        let send = *self.kept.0.lock().unwrap().last().unwrap();
        let receipt = Receipt::Failed(Some(Reaction::SOON));
        let told = ReceiptCall { send, receipt, code: "131000".into(), address: None, at: None };
        let answers = self.engine.receipts(&Caller::default(), "acme", vec![told]).await.unwrap();
        assert!(matches!(answers[..], [ReceiptAnswer::Taken { changed: true }]), "{answers:?}");
    }

    /// Enrolls ana about another charge; whether she may be.
    async fn enrolls_about(&self, charge: &str) -> bool {
        let target = Some(TargetRef { kind: TargetKind::Charge, id: charge.into() });
        let again = Request { target, ..request() };
        let answers = self.engine.enroll(&Caller::default(), "acme", "welcome", vec![again]).await.unwrap();
        seconds(5).await;
        matches!(answers[..], [EnrollAnswer::Enrolled { .. }])
    }

    /// It stays over, as no more is sent, though its message was refused.
    async fn stays_over(&self) {
        self.refuses().await;
        let enrollment = self.enrollment().await;
        assert_eq!((enrollment.state, enrollment.sends[0].status.word()), (State::Completed, "failed"));
        self.makes_sense();
        seconds(3_600).await;
        assert_eq!(self.kept.0.lock().unwrap().len(), 1);
    }

    /// All rows make sense, each and together.
    fn makes_sense(&self) {
        let mut verifier = Verifier::new(Version(u64::MAX));
        self.store.dump().iter().for_each(|(key, row)| verifier.row(key, row));
        assert_eq!(verifier.finish().faults, []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_last_message_that_is_refused_after_all_is_sent_again() {
    let world = completed().await;
    for tries in 2..=5 {
        world.refuses().await;
        assert_eq!(world.enrollment().await.state, State::Active);
        world.makes_sense();
        let again =
            world.engine.enroll(&Caller::default(), "acme", "welcome", vec![request()]).await.unwrap();
        assert!(matches!(again[0], EnrollAnswer::AlreadyEnrolled { id } if id == world.id), "{again:?}");
        seconds(600).await;
        assert_eq!(world.enrollment().await.state, State::Completed);
        assert_eq!(world.kept.0.lock().unwrap().len(), tries);
        world.makes_sense();
    }
    world.refuses().await;
    assert_eq!(world.enrollment().await.state, State::Completed, "often enough");
}

#[tokio::test(start_paused = true)]
async fn who_is_taken_out_or_paused_when_it_is_over_is_told_so_and_not_sent_to() {
    for command in [Command::Exit, Command::Pause] {
        let world = completed().await;
        for _ in 0..2 {
            let changed = world.engine.command(&Caller::default(), "acme", world.id, command).await.unwrap();
            assert_eq!((changed.changed, changed.enrollment.state), (false, State::Completed));
        }
        let history = world.engine.get(&Caller::default(), "acme", world.id).await.unwrap().history;
        let closed = history.iter().filter(|entry| entry.decision.word() == "closed");
        assert_eq!(closed.count(), 1);
        world.stays_over().await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_opted_out_since_is_not_sent_to_by_whichever_row_says_so() {
    let email = Address::Email("ana@mail.example".into());
    for whom in [Whom::Contact("ana".into()), Whom::Address(email)] {
        let world = completed().await;
        let (caller, kind) = (Caller::default(), Some(Kind::Email));
        world.engine.suppress(&caller, "acme", whom, kind, "asked").await.unwrap();
        world.stays_over().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_enrollment_whose_target_was_swept_does_not_come_back() {
    let world = completed().await;
    seconds(2 * 3_600).await;
    world.stays_over().await;
}

#[tokio::test(start_paused = true)]
async fn who_is_erased_does_not_come_back() {
    let world = completed().await;
    world.engine.erase(&Caller::default(), "acme", "ana").await.unwrap();
    world.stays_over().await;
}

#[tokio::test(start_paused = true)]
async fn an_opt_out_that_is_told_late_counts_unless_they_have_come_back_since() {
    let back_at = START + Span::minutes(1);
    for (at, counts) in [(Some(back_at - Span(1)), false), (Some(back_at + Span(1)), true), (None, true)] {
        let world = completed().await;
        let first = world.kept.0.lock().unwrap()[0];
        assert!(world.enrolls_about("ch-2").await);
        seconds(120).await;
        let event = Event {
            key: EventKey { source: "inbox".into(), id: "e1".into() },
            kind: EventKind::MessageReceived,
            occurred_at: back_at,
            contact: Some("ana".into()),
            target: None,
            channel: Some(Kind::Email),
            text: "START".into(),
            automatic: false,
        };
        let call = EventCall { event, profile: Profile::default() };
        world.engine.event(&Caller::default(), "acme", vec![call]).await.unwrap();
        let receipt = Receipt::Failed(Some(Reaction::OptOut));
        let told = ReceiptCall { send: first, receipt, code: "131050".into(), address: None, at };
        let answers = world.engine.receipts(&Caller::default(), "acme", vec![told]).await.unwrap();
        assert!(matches!(answers[..], [ReceiptAnswer::Taken { changed: true }]), "{answers:?}");
        assert_eq!(world.enrolls_about("ch-3").await, !counts, "at {at:?}");
        world.makes_sense();
    }
}
