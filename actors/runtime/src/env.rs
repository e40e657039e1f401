//! Time and chance of a running engine, behind one trait: the simulator passes its own.

use followupd_domain::{Moment, Span};
use serde::{Deserialize, Serialize};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;

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
    moved: Notify,
}

#[derive(Debug)]
struct Last {
    engine: Moment,
    steady: Span,
    /// How far the wall was ahead when that was last written down.
    kept: Span,
}

/// What the wall said, and engine time then: where the next process goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The wall.
    pub wall: Moment,
    /// Engine time.
    pub engine: Moment,
}

/// Of so many milliseconds elapsed, one is added or left out to approach the wall: fast enough for drift, far too
/// slow for a jump to matter.
const SLEW: i64 = 100;

/// The wall has jumped when it is so much farther from engine time, or nearer, than was last written down.
const JUMPS: Span = Span::seconds(5);

impl EngineClock {
    /// Engine time that starts at the wall's.
    #[must_use]
    pub fn new(env: &dyn Env) -> EngineClock {
        let last = Last { engine: env.wall(), steady: env.steady(), kept: Span::ZERO };
        EngineClock { last: Mutex::new(last), moved: Notify::new() }
    }

    /// Engine time goes on from what another process kept of it, by what the wall says has passed since: a jump of the
    /// wall while that process ran frees nothing in this one. One that was set ahead while no process ran cannot be told
    /// from time that has passed.
    pub fn goes_on_from(&self, kept: Kept, env: &dyn Env) {
        let mut last = self.lock();
        let wall = env.wall();
        last.engine = kept.engine + wall.since(kept.wall);
        last.kept = ahead(wall, last.engine);
    }

    /// Engine time has been there, in another process: it goes on from no earlier, whatever the wall says.
    pub fn has_been_at(&self, at: Moment) {
        let mut last = self.lock();
        last.engine = last.engine.max(at);
    }

    /// What is to be written down now.
    #[must_use]
    pub fn to_keep(&self, env: &dyn Env) -> Kept {
        let mut last = self.lock();
        let wall = last.advance(env);
        Kept { wall, engine: last.engine }
    }

    /// This is written down.
    pub fn has_kept(&self, kept: Kept) {
        self.lock().kept = ahead(kept.wall, kept.engine);
    }

    /// Waits until the wall has jumped, so that it has to be written down anew.
    pub async fn moved(&self) {
        self.moved.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Engine time now.
    #[must_use]
    pub fn now(&self, env: &dyn Env) -> Moment {
        let mut last = self.lock();
        let wall = last.advance(env);
        if (ahead(wall, last.engine).0 - last.kept.0).abs() > JUMPS.0 {
            self.moved.notify_one();
        }
        last.engine
    }
}

impl Last {
    /// Moves engine time to now; what the wall says.
    fn advance(&mut self, env: &dyn Env) -> Moment {
        let (wall, steady) = (env.wall(), env.steady());
        let elapsed = (steady.0 - self.steady.0).max(0);
        let behind = wall.0 - self.engine.0 - elapsed;
        let slew = behind.clamp(-elapsed / SLEW, elapsed / SLEW);
        // Steps too short to be corrected must still add up to steady time.
        if elapsed > 0 {
            (self.engine, self.steady) = (self.engine + Span(elapsed + slew), steady);
        }
        wall
    }
}

/// How far the wall is ahead of engine time; below zero: behind.
fn ahead(wall: Moment, engine: Moment) -> Span {
    Span(wall.0 - engine.0)
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
    fn a_jump_frees_nothing_in_the_next_process_either() {
        let env = Fake::default();
        let clock = EngineClock::new(&env);
        env.wall.store(7_200_000, Ordering::Relaxed);
        env.steady.store(1_000, Ordering::Relaxed);
        let kept = clock.to_keep(&env);
        assert_eq!(kept, Kept { wall: Moment(7_200_000), engine: Moment(1_010) });
        let next = |wall: i64| {
            env.wall.store(wall, Ordering::Relaxed);
            let clock = EngineClock::new(&env);
            clock.goes_on_from(kept, &env);
            clock.now(&env)
        };
        assert_eq!(next(7_260_000), Moment(61_010), "by the minute it was down");
        assert_eq!(next(3_600_000), Moment(1_010), "set back meanwhile: no earlier than it was");
    }

    #[tokio::test]
    async fn a_jump_has_to_be_written_down_and_drift_has_not() {
        let env = Fake::default();
        let clock = EngineClock::new(&env);
        let moved = async |clock: &EngineClock| {
            tokio::time::timeout(std::time::Duration::from_millis(1), clock.moved()).await.is_ok()
        };
        env.wall.store(3_000, Ordering::Relaxed);
        let _ = clock.now(&env);
        assert!(!moved(&clock).await);
        env.wall.store(-6_000, Ordering::Relaxed);
        let _ = clock.now(&env);
        assert!(moved(&clock).await);
        let kept = clock.to_keep(&env);
        let _ = clock.now(&env);
        assert!(moved(&clock).await, "it could not be written");
        clock.has_kept(kept);
        let _ = clock.now(&env);
        assert!(!moved(&clock).await, "it is written down");
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
