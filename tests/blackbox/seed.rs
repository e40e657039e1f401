//! Chance from a seed: SplitMix64 (Steele, Lea, Flood 2014), so that a failure can be had again.

use std::time::{SystemTime, UNIX_EPOCH};

/// A stream of numbers that follows from its seed.
#[derive(Clone, Debug)]
pub struct Seed(u64);

impl Seed {
    /// The stream of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Seed {
        Seed(seed)
    }

    /// The seed of `FOLLOWUPD_SEED`, else a new one; it is printed, so that a failure can be repeated.
    ///
    /// # Panics
    /// `FOLLOWUPD_SEED` is no number.
    #[must_use]
    pub fn of_this_run() -> Seed {
        let given = std::env::var("FOLLOWUPD_SEED").ok();
        let seed = match given {
            Some(text) => text.parse().unwrap_or_else(|_| panic!("FOLLOWUPD_SEED is {text:?}, no number")),
            None => SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_millis() as u64),
        };
        println!("seed {seed}: FOLLOWUPD_SEED={seed} repeats its choices");
        Seed(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound.max(1)
    }

    /// A number from `from` on, below `to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from))
    }

    /// A stream of its own, so that one part of a test does not move the choices of another.
    pub fn fork(&mut self) -> Seed {
        Seed(self.draw())
    }
}
