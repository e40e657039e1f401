//! Durability: no answer leaves before the sync that covers it, and whatever moment the power fails at, the store
//! opens and holds everything that was acknowledged.
//!
//! The first is watched on the daemon as it ships, under strace. For the second its writes to the store's folder are
//! recorded, played onto a simulated disk that forgets at random what was not synced, and the store is opened on what
//! is left. Needs `strace`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod durability {
    pub(crate) mod acks;
    pub(crate) mod check;
    pub(crate) mod disk;
    pub(crate) mod order;
    pub(crate) mod recording;
    pub(crate) mod trace;
}

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use blackbox::daemon::Daemon;
use blackbox::seed::Seed;
use blackbox::{row, table};

use durability::{acks, check, disk, order, recording, trace};

/// How many random moments the power fails at.
const CUTS: usize = 1_000;

/// Every tenth of them lies among so many first places, where the store is being made.
const BEGINNING: u64 = 400;

/// Stores that are opened at once.
const OPENERS: usize = 2;

#[test]
fn no_answer_leaves_before_the_sync_that_covers_it() {
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().join("strace");
    let calls = "read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,pwrite64,fsync,fdatasync";
    let daemon = Daemon::start_under(trace::options(calls, 64, &written), folder.path());
    let asked = order::ask_one_after_another(&daemon);
    daemon.stop();
    let watched = order::check(&trace::read(&written));
    let rows = [row!["calls", watched.answers], row!["journal writes before their answers", watched.writes]];
    table::print("answers and the syncs that cover them", &rows);
    assert_eq!(watched.answers, asked);
}

#[test]
fn a_power_cut_at_any_moment_loses_nothing_that_was_acknowledged() {
    let mut seed = Seed::of_this_run();
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().join("strace");
    let daemon = Daemon::start_under(trace::options(recording::CALLS, 16 << 20, &written), folder.path());
    let acks = acks::make(&daemon, seed.draw());
    let store = daemon.store();
    daemon.stop();

    let recording = recording::read(&trace::read(&written), &store, &acks);
    std::fs::remove_file(&written).unwrap();
    let began = Instant::now();
    let until = |cut: usize| if cut.is_multiple_of(10) { BEGINNING } else { recording.last as u64 + 1 };
    let mut places: Vec<usize> = (0..CUTS).map(|cut| seed.below(until(cut)) as usize).collect();
    places.sort_unstable();
    let (checked, held) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let findings: Vec<String> = std::thread::scope(|scope| {
        let openers: Vec<_> = (0..OPENERS)
            .map(|first| {
                let places: Vec<usize> = places.iter().skip(first).step_by(OPENERS).copied().collect();
                let (mut chance, recording, checked, held) = (seed.fork(), &recording, &checked, &held);
                scope.spawn(move || {
                    let mut disk = disk::Disk::default();
                    let mut findings = Vec::new();
                    for place in places {
                        disk.play(&recording.ops, place);
                        let acks = recording.acks.iter().filter(|(at, _)| *at < place).map(|(_, ack)| ack);
                        match check::check(&disk, place, &mut chance, acks) {
                            Ok(holds) => held.fetch_add(holds, Relaxed),
                            Err(finding) => {
                                findings.push(format!("cut at {place} of {}: {finding}", recording.last));
                                0
                            }
                        };
                        checked.fetch_add(1, Relaxed);
                    }
                    findings
                })
            })
            .collect();
        openers.into_iter().flat_map(|opener| opener.join().unwrap()).collect()
    });
    table::print(
        "power cuts",
        &[
            row!["writes, syncs and names recorded", recording.ops.len()],
            row!["MiB written", recording.bytes >> 20],
            row!["tables written", recording.tables],
            row!["acknowledged", recording.acks.len()],
            row!["cuts", checked.into_inner()],
            row!["acknowledged things looked for and found", held.into_inner()],
            row!["findings", findings.len()],
            row!["seconds", began.elapsed().as_secs()],
        ],
    );
    let shown: Vec<&String> = findings.iter().take(10).collect();
    assert!(findings.is_empty(), "{} findings, the first: {shown:#?}", findings.len());
    assert!(recording.tables > 0, "no table was written: the workload is too small to show that it is safe");
}
