//! TLS of the port: the certificate it shows and whose certificates it asks for, read anew when the files change.
//!
//! A pair that makes no sense keeps the one before: a daemon does not go dark because a renewal went wrong. Nor does it
//! when the certificate expires: it listens on, says so, and takes the new one when it is put there.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::limits;

mod validity;

use validity::Validity;

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

/// How old the certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// It is good for so long.
    Good(Duration),
    /// It is good for so long, which is not long.
    Soon(Duration),
    /// It has expired.
    Over,
    /// It does not say in a way that is understood.
    Unknown,
}

/// What was read.
#[derive(Debug)]
struct Read {
    config: Arc<ServerConfig>,
    /// When the first certificate is good.
    validity: Option<Validity>,
}

/// The certificate in use.
#[derive(Debug)]
pub(crate) struct Tls {
    files: Files,
    now: Mutex<(Vec<Stamp>, Read)>,
    /// What was said last of its age.
    said: Mutex<Option<&'static str>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// Which file is wrong, and what would be right.
    pub(crate) fn open(files: Files) -> Result<Tls, String> {
        let stamps = files.stamps();
        let read = files.read()?;
        let tls = Tls { files, now: Mutex::new((stamps, read)), said: Mutex::default() };
        tls.say_age();
        Ok(tls)
    }

    /// What the next connection is set up with.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.now.lock().unwrap_or_else(PoisonError::into_inner).1.config)
    }

    /// How old the certificate is at a moment.
    pub(crate) fn age(&self, now: SystemTime) -> Age {
        let validity = self.now.lock().unwrap_or_else(PoisonError::into_inner).1.validity;
        let Some(Validity { from, until }) = validity else { return Age::Unknown };
        // It is good until the end of the second it names (RFC 5280, §4.1.2.5).
        let Ok(left) = (until + Duration::from_secs(1)).duration_since(now) else { return Age::Over };
        let life = until.duration_since(from).unwrap_or_default();
        if left < limits::CERTIFICATE_SOON.min(life / 3) { Age::Soon(left) } else { Age::Good(left) }
    }

    /// Says in the log what has changed about its age.
    fn say_age(&self) {
        let age = self.age(SystemTime::now());
        let word = match age {
            Age::Good(_) => "good",
            Age::Soon(_) => "soon",
            Age::Over => "over",
            Age::Unknown => "unknown",
        };
        let before = self.said.lock().unwrap_or_else(PoisonError::into_inner).replace(word);
        if before == Some(word) {
            return;
        }
        match age {
            Age::Good(_) => {}
            Age::Soon(left) => {
                tracing::warn!(hours = left.as_secs() / 3_600, "TLS: the certificate expires soon")
            }
            Age::Over => tracing::error!(
                "TLS: the certificate has expired; callers turn away until there is a new one"
            ),
            Age::Unknown => tracing::warn!("TLS: the certificate does not say until when it is good"),
        }
    }

    /// Reads the files again where they have changed; those that make no sense are said once, and change nothing.
    pub(crate) fn look(&self) {
        self.read_changes();
        self.say_age();
    }

    fn read_changes(&self) {
        // Stamped before they are read: what changes meanwhile is seen the next time.
        let stamps = self.files.stamps();
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.0 == stamps {
            return;
        }
        now.0 = stamps;
        match self.files.read() {
            Ok(read) => {
                now.1 = read;
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

    fn read(&self) -> Result<Read, String> {
        let chain = certificates("listen.tls.certificate", &self.certificate)?;
        let key = private_key("listen.tls.key", &self.key)?;
        let validity = chain.first().and_then(|first| Validity::of(first));
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
        Ok(Read { config: Arc::new(config), validity })
    }
}

/// The private key of a file.
///
/// # Errors
/// The file cannot be read or holds none, under the name of its setting.
pub(crate) fn private_key(field: &str, path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|error| format!("{field}: {} is no private key in PEM: {error}", path.display()))
}

/// The certificates of a file, in its order.
///
/// # Errors
/// As [`roots`].
pub(crate) fn certificates(field: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
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
