//! The connection to a daemon: HTTP/2, in the clear to this machine or a trusted network, or over TLS.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use connectrpc::ConnectError;
use connectrpc::client::{
    BoxFuture, ClientBody, ClientTransport, Http2Connection, HttpClient, SharedHttp2Connection,
};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::exit::Failure;
use crate::{limits, tls};

/// What HTTP/2 over TLS is called in its handshake (RFC 9113 §3.1).
const H2: &[u8] = b"h2";

/// Files for TLS, each in PEM.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct TlsFiles {
    /// For https: a file with the certificate of the authority to trust, instead of those of this machine.
    #[arg(long, global = true, env = "FOLLOWUPD_CA", value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// For https with a daemon that asks for certificates: the file of your own.
    #[arg(long, global = true, env = "FOLLOWUPD_CERTIFICATE", value_name = "FILE")]
    pub(crate) certificate: Option<PathBuf>,
    /// The file of its private key.
    #[arg(long, global = true, env = "FOLLOWUPD_CERTIFICATE_KEY", value_name = "FILE")]
    pub(crate) certificate_key: Option<PathBuf>,
}

impl TlsFiles {
    /// The first that is given: the option, and the variable that stands for it.
    pub(crate) fn first(&self) -> Option<(&'static str, &'static str)> {
        let files = [
            (("--ca", "FOLLOWUPD_CA"), &self.ca),
            (("--certificate", "FOLLOWUPD_CERTIFICATE"), &self.certificate),
            (("--certificate-key", "FOLLOWUPD_CERTIFICATE_KEY"), &self.certificate_key),
        ];
        files.into_iter().find(|(_, file)| file.is_some()).map(|(names, _)| names)
    }

    /// The certificate to show, and its key.
    fn own(&self) -> Result<Option<Identity>, String> {
        match (&self.certificate, &self.certificate_key) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => {
                let chain = tls::certificates("--certificate", certificate)?;
                Ok(Some((chain, tls::private_key("--certificate-key", key)?)))
            }
            (Some(_), None) => Err("--certificate goes with --certificate-key: give both".to_owned()),
            (None, Some(_)) => Err("--certificate-key goes with --certificate: give both".to_owned()),
        }
    }
}

/// A certificate with those that lead to its root, and its private key.
type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// A way to a daemon.
#[derive(Clone)]
pub(crate) enum Transport {
    /// In the clear.
    Plain(Box<HttpClient>),
    /// Over TLS.
    Tls(SharedHttp2Connection),
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Transport::Plain(_) => "Plain",
            Transport::Tls(_) => "Tls",
        })
    }
}

impl Transport {
    /// In the clear. Streams in both directions need HTTP/2.
    pub(crate) fn plain() -> Transport {
        let http = HttpClient::builder().tcp_connect_timeout(limits::CLI_CONNECT);
        Transport::Plain(Box::new(http.plaintext_http2_only()))
    }

    /// Over TLS, trusting the authorities of this machine, or those of a file instead. Called on a runtime, which
    /// drives the connection.
    ///
    /// # Errors
    /// A file does not hold what it should, or this machine trusts nobody.
    pub(crate) fn tls(uri: &Uri, files: &TlsFiles) -> Result<Transport, Failure> {
        let roots = match &files.ca {
            Some(path) => tls::roots("--ca", path).map_err(Failure::input)?,
            None => native()?,
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| Failure::other(format!("TLS cannot be set up: {error}")))?;
        let builder = builder.with_root_certificates(roots);
        let mut config = match files.own().map_err(Failure::input)? {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|error| {
                Failure::input(format!("--certificate-key does not fit --certificate: {error}"))
            })?,
        };
        config.alpn_protocols = vec![H2.to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        let connect = tower::service_fn(move |uri: Uri| connect(connector.clone(), uri));
        let connection = Http2Connection::builder()
            .establishment_timeout(limits::CLI_CONNECT)
            .lazy_with_connector(connect, uri.clone());
        Ok(Transport::Tls(connection.shared(limits::CLI_CALLS_WAITING)))
    }
}

fn native() -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added > 0 {
        return Ok(roots);
    }
    Err(Failure::input(
        "this machine has no root certificates to check the daemon's with: install them, or name the authority's \
         file with --ca",
    ))
}

async fn connect(connector: TlsConnector, uri: Uri) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
    let host = uri.host().unwrap_or_default();
    // The brackets of an IPv6 address belong to the URL.
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).to_owned();
    let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
    let stream = TcpStream::connect((host.as_str(), uri.port_u16().unwrap_or(443))).await?;
    stream.set_nodelay(true)?;
    let stream = connector.connect(name, stream).await?;
    if stream.get_ref().1.alpn_protocol() != Some(H2) {
        return Err(io::Error::other("what answers there speaks no HTTP/2"));
    }
    Ok(TokioIo::new(stream))
}

impl ClientTransport for Transport {
    type ResponseBody = Incoming;
    type Error = ConnectError;

    fn send(
        &self,
        request: Request<ClientBody>,
    ) -> BoxFuture<'static, Result<Response<Self::ResponseBody>, Self::Error>> {
        match self {
            Transport::Plain(http) => http.send(request),
            Transport::Tls(connection) => connection.send(request),
        }
    }
}
