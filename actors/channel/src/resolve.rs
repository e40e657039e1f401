//! How the addresses of a name are found. The addresses it answers are checked, and they alone are connected to.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use tokio::sync::{Semaphore, oneshot};

use crate::limits;

/// A way to find the addresses of a name.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of `host`, best first.
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// An answer that many wait for.
type Lookup = Shared<BoxFuture<'static, Result<Vec<IpAddr>, io::ErrorKind>>>;

/// This machine's own way, by its C library. That blocks for as long as the name's servers stay silent, whoever has
/// given up waiting: each name has one lookup at a time, on a thread of its own and not on one that others need.
#[derive(Clone, Debug)]
pub struct System {
    under_way: Arc<Mutex<HashMap<String, Lookup>>>,
    threads: Arc<Semaphore>,
}

impl Default for System {
    fn default() -> System {
        System { under_way: Arc::default(), threads: Arc::new(Semaphore::new(limits::LOOKUPS)) }
    }
}

impl System {
    /// The lookup of a name that is under way, or a new one.
    fn lookup(&self, host: &str) -> Lookup {
        let (system, name) = (self.clone(), host.to_owned());
        let begin = || {
            let looked_up = tokio::spawn(async move {
                let found = look_up(name.clone(), Arc::clone(&system.threads)).await;
                // Whoever asks now asks anew, also where nobody has waited so long.
                system.under_way().remove(&name);
                found
            });
            looked_up.map(|done| done.unwrap_or(Err(io::ErrorKind::Other))).boxed().shared()
        };
        self.under_way().entry(host.to_owned()).or_insert_with(begin).clone()
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<String, Lookup>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks for a name on a thread of its own; its place is taken until the thread ends.
async fn look_up(host: String, threads: Arc<Semaphore>) -> Result<Vec<IpAddr>, io::ErrorKind> {
    let _place = threads.acquire_owned().await.ok();
    let (tell, told) = oneshot::channel();
    let ask = move || {
        let found = (host.as_str(), 0).to_socket_addrs();
        let found = found.map(|found| found.map(|address| address.ip()).collect::<Vec<IpAddr>>());
        // Nobody hears it where the process is ending.
        let _ = tell.send(found.map_err(|error| error.kind()));
    };
    std::thread::Builder::new().name("lookup".to_owned()).spawn(ask).map_err(|error| error.kind())?;
    told.await.unwrap_or(Err(io::ErrorKind::Other))
}

impl Resolve for System {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move { self.lookup(host).await.map_err(io::Error::from) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_looked_up_once_for_all_who_ask_meanwhile_and_anew_afterwards() {
        let system = System::default();
        // No thread is free: all of them wait.
        let threads = Arc::clone(&system.threads).acquire_many_owned(limits::LOOKUPS as u32).await.unwrap();
        let first = system.lookup("localhost");
        assert!(first.ptr_eq(&system.lookup("localhost")));
        assert!(!first.ptr_eq(&system.lookup("127.0.0.1")));
        drop(threads);
        let found = first.clone().await.unwrap();
        assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
        assert_eq!(system.resolve("127.0.0.1").await.unwrap(), [IpAddr::from([127, 0, 0, 1])]);
        assert!(!first.ptr_eq(&system.lookup("localhost")), "an answer is not kept");
        assert!(system.resolve("nobody.invalid").await.is_err());
    }
}
