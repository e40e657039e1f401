//! Settings files of the command line: YAML with the names of the RPC's fields; an unknown key names the near one.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroU32;
use std::path::Path;

use clap::ValueEnum;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::exit::Failure;
use crate::{config, limits, strict};
use followupd_proto::v1;

mod outside;
mod rich;
mod shown;

use outside::{Chatwoot, Http, Meta, Smtp, Twilio};

/// A file to start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Example {
    /// Settings of the daemon, for `serve --config`.
    Config,
    /// For `tenant put`.
    Tenant,
    /// For `account put`.
    Account,
    /// For `channel put`.
    Channel,
    /// For `sequence put`.
    Sequence,
    /// Contacts, for `enroll --csv`.
    Contacts,
}

impl Example {
    /// The file.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Example::Config => config::DEFAULTS,
            Example::Tenant => include_str!("../../assets/examples/tenant.yaml"),
            Example::Account => include_str!("../../assets/examples/account.yaml"),
            Example::Channel => include_str!("../../assets/examples/channel.yaml"),
            Example::Sequence => include_str!("../../assets/examples/sequence.yaml"),
            Example::Contacts => include_str!("../../assets/examples/contacts.csv"),
        }
    }
}

/// Settings of a tenant.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tenant {
    on: bool,
    time_zone: String,
    #[serde(skip_serializing_if = "is_default")]
    contact_time_zone: bool,
    #[serde(skip_serializing_if = "is_default")]
    quiet_hours: Vec<QuietHours>,
    #[serde(skip_serializing_if = "is_default")]
    business_days: String,
    #[serde(skip_serializing_if = "is_default")]
    holidays: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    stop_words: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    contact_per_day: Option<NonZeroU32>,
    #[serde(skip_serializing_if = "is_default")]
    contact_per_week: Option<NonZeroU32>,
    #[serde(skip_serializing_if = "is_default")]
    opt_out_of_all: bool,
    #[serde(skip_serializing_if = "is_default")]
    default_channels: BTreeMap<String, String>,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "keys: days, from and to")]
struct QuietHours {
    days: String,
    from: String,
    to: String,
}

/// Settings of an account.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Account {
    #[serde(skip_serializing_if = "is_default")]
    new_recipients: Option<NonZeroU32>,
}

/// Settings of a channel.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Channel {
    #[serde(skip_serializing_if = "is_default")]
    kind: String,
    #[serde(skip_serializing_if = "is_default")]
    transport: String,
    #[serde(skip_serializing_if = "is_default")]
    account: String,
    #[serde(skip_serializing_if = "is_default")]
    preset: String,
    #[serde(skip_serializing_if = "is_default")]
    without: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    rate: Option<Rate>,
    #[serde(skip_serializing_if = "is_default")]
    gap: String,
    #[serde(skip_serializing_if = "is_default")]
    jitter: String,
    #[serde(skip_serializing_if = "is_default")]
    per_minute: Option<NonZeroU32>,
    #[serde(skip_serializing_if = "is_default")]
    per_hour: Option<NonZeroU32>,
    #[serde(skip_serializing_if = "is_default")]
    per_day: Option<NonZeroU32>,
    #[serde(skip_serializing_if = "is_default")]
    rest: Option<Rest>,
    #[serde(skip_serializing_if = "is_default")]
    warm_up: Option<WarmUp>,
    #[serde(skip_serializing_if = "is_default")]
    recipient_gap: String,
    #[serde(skip_serializing_if = "is_default")]
    new_recipients: Option<NonZeroU32>,
    #[serde(skip_serializing_if = "is_default")]
    ignores_quiet_hours: Option<bool>,
    #[serde(skip_serializing_if = "is_default")]
    in_doubt: String,
    #[serde(skip_serializing_if = "is_default")]
    kill_switches: Option<Vec<KillSwitch>>,
    #[serde(skip_serializing_if = "is_default")]
    smtp: Option<Smtp>,
    #[serde(skip_serializing_if = "is_default")]
    http: Option<Http>,
    #[serde(skip_serializing_if = "is_default")]
    meta: Option<Meta>,
    #[serde(skip_serializing_if = "is_default")]
    twilio: Option<Twilio>,
    #[serde(skip_serializing_if = "is_default")]
    chatwoot: Option<Chatwoot>,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "keys: signal, percent, after and report_only")]
struct KillSwitch {
    #[serde(skip_serializing_if = "is_default")]
    signal: String,
    #[serde(skip_serializing_if = "is_default")]
    percent: u32,
    #[serde(skip_serializing_if = "is_default")]
    after: u32,
    #[serde(skip_serializing_if = "is_default")]
    report_only: bool,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "keys: count, per and burst")]
struct Rate {
    #[serde(skip_serializing_if = "is_default")]
    count: u32,
    #[serde(skip_serializing_if = "is_default")]
    per: String,
    #[serde(skip_serializing_if = "is_default")]
    burst: Option<NonZeroU32>,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "keys: after and span")]
