//! Invariants over the calls of a run, worked out anew from the plan: E5 hours, E6 limits, E8 stops and holds.

use std::collections::BTreeMap;

use chrono::Datelike;

use super::acks::Held;
use super::deed::Around;
use super::plan::{CHANNELS, SEQUENCES, TenantPlan, business_days_only};
use super::trace::{Begun, Line, What, Whom, render};
use super::windows::{Lives, exceeded, is_quiet, local, per_day};
use super::world::World;

/// A call that began, and where in the trace.
#[derive(Clone)]
struct Call {
    place: usize,
    line: Line,
    begun: Begun,
}

/// Holds every call of a run to the rules.
pub(crate) fn check(world: &World) {
    let (calls, stops, held) = {
        let inner = world.inner();
        let lines = inner.trace.lines.iter().enumerate();
        let calls: Vec<Call> = lines
            .filter_map(|(place, line)| match &line.what {
                What::Begun(begun) => Some(Call { place, line: line.clone(), begun: begun.clone() }),
                _ => None,
            })
            .collect();
        (calls, inner.script.stops.clone(), inner.script.remembered.held.clone())
    };
    for call in &calls {
        hours(world, call);
        holds(world, call, &held);
        for stop in &stops {
            let stopped = match &stop.whom {
                Whom::Enrollment(id) => call.begun.send.enrollment == *id,
                Whom::Contact(tenant, contact, kind) => {
                    call.begun.tenant == *tenant && call.begun.contact == *contact && call.begun.kind == *kind
                }
            };
            let after = call.place >= stop.after && stop.until.is_none_or(|until| call.place < until);
            if stopped && after && !stop.in_flight.contains(&call.begun.send) {
                world.broken(
                    "E8",
                    call.begun.send.enrollment,
                    format!("{} begins after {stop:?}", render(&call.line)),
                );
            }
        }
    }
    limits(world, &calls);
}

fn tenant<'a>(world: &'a World, call: &Call) -> &'a TenantPlan {
    &world.plan.tenants[call.begun.tenant.0 as usize - 1]
}

/// E5.
fn hours(world: &World, call: &Call) {
    let tenant = tenant(world, call);
    let contact: usize = call.begun.contact[1..].parse().unwrap();
    let local = local(tenant.zone_of(contact), call.line.wall);
    let quiet = is_quiet(&tenant.quiet, local);
    let sequence = call.begun.sequence.0 as usize - 1;
    let business = business_days_only(sequence, call.begun.send.step.0);
    if quiet || (business && local.weekday().num_days_from_monday() >= 5) {
        world.broken("E5", call.begun.send.enrollment, format!("{} begins at {local}", render(&call.line)));
    }
}

/// A hold that was acknowledged stops sends within as long as an intent lives.
fn holds(world: &World, call: &Call, held: &[Held]) {
    let over =
        held.iter().filter(|held| held.tenant + 1 == call.begun.tenant.0 as usize).filter(|held| match held
            .scope
        {
            Around::Switch | Around::Tenant => true,
            Around::Channel(place) => CHANNELS[place] == call.begun.channel,
            Around::Sequence(place) => SEQUENCES[place] == SEQUENCES[call.begun.sequence.0 as usize - 1],
        });
    let at = call.line.at;
    for held in over.filter(|held| held.from + 2_100 < at && held.until.is_none_or(|until| at < until)) {
        world.broken(
            "E8",
            call.begun.send.enrollment,
            format!("{} begins under {held:?}", render(&call.line)),
        );
    }
}

/// E6, for each lane.
fn limits(world: &World, calls: &[Call]) {
    let mut lanes: BTreeMap<(u32, &str), Vec<&Call>> = BTreeMap::new();
    for call in calls {
        let lane = lanes.entry((call.begun.tenant.0, call.begun.channel.as_str())).or_default();
        // The same send again: its charge moves with it.
        let earlier =
            lane.iter().rposition(|earlier| call.begun.again && earlier.begun.send == call.begun.send);
        if let Some(earlier) = earlier {
            lane.remove(earlier);
        }
        lane.push(call);
    }
    let mut lives = Lives::default();
    let lines = world.inner().trace.lines.clone();
    lines.iter().for_each(|line| lives.see(line.life, line.at, line.wall));
    let jumped = lines.iter().any(|line| matches!(line.what, What::Jumped(_)));
    for ((tenant, channel), calls) in lanes {
        let plan = &world.plan.tenants[tenant as usize - 1];
        let pace = &plan.pace[CHANNELS.iter().position(|known| *known == channel).unwrap()];
        let starts = lives.starts(calls.iter().map(|call| (call.line.life, call.line.at, call.line.wall)));
        let on_days = per_day(pace, plan.zone, &starts).filter(|_| !jumped);
        for fault in exceeded(pace, &starts).into_iter().chain(on_days) {
            world.broken("E6", channel, format!("{} {channel}: {fault}", plan.name));
        }
    }
}
