//! One request and its answer over one connection, whose address was checked before it was connected to.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::RETRY_AFTER;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::post::Post;
use super::{Ending, Said};
use crate::limits;

/// An open connection.
pub(super) type Sender = SendRequest<Full<Bytes>>;

/// How to connect.
pub(super) struct Target {
    /// The name a certificate must be for.
    pub(super) name: String,
    pub(super) port: u16,
    /// Nothing for plain http.
    pub(super) tls: Option<Arc<ClientConfig>>,
}

impl Target {
    /// A connection to the first of these addresses that takes one. `within` is for each.
    pub(super) async fn connect(
        &self,
        addresses: &[IpAddr],
        within: Duration,
    ) -> Result<Sender, &'static str> {
        let mut failed = "connect";
        for address in addresses {
            match tokio::time::timeout(within, self.connect_to(*address)).await {
                Ok(Ok(sender)) => return Ok(sender),
                Ok(Err(word)) => failed = word,
                Err(_) => failed = "time_out",
            }
        }
        Err(failed)
    }

    async fn connect_to(&self, address: IpAddr) -> Result<Sender, &'static str> {
        let stream = TcpStream::connect(SocketAddr::new(address, self.port)).await.map_err(|_| "connect")?;
        stream.set_nodelay(true).map_err(|_| "connect")?;
        let Some(config) = &self.tls else { return open(stream).await };
        let name = ServerName::try_from(self.name.clone()).map_err(|_| "tls")?;
        let encrypted = TlsConnector::from(Arc::clone(config)).connect(name, stream).await;
        open(encrypted.map_err(|_| "tls")?).await
    }
}

async fn open(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Sender, &'static str> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|_| "connect")?;
    // It ends with its sender; what goes wrong on it the sender hears.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

/// Sends it and waits for the answer; the connection comes back where it can be used again.
pub(super) async fn exchange(mut sender: Sender, post: &Post, within: Duration) -> (Said, Option<Sender>) {
    let exchanged = async {
        if sender.ready().await.is_err() {
            return (Ending::NotSent("closed"), None);
        }
        let Ok(request) = post.request() else { return (Ending::NotSent("bad_request"), None) };
        match sender.try_send_request(request).await {
            Ok(response) => {
                let status = Ending::Status(response.status().as_u16(), retry_after(response.headers()));
                (status, Some(response.into_body()))
            }
            // A request that comes back has not left.
            Err(error) if error.message().is_some() => (Ending::NotSent("closed"), None),
            Err(_) => (Ending::Unanswered, None),
        }
    };
    let began = tokio::time::Instant::now();
    let Ok((ending, body)) = tokio::time::timeout(within, exchanged).await else {
        return (Said::bare(Ending::Unanswered), None);
    };
    let Some(body) = body else { return (Said::bare(ending), None) };
    // The status has been said: what happens to the rest changes nothing of it.
    let rest = tokio::time::timeout(within.saturating_sub(began.elapsed()), read(body));
    let body = rest.await.unwrap_or(None);
    let sender = body.is_some().then_some(sender);
    (Said { ending, body }, sender)
}

/// How long a receiver says to wait (RFC 9110, 10.2.3). Seconds only: a date is no better than the clocks of both.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The whole of an answer, where it is small enough and comes to its end.
async fn read(body: Incoming) -> Option<Bytes> {
    let read = Limited::new(body, limits::ANSWER_BYTES).collect().await;
    read.ok().map(|whole| whole.to_bytes())
}
