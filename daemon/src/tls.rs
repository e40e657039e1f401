//! TLS of the port: the certificate it shows and whose certificates it asks for, read anew when the files change.
//!
//! A pair that makes no sense keeps the one before: a daemon does not go dark because a renewal went wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// Where they lie, PEM each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Files {
    /// The certificate, and those that lead to its root.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
    /// Whose certificates callers have to show; without it none.
    pub(crate) client_ca: Option<PathBuf>,
}

/// What tells a file from the one before: when it was written, and its length.
type Stamp = (Option<SystemTime>, u64);

/// The certificate in use.
#[derive(Debug)]
pub(crate) struct Tls {
    files: Files,
    now: Mutex<(Vec<Stamp>, Arc<ServerConfig>)>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// Which file is wrong, and what would be right.
    pub(crate) fn open(files: Files) -> Result<Tls, String> {
        let stamps = files.stamps();
        let config = files.read()?;
        Ok(Tls { files, now: Mutex::new((stamps, config)) })
    }

    /// What the next connection is set up with.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.now.lock().unwrap_or_else(PoisonError::into_inner).1)
    }

    /// Reads the files again where they have changed; those that make no sense are said once, and change nothing.
    pub(crate) fn look(&self) {
        // Stamped before they are read: what changes meanwhile is seen the next time.
        let stamps = self.files.stamps();
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.0 == stamps {
            return;
        }
        now.0 = stamps;
        match self.files.read() {
            Ok(config) => {
                now.1 = config;
                tracing::info!("TLS: the certificate was read anew");
            }
            Err(error) => {
                tracing::error!(error, "TLS: the new files make no sense, the old ones stay in use")
            }
        }
    }
}

impl Files {
    fn stamps(&self) -> Vec<Stamp> {
        let stamp = |path: &PathBuf| {
            let meta = fs::metadata(path).ok();
            meta.map_or((None, 0), |meta| (meta.modified().ok(), meta.len()))
        };
        [&self.certificate, &self.key].into_iter().chain(&self.client_ca).map(stamp).collect()
    }

    fn read(&self) -> Result<Arc<ServerConfig>, String> {
        let chain = certificates("listen.tls.certificate", &self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| {
            format!("listen.tls.key: {} is no private key in PEM: {error}", self.key.display())
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be set up: {error}"))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let roots = Arc::new(roots("listen.tls.client_ca", path)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
                builder.with_client_cert_verifier(
                    verifier.map_err(|error| format!("listen.tls.client_ca: {error}"))?,
                )
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| {
            format!("listen.tls.key does not fit the first certificate of listen.tls.certificate: {error}")
        })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn certificates(field: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |error: &dyn std::fmt::Display| {
        format!("{field}: {} holds no certificates in PEM: {error}", path.display())
    };
    let read = CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))?;
    let found = read.collect::<Result<Vec<_>, _>>().map_err(|error| wrong(&error))?;
    if found.is_empty() { Err(wrong(&"it has no such part")) } else { Ok(found) }
}

/// The certificates of a file, as those that are trusted.
///
/// # Errors
/// The file cannot be read or holds none, under the name of its setting.
pub(crate) fn roots(field: &str, path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(field, path)? {
        roots.add(certificate).map_err(|error| format!("{field}: {}: {error}", path.display()))?;
    }
    Ok(roots)
}
