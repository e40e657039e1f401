//! How fast one stream of contacts is enrolled, beside the bare store with the same rows.

use std::io;
use std::path::Path;

use blackbox::dormant;

use crate::figures::Figures;
use crate::raw;

/// Enrolls, reads back what was written, and writes the same rows into a bare store.
///
/// # Errors
/// A store cannot be read or written.
pub(crate) fn measure(folder: &Path, contacts: usize) -> io::Result<Figures> {
    let daemon = dormant::start(folder);
    let before = daemon.cpu();
    let took = dormant::enroll(&daemon, folder, contacts);
    let cpu = daemon.cpu().saturating_sub(before);
    let store = daemon.store().join("rows");
    daemon.stop();
    let rows = raw::read(&store)?;
    let bytes: usize = rows.iter().flatten().map(|(key, value)| key.len() + value.len()).sum();
    let bare = raw::write(&folder.join("bare"), &rows)?;
    let mut figures = Figures::new("A: one stream of enrolls, every answer synced");
    figures.count("contacts", "contacts", contacts);
    figures.count("rows", "rows", rows.iter().map(Vec::len).sum());
    figures.count("bytes a contact", "bytes_per_contact", bytes / contacts.max(1));
    figures.rate("enrolled a second", "enrolls_per_s", contacts, took);
    figures.cpu("cpu_s_per_1000", contacts, cpu);
    figures.rate("bare store, 1,000 contacts a sync, a second", "bare_store_per_s", contacts, bare);
    let share = 100.0 * bare.as_secs_f64() / took.as_secs_f64();
    figures.number("share of the bare store, %", "share_percent", share, 0);
    Ok(figures)
}
