//! Transports as a tenant sets them: where messages go and as whom. Opening one is the transports' own business.

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
    pub const WORDS: [&'static str; 3] = ["outbox", "smtp", "http"];

    /// Its word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Transport::Outbox => "outbox",
            Transport::Smtp(_) => "smtp",
            Transport::Http(_) => "http",
        }
    }

    /// What its in-doubt sends may do.
    #[must_use]
    pub fn idempotency(&self) -> Idempotency {
        match self {
            Transport::Outbox | Transport::Http(_) => Idempotency::ByKey,
            Transport::Smtp(_) => Idempotency::None,
        }
    }

    /// The kind it serves; `None`: every kind.
    #[must_use]
    pub fn serves(&self) -> Option<Kind> {
        match self {
            Transport::Outbox => None,
            Transport::Smtp(_) => Some(Kind::Email),
            Transport::Http(_) => Some(Kind::Webhook),
        }
    }

    /// Its secrets, in order.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretAt> {
        let (password, secrets) = match self {
            Transport::Outbox => (None, [].as_slice()),
            Transport::Smtp(smtp) => (smtp.password.as_ref(), [].as_slice()),
            Transport::Http(http) => (None, http.secrets.as_slice()),
        };
        password.into_iter().chain(secrets)
    }
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
}
