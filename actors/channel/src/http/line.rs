//! The connections to one provider: open ones are used again, new ones go to addresses that are allowed.

use std::net::IpAddr;
use std::sync::Arc;

use url::{Host, Url};

use super::exchange::{Sender, Target, exchange};
use super::post::Post;
use super::{Ending, Reach, Said, guard};
use crate::idle::Idle;
use crate::limits;
use crate::resolve::Resolve;
use crate::tls::Trust;

/// The way to one host.
pub(crate) struct Line {
    url: Url,
    reach: Reach,
    target: Target,
    resolver: Arc<dyn Resolve>,
    idle: Arc<Idle<Sender>>,
}

impl Line {
    /// To the host of a checked `url`. It connects when there is something to send.
    ///
    /// # Errors
    /// What is wrong with the trust that https needs.
    pub(crate) fn open(
        url: Url,
        reach: Reach,
        trust: &Trust,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Line, String> {
        let tls = if url.scheme() == "https" { Some(trust.config()?) } else { None };
        let name = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = url.port_or_known_default().unwrap_or_default();
        let target = Target { name, port, tls };
        Ok(Line { url, reach, target, resolver, idle: Idle::new(limits::HTTP_IDLE) })
    }

    /// The name of its host.
    pub(crate) fn host(&self) -> &str {
        &self.target.name
    }

    /// Posts over a connection that is open, or a fresh one.
    pub(crate) async fn post(&self, post: &Post) -> Said {
        if let Some((sender, _)) = self.idle.take().filter(|(sender, _)| !sender.is_closed()) {
            let said = self.over(sender, post).await;
            match said.ending {
                // Closed meanwhile, and nothing of the request left.
                Ending::NotSent(_) => {}
                Ending::Status(..) | Ending::Unanswered => return said,
            }
        }
        match self.connect().await {
            Ok(sender) => self.over(sender, post).await,
            Err(word) => Said::bare(Ending::NotSent(word)),
        }
    }

    async fn over(&self, sender: Sender, post: &Post) -> Said {
        let (said, sender) = exchange(sender, post, self.reach.answer).await;
        if let Some(sender) = sender {
            self.idle.keep(sender);
        }
        said
    }

    /// A connection to an address that is allowed.
    async fn connect(&self) -> Result<Sender, &'static str> {
        let connected = async {
            let addresses = self.addresses().await?;
            let share = self.reach.connect / u32::try_from(addresses.len()).unwrap_or(1).max(1);
            self.target.connect(&addresses, share).await
        };
        tokio::time::timeout(self.reach.connect, connected).await.unwrap_or(Err("time_out"))
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
        let allowed = found.into_iter().filter(|address| guard::is_allowed(*address, &self.reach.networks));
        let allowed: Vec<IpAddr> = allowed.take(limits::ADDRESSES).collect();
        if allowed.is_empty() { Err("address_not_allowed") } else { Ok(allowed) }
    }
}
