//! What one SMS sender is told.

use url::Url;

use crate::http::{Reach, base, target};
use crate::limits;
use crate::problem::{Problem, Problems};
use crate::secret::Secret;

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
            base: "https://api.twilio.com".to_owned(),
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
        let is_user = is_id(&self.username, "AC") || is_id(&self.username, "SK");
        problems.unless(is_user, "username", "the account's id, or an API key: SK and 32 hexadecimal digits");
        let password = (1..=limits::TOKEN_BYTES).contains(&self.password.reveal().len());
        problems.unless(password, "password", "the account's token, or the API key's secret");
        match &self.sender {
            Sender::Number(number) => {
                let right = "a number like +15005550006, a short code or a name";
                problems.unless((1..=limits::PROVIDER_ID_BYTES).contains(&number.len()), "number", right);
            }
            Sender::Service(id) => {
                problems.unless(is_id(id, "MG"), "service", "MG and 32 hexadecimal digits");
            }
        }
        if let Some(Err(right)) =
            self.status_callback.as_ref().map(|url| target(url, self.reach.plain, &self.reach.networks))
        {
            problems.unless(false, "status_callback", right);
        }
        self.reach.check(&mut problems);
        problems.end()
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
        assert_eq!(wrong(|s| s.sender = Sender::Number(String::new())), ["number"]);
        assert_eq!(wrong(|s| s.sender = Sender::Service("MG1".into())), ["service"]);
        assert_eq!(wrong(|s| s.status_callback = Some("http://a.example".into())), ["status_callback"]);
        assert_eq!(wrong(|s| s.reach.connections = 0), ["connections"]);
    }
}
