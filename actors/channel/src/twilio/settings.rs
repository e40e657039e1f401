//! What one SMS sender is told.

use url::Url;

use crate::http::{Reach, base, target};
use crate::limits;
use crate::problem::{Problem, Problems};
use crate::secret::Secret;

/// Where Twilio's API is.
pub(crate) const BASE: &str = "https://api.twilio.com";

/// Who sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A number in E.164 like +15005550006, a short code or a sender's name.
    Number(String),
    /// A messaging service, which chooses: its id, `MG…`.
    Service(String),
}

/// One sender of Twilio's API.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the API is.
    pub base: String,
    /// The account: its id, `AC…`.
    pub account: String,
    /// Who logs in: the account again, or an API key, `SK…`.
    pub username: String,
    /// The account's token, or the key's secret.
    pub password: Secret,
    /// Who sends.
    pub sender: Sender,
    /// Where receipts are posted, if anywhere; the send's key is added to it as `send`.
    pub status_callback: Option<String>,
    /// How it is reached.
    pub reach: Reach,
}

impl Settings {
    /// A sender of this account with what is usual.
    #[must_use]
    pub fn new(account: impl Into<String>, token: Secret, sender: Sender) -> Settings {
        let account = account.into();
        Settings {
            base: BASE.to_owned(),
            username: account.clone(),
            account,
            password: token,
            sender,
            status_callback: None,
            reach: Reach::default(),
        }
    }

    /// Whether they can be used.
    ///
    /// # Errors
    /// Each field that cannot be, with what would be right.
    pub fn check(&self) -> Result<(), Vec<Problem>> {
        let mut problems = Problems::default();
        if let Err(right) = base(&self.base, &self.reach) {
            problems.unless(false, "base", right);
        }
        problems.unless(is_id(&self.account, "AC"), "account", "AC and 32 hexadecimal digits");
        // Where it is no other, it is the account that is wrong.
        let is_user =
            self.username == self.account || is_id(&self.username, "AC") || is_id(&self.username, "SK");
        problems.unless(is_user, "username", "the account's id, or an API key: SK and 32 hexadecimal digits");
        let password = (1..=limits::TOKEN_BYTES).contains(&self.password.reveal().len());
        problems.unless(password, "password", "the account's token, or the API key's secret");
        match &self.sender {
            Sender::Number(number) => problems.unless(is_sender(number), "number", SENDER),
            Sender::Service(id) => {
                problems.unless(is_id(id, "MG"), "service", "MG and 32 hexadecimal digits");
            }
        }
        if let Some(Err(right)) = self.status_callback.as_ref().map(|url| self.check_callback(url)) {
            problems.unless(false, "status_callback", right);
        }
        self.reach.check(&mut problems);
        problems.end()
    }

    /// A URL of ours, which may end in what Twilio calls connection overrides
    /// (<https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides>): without them it tells once.
    fn check_callback(&self, url: &str) -> Result<(), String> {
        let (url, overrides) = url.split_once('#').unwrap_or((url, ""));
        let known = |part: &str| {
            part.split_once('=')
                .is_some_and(|(key, _)| ["ct", "rt", "tt", "rc", "rp", "e", "sni"].contains(&key))
        };
        if !overrides.is_empty() && !overrides.split('&').all(known) {
            return Err("behind # only Twilio's connection overrides, like #rc=5&rp=all".to_owned());
        }
        target(url, self.reach.plain, &self.reach.networks).map(drop)
    }

    /// Where messages are posted.
    pub(super) fn target(&self) -> Result<Url, String> {
        let mut url = base(&self.base, &self.reach)?;
        let path = url.path().trim_end_matches('/');
        let path = format!("{path}/2010-04-01/Accounts/{}/Messages.json", self.account);
        url.set_path(&path);
        Ok(url)
    }

    /// Where receipts are posted.
    pub(super) fn callback(&self) -> Option<Url> {
        self.status_callback.as_ref().and_then(|url| Url::parse(url).ok())
    }
}

/// What a sender is.
const SENDER: &str =
    "a number in E.164 form like +15005550006, a short code or a name of at most 11 letters and digits";

/// Whether Twilio may name a sender so: by the same text it tells of what was written to it.
fn is_sender(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match text.strip_prefix('+') {
        Some(number) => (8..=15).contains(&number.len()) && digits(number),
        None if digits(text) => (3..=8).contains(&text.len()),
        None => {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || b" +-_&".contains(&byte);
            text.len() <= 11 && text.bytes().all(known) && text.bytes().any(|byte| byte.is_ascii_alphabetic())
        }
    }
}

/// Whether it is an id of Twilio's of this kind.
fn is_id(text: &str, prefix: &str) -> bool {
    let digits = text.strip_prefix(prefix);
    digits.is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(change: impl FnOnce(&mut Settings)) -> Vec<&'static str> {
        let sender = Sender::Number("+15005550006".into());
        let mut settings = Settings::new(format!("AC{}", "0".repeat(32)), Secret::new("hunter2"), sender);
        change(&mut settings);
        settings.check().err().unwrap_or_default().into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn each_field_that_cannot_be_is_named() {
        assert_eq!(wrong(|_| {}), [""; 0]);
        assert_eq!(wrong(|s| s.username = format!("SK{}", "a".repeat(32))), [""; 0]);
        assert_eq!(wrong(|s| s.sender = Sender::Service(format!("MG{}", "a".repeat(32)))), [""; 0]);
        assert_eq!(wrong(|s| s.base = "ftp://api.example".into()), ["base"]);
        for account in ["", "AC", "AC/../x", "SK00000000000000000000000000000000"] {
            assert_eq!(wrong(|s| s.account = account.into()), ["account"], "{account}");
        }
        assert_eq!(wrong(|s| s.username = "me".into()), ["username"]);
        assert_eq!(wrong(|s| s.password = Secret::new("")), ["password"]);
        for number in
            ["", "15005550006", "+1 500 555 0006", "+1", "12", "+15005550006123456", "a name too long"]
        {
            assert_eq!(wrong(|s| s.sender = Sender::Number(number.into())), ["number"], "{number}");
        }
        for number in ["+15005550006", "12345", "Studio", "My Studio 1"] {
            assert_eq!(wrong(|s| s.sender = Sender::Number(number.into())), [""; 0], "{number}");
        }
        assert_eq!(wrong(|s| s.sender = Sender::Service("MG1".into())), ["service"]);
        for url in ["http://a.example", "https://a.example/#top", "https://a.example/#rc=5&x=1"] {
            assert_eq!(wrong(|s| s.status_callback = Some(url.into())), ["status_callback"], "{url}");
        }
        assert_eq!(wrong(|s| s.status_callback = Some("https://a.example/#rc=5&rp=all".into())), [""; 0]);
        assert_eq!(wrong(|s| s.reach.connections = 0), ["connections"]);
    }
}
