//! Health as gRPC asks for it (`grpc.health.v1`): per service, by a look or as a stream of changes.
//!
//! All services are of one process and want calls or do not want them together, as `/readyz` says.

use std::collections::BTreeSet;
use std::sync::Arc;

use connectrpc::{ConnectError, Router};
use connectrpc_health::{Checker, HealthExt, HealthService, Status, StatusStream};
use tokio::sync::watch;

/// Who is asked.
struct Health {
    services: BTreeSet<String>,
    serving: watch::Receiver<bool>,
}

/// Adds the service that answers for all `services`.
pub(super) fn install(router: Router, services: Vec<String>, serving: watch::Receiver<bool>) -> Router {
    let health = Health { services: services.into_iter().collect(), serving };
    let router = Arc::new(HealthService::new(health)).register(router);
    connectrpc_health::apply_request_limits(router, connectrpc_health::request_limits())
}

impl Health {
    /// The empty name is the process.
    fn known(&self, service: &str) -> Result<(), ConnectError> {
        if service.is_empty() || self.services.contains(service) {
            return Ok(());
        }
        let known: Vec<&str> = self.services.iter().map(String::as_str).collect();
        let says = format!("no service {service:?} here: there are {}", known.join(", "));
        Err(ConnectError::not_found(says))
    }
}

impl Checker for Health {
    async fn check(&self, service: &str) -> Result<Status, ConnectError> {
        self.known(service).map(|()| status(*self.serving.borrow()))
    }

    async fn watch(&self, service: &str) -> Result<StatusStream, ConnectError> {
        self.known(service)?;
        let mut serving = self.serving.clone();
        serving.mark_changed();
        Ok(StatusStream::new(futures::stream::unfold(serving, |mut serving| async move {
            serving.changed().await.ok()?;
            let now = status(*serving.borrow_and_update());
            Some((now, serving))
        })))
    }
}

fn status(serving: bool) -> Status {
    if serving { Status::Serving } else { Status::NotServing }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;

    #[tokio::test]
    async fn a_watcher_is_told_the_state_and_each_change() {
        let (says, serving) = watch::channel(true);
        let health = Health { services: ["a.B".to_owned()].into(), serving };
        let mut seen = health.watch("a.B").await.unwrap();
        assert_eq!(seen.next().await, Some(Status::Serving));
        says.send_replace(false);
        assert_eq!(seen.next().await, Some(Status::NotServing));
        assert_eq!(health.check("").await.unwrap(), Status::NotServing);
        drop(says);
        assert_eq!(seen.next().await, None, "it ends with the process");
        let unknown = health.check("a.C").await.unwrap_err();
        assert!(unknown.message.unwrap().contains("a.B"), "it names those there are");
    }
}
