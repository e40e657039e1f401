//! What the engine says of itself: figures for metrics and readiness, each cheap enough to be asked at any time.

use followupd_domain::Span;

use super::Engine;
use crate::stats::Stats;

impl Engine {
    /// What the tree has done since it was started.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.node.stats.read()
    }

    /// How long the lane that is most behind should have looked at its due rows; zero when none is behind. Rows that
    /// wait for a limit, for open hours or for a release do not count: nobody should have pulled them.
    #[must_use]
    pub fn behind(&self) -> Span {
        self.node.awaited.behind(self.node.env.steady())
    }

    /// How far the wall clock is ahead of engine time: negative where it is behind. They differ after a jump, and by
    /// what the last process saw when this one started.
    #[must_use]
    pub fn clock_ahead(&self) -> Span {
        self.node.now().since(self.node.engine_now())
    }
}
