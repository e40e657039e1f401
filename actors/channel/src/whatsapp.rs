//! WhatsApp by Meta's Cloud API: one number, its messages as JSON.

mod request;
mod settings;
#[cfg(test)]
mod tests;
mod verdict;

use std::sync::Arc;

use followupd_domain::reaction::Reaction;
use futures::future::BoxFuture;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use url::Url;

use crate::content::Content;
use crate::http::{self as shared, JSON, Line, Post, Provider, Said, Verdict, Way};
use crate::problem::Problem;
use crate::resolve::Resolve;
use crate::tls::Trust;
use crate::{Answer, Call, Rest, Slot, Transport};
pub(crate) use settings::BASE;
pub use settings::Settings;
pub use verdict::reaction;

/// A number, with its connections.
pub struct WhatsApp(Way<Number>);

/// Who sends.
struct Number {
    url: Url,
    token: HeaderValue,
}

impl WhatsApp {
    /// A number with these settings, names found by `resolver`. It connects when it has something to send.
    ///
    /// # Errors
    /// What is wrong with them, field by field.
    pub fn open(
        settings: Settings,
        trust: &Trust,
        resolver: Arc<dyn Resolve>,
    ) -> Result<WhatsApp, Vec<Problem>> {
        settings.check()?;
        let wrong = |field, right| vec![Problem { field, right }];
        let url = settings.target().map_err(|right| wrong("base", right))?;
        let token = HeaderValue::from_str(&format!("Bearer {}", settings.token.reveal()));
        let mut token = token.map_err(|error| wrong("token", error.to_string()))?;
        token.set_sensitive(true);
        let connections = settings.reach.connections;
        let line = Line::open(url.clone(), settings.reach, trust, resolver);
        let line = line.map_err(|right| wrong("base", right))?;
        Ok(WhatsApp(Way::new(Number { url, token }, line, connections)))
    }
}

impl Number {
    /// The request that carries `content`.
    fn request(&self, call: &Call, content: &Content) -> Result<Post, String> {
        let body = request::body(&call.address, &call.key, content).map_err(|wrong| wrong.to_string())?;
        let post = Post::to(&self.url, JSON, body.to_string().into_bytes());
        let post = post.ok_or_else(|| "bad_request".to_owned())?;
        Ok(post.with(AUTHORIZATION, self.token.clone()))
    }
}

impl Provider for Number {
    fn post(&self, call: &Call) -> Result<Post, Answer> {
        let post = self.request(call, &Content::from(call.message.clone()));
        post.map_err(|code| Answer::refused(code, Reaction::BAD_STEP))
    }

    fn verdict(&self, said: &Said) -> Verdict {
        shared::verdict(said, verdict::read)
    }
}

impl Transport for WhatsApp {
    fn slot(&self, urgent: bool) -> BoxFuture<'_, Result<Slot, Rest>> {
        Box::pin(self.0.slot(urgent))
    }

    fn places(&self) -> usize {
        self.0.places()
    }

    fn call(&self, call: Call, slot: Slot) -> BoxFuture<'_, Answer> {
        Box::pin(async move { self.0.call(&call, slot).await })
    }
}
