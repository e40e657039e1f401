//! How we speak TLS: rustls, with the certificates this machine trusts.

#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

/// What a connection needs to be encrypted.
///
/// # Errors
/// The machine trusts nobody, or not in a way we can read: what would help.
pub(crate) fn config() -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, ignored) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let read = format!("{ignored} unreadable, {} errors", found.errors.len());
        return Err(format!("TLS needs the root certificates of this machine ({read}): install them"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| format!("TLS cannot be set up: {error}"))?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}
