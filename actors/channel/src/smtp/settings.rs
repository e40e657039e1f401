//! What one sender of mail is told: where its server is, who it is, how long it waits.

use std::net::IpAddr;
use std::time::Duration;

pub use followupd_domain::channel::Security;
use lettre::Address;
use url::Url;

use crate::limits;
use crate::problem::{Problem, Problems};
use crate::secret::Secret;

/// A login.
#[derive(Clone, Debug)]
pub struct Login {
    /// As whom.
    pub username: String,
    /// With what.
    pub password: Secret,
}

/// How long each part of a conversation may take. RFC 5321, 4.5.3.2, wants a client to be patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeOuts {
    /// To connect.
    pub connect: Duration,
    /// For TLS, the greeting, EHLO and AUTH together.
    pub hello: Duration,
    /// For MAIL.
    pub mail: Duration,
    /// For RCPT.
    pub rcpt: Duration,
    /// For the DATA command.
    pub data: Duration,
    /// For the mail and the answer to its final dot. A client that gives up early may send twice.
    pub body: Duration,
}

impl Default for TimeOuts {
    fn default() -> TimeOuts {
        TimeOuts {
            connect: Duration::from_secs(30),
            hello: Duration::from_secs(60),
            mail: Duration::from_secs(60),
            rcpt: Duration::from_secs(60),
            data: Duration::from_secs(2 * 60),
            body: Duration::from_secs(10 * 60),
        }
    }
}

/// One sender of mail.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The server's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the conversation is protected.
    pub security: Security,
    /// How to log in, if at all.
    pub login: Option<Login>,
    /// The address mail comes from; answers and bounces go there.
    pub from: String,
    /// The name beside it; may be empty.
    pub from_name: String,
    /// What this machine calls itself: a full name, or an address in brackets.
    pub helo: String,
    /// How long to wait.
    pub time_outs: TimeOuts,
    /// Connections at most.
    pub connections: usize,
    /// Whether a server that is not this machine may be spoken to without TLS.
    pub plain: bool,
    /// The one-click unsubscribe URL (RFC 8058), `{send}` standing for the send's key.
    pub unsubscribe: Option<String>,
}

impl Settings {
    /// Whether they can be used.
    ///
    /// # Errors
    /// Each field that cannot be, with what would be right.
    pub fn check(&self) -> Result<(), Vec<Problem>> {
        let mut problems = Problems::default();
        problems.unless(is_host(&self.host), "host", "a host name or an address, without scheme or port");
        problems.unless(self.port != 0, "port", "465 for tls, 587 for starttls, or what the server uses");
        let protected = self.security != Security::None || self.plain || is_loopback(&self.host);
        problems.unless(
            protected,
            "security",
            "tls or starttls, unless plain is allowed or the host is loopback",
        );
        if let Some(Login { username, password }) = &self.login {
            problems.unless(!username.is_empty(), "username", "a name, or no login at all");
            problems.unless(!password.reveal().is_empty(), "password", "a password, or no login at all");
        }
        problems.unless(
            address(&self.from).is_some(),
            "from",
            "an ASCII e-mail address, like team@example.com",
        );
        let fits = self.from_name.len() <= limits::NAME_BYTES && !self.from_name.contains(char::is_control);
        problems.unless(fits, "from_name", format!("at most {} bytes on one line", limits::NAME_BYTES));
        problems.unless(
            is_helo(&self.helo),
            "helo",
            "this machine's full name, or an address like [192.0.2.1]",
        );
        self.check_time_outs(&mut problems);
        problems.connections(self.connections);
        if let Some(template) = &self.unsubscribe {
            let right = format!("an https URL of at most {} bytes", limits::UNSUBSCRIBE_BYTES);
            problems.unless(is_unsubscribe(template), "unsubscribe", right);
        }
        problems.end()
    }

    fn check_time_outs(&self, problems: &mut Problems) {
        let TimeOuts { connect, hello, mail, rcpt, data, body } = self.time_outs;
        let all = [
            ("time_outs.connect", connect),
            ("time_outs.hello", hello),
            ("time_outs.mail", mail),
            ("time_outs.rcpt", rcpt),
            ("time_outs.data", data),
            ("time_outs.body", body),
        ];
        for (field, value) in all {
            problems.time_out(field, value);
        }
    }
}

