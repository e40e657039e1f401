//! How a channel's messages leave, as its file says it and as messages, both ways.

use serde::{Deserialize, Serialize};

use followupd_proto::v1;

/// How mail leaves.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Smtp {
    #[serde(skip_serializing_if = "String::is_empty")]
    host: String,
    port: u32,
    #[serde(skip_serializing_if = "String::is_empty")]
    security: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    username: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<Secret>,
    #[serde(skip_serializing_if = "String::is_empty")]
    from: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    from_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    unsubscribe: String,
    connections: u32,
}

/// Where messages are posted.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Http {
    #[serde(skip_serializing_if = "String::is_empty")]
    url: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<Secret>,
    connections: u32,
}

/// The number of WhatsApp.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Meta {
    #[serde(skip_serializing_if = "String::is_empty")]
    phone_number_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<Secret>,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    base: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    app_secrets: Vec<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verify_token: Option<Secret>,
    connections: u32,
}

/// The sender of SMS.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Twilio {
    #[serde(skip_serializing_if = "String::is_empty")]
    account: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    username: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<Secret>,
    #[serde(skip_serializing_if = "String::is_empty")]
    number: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    service: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    status_callback: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    auth_tokens: Vec<Secret>,
    #[serde(skip_serializing_if = "String::is_empty")]
    base: String,
    connections: u32,
}

/// The agent inbox.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Chatwoot {
    #[serde(skip_serializing_if = "String::is_empty")]
    base: String,
    account: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<Secret>,
    connections: u32,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "SecretKeys", into = "SecretKeys")]
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

#[derive(Default, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "keys: one of env: VARIABLE, file: PATH, value: SECRET and kept: true"
)]
struct SecretKeys {
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    kept: bool,
}

impl From<Secret> for SecretKeys {
    fn from(secret: Secret) -> SecretKeys {
        match secret {
            Secret::Env(variable) => SecretKeys { env: Some(variable), ..SecretKeys::default() },
            Secret::File(path) => SecretKeys { file: Some(path), ..SecretKeys::default() },
            Secret::Value(value) => SecretKeys { value: Some(value), ..SecretKeys::default() },
            Secret::Kept => SecretKeys { kept: true, ..SecretKeys::default() },
        }
    }
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

impl From<Meta> for v1::Meta {
    fn from(given: Meta) -> v1::Meta {
        v1::Meta {
            phone_number_id: given.phone_number_id,
            token: given.token.map(v1::Secret::from).into(),
            version: given.version,
            base: given.base,
            app_secrets: given.app_secrets.into_iter().map(v1::Secret::from).collect(),
            verify_token: given.verify_token.map(v1::Secret::from).into(),
            connections: given.connections,
            ..Default::default()
        }
    }
}

impl From<Twilio> for v1::Twilio {
    fn from(given: Twilio) -> v1::Twilio {
        v1::Twilio {
            account: given.account,
            username: given.username,
            password: given.password.map(v1::Secret::from).into(),
            number: given.number,
            service: given.service,
            status_callback: given.status_callback,
            auth_tokens: given.auth_tokens.into_iter().map(v1::Secret::from).collect(),
            base: given.base,
            connections: given.connections,
            ..Default::default()
        }
    }
}

impl From<Chatwoot> for v1::Chatwoot {
    fn from(given: Chatwoot) -> v1::Chatwoot {
        v1::Chatwoot {
            base: given.base,
            account: given.account,
            token: given.token.map(v1::Secret::from).into(),
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

impl From<v1::Smtp> for Smtp {
    fn from(shown: v1::Smtp) -> Smtp {
        Smtp {
            host: shown.host,
            port: shown.port,
            security: shown.security,
            username: shown.username,
            password: shown.password.into_option().map(Secret::from),
            from: shown.from,
            from_name: shown.from_name,
            unsubscribe: shown.unsubscribe,
            connections: shown.connections,
        }
    }
}

impl From<v1::Http> for Http {
    fn from(shown: v1::Http) -> Http {
        let secrets = shown.secrets.into_iter().map(Secret::from).collect();
        Http { url: shown.url, secrets, connections: shown.connections }
    }
}

impl From<v1::Meta> for Meta {
    fn from(shown: v1::Meta) -> Meta {
        Meta {
            phone_number_id: shown.phone_number_id,
            token: shown.token.into_option().map(Secret::from),
            version: shown.version,
            base: shown.base,
            app_secrets: shown.app_secrets.into_iter().map(Secret::from).collect(),
            verify_token: shown.verify_token.into_option().map(Secret::from),
            connections: shown.connections,
        }
    }
}

impl From<v1::Twilio> for Twilio {
    fn from(shown: v1::Twilio) -> Twilio {
        Twilio {
            account: shown.account,
            username: shown.username,
            password: shown.password.into_option().map(Secret::from),
            number: shown.number,
            service: shown.service,
            status_callback: shown.status_callback,
            auth_tokens: shown.auth_tokens.into_iter().map(Secret::from).collect(),
            base: shown.base,
            connections: shown.connections,
        }
    }
}

impl From<v1::Chatwoot> for Chatwoot {
    fn from(shown: v1::Chatwoot) -> Chatwoot {
        let token = shown.token.into_option().map(Secret::from);
        Chatwoot { base: shown.base, account: shown.account, token, connections: shown.connections }
    }
}

impl From<v1::Secret> for Secret {
    fn from(shown: v1::Secret) -> Secret {
        use v1::__buffa::oneof::secret::Secret as Shown;
        match shown.secret {
            Some(Shown::Env(variable)) => Secret::Env(variable),
            Some(Shown::File(path)) => Secret::File(path),
            Some(Shown::Value(value)) => Secret::Value(value),
            Some(Shown::Kept(_)) | None => Secret::Kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Channel, parse};
    use super::*;

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
    fn what_a_file_says_survives_its_message_and_its_text() {
        let text = "\
            kind: email\nsmtp: { host: a, port: 25, password: { env: A } }\n\
            http: { url: b, secrets: [{ kept: true }] }\n\
            meta: { phone_number_id: '7', token: { env: B }, app_secrets: [{ file: /c }], verify_token: { value: d } }\n\
            twilio: { account: AC, password: { env: E }, number: '+1', auth_tokens: [{ kept: true }] }\n\
            chatwoot: { base: f, account: 8, token: { file: /g }, connections: 9 }\n";
        let channel: Channel = parse(text, "c").unwrap();
        let shown = Channel::from(v1::ChannelSettings::from(channel));
        let again: Channel = parse(&serde_norway::to_string(&shown).unwrap(), "c").unwrap();
        assert_eq!(again, shown);
        let smtp: Option<v1::Smtp> = v1::ChannelSettings::from(again).smtp.into_option();
        assert_eq!(smtp.map(|smtp| Smtp::from(smtp).password), Some(Some(Secret::Env("A".into()))));
    }
}
