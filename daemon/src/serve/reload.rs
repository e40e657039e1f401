//! What is read again while the daemon runs: the files of TLS when they change, and all of it at SIGHUP.

use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::limits;
use crate::tls::Tls;

/// What can be read again.
pub(super) struct Reload {
    /// The certificate, where there is one.
    pub(super) tls: Option<Arc<Tls>>,
}

impl Reload {
    /// Reads again, now and then and when asked to, until the task is ended.
    pub(super) fn start(self) -> JoinHandle<()> {
        tokio::spawn(async move {
            let mut asked = Asked::listen();
            loop {
                // Either way the certificate is looked at; a look at what has not changed reads nothing.
                let hangup = tokio::time::timeout(limits::TLS_EVERY, asked.next()).await.is_ok();
                if hangup {
                    tracing::info!("SIGHUP: settings that can change are read again");
                }
                self.certificate().await;
            }
        })
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
