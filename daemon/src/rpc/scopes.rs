//! Tenants, accounts, channels and sequences as messages, both ways.

use buffa::MessageField;
use followupd_domain::ledger::WarmUp;
use followupd_domain::name::Name;
use followupd_domain::sequence::{Draft, DraftStep};
use followupd_domain::signal::Signal;
use followupd_runtime::{
    AccountSettings, AccountShown, ChannelSettings, ChannelShown, Error, Expected, Fares, Held, HeldScope,
    KillSwitchSettings, LaneForecast, RestSettings, ScopeName, SequenceShown, Stop, TenantSettings,
    TenantShown,
};

use crate::limits;
use crate::rpc::{outside, rich, show, take};
use followupd_proto::v1;

/// What a put expects of what is there.
///
/// # Errors
/// It expects both a revision and that there is none.
pub(super) fn expected(revision: u64, only_new: bool) -> Result<Expected, Error> {
    match (revision, only_new) {
        (0, false) => Ok(Expected::Any),
        (0, true) => Ok(Expected::Absent),
        (revision, false) => Ok(Expected::Revision(revision)),
        (_, true) => Err(take::invalid("only_new", "goes without expected_revision: leave one of them out")),
    }
}

/// A tenant as it is.
pub(super) fn tenant(tenant: TenantShown) -> v1::Tenant {
    v1::Tenant {
        name: tenant.name.to_string(),
        settings: shown_tenant_settings(tenant.settings).into(),
        revision: tenant.revision,
        held: tenant.held.map_or_else(MessageField::none, |found| held(found).into()),
        ..Default::default()
    }
}

/// An account as it is.
pub(super) fn account(account: AccountShown) -> v1::Account {
    v1::Account {
        name: account.name.to_string(),
        settings: shown_account_settings(account.settings).into(),
        revision: account.revision,
        held: account.held.map_or_else(MessageField::none, |found| held(found).into()),
        channels: account.channels.iter().map(Name::to_string).collect(),
        recipients: account.recipients,
        ..Default::default()
    }
}

/// Settings of an account, as the engine takes them.
pub(super) fn account_settings(given: v1::AccountSettings) -> AccountSettings {
    AccountSettings { new_recipients: given.new_recipients }
}

/// Settings of an account, as they can be put again.
pub(super) fn shown_account_settings(settings: AccountSettings) -> v1::AccountSettings {
    v1::AccountSettings { new_recipients: settings.new_recipients, ..Default::default() }
}

/// A channel as it is.
pub(super) fn channel(channel: ChannelShown) -> v1::Channel {
    v1::Channel {
        name: channel.name.to_string(),
        settings: shown_channel_settings(channel.settings).into(),
        revision: channel.revision,
        is_default: channel.is_default,
        held: channel.held.map_or_else(MessageField::none, |found| held(found).into()),
        fares: channel.fares.map_or_else(MessageField::none, |found| fares(found).into()),
        ..Default::default()
    }
}

/// A sequence as it is, with its draft.
pub(super) fn sequence(sequence: SequenceShown) -> v1::Sequence {
    v1::Sequence {
        name: sequence.name.to_string(),
        status: sequence.status.word().to_owned(),
        latest_version: sequence.latest.map(|version| version.0).unwrap_or_default(),
        has_draft: sequence.draft.is_some(),
        draft: sequence.draft.map_or_else(MessageField::none, |draft| shown_draft(draft).into()),
        revision: sequence.revision,
        held: sequence.held.map_or_else(MessageField::none, |found| held(found).into()),
        archived_at: sequence.archived_at.map_or_else(MessageField::none, show::moment),
        ..Default::default()
    }
}

/// Something that is held.
pub(super) fn held_scope(one: HeldScope) -> v1::HeldScope {
    use v1::__buffa::oneof::scope::Scope;
    let scope = match one.scope {
        ScopeName::Tenant => Scope::WholeTenant(true),
        ScopeName::Channel(name) => Scope::Channel(name.to_string()),
        ScopeName::Sequence(name) => Scope::Sequence(name.to_string()),
        ScopeName::Account(name) => Scope::Account(name.to_string()),
    };
    let scope = v1::Scope { scope: Some(scope), ..Default::default() };
    let (version, step) = one.step.map_or((0, 0), |(version, step)| (version.0, u32::from(step.0) + 1));
    v1::HeldScope { scope: scope.into(), held: held(one.held).into(), version, step, ..Default::default() }
}

/// What stops all sending.
pub(super) fn stop(stop: Stop) -> v1::Held {
    held(Held { since: stop.since, reason: stop.reason, by: stop.by, until: None })
}

