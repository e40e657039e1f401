//! One life of the process: a runtime of its own in virtual time, the engine on what the store holds, the script.

use std::sync::Arc;
use std::time::Duration;

use followupd_channel::transports::Transports;
use followupd_runtime::plant::Planted;
use followupd_runtime::{Caller, Config, Engine};
use followupd_store::memory::Memory;

use super::coverage::Coverage;
use super::faults::{Crash, Faults};
use super::plan::{ACCOUNT, CHANNELS, SEQUENCES, draft};
use super::trace::render;
use super::transport::Provider;
use super::world::{Violation, World};
use super::{calls, deed, rows, script};

/// The payload of a panic that a test wants.
pub(crate) struct Planned;

/// What a seed came to.
pub(crate) struct Report {
    /// The seed.
    pub(crate) seed: u64,
    /// What it broke.
    pub(crate) violations: Vec<Violation>,
    /// What it came by.
    pub(crate) coverage: Coverage,
    /// Its trace, as a number.
    pub(crate) hash: u64,
    /// Its trace, for people.
    pub(crate) trace: Vec<String>,
    /// The lines of the trace about the first violation.
    pub(crate) excerpt: Vec<String>,
    /// Calls that began.
    pub(crate) calls: usize,
}

/// Days after which nothing goes wrong any more.
const CALM_AFTER: i64 = 8 * 86_400_000;
/// Days a run has.
const RUN: i64 = 10 * 86_400_000;
/// Days after which every enrollment is over (E12): the longest pace lets everything go by then.
const BOUND: i64 = 30 * 86_400_000;

/// Runs a seed.
pub(crate) fn run(seed: u64, planted: Planted) -> Report {
    quiet_planned_panics();
    let world = World::new(seed);
    let mut store = Memory::new(Arc::new(Faults(Arc::clone(&world))));
    while !live(&world, &store, planted) {
        rows::check(&world, &store.dump());
        store = store.crash();
        let down = {
            let mut inner = world.inner();
            if inner.faults.chance(800) { inner.faults.span(5_000) } else { inner.faults.span(3 * 3_600_000) }
        };
        // The machine goes on without it.
        world.env.stall(down);
    }
    rows::check(&world, &store.dump());
    rows::check_end(&world, &store.dump());
    calls::check(&world);
    report(&world)
}

fn report(world: &World) -> Report {
    let inner = world.inner();
    let lines = &inner.trace.lines;
    let excerpt = inner.violations.first().map(|first| inner.trace.about(&first.about, 60));
    Report {
        seed: world.seed,
        violations: inner.violations.clone(),
        coverage: inner.coverage.clone(),
        hash: inner.trace.hash(),
        trace: lines.iter().map(render).collect(),
        excerpt: excerpt.unwrap_or_default(),
        calls: lines.iter().filter(|line| matches!(line.what, super::trace::What::Begun(_))).count(),
    }
}

/// One life; whether the run came to its end in it.
fn live(world: &Arc<World>, store: &Memory, planted: Planted) -> bool {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let done = runtime.block_on(async {
        world.env.begin();
        let set_by = set_the_clock(world);
        world.begin_life(store);
        if let Some(by) = set_by {
            world.note(super::trace::What::Jumped(by));
        }
        plan_crash(world);
        let done = tokio::select! {
            biased;
            () = world.death.notified() => false,
            () = drive(world, store, planted) => true,
        };
        // The runtime's clock cannot be read outside of it.
        world.env.end();
        done
    });
    world.inner().engine = None;
    drop(runtime);
    done
}

fn plan_crash(world: &World) {
    let mut inner = world.inner();
    let inner = &mut *inner;
    if inner.life <= 5 && inner.faults.chance(900) {
        inner.crash = Some(Crash::draw(&mut inner.faults));
    }
}

async fn drive(world: &Arc<World>, store: &Memory, planted: Planted) {
    let engine = start(world, store, planted).await;
    go_on(world, &engine).await;
    tokio::spawn(keep_time(Arc::clone(world), engine.clone()));
    tokio::spawn(look_after(Arc::clone(world), engine.clone()));
    world.inner().engine = Some(engine.clone());
    if !world.inner().armed && world.env.elapsed() < CALM_AFTER {
        set_up(world, &engine).await;
        world.inner().armed = true;
        plan_crash(world);
    }
    script::play(world, store, CALM_AFTER).await;
    calm(world);
    script::settle(world, &engine).await;
    loop {
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        let over = world
            .inner()
            .mirror
            .values()
            .all(|(enrollment, _)| enrollment.state.is_over() && enrollment.open.is_none());
        if world.env.elapsed() > BOUND || (over && world.env.elapsed() > RUN) {
            return;
        }
    }
}

