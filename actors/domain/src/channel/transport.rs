//! Transports as a tenant sets them: where messages go and as whom. Opening one is the transports' own business.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::channel::Kind;

/// How a channel's messages leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transport {
    /// A Maildir on this machine, one file per send id; serves every kind.
    Outbox,
    /// Mail over SMTP (RFC 5321).
    Smtp(Box<Smtp>),
    /// Requests to one URL, signed as Standard Webhooks are.
    Http(Box<Http>),
    /// WhatsApp by Meta's Cloud API.
    Meta(Box<Meta>),
    /// SMS by Twilio's API.
    Twilio(Box<Twilio>),
    /// Messages into conversations of Chatwoot, an agent inbox.
    Chatwoot(Box<Chatwoot>),
}

/// A sender of mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Smtp {
    /// The server's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the conversation is protected.
    pub security: Security,
    /// As whom to log in; empty: not at all.
    pub username: String,
    /// The password that goes with it.
    pub password: Option<SecretAt>,
    /// The address mail comes from.
    pub from: String,
    /// The name beside it; may be empty.
    pub from_name: String,
    /// The one-click unsubscribe URL (RFC 8058), `{send}` standing for the send's key; may be empty.
    pub unsubscribe: String,
    /// Connections at most.
    pub connections: u16,
}

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Http {
    /// Where to post.
    pub url: String,
    /// What requests are signed with, the current secret first.
    pub secrets: Vec<SecretAt>,
    /// Connections at most.
    pub connections: u16,
}

/// One number of WhatsApp's Cloud API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// The sender: the id of its phone number, not the number.
    pub phone_number_id: String,
    /// What proves that it is ours.
    pub token: Option<SecretAt>,
    /// The API's version; empty: the one this build knows best.
    pub version: String,
    /// Where the API is; empty: Meta's own.
    pub base: String,
    /// What Meta signs its webhooks with: the app's secret, the current one first.
    pub app_secrets: Vec<SecretAt>,
    /// What Meta says when a webhook is set up.
    pub verify_token: Option<SecretAt>,
    /// Connections at most.
    pub connections: u16,
}

/// One sender of Twilio's API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Twilio {
    /// The account: its id, `AC…`.
    pub account: String,
    /// Who logs in; empty: the account itself.
    pub username: String,
    /// The account's token, or the API key's secret.
    pub password: Option<SecretAt>,
    /// Who sends: a number, a short code or a name; empty with a service.
    pub number: String,
    /// Who sends: a messaging service, `MG…`; empty with a number.
    pub service: String,
    /// Where receipts are posted; empty: nowhere.
    pub status_callback: String,
    /// What Twilio signs its webhooks with: the account's token, the current one first.
    pub auth_tokens: Vec<SecretAt>,
    /// Where the API is; empty: Twilio's own.
    pub base: String,
    /// Connections at most.
    pub connections: u16,
}

/// One account of Chatwoot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chatwoot {
    /// Where it runs.
    pub base: String,
    /// The account's number.
    pub account: u64,
    /// The access token of the agent or bot that writes.
    pub token: Option<SecretAt>,
    /// Connections at most.
    pub connections: u16,
}

/// How a conversation is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Security {
    /// TLS from the first byte (RFC 8314).
    Tls,
    /// TLS after STARTTLS (RFC 3207); without it nothing is sent.
    StartTls,
    /// None.
    None,
}

/// Where a secret is. The value itself stands nowhere in the clear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecretAt {
    /// In this variable of the daemon's environment.
    Env(String),
    /// In this file on the daemon's machine.
    File(String),
    /// Here, sealed.
    Sealed(Vec<u8>),
}

/// Whether the provider takes the same send id twice without sending twice: what an in-doubt send may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// A repeat under the same send id is recognised: an in-doubt send is sent again.
    ByKey,
    /// It is not: an in-doubt send is left uncertain.
    None,
}

impl Security {
    /// All of them.
    pub const ALL: [Security; 3] = [Security::Tls, Security::StartTls, Security::None];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Security::Tls => "tls",
            Security::StartTls => "starttls",
            Security::None => "none",
        }
    }

    /// The protection of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Security> {
        Security::ALL.into_iter().find(|security| security.word() == word)
    }

    /// The port that goes with it: 465 (RFC 8314), 587 (RFC 6409), 25.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Security::Tls => 465,
            Security::StartTls => 587,
            Security::None => 25,
        }
    }
}

