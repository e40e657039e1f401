//! The clocks of a simulated machine: they go on while the process is down, the wall can jump, the process can stall.

use std::sync::Mutex;

use followupd_domain::{Moment, Span};
use followupd_runtime::Env;
use tokio::time::Instant;

use super::dice::Dice;

/// The clocks, and the chance the engine draws.
pub(crate) struct SimEnv {
    state: Mutex<State>,
    dice: Mutex<Dice>,
}

struct State {
    /// Wall time at the start of the run.
    start: i64,
    /// Time that passed before this life, and in stalls.
    base: i64,
    /// When this life began, on the runtime's clock.
    began: Option<Instant>,
    /// What the wall has jumped by.
    jumped: i64,
}

impl SimEnv {
    /// Clocks that begin at `start`.
    pub(crate) fn new(start: i64, dice: Dice) -> SimEnv {
        let state = State { start, base: 0, began: None, jumped: 0 };
        SimEnv { state: Mutex::new(state), dice: Mutex::new(dice) }
    }

    /// A life begins.
    pub(crate) fn begin(&self) {
        self.state.lock().unwrap().began = Some(Instant::now());
    }

    /// A life ends.
    pub(crate) fn end(&self) {
        let mut state = self.state.lock().unwrap();
        state.base = state.elapsed();
        state.began = None;
    }

    /// Time passes and no timer fires: the process stalls, or is down.
    pub(crate) fn stall(&self, span: i64) {
        self.state.lock().unwrap().base += span;
    }

    /// Somebody sets the wall clock.
    pub(crate) fn jump(&self, by: i64) {
        self.state.lock().unwrap().jumped += by;
    }

    /// Milliseconds since the run began.
    pub(crate) fn elapsed(&self) -> i64 {
        self.state.lock().unwrap().elapsed()
    }

    /// What the wall says.
    pub(crate) fn now(&self) -> Moment {
        let state = self.state.lock().unwrap();
        Moment(state.start + state.elapsed() + state.jumped)
    }
}

impl State {
    fn elapsed(&self) -> i64 {
        self.base + self.began.map_or(0, |began| began.elapsed().as_millis() as i64)
    }
}

impl Env for SimEnv {
    fn wall(&self) -> Moment {
        self.now()
    }

    fn steady(&self) -> Span {
        Span(self.elapsed())
    }

    fn random(&self) -> u64 {
        self.dice.lock().unwrap().next()
    }
}
