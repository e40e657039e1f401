//! What the clock on the wall reads at an instant, and the first instant at which it reads a given time.
//!
//! All of it rests on one question to the zone, its offset at an instant, so a gap at midnight, a change of
//! half an hour and a skipped date are no special cases. It relies on a zone not changing twice within 32
//! hours: since 1970 no two changes of a zone lie closer than a week.

use crate::time::Moment;
use chrono::{DateTime, NaiveDate, Offset, TimeZone};
use chrono_tz::Tz;

/// The milliseconds of a day without a clock change.
const DAY_MS: i64 = 86_400_000;
const MINUTE_MS: i64 = 60_000;

/// No zone was ever this far from UTC: Manila's 15:56 until 1844 is the most.
const OFFSET_MS_MAX: i64 = 16 * 3_600_000;

/// The last moment `chrono` has a date for lies after this one, in the year 260,000.
const DATED_MS_MAX: i64 = 8_100_000_000_000_000;

/// What the clock on the wall reads: a date and a time of day. A reading may occur once, twice or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reading {
    /// Days since 1970-01-01.
    pub(super) day: i64,
    /// Milliseconds since midnight by the clock, below [`DAY_MS`] but for the end of a day.
    pub(super) ms: i64,
}

impl Reading {
    /// A minute of a date; 1440 is the first one of the following date.
    pub(super) fn at_minute(day: i64, minute: u16) -> Reading {
        Reading { day, ms: i64::from(minute) * MINUTE_MS }
    }

    /// The reading at `at` where the clock runs `offset` ahead of UTC.
    pub(super) fn with_offset(at: i64, offset: i64) -> Reading {
        let local = at + offset;
        Reading { day: local.div_euclid(DAY_MS), ms: local.rem_euclid(DAY_MS) }
    }

    /// The reading at a moment.
    pub(super) fn of(zone: Tz, at: Moment) -> Reading {
        let at = dated(at);
        Reading::with_offset(at, offset_at(zone, at))
    }

    /// The minute the clock shows, 0 to 1439.
    pub(super) fn minute(self) -> u16 {
        (self.ms / MINUTE_MS) as u16
    }

    /// Monday 0 to Sunday 6.
    pub(super) fn weekday(self) -> u8 {
        weekday(self.day)
    }

    /// Milliseconds since 1970-01-01 by this clock, as if it showed UTC.
    pub(super) fn as_utc(self) -> i64 {
        self.day * DAY_MS + self.ms
    }

    /// The first instant at which the clock reads this; if it skips this, the first instant after the gap.
    pub(super) fn first_instant(self, zone: Tz) -> Moment {
        let local = self.as_utc();
        let (early, late) = (local - OFFSET_MS_MAX, local + OFFSET_MS_MAX);
        let (before, after) = (offset_at(zone, early), offset_at(zone, late));
        if before == after {
            return Moment(local - before);
        }
        let change = change_between(zone, early, late);
        // Under the old offset if the clock gets there before it changes; else under the new one, at the
        // change itself if that leaps past this reading.
        let by_old = local - before;
        Moment(if by_old < change { by_old } else { change.max(local - after) })
    }
}

/// Monday 0 to Sunday 6: 1970-01-01 was a Thursday.
pub(super) fn weekday(day: i64) -> u8 {
    (day + 3).rem_euclid(7) as u8
}

/// The date of a day counted from 1970-01-01, `None` beyond what `chrono` can name.
pub(super) fn date(day: i64) -> Option<NaiveDate> {
    const EPOCH_FROM_CE: i64 = 719_163;
    NaiveDate::from_num_days_from_ce_opt(i32::try_from(day + EPOCH_FROM_CE).ok()?)
}

/// Whether the clock of a zone ever shows this date: Apia's never showed 2011-12-30.
pub(super) fn exists(zone: Tz, day: i64) -> bool {
    Reading { day, ms: 0 }.first_instant(zone) < Reading { day: day + 1, ms: 0 }.first_instant(zone)
}

/// A moment as milliseconds, kept to the years that have dates, so that no sum below overflows.
pub(super) fn dated(at: Moment) -> i64 {
    at.0.clamp(-DATED_MS_MAX, DATED_MS_MAX)
}

/// How far the clock runs ahead of UTC, in milliseconds.
pub(super) fn offset_at(zone: Tz, at: i64) -> i64 {
    let utc = DateTime::from_timestamp_millis(at).unwrap_or_default().naive_utc();
    i64::from(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc()) * 1_000
}

