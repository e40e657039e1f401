//! One port: the RPC (gRPC, gRPC-Web, JSON over HTTP), CloudEvents, and what load balancers ask.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use connectrpc::{ConnectRpcService, Limits};
use followupd_runtime::{Engine, Env};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::limits;
use crate::rpc;
use crate::rpc::access::Gatekeeper;

/// Everything the port answers.
///
/// `/healthz` says that the process lives, `/readyz` that it wants calls; a draining daemon does not.
pub(crate) fn router(engine: Engine, env: Arc<dyn Env>, stopping: watch::Receiver<bool>) -> Router {
    let bounds = Limits::default()
        .with_max_message_size(limits::MESSAGE_BYTES)
        .with_max_request_body_size(limits::MESSAGE_BYTES);
    let gatekeeper = Gatekeeper(engine.clone());
    let calls = ConnectRpcService::new(rpc::router(engine.clone(), Arc::clone(&env)))
        .with_limits(bounds)
        .with_interceptor(gatekeeper);
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route(
            "/readyz",
            get(move || async move {
                if *stopping.borrow() {
                    (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
                } else {
                    (StatusCode::OK, "ok\n")
                }
            }),
        )
        .merge(rpc::cloud_events(engine, env))
        .fallback_service(calls)
}

/// Serves until it is told to stop, then finishes the calls it has begun.
///
/// # Errors
/// The listener fails.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    mut stopping: watch::Receiver<bool>,
) -> io::Result<()> {
    axum::serve(listener, router)
        .with_graceful_shutdown(async move {
            // A sender that is gone stops as well.
            let _ = stopping.wait_for(|stopping| *stopping).await;
        })
        .await
}
