//! Open connections nobody uses just now. They are closed when they have been idle for too long.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What is idle, the longest first. How many there are is bounded by the places that use them.
pub(crate) struct Idle<T> {
    kept: Mutex<Kept<T>>,
    span: Duration,
}

struct Kept<T> {
    connections: Vec<(Instant, T)>,
    swept: bool,
}

impl<T: Send + 'static> Idle<T> {
    /// Keeps each connection for `span`.
    pub(crate) fn new(span: Duration) -> Arc<Idle<T>> {
        Arc::new(Idle { kept: Mutex::new(Kept { connections: Vec::new(), swept: false }), span })
    }

    /// The one used last, with how long it has been idle.
    pub(crate) fn take(&self) -> Option<(T, Duration)> {
        let mut kept = self.lock();
        let (since, connection) = kept.connections.pop()?;
        let idle = since.elapsed();
        // What lies under it has been idle for longer.
        if idle >= self.span {
            kept.connections.clear();
            return None;
        }
        Some((connection, idle))
    }

    /// Keeps `connection` for the next to use.
    pub(crate) fn keep(self: &Arc<Idle<T>>, connection: T) {
        let mut kept = self.lock();
        kept.connections.push((Instant::now(), connection));
        if !std::mem::replace(&mut kept.swept, true) {
            tokio::spawn(sweep(Arc::downgrade(self), self.span));
        }
    }

    /// Closes what has been idle for too long; whether nothing is left.
    fn close_old(&self) -> bool {
        let mut kept = self.lock();
        kept.connections.retain(|(since, _)| since.elapsed() < self.span);
        kept.swept = !kept.connections.is_empty();
        !kept.swept
    }

    fn lock(&self) -> MutexGuard<'_, Kept<T>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs while something is kept: nothing stays for longer than twice the span.
async fn sweep<T: Send + 'static>(idle: std::sync::Weak<Idle<T>>, span: Duration) {
    loop {
        tokio::time::sleep(span).await;
        if idle.upgrade().is_none_or(|idle| idle.close_old()) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn the_one_used_last_is_used_next() {
        let idle = Idle::new(SPAN);
        idle.keep(1);
        tokio::time::sleep(SPAN / 2).await;
        idle.keep(2);
        assert_eq!(idle.take(), Some((2, Duration::ZERO)));
        assert_eq!(idle.take(), Some((1, SPAN / 2)));
        assert_eq!(idle.take(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_closed_though_nobody_asks() {
        let (idle, connection) = (Idle::new(SPAN), Arc::new(()));
        idle.keep(Arc::clone(&connection));
        tokio::time::sleep(SPAN * 2).await;
        assert_eq!(Arc::strong_count(&connection), 1);
        idle.keep(Arc::clone(&connection));
        assert_eq!(Arc::strong_count(&connection), 2);
        tokio::time::sleep(SPAN * 2).await;
        assert_eq!(Arc::strong_count(&connection), 1);
    }
}
