//! TLS between a test and its server: one certificate for `hooks.example` and 127.0.0.1, which only the tests trust.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

const PAIR: &[u8] = include_bytes!("testing.pem");

/// The certificate.
pub(crate) fn certificate() -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(PAIR).unwrap()
}

/// A client that trusts that certificate, or nobody.
pub(crate) fn client(trusts: bool) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    if trusts {
        roots.add(certificate()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
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
