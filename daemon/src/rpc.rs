//! The RPC: each service turns messages into the engine's values, asks it, and turns its answers into messages.
//!
//! Nothing is decided here. What is wrong with a message alone is found in [`take`], everything else by the engine.

#![expect(
    refining_impl_trait,
    reason = "the services are called by the router alone, which needs no more than the traits promise"
)]

use std::sync::Arc;

use connectrpc::Router;
use connectrpc_reflection::{ReflectionError, Reflector};
use followupd_runtime::{Engine, Env};
use tokio::sync::watch;

use crate::rpc::cloud::Way;

pub(crate) mod access;
mod asked;
mod backlog;
mod batch;
pub(crate) mod cloud;
mod contact;
mod enrollment;
mod event;
mod explain;
mod funnel;
pub(crate) mod guard;
mod health;
mod list;
mod outside;
mod pace;
mod page;
mod preview;
mod refusal;
mod rich;
mod scopes;
mod sequence;
mod settings;
mod show;
mod store;
mod stream;
mod take;
mod tenant;
mod timeline;
mod told;

/// What every service needs.
#[derive(Clone)]
pub(crate) struct Service {
    engine: Engine,
    env: Arc<dyn Env>,
}

/// What comes from those that speak no RPC: events, and what providers tell.
pub(crate) fn without_rpc(engine: Engine, env: Arc<dyn Env>, way: Way) -> axum::Router {
    let service = Service { engine, env };
    cloud::router(service.clone(), way.clone()).merge(told::router(service, way))
}

/// All services, with reflection and health; `serving` says whether calls are wanted.
///
/// # Errors
/// The descriptors of the build are not read.
pub(crate) fn router(
    engine: Engine,
    env: Arc<dyn Env>,
    serving: watch::Receiver<bool>,
) -> Result<Router, ReflectionError> {
    let service = Service { engine, env };
    let router = Router::new()
        .add_service(Arc::new(access::Keys(service.clone())))
        .add_service(Arc::new(tenant::Tenants(service.clone())))
        .add_service(Arc::new(sequence::Sequences(service.clone())))
        .add_service(Arc::new(settings::Compare(service.clone())))
        .add_service(Arc::new(enrollment::Enrollments(service.clone())))
        .add_service(Arc::new(contact::Contacts(service.clone())))
        .add_service(Arc::new(event::Events(service.clone())))
        .add_service(Arc::new(store::Stores(service)));
    let reflector = Reflector::from_descriptor_set_bytes(followupd_proto::DESCRIPTORS)?;
    let router = health::install(router, reflector.service_names(), serving);
    Ok(connectrpc_reflection::install(router, reflector))
}
