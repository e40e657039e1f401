//! What one webhook is told: where, signed by what, and how far it may reach.

use std::time::Duration;

use url::Url;

use super::sign;
use crate::http::{self, Network};
use crate::limits;
use crate::problem::{Problem, Problems};
use crate::secret::Secret;

/// One webhook.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to post.
    pub url: String,
    /// What requests are signed with, the current secret first; more than one while rotating.
    pub secrets: Vec<Secret>,
    /// How long resolving the name, connecting and TLS may take together.
    pub connect: Duration,
    /// How long a request and its answer may take after that.
    pub answer: Duration,
    /// Connections at most.
    pub connections: usize,
    /// Whether http is allowed.
    pub plain: bool,
    /// Networks it may reach besides the open internet.
    pub networks: Vec<Network>,
}

impl Settings {
    /// A webhook with what is usual.
    #[must_use]
    pub fn new(url: impl Into<String>, secret: Secret) -> Settings {
        Settings {
            url: url.into(),
            secrets: vec![secret],
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            connections: 8,
            plain: false,
            networks: Vec::new(),
        }
    }

    /// Whether they can be used.
    ///
    /// # Errors
    /// Each field that cannot be, with what would be right.
    pub fn check(&self) -> Result<(), Vec<Problem>> {
        let mut problems = Problems::default();
        if let Err(right) = self.target() {
            problems.unless(false, "url", right);
        }
        let count = limits::SECRETS;
        let right = format!("from {} to {} of them", count.start(), count.end());
        problems.unless(count.contains(&self.secrets.len()), "secrets", right);
        let bytes = limits::SECRET_BYTES;
        let right = format!("each whsec_ and {} to {} bytes in base64", bytes.start(), bytes.end());
        problems.unless(self.secrets.iter().all(|secret| sign::key(secret).is_some()), "secrets", right);
        problems.time_out("connect", self.connect);
        problems.time_out("answer", self.answer);
        problems.connections(self.connections);
        problems.end()
    }

    /// The URL, or what would be right.
    pub(super) fn target(&self) -> Result<Url, String> {
        http::target(&self.url, self.plain, &self.networks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        Settings::new("https://hooks.example.com/followup?for=acme", secret)
    }

    fn wrong(change: impl FnOnce(&mut Settings)) -> Vec<&'static str> {
        let mut settings = settings();
        change(&mut settings);
        settings.check().err().unwrap_or_default().into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn settings_as_they_should_be_have_no_problem() {
        assert_eq!(settings().check(), Ok(()));
        assert_eq!(wrong(|s| (s.url, s.plain) = ("http://hooks.example.com".into(), true)), [""; 0]);
        assert_eq!(wrong(|s| s.url = "https://1.1.1.1:8443/".into()), [""; 0]);
    }

    #[test]
    fn a_url_that_cannot_be_is_named() {
        for url in [
            "",
            "hooks.example.com",
            "http://hooks.example.com",
            "ftp://hooks.example.com",
            "file:///etc/passwd",
            "https://",
            "https://user@hooks.example.com",
            "https://user:word@hooks.example.com",
            "https://hooks.example.com/#top",
        ] {
            assert_eq!(wrong(|s| s.url = url.into()), ["url"], "{url}");
        }
        assert_eq!(wrong(|s| s.url = format!("https://a.example/{}", "x".repeat(3_000))), ["url"]);
    }

    #[test]
    fn an_address_in_any_notation_is_looked_at() {
        for host in [
            "127.0.0.1",
            "127.1",
            "0x7f.1",
            "0x7f000001",
            "2130706433",
            "0177.0.0.1",
            "127.0.0.1.",
            "0",
            "169.254.169.254",
            "0xa9fea9fe",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[fd00::1]",
            "１２７.0.0.1",
            "127。0。0。1",
            "%31%32%37.0.0.1",
        ] {
            assert_eq!(wrong(|s| s.url = format!("https://{host}/")), ["url"], "{host}");
        }
        let allow = |s: &mut Settings| {
            s.url = "https://0x7f.1/".into();
            s.networks = vec!["127.0.0.0/8".parse().unwrap()];
        };
        assert_eq!(wrong(allow), [""; 0]);
    }

    #[test]
    fn each_other_field_that_cannot_be_is_named() {
        assert_eq!(wrong(|s| s.secrets.clear()), ["secrets"]);
        assert_eq!(wrong(|s| s.secrets = vec![s.secrets[0].clone(); 5]), ["secrets"]);
        assert_eq!(wrong(|s| s.secrets.push(Secret::new("hunter2"))), ["secrets"]);
        assert_eq!(wrong(|s| s.connect = Duration::ZERO), ["connect"]);
        assert_eq!(wrong(|s| s.answer = Duration::from_secs(3_600)), ["answer"]);
        assert_eq!(wrong(|s| s.connections = 65), ["connections"]);
    }

    #[test]
    fn a_secret_is_not_in_what_is_printed() {
        assert!(!format!("{:?}", settings()).contains("MfKQ"));
    }
}
