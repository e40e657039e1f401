//! When calls may begin, worked out from numbers alone: quiet hours, and limits in any moving span.

use std::collections::BTreeMap;

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

/// Of each life, what the wall was ahead of steady time as it began, and when it first jumped.
#[derive(Default)]
pub(crate) struct Lives(BTreeMap<u32, (i64, Option<i64>)>);

impl Lives {
    /// Something was seen in a life.
    pub(crate) fn see(&mut self, life: u32, at: i64, wall: Moment) {
        let ahead = wall.0 - at;
        let life = self.0.entry(life).or_insert((ahead, None));
        if ahead != life.0 {
            life.1.get_or_insert(at);
        }
    }

    /// The starts of one lane, in their order, from the life, steady and wall time of each.
    ///
    /// Engine time starts at the wall's with each process and goes on with steady time, drawn toward the wall by at
    /// most one part in a hundred; it never falls below what the lane has seen.
    pub(crate) fn starts(&self, calls: impl Iterator<Item = (u32, i64, Moment)>) -> Vec<Start> {
        let (mut low, mut high) = (i64::MIN, i64::MIN);
        calls
            .map(|(life, at, wall)| {
                let (ahead, jumped) = self.0[&life];
                let drawn = jumped.map_or(0, |since| (at - since).max(0) / 99 + 2);
                low = low.max(at + ahead - drawn);
                high = high.max(at + ahead + drawn);
                Start { low, high, wall }
            })
            .collect()
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
    faults.truncate(3);
    faults
}

/// Calendar days that hold more starts than they may.
pub(crate) fn per_day(pace: &Pace, zone: &str, starts: &[Start]) -> impl Iterator<Item = String> {
    let mut days: BTreeMap<chrono::NaiveDate, u32> = BTreeMap::new();
    for start in starts {
        *days.entry(local(zone, start.wall).date_naive()).or_default() += 1;
    }
    let cap = pace.per_day.unwrap_or(u32::MAX);
    days.into_iter().filter(move |(_, n)| *n > cap).map(|(day, n)| format!("{n} starts on {day}"))
}
