//! The simulator: the real engine on the memory store, in virtual time, with everything that goes wrong drawn from a
//! seed. What a run shows is held to the invariants of `ARCHITECTURE.md`, by name.
//!
//! `FOLLOWUPD_SEED=n` runs one seed and prints its trace; `FOLLOWUPD_SEEDS=n` runs so many instead of a thousand.

#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::too_many_lines,
    clippy::panic,
    clippy::type_complexity,
    reason = "a test fails by panicking, and what it does not look at is all the rest"
)]

mod sim {
    pub(crate) mod acks;
    pub(crate) mod calls;
    pub(crate) mod coverage;
    pub(crate) mod deed;
    pub(crate) mod dice;
    pub(crate) mod env;
    pub(crate) mod faults;
    pub(crate) mod life;
    pub(crate) mod pace;
    pub(crate) mod plan;
    pub(crate) mod planted;
    pub(crate) mod quarantine;
    pub(crate) mod rows;
    pub(crate) mod says;
    pub(crate) mod script;
    pub(crate) mod trace;
    pub(crate) mod transport;
    pub(crate) mod windows;
    pub(crate) mod words;
    pub(crate) mod world;
}

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use followupd_runtime::plant::Planted;
use sim::coverage::Coverage;
use sim::faults::Place;
use sim::life::{Report, run};

/// Seeds that run at once; `FOLLOWUPD_THREADS=n` says otherwise.
const THREADS: u64 = 2;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Runs seeds until `stop` says that it has seen enough.
fn seeds(seeds: std::ops::Range<u64>, planted: Planted, see: impl Fn(Report) + Sync) {
    let next = AtomicU64::new(seeds.start);
    std::thread::scope(|scope| {
        for _ in 0..number("FOLLOWUPD_THREADS").unwrap_or(THREADS) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    see(run(seed, planted));
                }
            });
        }
    });
}

/// A broken seed, for people: what it broke, and the part of its trace that is about it.
fn told(report: &Report) -> String {
    let first = &report.violations[0];
    let mut text = format!(
        "seed {} breaks {} (and {} more): {}\nrun it alone: FOLLOWUPD_SEED={} cargo test -p followupd-tests --test sim thousand\n",
        report.seed,
        first.name,
        report.violations.len() - 1,
        first.what,
        report.seed,
    );
    for violation in &report.violations[1..] {
        let what: String = violation.what.chars().take(160).collect();
        text.push_str(&format!("  {} {what}\n", violation.name));
    }
    for line in &report.excerpt {
        text.push_str("  ");
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[test]
fn a_thousand_seeds_hold_every_invariant() {
    if let Some(seed) = number("FOLLOWUPD_SEED") {
        let report = run(seed, Planted::default());
        report.trace.iter().for_each(|line| println!("{line}"));
        assert!(report.violations.is_empty(), "{}", told(&report));
        return;
    }
    let count = number("FOLLOWUPD_SEEDS").unwrap_or(1_000);
    let began = std::time::Instant::now();
    let (broken, coverage, calls) =
        (Mutex::new(Vec::new()), Mutex::new(Coverage::default()), AtomicU64::new(0));
    seeds(0..count, Planted::default(), |report| {
        coverage.lock().unwrap().add(&report.coverage);
        calls.fetch_add(report.calls as u64, Ordering::Relaxed);
        if !report.violations.is_empty() {
            broken.lock().unwrap().push(report);
        }
    });
    let (broken, coverage) = (broken.into_inner().unwrap(), coverage.into_inner().unwrap());
    println!("{count} seeds, {} calls, {:?}\n\n{}", calls.into_inner(), began.elapsed(), coverage.table());
    let mut which: Vec<u64> = broken.iter().map(|report: &Report| report.seed).collect();
    which.sort_unstable();
    println!("broken: {which:?}");
    let told: Vec<String> = broken.iter().take(5).map(told).collect();
    assert!(told.is_empty(), "{} of {count} seeds are broken\n{}", broken.len(), told.join("\n"));
    if count >= 1_000 {
        let places: Vec<String> = Place::all().into_iter().map(Place::word).collect();
        let missed = coverage.missed(20, &places);
        assert!(missed.is_empty(), "hit less than 20 times: {missed:#?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..6 {
        let (first, second) = (run(seed, Planted::default()), run(seed, Planted::default()));
        let differs = first.trace.iter().zip(&second.trace).position(|(a, b)| a != b);
        let show = differs.map(|at| (&first.trace[at], &second.trace[at]));
        assert_eq!(first.hash, second.hash, "E11: seed {seed} differs from line {differs:?} on: {show:?}");
    }
}

#[test]
fn every_planted_bug_is_found() {
    let (table, missed) = sim::planted::find_all();
    println!("{table}");
    assert!(missed.is_empty(), "no seed found {missed:?}\n{table}");
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config {
        cases: number("PROPTEST_CASES").unwrap_or(256) as u32,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        ..Default::default()
    })]

    #[test]
    fn a_lane_keeps_its_hours_and_pace_across_restarts_and_jumps(case in sim::pace::case()) {
        let (faults, calls) = sim::pace::play(&case);
        proptest::prop_assert!(faults.is_empty(), "E5, E6: {faults:#?}");
        proptest::prop_assert!(calls > 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_enrollment_that_cannot_be_rendered_is_quarantined_and_the_others_leave_on_time() {
    sim::quarantine::play().await;
}
