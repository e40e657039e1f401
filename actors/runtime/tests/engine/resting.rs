//! Hosts that cannot be reached, and rest: what that takes of the limits, what is said of it, and when it is over.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use followupd_channel::transports::Transports;
use followupd_channel::{Answer, Call, Rest, Slot, Transport};
use followupd_domain::decide::enroll::{Profile, Request};
use followupd_domain::enrollment::State;
use followupd_domain::gate::Binding;
use followupd_domain::sequence::{Draft, DraftStep};
use followupd_domain::{EnrollmentId, Moment, Span};
use followupd_runtime::{
    Caller, ChannelSettings, Config, Engine, EnrollAnswer, TenantSettings, Waits, WaitsFor,
};
use followupd_store::memory::Memory;
use futures::future::BoxFuture;

use crate::virtual_env::VirtualEnv;

/// When every test begins: 2026-11-23 12:00 UTC, a Monday.
const START: Moment = Moment(1_795_435_200_000);

/// How a host does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    /// It takes what comes.
    Well,
    /// Nothing reaches it, as is known at once.
    Away,
    /// The same, after a while: by then limits have been told that the call began.
    Silent,
    /// It rests for so long.
    Rests(Duration),
}

struct Host {
    does: Mutex<Does>,
    /// How many calls reached it, or did not.
    calls: Mutex<usize>,
}

impl Transport for Host {
    fn slot(&self, _urgent: bool) -> BoxFuture<'_, Result<Slot, Rest>> {
        let does = *self.does.lock().unwrap();
        Box::pin(async move {
            match does {
                Does::Rests(rest) => Err(Rest(rest)),
                Does::Well | Does::Away | Does::Silent => Ok(Slot::default()),
            }
        })
    }

    fn call(&self, _call: Call, _slot: Slot) -> BoxFuture<'_, Answer> {
        *self.calls.lock().unwrap() += 1;
        let does = *self.does.lock().unwrap();
        Box::pin(async move {
            match does {
                Does::Away => Answer::unsent("connect"),
                Does::Silent => {
                    tokio::time::sleep(Duration::from_secs(10)).await;
                    Answer::unsent("connect")
                }
                Does::Well | Does::Rests(_) => Answer::Accepted,
            }
        })
    }
}

struct World {
    engine: Engine,
    host: Arc<Host>,
}

fn mail() -> ChannelSettings {
    ChannelSettings { kind: "email".into(), transport: "outbox".into(), ..ChannelSettings::default() }
}

/// `acme` with the channel `mail` and the sequence `welcome`, of one step at once.
async fn world(channel: ChannelSettings, does: Does) -> World {
    let host = Arc::new(Host { does: Mutex::new(does), calls: Mutex::default() });
    let transports = Transports::only(host.clone());
    let env = Arc::new(VirtualEnv::at(START));
    let engine = Engine::start(Config::default(), Arc::new(Memory::default()), env, transports);
    let (engine, caller) = (engine.await.unwrap(), Caller::default());
    let tenant = TenantSettings { on: true, time_zone: "UTC".into(), ..TenantSettings::default() };
    engine.put_tenant(&caller, "acme", tenant).await.unwrap();
    engine.put_channel(&caller, "acme", "mail", channel).await.unwrap();
    let step = DraftStep {
        channel: "mail".into(),
        subject: "s".into(),
        body: "hello".into(),
        ..DraftStep::default()
    };
    let draft = Draft { steps: vec![step], ..Draft::default() };
    engine.put_sequence(&caller, "acme", "welcome", draft).await.unwrap();
    engine.publish(&caller, "acme", "welcome").await.unwrap();
    World { engine, host }
}

impl World {
    async fn enroll(&self, contact: &str) -> EnrollmentId {
        let profile = Profile { email: Some(format!("{contact}@mail.example")), ..Profile::default() };
        let request = Request { contact: contact.to_owned(), profile, ..Request::default() };
        let mut answers =
            self.engine.enroll(&Caller::default(), "acme", "welcome", vec![request]).await.unwrap();
        match answers.remove(0) {
            EnrollAnswer::Enrolled { id, .. } => id,
            other @ (EnrollAnswer::AlreadyEnrolled { .. } | EnrollAnswer::Refused { .. }) => {
                panic!("{other:?}")
            }
        }
    }

    async fn state(&self, id: EnrollmentId) -> State {
        self.engine.get(&Caller::default(), "acme", id).await.unwrap().enrollment.state
    }

    fn does(&self, does: Does) {
        *self.host.does.lock().unwrap() = does;
    }

    fn calls(&self) -> usize {
        *self.host.calls.lock().unwrap()
    }
}

async fn pass(span: Span) {
    tokio::time::sleep(Duration::from_millis(span.0.unsigned_abs())).await;
}

#[tokio::test(start_paused = true)]
async fn what_never_left_uses_up_no_cap_of_a_day_and_nobodys_attempts() {
    for (does, gap) in
        [(Does::Away, ""), (Does::Silent, ""), (Does::Away, "2 seconds"), (Does::Silent, "2 seconds")]
    {
        let paced = ChannelSettings { per_day: 2, new_recipients: 2, gap: gap.into(), ..mail() };
        let world = world(paced, does).await;
        let ids = [world.enroll("ana").await, world.enroll("bo").await];
        pass(Span::hours(1)).await;
        assert!(world.calls() > 10, "{} calls: each is tried again", world.calls());
        let explained = world.engine.explain(&Caller::default(), "acme", ids[0]).await.unwrap().explained;
        assert_eq!(explained.code.as_deref(), Some("connect"), "{explained:?}");
        assert_eq!(explained.binding, Some(Binding::Retry), "{explained:?}");
        world.does(Does::Well);
        pass(Span::minutes(1)).await;
        for id in ids {
            assert_eq!(world.state(id).await, State::Completed, "on the same day");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_is_put_anew_asks_its_way_out_whether_it_still_rests() {
    let world = world(mail(), Does::Rests(Duration::from_secs(3_600))).await;
    let id = world.enroll("ana").await;
    pass(Span::minutes(1)).await;
    let explained = world.engine.explain(&Caller::default(), "acme", id).await.unwrap().explained;
    let until = explained.at.unwrap();
    assert_eq!(explained.binding, Some(Binding::Retry));
    assert!((START + Span::minutes(59)..=START + Span::minutes(61)).contains(&until), "{until:?}");
    world.does(Does::Well);
    pass(Span::minutes(10)).await;
    assert_eq!((world.state(id).await, world.calls()), (State::Active, 0), "nobody asked meanwhile");
    let waits = world.engine.backlog(&Caller::default(), "acme", "mail").await.unwrap().waits;
    assert!(matches!(waits[..], [Waits { on: WaitsFor::Host, until: Some(_) }]), "{waits:?}");
    world
        .engine
        .put_channel(&Caller::default(), "acme", "mail", ChannelSettings { per_hour: 9, ..mail() })
        .await
        .unwrap();
    pass(Span::seconds(1)).await;
    assert_eq!((world.state(id).await, world.calls()), (State::Completed, 1));
}