/// What a release would set free of one lane.
pub(super) fn forecast(lane: LaneForecast) -> v1::LaneForecast {
    let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    v1::LaneForecast {
        channel: lane.channel.to_string(),
        due: count(lane.due),
        more: lane.more,
        looked_at: count(lane.looked_at),
        sent: count(lane.sent),
        skipped: count(lane.skipped),
        ended: count(lane.ended),
        waiting: count(lane.waiting),
        takes: show::span(lane.takes),
        ..Default::default()
    }
}

fn held(held: Held) -> v1::Held {
    let until = held.until.map_or_else(MessageField::none, show::moment);
    v1::Held {
        since: show::moment(held.since),
        reason: held.reason,
        by: held.by,
        until,
        ..Default::default()
    }
}

/// Settings of a tenant, as the engine takes them.
pub(super) fn tenant_settings(given: v1::TenantSettings) -> TenantSettings {
    let quiet = given.quiet_hours.into_iter().map(|quiet| (quiet.days, quiet.from, quiet.to));
    TenantSettings {
        on: given.on,
        time_zone: given.time_zone,
        contact_time_zone: given.contact_time_zone,
        quiet_hours: quiet.collect(),
        business_days: given.business_days,
        holidays: given.holidays,
        stop_words: given.stop_words,
        contact_per_day: given.contact_per_day,
        contact_per_week: given.contact_per_week,
        opt_out_of_all: given.opt_out_of_all,
        default_channels: given.default_channels.into_iter().collect(),
    }
}

/// Settings of a tenant, as they can be put again.
pub(super) fn shown_tenant_settings(settings: TenantSettings) -> v1::TenantSettings {
    let quiet = |(days, from, to)| v1::QuietHours { days, from, to, ..Default::default() };
    v1::TenantSettings {
        on: settings.on,
        time_zone: settings.time_zone,
        contact_time_zone: settings.contact_time_zone,
        quiet_hours: settings.quiet_hours.into_iter().map(quiet).collect(),
        business_days: settings.business_days,
        holidays: settings.holidays,
        stop_words: settings.stop_words,
        contact_per_day: settings.contact_per_day,
        contact_per_week: settings.contact_per_week,
        opt_out_of_all: settings.opt_out_of_all,
        default_channels: settings.default_channels.into_iter().collect(),
        ..Default::default()
    }
}

/// Settings of a channel, as the engine takes them.
///
/// # Errors
/// A rate of nothing, a secret that is none.
pub(super) fn channel_settings(given: v1::ChannelSettings) -> Result<ChannelSettings, Error> {
    let rate = given.rate.into_option();
    if rate.as_ref().is_some_and(|rate| rate.count == 0) {
        return Err(take::invalid("rate.count", "is 0: give 1 or more, or leave the rate out"));
    }
    if given.no_kill_switches && !given.kill_switches.is_empty() {
        return Err(take::invalid("no_kill_switches", "goes without kill_switches: leave one of them out"));
    }
    let switches = Some(given.kill_switches).filter(|all| given.no_kill_switches || !all.is_empty());
    let rate = rate.unwrap_or_default();
    Ok(ChannelSettings {
        kind: given.kind,
        transport: given.transport,
        smtp: given.smtp.into_option().map(outside::smtp).transpose()?,
        http: given.http.into_option().map(outside::http).transpose()?,
        meta: given.meta.into_option().map(outside::meta).transpose()?,
        twilio: given.twilio.into_option().map(outside::twilio).transpose()?,
        chatwoot: given.chatwoot.into_option().map(outside::chatwoot).transpose()?,
        rate_count: rate.count,
        rate_per: rate.per,
        rate_burst: rate.burst,
        preset: given.preset,
        without: given.without,
        gap: given.gap,
        jitter: given.jitter,
        per_minute: given.per_minute,
        per_hour: given.per_hour,
        per_day: given.per_day,
        rest: given.rest.into_option().map(|rest| RestSettings { after: rest.after, span: rest.span }),
        warm_up: given.warm_up.into_option().map(|given| WarmUp { days: given.days, from: given.from }),
        recipient_gap: given.recipient_gap,
        new_recipients: given.new_recipients,
        ignores_quiet_hours: given.ignores_quiet_hours,
        in_doubt: given.in_doubt,
        kill_switches: switches.map(|all| all.into_iter().map(kill_switch).collect()),
        account: given.account,
    })
}

fn kill_switch(given: v1::KillSwitch) -> KillSwitchSettings {
    KillSwitchSettings {
        signal: given.signal,
        percent: given.percent,
        after: given.after,
        report_only: given.report_only,
    }
}

fn shown_kill_switch(settings: KillSwitchSettings) -> v1::KillSwitch {
    v1::KillSwitch {
        signal: settings.signal,
        percent: settings.percent,
        after: settings.after,
        report_only: settings.report_only,
        ..Default::default()
    }
}