impl Transport {
    /// The words of all of them.
    pub const WORDS: [&'static str; 6] = ["outbox", "smtp", "http", "meta", "twilio", "chatwoot"];

    /// Its word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Transport::Outbox => "outbox",
            Transport::Smtp(_) => "smtp",
            Transport::Http(_) => "http",
            Transport::Meta(_) => "meta",
            Transport::Twilio(_) => "twilio",
            Transport::Chatwoot(_) => "chatwoot",
        }
    }

    /// What its in-doubt sends may do.
    #[must_use]
    pub fn idempotency(&self) -> Idempotency {
        match self {
            Transport::Outbox | Transport::Http(_) => Idempotency::ByKey,
            Transport::Smtp(_) | Transport::Meta(_) | Transport::Twilio(_) | Transport::Chatwoot(_) => {
                Idempotency::None
            }
        }
    }

    /// Whether it takes anything but approved templates only for a while after a contact has written.
    #[must_use]
    pub fn has_service_window(&self) -> bool {
        match self {
            Transport::Meta(_) => true,
            Transport::Outbox
            | Transport::Smtp(_)
            | Transport::Http(_)
            | Transport::Twilio(_)
            | Transport::Chatwoot(_) => false,
        }
    }

    /// The words of those whose provider may tell us something.
    pub const TOLD: [&str; 2] = ["meta", "twilio"];

    /// Whether its provider may tell us what contacts write, and what became of messages; what it is checked with may
    /// be given later.
    #[must_use]
    pub fn is_told(&self) -> bool {
        match self {
            Transport::Outbox | Transport::Smtp(_) | Transport::Http(_) | Transport::Chatwoot(_) => false,
            Transport::Meta(_) | Transport::Twilio(_) => true,
        }
    }

    /// The kind it serves; `None`: every kind.
    #[must_use]
    pub fn serves(&self) -> Option<Kind> {
        match self {
            Transport::Outbox => None,
            Transport::Smtp(_) => Some(Kind::Email),
            Transport::Http(_) => Some(Kind::Webhook),
            Transport::Meta(_) => Some(Kind::Whatsapp),
            Transport::Twilio(_) => Some(Kind::Sms),
            Transport::Chatwoot(_) => Some(Kind::Conversation),
        }
    }

    /// Its secrets, each with its place among the settings.
    #[must_use]
    pub fn secrets(&self) -> Vec<(SecretPlace, &SecretAt)> {
        match self {
            Transport::Outbox => Vec::new(),
            Transport::Smtp(smtp) => one("password", smtp.password.as_ref()).collect(),
            Transport::Http(http) => all("secrets", &http.secrets).collect(),
            Transport::Meta(meta) => one("token", meta.token.as_ref())
                .chain(all("app_secrets", &meta.app_secrets))
                .chain(one("verify_token", meta.verify_token.as_ref()))
                .collect(),
            Transport::Twilio(twilio) => one("password", twilio.password.as_ref())
                .chain(all("auth_tokens", &twilio.auth_tokens))
                .collect(),
            Transport::Chatwoot(chatwoot) => one("token", chatwoot.token.as_ref()).collect(),
        }
    }
}

/// Where a secret stands among the settings of a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretPlace {
    /// In which field.
    pub field: &'static str,
    /// Where in it, if it holds several.
    pub at: Option<usize>,
}

impl fmt::Display for SecretPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(at) => write!(f, "{}[{at}]", self.field),
            None => f.write_str(self.field),
        }
    }
}

fn one<'a>(
    field: &'static str,
    secret: Option<&'a SecretAt>,
) -> impl Iterator<Item = (SecretPlace, &'a SecretAt)> {
    secret.into_iter().map(move |secret| (SecretPlace { field, at: None }, secret))
}

fn all<'a>(
    field: &'static str,
    secrets: &'a [SecretAt],
) -> impl Iterator<Item = (SecretPlace, &'a SecretAt)> {
    let placed = secrets.iter().enumerate();
    placed.map(move |(at, secret)| (SecretPlace { field, at: Some(at) }, secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_protection_is_found_by_its_word() {
        for security in Security::ALL {
            assert_eq!(Security::parse(security.word()), Some(security));
        }
        assert_eq!(Security::parse("ssl"), None);
    }

    /// One of each transport, with nothing in it.
    fn each() -> [Transport; 6] {
        let none = String::new;
        let smtp = Smtp {
            host: none(),
            port: 25,
            security: Security::None,
            username: none(),
            password: None,
            from: none(),
            from_name: none(),
            unsubscribe: none(),
            connections: 8,
        };
        let meta = Meta {
            phone_number_id: none(),
            token: None,
            version: none(),
            base: none(),
            app_secrets: Vec::new(),
            verify_token: None,
            connections: 8,
        };
        let twilio = Twilio {
            account: none(),
            username: none(),
            password: None,
            number: none(),
            service: none(),
            status_callback: none(),
            auth_tokens: Vec::new(),
            base: none(),
            connections: 8,
        };
        let chatwoot = Chatwoot { base: none(), account: 1, token: None, connections: 8 };
        [
            Transport::Outbox,
            Transport::Http(Box::new(Http { url: none(), secrets: Vec::new(), connections: 8 })),
            Transport::Smtp(Box::new(smtp)),
            Transport::Meta(Box::new(meta)),
            Transport::Twilio(Box::new(twilio)),
            Transport::Chatwoot(Box::new(chatwoot)),
        ]
    }

    #[test]
    fn only_the_outbox_and_a_webhook_know_a_send_by_its_key() {
        let known = each().map(|transport| (transport.word(), transport.idempotency()));
        let expected = [
            ("outbox", Idempotency::ByKey),
            ("http", Idempotency::ByKey),
            ("smtp", Idempotency::None),
            ("meta", Idempotency::None),
            ("twilio", Idempotency::None),
            ("chatwoot", Idempotency::None),
        ];
        assert_eq!(known, expected);
    }
}
