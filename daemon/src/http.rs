//! One port: the RPC (gRPC, gRPC-Web, JSON over HTTP), CloudEvents, and what load balancers ask.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use connectrpc::{ConnectRpcService, Limits};
use connectrpc_reflection::ReflectionError;
use followupd_runtime::{Engine, Env};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::http::ready::Readiness;
use crate::limits;
use crate::metrics::tree::Tree;
use crate::metrics::{self, Edge, Metrics};
use crate::rpc;
use crate::rpc::access::Gatekeeper;
use crate::rpc::guard::Guard;

pub(crate) mod ready;

/// Everything the port answers.
///
/// `/healthz` says that the process lives, `/readyz` that it wants calls; a draining daemon does not.
///
/// # Errors
/// The descriptors of the build are not read.
pub(crate) fn router(readiness: Readiness, env: Arc<dyn Env>) -> Result<Router, ReflectionError> {
    let bounds = Limits::default()
        .with_max_message_size(limits::MESSAGE_BYTES)
        .with_max_request_body_size(limits::MESSAGE_BYTES);
    let engine = readiness.engine.clone();
    let edge = Arc::new(Edge::default());
    let tree = Tree { engine: engine.clone(), store: Arc::clone(&readiness.store) };
    let metrics = Arc::new(Metrics::new(&edge, tree));
    let (says, serving) = watch::channel(true);
    tokio::spawn(readiness.clone().keep(says));
    let calls = rpc::router(engine.clone(), Arc::clone(&env), serving)?;
    let calls = ConnectRpcService::new(calls)
        .with_limits(bounds)
        .with_interceptor(Guard(Arc::clone(&edge)))
        .with_interceptor(Gatekeeper(engine.clone()));
    let asked = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .with_state(readiness)
        .route("/metrics", get(metrics_text).with_state((metrics, engine.clone())));
    Ok(asked.merge(rpc::cloud_events(engine, env, edge)).fallback_service(calls))
}

/// The metrics, to this machine; to others with a key for all tenants.
async fn metrics_text(
    State((metrics, engine)): State<(Arc<Metrics>, Engine)>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    if !peer.ip().to_canonical().is_loopback()
        && let Err(error) = Gatekeeper(engine).admit_to_metrics(headers)
    {
        let json = [(CONTENT_TYPE, "application/json")];
        return (error.http_status(), json, error.to_json()).into_response();
    }
    ([(CONTENT_TYPE, metrics::MEDIA_TYPE)], metrics.text()).into_response()
}

/// Every check and what it found: a line each, or JSON where that is accepted.
async fn readyz(State(readiness): State<Readiness>, headers: HeaderMap) -> Response {
    let report = readiness.look();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let accepts = headers.get(ACCEPT).and_then(|accepts| accepts.to_str().ok()).unwrap_or_default();
    match serde_json::to_string(&report) {
        Ok(json) if accepts.contains("application/json") => {
            (status, [(CONTENT_TYPE, "application/json")], json).into_response()
        }
        Ok(_) | Err(_) => (status, report.text()).into_response(),
    }
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
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async move {
            // A sender that is gone stops as well.
            let _ = stopping.wait_for(|stopping| *stopping).await;
        })
        .await
}
