//! The RPC: each service turns messages into the engine's values, asks it, and turns its answers into messages.
//!
//! Nothing is decided here. What is wrong with a message alone is found in [`take`], everything else by the engine.

#![expect(
    refining_impl_trait,
    reason = "the services are called by the router alone, which needs no more than the traits promise"
)]

use std::sync::Arc;

use connectrpc::Router;
use followupd_runtime::{Engine, Env};

pub(crate) mod access;
mod asked;
mod batch;
mod contact;
mod enrollment;
mod event;
mod explain;
mod funnel;
mod list;
mod page;
mod refusal;
mod sequence;
mod show;
mod stream;
mod take;
mod tenant;
mod timeline;

/// What every service needs.
#[derive(Clone)]
pub(crate) struct Service {
    engine: Engine,
    env: Arc<dyn Env>,
}

/// All services.
pub(crate) fn router(engine: Engine, env: Arc<dyn Env>) -> Router {
    let service = Service { engine, env };
    Router::new()
        .add_service(Arc::new(access::Keys(service.clone())))
        .add_service(Arc::new(tenant::Tenants(service.clone())))
        .add_service(Arc::new(sequence::Sequences(service.clone())))
        .add_service(Arc::new(enrollment::Enrollments(service.clone())))
        .add_service(Arc::new(contact::Contacts(service.clone())))
        .add_service(Arc::new(event::Events(service)))
}
