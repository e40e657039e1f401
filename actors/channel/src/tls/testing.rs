//! TLS between a test and its server: one certificate for `hooks.example` and 127.0.0.1, which only the tests trust.

#![cfg(test)]

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::Trust;

const PAIR: &[u8] = include_bytes!("testing.pem");

fn certificate() -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(PAIR).unwrap()
}

/// Trusts that certificate alone.
pub(crate) fn trust() -> Trust {
    let mut roots = RootCertStore::empty();
    roots.add(certificate()).unwrap();
    Trust::of(roots)
}

/// Trusts nobody.
pub(crate) fn distrust() -> Trust {
    Trust::of(RootCertStore::empty())
}

/// A server that shows it.
pub(crate) fn server() -> TlsAcceptor {
    let key = PrivateKeyDer::from_pem_slice(PAIR).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_no_client_auth().with_single_cert(vec![certificate()], key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}
