//! Settings files of the command line: YAML with the names of the RPC's fields; an unknown key names the near one.

use std::fs;
use std::path::Path;

use clap::ValueEnum;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::exit::Failure;
use crate::proto::v1;
use crate::{config, limits, strict};

/// A file to start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Example {
    /// Settings of the daemon, for `serve --config`.
    Config,
    /// For `tenant put`.
    Tenant,
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
            Example::Channel => include_str!("../../assets/examples/channel.yaml"),
            Example::Sequence => include_str!("../../assets/examples/sequence.yaml"),
            Example::Contacts => include_str!("../../assets/examples/contacts.csv"),
        }
    }
}

/// Settings of a tenant.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tenant {
    on: bool,
    time_zone: String,
    contact_time_zone: bool,
    quiet_hours: Vec<QuietHours>,
    business_days: String,
    holidays: Vec<String>,
    stop_words: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct QuietHours {
    days: String,
    from: String,
    to: String,
}

/// Settings of a channel.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Channel {
    kind: String,
    transport: String,
    rate: Option<Rate>,
    gap: String,
    per_minute: u32,
    per_hour: u32,
    per_day: u32,
    ignores_quiet_hours: Option<bool>,
    smtp: Option<Smtp>,
    http: Option<Http>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Smtp {
    host: String,
    port: u32,
    security: String,
    username: String,
    password: Option<Secret>,
    from: String,
    from_name: String,
    unsubscribe: String,
    connections: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Http {
    url: String,
    secrets: Vec<Secret>,
    connections: u32,
}

#[derive(Deserialize)]
#[serde(try_from = "SecretKeys")]
enum Secret {
    Env(String),
    File(String),
    Value(String),
    Kept,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SecretKeys {
    env: Option<String>,
    file: Option<String>,
    value: Option<String>,
    kept: bool,
}

impl TryFrom<SecretKeys> for Secret {
    type Error = &'static str;

    fn try_from(given: SecretKeys) -> Result<Secret, &'static str> {
        match (given.env, given.file, given.value, given.kept) {
            (Some(variable), None, None, false) => Ok(Secret::Env(variable)),
            (None, Some(path), None, false) => Ok(Secret::File(path)),
            (None, None, Some(value), false) => Ok(Secret::Value(value)),
            (None, None, None, true) => Ok(Secret::Kept),
            _ => Err("a secret is exactly one of env, file, value and `kept: true`"),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Rate {
    count: u32,
    per: String,
    burst: u32,
}

/// A sequence.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Sequence {
    target: String,
    class: String,
    unique_per: String,
    reentry: String,
    exit_on_reply: String,
    stay_on_resolved: bool,
    stay_on_goal: bool,
    max_lifetime: String,
    steps: Vec<Step>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Step {
    wait: String,
    at: String,
    channel: String,
    subject: String,
    body: String,
    useless_after: String,
    late: String,
    on_failure: String,
    business_days_only: bool,
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
            ..Default::default()
        }
    }
}

impl From<Channel> for v1::ChannelSettings {
    fn from(given: Channel) -> v1::ChannelSettings {
        let rate = |rate: Rate| v1::Rate {
            count: rate.count,
            per: rate.per,
            burst: rate.burst,
            ..Default::default()
        };
        v1::ChannelSettings {
            kind: given.kind,
            transport: given.transport,
            rate: given.rate.map(rate).into(),
            gap: given.gap,
            per_minute: given.per_minute,
            per_hour: given.per_hour,
            per_day: given.per_day,
            ignores_quiet_hours: given.ignores_quiet_hours,
            smtp: given.smtp.map(v1::Smtp::from).into(),
            http: given.http.map(v1::Http::from).into(),
            ..Default::default()
        }
    }
}

impl From<Smtp> for v1::Smtp {
    fn from(given: Smtp) -> v1::Smtp {
        v1::Smtp {
            host: given.host,
            port: given.port,
            security: given.security,
            username: given.username,
            password: given.password.map(v1::Secret::from).into(),
            from: given.from,
            from_name: given.from_name,
            unsubscribe: given.unsubscribe,
            connections: given.connections,
            ..Default::default()
        }
    }
}

impl From<Http> for v1::Http {
    fn from(given: Http) -> v1::Http {
        v1::Http {
            url: given.url,
            secrets: given.secrets.into_iter().map(v1::Secret::from).collect(),
            connections: given.connections,
            ..Default::default()
        }
    }
}

impl From<Secret> for v1::Secret {
    fn from(given: Secret) -> v1::Secret {
        use v1::__buffa::oneof::secret::Secret as Given;
        let secret = match given {
            Secret::Env(variable) => Given::Env(variable),
            Secret::File(path) => Given::File(path),
            Secret::Value(value) => Given::Value(value),
            Secret::Kept => Given::Kept(true),
        };
        v1::Secret { secret: Some(secret), ..Default::default() }
    }
}

impl From<Sequence> for v1::Draft {
    fn from(given: Sequence) -> v1::Draft {
        v1::Draft {
            target: given.target,
            class: given.class,
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
    use super::*;

    #[test]
    fn the_examples_are_what_their_commands_read() {
        let tenant: Tenant = parse(Example::Tenant.text(), "tenant.yaml").unwrap();
        assert!(tenant.on && !tenant.quiet_hours.is_empty());
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
    fn a_secret_is_exactly_one_of_its_forms() {
        let read = |secret: &str| {
            parse::<Channel>(&format!("kind: email\nsmtp:\n  password: {secret}\n"), "channel.yaml")
        };
        for right in ["{ env: A }", "{ file: /a }", "{ value: b }", "{ kept: true }"] {
            assert!(read(right).is_ok(), "{right}");
        }
        for wrong in ["{}", "{ env: A, value: b }", "{ kept: false }"] {
            assert!(read(wrong).unwrap_err().says.contains("exactly one"), "{wrong}");
        }
        assert!(read("{ vaule: b }").unwrap_err().says.contains("did you mean `value`?"));
        assert!(!format!("{:?}", read("{ value: hunter2 }")).contains("hunter2"));
    }

    #[test]
    fn an_unknown_key_names_the_near_one_and_its_line() {
        let wrong = "steps:\n  - channel: email\n    bdoy: Hello\n";
        let failure = parse::<Sequence>(wrong, "s.yaml").unwrap_err();
        assert!(failure.says.contains("unknown key `bdoy`: did you mean `body`?"), "{failure}");
        assert!(failure.says.contains("line 3"), "{failure}");
    }
}
