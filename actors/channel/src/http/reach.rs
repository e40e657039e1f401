//! How far requests may reach and how long they may take; which URLs are fit for it.

use std::net::IpAddr;
use std::time::Duration;

use url::{Host, Url};

use super::guard::{self, Network};
use crate::limits;
use crate::problem::Problems;

/// How a provider is reached.
#[derive(Clone, Debug)]
pub struct Reach {
    /// How long resolving the name, connecting and TLS may take together.
    pub connect: Duration,
    /// How long a request and its answer may take after that.
    pub answer: Duration,
    /// Connections at most.
    pub connections: usize,
    /// Whether http is allowed.
    pub plain: bool,
    /// Networks it may reach besides the open internet.
    pub networks: Vec<Network>,
}

impl Default for Reach {
    fn default() -> Reach {
        Reach {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            connections: 8,
            plain: false,
            networks: Vec::new(),
        }
    }
}

impl Reach {
    /// Notes what is wrong with it.
    pub(crate) fn check(&self, problems: &mut Problems) {
        problems.time_out("connect", self.connect);
        problems.time_out("answer", self.answer);
        problems.connections(self.connections);
    }
}

/// A URL that may be posted to, or what would be right.
pub(crate) fn target(text: &str, plain: bool, networks: &[Network]) -> Result<Url, String> {
    if text.len() > limits::URL_BYTES {
        return Err(format!("at most {} bytes", limits::URL_BYTES));
    }
    let url = Url::parse(text).map_err(|error| format!("a URL like https://example.com/hook ({error})"))?;
    match url.scheme() {
        "https" => {}
        "http" if plain => {}
        _ => return Err("https, unless plain http is allowed".to_owned()),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "no user or password in it: they have fields of their own, or requests are signed".to_owned()
        );
    }
    if url.fragment().is_some() {
        return Err("no fragment (#…): it would never be sent".to_owned());
    }
    // Odd notations of an address (0x7f.1, 2130706433) are addresses by now.
    let literal = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        Some(Host::Domain(_)) | None => None,
    };
    match literal {
        Some(address) if !guard::is_allowed(address, networks) => {
            Err(format!("an address of the open internet, or of an allowed network; {address} is neither"))
        }
        _ => Ok(url),
    }
}

/// The same for a URL that paths are added to.
pub(crate) fn base(text: &str, reach: &Reach) -> Result<Url, String> {
    let url = target(text, reach.plain, &reach.networks)?;
    match url.query() {
        Some(_) => Err("no query (?…): paths are added to it".to_owned()),
        None => Ok(url),
    }
}