fn calm(world: &World) {
    let mut inner = world.inner();
    inner.armed = false;
    inner.crash = None;
    world.poison.on.store(false, std::sync::atomic::Ordering::Relaxed);
}

/// Starts the engine. Where that fails the process gives up, as the daemon does.
async fn start(world: &Arc<World>, store: &Memory, planted: Planted) -> Engine {
    let transport = Transports::only(Arc::new(Provider(Arc::clone(world))));
    let config = Config { planted: planted.poisoning(world.poison) };
    match Engine::start(config, Arc::new(store.clone()), Arc::clone(&world.env) as _, transport).await {
        Ok(engine) => engine,
        Err(_) => {
            world.die(&mut world.inner(), "start");
            std::future::pending().await
        }
    }
}

/// Now and then somebody sets the wall clock while the process is down: by how much. One that is set ahead cannot be told
/// from time that has passed, and limits go by it.
fn set_the_clock(world: &World) -> Option<i64> {
    let by = {
        let mut inner = world.inner();
        let now_and_then = inner.life > 0 && inner.armed && inner.faults.chance(100);
        now_and_then.then(|| inner.faults.span(4 * 3_600_000) - 2 * 3_600_000)?
    };
    world.env.jump(by);
    Some(by)
}

/// Where a start holds all sending, as after a jump of the clock or a long sleep, a person looks and lets it go on.
async fn go_on(world: &World, engine: &Engine) {
    let Some(stop) = engine.stopped() else { return };
    world.inner().coverage.held_starts += 1;
    tokio::time::sleep(Duration::from_secs(300)).await;
    let begun = {
        let inner = world.inner();
        let lines = inner.trace.lines.iter().rev().take_while(|line| line.life == inner.life);
        lines.filter(|line| matches!(line.what, super::trace::What::Begun(_))).count()
    };
    if begun > 0 {
        world.broken("E8", "held", format!("{begun} calls begin while all sending is held: {stop:?}"));
    }
    while engine.resume_sending(&Caller::default()).await.is_err() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// A person looks now and then at what providers' words hold, and lets it go on.
async fn look_after(world: Arc<World>, engine: Engine) {
    loop {
        tokio::time::sleep(Duration::from_secs(1_800)).await;
        for (tenant, plan) in world.plan.tenants.iter().enumerate() {
            let held = engine.holds(&Caller::default(), plan.name).await.unwrap_or_default();
            let all = deed::Around::all();
            let by_itself = |scope: &deed::Around| {
                held.iter().any(|held| held.held.by == "followupd" && held.scope == scope.name())
            };
            for scope in all.into_iter().filter(by_itself) {
                // What cannot be released now is there the next time.
                let _ = deed::release(&world, &engine, tenant, scope).await;
            }
        }
    }
}

/// Has the engine write down what the clock says, as the daemon does, and more seldom.
async fn keep_time(world: Arc<World>, engine: Engine) {
    loop {
        // One that is not written is written the next time.
        if engine.keep_time().await.is_ok() {
            world.note(super::trace::What::Kept);
        }
        tokio::time::sleep(Duration::from_secs(600)).await;
    }
}

async fn set_up(world: &World, engine: &Engine) {
    let caller = Caller::default();
    for tenant in &world.plan.tenants {
        engine.put_tenant(&caller, tenant.name, tenant.settings(true)).await.unwrap();
        engine.put_account(&caller, tenant.name, ACCOUNT, tenant.account()).await.unwrap();
        for (place, channel) in CHANNELS.iter().enumerate() {
            engine.put_channel(&caller, tenant.name, channel, tenant.channel(place)).await.unwrap();
        }
        for (place, sequence) in SEQUENCES.iter().enumerate() {
            engine.put_sequence(&caller, tenant.name, sequence, draft(place, 1)).await.unwrap();
            engine.publish(&caller, tenant.name, *sequence).await.unwrap();
        }
    }
}

/// Panics that a test wants say nothing; all others speak up as ever.
pub(crate) fn quiet_planned_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let planned =
                panic.payload().is::<Planned>() || panic.payload().is::<followupd_runtime::plant::Poisoned>();
            if !planned {
                usual(panic);
            }
        }));
    });
}
