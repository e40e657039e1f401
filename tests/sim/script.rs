//! What a seed does to its tenants, and when: enrolls, events, commands, holds, receipts, clock jumps.
//!
//! A question that a dying process left unanswered is asked again of the next one, as a careful client would.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use followupd_domain::enrollment::State;
use followupd_domain::{EnrollmentId, SendId};
use followupd_runtime::{Caller, Command, Engine};
use followupd_store::memory::Memory;
use followupd_store::{Commit, Key};

use super::acks::Remembered;
use super::coverage::{Event, Standing};
use super::deed::{self, Deed};
use super::dice::Dice;
use super::plan::{CHANNELS, CONTACTS, Plan, SEQUENCES};
use super::rows;
use super::trace::Stop;
use super::world::World;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// One thing to do.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// This.
    Do(Deed),
    /// This to an enrollment that stands so, if there is one; else to any.
    To(Option<Standing>, Event),
    /// Look at all rows.
    Check,
}

/// The script of a seed, and what it remembers.
pub(crate) struct Script {
    /// What is still to come, the last first.
    ahead: Vec<(i64, Op)>,
    /// What was asked and not answered, by its number.
    pub(crate) pending: BTreeMap<usize, Deed>,
    /// Chance for what is decided on the way.
    pub(crate) dice: Dice,
    /// The number of the next question.
    pub(crate) next: usize,
    /// Acknowledged stops.
    pub(crate) stops: Vec<Stop>,
    /// What was acknowledged otherwise.
    pub(crate) remembered: Remembered,
}

impl Script {
    /// The script of a seed.
    pub(crate) fn new(mut dice: Dice, plan: &Plan) -> Script {
        let mut ahead = Vec::new();
        for contact in 0..CONTACTS {
            for tenant in 0..3 {
                let (at, sequence) = (dice.span(2 * DAY), dice.below(3) as usize);
                ahead.push((at, Op::Do(Deed::Enroll { tenant, sequence, contact })));
            }
        }
        for _ in 0..25 {
            let (tenant, contact) = (dice.below(3) as usize, dice.below(CONTACTS as u64) as usize);
            let sequence = dice.below(3) as usize;
            ahead.push((dice.span(7 * DAY), Op::Do(Deed::Enroll { tenant, sequence, contact })));
        }
        for _ in 0..45 {
            ahead.push((dice.span(8 * DAY), directed(&mut dice)));
        }
        for _ in 0..6 {
            around(&mut dice, &mut ahead);
        }
        for _ in 0..3 {
            let (tenant, sequence) = (dice.below(3) as usize, dice.below(3) as usize);
            ahead.push((
                dice.span(7 * DAY),
                Op::Do(Deed::Publish { tenant, sequence, edition: 2 + dice.below(9) as u32 }),
            ));
        }
        if dice.chance(350) {
            for _ in 0..1 + dice.below(3) {
                let by = dice.span(4 * HOUR) - 2 * HOUR;
                ahead.push((dice.span(7 * DAY), Op::Do(Deed::Jump(by))));
            }
        }
        if let Some(outage) = &plan.outage {
            // Everybody is enrolled as it begins, so that many get the same.
            for (contact, sequence) in (0..CONTACTS).flat_map(|contact| [(contact, 0), (contact, 2)]) {
                let at = outage.from + dice.span(HOUR / 6);
                ahead.push((at, Op::Do(Deed::Enroll { tenant: outage.tenant, sequence, contact })));
            }
        }
        ahead.extend((1..8).map(|day| (day * DAY, Op::Check)));
        ahead.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        Script {
            ahead,
            pending: BTreeMap::new(),
            dice,
            next: 0,
            stops: Vec::new(),
            remembered: Remembered::default(),
        }
    }
}

/// Something that happens to one enrollment, mostly to one that stands in a certain way.
fn directed(dice: &mut Dice) -> Op {
    let standings = [
        Standing::Waiting,
        Standing::Due,
        Standing::Open,
        Standing::Paused,
        Standing::PausedOpen,
        Standing::Quarantined,
        Standing::Quarantined,
        Standing::Quarantined,
        Standing::Ended,
    ];
    let standing = dice.chance(700).then(|| *dice.pick(&standings));
    Op::To(standing, happening(dice))
}

