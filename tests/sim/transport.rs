//! The provider at the other end: it takes, refuses, rejects, does not say, is slow, and now and then breaks.
//!
//! It knows a send by its key and takes it once only, as the outbox does; where the plan says that it forgets, it takes
//! whatever comes, and nothing is to come twice.

use std::sync::Arc;
use std::time::Duration;

use followupd_channel::{Answer, Call, Rest, Slot, Transport};
use followupd_domain::SendId;
use followupd_domain::enrollment::Enrollment;
use futures::future::BoxFuture;

use super::coverage::Standing;
use super::faults::Place;
use super::plan::CHANNELS;
use super::says::Says;
use super::script;
use super::trace::{Begun, What};
use super::world::{Inner, World};

/// The provider.
pub(crate) struct Provider(pub(crate) Arc<World>);

/// What will come of a call.
#[derive(Clone, Copy, Debug)]
struct Fate {
    says: Says,
    /// Whether it is taken, and whether as soon as the call begins.
    taken: bool,
    at_once: bool,
    /// How long the call takes, in milliseconds.
    takes: i64,
}

impl Transport for Provider {
    fn slot(&self, _urgent: bool) -> BoxFuture<'_, Result<Slot, Rest>> {
        let mut inner = self.0.inner();
        let rests = inner.armed && inner.faults.chance(10);
        let rest = Duration::from_millis(inner.faults.span(60_000).unsigned_abs());
        Box::pin(async move { if rests { Err(Rest(rest)) } else { Ok(Slot::default()) } })
    }

    fn call(&self, call: Call, _slot: Slot) -> BoxFuture<'_, Answer> {
        let world = Arc::clone(&self.0);
        let fate = {
            let mut inner = world.inner();
            if inner.dead {
                return Box::pin(std::future::pending());
            }
            begins(&world, &mut inner, &call);
            if inner.dies_at(Place::CallBegins) {
                world.die(&mut inner, &Place::CallBegins.word());
                return Box::pin(std::future::pending());
            }
            let fate = fate(&world, &mut inner, &call);
            if fate.taken && fate.at_once {
                inner.taken.insert(call.send);
            }
            fate
        };
        script::after_begin(&world, call.send, fate.taken, fate.takes);
        Box::pin(async move {
            let pause = |ms: i64| tokio::time::sleep(Duration::from_millis(ms.unsigned_abs()));
            pause(fate.takes / 2).await;
            if dies(&world, Place::CallUnderWay) {
                return std::future::pending().await;
            }
            pause(fate.takes - fate.takes / 2).await;
            ends(&world, call.send, fate);
            if dies(&world, Place::CallAnswered) {
                return std::future::pending().await;
            }
            fate.says.answer().unwrap_or_else(|| std::panic::panic_any(super::life::Planned))
        })
    }
}

fn dies(world: &World, place: Place) -> bool {
    let mut inner = world.inner();
    let dies = inner.dies_at(place);
    if dies {
        world.die(&mut inner, &place.word());
    }
    dies
}

/// Writes down that a call begins, and holds E7 and E3 over it.
fn begins(world: &World, inner: &mut Inner, call: &Call) {
    let Some((enrollment, _)) = inner.mirror.get(&call.send.enrollment).cloned() else {
        return inner.broken("E7", call.send.enrollment, "a call of an enrollment that is not durable");
    };
    let intents = inner.intents.get(&call.send).copied().unwrap_or(0);
    let forgets = forgets(world, &enrollment, call);
    if forgets && inner.taken.contains(&call.send) {
        let what = format!("{:?} is called again, and its provider forgets", call.send);
        inner.broken("E3", call.send.enrollment, what);
    }
    let begun = inner.begun.entry(call.send).or_default();
    *begun += 1;
    let begun = *begun;
    if begun > intents {
        inner.broken(
            "E7",
            call.send.enrollment,
            format!("call {begun} of {:?} with {intents} durable intents", call.send),
        );
    }
    if enrollment.step > call.send.step {
        inner.broken("E3", call.send.enrollment, format!("{:?} is called though it was settled", call.send));
    }
    let (wall, not_before) = (world.env.now(), inner.words.not_before.remove(&call.send));
    if not_before.is_some_and(|not_before| wall < not_before) {
        let what = format!("{:?} is called at {} though not before {not_before:?}", call.send, wall.0);
        inner.broken("E5", call.send.enrollment, what);
    }
    let what = Begun {
        send: call.send,
        tenant: enrollment.tenant,
        sequence: enrollment.sequence,
        version: enrollment.version,
        contact: call.contact.clone(),
        channel: call.channel.to_string(),
        kind: call.kind,
    };
    if enrollment.contact != call.contact
        || call.tenant.as_str() != world.plan.tenants[enrollment.tenant.0 as usize - 1].name
    {
        inner.broken("E14", call.send.enrollment, format!("{call:?} is another's"));
    }
    world.note_in(inner, What::Begun(what));
}

/// Whether its provider recognises no send.
fn forgets(world: &World, enrollment: &Enrollment, call: &Call) -> bool {
    let place = CHANNELS.iter().position(|channel| *channel == call.channel.as_str()).unwrap();
    world.forgets(enrollment.tenant, place)
}

fn fate(world: &World, inner: &mut Inner, call: &Call) -> Fate {
    let (send, now) = (call.send, world.env.elapsed());
    let outage = world.plan.outage.as_ref().filter(|outage| {
        let is_theirs = world.plan.tenants[outage.tenant].name == call.tenant.as_str();
        is_theirs && (outage.from..outage.from + outage.span).contains(&now)
    });
    let armed = inner.armed;
    let dice = &mut inner.faults;
    let takes = match dice.below(100) {
        _ if !armed => 1 + dice.span(200),
        0..=59 => 1 + dice.span(300),
        60..=84 => dice.span(5_000),
        85..=94 => dice.span(60_000),
        _ => dice.span(240_000),
    };
    let (says, taken) = if armed { Says::draw(dice) } else { (Says::Accepted, true) };
    let outage = outage.filter(|outage| armed && dice.chance(outage.in_thousand));
    let (says, taken) = outage.map_or((says, taken), |outage| (outage.says, false));
    let at_once = dice.chance(500);
    // A key it knows is the same message again.
    let known = inner.taken.contains(&send);
    let says = if known && says != Says::Uncertain { Says::Accepted } else { says };
    Fate { says, taken: taken || known, at_once, takes }
}

fn ends(world: &World, send: SendId, fate: Fate) {
    let mut inner = world.inner();
    if inner.dead {
        return;
    }
    if fate.taken {
        inner.taken.insert(send);
    }
    let (event, word) = (fate.says.event(), fate.says.word());
    inner.coverage.count(&format!("said {word}"));
    inner.words.answered(send, fate.says, world.env.now());
    let standing = inner.mirror.get(&send.enrollment).map(|(e, _)| Standing::of(e, world.env.now()));
    if let Some(standing) = standing {
        inner.coverage.hit(standing, event);
    }
    world.note_in(&mut inner, What::Ended(send, word));
}