struct Rest {
    after: u32,
    span: String,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "keys: days and from")]
struct WarmUp {
    days: u32,
    from: u32,
}

/// A sequence.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Sequence {
    #[serde(skip_serializing_if = "is_default")]
    target: String,
    #[serde(skip_serializing_if = "is_default")]
    class: String,
    #[serde(skip_serializing_if = "is_default")]
    weight: Option<u32>,
    #[serde(skip_serializing_if = "is_default")]
    unique_per: String,
    #[serde(skip_serializing_if = "is_default")]
    reentry: String,
    #[serde(skip_serializing_if = "is_default")]
    exit_on_reply: String,
    #[serde(skip_serializing_if = "is_default")]
    stay_on_resolved: bool,
    #[serde(skip_serializing_if = "is_default")]
    stay_on_goal: bool,
    #[serde(skip_serializing_if = "is_default")]
    max_lifetime: String,
    #[serde(skip_serializing_if = "is_default")]
    steps: Vec<Step>,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Step {
    #[serde(skip_serializing_if = "is_default")]
    wait: String,
    #[serde(skip_serializing_if = "is_default")]
    at: String,
    #[serde(skip_serializing_if = "is_default")]
    channel: String,
    #[serde(skip_serializing_if = "is_default")]
    subject: String,
    #[serde(skip_serializing_if = "is_default")]
    body: String,
    #[serde(skip_serializing_if = "is_default")]
    template: Option<rich::Template>,
    #[serde(skip_serializing_if = "is_default")]
    media: Option<rich::Media>,
    #[serde(skip_serializing_if = "is_default")]
    buttons: Vec<rich::Button>,
    #[serde(skip_serializing_if = "is_default")]
    fallback: Option<rich::Template>,
    #[serde(skip_serializing_if = "is_default")]
    useless_after: String,
    #[serde(skip_serializing_if = "is_default")]
    late: String,
    #[serde(skip_serializing_if = "is_default")]
    on_failure: String,
    #[serde(skip_serializing_if = "is_default")]
    business_days_only: bool,
}

/// What is left out of a file, as it says nothing.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A limit of a file as the RPC has it, where 0 says nothing. In a file 0 is refused: who writes it means no message at
/// all.
fn as_given(limit: Option<NonZeroU32>) -> u32 {
    limit.map_or(0, NonZeroU32::get)
}

/// Reads a settings file.
///
/// # Errors
/// It cannot be read, or does not say what such a file says; with its line.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let cannot =
        |error: std::io::Error| Failure::input(format!("{} cannot be read: {error}", path.display()));
    let bytes = fs::metadata(path).map_err(cannot)?.len();
    if bytes > limits::FILE_BYTES {
        let most = limits::FILE_BYTES;
        return Err(Failure::input(format!(
            "{} has {bytes} bytes: at most {most} are allowed",
            path.display()
        )));
    }
    parse(&fs::read_to_string(path).map_err(cannot)?, &path.display().to_string())
}

/// Reads the text of a settings file.
///
/// # Errors
/// It does not say what such a file says; with its line.
pub(crate) fn parse<T: DeserializeOwned>(text: &str, from: &str) -> Result<T, Failure> {
    serde_norway::from_str(text)
        .map_err(|error| Failure::input(format!("{from}: {}", strict::explain(&error.to_string()))))
}

impl From<Tenant> for v1::TenantSettings {
    fn from(given: Tenant) -> v1::TenantSettings {
        let quiet = |quiet: QuietHours| v1::QuietHours {
            days: quiet.days,
            from: quiet.from,
            to: quiet.to,
            ..Default::default()
        };
        v1::TenantSettings {
            on: given.on,
            time_zone: given.time_zone,
            contact_time_zone: given.contact_time_zone,
            quiet_hours: given.quiet_hours.into_iter().map(quiet).collect(),
            business_days: given.business_days,
            holidays: given.holidays,
            stop_words: given.stop_words,
            contact_per_day: as_given(given.contact_per_day),
            contact_per_week: as_given(given.contact_per_week),
            opt_out_of_all: given.opt_out_of_all,
            default_channels: given.default_channels.into_iter().collect(),
            ..Default::default()
        }
    }
}

impl From<Account> for v1::AccountSettings {
    fn from(given: Account) -> v1::AccountSettings {
        v1::AccountSettings { new_recipients: as_given(given.new_recipients), ..Default::default() }
    }
}

impl From<KillSwitch> for v1::KillSwitch {
    fn from(given: KillSwitch) -> v1::KillSwitch {
        let KillSwitch { signal, percent, after, report_only } = given;
        v1::KillSwitch { signal, percent, after, report_only, ..Default::default() }
    }
}

