//! What one agent inbox is told.

use url::Url;

use crate::http::{Reach, base};
use crate::limits;
use crate::problem::{Problem, Problems};
use crate::secret::Secret;

/// One account of Chatwoot.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it runs.
    pub base: String,
    /// The account's number.
    pub account: u64,
    /// The access token of the agent or bot that writes.
    pub token: Secret,
    /// How it is reached.
    pub reach: Reach,
}

impl Settings {
    /// An account with what is usual.
    #[must_use]
    pub fn new(base: impl Into<String>, account: u64, token: Secret) -> Settings {
        Settings { base: base.into(), account, token, reach: Reach::default() }
    }

    /// Whether they can be used.
    ///
    /// # Errors
    /// Each field that cannot be, with what would be right.
    pub fn check(&self) -> Result<(), Vec<Problem>> {
        let mut problems = Problems::default();
        if let Err(right) = self.target() {
            problems.unless(false, "base", right);
        }
        problems.unless(self.account > 0, "account", "the account's number, from 1 on");
        let token = self.token.reveal();
        let is_right = (1..=limits::TOKEN_BYTES).contains(&token.len())
            && token.bytes().all(|byte| byte.is_ascii_graphic());
        problems.unless(is_right, "token", "an access token: visible ASCII, without spaces");
        self.reach.check(&mut problems);
        problems.end()
    }

    /// Where it runs, as a URL.
    pub(super) fn target(&self) -> Result<Url, String> {
        base(&self.base, &self.reach)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(change: impl FnOnce(&mut Settings)) -> Vec<&'static str> {
        let mut settings = Settings::new("https://inbox.example", 1, Secret::new("token"));
        change(&mut settings);
        settings.check().err().unwrap_or_default().into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn each_field_that_cannot_be_is_named() {
        assert_eq!(wrong(|_| {}), [""; 0]);
        assert_eq!(wrong(|s| s.base = "http://inbox.example".into()), ["base"]);
        assert_eq!(wrong(|s| s.account = 0), ["account"]);
        assert_eq!(wrong(|s| s.token = Secret::new("a\nb")), ["token"]);
        assert_eq!(wrong(|s| s.reach.connections = 0), ["connections"]);
    }
}
