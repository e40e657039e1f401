//! Invariants over the calls of a run, worked out anew from the plan: E5 hours, E6 limits, E8 stops and holds.

use std::collections::BTreeMap;

use chrono::Datelike;
use followupd_domain::Span;
use followupd_domain::channel::Kind;

use super::acks::Held;
use super::deed::Around;
use super::plan::{CHANNELS, SEQUENCES, TenantPlan, business_days_only};
use super::trace::{Begun, Line, What, Whom, render};
use super::windows::{
    Lives, Start, contact_cap, exceeded, is_quiet, local, new_recipients, per_day, recipient_gap,
};
use super::world::World;

/// A call that began, and where in the trace.
#[derive(Clone)]
struct Call {
    place: usize,
    line: Line,
    begun: Begun,
    /// Whether it surely reached nobody: its provider said no.
    refused: bool,
}

/// Holds every call of a run to the rules.
pub(crate) fn check(world: &World) {
    let (calls, stops, held) = {
        let inner = world.inner();
        let lines = inner.trace.lines.iter().enumerate();
        let mut calls: Vec<Call> = Vec::new();
        for (place, line) in lines {
            match &line.what {
                What::Begun(begun) => {
                    let (line, begun) = (line.clone(), begun.clone());
                    calls.push(Call { place, line, begun, refused: false });
                }
                What::Ended(send, says) => {
                    let mut known = calls.iter_mut().filter(|call| call.begun.send == *send);
                    if ["rejected", "bad text"].contains(says) {
                        // Who recognises a send and rejects it never took it.
                        known.for_each(|call| call.refused = true);
                    } else {
                        let refused = !["accepted", "uncertain", "broke"].contains(says);
                        known.next_back().unwrap().refused = refused;
                    }
                }
                _ => {}
            }
        }
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
            Around::Switch | Around::Tenant | Around::Account => true,
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
        lanes.entry((call.begun.tenant.0, call.begun.channel.as_str())).or_default().push(call);
    }
    let lanes = lanes.into_iter().map(|(lane, calls)| (lane, once_each(calls.into_iter())));
    let lives = lives(world);
    let intended = world.inner().intended.clone();
    for ((tenant, channel), calls) in lanes {
        let plan = &world.plan.tenants[tenant as usize - 1];
        let place = CHANNELS.iter().position(|known| *known == channel).unwrap();
        let starts = lives.starts(calls.iter().map(|call| (call.line.life, call.line.at, call.line.wall)));
        let first = intended.get(&(tenant, place)).copied();
        let on_days = per_day(&plan.pace[place], plan.zone, (&lives, &starts), first);
        for fault in exceeded(&plan.pace[place], &starts).into_iter().chain(on_days) {
            world.broken("E6", channel, format!("{} {channel}: {fault}", plan.name));
        }
    }
    for (place, plan) in world.plan.tenants.iter().enumerate() {
        let calls: Vec<&Call> =
            once_each(calls.iter().filter(|call| call.begun.tenant.0 as usize == place + 1 && !call.refused));
        let starts = lives.starts(calls.iter().map(|call| (call.line.life, call.line.at, call.line.wall)));
        let starts: Vec<(Start, &Call)> = starts.into_iter().zip(calls).collect();
        for fault in people(world, (place, plan), &starts) {
            world.broken("E6", plan.name, format!("{}: {fault}", plan.name));
        }
    }
}

/// The lives of the run, and its clocks.
fn lives(world: &World) -> Lives {
    let mut lives = Lives::default();
    for line in &world.inner().trace.lines {
        match line.what {
            What::Jumped(by) => lives.jump(by, line.wall),
            What::Kept => lives.keep(line.at, line.wall),
            _ => {}
        }
        lives.see(line.life, line.at, line.wall);
    }
    lives
}

/// Of a send that is called again the last call: its charge moves with it.
fn once_each<'a>(calls: impl Iterator<Item = &'a Call>) -> Vec<&'a Call> {
    let mut each: Vec<&Call> = Vec::new();
    for call in calls {
        let earlier = each.iter().rposition(|one| call.begun.again && one.begun.send == call.begun.send);
        if let Some(earlier) = earlier {
            each.remove(earlier);
        }
        each.push(call);
    }
    each
}

/// What is limited by whom it goes to.
fn people(world: &World, (place, plan): (usize, &TenantPlan), starts: &[(Start, &Call)]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut contacts: BTreeMap<&str, Vec<Start>> = BTreeMap::new();
    let mut through: BTreeMap<(&str, usize), Vec<Start>> = BTreeMap::new();
    for (start, call) in starts {
        let channel = CHANNELS.iter().position(|known| *known == call.begun.channel).unwrap();
        contacts.entry(&call.begun.contact).or_default().push(*start);
        through.entry((&call.begun.contact, channel)).or_default().push(*start);
    }
    if let Some(cap) = plan.contact_per_day {
        faults.extend(contacts.values().filter_map(|starts| contact_cap(cap, starts)));
    }
    for ((_, channel), starts) in &through {
        faults.extend(plan.pace[*channel].recipient_gap.and_then(|gap| recipient_gap(gap, starts)));
    }
    if let Some(cap) = plan.new_recipients {
        let wrote = world.inner().wrote.clone();
        // WhatsApp does not count who wrote within the day before: of those it is not asked.
        let wrote = |call: &Call| {
            let times = wrote.get(&(place, call.begun.contact.clone())).map_or(&[][..], Vec::as_slice);
            times.iter().any(|(at, written)| *at <= call.line.at && call.line.wall - Span::days(1) < *written)
        };
        let counts = |call: &Call| call.begun.kind != Kind::Whatsapp || !wrote(call);
        let counted: Vec<(Start, &str)> = starts
            .iter()
            .filter(|(_, call)| counts(call))
            .map(|(start, call)| (*start, call.begun.contact.as_str()))
            .collect();
        faults.extend(new_recipients(cap, &counted));
    }
    faults.truncate(3);
    faults
}