/// How a channel's sends fare.
fn fares(fares: Fares) -> v1::Fares {
    let mut shown = v1::Fares::default();
    for (signal, count) in fares.counts {
        let of = match signal {
            Signal::Sent => &mut shown.sent,
            Signal::Failed => &mut shown.failed,
            Signal::Delivered => &mut shown.delivered,
            Signal::Replied => &mut shown.replied,
            Signal::OptedOut => &mut shown.opted_out,
            Signal::Uncertain => &mut shown.uncertain,
            // Of a row it is told whether it trips.
            Signal::FailedInARow => continue,
        };
        *of = count;
    }
    let tripped = |(why, report_only)| v1::Tripped { why, report_only, ..Default::default() };
    shown.tripped = fares.tripped.into_iter().map(tripped).collect();
    shown
}

/// Settings of a channel, as they can be put again.
pub(super) fn shown_channel_settings(settings: ChannelSettings) -> v1::ChannelSettings {
    let switches = settings.kill_switches;
    let rate = v1::Rate {
        count: settings.rate_count,
        per: settings.rate_per,
        burst: settings.rate_burst,
        ..Default::default()
    };
    v1::ChannelSettings {
        kind: settings.kind,
        transport: settings.transport,
        smtp: settings.smtp.map(outside::shown_smtp).map_or_else(MessageField::none, Into::into),
        http: settings.http.map(outside::shown_http).map_or_else(MessageField::none, Into::into),
        meta: settings.meta.map(outside::shown_meta).map_or_else(MessageField::none, Into::into),
        twilio: settings.twilio.map(outside::shown_twilio).map_or_else(MessageField::none, Into::into),
        chatwoot: settings.chatwoot.map(outside::shown_chatwoot).map_or_else(MessageField::none, Into::into),
        rate: if rate.count > 0 { rate.into() } else { MessageField::none() },
        preset: settings.preset,
        without: settings.without,
        gap: settings.gap,
        jitter: settings.jitter,
        per_minute: settings.per_minute,
        per_hour: settings.per_hour,
        per_day: settings.per_day,
        rest: settings.rest.map_or_else(MessageField::none, |rest| shown_rest(rest).into()),
        warm_up: settings.warm_up.map_or_else(MessageField::none, |ramp| shown_warm_up(ramp).into()),
        recipient_gap: settings.recipient_gap,
        new_recipients: settings.new_recipients,
        ignores_quiet_hours: settings.ignores_quiet_hours,
        in_doubt: settings.in_doubt,
        no_kill_switches: switches.as_ref().is_some_and(Vec::is_empty),
        kill_switches: switches.into_iter().flatten().map(shown_kill_switch).collect(),
        account: settings.account,
        ..Default::default()
    }
}

fn shown_rest(rest: RestSettings) -> v1::Rest {
    v1::Rest { after: rest.after, span: rest.span, ..Default::default() }
}

fn shown_warm_up(WarmUp { days, from }: WarmUp) -> v1::WarmUp {
    v1::WarmUp { days, from, ..Default::default() }
}

/// A draft, as the engine takes it.
pub(super) fn draft(given: v1::Draft) -> Result<Draft, Error> {
    let steps = given.steps.into_iter().enumerate().map(|(i, given)| step(i, given));
    Ok(Draft {
        target: given.target,
        class: given.class,
        weight: given.weight,
        unique_per: given.unique_per,
        reentry: given.reentry,
        exit_on_reply: given.exit_on_reply,
        stay_on_resolved: given.stay_on_resolved,
        stay_on_goal: given.stay_on_goal,
        max_lifetime: given.max_lifetime,
        steps: steps.collect::<Result<_, Error>>()?,
    })
}

fn step(i: usize, mut given: v1::Step) -> Result<DraftStep, Error> {
    let (rich, fallback) = rich::of(i, &mut given)?;
    Ok(DraftStep {
        rich,
        fallback,
        wait: given.wait,
        at: given.at,
        channel: given.channel,
        subject: given.subject,
        body: given.body,
        useless_after: given.useless_after,
        late: given.late,
        on_failure: given.on_failure,
        business_days_only: given.business_days_only,
    })
}

/// A draft or a version, as it can be put again.
pub(super) fn shown_draft(draft: Draft) -> v1::Draft {
    v1::Draft {
        target: draft.target,
        class: draft.class,
        weight: draft.weight,
        unique_per: draft.unique_per,
        reentry: draft.reentry,
        exit_on_reply: draft.exit_on_reply,
        stay_on_resolved: draft.stay_on_resolved,
        stay_on_goal: draft.stay_on_goal,
        max_lifetime: draft.max_lifetime,
        steps: draft.steps.into_iter().map(shown_step).collect(),
        ..Default::default()
    }
}

