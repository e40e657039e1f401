//! Time and chance of a running engine, behind one trait: the simulator passes its own.

use followupd_domain::{Moment, Span};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Where the engine gets time and chance from.
pub trait Env: Send + Sync + 'static {
    /// What the clock on the wall says. It can jump.
    fn wall(&self) -> Moment;

    /// Time elapsed since some fixed moment. It never goes back.
    fn steady(&self) -> Span;

    /// A number nobody can guess.
    fn random(&self) -> u64;
}

/// The clocks of this machine.
#[derive(Debug)]
pub struct WallEnv {
    started: Instant,
    keys: RandomState,
    drawn: AtomicU64,
}

impl WallEnv {
    /// Clocks that start now.
    #[must_use]
    pub fn new() -> WallEnv {
        WallEnv { started: Instant::now(), keys: RandomState::new(), drawn: AtomicU64::new(0) }
    }
}

impl Default for WallEnv {
    fn default() -> Self {
        WallEnv::new()
    }
}

impl Env for WallEnv {
    fn wall(&self) -> Moment {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn steady(&self) -> Span {
        Span(i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    fn random(&self) -> u64 {
        // Each `RandomState` is keyed from the system's randomness; a counter under that key never repeats.
        let mut hasher = self.keys.build_hasher();
        hasher.write_u64(self.drawn.fetch_add(1, Ordering::Relaxed));
        hasher.finish()
    }
}

/// Engine time, by which limits count: steady time, drawn slowly toward the wall, never backwards.
///
/// A wall clock that jumps an hour ahead frees no hourly cap, and one that jumps back stops no lane.
#[derive(Debug)]
pub struct EngineClock {
    last: Mutex<Last>,
}

#[derive(Debug)]
struct Last {
    engine: Moment,
    steady: Span,
}

/// Of so many milliseconds elapsed, one is added or left out to approach the wall: fast enough for drift, far too
/// slow for a jump to matter.
const SLEW: i64 = 100;

impl EngineClock {
    /// Engine time that starts at the wall's.
    #[must_use]
    pub fn new(env: &dyn Env) -> EngineClock {
        EngineClock { last: Mutex::new(Last { engine: env.wall(), steady: env.steady() }) }
    }

    /// Engine time has been there, in another process: it goes on from no earlier, whatever the wall says.
    pub fn has_been_at(&self, at: Moment) {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        last.engine = last.engine.max(at);
    }

    /// Engine time now.
    #[must_use]
    pub fn now(&self, env: &dyn Env) -> Moment {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let steady = env.steady();
        let elapsed = (steady.0 - last.steady.0).max(0);
        let behind = env.wall().0 - last.engine.0 - elapsed;
        let slew = behind.clamp(-elapsed / SLEW, elapsed / SLEW);
        // Steps too short to be corrected must still add up to steady time.
        if elapsed > 0 {
            *last = Last { engine: last.engine + Span(elapsed + slew), steady };
        }
        last.engine
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicI64;

    #[derive(Default)]
    struct Fake {
        wall: AtomicI64,
        steady: AtomicI64,
    }

    impl Env for Fake {
        fn wall(&self) -> Moment {
            Moment(self.wall.load(Ordering::Relaxed))
        }
        fn steady(&self) -> Span {
            Span(self.steady.load(Ordering::Relaxed))
        }
        fn random(&self) -> u64 {
            4
        }
    }

    #[test]
    fn a_jump_of_the_wall_hardly_moves_engine_time() {
        let env = Fake::default();
        let clock = EngineClock::new(&env);
        env.wall.store(3_600_000, Ordering::Relaxed);
        env.steady.store(1_000, Ordering::Relaxed);
        assert_eq!(clock.now(&env), Moment(1_010));
        env.wall.store(-3_600_000, Ordering::Relaxed);
        env.steady.store(2_000, Ordering::Relaxed);
        assert_eq!(clock.now(&env), Moment(2_000));
    }

    #[test]
    fn a_new_process_goes_on_where_the_last_one_was() {
        let env = Fake::default();
        let clock = EngineClock::new(&env);
        clock.has_been_at(Moment(3_600_000));
        clock.has_been_at(Moment(1_800_000));
        env.wall.store(1_000, Ordering::Relaxed);
        env.steady.store(1_000, Ordering::Relaxed);
        assert_eq!(clock.now(&env), Moment(3_600_990));
    }

    #[test]
    fn drift_is_corrected_in_the_end() {
        let env = Fake::default();
        let clock = EngineClock::new(&env);
        for step in 1..=1_000 {
            env.steady.store(step * 1_000, Ordering::Relaxed);
            env.wall.store(step * 1_000 + 500, Ordering::Relaxed);
            let _ = clock.now(&env);
        }
        assert_eq!(clock.now(&env), env.wall());
    }
}
