//! What is read again while the daemon runs: the files of TLS when they change, and at SIGHUP the settings that say
//! so. What makes no sense then changes nothing.

use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::config::{Config, Source};
use crate::limits;
use crate::log::Log;
use crate::metrics::Edge;
use crate::tls::Tls;

/// What can be read again.
pub(super) struct Reload {
    /// The certificate, where there is one.
    pub(super) tls: Option<Arc<Tls>>,
    /// What was read at the start.
    pub(super) config: Config,
    /// Where it was read, if anywhere.
    pub(super) source: Option<Source>,
    /// The lines whose level can change.
    pub(super) log: Log,
    /// What counts the lines that were left out.
    pub(super) edge: Arc<Edge>,
}

impl Reload {
    /// Reads again, now and then and when asked to, until the task is ended.
    pub(super) fn start(self) -> JoinHandle<()> {
        tokio::spawn(async move {
            let mut asked = Asked::listen();
            loop {
                let hangup = tokio::time::timeout(limits::TLS_EVERY, asked.next()).await.is_ok();
                if hangup && let Some(source) = self.source.clone() {
                    self.settings(&source);
                }
                // Either way; a look at what has not changed reads nothing.
                self.certificate().await;
                self.dropped();
            }
        })
    }

    fn settings(&self, source: &Source) {
        let config = match source.read() {
            Ok(config) => config,
            Err(failure) => {
                tracing::error!(
                    why = failure.says,
                    "SIGHUP: the settings make no sense, all stay as they are"
                );
                return;
            }
        };
        if let Err(error) = self.log.set(&config.log_level) {
            tracing::error!(error, "SIGHUP: log.level stays as it is");
            return;
        }
        tracing::info!(log.level = config.log_level, "SIGHUP: the settings were read again");
        if (Config { log_level: self.config.log_level.clone(), ..config }) != self.config {
            tracing::warn!(
                "SIGHUP: settings besides log.level have changed: they count after the next start"
            );
        }
    }

    /// Says which log lines were over the budget of their place.
    fn dropped(&self) {
        for dropped in Log::dropped() {
            self.edge.lines_dropped.inc_by(dropped.lines);
            tracing::warn!(
                place = dropped.place,
                lines = dropped.lines,
                "log lines over their budget were left out"
            );
        }
    }

    async fn certificate(&self) {
        let Some(tls) = self.tls.clone() else { return };
        // A look that panics is as good as none.
        let _ = tokio::task::spawn_blocking(move || tls.look()).await;
    }
}

/// SIGHUP; where it cannot be heard it never comes.
struct Asked {
    #[cfg(unix)]
    hangup: Option<tokio::signal::unix::Signal>,
}

impl Asked {
    fn listen() -> Asked {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Asked { hangup: signal(SignalKind::hangup()).ok() }
        }
        #[cfg(not(unix))]
        Asked {}
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(hangup) = &mut self.hangup
            && hangup.recv().await.is_some()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}
