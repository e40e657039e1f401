//! A clock that moves with tokio's paused time alone, and chance that is the same in every run.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use followupd_domain::{Moment, Span};
use followupd_runtime::Env;

pub(crate) struct VirtualEnv {
    begins_at: Moment,
    started: tokio::time::Instant,
    drawn: AtomicU64,
    /// How far the clock on the wall has jumped, in milliseconds.
    pub(crate) jumped: AtomicI64,
}

impl VirtualEnv {
    /// It is `moment` now.
    pub(crate) fn at(moment: Moment) -> VirtualEnv {
        let started = tokio::time::Instant::now();
        VirtualEnv { begins_at: moment, started, drawn: AtomicU64::new(1), jumped: AtomicI64::new(0) }
    }
}

impl Env for VirtualEnv {
    fn wall(&self) -> Moment {
        self.begins_at + self.steady() + Span(self.jumped.load(Ordering::Relaxed))
    }
    fn steady(&self) -> Span {
        Span(self.started.elapsed().as_millis() as i64)
    }
    fn random(&self) -> u64 {
        self.drawn.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}
