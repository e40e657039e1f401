//! One lane under random limits, hours, arrivals, crashes and clock jumps: the real pacer, and every start of a call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use followupd_channel::transports::Transports;
use followupd_channel::{Answer, Call, Slot, Transport};
use followupd_domain::decide::enroll::{Profile, Request};
use followupd_domain::reaction::{Again, Reaction};
use followupd_domain::sequence::{Draft, DraftStep};
use followupd_domain::{Moment, SendId};
use followupd_runtime::{Caller, Config, Engine};
use followupd_store::memory::Memory;
use futures::future::BoxFuture;
use proptest::prelude::*;

use super::dice::Dice;
use super::env::SimEnv;
use super::plan::{ACCOUNT, CHANNELS, Pace, Quiet, TenantPlan};
use super::windows::{Lives, exceeded, is_quiet, local, per_day};

const HOUR: i64 = 3_600_000;
/// 2026-10-24, the day before Berlin puts its clocks back.
const START: i64 = 1_792_800_000_000;
const ZONE: &str = "Europe/Berlin";

/// A lane and what happens to it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pace: Pace,
    quiet: Vec<Quiet>,
    contacts: u16,
    /// When the process dies, in minutes.
    crashes: BTreeSet<u16>,
    /// When the wall jumps, in minutes, and by how many.
    jumps: BTreeMap<u16, i8>,
    seed: u64,
}

/// Any case.
pub(crate) fn case() -> impl Strategy<Value = Case> {
    let rate = prop::option::of((1..6u32, 1..90i64, 1..5u32));
    let rate = rate.prop_map(|rate| rate.map(|(count, per, burst)| (count, per * 1_000, burst)));
    let gap = prop::option::weighted(0.3, (1..120i64).prop_map(|gap| gap * 1_000));
    let caps = (prop::option::of(1..6u32), prop::option::of(2..20u32), prop::option::weighted(0.3, 5..40u32));
    let rest = prop::option::weighted(0.3, (1..6u32, 3..40i64).prop_map(|(after, m)| (after, m * 60_000)));
    let more =
        (prop::option::of((1..60i64).prop_map(|s| s * 1_000)), rest, prop::option::of((1..4u32, 1..5u32)));
    let pace = (rate, gap, caps, more);
    let pace = pace.prop_map(|(rate, gap, (per_minute, per_hour, per_day), (jitter, rest, warm_up))| Pace {
        // A burst that a gap makes impossible is refused when it is put.
        rate: rate.map(|(count, per, burst)| (count, per, if gap.is_some() { 1 } else { burst })),
        gap,
        jitter: jitter.filter(|_| gap.is_some()),
        per_minute,
        per_hour,
        per_day,
        rest,
        warm_up: warm_up.filter(|_| per_day.is_some()),
        ..Pace::default()
    });
    let quiet = prop::option::of((0..1_440u16, 60..1_200u16)).prop_map(|window| {
        let every = |from, to| Quiet { spelt: "mon-sun", days: (0..7).collect(), from, to };
        window.map(|(from, length)| every(from, (from + length) % 1_440)).into_iter().collect()
    });
    let minutes = 1..2_000u16;
    let crashes = prop::collection::btree_set(minutes.clone(), 0..5);
    let jumps = prop::collection::btree_map(minutes, -120..120i8, 0..3);
    (pace, quiet, 5..60u16, crashes, jumps, any::<u64>()).prop_map(
        |(pace, quiet, contacts, crashes, jumps, seed)| Case { pace, quiet, contacts, crashes, jumps, seed },
    )
}

/// A call that began.
struct Begun {
    life: u32,
    at: i64,
    wall: Moment,
}

/// What a provider writes down of the calls it gets.
struct Seen {
    env: Arc<SimEnv>,
    inner: Mutex<Inner>,
}

struct Inner {
    life: u32,
    begun: Vec<(SendId, Begun)>,
    dice: Dice,
}

impl Transport for Seen {
    fn call(&self, call: Call, _slot: Slot) -> BoxFuture<'_, Answer> {
        let mut inner = self.inner.lock().unwrap();
        let begun = Begun { life: inner.life, at: self.env.elapsed(), wall: self.env.now() };
        inner.begun.push((call.send, begun));
        let (refused, uncertain) = (inner.dice.chance(150), inner.dice.chance(50));
        let takes = if inner.dice.chance(700) { inner.dice.span(400) } else { inner.dice.span(20_000) };
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(takes.unsigned_abs())).await;
            match (refused, uncertain) {
                (true, _) => Answer::refused("busy", Reaction::again(Again::SOON)),
                (_, true) => Answer::Uncertain,
                _ => Answer::Accepted,
            }
        })
    }
}

