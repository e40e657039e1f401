//! A tenant's settings: what they make of it, and how they are shown to be put again.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use followupd_domain::calendar::{Calendar, MinuteOfDay, QuietHours, QuietWindow, WeekdaySet, Zone};
use followupd_domain::channel::{Channel, Kind};
use followupd_domain::holds::Holds;
use followupd_domain::limits::CONTACT_CAP;
use followupd_domain::name::{self, Name, not_one_of};
use followupd_domain::scope::Scope;
use followupd_domain::sequence::{ChannelRef, Step};
use followupd_domain::tenant::Tenant;
use followupd_domain::{ChannelNo, Moment, TenantNo};

use super::Faults;
use crate::api::{Error, TenantSettings};

/// The channels there are, by their numbers.
pub(crate) type Channels = BTreeMap<ChannelNo, Channel>;

/// A tenant as a new one begins: off, in UTC.
pub(crate) fn new_tenant(no: TenantNo, name: Name) -> Tenant {
    Tenant {
        no,
        name,
        on: false,
        calendar: Calendar::default(),
        contact_time_zone: false,
        stop_words: std::collections::BTreeSet::new(),
        default_channels: BTreeMap::new(),
        holds: Holds::default(),
        off_since: None,
        contact_per_day: None,
        contact_per_week: None,
        opt_out_of_all: false,
    }
}

/// The tenant that `settings` make of `tenant`, which has these channels.
pub(crate) fn to_tenant(
    settings: &TenantSettings,
    mut tenant: Tenant,
    channels: &Channels,
    now: Moment,
) -> Result<Tenant, Error> {
    let mut faults = Faults::default();
    tenant.calendar = calendar(settings, &mut faults);
    tenant.switch(settings.on, now);
    tenant.contact_time_zone = settings.contact_time_zone;
    let stop_words = settings.stop_words.iter().enumerate();
    let stop_words = stop_words.map(|(i, word)| faults.take(&format!("stop_words[{i}]"), stop_word(word)));
    tenant.stop_words = stop_words.collect();
    tenant.contact_per_day = faults.take("contact_per_day", contact_cap(settings.contact_per_day));
    tenant.contact_per_week = faults.take("contact_per_week", contact_cap(settings.contact_per_week));
    tenant.opt_out_of_all = settings.opt_out_of_all;
    tenant.default_channels = default_channels(&settings.default_channels, channels, &mut faults);
    faults.none().map(|()| tenant)
}

fn calendar(settings: &TenantSettings, faults: &mut Faults) -> Calendar {
    let quiet = settings.quiet_hours.iter().enumerate().map(|(i, (days, from, to))| QuietWindow {
        days: faults.take(&format!("quiet_hours[{i}].days"), days.parse::<WeekdaySet>()),
        from: faults.take(&format!("quiet_hours[{i}].from"), MinuteOfDay::parse(from)),
        to: faults.take(&format!("quiet_hours[{i}].to"), MinuteOfDay::parse_end(to)),
    });
    let quiet = QuietHours { windows: quiet.collect() };
    if faults.0.is_empty() {
        for (i, window) in quiet.windows.iter().enumerate().filter(|(_, window)| window.from == window.to) {
            let problem = format!("is {} as from is: for the whole day write 00:00 to 24:00", window.to);
            faults.take(&format!("quiet_hours[{i}].to"), Err::<(), _>(problem));
        }
        faults.take("quiet_hours", quiet.validate());
    }
    let days = &settings.business_days;
    let business_days = if days.is_empty() { Ok(WeekdaySet::MON_TO_FRI) } else { days.parse() };
    let holidays = settings.holidays.iter().enumerate().map(|(i, date)| {
        let read = date.parse::<NaiveDate>();
        faults.take(
            &format!("holidays[{i}]"),
            read.map_err(|_| format!("{date:?} is no date such as 2026-12-25")),
        )
    });
    let holidays = holidays.collect();
    Calendar {
        zone: faults.take("time_zone", Zone::parse(&settings.time_zone)),
        business_days: faults.take("business_days", business_days),
        holidays,
        quiet,
    }
}

