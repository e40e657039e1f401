//! SMS by Twilio's API: one sender, its messages as forms.

mod request;
pub mod segments;
mod settings;
#[cfg(test)]
mod tests;
mod verdict;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use followupd_domain::reaction::Reaction;
use followupd_domain::render::Message;
use futures::future::BoxFuture;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use url::Url;

use crate::content::Content;
use crate::http::{self as shared, FORM, Line, Post, Provider, Said, Verdict, Way};
use crate::problem::Problem;
use crate::resolve::Resolve;
use crate::tls::Trust;
use crate::{Answer, Call, Rest, Slot, Transport};
pub(crate) use settings::BASE;
pub use settings::{Sender, Settings};
pub use verdict::reaction;

/// A sender, with its connections.
pub struct Twilio(Way<Account>);

/// Who sends.
struct Account {
    url: Url,
    login: HeaderValue,
    sender: Sender,
    callback: Option<Url>,
}

impl Twilio {
    /// A sender with these settings, names found by `resolver`. It connects when it has something to send.
    ///
    /// # Errors
    /// What is wrong with them, field by field.
    pub fn open(
        settings: Settings,
        trust: &Trust,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Twilio, Vec<Problem>> {
        settings.check()?;
        let wrong = |field, right| vec![Problem { field, right }];
        let url = settings.target().map_err(|right| wrong("base", right))?;
        let login = STANDARD.encode(format!("{}:{}", settings.username, settings.password.reveal()));
        let login = HeaderValue::from_str(&format!("Basic {login}"));
        let mut login = login.map_err(|error| wrong("password", error.to_string()))?;
        login.set_sensitive(true);
        let (callback, connections) = (settings.callback(), settings.reach.connections);
        let line = Line::open(url.clone(), settings.reach, trust, resolver);
        let line = line.map_err(|right| wrong("base", right))?;
        Ok(Twilio(Way::new(Account { url, login, sender: settings.sender, callback }, line, connections)))
    }
}

impl Account {
    fn request(&self, call: &Call) -> Result<Post, String> {
        let text = match Content::from(call.message.clone()) {
            Content::Text(text) => text,
            Content::Template(_) | Content::Media(_) | Content::Buttons { .. } => {
                return Err("text: SMS carries text alone".to_owned());
            }
        };
        let form = request::form(&call.address, &text, &self.sender, self.callback.as_ref(), &call.key);
        let form = form.map_err(|wrong| wrong.to_string())?;
        let post = Post::to(&self.url, FORM, form.into_bytes()).ok_or_else(|| "bad_request".to_owned())?;
        Ok(post.with(AUTHORIZATION, self.login.clone()))
    }
}

impl Provider for Account {
    fn post(&self, call: &Call) -> Result<Post, Answer> {
        self.request(call).map_err(|code| Answer::refused(code, Reaction::BAD_STEP))
    }

    fn verdict(&self, said: &Said) -> Verdict {
        shared::verdict(said, verdict::read)
    }
}

impl Transport for Twilio {
    fn slot(&self, urgent: bool) -> BoxFuture<'_, Result<Slot, Rest>> {
        Box::pin(self.0.slot(urgent))
    }

    fn places(&self) -> usize {
        self.0.places()
    }

    fn counts(&self, message: &Message) -> u32 {
        let Content::Text(text) = Content::from(message.clone()) else { return 1 };
        u32::try_from(segments::segments(&text).count).unwrap_or(u32::MAX)
    }

    fn call(&self, call: Call, slot: Slot) -> BoxFuture<'_, Answer> {
        Box::pin(async move { self.0.call(&call, slot).await })
    }
}
