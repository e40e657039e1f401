//! The stream under a conversation: TCP, or TLS over it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use lettre::transport::smtp::client::AsyncTokioStream;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::limits;
use crate::resolve::Resolve;

/// A connection to `host`, by a name or an address. Small writes leave at once: a conversation is many of them.
pub(super) async fn connect(host: &str, port: u16, resolver: &dyn Resolve) -> io::Result<TcpStream> {
    let found = match host.parse() {
        Ok(address) => vec![address],
        Err(_) => resolver.resolve(host).await?,
    };
    let found: Vec<SocketAddr> = found.into_iter().map(|address| (address, port).into()).collect();
    let stream = TcpStream::connect(found.as_slice()).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Encrypts it, for `host` and nobody else. `greeting` is what was greeted with before.
pub(super) async fn encrypt(
    stream: TcpStream,
    host: &str,
    config: Arc<ClientConfig>,
    greeting: &'static str,
) -> io::Result<Encrypted> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let stream = TlsConnector::from(config).connect(name, stream).await?;
    Ok(Encrypted { stream, greeting: greeting.as_bytes() })
}

/// TLS as lettre takes a stream. Each of its conversations begins with a greeting, which a server that was asked for
/// TLS does not say again (RFC 3207, 4.2): then it is said here.
#[derive(Debug)]
pub(super) struct Encrypted {
    stream: TlsStream<TcpStream>,
    greeting: &'static [u8],
}

impl AsyncTokioStream for Encrypted {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.get_ref().0.peer_addr()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.greeting.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, to);
        }
        let (said, rest) = self.greeting.split_at(self.greeting.len().min(to.remaining()));
        to.put_slice(said);
        self.greeting = rest;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A stream whose peer may say only so much before it is spoken to again: a reply that has no end, or a line of one,
/// is held in memory while it is read.
#[derive(Debug)]
pub(super) struct Bounded {
    stream: Box<dyn AsyncTokioStream>,
    heard: u64,
}

impl Bounded {
    /// A stream of which [`limits::REPLY_BYTES`] are read at a time.
    pub(super) fn new(stream: impl AsyncTokioStream + 'static) -> Bounded {
        Bounded { stream: Box::new(stream), heard: 0 }
    }
}

impl AsyncTokioStream for Bounded {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

impl AsyncRead for Bounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled = to.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, to);
        self.heard += (to.filled().len() - filled) as u64;
        if self.heard > limits::REPLY_BYTES {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "a reply without an end")));
        }
        polled
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.heard = 0;
        Pin::new(&mut self.stream).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
