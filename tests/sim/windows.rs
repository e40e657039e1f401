//! When calls may begin, worked out from numbers alone: quiet hours, and limits in any moving span.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, NaiveDate, Timelike};
use chrono_tz::Tz;
use followupd_domain::{Moment, Span};

use super::plan::{Pace, Quiet};

/// What the clocks of a zone read.
pub(crate) fn local(zone: &str, at: Moment) -> DateTime<Tz> {
    let zone: Tz = zone.parse().unwrap();
    DateTime::from_timestamp_millis(at.0).unwrap().with_timezone(&zone)
}

/// Whether it is quiet when the clock reads so.
pub(crate) fn is_quiet(quiet: &[Quiet], local: DateTime<Tz>) -> bool {
    let day = local.weekday().num_days_from_monday() as u8;
    let minute = (local.hour() * 60 + local.minute()) as u16;
    quiet.iter().any(|quiet| quiet.covers(day, minute))
}

/// A start as a lane's limits count it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    /// Steady time.
    at: i64,
    /// How much more than steady time engine time may have gone over the restarts before.
    believed: i64,
    wall: Moment,
}

impl Start {
    /// The most engine time that may lie between this start and a later one. Within one life that is what has really
    /// passed, and a hundredth of it, whatever the wall does.
    fn until(&self, later: &Start) -> i64 {
        let apart = later.at - self.at;
        apart + apart / DRAWN + 2 + later.believed - self.believed
    }
}

/// Engine time is drawn toward the wall by at most one part in a hundred of what it has gone.
const DRAWN: i64 = 99;

/// The lives of a process, as far as engine time depends on them.
#[derive(Default)]
pub(crate) struct Lives {
    /// See [`Start::believed`], for each.
    believed: BTreeMap<u32, i64>,
    /// How far the wall was ahead of steady time, and when, as engine time was kept last or a life began since.
    kept: Option<(i64, i64)>,
    /// When something was last seen.
    last: i64,
    /// Jumps of the wall: what it said before and after.
    jumps: Vec<(Moment, Moment)>,
}

impl Lives {
    /// Something was seen in a life.
    pub(crate) fn see(&mut self, life: u32, at: i64, wall: Moment) {
        if !self.believed.contains_key(&life) {
            let before = self.believed.values().next_back().copied().unwrap_or(0);
            let believed = before + self.begins(at, wall);
            self.believed.insert(life, believed);
        }
        self.last = at;
    }

    /// Engine time was written down.
    pub(crate) fn keep(&mut self, at: i64, wall: Moment) {
        self.kept = Some((wall.0 - at, at));
    }

    /// The wall went by so much to what it says now.
    pub(crate) fn jump(&mut self, by: i64, wall: Moment) {
        self.jumps.push((wall - Span(by), wall));
    }

    /// A life begins: how much more than steady time engine time may have gone since it was kept. It goes on by the
    /// wall's advance, so that what the wall was set ahead by is believed, and what it was drawn back by since is not
    /// known any more.
    fn begins(&mut self, at: i64, wall: Moment) -> i64 {
        let ahead = wall.0 - at;
        let Some((before, kept_at)) = self.kept.replace((ahead, at)) else { return 0 };
        let drawn_back = if self.jumps.is_empty() && before == ahead { 0 } else { self.last - kept_at };
        (ahead - before).max(0) + drawn_back / DRAWN + 2
    }

    /// Whether the wall jumped on a calendar day, or over it.
    pub(crate) fn jumped_on(&self, zone: &str, day: NaiveDate) -> bool {
        let date = |at: Moment| local(zone, at).date_naive();
        self.jumps.iter().any(|(from, to)| (date(*from.min(to))..=date(*from.max(to))).contains(&day))
    }

    /// The starts of one lane, in their order, from the life, steady and wall time of each.
    pub(crate) fn starts(&self, calls: impl Iterator<Item = (u32, i64, Moment)>) -> Vec<Start> {
        let start = |(life, at, wall)| Start { at, believed: self.believed[&life], wall };
        calls.map(start).collect()
    }
}

/// Moving spans that hold more starts than they may.
pub(crate) fn exceeded(pace: &Pace, starts: &[Start]) -> Vec<String> {
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
            let least = some[0].until(&some[cap]);
            if least < span {
                faults.push(format!("{} starts within {least} ms of a {name}: {some:?}", cap + 1));
            }
        }
    }
    if let Some((count, per, burst)) = pace.rate {
        for (first, start) in starts.iter().enumerate() {
            for (n, other) in starts[first..].iter().enumerate() {
                let span = start.until(other);
                let most = i64::from(burst) + span * i64::from(count) / per;
                if n as i64 + 1 > most {
                    faults.push(format!("{} starts within {span} ms, {most} at this rate", n + 1));
                }
            }
        }
    }
    if let Some((after, span)) = pace.rest {
        for some in starts.windows(after as usize + 1) {
            if some.windows(2).all(|pair| pair[0].until(&pair[1]) < span) {
                faults.push(format!("{} starts without a rest of {span} ms: {some:?}", after + 1));
            }
        }
    }
    faults.truncate(3);
    faults
}

