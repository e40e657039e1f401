//! The running daemon: what is opened in which order, what is said when it runs, and how it stops.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use followupd_channel::outbox::Outbox;
use followupd_channel::resolve::System;
use followupd_channel::tls::Trust;
use followupd_channel::transports::{Outside, Transports};
use followupd_runtime::{Config as EngineConfig, Engine, Env, Stop, WallEnv};
use followupd_store::embedded::{Embedded, Options};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::config::{self, Config, Source};
use crate::exit::{Code, Failure};
use crate::http;
use crate::http::listen::Port;
use crate::http::ready::Readiness;
use crate::limits;
use crate::log::Log;
use crate::metrics::Edge;
use crate::serve::lock::FolderLock;
use crate::serve::reload::Reload;
use crate::tls::Tls;

pub(crate) mod check;
mod clock;
pub(crate) mod first_key;
pub(crate) mod lock;
mod notify;
mod reload;
mod seal_key;
pub(crate) mod stop;

/// A daemon that takes calls.
pub(crate) struct Running {
    /// Where it really listens; the port is known now, whatever was asked.
    pub(crate) address: SocketAddr,
    engine: Engine,
    stop: watch::Sender<bool>,
    server: JoinHandle<io::Result<()>>,
    reload: JoinHandle<()>,
    clock: JoinHandle<()>,
    config: Config,
    _lock: FolderLock,
}

/// Starts the daemon. When this answers, it takes calls.
///
/// `source` is where settings are read again at SIGHUP, `log` whose level then may change.
///
/// The port comes first: it is the cheapest to find taken, and a second daemon must not touch the first one's store.
///
/// # Errors
/// The address is taken, a folder is in use or cannot be written, or the store cannot be opened.
pub(crate) async fn start(config: Config, source: Option<Source>, log: Log) -> Result<Running, Failure> {
    let tls = config.tls.clone().map(Tls::open).transpose().map_err(Failure::input)?.map(Arc::new);
    let listener = bind(config.listen).await?;
    let address = listener.local_addr().map_err(Failure::other)?;
    let lock = FolderLock::take(&config.store)?;
    let outbox = Outbox::open(&config.outbox).map_err(|error| unusable("outbox", &config.outbox, &error))?;
    let path = config.store.clone();
    // Opening replays the journal and blocks while it does.
    let store =
        tokio::task::spawn_blocking(move || Embedded::open(path.join("rows"), Options::default())).await;
    let store = store.map_err(Failure::other)?.map_err(|error| unusable("store", &config.store, &error))?;
    let env: Arc<dyn Env> = Arc::new(WallEnv::new());
    let store = Arc::new(store);
    let transports = transports(outbox, &config.outside)?;
    let engine = Engine::start(EngineConfig::default(), store.clone(), Arc::clone(&env), transports).await;
    let engine = engine.map_err(|error| Failure::other(format!("the engine does not start: {error}")))?;
    first_key::make(&engine, &config.store).await?;
    let (stop, stopped) = watch::channel(false);
    let readiness = Readiness { engine: engine.clone(), store, tls: tls.clone(), stopping: stopped.clone() };
    let edge = Arc::new(Edge::default());
    let router = http::router(readiness, env, Arc::clone(&edge), config.bounds)
        .map_err(|error| Failure::other(format!("the descriptors of the RPC are not read: {error}")))?;
    let reload =
        Reload { tls: tls.clone(), config: config.clone(), source, log, edge: Arc::clone(&edge) }.start();
    let port = Port { router, bounds: config.bounds, tls, edge };
    let server = tokio::spawn(port.serve(listener, stopped));
    let clock = clock::start(engine.clone());
    Ok(Running { address, engine, stop, server, reload, clock, config, _lock: lock })
}

/// The ways out: the outbox, and what channels open to the outside.
fn transports(outbox: Outbox, outside: &config::Outside) -> Result<Transports, Failure> {
    let seal = seal_key::open(&outside.seal_key)?;
    let (trust, resolver, rules) = (Trust::load(), Arc::new(System::default()), outside.rules.clone());
    Ok(Transports::new(Arc::new(outbox), Outside { trust, resolver, seal, rules }))
}

