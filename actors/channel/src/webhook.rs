//! Messages as HTTP requests to one URL, signed as Standard Webhooks are.

mod request;
mod settings;
mod sign;
#[cfg(test)]
mod tests;
mod verdict;

use std::sync::Arc;

use followupd_domain::reaction::{Blames, Reaction};
use futures::future::BoxFuture;
use ring::hmac;
use url::Url;

use crate::http::{Line, Post, Provider, Reach, Said, Verdict, Way};
pub use crate::http::{Network, NoNetwork};
use crate::problem::Problem;
use crate::resolve::Resolve;
use crate::tls::Trust;
use crate::{Answer, Call, Rest, Slot, Transport};
pub use settings::Settings;

/// A webhook, with its connections.
pub struct Webhook(Way<Receiver>);

/// Who takes the requests.
struct Receiver {
    url: Url,
    keys: Vec<hmac::Key>,
}

impl Webhook {
    /// A webhook with these settings, names found by `resolver`. It connects when it has something to send.
    ///
    /// # Errors
    /// What is wrong with them, field by field.
    pub fn open(
        settings: Settings,
        trust: &Trust,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Webhook, Vec<Problem>> {
        settings.check()?;
        let wrong = |right| vec![Problem { field: "url", right }];
        let url = settings.target().map_err(wrong)?;
        let keys = settings.secrets.iter().filter_map(sign::key).collect();
        let connections = settings.connections;
        let reach = Reach {
            connect: settings.connect,
            answer: settings.answer,
            connections,
            plain: settings.plain,
            networks: settings.networks,
        };
        let line = Line::open(url.clone(), reach, trust, resolver).map_err(wrong)?;
        Ok(Webhook(Way::new(Receiver { url, keys }, line, connections)))
    }
}

impl Provider for Receiver {
    fn post(&self, call: &Call) -> Result<Post, Answer> {
        let post = request::post(call, &self.url, &self.keys);
        post.ok_or_else(|| Answer::refused("bad_request", Reaction::never(Blames::Message)))
    }

    fn verdict(&self, said: &Said) -> Verdict {
        verdict::verdict(said.ending)
    }
}

impl Transport for Webhook {
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