/// The sender's address, where it is one every server can write.
pub(super) fn address(text: &str) -> Option<Address> {
    text.parse().ok().filter(|_| text.is_ascii() && text.len() <= limits::ADDRESS_BYTES)
}

fn is_host(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || is_name(text)
}

fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        let ends = label.starts_with('-') || label.ends_with('-');
        !ends
            && matches!(label.len(), 1..=63)
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.len() <= 253 && text.strip_suffix('.').unwrap_or(text).split('.').all(label)
}

/// Whether a machine may call itself that: a full name, or an address in brackets (RFC 5321, 4.1.3).
#[must_use]
pub fn is_helo(text: &str) -> bool {
    match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        Some(literal) => literal.strip_prefix("IPv6:").unwrap_or(literal).parse::<IpAddr>().is_ok(),
        None => is_name(text),
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn is_unsubscribe(template: &str) -> bool {
    let plain = template.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b','));
    let url = Url::parse(&template.replace("{send}", "send"));
    plain && template.len() <= limits::UNSUBSCRIBE_BYTES && url.is_ok_and(|url| url.scheme() == "https")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            host: "mail.example.com".into(),
            port: 587,
            security: Security::StartTls,
            login: Some(Login { username: "team".into(), password: Secret::new("hunter2") }),
            from: "team@example.com".into(),
            from_name: "A Équipe".into(),
            helo: "node-1.example.com".into(),
            time_outs: TimeOuts::default(),
            connections: 4,
            plain: false,
            unsubscribe: Some("https://example.com/stop?send={send}".into()),
        }
    }

    fn wrong(change: impl FnOnce(&mut Settings)) -> Vec<&'static str> {
        let mut settings = settings();
        change(&mut settings);
        settings.check().err().unwrap_or_default().into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn settings_as_they_should_be_have_no_problem() {
        assert_eq!(settings().check(), Ok(()));
        assert_eq!(wrong(|s| s.helo = "[IPv6:2001:db8::1]".into()), [""; 0]);
        assert_eq!(wrong(|s| s.host = "192.0.2.1".into()), [""; 0]);
    }

    #[test]
    fn each_field_that_cannot_be_is_named() {
        for host in ["", "mail example", "https://mail.example", "mail.example:25", "-a.example", "a\r\nb"] {
            assert_eq!(wrong(|s| s.host = host.into()), ["host"], "{host}");
        }
        assert_eq!(wrong(|s| s.port = 0), ["port"]);
        for from in ["", "team", "zoë@example.com", "a@b\r\nBcc: c@d", "<a@b.example>"] {
            assert_eq!(wrong(|s| s.from = from.into()), ["from"], "{from}");
        }
        assert_eq!(wrong(|s| s.from_name = "Team\r\nBcc: a@b".into()), ["from_name"]);
        for helo in ["", "a b", "[no]", "x\r\nMAIL"] {
            assert_eq!(wrong(|s| s.helo = helo.into()), ["helo"], "{helo}");
        }
        assert_eq!(wrong(|s| s.time_outs.rcpt = Duration::ZERO), ["time_outs.rcpt"]);
        assert_eq!(wrong(|s| s.time_outs.body = Duration::from_secs(3_600)), ["time_outs.body"]);
        assert_eq!(wrong(|s| s.connections = 0), ["connections"]);
        for unsubscribe in ["http://example.com", "mailto:a@b.example", "https://a.example/>\r\nBcc: x"] {
            assert_eq!(wrong(|s| s.unsubscribe = Some(unsubscribe.into())), ["unsubscribe"], "{unsubscribe}");
        }
        assert_eq!(wrong(|s| (s.host, s.connections) = (String::new(), 1_000)), ["host", "connections"]);
    }

    #[test]
    fn plain_text_is_for_this_machine_or_where_it_is_allowed() {
        assert_eq!(wrong(|s| s.security = Security::None), ["security"]);
        assert_eq!(wrong(|s| (s.security, s.plain) = (Security::None, true)), [""; 0]);
        for host in ["localhost", "127.0.0.1", "::1"] {
            assert_eq!(wrong(|s| (s.security, s.host) = (Security::None, host.into())), [""; 0]);
        }
    }

    #[test]
    fn the_password_is_not_in_what_is_printed() {
        assert!(!format!("{:?}", settings()).contains("hunter2"));
    }
}