/// Plays a case; what it broke, and how many calls began.
pub(crate) fn play(case: &Case) -> (Vec<String>, usize) {
    let env = Arc::new(SimEnv::new(START, Dice::new(case.seed, 2)));
    let inner = Inner { life: 0, begun: Vec::new(), dice: Dice::new(case.seed, 3) };
    let seen = Arc::new(Seen { env: Arc::clone(&env), inner: Mutex::new(inner) });
    let (mut store, mut lives) = (Memory::default(), Lives::default());
    let mut moments: Vec<(i64, Option<i8>)> = case.crashes.iter().map(|at| (i64::from(*at), None)).collect();
    moments.extend(case.jumps.iter().map(|(at, by)| (i64::from(*at), Some(*by))));
    moments.sort_unstable();
    let mut arrivals: Vec<i64> =
        (0..case.contacts).map(|_| seen.inner.lock().unwrap().dice.span(30 * HOUR)).collect();
    arrivals.sort_unstable_by_key(|at| std::cmp::Reverse(*at));
    loop {
        seen.begin_life();
        let died = Life { case, env: &env, seen: &seen, store: &store }.live(
            &mut moments,
            &mut arrivals,
            &mut lives,
        );
        if !died {
            break;
        }
        store = store.crash();
        let down = seen.inner.lock().unwrap().dice.span(90_000);
        env.stall(down);
    }
    let inner = seen.inner.lock().unwrap();
    (faults(case, &lives, &inner.begun), inner.begun.len())
}

impl Seen {
    fn begin_life(&self) {
        self.inner.lock().unwrap().life += 1;
    }
}

struct Life<'a> {
    case: &'a Case,
    env: &'a Arc<SimEnv>,
    seen: &'a Arc<Seen>,
    store: &'a Memory,
}

impl Life<'_> {
    /// Lives until the next crash; whether there was one.
    fn live(&self, moments: &mut Vec<(i64, Option<i8>)>, arrivals: &mut Vec<i64>, lives: &mut Lives) -> bool {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            self.env.begin();
            let life = self.seen.inner.lock().unwrap().life;
            lives.see(life, self.env.elapsed(), self.env.now());
            let engine = self.engine(life == 1).await;
            let died = loop {
                let moment = moments.first().map(|(minute, _)| minute * 60_000);
                let arrival = arrivals.last().copied();
                let Some(next) = moment.into_iter().chain(arrival).min() else {
                    self.until(60 * HOUR).await;
                    break false;
                };
                self.until(next).await;
                if arrival == Some(next) {
                    arrivals.pop();
                    enroll(&engine, arrivals.len()).await;
                    engine.keep_time().await.unwrap();
                    lives.keep(self.env.elapsed(), self.env.now());
                    continue;
                }
                match moments.remove(0).1 {
                    None => break true,
                    Some(by) => {
                        let by = i64::from(by) * 60_000;
                        self.env.jump(by);
                        lives.jump(by, self.env.now());
                    }
                }
                lives.see(life, self.env.elapsed(), self.env.now());
            };
            lives.see(life, self.env.elapsed(), self.env.now());
            self.env.end();
            died
        })
    }

    async fn until(&self, at: i64) {
        let left = at - self.env.elapsed();
        tokio::time::sleep(Duration::from_millis(left.max(0).unsigned_abs())).await;
    }

    async fn engine(&self, first: bool) -> Engine {
        let (store, env) = (Arc::new(self.store.clone()), Arc::clone(self.env));
        let transports = Transports::only(Arc::clone(self.seen) as _);
        let engine = Engine::start(Config::default(), store, env, transports).await.unwrap();
        if engine.stopped().is_some() {
            // A person looks at a clock that jumped, and lets it go on.
            engine.resume_sending(&Caller::default()).await.unwrap();
        }
        if first {
            let caller = Caller::default();
            let pace = [self.case.pace.clone(), Pace::default()];
            let plan = TenantPlan {
                name: "acme",
                zone: ZONE,
                contact_zone: false,
                quiet: self.case.quiet.clone(),
                pace,
                contact_per_day: None,
                contact_per_week: None,
                new_recipients: None,
            };
            engine.put_tenant(&caller, "acme", plan.settings(true)).await.unwrap();
            engine.put_account(&caller, "acme", ACCOUNT, plan.account()).await.unwrap();
            engine.put_channel(&caller, "acme", CHANNELS[0], plan.channel(0)).await.unwrap();
            let step = |wait: &str| DraftStep {
                wait: wait.into(),
                channel: CHANNELS[0].into(),
                body: "hello".into(),
                ..DraftStep::default()
            };
            let draft = Draft { steps: vec![step(""), step("40 minutes")], ..Draft::default() };
            engine.put_sequence(&caller, "acme", "only", draft).await.unwrap();
            engine.publish(&caller, "acme", "only").await.unwrap();
        }
        engine
    }
}

async fn enroll(engine: &Engine, contact: usize) {
    let email = Some(format!("c{contact}@mail.example"));
    let profile = Profile { email, ..Profile::default() };
    let request = Request { contact: format!("c{contact}"), profile, ..Request::default() };
    engine.enroll(&Caller::default(), "acme", "only", vec![request]).await.unwrap();
}

fn faults(case: &Case, lives: &Lives, begun: &[(SendId, Begun)]) -> Vec<String> {
    let quiet =
        begun.iter().map(|(_, begun)| local(ZONE, begun.wall)).filter(|at| is_quiet(&case.quiet, *at));
    let mut faults: Vec<String> = quiet.map(|at| format!("a call began at {at}")).collect();
    let starts = lives.starts(begun.iter().map(|(_, begun)| (begun.life, begun.at, begun.wall)));
    faults.extend(exceeded(&case.pace, &starts));
    let first = begun.iter().map(|(_, begun)| begun.wall).min();
    faults.extend(per_day(&case.pace, ZONE, (lives, &starts), first));
    faults
}
