//! The edge of the daemon as others meet it, over real sockets: CloudEvents, health, metrics, TLS, limits, signals.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use blackbox::daemon::Files;

#[path = "edge/cloud_events.rs"]
mod cloud_events;
#[path = "edge/limits.rs"]
mod limits;
#[path = "edge/metrics.rs"]
mod metrics;
#[path = "edge/ready.rs"]
mod ready;
#[path = "edge/reload.rs"]
mod reload;
#[path = "edge/service.rs"]
mod service;
#[path = "edge/tls.rs"]
mod tls;

const TENANT: &str = "acme";

const FILES: Files<'_> = Files {
    tenant: "on: true\ntime_zone: UTC\n",
    channel: "kind: email\ntransport: outbox\n",
    sequence: "steps:\n  - wait: 1 hour\n    channel: mail\n    subject: Hello\n    body: Dear friend\n",
};
