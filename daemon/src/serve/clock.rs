//! Has the engine write down now and then what the clock says, for the next start to compare.

use followupd_runtime::Engine;
use tokio::task::JoinHandle;

use crate::limits;

/// Writes it down at once and then every minute, until the task is ended.
pub(super) fn start(engine: Engine) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut every = tokio::time::interval(limits::CLOCK_EVERY);
        loop {
            every.tick().await;
            keep(&engine).await;
        }
    })
}

/// Writes it down.
pub(super) async fn keep(engine: &Engine) {
    if let Err(error) = engine.keep_time().await {
        // The next start takes the clock for further ahead than it is, which stops sending at the worst.
        tracing::debug!(%error, "what the clock says was not written down");
    }
}
