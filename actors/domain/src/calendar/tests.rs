//! Tests of [`Calendar`]: tables for the clock changes, and properties against an oracle that walks minute by
//! minute and asks `chrono` what the clock reads.

use super::*;
use chrono::{DateTime, Datelike, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use proptest::prelude::*;

const MINUTE: i64 = 60_000;
const DAY: i64 = 1_440 * MINUTE;

/// A minute-by-minute search ends after this long; what lies behind it is not checked.
const ORACLE_SPAN: i64 = 9 * DAY;

fn utc(at: Moment) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.0).unwrap()
}

fn moment(text: &str) -> Moment {
    Moment(text.parse::<DateTime<Utc>>().unwrap().timestamp_millis())
}

fn minute(text: &str) -> MinuteOfDay {
    MinuteOfDay::parse_end(text).unwrap()
}

fn window(days: &str, from: &str, to: &str) -> WeekWindow {
    WeekWindow { days: days.parse().unwrap(), from: minute(from), to: minute(to) }
}

fn calendar(zone: &str, windows: &[WeekWindow]) -> Calendar {
    let quiet = QuietHours { windows: windows.to_vec() };
    Calendar { zone: Zone::parse(zone).unwrap(), quiet, ..Calendar::default() }
}

/// The oracle's reading of the clock.
fn reading(tz: Tz, at: i64) -> NaiveDateTime {
    tz.from_utc_datetime(&utc(Moment(at)).naive_utc()).naive_local()
}

/// A moment in a zone with its offset, such as `2024-03-31T03:00:00+02:00`.
fn shown(zone: &str, at: Moment) -> String {
    utc(at).with_timezone(&zone.parse::<Tz>().unwrap()).format("%Y-%m-%dT%H:%M:%S%.f%:z").to_string()
}

mod oracle {
    use super::*;

    fn in_window(window: &WeekWindow, now: NaiveDateTime) -> bool {
        [now.date(), now.date().pred_opt().unwrap()].into_iter().any(|date| {
            let (from, to) = (i64::from(window.from.minutes()), i64::from(window.to.minutes()));
            let to = if to <= from { to + 1_440 } else { to };
            let start = date.and_time(chrono::NaiveTime::MIN);
            let within = start + TimeDelta::minutes(from) <= now && now < start + TimeDelta::minutes(to);
            window.days.contains(date.weekday()) && within
        })
    }

    fn is_business_date(calendar: &Calendar, date: NaiveDate) -> bool {
        calendar.business_days.contains(date.weekday()) && !calendar.holidays.contains(&date)
    }

    pub(super) fn is_open(calendar: &Calendar, at: i64, hours: &Hours) -> bool {
        let now = reading(calendar.zone.0, at);
        let quiet = calendar.quiet.windows.iter().any(|window| in_window(window, now));
        let own = hours.windows.is_empty() || hours.windows.iter().any(|window| in_window(window, now));
        let business = !hours.business_days_only || is_business_date(calendar, now.date());
        (hours.ignore_quiet || !quiet) && own && business
    }

    /// The first moment from `at` on that is open, or closed.
    pub(super) fn next(calendar: &Calendar, open: bool, at: i64, hours: &Hours) -> Option<i64> {
        let minutes = (at.div_euclid(MINUTE) + 1..).map(|count| count * MINUTE);
        let mut times = std::iter::once(at).chain(minutes).take_while(|time| *time <= at + ORACLE_SPAN);
        times.find(|time| is_open(calendar, *time, hours) == open)
    }

    /// The first whole minute at which the clock reads `local` or more.
    fn first_reading(tz: Tz, local: NaiveDateTime) -> i64 {
        let start = local.and_utc().timestamp_millis() - 28 * 60 * MINUTE;
        (0..).map(|count| start + count * MINUTE).find(|time| reading(tz, *time) >= local).unwrap()
    }

