//! Webhooks that come again and again, as figures.

use std::io;
use std::path::Path;

use blackbox::repeats;

use crate::figures::{Figures, quantile};

/// What each kind's figures are called by programs, in the order they are told in.
const KEYS: [[&str; 2]; 5] = [
    ["replies_per_s", "reply_p99_ms"],
    ["receipts_per_s", "receipt_p99_ms"],
    ["erased_per_s", "erased_p99_ms"],
    ["others_per_s", "others_p99_ms"],
    ["forged_per_s", "forged_p99_ms"],
];

/// Tells so many webhooks together.
///
/// # Errors
/// Something was taken more than once, or cost memory or rows.
pub(crate) fn measure(folder: &Path, requests: usize) -> io::Result<Figures> {
    let measured = repeats::measure(folder, requests);
    let all = measured.told.iter().map(|told| told.times).sum();
    let mut figures = Figures::new("webhooks that come again");
    figures.count("told again", "requests", all);
    for (told, keys) in measured.told.iter().zip(KEYS) {
        figures.rate(&format!("{}, a second", told.what), keys[0], told.times, told.took);
        figures.ms("  p99, ms", keys[1], quantile(&told.each, 990));
    }
    figures.cpu("cpu_s_per_1000", all, measured.cpu);
    figures.number("growth of memory, MiB", "growth_mib", measured.growth_mib, 1);
    figures.count("growth of the store, bytes", "store_growth", measured.store_bytes);
    figures.count("rows written", "rows", measured.rows as usize);
    let findings = measured.findings();
    if findings.is_empty() {
        return Ok(figures);
    }
    figures.print(false);
    Err(io::Error::other(findings.join("; ")))
}
