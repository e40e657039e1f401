//! The provider at the other end: it takes, refuses, rejects, does not say, is slow, and now and then breaks.
//!
//! It knows a send by its key and takes it once only, as the outbox does; where the plan says that it forgets, it takes
//! whatever comes, and nothing is to come twice.

use std::sync::Arc;
use std::time::Duration;

use followupd_channel::{Answer, Call, Rest, Slot, Transport};
use followupd_domain::enrollment::Enrollment;
use followupd_domain::reaction::{Again, Blames, Reaction, Scope, Until};
use followupd_domain::{SendId, Span};
use futures::future::BoxFuture;

use super::coverage::{Event, Standing};
use super::faults::Place;
use super::plan::CHANNELS;
use super::script;
use super::trace::{Begun, What};
use super::world::{Inner, World};

/// The provider.
pub(crate) struct Provider(pub(crate) Arc<World>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Accepted,
    Refused,
    BackedOff,
    Rejected,
    BadText,
    Throttled,
    Rests,
    Stops,
    AccountBusy,
    Uncertain,
    Breaks,
}

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
            let fate = fate(&mut inner, call.send);
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
            match fate.says {
                Says::Accepted => Answer::Accepted,
                Says::Refused => Answer::refused("busy", Reaction::again(Again::SOON)),
                Says::BackedOff => Answer::refused("connect", Reaction::HOST_RESTS),
                Says::BadText => Answer::refused("bad_text", Reaction::BAD_STEP),
                Says::Throttled => Answer::refused("busy", Reaction::Slow { after: Span::seconds(1) }),
                Says::Rests => {
                    let until = Until::After(Span::minutes(1));
                    Answer::refused("maintenance", Reaction::Hold { scope: Scope::Sender, until })
                }
                Says::AccountBusy => {
                    Answer::refused("80007", Reaction::back_off(Scope::Account, Span::minutes(5)))
                }
                Says::Stops => Answer::refused("spam", Reaction::stop(Scope::Sender)),
                Says::Rejected => Answer::refused("unknown_address", Reaction::never(Blames::Address)),
                Says::Uncertain => Answer::Uncertain,
                Says::Breaks => std::panic::panic_any(super::life::Planned),
            }
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
    let doubt = u32::from(inner.doubtful.contains(&call.send) && !forgets);
    if forgets && inner.taken.contains(&call.send) {
        let what = format!("{:?} is called again, and its provider forgets", call.send);
        inner.broken("E3", call.send.enrollment, what);
    }
    let begun = inner.begun.entry(call.send).or_default();
    *begun += 1;
    let (begun, again) = (*begun, *begun > intents);
    if begun > intents + doubt {
        inner.broken(
            "E7",
            call.send.enrollment,
            format!("call {begun} of {:?} with {intents} durable intents", call.send),
        );
    }
    if enrollment.step > call.send.step {
        inner.broken("E3", call.send.enrollment, format!("{:?} is called though it was settled", call.send));
    }
    let what = Begun {
        send: call.send,
        tenant: enrollment.tenant,
        sequence: enrollment.sequence,
        contact: call.contact.clone(),
        channel: call.channel.to_string(),
        kind: call.kind,
        again,
    };
    if enrollment.contact != call.contact
        || call.tenant.as_str() != world.plan.tenants[enrollment.tenant.0 as usize - 1].name
    {
        inner.broken("E14", call.send.enrollment, format!("{call:?} is another's"));
    }
    if again && doubt == 1 {
        inner.coverage.hit(Standing::of(&enrollment, world.env.now()), Event::Wake);
    }
    world.note_in(inner, What::Begun(what));
}

/// Whether its provider recognises no send.
fn forgets(world: &World, enrollment: &Enrollment, call: &Call) -> bool {
    let place = CHANNELS.iter().position(|channel| *channel == call.channel.as_str()).unwrap();
    world.forgets(enrollment.tenant, place)
}

fn fate(inner: &mut Inner, send: SendId) -> Fate {
    let armed = inner.armed;
    let dice = &mut inner.faults;
    let takes = match dice.below(100) {
        _ if !armed => 1 + dice.span(200),
        0..=59 => 1 + dice.span(300),
        60..=84 => dice.span(5_000),
        85..=94 => dice.span(60_000),
        _ => dice.span(240_000),
    };
    let (says, taken) = match dice.below(100) {
        _ if !armed => (Says::Accepted, true),
        0..=7 => (Says::Refused, false),
        8..=9 => (Says::BackedOff, false),
        10..=13 => (Says::Rejected, false),
        14..=16 => (Says::Uncertain, true),
        17..=19 => (Says::Uncertain, false),
        20 => (Says::Breaks, true),
        21..=24 => (Says::BadText, false),
        25..=26 => (Says::Throttled, false),
        27 => (Says::Rests, false),
        28 if dice.chance(300) => (Says::Stops, false),
        29 => (Says::AccountBusy, false),
        _ => (Says::Accepted, true),
    };
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
    let (event, word) = match fate.says {
        Says::Accepted => (Event::Accepted, "accepted"),
        Says::Refused => (Event::Refused, "refused"),
        Says::BackedOff => (Event::Refused, "backed off"),
        Says::BadText => (Event::Rejected, "bad text"),
        Says::Throttled => (Event::Refused, "throttled"),
        Says::Rests => (Event::Refused, "in maintenance"),
        Says::AccountBusy => (Event::Refused, "told to wait"),
        Says::Stops => (Event::Refused, "stopped"),
        Says::Rejected => (Event::Rejected, "rejected"),
        Says::Uncertain => (Event::Uncertain, "uncertain"),
        Says::Breaks => (Event::Uncertain, "broke"),
    };
    let standing = inner.mirror.get(&send.enrollment).map(|(e, _)| Standing::of(e, world.env.now()));
    if let Some(standing) = standing {
        inner.coverage.hit(standing, event);
    }
    world.note_in(&mut inner, What::Ended(send, word));
}
