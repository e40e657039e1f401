//! Messages into conversations of an agent inbox, by Chatwoot's application API.

mod request;
mod settings;
#[cfg(test)]
mod tests;
mod verdict;

use std::sync::Arc;

use followupd_domain::reaction::{Blames, Reaction};
use futures::future::BoxFuture;
use http::{HeaderName, HeaderValue};
use url::Url;

use crate::content::Content;
use crate::http::{self as shared, JSON, Line, Post, Provider, Said, Verdict, Way};
use crate::problem::Problem;
use crate::resolve::Resolve;
use crate::tls::Trust;
use crate::{Answer, Call, Rest, Slot, Transport};
pub use settings::Settings;

const TOKEN: HeaderName = HeaderName::from_static("api_access_token");

/// An inbox, with its connections.
pub struct Chatwoot(Way<Inbox>);

/// Where agents read.
struct Inbox {
    base: Url,
    account: u64,
    token: HeaderValue,
}

impl Chatwoot {
    /// An inbox with these settings, names found by `resolver`. It connects when it has something to send.
    ///
    /// # Errors
    /// What is wrong with them, field by field.
    pub fn open(
        settings: Settings,
        trust: &Trust,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Chatwoot, Vec<Problem>> {
        settings.check()?;
        let wrong = |field, right| vec![Problem { field, right }];
        let base = settings.target().map_err(|right| wrong("base", right))?;
        let token = HeaderValue::from_str(settings.token.reveal());
        let mut token = token.map_err(|error| wrong("token", error.to_string()))?;
        token.set_sensitive(true);
        let (account, connections) = (settings.account, settings.reach.connections);
        let line = Line::open(base.clone(), settings.reach, trust, resolver);
        let line = line.map_err(|right| wrong("base", right))?;
        Ok(Chatwoot(Way::new(Inbox { base, account, token }, line, connections)))
    }
}

impl Inbox {
    fn request(&self, call: &Call) -> Result<Post, Problem> {
        let url = request::url(&self.base, self.account, &call.address)?;
        let Content::Text(text) = Content::from(call.message.clone()) else {
            return Err(Problem { field: "text", right: "text alone".to_owned() });
        };
        let body = request::body(&text, &call.key)?.to_string().into_bytes();
        let right = || "one that can stand in a header".to_owned();
        let post = Post::to(&url, JSON, body).ok_or_else(|| Problem { field: "base", right: right() })?;
        Ok(post.with(TOKEN, self.token.clone()))
    }
}

impl Provider for Inbox {
    fn post(&self, call: &Call) -> Result<Post, Answer> {
        self.request(call).map_err(|wrong| {
            // Which conversation is the contact's; the text is the step's.
            let is_contacts = wrong.field == "conversation";
            let reaction = if is_contacts { Reaction::never(Blames::Message) } else { Reaction::BAD_STEP };
            Answer::refused(wrong.to_string(), reaction)
        })
    }

    fn verdict(&self, said: &Said) -> Verdict {
        shared::verdict(said, verdict::read)
    }
}

impl Transport for Chatwoot {
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