    fn exists(tz: Tz, date: NaiveDate) -> bool {
        let noon = date.and_hms_opt(12, 0, 0).unwrap().and_utc().timestamp_millis();
        (-200..200).any(|quarter| reading(tz, noon + quarter * 15 * MINUTE).date() == date)
    }

    /// When days are over that begin at `from`, a whole minute; `business` counts only business days.
    pub(super) fn due(
        calendar: &Calendar,
        from: i64,
        days: u16,
        at: Option<MinuteOfDay>,
        business: bool,
    ) -> i64 {
        let tz = calendar.zone.0;
        let start = reading(tz, from);
        let counts = |date: &NaiveDate| !business || is_business_date(calendar, *date) && exists(tz, *date);
        let on = |date: NaiveDate| match at {
            Some(at) => date.and_time(chrono::NaiveTime::MIN) + TimeDelta::minutes(at.minutes().into()),
            None => date.and_time(start.time()),
        };
        if days == 0 {
            let Some(_) = at else { return from };
            let times = start.date().iter_days().filter(counts).map(|date| first_reading(tz, on(date)));
            return times.into_iter().find(|time| *time >= from).unwrap();
        }
        let date = start.date().iter_days().skip(1).filter(counts).nth(usize::from(days) - 1).unwrap();
        first_reading(tz, on(date)).max(from)
    }
}

/// Zones whose clocks do what few others do, and the plain ones most tenants live in.
const ZONES: [Tz; 16] = [
    Tz::Europe__Berlin,
    Tz::America__New_York,
    Tz::America__Sao_Paulo,
    Tz::America__St_Johns,
    Tz::America__Havana,
    Tz::America__Nuuk,
    Tz::America__Caracas,
    Tz::Asia__Beirut,
    Tz::Asia__Amman,
    Tz::Asia__Gaza,
    Tz::Asia__Pyongyang,
    Tz::Africa__Casablanca,
    Tz::Africa__Cairo,
    Tz::Australia__Lord_Howe,
    Tz::Antarctica__Troll,
    Tz::Pacific__Apia,
];

fn zones() -> impl Strategy<Value = Zone> {
    prop_oneof![prop::sample::select(&ZONES[..]), prop::sample::select(&TZ_VARIANTS[..])].prop_map(Zone)
}

/// A whole minute from 2000 to 2037; most often within two days of a change of the zone's clock.
fn instants(zone: Zone) -> impl Strategy<Value = i64> {
    let any = moment("2000-01-02T00:00:00Z").0 / MINUTE..moment("2037-12-01T00:00:00Z").0 / MINUTE;
    (any, 0..4, -2_880..2_880_i64).prop_map(move |(minute, kind, near)| {
        let at = minute * MINUTE;
        let offset = |time: i64| reading(zone.0, time).and_utc().timestamp_millis() - time;
        let days = (0..400).map(|day| at + day * DAY).filter(|_| kind > 0);
        let changed = days.take_while(|day| *day < 2_100_000_000_000).find(|day| offset(*day) != offset(at));
        let Some(changed) = changed else { return at };
        let mut minutes = (0..=1_440).map(|count| changed - DAY + count * MINUTE);
        minutes.find(|time| offset(*time) != offset(at)).unwrap_or(at) + near * MINUTE
    })
}

fn windows(most: usize) -> impl Strategy<Value = Vec<WeekWindow>> {
    let minute = || prop_oneof![0..=1_440_u16, (0..=48_u16).prop_map(|half| half * 30)];
    let days = prop_oneof![Just(127), 1..128_u8];
    let window = (days, minute(), minute()).prop_map(|(days, from, to)| WeekWindow {
        days: WeekdaySet::try_from(days).unwrap(),
        from: MinuteOfDay::try_from(from % 1_440).unwrap(),
        to: MinuteOfDay::try_from(to).unwrap(),
    });
    prop::collection::vec(window, 0..=most)
}