const DAY: i64 = 86_400_000;

/// Starts to one contact that come too close, of all its channels together.
pub(crate) fn contact_cap(cap: u32, days: i64, starts: &[Start]) -> Option<String> {
    let is_full = |some: &&[Start]| some[0].until(&some[cap as usize]) < days * DAY;
    let some = starts.windows(cap as usize + 1).find(is_full)?;
    Some(format!("{} starts to one contact within {days} days: {some:?}", cap + 1))
}

/// Starts to one contact through one channel that come too close.
pub(crate) fn recipient_gap(gap: i64, starts: &[Start]) -> Option<String> {
    let pair = starts.windows(2).find(|pair| pair[0].until(&pair[1]) < gap)?;
    Some(format!("two starts to one contact within {gap} ms: {pair:?}"))
}

/// A moving day with more people than may be written to.
pub(crate) fn new_recipients(cap: u32, starts: &[(Start, &str)]) -> Option<String> {
    starts.iter().enumerate().find_map(|(place, (end, _))| {
        let day = starts[..=place].iter().filter(|(start, _)| start.until(end) < DAY);
        let people: BTreeMap<&str, Moment> = day.map(|(start, contact)| (*contact, start.wall)).collect();
        let is_over = people.len() > cap as usize;
        is_over.then(|| format!("{} people within the day before {:?}: {people:?}", people.len(), end.wall))
    })
}

/// The limits that have bound a lane, roughly: where one was used up, and the next start came as soon as it let go.
pub(crate) fn bound(pace: &Pace, zone: &str, starts: &[Start], first: Option<Moment>) -> Vec<&'static str> {
    let mut found = Vec::new();
    let windows = [
        (pace.per_minute, 60_000, "bound per_minute"),
        (pace.per_hour, 3_600_000, "bound per_hour"),
        (pace.gap.map(|_| 1), pace.gap.unwrap_or(0), "bound gap"),
        (pace.rate.map(|_| 1), pace.rate.map_or(0, |(count, per, _)| per / i64::from(count)), "bound rate"),
    ];
    for (cap, span, name) in windows {
        let most = span + span / 8 + 5_000 + pace.jitter.unwrap_or(0);
        let waited = |some: &[Start]| (span..most).contains(&some[0].until(&some[some.len() - 1]));
        found.extend(cap.filter(|cap| starts.windows(*cap as usize + 1).any(waited)).map(|_| name));
    }
    if let Some((after, span)) = pace.rest {
        let rested = |pair: &[Start]| (span..span + 60_000).contains(&pair[0].until(&pair[1]));
        let mut some = starts.windows(after as usize + 1);
        found.extend(some.any(|some| rested(&some[after as usize - 1..])).then_some("bound rest"));
    }
    for (n, cap, warm) in on_days(pace, zone, starts, first).into_values() {
        if n == cap {
            found.push(if warm { "bound warm_up" } else { "bound per_day" });
        }
    }
    found
}

/// Calendar days: starts, how many there may be, and whether that is still rising. A warm-up counts from `first`.
fn on_days(
    pace: &Pace,
    zone: &str,
    starts: &[Start],
    first: Option<Moment>,
) -> BTreeMap<NaiveDate, (i64, i64, bool)> {
    let day = |at: Moment| local(zone, at).date_naive();
    let Some(cap) = pace.per_day else { return BTreeMap::new() };
    let mut days: BTreeMap<NaiveDate, (i64, i64, bool)> = BTreeMap::new();
    for start in starts {
        days.entry(day(start.wall)).or_default().0 += 1;
    }
    let first = first.map(day).into_iter().chain(days.keys().next().copied()).min();
    for (day, (_, most, warm)) in &mut days {
        let since = first.map_or(0, |first| (*day - first).num_days());
        let ramp = pace.warm_up.filter(|(days, _)| since < i64::from(*days));
        *warm = ramp.is_some();
        *most = ramp.map_or(i64::from(cap), |(days, from)| {
            i64::from(from) + i64::from(cap - from) * since / i64::from(days)
        });
    }
    days
}

/// Calendar days that hold more starts than they may; days on which the wall jumped are left out, since parts of them
/// came twice or not at all. A warm-up counts from `first`, the first start that the lane knows of.
pub(crate) fn per_day(
    pace: &Pace,
    zone: &str,
    (lives, starts): (&Lives, &[Start]),
    first: Option<Moment>,
) -> Vec<String> {
    let over = on_days(pace, zone, starts, first).into_iter();
    let over = over.filter(|(day, (n, most, _))| n > most && !lives.jumped_on(zone, *day));
    over.map(|(day, (n, most, _))| format!("{n} starts on {day}, {most} allowed")).collect()
}
