//! How fast one stream of contacts is enrolled, beside the bare store with the same rows.

use std::io;
use std::path::Path;

use blackbox::{dormant, row, table};

use crate::raw;

/// Enrolls, reads back what was written, writes the same rows into a bare store, and prints both rates.
///
/// # Errors
/// A store cannot be read or written.
pub(crate) fn measure(folder: &Path, contacts: usize) -> io::Result<()> {
    let daemon = dormant::start(folder);
    let took = dormant::enroll(&daemon, folder, contacts);
    let store = daemon.store().join("rows");
    daemon.stop();
    let rows = raw::read(&store)?;
    let bytes: usize = rows.iter().flatten().map(|(key, value)| key.len() + value.len()).sum();
    let bare = raw::write(&folder.join("bare"), &rows)?;
    let rate = |seconds: f64| format!("{:.0}", contacts as f64 / seconds);
    table::print(
        "one stream of enrolls, every answer synced",
        &[
            row!["contacts", contacts],
            row!["rows", rows.iter().map(Vec::len).sum::<usize>()],
            row!["bytes a contact", bytes / contacts.max(1)],
            row!["enrolled a second", rate(took.as_secs_f64())],
            row![format!("bare store, {} contacts a sync", raw::BATCH), rate(bare.as_secs_f64())],
            row![
                "share of the bare store",
                format!("{:.0} %", 100.0 * bare.as_secs_f64() / took.as_secs_f64())
            ],
        ],
    );
    Ok(())
}
