//! Metrics that are read when they are asked for: engine, store and process count for themselves.

use std::fmt;
use std::sync::Arc;

use followupd_runtime::Engine;
use followupd_runtime::stats::{ENROLLS, LATENESS_MS, OUTCOMES, Stats};
use followupd_store::Class;
use followupd_store::embedded::Embedded;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Engine and store.
pub(crate) struct Tree {
    /// The engine.
    pub(crate) engine: Engine,
    /// Its store.
    pub(crate) store: Arc<Embedded>,
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tree")
    }
}

impl Collector for Tree {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let stats = self.engine.stats();
        work(&mut encoder, &stats)?;
        lateness(&mut encoder, &stats)?;
        gauge(&mut encoder, "live_enrollments", "Enrollments that are an actor", stats.live_enrollments)?;
        gauge(&mut encoder, "live_lanes", "Lanes that are an actor", stats.live_lanes)?;
        let behind = u64::try_from(self.engine.behind().0).unwrap_or_default();
        let help = "How long the lane most behind should have looked at its due rows";
        gauge(&mut encoder, "lanes_behind_milliseconds", help, behind)?;
        self.written(&mut encoder)
    }
}

impl Tree {
    /// What the store has written, by class of commit.
    fn written(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (stats, health) = (self.store.stats(), self.store.health());
        let by_class = |encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, count: fn(_) -> u64| {
            let rows = Class::ALL.map(|class| ([("class", word(class))], count(stats.class(class))));
            counters(encoder, name, help, &rows)
        };
        by_class(encoder, "commits", "Commits written, by class", |class| class.commits)?;
        by_class(encoder, "commits_refused", "Commits refused, by class", |class| class.refused)?;
        by_class(encoder, "rows_put", "Rows put, by class of commit", |class| class.puts)?;
        by_class(encoder, "rows_deleted", "Rows deleted, by class of commit", |class| class.deletes)?;
        by_class(encoder, "bytes_put", "Bytes of keys and rows put, by class of commit", |class| {
            class.bytes
        })?;
        counter(encoder, "commit_groups", "Groups of commits written, a sync each", stats.groups)?;
        let help = "Time spent writing and syncing groups, in microseconds";
        counter(encoder, "commit_group_microseconds", help, stats.write_us)?;
        let help = "The longest of these, in microseconds";
        gauge(encoder, "commit_group_microseconds_max", help, stats.write_us_max)?;
        counter(encoder, "store_reopened", "Times the store was opened again", health.reopened)?;
        match health.free_bytes {
            Some(free) => gauge(encoder, "store_free_bytes", "Free bytes of the store's disk", free),
            None => Ok(()),
        }
    }
}

/// What was enrolled, activated and sent.
fn work(encoder: &mut DescriptorEncoder<'_>, stats: &Stats) -> Result<(), fmt::Error> {
    let mut enrolls = Vec::with_capacity(ENROLLS.len());
    for (outcome, count) in ENROLLS.iter().zip(stats.enrolls) {
        enrolls.push(([("outcome", *outcome)], count));
    }
    counters(encoder, "enrolls", "Wishes to enroll, by outcome", &enrolls)?;
    let mut sends = Vec::with_capacity(stats.sends.len() * OUTCOMES.len());
    for of_kind in &stats.sends {
        for (outcome, count) in OUTCOMES.iter().zip(of_kind.by_outcome) {
            sends.push(([("kind", of_kind.kind.word()), ("outcome", *outcome)], count));
        }
    }
    counters(encoder, "sends", "Calls of transports, by kind of channel and outcome", &sends)?;
    counter(encoder, "activations", "Enrollments that became an actor", stats.activations)
}

fn lateness(encoder: &mut DescriptorEncoder<'_>, stats: &Stats) -> Result<(), fmt::Error> {
    let ends = LATENESS_MS.iter().map(|ms| seconds(*ms)).chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = ends.zip(stats.lateness).collect();
    let help = "How late wakes were pulled, counted from when they were due";
    let mut encoder = encoder.encode_descriptor("lateness_seconds", help, None, MetricType::Histogram)?;
    let count = stats.lateness.iter().sum();
    encoder.encode_histogram::<NoLabelSet>(seconds(stats.lateness_ms_sum), count, &buckets, None)
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floats; a millisecond in 2^53 does not matter")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

type Labelled<const N: usize> = ([(&'static str, &'static str); N], u64);

fn counters<const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    rows: &[Labelled<N>],
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, count) in rows {
        ConstCounter::new(*count).encode(family.encode_family(labels)?)?;
    }
    Ok(())
}

fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    count: u64,
) -> Result<(), fmt::Error> {
    ConstCounter::new(count).encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> Result<(), fmt::Error> {
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

fn word(class: Class) -> &'static str {
    match class {
        Class::Exit => "exit",
        Class::Outcome => "outcome",
        Class::Intent => "intent",
        Class::Event => "event",
        Class::Enroll => "enroll",
    }
}

/// The process as its kernel sees it.
#[derive(Debug)]
pub(crate) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        // Only Linux says so; elsewhere there is no such metric.
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        match kib {
            Some(kib) => {
                let help = "Memory that is in use";
                gauge(&mut encoder, "process_resident_memory_bytes", help, kib.saturating_mul(1_024))
            }
            None => Ok(()),
        }
    }
}