/// What can be done to an enrollment from outside.
fn happening(dice: &mut Dice) -> Event {
    let all = [
        Event::Delivered,
        Event::Read,
        Event::Failed,
        Event::Reply,
        Event::Reply,
        Event::Stop,
        Event::Goal,
        Event::Cancel,
        Event::Exit,
        Event::Pause,
        Event::Pause,
        Event::Pause,
        Event::Resume,
        Event::Resume,
        Event::Release,
    ];
    *dice.pick(&all)
}

/// A scope is held, or a tenant switched off, for a while.
fn around(dice: &mut Dice, ahead: &mut Vec<(i64, Op)>) {
    let (tenant, at) = (dice.below(3) as usize, dice.span(7 * DAY));
    let until = at + dice.span(12 * HOUR);
    let scope = match dice.below(5) {
        0 => deed::Around::Switch,
        1 => deed::Around::Tenant,
        2 => deed::Around::Account,
        3 => deed::Around::Channel(dice.below(CHANNELS.len() as u64) as usize),
        _ => deed::Around::Sequence(dice.below(SEQUENCES.len() as u64) as usize),
    };
    ahead.push((at, Op::Do(Deed::Hold { tenant, scope })));
    ahead.push((until, Op::Do(Deed::Release { tenant, scope })));
}

/// Plays what is to come before `until`; begins with what was left unanswered.
pub(crate) async fn play(world: &Arc<World>, store: &Memory, until: i64) {
    let left: Vec<(usize, Deed)> = world.inner().script.pending.clone().into_iter().collect();
    for (number, deed) in left {
        tokio::spawn(deed::perform(Arc::clone(world), number, deed));
    }
    loop {
        let next = world.inner().script.ahead.pop();
        let Some((at, op)) = next else { break };
        wait_for(world, at).await;
        match op {
            Op::Do(deed) => ask(world, deed),
            Op::To(standing, event) => to(world, standing, event),
            Op::Check => rows::check(world, &store.dump()),
        }
    }
    wait_for(world, until).await;
}

async fn wait_for(world: &World, at: i64) {
    loop {
        let left = at - world.env.elapsed();
        if left <= 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(left.unsigned_abs())).await;
    }
}

/// Asks something new.
pub(crate) fn ask(world: &Arc<World>, deed: Deed) {
    let number = {
        let mut inner = world.inner();
        if inner.dead {
            return;
        }
        let number = inner.script.next;
        inner.script.next += 1;
        inner.script.pending.insert(number, deed.clone());
        number
    };
    tokio::spawn(deed::perform(Arc::clone(world), number, deed));
}

fn to(world: &Arc<World>, standing: Option<Standing>, event: Event) {
    let found = {
        let mut inner = world.inner();
        let now = world.env.now();
        let all: Vec<_> = inner.mirror.keys().copied().collect();
        let like: Vec<_> = inner
            .mirror
            .values()
            .filter(|(enrollment, _)| standing.is_none_or(|wanted| Standing::of(enrollment, now) == wanted))
            .map(|(enrollment, _)| enrollment.id)
            .collect();
        let among = if like.is_empty() { all } else { like };
        (!among.is_empty()).then(|| *inner.script.dice.pick(&among))
    };
    if let Some(deed) = found.and_then(|id| deed::on(world, id, event)) {
        ask(world, deed);
    }
}