impl From<Channel> for v1::ChannelSettings {
    fn from(given: Channel) -> v1::ChannelSettings {
        let rate = |rate: Rate| v1::Rate {
            count: rate.count,
            per: rate.per,
            burst: as_given(rate.burst),
            ..Default::default()
        };
        let rest = |Rest { after, span }| v1::Rest { after, span, ..Default::default() };
        let warm_up = |WarmUp { days, from }| v1::WarmUp { days, from, ..Default::default() };
        let switches = given.kill_switches;
        v1::ChannelSettings {
            kind: given.kind,
            transport: given.transport,
            preset: given.preset,
            without: given.without,
            rate: given.rate.map(rate).into(),
            gap: given.gap,
            jitter: given.jitter,
            per_minute: as_given(given.per_minute),
            per_hour: as_given(given.per_hour),
            per_day: as_given(given.per_day),
            rest: given.rest.map(rest).into(),
            warm_up: given.warm_up.map(warm_up).into(),
            recipient_gap: given.recipient_gap,
            new_recipients: as_given(given.new_recipients),
            ignores_quiet_hours: given.ignores_quiet_hours,
            in_doubt: given.in_doubt,
            no_kill_switches: switches.as_ref().is_some_and(Vec::is_empty),
            kill_switches: switches.into_iter().flatten().map(v1::KillSwitch::from).collect(),
            account: given.account,
            smtp: given.smtp.map(v1::Smtp::from).into(),
            http: given.http.map(v1::Http::from).into(),
            meta: given.meta.map(v1::Meta::from).into(),
            twilio: given.twilio.map(v1::Twilio::from).into(),
            chatwoot: given.chatwoot.map(v1::Chatwoot::from).into(),
            ..Default::default()
        }
    }
}

impl From<Sequence> for v1::Draft {
    fn from(given: Sequence) -> v1::Draft {
        v1::Draft {
            target: given.target,
            class: given.class,
            weight: given.weight,
            unique_per: given.unique_per,
            reentry: given.reentry,
            exit_on_reply: given.exit_on_reply,
            stay_on_resolved: given.stay_on_resolved,
            stay_on_goal: given.stay_on_goal,
            max_lifetime: given.max_lifetime,
            steps: given.steps.into_iter().map(v1::Step::from).collect(),
            ..Default::default()
        }
    }
}

impl From<Step> for v1::Step {
    fn from(given: Step) -> v1::Step {
        v1::Step {
            wait: given.wait,
            at: given.at,
            channel: given.channel,
            subject: given.subject,
            body: given.body,
            template: given.template.map(v1::Template::from).into(),
            media: given.media.map(v1::Media::from).into(),
            buttons: given.buttons.into_iter().map(v1::Button::from).collect(),
            fallback: given.fallback.map(v1::Template::from).into(),
            useless_after: given.useless_after,
            late: given.late,
            on_failure: given.on_failure,
            business_days_only: given.business_days_only,
            ..Default::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use followupd_domain::channel::Preset;

    use super::*;

    #[test]
    fn the_examples_are_what_their_commands_read() {
        let tenant: Tenant = parse(Example::Tenant.text(), "tenant.yaml").unwrap();
        assert!(tenant.on && !tenant.quiet_hours.is_empty());
        let account: Account = parse(Example::Account.text(), "account.yaml").unwrap();
        assert!(account.new_recipients.is_some());
        let channel: Channel = parse(Example::Channel.text(), "channel.yaml").unwrap();
        assert_eq!(channel.transport, "outbox");
        let sequence: Sequence = parse(Example::Sequence.text(), "sequence.yaml").unwrap();
        assert!(sequence.steps.len() > 1);
        let mut contacts = crate::contacts::Contacts::open(Example::Contacts.text().as_bytes()).unwrap();
        while let Some(row) = contacts.next().unwrap() {
            assert!(row.says.is_ok(), "{row:?}");
        }
    }

    #[test]
    fn the_example_of_a_channel_tells_what_its_presets_are() {
        // Lines of a comment, as one text.
        let text =
            Example::Channel.text().replace("\n#", "").split_whitespace().collect::<Vec<_>>().join(" ");
        for preset in Preset::ALL {
            let limits = preset.limits();
            let rate = limits.rate.filter(|rate| rate.burst > 1);
            let rate = rate.map(|rate| format!("{} a second with a burst of {}", rate.count, rate.burst));
            let warm_up =
                limits.warm_up.map(|known| format!("warm-up of {} days from {}", known.days, known.from));
            let switches = preset.kill_switches().into_iter().map(|switch| match switch.is_of_a_row() {
                true => format!("{} failed in a row", switch.after),
                false => format!("{} {} % after {}", switch.signal.word(), switch.percent, switch.after),
            });
            for told in [rate, warm_up].into_iter().flatten().chain(switches) {
                assert!(text.contains(&told), "{}: {told}", preset.word());
            }
        }
    }

    #[test]
    fn an_unknown_key_names_the_near_one_and_its_line() {
        let wrong = "steps:\n  - channel: email\n    bdoy: Hello\n";
        let failure = parse::<Sequence>(wrong, "s.yaml").unwrap_err();
        assert!(failure.says.contains("unknown key `bdoy`: did you mean `body`?"), "{failure}");
        assert!(failure.says.contains("line 3"), "{failure}");
    }
}
