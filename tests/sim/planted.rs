//! Bugs that are planted on purpose, and the invariant by which each is found.

use std::fmt::Write as _;

use followupd_runtime::plant::{Bug, Planted};

use super::life::run;

/// Seeds that each bug has to be found within.
const SEEDS: u64 = 60;

/// The bugs, and the invariants that find them.
const FOUND_BY: [(Bug, &[&str]); 17] = [
    (Bug::CallBeforeCommit, &["E7"]),
    (Bug::NoExitCheck, &["E8", "E9", "E13", "E16"]),
    (Bug::WakeForgottenOnExit, &["E9"]),
    (Bug::WakeStillCounted, &["E9"]),
    (Bug::UniqueKeyKept, &["E9"]),
    (Bug::HoursEndInclusive, &["E5"]),
    (Bug::PermitAfterRestart, &["E6"]),
    (Bug::ReceiptMovesBack, &["E9"]),
    (Bug::NoContactExpectation, &["E8"]),
    (Bug::SendNotNoted, &["E6"]),
    (Bug::DoubtCalledAgain, &["E3"]),
    (Bug::AccountNotCharged, &["E6"]),
    (Bug::RecipientGapIgnored, &["E6"]),
    (Bug::ProviderHoldIgnored, &["E8"]),
    (Bug::ThrottleIgnored, &["E6"]),
    (Bug::BounceForgotten, &["E8"]),
    (Bug::EngineTimeIsWall, &["E6"]),
];

/// Runs seeds with each bug until its invariant fails; the table, and the bugs that no seed found.
pub(crate) fn find_all() -> (String, Vec<Bug>) {
    let mut table = format!("{:<24}{:<12}{:>6}\n", "bug", "found by", "seeds");
    let mut missed = Vec::new();
    let found: Vec<(Bug, Option<(u64, Vec<&str>)>)> = std::thread::scope(|scope| {
        let halves = FOUND_BY.chunks(FOUND_BY.len() / 2);
        let running: Vec<_> = halves
            .map(|bugs| {
                scope.spawn(|| bugs.iter().map(|(bug, by)| (*bug, find(*bug, by))).collect::<Vec<_>>())
            })
            .collect();
        running.into_iter().flat_map(|half| half.join().unwrap()).collect()
    });
    for (bug, found) in found {
        let (seed, names) = match &found {
            Some((seed, names)) => ((seed + 1).to_string(), names.join(", ")),
            None => ("-".to_owned(), "nothing".to_owned()),
        };
        let _ = writeln!(table, "{:<24}{names:<12}{seed:>6}", format!("{bug:?}"));
        missed.extend(found.is_none().then_some(bug));
    }
    (table, missed)
}

/// The first seed that breaks one of these invariants, and not without the bug; and all the invariants it breaks.
fn find(bug: Bug, by: &[&str]) -> Option<(u64, Vec<&'static str>)> {
    (0..SEEDS).find_map(|seed| {
        let names = broken(seed, Planted::bug(bug));
        let found = |names: &[&str]| names.iter().any(|name| by.contains(name));
        (found(&names) && !found(&broken(seed, Planted::default()))).then_some((seed, names))
    })
}

/// The invariants that a seed breaks.
fn broken(seed: u64, planted: Planted) -> Vec<&'static str> {
    let report = run(seed, planted);
    let mut names: Vec<&'static str> = report.violations.iter().map(|violation| violation.name).collect();
    names.sort_unstable();
    names.dedup();
    names
}
