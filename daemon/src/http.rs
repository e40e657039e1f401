//! One port: the RPC (gRPC, gRPC-Web, JSON over HTTP), CloudEvents, and what load balancers ask.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use connectrpc::{ConnectRpcService, DeadlinePolicy, Limits};
use connectrpc_reflection::ReflectionError;
use followupd_runtime::Env;
use tokio::sync::watch;

use crate::config::Bounds;
use crate::http::ready::Readiness;
use crate::limits;
use crate::metrics::tree::Tree;
use crate::metrics::{self, Edge, Metrics};
use crate::rpc;
use crate::rpc::access::Gatekeeper;
use crate::rpc::cloud::Way;
use crate::rpc::guard::Guard;

pub(crate) mod listen;
mod patience;
pub(crate) mod ready;

/// Everything the port answers.
///
/// `/healthz` says that the process lives, `/readyz` that it wants calls; a draining daemon does not.
///
/// # Errors
/// The descriptors of the build are not read.
pub(crate) fn router(
    readiness: Readiness,
    env: Arc<dyn Env>,
    edge: Arc<Edge>,
    bounds: Bounds,
) -> Result<Router, ReflectionError> {
    let sizes = Limits::default()
        .with_max_message_size(limits::MESSAGE_BYTES)
        .with_max_request_body_size(limits::MESSAGE_BYTES);
    let deadlines =
        DeadlinePolicy::new().with_default_timeout(bounds.call_within).with_max(bounds.call_within_most);
    let engine = readiness.engine.clone();
    let gatekeeper = Gatekeeper::new(engine.clone(), bounds.calls_a_key);
    let tree = Tree { engine: engine.clone(), store: Arc::clone(&readiness.store) };
    let metrics = Arc::new(Metrics::new(&edge, tree));
    let (says, serving) = watch::channel(true);
    tokio::spawn(readiness.clone().keep(says));
    let calls = rpc::router(engine.clone(), Arc::clone(&env), serving)?;
    let calls = ConnectRpcService::new(calls)
        .with_limits(sizes)
        .with_deadline_policy(deadlines)
        .with_interceptor(Guard(Arc::clone(&edge)))
        .with_interceptor(gatekeeper.clone());
    let asked = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .with_state(readiness)
        .route("/metrics", get(metrics_text).with_state((metrics, gatekeeper.clone())));
    Ok(asked
        .merge(rpc::without_rpc(engine, env, Way { gatekeeper, edge, within: bounds.call_within }))
        .fallback_service(calls))
}

/// The metrics, to this machine; to others with a key for all tenants.
async fn metrics_text(
    State((metrics, gatekeeper)): State<(Arc<Metrics>, Gatekeeper)>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    if !peer.ip().to_canonical().is_loopback()
        && let Err(error) = gatekeeper.admit_to_metrics(headers)
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
