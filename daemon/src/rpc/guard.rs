//! Around every call: it is counted, and a panic in it is its own failure and nobody else's.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use connectrpc::interceptor::{
    Interceptor, Next, NextStream, PayloadStream, StreamRequest, StreamResponse, UnaryRequest, UnaryResponse,
};
use connectrpc::{ConnectError, async_trait};
use followupd_domain::decision::TraceId;
use futures::{FutureExt, StreamExt};

use crate::metrics::{self, Counted, Edge};
use crate::rpc::{asked, refusal};

/// Stands before all other interceptors.
pub(crate) struct Guard(pub(crate) Arc<Edge>);

/// Awaits a call: a panic in it is answered as `internal`, and logged with the trace the caller is told.
pub(super) async fn caught<T>(
    trace: TraceId,
    counted: &mut Counted,
    call: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    let answered = AssertUnwindSafe(call).catch_unwind().await;
    let answered = answered.unwrap_or_else(|panic| Err(broken(&*panic, trace)));
    counted.answered(answered.as_ref().err().map(|error| error.code));
    answered
}

fn broken(panic: &(dyn Any + Send), trace: TraceId) -> ConnectError {
    let says = panic.downcast_ref::<&str>().copied();
    let says = says.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or_default();
    tracing::error!(trace = %asked::hex(trace), panic = says, "a call panicked");
    refusal::internal(trace)
}

#[async_trait]
impl Interceptor for Guard {
    async fn intercept_unary(
        &self,
        request: UnaryRequest,
        next: Next<'_>,
    ) -> Result<UnaryResponse, ConnectError> {
        let mut counted = self.0.call(metrics::method(request.ctx.spec()), true);
        let trace = asked::trace(&request.ctx);
        caught(trace, &mut counted, next.run(request)).await
    }

    async fn intercept_streaming(
        &self,
        request: StreamRequest,
        inbound: PayloadStream,
        next: NextStream<'_>,
    ) -> Result<StreamResponse, ConnectError> {
        let mut counted = self.0.call(metrics::method(request.ctx.spec()), false);
        let trace = asked::trace(&request.ctx);
        let response = caught(trace, &mut counted, next.run(request, inbound)).await?;
        Ok(response.map_body(|body| watched(body, counted, trace)))
    }
}

/// A stream that is counted by how it ends.
fn watched(body: PayloadStream, mut counted: Counted, trace: TraceId) -> PayloadStream {
    let body = AssertUnwindSafe(body).catch_unwind();
    Box::pin(body.map(move |item| {
        let item = item.unwrap_or_else(|panic| Err(broken(&*panic, trace)));
        counted.answered(item.as_ref().err().map(|error| error.code));
        item
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    use axum::Router;
    use connectrpc::{ConnectRpcService, ErrorCode};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::watch;

    use crate::config::{self, Overrides};
    use crate::http::listen::Port;

    /// Breaks the calls that name a service to break.
    struct Breaks;

    #[async_trait]
    impl Interceptor for Breaks {
        async fn intercept_unary(
            &self,
            request: UnaryRequest,
            next: Next<'_>,
        ) -> Result<UnaryResponse, ConnectError> {
            assert!(request.ctx.header("x-break").is_none(), "a bug");
            next.run(request).await
        }
    }

    /// Asks for health, with another header, on a connection that is kept.
    async fn check(stream: &mut TcpStream, header: &str) -> io::Result<String> {
        let request = format!(
            "POST /grpc.health.v1.Health/Check HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{header}\
             Content-Length: 2\r\n\r\n{{}}"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut said = String::new();
        // Both answers come in chunks, of which the last is empty.
        while !said.ends_with("\r\n0\r\n\r\n") {
            said.push(char::from(stream.read_u8().await?));
        }
        Ok(said)
    }

    #[tokio::test]
    async fn a_call_that_panics_leaves_its_connection_and_the_others_alone() {
        let (calls, _health) = connectrpc_health::install_static(connectrpc::Router::new(), ["a.B"]);
        let edge = Arc::new(Edge::default());
        let calls = ConnectRpcService::new(calls).with_interceptor(Guard(Arc::clone(&edge)));
        let router = Router::new().fallback_service(calls.with_interceptor(Breaks));
        let bounds = config::load(None, &Overrides::default()).unwrap().bounds;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_stop, stopping) = watch::channel(false);
        tokio::spawn(Port { router, bounds, tls: None, edge }.serve(listener, stopping));
        let mut stream = TcpStream::connect(address).await.unwrap();
        let trace = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nx-break: 1\r\n";
        let broken = check(&mut stream, trace).await.unwrap();
        assert!(broken.starts_with("HTTP/1.1 500") && broken.contains("internal"), "{broken}");
        assert!(broken.contains("4bf92f3577b34da6a3ce929d0e0e4736") && !broken.contains("a bug"), "{broken}");
        let next = check(&mut stream, "").await.unwrap();
        assert!(next.starts_with("HTTP/1.1 200") && next.contains("SERVING"), "{next}");
    }

    #[tokio::test]
    async fn a_panic_is_the_failure_of_its_call() {
        let mut counted = Arc::new(Edge::default()).call("a.B/C", true);
        let call = async { if asked::hex(TraceId(7)).is_empty() { Ok(()) } else { panic!("a bug") } };
        let error = caught(TraceId(7), &mut counted, call).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Internal);
        assert!(
            !error.message.as_deref().unwrap_or_default().contains("a bug"),
            "what broke is ours to know"
        );
        assert_eq!(error.details.len(), 1, "it names the trace");
    }
}
