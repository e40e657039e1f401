//! Invariants over the calls of a run, worked out anew from the plan: E5 hours, E6 limits, E8 stops and holds.

use std::collections::BTreeMap;

use chrono::Datelike;
use followupd_domain::channel::Kind;
use followupd_domain::limits::UNUSABLE_FOR;
use followupd_domain::{Moment, Span};

use super::acks::Held;
use super::deed::Around;
use super::plan::{CHANNELS, SEQUENCES, TenantPlan, business_days_only};
use super::trace::{Begun, Line, What, Whom, render};
use super::windows::{
    Lives, Start, bound, contact_cap, exceeded, is_quiet, local, new_recipients, per_day, recipient_gap,
};
use super::words::Bound;
use super::world::{World, Wrote};

/// A call that began, and where in the trace.
#[derive(Clone)]
struct Call {
    place: usize,
    line: Line,
    begun: Begun,
    /// Whether it surely reached nobody: its provider said no.
    refused: bool,
    /// Whether nothing of it left: no limit of its lane counts it.
    unsent: bool,
}

/// Holds every call of a run to the rules.
pub(crate) fn check(world: &World) {
    let (calls, stops, held, wrote) = {
        let inner = world.inner();
        let lines = inner.trace.lines.iter().enumerate();
        let mut calls: Vec<Call> = Vec::new();
        for (place, line) in lines {
            match &line.what {
                What::Begun(begun) => {
                    let (line, begun) = (line.clone(), begun.clone());
                    calls.push(Call { place, line, begun, refused: false, unsent: false });
                }
                What::Ended(send, says) => {
                    let mut known = calls.iter_mut().filter(|call| call.begun.send == *send);
                    if ["rejected", "bad text", "opted out"].contains(says) {
                        // Who recognises a send and rejects it never took it.
                        known.for_each(|call| call.refused = true);
                    } else {
                        let call = known.next_back().unwrap();
                        call.refused = !["accepted", "uncertain", "broke"].contains(says);
                        call.unsent = *says == "not reached";
                    }
                }
                _ => {}
            }
        }
        (calls, inner.script.stops.clone(), inner.script.remembered.held.clone(), inner.wrote.clone())
    };
    for call in &calls {
        hours(world, call);
        holds(world, call, &held);
        told(world, call);
        for stop in &stops {
            let stopped = match &stop.whom {
                Whom::Enrollment(id) => call.begun.send.enrollment == *id,
                Whom::Contact(tenant, contact, kind) => {
                    call.begun.tenant == *tenant && call.begun.contact == *contact && call.begun.kind == *kind
                }
            };
            let after = call.place >= stop.after && stop.until.is_none_or(|until| call.place < until);
            let after = after && stop.ends_at.is_none_or(|ends_at| is_unusable(&wrote, call, ends_at));
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

/// Whether an address that is unusable until then is so still: who has written since has been reached.
fn is_unusable(wrote: &BTreeMap<(usize, String), Vec<Wrote>>, call: &Call, ends_at: Moment) -> bool {
    let begun = &call.begun;
    let who = (begun.tenant.0 as usize - 1, begun.contact.clone());
    let since = |wrote: &&Wrote| {
        wrote.at <= call.line.at
            && wrote.occurred_at + UNUSABLE_FOR > ends_at
            && wrote.kind.is_none_or(|kind| kind == begun.kind)
    };
    call.line.wall < ends_at && wrote.get(&who).and_then(|times| times.iter().find(since)).is_none()
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

/// What a provider's word holds, once that is durable, stops sends within as long as an intent lives, until its span is
/// over or its release is asked for.
fn told(world: &World, call: &Call) {
    let begun = &call.begun;
    let over = |bound: Bound| match bound {
        Bound::Channel(place) => CHANNELS[place] == begun.channel,
        Bound::Account => true,
        Bound::Step(step) => step == (begun.sequence, begun.version, begun.send.step),
    };
    let told = world.inner().words.told.clone();
    let over = told.iter().filter(|told| told.tenant + 1 == begun.tenant.0 as usize && over(told.bound));
    let (at, wall) = (call.line.at, call.line.wall);
    for told in over.filter(|told| told.from + 2_100 < at && told.holds(at, wall)) {
        let what = format!("{} begins under {told:?}", render(&call.line));
        world.broken("E8", begun.send.enrollment, what);
    }
}

/// Where a lane with a rate was told to slow down: of two starts that follow, the second waits longer than its pace alone
/// would have it. Loosely: the pace comes back by a twentieth every 10 s, and a look may take its time.
fn slowed(world: &World, calls: &[&Call], (tenant, place): (usize, usize)) {
    let Some((count, per, _)) = world.plan.tenants[tenant].pace[place].rate else { return };
    let interval = per / i64::from(count);
    let slowed = world.inner().words.slowed.clone();
    for slowed in slowed.iter().filter(|slowed| (slowed.tenant, slowed.place) == (tenant, place)) {
        let soon = slowed.at + 2_500..slowed.at + 30_000;
        for pair in calls.windows(2).filter(|pair| soon.contains(&pair[0].line.at)) {
            if pair.iter().any(|call| call.line.life != slowed.life) {
                continue;
            }
            world.inner().coverage.count("a pace that was cut");
            let apart = pair[1].line.at - pair[0].line.at;
            if apart + apart / 50 + 3_000 < interval * 13 / 10 {
                let what = format!("{} follows after {apart} ms, {slowed:?}", render(&pair[1].line));
                world.broken("E6", pair[1].begun.send.enrollment, what);
            }
        }
    }
}

/// E6, for each lane.
fn limits(world: &World, calls: &[Call]) {
    let mut lanes: BTreeMap<(u32, &str), Vec<&Call>> = BTreeMap::new();
    for call in calls.iter().filter(|call| !call.unsent) {
        lanes.entry((call.begun.tenant.0, call.begun.channel.as_str())).or_default().push(call);
    }
    let lives = lives(world);
    let intended = world.inner().intended.clone();
    for ((tenant, channel), calls) in lanes {
        let plan = &world.plan.tenants[tenant as usize - 1];
        let place = CHANNELS.iter().position(|known| *known == channel).unwrap();
        let starts = lives.starts(calls.iter().map(|call| (call.line.life, call.line.at, call.line.wall)));
        let first = intended.get(&(tenant, place)).copied();
        let on_days = per_day(&plan.pace[place], plan.zone, (&lives, &starts), first);
        slowed(world, &calls, (tenant as usize - 1, place));
        for limit in bound(&plan.pace[place], plan.zone, &starts, first) {
            world.inner().coverage.count(limit);
        }
        for fault in exceeded(&plan.pace[place], &starts).into_iter().chain(on_days) {
            world.broken("E6", channel, format!("{} {channel}: {fault}", plan.name));
        }
    }
    for (place, plan) in world.plan.tenants.iter().enumerate() {
        let calls: Vec<&Call> =
            calls.iter().filter(|call| call.begun.tenant.0 as usize == place + 1 && !call.refused).collect();
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
    for (cap, days) in [(plan.contact_per_day, 1), (plan.contact_per_week, 7)] {
        let Some(cap) = cap else { continue };
        faults.extend(contacts.values().filter_map(|starts| contact_cap(cap, days, starts)));
    }
    for ((_, channel), starts) in &through {
        faults.extend(plan.pace[*channel].recipient_gap.and_then(|gap| recipient_gap(gap, starts)));
    }
    let wrote = world.inner().wrote.clone();
    // WhatsApp does not count who wrote within the day before: of those it is not asked.
    let wrote = |call: &Call| {
        let times = wrote.get(&(place, call.begun.contact.clone())).map_or(&[][..], Vec::as_slice);
        times.iter().any(|wrote| {
            wrote.at <= call.line.at
                && wrote.kind.is_none_or(|kind| kind == Kind::Whatsapp)
                && call.line.wall - Span::days(1) < wrote.occurred_at
        })
    };
    let counts = |call: &Call| call.begun.kind != Kind::Whatsapp || !wrote(call);
    let shared = (plan.new_recipients, None);
    let own = plan.pace.iter().enumerate().map(|(place, pace)| (pace.new_recipients, Some(CHANNELS[place])));
    for (cap, through) in own.chain([shared]) {
        let Some(cap) = cap else { continue };
        let counts =
            |call: &Call| counts(call) && through.is_none_or(|channel| channel == call.begun.channel);
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