fn shown_step(step: DraftStep) -> v1::Step {
    let shown = v1::Step {
        wait: step.wait,
        at: step.at,
        channel: step.channel,
        subject: step.subject,
        body: step.body,
        useless_after: step.useless_after,
        late: step.late,
        on_failure: step.on_failure,
        business_days_only: step.business_days_only,
        ..Default::default()
    };
    rich::show(step.rich, step.fallback, shown)
}

/// What a hold covers.
///
/// # Errors
/// It is not exactly one thing, or its name is none.
pub(super) fn scope(given: Option<v1::Scope>) -> Result<ScopeName, Error> {
    use v1::__buffa::oneof::scope::Scope;
    match given.and_then(|scope| scope.scope) {
        Some(Scope::WholeTenant(true)) => Ok(ScopeName::Tenant),
        Some(Scope::Channel(channel)) => Name::parse(&channel)
            .map(ScopeName::Channel)
            .map_err(|error| take::invalid("scope.channel", &error.to_string())),
        Some(Scope::Account(account)) => Name::parse(&account)
            .map(ScopeName::Account)
            .map_err(|error| take::invalid("scope.account", &error.to_string())),
        Some(Scope::Sequence(sequence)) => sequence_scope("scope.sequence", &sequence),
        Some(Scope::WholeTenant(false)) | None => {
            Err(take::invalid("scope", "is missing: give whole_tenant, account, channel or sequence"))
        }
    }
}

/// One sequence as what a hold covers.
///
/// # Errors
/// Its name is none.
pub(super) fn sequence_scope(field: &str, name: &str) -> Result<ScopeName, Error> {
    Name::parse(name).map(ScopeName::Sequence).map_err(|error| take::invalid(field, &error.to_string()))
}

/// Checks why something is held.
///
/// # Errors
/// It is too long, or no line.
pub(super) fn reason(text: &str) -> Result<(), Error> {
    if text.chars().count() > limits::HOLD_REASON_CHARS || text.chars().any(char::is_control) {
        let problem = format!("has to be one line of at most {} characters", limits::HOLD_REASON_CHARS);
        return Err(take::invalid("reason", &problem));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_exactly_one_thing() {
        assert!(scope(None).is_err());
        assert!(scope(Some(v1::Scope::default())).is_err());
        let one = v1::__buffa::oneof::scope::Scope::Channel("mail".into());
        let mail = v1::Scope { scope: Some(one), ..Default::default() };
        assert_eq!(scope(Some(mail)).unwrap(), ScopeName::Channel(Name::parse("mail").unwrap()));
    }

    #[test]
    fn a_revision_and_none_cannot_be_expected_at_once() {
        assert_eq!(expected(0, false).unwrap(), Expected::Any);
        assert_eq!(expected(0, true).unwrap(), Expected::Absent);
        assert_eq!(expected(7, false).unwrap(), Expected::Revision(7));
        assert!(expected(7, true).is_err());
    }

    #[test]
    fn what_is_shown_can_be_put_again() {
        let paced = ChannelSettings { rate_count: 2, rate_per: "1 second".into(), ..Default::default() };
        let gentle = ChannelSettings {
            jitter: "5 seconds".into(),
            recipient_gap: "6 seconds".into(),
            new_recipients: 250,
            rest: Some(RestSettings { after: 30, span: "20 minutes".into() }),
            warm_up: Some(WarmUp { days: 14, from: 20 }),
            in_doubt: "leave".into(),
            kill_switches: Some(vec![KillSwitchSettings { percent: 10, after: 50, ..Default::default() }]),
            account: "portfolio".into(),
            preset: "mailbox".into(),
            without: vec!["warm_up".into()],
            ..paced.clone()
        };
        let unwatched = ChannelSettings { kill_switches: Some(Vec::new()), ..paced.clone() };
        for settings in [ChannelSettings::default(), paced, gentle, unwatched] {
            assert_eq!(channel_settings(shown_channel_settings(settings.clone())).unwrap(), settings);
        }
        let settings = TenantSettings {
            quiet_hours: vec![("mon".into(), "20:00".into(), "08:00".into())],
            opt_out_of_all: true,
            default_channels: [("email".to_owned(), "mail".to_owned())].into(),
            ..TenantSettings::default()
        };
        assert_eq!(tenant_settings(shown_tenant_settings(settings.clone())), settings);
        let written = Draft { steps: vec![DraftStep::default()], ..Draft::default() };
        assert_eq!(draft(shown_draft(written.clone())).unwrap(), written);
    }

    #[test]
    fn a_rate_of_zero_is_refused_and_no_rate_is_not() {
        assert_eq!(channel_settings(v1::ChannelSettings::default()).unwrap().rate_count, 0);
        let zero = v1::ChannelSettings { rate: v1::Rate::default().into(), ..Default::default() };
        assert!(channel_settings(zero).unwrap_err().to_string().contains("rate.count"));
    }
}
