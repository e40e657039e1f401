//! When calls may begin, worked out from numbers alone: quiet hours, and limits in any moving span.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, Timelike};
use chrono_tz::Tz;
use followupd_domain::Moment;

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

/// A start as a lane's limits count it: engine time lies somewhere from `low` to `high`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    low: i64,
    high: i64,
    wall: Moment,
}

/// The lives of a process, as far as engine time depends on them.
#[derive(Default)]
pub(crate) struct Lives(BTreeMap<u32, Life>);

struct Life {
    /// When it began.
    began: i64,
    /// What the wall said then.
    wall: i64,
    /// When the wall first jumped.
    jumped: Option<i64>,
    /// When something was last seen in it.
    last: i64,
}

impl Lives {
    /// Something was seen in a life.
    pub(crate) fn see(&mut self, life: u32, at: i64, wall: Moment) {
        let new = Life { began: at, wall: wall.0, jumped: None, last: at };
        let life = self.0.entry(life).or_insert(new);
        life.last = at;
        if wall.0 - life.wall != at - life.began {
            life.jumped.get_or_insert(at);
        }
    }

    /// The starts of one lane, in their order, from the life, steady and wall time of each.
    ///
    /// Engine time begins at the wall's with each process, or where the last one was if that is later. It goes on
    /// with steady time, and is drawn toward the wall by at most one part in a hundred (of the time since it was last
    /// asked for, which may be long before a jump); it never falls below what the lane has seen.
    pub(crate) fn starts(&self, calls: impl Iterator<Item = (u32, i64, Moment)>) -> Vec<Start> {
        let mut latest = i64::MIN;
        let mut began_by: BTreeMap<u32, i64> = BTreeMap::new();
        for (number, life) in &self.0 {
            began_by.insert(*number, life.wall.max(latest));
            let (_, high) = life.engine(began_by[number], life.last);
            latest = latest.max(high);
        }
        let (mut low, mut high) = (i64::MIN, i64::MIN);
        calls
            .map(|(life, at, wall)| {
                let (least, most) = self.0[&life].engine(began_by[&life], at);
                (low, high) = (low.max(least), high.max(most));
                Start { low, high, wall }
            })
            .collect()
    }
}

impl Life {
    /// The least and most that engine time can be at a moment, when it began by `began_by` at the latest.
    fn engine(&self, began_by: i64, at: i64) -> (i64, i64) {
        let since = at - self.began;
        let off = began_by > self.wall || self.jumped.is_some_and(|jumped| jumped <= at);
        let drawn = if off { since / 99 + 2 } else { 0 };
        (self.wall + since - drawn, began_by + since + drawn)
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
    if let Some((after, span)) = pace.rest {
        for some in starts.windows(after as usize + 1) {
            if some.windows(2).all(|pair| pair[1].high - pair[0].low < span) {
                faults.push(format!("{} starts without a rest of {span} ms: {some:?}", after + 1));
            }
        }
    }
    faults.truncate(3);
    faults
}

const DAY: i64 = 86_400_000;

/// Starts to one contact that come too close, of all its channels together.
pub(crate) fn contact_cap(cap: u32, starts: &[Start]) -> Option<String> {
    let some = starts.windows(cap as usize + 1).find(|some| some[cap as usize].high - some[0].low < DAY)?;
    Some(format!("{} starts to one contact within a day: {some:?}", cap + 1))
}

/// Starts to one contact through one channel that come too close.
pub(crate) fn recipient_gap(gap: i64, starts: &[Start]) -> Option<String> {
    let pair = starts.windows(2).find(|pair| pair[1].high - pair[0].low < gap)?;
    Some(format!("two starts to one contact within {gap} ms: {pair:?}"))
}

/// A moving day with more people than may be written to.
pub(crate) fn new_recipients(cap: u32, starts: &[(Start, &str)]) -> Option<String> {
    starts.iter().enumerate().find_map(|(place, (end, _))| {
        let day = starts[..=place].iter().filter(|(start, _)| end.high - start.low < DAY);
        let people: BTreeSet<&str> = day.map(|(_, contact)| *contact).collect();
        (people.len() > cap as usize).then(|| format!("{} people within a day: {people:?}", people.len()))
    })
}

/// Calendar days that hold more starts than they may.
pub(crate) fn per_day(pace: &Pace, zone: &str, starts: &[Start]) -> impl Iterator<Item = String> {
    let mut days: BTreeMap<chrono::NaiveDate, u32> = BTreeMap::new();
    for start in starts {
        *days.entry(local(zone, start.wall).date_naive()).or_default() += 1;
    }
    let (cap, ramp) = (pace.per_day.unwrap_or(u32::MAX), pace.warm_up);
    let first = days.keys().next().copied();
    let cap = move |day: chrono::NaiveDate| {
        let since = first.map_or(0, |first| (day - first).num_days());
        match ramp.filter(|(days, _)| since < i64::from(*days)) {
            Some((days, from)) => i64::from(from) + i64::from(cap - from) * since / i64::from(days),
            None => i64::from(cap),
        }
    };
    let over = days.into_iter().filter(move |(day, n)| i64::from(*n) > cap(*day));
    over.map(|(day, n)| format!("{n} starts on {day}"))
}
