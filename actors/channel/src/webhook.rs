//! Messages as HTTP requests to one URL, signed as Standard Webhooks are.

mod exchange;
mod guard;
mod request;
mod resolve;
mod settings;
mod sign;
#[cfg(test)]
mod tests;
mod verdict;

use std::net::IpAddr;
use std::sync::Arc;

use followupd_domain::decide::outcome::Blames;
use futures::future::BoxFuture;
use ring::hmac;
use url::{Host, Url};

use crate::idle::Idle;
use crate::places::Places;
use crate::problem::Problem;
use crate::tls::Trust;
use crate::{Answer, Call, Rest, Slot, Transport, limits};
use exchange::{Sender, Target, exchange};
pub use guard::{Network, NoNetwork};
use request::Post;
pub use resolve::{Resolve, System};
pub use settings::Settings;
use verdict::{Ending, Verdict, verdict};

/// A webhook, with its connections.
pub struct Webhook {
    settings: Settings,
    url: Url,
    keys: Vec<hmac::Key>,
    target: Target,
    resolver: Arc<dyn Resolve>,
    places: Places,
    idle: Arc<Idle<Sender>>,
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
        let tls = if url.scheme() == "https" { Some(trust.config().map_err(wrong)?) } else { None };
        let name = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = url.port_or_known_default().unwrap_or_default();
        Ok(Webhook {
            keys: settings.secrets.iter().filter_map(sign::key).collect(),
            url,
            target: Target { name, port, tls },
            resolver,
            places: Places::new(settings.connections),
            idle: Idle::new(limits::HTTP_IDLE),
            settings,
        })
    }

    async fn send(&self, call: &Call) -> Answer {
        if self.places.rests().is_some() {
            return Answer::BackedOff { code: "host_rests".to_owned() };
        }
        let Some(post) = Post::of(call, &self.url, &self.keys) else {
            return Answer::Rejected { code: "bad_request".to_owned(), blames: Blames::Message };
        };
        let ending = self.post(&post).await;
        if !matches!(ending, Ending::Status(200..300, _)) {
            tracing::debug!(send = %call.key, trace = %format_args!("{:032x}", call.trace.0), ?ending, "a webhook did not take a message");
        }
        let Verdict { answer, host } = verdict(ending);
        self.places.learn(host);
        answer
    }

    /// Over a connection that is open, or a fresh one.
    async fn post(&self, post: &Post) -> Ending {
        if let Some((sender, _)) = self.idle.take().filter(|(sender, _)| !sender.is_closed()) {
            match self.over(sender, post).await {
                // Closed meanwhile, and nothing of the request left.
                Ending::NotSent(_) => {}
                ending @ (Ending::Status(..) | Ending::Unanswered) => return ending,
            }
        }
        match self.connect().await {
            Ok(sender) => self.over(sender, post).await,
            Err(word) => Ending::NotSent(word),
        }
    }

    async fn over(&self, sender: Sender, post: &Post) -> Ending {
        let (ending, sender) = exchange(sender, post, self.settings.answer).await;
        if let Some(sender) = sender {
            self.idle.keep(sender);
        }
        ending
    }

    /// A connection to an address that is allowed.
    async fn connect(&self) -> Result<Sender, &'static str> {
        let connected = async {
            let addresses = self.addresses().await?;
            let share = self.settings.connect / u32::try_from(addresses.len()).unwrap_or(1).max(1);
            self.target.connect(&addresses, share).await
        };
        tokio::time::timeout(self.settings.connect, connected).await.unwrap_or(Err("time_out"))
    }

    /// The addresses that may be connected to, a few of them.
    async fn addresses(&self) -> Result<Vec<IpAddr>, &'static str> {
        let found = match self.url.host() {
            Some(Host::Domain(name)) => self.resolver.resolve(name).await.map_err(|_| "resolve")?,
            Some(Host::Ipv4(address)) => vec![address.into()],
            Some(Host::Ipv6(address)) => vec![address.into()],
            None => Vec::new(),
        };
        if found.is_empty() {
            return Err("resolve");
        }
        let allowed =
            found.into_iter().filter(|address| guard::is_allowed(*address, &self.settings.networks));
        let allowed: Vec<IpAddr> = allowed.take(limits::ADDRESSES).collect();
        if allowed.is_empty() { Err("address_not_allowed") } else { Ok(allowed) }
    }
}

impl Transport for Webhook {
    fn slot(&self) -> BoxFuture<'_, Result<Slot, Rest>> {
        Box::pin(self.places.slot())
    }

    fn call(&self, call: Call, slot: Slot) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            let _slot = slot;
            self.send(&call).await
        })
    }
}
