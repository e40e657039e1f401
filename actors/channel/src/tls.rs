//! Whom this machine trusts, read once and shared by everything that speaks TLS (rustls).

pub(crate) mod testing;

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

/// The root certificates of this machine. Those that come later count after the next start.
#[derive(Clone, Debug)]
pub struct Trust(Result<Arc<ClientConfig>, String>);

impl Trust {
    /// Reads them. Where there are none, whatever needs TLS says so when it is opened.
    #[must_use]
    pub fn load() -> Trust {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (added, ignored) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            let read = format!("{ignored} unreadable, {} errors", found.errors.len());
            return Trust(Err(format!(
                "TLS needs the root certificates of this machine ({read}): install them"
            )));
        }
        Trust::of(roots)
    }

    fn of(roots: RootCertStore) -> Trust {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config =
            builder.map(|builder| Arc::new(builder.with_root_certificates(roots).with_no_client_auth()));
        Trust(config.map_err(|error| format!("TLS cannot be set up: {error}")))
    }

    /// What a connection needs to be encrypted, or what would be right.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, String> {
        self.0.clone()
    }
}
