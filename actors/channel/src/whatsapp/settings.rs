//! What one WhatsApp sender is told.

use url::Url;

use crate::http::{Reach, base};
use crate::limits;
use crate::problem::{Problem, Problems};
use crate::secret::Secret;

/// Where Meta's API is.
pub(crate) const BASE: &str = "https://graph.facebook.com";

/// One number of WhatsApp's Cloud API.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the API is.
    pub base: String,
    /// Its version, like `v23.0`.
    pub version: String,
    /// The sender: the id of its phone number, not the number.
    pub phone_number_id: String,
    /// What proves that it is ours.
    pub token: Secret,
    /// How it is reached.
    pub reach: Reach,
}

impl Settings {
    /// A number with what is usual.
    #[must_use]
    pub fn new(phone_number_id: impl Into<String>, token: Secret) -> Settings {
        Settings {
            base: BASE.to_owned(),
            version: "v23.0".to_owned(),
            phone_number_id: phone_number_id.into(),
            token,
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
        problems.unless(is_version(&self.version), "version", "a version like v23.0");
        let id = &self.phone_number_id;
        let is_id = (1..=limits::PROVIDER_ID_BYTES).contains(&id.len()) && is_digits(id);
        problems.unless(is_id, "phone_number_id", "the id of the phone number: digits only");
        problems.unless(is_token(&self.token), "token", "an access token: visible ASCII, without spaces");
        self.reach.check(&mut problems);
        problems.end()
    }

    /// Where messages are posted.
    pub(super) fn target(&self) -> Result<Url, String> {
        let mut url = base(&self.base, &self.reach)?;
        let path = url.path().trim_end_matches('/');
        let path = format!("{path}/{}/{}/messages", self.version, self.phone_number_id);
        url.set_path(&path);
        Ok(url)
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_version(text: &str) -> bool {
    let numbers = text.strip_prefix('v').and_then(|rest| rest.split_once('.'));
    text.len() <= 8 && numbers.is_some_and(|(major, minor)| is_digits(major) && is_digits(minor))
}

/// Whether it can stand in a header.
fn is_token(token: &Secret) -> bool {
    let token = token.reveal();
    (1..=limits::TOKEN_BYTES).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(change: impl FnOnce(&mut Settings)) -> Vec<&'static str> {
        let mut settings = Settings::new("106540352242922", Secret::new("EAAJB"));
        change(&mut settings);
        settings.check().err().unwrap_or_default().into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn each_field_that_cannot_be_is_named() {
        assert_eq!(wrong(|_| {}), [""; 0]);
        for base in ["", "http://graph.facebook.com", "https://127.0.0.1", "https://a.example/?b=c"] {
            assert_eq!(wrong(|s| s.base = base.into()), ["base"], "{base}");
        }
        for version in ["", "23.0", "v23", "v.0", "v23.", "v23.0/x"] {
            assert_eq!(wrong(|s| s.version = version.into()), ["version"], "{version}");
        }
        for id in ["", "+5511", "1/2", "me"] {
            assert_eq!(wrong(|s| s.phone_number_id = id.into()), ["phone_number_id"], "{id}");
        }
        for token in ["", "a b", "a\r\nb", "ç"] {
            assert_eq!(wrong(|s| s.token = Secret::new(token)), ["token"]);
        }
        assert_eq!(wrong(|s| s.reach.connections = 0), ["connections"]);
    }

    #[test]
    fn the_url_has_version_and_sender_behind_the_base() {
        let mut settings = Settings::new("123", Secret::new("t"));
        assert_eq!(settings.target().unwrap().as_str(), "https://graph.facebook.com/v23.0/123/messages");
        settings.base = "https://proxy.example/meta/".into();
        assert_eq!(settings.target().unwrap().as_str(), "https://proxy.example/meta/v23.0/123/messages");
    }

    #[test]
    fn a_token_is_not_in_what_is_printed() {
        assert!(!format!("{:?}", Settings::new("1", Secret::new("EAAJB"))).contains("EAAJB"));
    }
}
