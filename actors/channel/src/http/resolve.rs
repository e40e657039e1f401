//! How the addresses of a name are found. The addresses it answers are checked, and they alone are connected to.

use std::io;
use std::net::IpAddr;

use futures::future::BoxFuture;

/// A way to find the addresses of a name.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of `host`, best first.
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// This machine's own way.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Resolve for System {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}
