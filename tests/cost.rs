//! What each transition costs: rows, bytes and processor time, held to the row budget.
//!
//! The engine runs in this process on the embedded store. Calls wait at a gate, so that intents and outcomes are
//! measured apart: every lane has as many calls out as it takes, then all of them end. Time is printed and not held
//! to anything: it is this machine's.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use blackbox::{row, table};
use followupd_channel::transports::Transports;
use followupd_channel::{Answer, Call, Slot, Transport};
use followupd_domain::EnrollmentId;
use followupd_domain::decide::enroll::{Profile, Request};
use followupd_domain::event::{Event, EventKey, EventKind};
use followupd_domain::sequence::{Draft, DraftStep};
use followupd_domain::target::{TargetKind, TargetRef};
use followupd_runtime::{
    Caller, ChannelSettings, Command, Config, Engine, EnrollAnswer, Env, EventAnswer, EventCall,
    TenantSettings, WallEnv,
};
use followupd_store::embedded::{Embedded, Options};
use followupd_store::{Class, Stats};
use futures::future::BoxFuture;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Semaphore;

const TENANT: &str = "acme";
/// Lanes, and sends each of them has out at once.
const LANES: usize = 16;
const EACH: usize = 64;
const ALL: usize = LANES * EACH;

/// Until everybody is enrolled, nothing is due.
const WAIT: &str = "6 seconds";

/// A way out that opens when it is told to.
struct Gate(Semaphore);

impl Transport for Gate {
    fn call(&self, _call: Call, _slot: Slot) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            let open = self.0.acquire().await;
            open.map_or(Answer::Uncertain, |_| Answer::Accepted)
        })
    }
}

/// The store and the processor at some moment.
struct Meter {
    store: Arc<Embedded>,
    stats: Stats,
    cpu: Duration,
}

impl Meter {
    fn start(store: &Arc<Embedded>) -> Meter {
        Meter { store: Arc::clone(store), stats: store.stats(), cpu: cpu() }
    }

    /// Waits until so many commits of a class were written since.
    async fn until(&self, class: Class, commits: usize) {
        while self.store.stats().since(&self.stats).class(class).commits < commits as u64 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What was spent since, on commits of one class.
    fn read(self, what: &'static str, class: Class, budget: f64) -> Cost {
        let spent = self.store.stats().since(&self.stats);
        let of = spent.class(class);
        let each = |sum: u64| sum as f64 / of.commits as f64;
        Cost {
            what,
            budget,
            commits: of.commits,
            rows: each(of.puts + of.deletes),
            bytes: each(of.bytes),
            cpu_us: (cpu() - self.cpu).as_micros() as f64 / of.commits as f64,
            shared: spent.shared_rows as f64 / spent.groups as f64,
            group: each_group(&spent),
        }
    }
}

fn each_group(spent: &Stats) -> f64 {
    let commits: u64 = spent.classes.iter().map(|class| class.commits).sum();
    commits as f64 / spent.groups as f64
}

/// Processor time of this process, all threads.
fn cpu() -> Duration {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(spent.tv_sec as u64, spent.tv_nsec as u32)
}

/// What one kind of transition costs, each.
struct Cost {
    what: &'static str,
    budget: f64,
    commits: u64,
    rows: f64,
    bytes: f64,
    cpu_us: f64,
    shared: f64,
    group: f64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_transition_keeps_to_its_row_budget() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Embedded::open(folder.path().join("rows"), Options::default()).unwrap());
    let gate = Arc::new(Gate(Semaphore::new(0)));
    let (transport, env) = (Transports::only(Arc::clone(&gate) as _), Arc::new(WallEnv::new()));
    let engine = Engine::start(Config::default(), Arc::clone(&store) as _, Arc::clone(&env) as _, transport);
    let engine = engine.await.unwrap();
    put(&engine).await;
    let mut costs = Vec::new();

    let meter = Meter::start(&store);
    let mut enrolled = Vec::new();
    for lane in 0..LANES {
        enrolled.extend(enroll(&engine, &format!("s{lane}"), lane, None).await);
    }
    costs.push(meter.read("enroll", Class::Enroll, 3.0));

    let meter = Meter::start(&store);
    for lane in 0..LANES {
        enroll(&engine, "charges", lane, Some(TargetKind::Charge)).await;
    }
    costs.push(meter.read("enroll with a target", Class::Enroll, 4.0));

    let meter = Meter::start(&store);
    meter.until(Class::Intent, ALL).await;
    costs.push(meter.read("intent", Class::Intent, 2.0));

    let meter = Meter::start(&store);
    gate.0.add_permits(ALL);
    meter.until(Class::Outcome, ALL).await;
    costs.push(meter.read("outcome and next wake", Class::Outcome, 4.0));

    let (replying, leaving) = enrolled.split_at(ALL / 2);
    let meter = Meter::start(&store);
    for chunk in replying.chunks(EACH) {
        reply(&engine, &*env, chunk).await;
    }
    costs.push(meter.read("exit by a reply", Class::Exit, 4.0));