/// Things happen to one enrollment, one after another, with pauses of up to `pause` milliseconds.
async fn chain(world: Arc<World>, id: EnrollmentId, events: Vec<Event>, pause: i64) {
    for event in events {
        let pause = world.inner().script.dice.span(pause);
        tokio::time::sleep(Duration::from_millis(pause.unsigned_abs())).await;
        // In the calm everything has been let go on, and has to come to its end.
        let stays = matches!(event, Event::Pause | Event::Hold) && !world.inner().armed;
        let Some(deed) = deed::on(&world, id, event).filter(|_| !stays) else { continue };
        let release = match deed {
            Deed::Hold { tenant, scope } => Some(Deed::Release { tenant, scope }),
            _ => None,
        };
        ask(&world, deed);
        if let Some(release) = release {
            let pause = world.inner().script.dice.span(2 * HOUR);
            tokio::time::sleep(Duration::from_millis(pause.unsigned_abs())).await;
            ask(&world, release);
        }
    }
}

/// An intent is on its way to the store: now and then something that should stop it overtakes it.
pub(crate) fn race(world: &Arc<World>, intent: &Commit) -> bool {
    let mut inner = world.inner();
    if !inner.armed || inner.dead || !inner.script.dice.chance(60) {
        return false;
    }
    let all = [Event::Stop, Event::Stop, Event::Stop, Event::Reply, Event::Exit, Event::Cancel, Event::Hold];
    let event = *inner.script.dice.pick(&all);
    let written: BTreeSet<_> = intent.puts.iter().map(|(key, _)| key.clone()).collect();
    let whose = inner.mirror.keys().find(|id| written.contains(&Key::enrollment(**id))).copied();
    if let Some(id) = whose {
        tokio::spawn(chain(Arc::clone(world), id, vec![event], 1));
    }
    whose.is_some()
}

/// A call has begun: things happen while it is out, and receipts come of it, late, repeated and out of order.
pub(crate) fn after_begin(world: &Arc<World>, send: SendId, taken: bool, takes: i64) {
    let mut inner = world.inner();
    if !inner.armed {
        return;
    }
    let dice = &mut inner.script.dice;
    if takes > 4_000 && dice.chance(700) {
        let mut events = Vec::new();
        if taken && dice.chance(400) {
            events.push(*dice.pick(&[Event::Delivered, Event::Read, Event::Failed]));
        }
        if dice.chance(500) {
            events.push(*dice.pick(&[Event::Pause, Event::Pause, Event::Exit, Event::Reply]));
        }
        events.push(if dice.chance(150) { Event::Hold } else { happening(dice) });
        tokio::spawn(chain(Arc::clone(world), send.enrollment, events, 4_000));
    }
    if taken && dice.chance(400) {
        for _ in 0..1 + dice.below(3) {
            let receipt = *dice.pick(&[Event::Delivered, Event::Delivered, Event::Read, Event::Failed]);
            let late = if dice.chance(700) { takes + dice.span(60_000) } else { takes + dice.span(2 * DAY) };
            let world = Arc::clone(world);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(late.unsigned_abs())).await;
                ask(&world, Deed::Receipt { send, event: receipt });
            });
        }
    }
}

/// Nothing goes wrong any more: what is held is released, what is paused or set apart goes on or leaves.
pub(crate) async fn settle(world: &Arc<World>, engine: &Engine) {
    answered(world).await;
    for (tenant, plan) in world.plan.tenants.iter().enumerate() {
        deed::Around::all().into_iter().for_each(|scope| ask(world, Deed::Release { tenant, scope }));
        let quarantined = engine.quarantined(&Caller::default(), plan.name, None, 1_000).await.unwrap().ids;
        for (n, id) in quarantined.into_iter().enumerate() {
            let command = if n % 2 == 0 { Command::Release } else { Command::Exit };
            ask(world, Deed::Command { tenant, id, command });
        }
    }
    let paused: Vec<_> = {
        let inner = world.inner();
        let paused = inner.mirror.values().filter(|(e, _)| matches!(e.state, State::Paused { .. }));
        paused.map(|(e, _)| (e.tenant.0 as usize - 1, e.id)).collect()
    };
    for (tenant, id) in paused {
        ask(world, Deed::Command { tenant, id, command: Command::Resume });
    }
    answered(world).await;
}

async fn answered(world: &World) {
    while !world.inner().script.pending.is_empty() {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
}