fn stop_word(given: &str) -> Result<String, String> {
    let word = given.trim().to_uppercase();
    if word.is_empty() {
        return Err("is empty, as the text of a picture is: leave it out".to_owned());
    }
    Ok(word)
}

fn contact_cap(given: u32) -> Result<Option<u32>, String> {
    if given > CONTACT_CAP {
        return Err(format!("is {given}: at most {CONTACT_CAP}, or leave it out for no cap"));
    }
    Ok((given > 0).then_some(given))
}

fn default_channels(
    given: &BTreeMap<String, String>,
    channels: &Channels,
    faults: &mut Faults,
) -> BTreeMap<Kind, ChannelNo> {
    let read = given.iter().filter_map(|(word, name)| {
        let field = format!("default_channels.{word}");
        let kind = Kind::parse(word).ok_or_else(|| not_one_of(word, &Kind::ALL.map(Kind::word)));
        let kind = faults.take(&field, kind.map(Some))?;
        let no = default_channel(kind, name, channels).map(Some);
        Some((kind, faults.take(&field, no)?))
    });
    read.collect()
}

fn default_channel(kind: Kind, given: &str, channels: &Channels) -> Result<ChannelNo, String> {
    let Some(channel) = channels.values().find(|channel| channel.name.as_str() == given) else {
        let of_kind = channels.values().filter(|channel| channel.kind == kind);
        let near = name::nearest(given, of_kind.map(|channel| channel.name.as_str()));
        let near = near.map(|near| format!(", did you mean {near:?}?")).unwrap_or_default();
        return Err(format!("there is no channel {given:?}{near}: put it first"));
    };
    if channel.kind != kind {
        let carries = channel.kind.word();
        return Err(format!("{given:?} is for {carries}, not for {}: name one that is", kind.word()));
    }
    Ok(channel.no)
}

/// Whether a known channel may carry this from now on: one that steps mean, by its name or as their kind's default, by
/// the kind it had may not.
pub(super) fn may_carry(scope: &Scope, known: &Channel, kind: Kind) -> Result<(), String> {
    let mut defaults = scope.tenant.default_channels.iter();
    if let Some((of, _)) = defaults.find(|(of, no)| **no == known.no && **of != kind) {
        return Err(format!(
            "it is the tenant's default for {}: choose another in default_channels first",
            of.word()
        ));
    }
    let names_it = |step: &Step| step.channel == ChannelRef::Named(known.name.clone());
    let mut naming = scope.versions.iter().filter(|(_, version)| version.steps.iter().any(names_it));
    let sends = naming.find_map(|((sequence, _), _)| {
        scope.sequences.get(sequence).filter(|sequence| sequence.archived_at.is_none())
    });
    match sends {
        Some(sequence) if kind != known.kind => Err(format!(
            "it is {}, and the sequence {} has steps by it: put a channel of another name for {}",
            known.kind.word(),
            sequence.name,
            kind.word()
        )),
        Some(_) | None => Ok(()),
    }
}

/// The settings that make this tenant, which has these channels.
pub(crate) fn shown(tenant: &Tenant, channels: &Channels) -> TenantSettings {
    let calendar = &tenant.calendar;
    let quiet = calendar.quiet.windows.iter();
    let default = |(kind, no): (&Kind, &ChannelNo)| {
        channels.get(no).map(|channel| (kind.word().to_owned(), channel.name.to_string()))
    };
    TenantSettings {
        on: tenant.on,
        time_zone: calendar.zone.name().to_owned(),
        contact_time_zone: tenant.contact_time_zone,
        quiet_hours: quiet
            .map(|window| (window.days.to_string(), window.from.to_string(), window.to.to_string()))
            .collect(),
        business_days: calendar.business_days.to_string(),
        holidays: calendar.holidays.iter().map(ToString::to_string).collect(),
        stop_words: tenant.stop_words.iter().cloned().collect(),
        contact_per_day: tenant.contact_per_day.unwrap_or_default(),
        contact_per_week: tenant.contact_per_week.unwrap_or_default(),
        opt_out_of_all: tenant.opt_out_of_all,
        default_channels: tenant.default_channels.iter().filter_map(default).collect(),
    }
}