/// A calendar and an instant, with some of the dates around it as holidays.
fn scenes() -> impl Strategy<Value = (Calendar, i64)> {
    let at = zones().prop_flat_map(|zone| (Just(zone), instants(zone)));
    let holidays = prop::collection::btree_set(-3..10_i64, 0..4);
    (at, 1..128_u8, holidays, windows(3)).prop_map(|((zone, at), business_days, holidays, windows)| {
        let today = reading(zone.0, at).date();
        let calendar = Calendar {
            zone,
            business_days: WeekdaySet::try_from(business_days).unwrap(),
            holidays: holidays.into_iter().map(|days| today + TimeDelta::days(days)).collect(),
            quiet: QuietHours { windows },
        };
        (calendar, at)
    })
}

fn hours() -> impl Strategy<Value = Hours> {
    (windows(2), any::<bool>(), 0..4).prop_map(|(windows, business_days_only, ignore)| Hours {
        windows,
        business_days_only,
        ignore_quiet: ignore == 0,
    })
}

fn days() -> impl Strategy<Value = (u16, Option<MinuteOfDay>, bool)> {
    let at = prop_oneof![Just(None), prop_oneof![0..1_440_u16, 0..240_u16, 1_380..1_440_u16].prop_map(Some)];
    let at = at.prop_map(|at| at.map(|minute| MinuteOfDay::try_from(minute).unwrap()));
    (0..6_u16, at, any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn openings_and_closings_are_those_of_a_clock_watcher(
        (calendar, at) in scenes(),
        hours in hours(),
        ms in 0..60_000_i64,
    ) {
        let at = at + ms;
        prop_assert_eq!(calendar.is_open(Moment(at), &hours), oracle::is_open(&calendar, at, &hours));
        for (open, found) in [
            (true, calendar.next_open(Moment(at), &hours)),
            (false, calendar.closes_at(Moment(at), &hours)),
        ] {
            match oracle::next(&calendar, open, at, &hours) {
                Some(expected) => prop_assert_eq!(found, Some(Moment(expected))),
                None => prop_assert!(found.is_none_or(|found| found.0 > at + ORACLE_SPAN)),
            }
        }
    }

    #[test]
    fn a_due_moment_is_the_one_on_a_wall_calendar(
        (calendar, from) in scenes(),
        (days, at, business) in days(),
    ) {
        let wait = if business { Wait::BusinessDays { days, at } } else { Wait::Days { days, at } };
        let expected = oracle::due(&calendar, from, days, at, business);
        prop_assert_eq!(calendar.due(Moment(from), &wait), Moment(expected));
    }

    #[test]
    fn days_keep_the_millisecond_unless_the_clock_skips_it(
        (calendar, from) in scenes(),
        days in 1..366_u16,
        ms in 0..60_000_i64,
    ) {
        let from = from + ms;
        let due = calendar.due(Moment(from), &Wait::Days { days, at: None });
        let (start, end) = (reading(calendar.zone.0, from), reading(calendar.zone.0, due.0));
        let target = start + TimeDelta::days(days.into());
        let skipped = end > target && reading(calendar.zone.0, due.0 - 1) < target;
        prop_assert!(due.0 >= from && (end == target || skipped));
    }
}

#[test]
fn quiet_hours_end_exclusive_and_go_by_the_zone() {
    let berlin = calendar("Europe/Berlin", &[window("mon-sun", "21:00", "08:00")]);
    let any = Hours::default();
    for (at, open) in [
        ("2024-06-03T05:59:59.999Z", false),
        ("2024-06-03T06:00:00Z", true),
        ("2024-06-03T18:59:59.999Z", true),
        ("2024-06-03T19:00:00Z", false),
    ] {
        assert_eq!(berlin.is_open(moment(at), &any), open, "{at}");
    }
    let noon = moment("2024-06-03T10:00:00Z");
    assert_eq!(berlin.next_open(noon, &any), Some(noon));
    assert_eq!(berlin.closes_at(noon, &any), Some(moment("2024-06-03T19:00:00Z")));
    let night = moment("2024-06-03T22:00:00Z");
    assert_eq!(berlin.next_open(night, &any), Some(moment("2024-06-04T06:00:00Z")));
    assert_eq!(berlin.closes_at(night, &any), Some(night));
}

#[test]
fn quiet_hours_follow_the_clock_over_its_changes() {
    let any = Hours::default();
    for (zone, from, to, at, opens) in [
        // 02:30 does not exist: quiet hours that end then end with the gap.
        ("Europe/Berlin", "22:00", "02:30", "2024-03-30T23:00:00Z", "2024-03-31T03:00:00+02:00"),
        ("Europe/Berlin", "22:00", "06:00", "2024-03-30T23:00:00Z", "2024-03-31T06:00:00+02:00"),
        ("Europe/Berlin", "22:00", "06:00", "2024-10-26T23:00:00Z", "2024-10-27T06:00:00+01:00"),
        // At 03:00 the clock goes back to 02:00: 02:30 to 03:00 is open, 02:00 to 02:30 quiet once more.
        ("Europe/Berlin", "22:00", "02:30", "2024-10-26T23:00:00Z", "2024-10-27T02:30:00+02:00"),
        ("Europe/Berlin", "22:00", "02:30", "2024-10-27T01:00:00Z", "2024-10-27T02:30:00+01:00"),
        ("Asia/Beirut", "22:00", "00:30", "2024-03-30T21:00:00Z", "2024-03-31T01:00:00+03:00"),
        ("Australia/Lord_Howe", "22:00", "02:15", "2024-10-05T14:00:00Z", "2024-10-06T02:30:00+11:00"),
        // Thursday night's quiet hours would have ended on the Friday that was left out.
        ("Pacific/Apia", "22:00", "06:00", "2011-12-30T09:00:00Z", "2011-12-31T06:00:00+14:00"),
    ] {
        let calendar = calendar(zone, &[window("mon-sun", from, to)]);
        let found = calendar.next_open(moment(at), &any).unwrap();
        assert_eq!(shown(zone, found), opens, "{zone} {at}");
    }
}

#[test]
fn an_hour_that_comes_twice_closes_twice() {
    let berlin = calendar("Europe/Berlin", &[window("sun", "02:00", "02:30")]);
    let any = Hours::default();
    let closes = |at: &str| shown("Europe/Berlin", berlin.closes_at(moment(at), &any).unwrap());
    assert_eq!(closes("2024-10-26T23:00:00Z"), "2024-10-27T02:00:00+02:00");
    assert_eq!(closes("2024-10-27T00:30:00Z"), "2024-10-27T02:00:00+01:00");
}

#[test]
fn a_step_narrows_the_hours() {
    let mut berlin = calendar("Europe/Berlin", &[window("mon-sun", "20:00", "10:00")]);
    berlin.holidays.insert("2024-06-03".parse().unwrap());
    let friday_evening = moment("2024-05-31T18:30:00Z");
    let next = |hours: &Hours| berlin.next_open(friday_evening, hours).map(|at| shown("Europe/Berlin", at));
    let all = Hours::default();
    let business = Hours { business_days_only: true, ..Hours::default() };
    let mornings = Hours { windows: vec![window("mon-fri", "09:00", "12:00")], ..Hours::default() };
    let unquiet = Hours { ignore_quiet: true, ..mornings.clone() };
    let never = Hours { windows: vec![window("mon", "21:00", "22:00")], ..Hours::default() };
    assert_eq!(next(&all).as_deref(), Some("2024-06-01T10:00:00+02:00"));
    assert_eq!(next(&business).as_deref(), Some("2024-06-04T10:00:00+02:00"));
    assert_eq!(next(&mornings).as_deref(), Some("2024-06-03T10:00:00+02:00"));
    assert_eq!(next(&unquiet).as_deref(), Some("2024-06-03T09:00:00+02:00"));
    assert_eq!(next(&never), None);
}

#[test]
fn a_gate_without_conditions_never_closes() {
    let quiet = calendar("Europe/Berlin", &[window("mon-sun", "00:00", "00:00")]);
    let unquiet = Hours { ignore_quiet: true, ..Hours::default() };
    let at = moment("2024-05-31T18:30:00.123Z");
    assert_eq!(quiet.next_open(at, &unquiet), Some(at));
    assert_eq!(quiet.closes_at(at, &unquiet), None);
    assert_eq!(quiet.next_open(at, &Hours::default()), None);
}

#[test]
fn an_opening_within_400_days_is_found() {
    let mut utc = calendar("UTC", &[]);
    utc.business_days = WeekdaySet::ALL;
    let business = Hours { business_days_only: true, ..Hours::default() };
    let at = moment("2024-01-01T12:00:00Z");
    utc.holidays = "2024-01-01".parse::<NaiveDate>().unwrap().iter_days().take(400).collect();
    assert_eq!(utc.next_open(at, &business), Some(moment("2025-02-04T00:00:00Z")));
    utc.holidays.insert("2025-02-04".parse().unwrap());
    utc.holidays.insert("2025-02-05".parse().unwrap());
    assert_eq!(utc.next_open(at, &business), None);
}

/// When a wait that begins at `from` is due in `zone`, by the clock there.
fn due(zone: &str, from: &str, wait: &str) -> String {
    let calendar = calendar(zone, &[]);
    shown(zone, calendar.due(moment(from), &wait.parse().unwrap()))
}

#[test]
fn days_keep_the_local_time_over_clock_changes() {
    for (zone, from, wait, expected) in [
        ("Europe/Berlin", "2024-03-30T08:15:30.250Z", "1 day", "2024-03-31T09:15:30.250+02:00"),
        ("Europe/Berlin", "2024-03-30T08:15:30.250Z", "24 hours", "2024-03-31T10:15:30.250+02:00"),
        ("Europe/Berlin", "2024-03-30T01:30:00.250Z", "1 day", "2024-03-31T03:00:00+02:00"),
        ("Europe/Berlin", "2024-10-26T00:30:00.250Z", "1 day", "2024-10-27T02:30:00.250+02:00"),
        ("Europe/Berlin", "2024-10-27T01:30:00.250Z", "1 day", "2024-10-28T02:30:00.250+01:00"),
        ("America/Sao_Paulo", "2018-11-03T03:20:00Z", "1 day", "2018-11-04T01:00:00-02:00"),
        ("Asia/Beirut", "2024-03-29T22:20:00Z", "1 day", "2024-03-31T01:00:00+03:00"),
        ("Australia/Lord_Howe", "2024-10-04T15:45:00Z", "1 day", "2024-10-06T02:30:00+11:00"),
        ("Pacific/Apia", "2011-12-29T22:00:00Z", "1 day", "2011-12-31T00:00:00+14:00"),
        ("Pacific/Apia", "2011-12-29T22:00:00Z", "2 days", "2011-12-31T12:00:00+14:00"),
        ("UTC", "2024-02-28T12:00:00Z", "366 days", "2025-02-28T12:00:00+00:00"),
    ] {
        assert_eq!(due(zone, from, wait), expected, "{zone} {from} {wait}");
    }
}

#[test]
fn at_names_the_time_on_the_target_date() {
    for (zone, from, wait, expected) in [
        ("Europe/Berlin", "2024-06-03T20:00:00Z", "1 day at 09:30", "2024-06-04T09:30:00+02:00"),
        // 22:30Z is past midnight in Berlin already.
        ("Europe/Berlin", "2024-06-03T22:30:00Z", "1 day at 09:30", "2024-06-05T09:30:00+02:00"),
        ("Europe/Berlin", "2024-06-03T06:00:00Z", "0 days at 09:30", "2024-06-03T09:30:00+02:00"),
        ("Europe/Berlin", "2024-06-03T07:30:00Z", "0 days at 09:30", "2024-06-03T09:30:00+02:00"),
        ("Europe/Berlin", "2024-06-03T07:30:00.001Z", "0 days at 09:30", "2024-06-04T09:30:00+02:00"),
        // The second 02:15 comes after the first 02:30, which is the one that is meant.
        ("Europe/Berlin", "2024-10-27T01:15:00Z", "0 days at 02:30", "2024-10-28T02:30:00+01:00"),
        ("Europe/Berlin", "2024-03-31T00:00:00Z", "0 days at 02:30", "2024-03-31T03:00:00+02:00"),
        ("America/St_Johns", "2010-11-07T03:00:00Z", "0 days at 00:00", "2010-11-08T00:00:00-03:30"),
        ("America/St_Johns", "2010-11-07T03:00:00Z", "1 day at 00:00", "2010-11-06T23:30:00-03:30"),
        ("Pacific/Apia", "2011-12-29T22:00:00Z", "0 days at 09:00", "2011-12-31T00:00:00+14:00"),
    ] {
        assert_eq!(due(zone, from, wait), expected, "{zone} {from} {wait}");
    }
}

#[test]
fn business_days_pass_over_weekends_holidays_and_dates_that_never_were() {
    for (zone, from, wait, expected) in [
        ("Europe/Berlin", "2024-05-31T10:00:00Z", "1 business day", "2024-06-03T12:00:00+02:00"),
        ("Europe/Berlin", "2024-06-01T10:00:00Z", "1 business day at 09:00", "2024-06-03T09:00:00+02:00"),
        ("Europe/Berlin", "2024-06-01T10:00:00Z", "0 business days at 09:00", "2024-06-03T09:00:00+02:00"),
        ("Europe/Berlin", "2024-06-03T06:00:00Z", "0 business days at 09:00", "2024-06-03T09:00:00+02:00"),
        ("Europe/Berlin", "2024-05-31T10:00:00Z", "0 business days at 09:00", "2024-06-03T09:00:00+02:00"),
        ("Pacific/Apia", "2011-12-29T22:00:00Z", "1 business day", "2012-01-02T12:00:00+14:00"),
    ] {
        assert_eq!(due(zone, from, wait), expected, "{zone} {from} {wait}");
    }
    let mut berlin = calendar("Europe/Berlin", &[]);
    berlin.holidays.insert("2024-06-03".parse().unwrap());
    let due = berlin.due(moment("2024-05-31T10:00:00Z"), &"2 business days".parse().unwrap());
    assert_eq!(shown("Europe/Berlin", due), "2024-06-05T12:00:00+02:00");
}

#[test]
fn business_days_that_never_come_are_never_due() {
    let none = Calendar { business_days: WeekdaySet::NONE, ..Calendar::default() };
    for wait in ["1 business day", "0 business days at 09:00"] {
        assert_eq!(none.due(moment("2024-05-31T10:00:00Z"), &wait.parse().unwrap()), Moment::FAR);
    }
    let sundays = Calendar { business_days: "sun".parse().unwrap(), ..Calendar::default() };
    let longest = sundays.due(moment("2024-06-02T10:00:00Z"), &"366 business days".parse().unwrap());
    assert_eq!(longest, moment("2031-06-08T10:00:00Z"));
}

#[test]
fn the_far_future_does_no_harm() {
    let calendar = calendar("Europe/Berlin", &[window("mon-sun", "21:00", "08:00")]);
    for at in [Moment::FAR, Moment(i64::MAX)] {
        assert!(calendar.next_open(at, &Hours::default()).is_none_or(|open| open >= at));
        for wait in ["none", "366 days", "1 business day", "0 days at 09:00", "8784 hours"] {
            let due = calendar.due(at, &wait.parse().unwrap());
            assert!(due >= Moment::FAR, "{wait}");
        }
    }
}

#[test]
fn no_wait_and_spans_ignore_the_calendar() {
    assert_eq!(due("Europe/Berlin", "2024-03-31T00:59:59.999Z", "none"), "2024-03-31T01:59:59.999+01:00");
    assert_eq!(due("Europe/Berlin", "2024-03-31T00:59:00Z", "2 minutes"), "2024-03-31T03:01:00+02:00");
}