impl Running {
    /// Stops: no new calls, no new sends; what has begun is finished, within the bound of the settings.
    ///
    /// # Errors
    /// A send was not finished in time: it is in doubt and settled at the next start. A connection that is still open
    /// then is cut, which is no error.
    pub(crate) async fn stop(self) -> Result<(), Failure> {
        tracing::info!("drains");
        self.reload.abort();
        self.clock.abort();
        // Readiness goes first, so that whoever routes calls sends them elsewhere.
        self.stop.send_replace(true);
        let within = self.config.drain_within;
        let end = Instant::now() + within;
        // Sends end while the calls that are open are answered: only then the engine stops.
        let drained = tokio::time::timeout_at(end, self.engine.drain());
        let (drained, served) = tokio::join!(drained, tokio::time::timeout_at(end, self.server));
        // A store that does not answer must not hold up the end.
        let _ = tokio::time::timeout(limits::CLOCK_LAST, clock::keep(&self.engine)).await;
        self.engine.stop();
        match served {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => return Err(Failure::other(format!("the listener failed: {error}"))),
            Ok(Err(error)) => return Err(Failure::other(format!("the listener failed: {error}"))),
            // What they were answered is durable; what they were not, their clients ask again.
            Err(_) => tracing::warn!("connections were still open: they are cut"),
        }
        if drained.is_err() {
            return Err(Failure::other(format!(
                "sends were still open after {} s (drain.within_seconds): they are settled at the next start",
                within.as_secs()
            )));
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// Those of [`start`] and [`Running::stop`].
pub(crate) async fn run(config: Config, source: Source, log: Log) -> Result<(), Failure> {
    let running = start(config, Some(source), log).await?;
    let held = running.engine.stopped();
    eprint!("{}", banner(running.address, &running.config, held.as_ref()));
    if let Some(stop) = &held {
        tracing::warn!(
            reason = stop.reason,
            by = stop.by,
            "all sending is held until `followupd resume-sending --all`"
        );
    }
    tracing::info!(address = %running.address, "takes calls");
    // Signals are heard before anybody is told that it runs: whoever stops it then gets a drain.
    let mut asked = std::pin::pin!(stop::asked());
    if futures::poll!(&mut asked).is_pending() {
        notify::tell(notify::READY);
        asked.await;
    }
    notify::tell(notify::STOPPING);
    tokio::select! {
        stopped = running.stop() => stopped,
        () = stop::asked() => Err(Failure::new(Code::Interrupted, "stopped at once, at the second signal")),
    }
}

/// What a person reads when it runs: where everything is, and what to do next.
fn banner(address: SocketAddr, config: &Config, held: Option<&Stop>) -> String {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let server = match address.port() {
        DEFAULT_PORT if config.tls.is_none() => String::new(),
        _ => format!("--server {scheme}://{address} "),
    };
    let held = held.map(|stop| {
        let reason = if stop.reason.is_empty() { "no reason was given" } else { &stop.reason };
        format!(
            "\x20 held       nothing is sent: {reason}\n\
             \x20            followupd {server}resume-sending --all  (shows what would go out; --yes lets it)\n"
        )
    });
    format!(
        "followupd {version}\n\
         \x20 listening  {scheme}://{address}  (gRPC, gRPC-Web, JSON over HTTP)\n\
         \x20 store      {store}\n\
         \x20 outbox     {outbox}\n\
         \x20 key        {key}  (the operator's, for all tenants)\n\
         \x20 next       export FOLLOWUPD_KEY=$(cat {key})\n\
         \x20            followupd example tenant > tenant.yaml\n\
         \x20            followupd {server}tenant put acme -f tenant.yaml\n{held}",
        held = held.unwrap_or_default(),
        version = env!("CARGO_PKG_VERSION"),
        store = config.store.display(),
        outbox = config.outbox.display(),
        key = first_key::path(&config.store).display(),
    )
}

const DEFAULT_PORT: u16 = 7400;

async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let advice = [
            (io::ErrorKind::AddrInUse, "another process listens there; give listen.address another port"),
            (io::ErrorKind::AddrNotAvailable, "this machine has no such address"),
            (io::ErrorKind::PermissionDenied, "ports below 1024 need more rights; take a higher one"),
        ];
        let known = advice.iter().find(|(kind, _)| *kind == error.kind());
        let why = known.map_or_else(|| error.to_string(), |(_, why)| (*why).to_owned());
        Failure::new(Code::Address, format!("cannot listen on {address}: {why}"))
    })
}

pub(crate) fn unusable(what: &str, folder: &Path, error: &dyn std::error::Error) -> Failure {
    let mut why = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        why.push_str(": ");
        why.push_str(&deeper.to_string());
        cause = deeper.source();
    }
    Failure::new(Code::Folder, format!("the {what} cannot be opened in {}: {why}", folder.display()))
}

/// Makes a folder only its owner may read: it holds people's addresses and messages.
fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, load};

    fn config(folder: &Path) -> Config {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            insecure: false,
            tls: None,
            bounds: load(None, &Overrides::default()).unwrap().bounds,
            store: folder.join("store"),
            outbox: folder.join("outbox"),
            log_level: "info".into(),
            log_format: config::LogFormat::Text,
            drain_within: std::time::Duration::from_secs(5),
            traces: None,
            outside: config::Outside {
                seal_key: folder.join("seal.key"),
                rules: followupd_channel::transports::Rules::default(),
            },
        }
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_said_in_one_line() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let failure = bind(taken.local_addr().unwrap()).await.unwrap_err();
        assert_eq!(failure.code, Code::Address);
        assert!(failure.says.contains("another process") && !failure.says.contains('\n'), "{failure}");
    }

    #[tokio::test]
    async fn a_folder_in_use_is_said_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let _held = FolderLock::take(&config.store).unwrap();
        let failure = start(config, None, Log::default()).await.err().unwrap();
        assert_eq!(failure.code, Code::Folder);
        assert!(failure.says.contains("another process") && !failure.says.contains('\n'), "{failure}");
    }

    #[test]
    fn the_banner_names_the_next_command_for_this_address() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let usual = banner("127.0.0.1:7400".parse().unwrap(), &config, None);
        assert!(usual.contains("followupd tenant put acme -f tenant.yaml"), "{usual}");
        assert!(!usual.contains("held"), "{usual}");
        let stop = Stop { since: followupd_domain::Moment(0), reason: "wrong list".into(), by: "zoe".into() };
        let other = banner("127.0.0.1:7500".parse().unwrap(), &config, Some(&stop));
        assert!(other.contains("followupd --server http://127.0.0.1:7500 tenant put"), "{other}");
        assert!(other.contains("nothing is sent: wrong list\n"), "{other}");
        assert!(other.contains("followupd --server http://127.0.0.1:7500 resume-sending --all"), "{other}");
    }
}
