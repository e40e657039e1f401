//! Calls of the load: typed clients over HTTP/2, so many at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use blackbox::daemon::Daemon;
use connectrpc::Protocol;
use connectrpc::client::{ClientConfig, HttpClient};
use followupd_proto::v1;

/// How a daemon is asked.
#[derive(Clone)]
pub(crate) struct Calls {
    http: HttpClient,
    config: ClientConfig,
}

impl Calls {
    /// Calls of a daemon, with its operator's key.
    ///
    /// # Errors
    /// Its address is none.
    pub(crate) fn of(daemon: &Daemon) -> io::Result<Calls> {
        let door = daemon.door();
        let uri = format!("http://{}", door.address).parse().map_err(io::Error::other)?;
        let config = ClientConfig::new(uri)
            .with_protocol(Protocol::Grpc)
            .with_default_header("authorization", format!("Bearer {}", door.key));
        Ok(Calls { http: HttpClient::builder().plaintext_http2_only(), config })
    }

    /// Enrollments.
    pub(crate) fn enrollments(&self) -> v1::EnrollmentServiceClient<HttpClient> {
        v1::EnrollmentServiceClient::new(self.http.clone(), self.config.clone())
    }

    /// Events.
    pub(crate) fn events(&self) -> v1::EventServiceClient<HttpClient> {
        v1::EventServiceClient::new(self.http.clone(), self.config.clone())
    }
}

/// Calls in flight where there are many.
pub(crate) const IN_FLIGHT: usize = 64;

/// Makes calls 0 to `count`, so many at once; how long each took, in order of length, and how long all.
///
/// # Errors
/// The first call that fails.
pub(crate) async fn at_once<F, C>(
    count: usize,
    callers: usize,
    call: C,
) -> io::Result<(Vec<Duration>, Duration)>
where
    C: Fn(usize) -> F + Clone + Send + 'static,
    F: Future<Output = io::Result<()>> + Send,
{
    let (began, next) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..callers {
        let (next, call) = (Arc::clone(&next), call.clone());
        tasks.spawn(async move {
            let mut times = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok::<_, io::Error>(times);
                }
                let began = Instant::now();
                call(number).await?;
                times.push(began.elapsed());
            }
        });
    }
    let mut all = Vec::with_capacity(count);
    while let Some(ended) = tasks.join_next().await {
        all.extend(ended.map_err(io::Error::other)??);
    }
    all.sort_unstable();
    Ok((all, began.elapsed()))
}
