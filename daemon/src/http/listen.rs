//! Connections: how many, how long each may keep the daemon waiting, and how they end when it stops.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::config::Bounds;
use crate::http::patience::Patient;
use crate::limits;
use crate::metrics::Edge;
use crate::tls::Tls;

/// What every connection is served with.
pub(crate) struct Port {
    /// What is answered.
    pub(crate) router: Router,
    /// How much of it.
    pub(crate) bounds: Bounds,
    /// The certificate, where there is one.
    pub(crate) tls: Option<Arc<Tls>>,
    /// What is counted.
    pub(crate) edge: Arc<Edge>,
}

impl Port {
    /// Serves until it is told to stop, then finishes the calls it has begun.
    ///
    /// # Errors
    /// The listener fails.
    pub(crate) async fn serve(
        self,
        listener: TcpListener,
        mut stopping: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let room = Arc::new(Semaphore::new(self.bounds.connections));
        let (port, open) = (Arc::new(self), GracefulShutdown::new());
        loop {
            let accepted = tokio::select! {
                // A sender that is gone stops as well.
                _ = stopping.wait_for(|stopping| *stopping) => break,
                accepted = listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) if is_of_one_peer(&error) => continue,
                // No more open files, most likely: some will be closed.
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(limits::ACCEPT_AGAIN).await;
                    continue;
                }
            };
            let Ok(held) = Arc::clone(&room).try_acquire_owned() else {
                port.edge.connections_refused.inc();
                tracing::warn!("as many connections as limits.connections: one more was closed");
                continue;
            };
            tokio::spawn(Arc::clone(&port).connection(stream, peer, open.watcher(), held));
        }
        drop(listener);
        open.shutdown().await;
        Ok(())
    }

    async fn connection(
        self: Arc<Port>,
        stream: TcpStream,
        peer: SocketAddr,
        open: Watcher,
        _held: OwnedSemaphorePermit,
    ) {
        let _counted = self.edge.connection();
        // Small frames go at once; a stream that cannot be told so is as good.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else {
            return self.http(stream, peer, open).await;
        };
        let handshake = TlsAcceptor::from(tls.config()).accept(stream);
        match tokio::time::timeout(self.bounds.head_within, handshake).await {
            Ok(Ok(stream)) => self.http(stream, peer, open).await,
            Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS: no handshake"),
            Err(_) => tracing::debug!(%peer, "TLS: the handshake took too long"),
        }
    }

    async fn http<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: S,
        peer: SocketAddr,
        open: Watcher,
    ) {
        let router = self.router.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            answer(router.clone(), request)
        });
        let stream = Patient::new(stream, self.bounds.head_within, self.bounds.stall);
        let builder = self.builder();
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        if let Err(error) = open.watch(connection).await {
            tracing::debug!(%peer, error, "a connection ended early");
        }
    }

    fn builder(&self) -> Builder<TokioExecutor> {
        let bounds = &self.bounds;
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(bounds.head_within);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(bounds.calls_a_connection)
            .keep_alive_interval(ping_every(bounds.stall))
            .keep_alive_timeout(bounds.stall);
        builder
    }
}

/// A peer that is asked this often is known to be gone at most one stall later.
fn ping_every(stall: Duration) -> Duration {
    stall.max(Duration::from_secs(1))
}

async fn answer(router: Router, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    router.oneshot(request.map(Body::new)).await
}

/// Errors of `accept` that tell of the connection alone (accept(2)).
fn is_of_one_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    [ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted].contains(&error.kind())
}
