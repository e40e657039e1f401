//! A thousand enrollments, one of which cannot be rendered: it is set apart, and nobody else notices.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use followupd_channel::transports::Transports;
use followupd_channel::{Answer, Call, Slot, Transport};
use followupd_domain::decide::enroll::{Profile, Request};
use followupd_domain::enrollment::{ExitReason, State};
use followupd_domain::sequence::{Draft, DraftStep};
use followupd_domain::{EnrollmentId, Moment, Span};
use followupd_runtime::plant::{Planted, Poison};
use followupd_runtime::{Caller, ChannelSettings, Command, Config, Engine, EnrollAnswer, TenantSettings};
use followupd_store::memory::Memory;
use futures::future::BoxFuture;

use super::dice::Dice;
use super::env::SimEnv;
use super::life::quiet_planned_panics;

/// The one that fails.
const POISONED: &str = "c500";

#[derive(Default)]
struct Kept(Mutex<BTreeMap<(String, u16), Moment>>);

impl Transport for Kept {
    fn call(&self, call: Call, _slot: Slot) -> BoxFuture<'_, Answer> {
        self.0.lock().unwrap().insert((call.contact, call.send.step.0), call.at);
        Box::pin(std::future::ready(Answer::Accepted))
    }
}

/// Plays it; panics where something is not as it should be.
pub(crate) async fn play() {
    quiet_planned_panics();
    let env = Arc::new(SimEnv::new(1_795_435_200_000, Dice::new(1, 2)));
    env.begin();
    let kept = Arc::new(Kept::default());
    let poison: &'static Poison =
        Box::leak(Box::new(Poison { contact: POISONED.into(), on: AtomicBool::new(true) }));
    let config = Config { planted: Planted::default().poisoning(poison) };
    let transport = Transports::only(Arc::clone(&kept) as _);
    let engine =
        Engine::start(config, Arc::new(Memory::default()), Arc::clone(&env) as _, transport).await.unwrap();
    set_up(&engine).await;
    let began = env.now();
    let poisoned = enroll(&engine).await;

    // Four pauses of 1, 2, 4 and 8 seconds lie between its five failures.
    sleep(Span::seconds(12)).await;
    assert_eq!(engine.quarantined(&Caller::default(), "acme", None, 9).await.unwrap().ids, []);
    sleep(Span::seconds(5)).await;
    assert_eq!(engine.quarantined(&Caller::default(), "acme", None, 9).await.unwrap().ids, [poisoned]);

    sleep(Span::hours(30)).await;
    let caller = Caller::default();
    let changed = engine.command(&caller, "acme", poisoned, Command::Exit).await.unwrap();
    assert_eq!((changed.changed, changed.enrollment.state), (true, State::Exited(ExitReason::Manual)));
    assert_eq!(engine.quarantined(&Caller::default(), "acme", None, 9).await.unwrap().ids, []);

    let calls = kept.0.lock().unwrap();
    assert_eq!(calls.len(), 3 * 999, "everyone else got every step");
    for ((contact, step), at) in calls.iter() {
        assert_ne!(contact, POISONED);
        let due_at = began + [Span::ZERO, Span::hours(2), Span::hours(26)][usize::from(*step)];
        let lateness = at.since(due_at);
        assert!(lateness < Span::seconds(2), "step {step} of {contact} left {} ms late", lateness.0);
    }
}

async fn sleep(span: Span) {
    tokio::time::sleep(Duration::from_millis(span.0.unsigned_abs())).await;
}

async fn set_up(engine: &Engine) {
    let caller = Caller::default();
    let tenant = TenantSettings { on: true, time_zone: "UTC".into(), ..TenantSettings::default() };
    engine.put_tenant(&caller, "acme", tenant).await.unwrap();
    let channel =
        ChannelSettings { kind: "email".into(), transport: "outbox".into(), ..ChannelSettings::default() };
    engine.put_channel(&caller, "acme", "mail", channel).await.unwrap();
    let step = |wait: &str| DraftStep {
        wait: wait.into(),
        channel: "mail".into(),
        body: "hello".into(),
        ..DraftStep::default()
    };
    let draft = Draft { steps: vec![step(""), step("2 hours"), step("24 hours")], ..Draft::default() };
    engine.put_sequence(&caller, "acme", "welcome", draft).await.unwrap();
    engine.publish(&caller, "acme", "welcome").await.unwrap();
}

async fn enroll(engine: &Engine) -> EnrollmentId {
    let requests = (0..1_000).map(|n| Request {
        contact: format!("c{n}"),
        profile: Profile { email: Some(format!("c{n}@mail.example")), ..Profile::default() },
        ..Request::default()
    });
    let answers = engine.enroll(&Caller::default(), "acme", "welcome", requests.collect()).await.unwrap();
    let EnrollAnswer::Enrolled { id, .. } = answers[500] else { panic!("{:?}", answers[500]) };
    id
}
