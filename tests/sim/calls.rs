//! Invariants over the calls of a run, worked out anew from the plan: E5 hours, E6 limits, E8 stops and holds.

use std::collections::BTreeMap;

use chrono::{Datelike, Timelike};
use followupd_domain::Moment;

use super::acks::Held;
use super::deed::Around;
use super::plan::{CHANNELS, Pace, SEQUENCES, TenantPlan, business_days_only};
use super::trace::{Begun, Line, What, Whom, render};
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

fn local(zone: &str, at: Moment) -> chrono::DateTime<chrono_tz::Tz> {
    let zone: chrono_tz::Tz = zone.parse().unwrap();
    chrono::DateTime::from_timestamp_millis(at.0).unwrap().with_timezone(&zone)
}

/// E5.
fn hours(world: &World, call: &Call) {
    let tenant = tenant(world, call);
    let contact: usize = call.begun.contact[1..].parse().unwrap();
    let local = local(tenant.zone_of(contact), call.line.wall);
    let (day, minute) =
        (local.weekday().num_days_from_monday() as u8, (local.hour() * 60 + local.minute()) as u16);
    let quiet = tenant.quiet.iter().any(|quiet| quiet.covers(day, minute));
    let sequence = call.begun.sequence.0 as usize - 1;
    let business = business_days_only(sequence, call.begun.send.step.0);
    if quiet || (business && day >= 5) {
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

/// A start as a lane's limits count it: engine time lies somewhere from `low` to `high`.
#[derive(Clone, Copy, Debug)]
struct Start {
    low: i64,
    high: i64,
    wall: Moment,
}

/// E6, for each lane.
fn limits(world: &World, calls: &[Call]) {
    let mut lanes: BTreeMap<(u32, &str), Vec<&Call>> = BTreeMap::new();
    for call in calls {
        let lane = lanes.entry((call.begun.tenant.0, call.begun.channel.as_str())).or_default();
        if call.begun.again {
            // The same send again: its charge moves with it.
            lane.retain(|earlier| earlier.begun.send != call.begun.send);
        }
        lane.push(call);
    }
    let jumped = world.env.jumped() != 0 || lines_jump(world);
    for ((tenant, channel), calls) in lanes {
        let plan = &world.plan.tenants[tenant as usize - 1];
        let pace = &plan.pace[CHANNELS.iter().position(|known| *known == channel).unwrap()];
        let starts = engine_time(world, &calls);
        for fault in
            exceeded(pace, &starts).into_iter().chain(per_day(pace, plan.zone, &starts).filter(|_| !jumped))
        {
            world.broken("E6", calls[0].begun.channel.clone(), format!("{} {channel}: {fault}", plan.name));
        }
    }
}

fn lines_jump(world: &World) -> bool {
    world.inner().trace.lines.iter().any(|line| matches!(line.what, What::Jumped(_)))
}

/// Engine time starts at the wall's with each process and goes on with steady time, drawn toward the wall by at most
/// one part in a hundred; it never falls below what the lane has seen.
fn engine_time(world: &World, calls: &[&Call]) -> Vec<Start> {
    let inner = world.inner();
    // Of each life: when it began, what the wall was ahead then, and when it first jumped.
    let mut lives: BTreeMap<u32, (i64, i64, Option<i64>)> = BTreeMap::new();
    for line in &inner.trace.lines {
        let ahead = line.wall.0 - line.at;
        let life = lives.entry(line.life).or_insert((line.at, ahead, None));
        if ahead != life.1 {
            life.2.get_or_insert(line.at);
        }
    }
    let (mut low, mut high) = (i64::MIN, i64::MIN);
    let mut starts = Vec::new();
    for call in calls {
        let (_, ahead, jumped) = lives[&call.line.life];
        let engine = call.line.at + ahead;
        let drawn = jumped.map_or(0, |since| (call.line.at - since).max(0) / 99 + 2);
        low = low.max(engine - drawn);
        high = high.max(engine + drawn);
        starts.push(Start { low, high, wall: call.line.wall });
    }
    starts
}

/// Moving spans that hold more starts than they may.
fn exceeded(pace: &Pace, starts: &[Start]) -> Vec<String> {
    let mut faults = Vec::new();
    let windows = [
        (pace.per_minute, 60_000, "minute"),
        (pace.per_hour, 3_600_000, "hour"),
        (pace.gap.map(|_| 1), pace.gap.unwrap_or(0), "gap"),
    ];
    for (cap, span, name) in
        windows.into_iter().filter_map(|(cap, span, name)| Some((cap? as usize, span, name)))
    {
        for some in starts.windows(cap + 1) {
            let least = some[cap].high - some[0].low;
            if least < span {
                faults.push(format!("{} starts within {least} ms of a {name}: {some:?}", cap + 1));
            }
        }
    }
    if let Some((count, per, burst)) = pace.rate {
        for (first, start) in starts.iter().enumerate() {
            for (n, other) in starts[first..].iter().enumerate() {
                let span = other.high - start.low;
                let most = i64::from(burst) + span * i64::from(count) / per;
                if n as i64 + 1 > most {
                    faults.push(format!("{} starts within {span} ms, {most} at this rate", n + 1));
                }
            }
        }
    }
    faults.truncate(3);
    faults
}

/// Calendar days that hold more starts than they may.
fn per_day(pace: &Pace, zone: &str, starts: &[Start]) -> impl Iterator<Item = String> {
    let mut days: BTreeMap<chrono::NaiveDate, u32> = BTreeMap::new();
    for start in starts {
        *days.entry(local(zone, start.wall).date_naive()).or_default() += 1;
    }
    let cap = pace.per_day.unwrap_or(u32::MAX);
    days.into_iter().filter(move |(_, n)| *n > cap).map(|(day, n)| format!("{n} starts on {day}"))
}
