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
    ask: Ask,
}

/// Asks for a name, and blocks until there is an answer.
type Ask = fn(&str) -> io::Result<Vec<IpAddr>>;

impl Default for System {
    fn default() -> System {
        System::with(|host| Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect()))
    }
}

impl System {
    fn with(ask: Ask) -> System {
        System { under_way: Arc::default(), threads: Arc::new(Semaphore::new(limits::LOOKUPS)), ask }
    }

    /// The lookup of a name that is under way, or a new one.
    fn lookup(&self, host: &str) -> Lookup {
        let (system, name) = (self.clone(), host.to_owned());
        let begin = || {
            let looked_up = tokio::spawn(async move {
                let found = look_up(name.clone(), system.ask, Arc::clone(&system.threads)).await;
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
async fn look_up(host: String, ask: Ask, threads: Arc<Semaphore>) -> Result<Vec<IpAddr>, io::ErrorKind> {
    let _place = threads.acquire_owned().await.ok();
    let (tell, told) = oneshot::channel();
    let ask = move || {
        // Nobody hears it where the process is ending.
        let _ = tell.send(ask(&host).map_err(|error| error.kind()));
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

    /// One whose servers say nothing.
    const SILENT: &str = "silent.example";

    #[tokio::test]
    async fn a_name_whose_servers_are_silent_keeps_one_thread_and_delays_no_other_name() {
        let system = System::with(|host| {
            if host == SILENT {
                // Nobody unparks it.
                loop {
                    std::thread::park();
                }
            }
            Ok(vec![IpAddr::from([192, 0, 2, 7])])
        });
        let mut asked: Vec<_> = (0..2 * limits::LOOKUPS).map(|_| system.resolve(SILENT)).collect();
        for silent in &mut asked {
            assert!(futures::poll!(silent).is_pending());
        }
        for n in 0..2 * limits::LOOKUPS {
            let found = system.resolve(&format!("n{n}.example")).await.unwrap();
            assert_eq!(found, [IpAddr::from([192, 0, 2, 7])]);
        }
        assert_eq!(system.threads.available_permits(), limits::LOOKUPS - 1);
        drop(asked);
        assert!(futures::poll!(system.lookup(SILENT)).is_pending(), "it is under way though nobody waits");
        assert_eq!(system.threads.available_permits(), limits::LOOKUPS - 1);
    }
}