    let meter = Meter::start(&store);
    let exits = leaving.iter().map(|(_, id)| async {
        let changed = engine.command(&Caller::default(), TENANT, *id, Command::Exit).await.unwrap();
        assert!(changed.changed && changed.in_flight.is_none());
    });
    futures::future::join_all(exits).await;
    costs.push(meter.read("exit by hand", Class::Exit, 4.0));

    engine.drain().await;
    store.close().await;
    hold_to_budget(&costs);
}

fn hold_to_budget(costs: &[Cost]) {
    let mut rows =
        vec![row!["transition", "commits", "rows", "budget", "bytes", "CPU us", "in a group", "shared rows"]];
    for cost in costs {
        rows.push(row![
            cost.what,
            cost.commits,
            format!("{:.2}", cost.rows),
            cost.budget,
            format!("{:.0}", cost.bytes),
            format!("{:.0}", cost.cpu_us),
            format!("{:.0}", cost.group),
            format!("{:.1}", cost.shared),
        ]);
    }
    table::print("what one transition costs (counters and ledgers are shared by a group)", &rows);
    for cost in costs {
        assert!(cost.commits >= (ALL / 2) as u64, "{}: {} commits", cost.what, cost.commits);
        assert!(cost.rows <= cost.budget, "{}: {} rows, budget {}", cost.what, cost.rows, cost.budget);
    }
}

async fn put(engine: &Engine) {
    let caller = Caller::default();
    let tenant = TenantSettings { on: true, time_zone: "America/Sao_Paulo".into(), ..Default::default() };
    engine.put_tenant(&caller, TENANT, tenant).await.unwrap();
    let step = |wait: &str, channel: &str| DraftStep {
        wait: wait.into(),
        channel: channel.into(),
        subject: "Your plan".into(),
        body: "Dear {{ contact.name }}, about your plan {{ attributes.plan }}".into(),
        ..Default::default()
    };
    let publish = async |name: &str, draft: Draft| {
        engine.put_sequence(&caller, TENANT, name, draft).await.unwrap();
        engine.publish(&caller, TENANT, name).await.unwrap();
    };
    for lane in 0..LANES {
        let channel = format!("c{lane}");
        let settings =
            ChannelSettings { kind: "email".into(), transport: "outbox".into(), ..Default::default() };
        engine.put_channel(&caller, TENANT, &channel, settings).await.unwrap();
        let steps = vec![step(WAIT, &channel), step("30 days", &channel)];
        publish(&format!("s{lane}"), Draft { steps, ..Default::default() }).await;
    }
    let steps = vec![step("30 days", "c0")];
    publish("charges", Draft { target: "charge".into(), steps, ..Default::default() }).await;
}

/// Enrolls the contacts of a lane.
async fn enroll(
    engine: &Engine,
    sequence: &str,
    lane: usize,
    target: Option<TargetKind>,
) -> Vec<(String, EnrollmentId)> {
    let request = |number: usize| {
        let contact = format!("{sequence}-{lane}-{number:04}");
        Request {
            profile: Profile {
                name: Some(format!("Contact {number}")),
                email: Some(format!("{contact}@mail.example")),
                attributes: [("plan".to_owned(), "gold".to_owned())].into(),
                ..Default::default()
            },
            target: target.map(|kind| TargetRef { kind, id: format!("ch-{lane}-{number}") }),
            contact,
            ..Default::default()
        }
    };
    let requests: Vec<Request> = (0..EACH).map(request).collect();
    let contacts: Vec<String> = requests.iter().map(|request| request.contact.clone()).collect();
    let answers = engine.enroll(&Caller::default(), TENANT, sequence, requests).await.unwrap();
    let id = |answer: EnrollAnswer| match answer {
        EnrollAnswer::Enrolled { id, .. } => id,
        other @ (EnrollAnswer::AlreadyEnrolled { .. } | EnrollAnswer::Refused { .. }) => panic!("{other:?}"),
    };
    contacts.into_iter().zip(answers.into_iter().map(id)).collect()
}

/// These contacts reply.
async fn reply(engine: &Engine, env: &dyn Env, contacts: &[(String, EnrollmentId)]) {
    let call = |contact: &String| EventCall {
        event: Event {
            key: EventKey { source: "inbox".into(), id: contact.clone() },
            kind: EventKind::MessageReceived,
            occurred_at: env.wall(),
            contact: Some(contact.clone()),
            target: None,
            channel: None,
            text: "Yes".into(),
            automatic: false,
        },
        profile: Profile::default(),
    };
    let calls = contacts.iter().map(|(contact, _)| call(contact)).collect();
    for answer in engine.event(&Caller::default(), TENANT, calls).await.unwrap() {
        assert!(matches!(&answer, EventAnswer::Accepted { exited, .. } if exited.len() == 1), "{answer:?}");
    }
}
