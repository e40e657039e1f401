//! A tenant in virtual time for the tests about people: two channels, a sequence by mail and one by SMS.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use followupd_channel::transports::Transports;
use followupd_channel::{Answer, Call, Slot, Transport};
use followupd_domain::decide::enroll::{Profile, Request};
use followupd_domain::enrollment::Enrollment;
use followupd_domain::reaction::{self, Blames};
use followupd_domain::sequence::{Draft, DraftStep};
use followupd_domain::{EnrollmentId, Moment};
use followupd_runtime::{Caller, ChannelSettings, Config, Engine, EnrollAnswer, TenantSettings};
use followupd_store::Commit;
use followupd_store::memory::{Hooks, Memory, Point, Reaction};
use futures::future::BoxFuture;

use crate::virtual_env::VirtualEnv;

/// When every test begins: 2026-11-23 12:00 UTC, a Monday.
pub(crate) const START: Moment = Moment(1_795_435_200_000);

pub(crate) const TENANT: &str = "acme";

#[derive(Default)]
struct Kept(Mutex<Vec<Call>>);

impl Transport for Kept {
    fn call(&self, call: Call, _slot: Slot) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            let gone = call.address.starts_with("gone@");
            self.0.lock().unwrap().push(call);
            if gone {
                return Answer::refused("550 5.1.1", reaction::Reaction::never(Blames::Address));
            }
            Answer::Accepted
        })
    }
}

/// What a commit meets at a point.
type Fault = Box<dyn FnMut(Point, &Commit) -> Reaction + Send>;

/// Faults that a test sets while it runs.
#[derive(Default)]
pub(crate) struct Faults(Mutex<Option<Fault>>);

impl Faults {
    pub(crate) fn set(&self, fault: impl FnMut(Point, &Commit) -> Reaction + Send + 'static) {
        *self.0.lock().unwrap() = Some(Box::new(fault));
    }
}

impl Hooks for Faults {
    fn at(&self, point: Point, commit: &Commit) -> Reaction {
        self.0.lock().unwrap().as_mut().map_or(Reaction::Go, |fault| fault(point, commit))
    }
}

pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) caller: Caller,
    pub(crate) store: Memory,
    pub(crate) faults: Arc<Faults>,
    kept: Arc<Kept>,
}

fn step(wait: &str, channel: &str) -> DraftStep {
    DraftStep {
        wait: wait.into(),
        channel: channel.into(),
        subject: "hello".into(),
        body: "dear {{ contact.name | default('friend') }}".into(),
        ..DraftStep::default()
    }
}

/// `acme` with `mail` and `text`; `welcome` sends a mail after an hour and one a day later, `ring` an SMS after an
/// hour, `both` a mail after an hour and an SMS after a day.
pub(crate) async fn world() -> World {
    let faults = Arc::new(Faults::default());
    let hooks: Arc<dyn Hooks> = faults.clone();
    let (store, kept) = (Memory::new(hooks), Arc::new(Kept::default()));
    let env = Arc::new(VirtualEnv::at(START));
    let transport = Transports::only(kept.clone());
    let engine = Engine::start(Config::default(), Arc::new(store.clone()), env, transport).await.unwrap();
    let caller = Caller { by: "desk".into(), ..Caller::default() };
    let tenant = TenantSettings { on: true, time_zone: "UTC".into(), ..TenantSettings::default() };
    engine.put_tenant(&caller, TENANT, tenant).await.unwrap();
    for (name, kind) in [("mail", "email"), ("text", "sms")] {
        let channel =
            ChannelSettings { kind: kind.into(), transport: "outbox".into(), ..ChannelSettings::default() };
        engine.put_channel(&caller, TENANT, name, channel).await.unwrap();
    }
    let sequences = [
        ("welcome", vec![step("1 hour", "mail"), step("1 day", "mail")]),
        ("ring", vec![step("1 hour", "text")]),
        ("both", vec![step("1 hour", "mail"), step("1 day", "text")]),
    ];
    for (name, steps) in sequences {
        engine.put_sequence(&caller, TENANT, name, Draft { steps, ..Draft::default() }).await.unwrap();
        engine.publish(&caller, TENANT, name).await.unwrap();
    }
    World { engine, caller, store, faults, kept }
}

/// A contact with an address and a number of its own.
pub(crate) fn person(contact: &str) -> Request {
    let profile = Profile {
        name: Some(format!("{contact} of somewhere")),
        email: Some(format!("{contact}@mail.example")),
        phone: Some("+15550100".into()),
        ..Profile::default()
    };
    Request { contact: contact.into(), profile, ..Request::default() }
}

impl World {
    pub(crate) async fn enroll(&self, sequence: &str, request: Request) -> EnrollAnswer {
        self.engine.enroll(&self.caller, TENANT, sequence, vec![request]).await.unwrap().remove(0)
    }

    pub(crate) async fn enrolled(&self, sequence: &str, request: Request) -> EnrollmentId {
        match self.enroll(sequence, request).await {
            EnrollAnswer::Enrolled { id, .. } | EnrollAnswer::AlreadyEnrolled { id } => id,
            EnrollAnswer::Refused { problem, .. } => panic!("{problem}"),
        }
    }

    pub(crate) async fn enrollment(&self, id: EnrollmentId) -> Enrollment {
        self.engine.get(&self.caller, TENANT, id).await.unwrap().enrollment
    }

    /// Who was called, and where, in order.
    pub(crate) fn called(&self) -> Vec<(String, String)> {
        let calls = self.kept.0.lock().unwrap();
        calls.iter().map(|call| (call.contact.clone(), call.address.clone())).collect()
    }
}

pub(crate) async fn hours(n: u64) {
    tokio::time::sleep(Duration::from_secs(n * 3_600)).await;
}