/// The first instant after `from` whose offset is not that of `from`, given that `until` has another.
pub(super) fn change_between(zone: Tz, from: i64, until: i64) -> i64 {
    let before = offset_at(zone, from);
    let (mut same, mut other) = (from, until);
    while other - same > 1 {
        let middle = same + (other - same) / 2;
        if offset_at(zone, middle) == before { same = middle } else { other = middle }
    }
    other
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The UTC time, written `2024-03-31T01:00`, at which `zone` first reads `local`.
    fn first(zone: &str, local: &str) -> String {
        let zone: Tz = zone.parse().unwrap();
        let local: chrono::NaiveDateTime = format!("{local}:00").parse().unwrap();
        let ms = local.and_utc().timestamp_millis();
        let at = Reading::with_offset(ms, 0).first_instant(zone);
        DateTime::from_timestamp_millis(at.0).unwrap().format("%Y-%m-%dT%H:%M").to_string()
    }

    #[test]
    fn a_skipped_time_becomes_the_end_of_the_gap() {
        for (zone, local, utc) in [
            ("Europe/Berlin", "2024-03-31T01:59", "2024-03-31T00:59"),
            ("Europe/Berlin", "2024-03-31T02:00", "2024-03-31T01:00"),
            ("Europe/Berlin", "2024-03-31T02:59", "2024-03-31T01:00"),
            ("Europe/Berlin", "2024-03-31T03:00", "2024-03-31T01:00"),
            ("Europe/Berlin", "2024-03-31T03:01", "2024-03-31T01:01"),
            ("America/New_York", "2024-03-10T02:30", "2024-03-10T07:00"),
            ("America/Sao_Paulo", "2018-11-04T00:00", "2018-11-04T03:00"),
            ("America/Sao_Paulo", "2018-11-04T00:30", "2018-11-04T03:00"),
            ("Asia/Beirut", "2024-03-31T00:15", "2024-03-30T22:00"),
            ("Australia/Lord_Howe", "2024-10-06T02:15", "2024-10-05T15:30"),
            ("Australia/Lord_Howe", "2024-10-06T02:30", "2024-10-05T15:30"),
            ("America/Nuuk", "2024-03-30T23:30", "2024-03-31T01:00"),
            ("Pacific/Apia", "2011-12-30T00:00", "2011-12-30T10:00"),
            ("Pacific/Apia", "2011-12-30T23:59", "2011-12-30T10:00"),
            ("Pacific/Apia", "2011-12-31T00:00", "2011-12-30T10:00"),
            ("Pacific/Apia", "2011-12-31T08:00", "2011-12-30T18:00"),
        ] {
            assert_eq!(first(zone, local), utc, "{zone} {local}");
        }
    }

    #[test]
    fn a_time_read_twice_means_the_first() {
        for (zone, local, utc) in [
            ("Europe/Berlin", "2024-10-27T02:00", "2024-10-27T00:00"),
            ("Europe/Berlin", "2024-10-27T02:59", "2024-10-27T00:59"),
            ("Europe/Berlin", "2024-10-27T03:00", "2024-10-27T02:00"),
            ("America/New_York", "2024-11-03T01:30", "2024-11-03T05:30"),
            ("America/Sao_Paulo", "2018-02-17T23:30", "2018-02-18T01:30"),
            ("America/Sao_Paulo", "2018-02-18T00:00", "2018-02-18T03:00"),
            ("Australia/Lord_Howe", "2024-04-07T01:45", "2024-04-06T14:45"),
            ("Australia/Lord_Howe", "2024-04-07T02:00", "2024-04-06T15:30"),
            // Back by an hour at 00:01: the first minute of Sunday comes, goes, and comes again.
            ("America/St_Johns", "2010-11-07T00:00", "2010-11-07T02:30"),
            ("America/St_Johns", "2010-11-07T00:01", "2010-11-07T03:31"),
        ] {
            assert_eq!(first(zone, local), utc, "{zone} {local}");
        }
    }

    #[test]
    fn only_a_date_the_clock_skips_does_not_exist() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap().to_epoch_days().into();
        assert!(!exists(Tz::Pacific__Apia, day("2011-12-30")));
        assert!(exists(Tz::Pacific__Apia, day("2011-12-29")) && exists(Tz::Pacific__Apia, day("2011-12-31")));
        assert!(exists(Tz::UTC, day("2011-12-30")));
    }

    #[test]
    fn no_zone_changes_twice_within_32_hours() {
        const HOUR: i64 = 3_600_000;
        for zone in chrono_tz::TZ_VARIANTS {
            // Every four hours from 2000 to 2038.
            let (mut offset, mut changed) = (offset_at(zone, 946_684_800_000), 0);
            for at in (946_684_800_000..2_145_916_800_000).step_by(4 * HOUR as usize) {
                let now = offset_at(zone, at);
                if now != offset {
                    assert!(at - changed > 36 * HOUR, "{zone} at {at}");
                    (offset, changed) = (now, at);
                }
            }
        }
    }

    #[test]
    fn moments_without_a_date_do_no_harm() {
        for at in [Moment(i64::MIN), Moment(i64::MAX), Moment::FAR] {
            let reading = Reading::of(Tz::Europe__Berlin, at);
            assert!(date(reading.day).is_some());
            assert!(reading.first_instant(Tz::Europe__Berlin).0.abs() <= DATED_MS_MAX);
        }
    }
}
