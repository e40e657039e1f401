//! The bare store: fjall alone, with the rows that a daemon has written.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use fjall::{KeyspaceCreateOptions, PersistMode};
use followupd_domain::{Shard, TenantNo, route};
use followupd_store::embedded::{Embedded, Options};
use followupd_store::keys::Table;
use followupd_store::{Key, Scan, Store, limits};

/// Contacts written with one sync.
pub(crate) const BATCH: usize = 1_000;

/// A row's key and value.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// Rows of a page of a scan.
const PAGE: usize = 50_000;

/// The rows of the first tenant's enrollments, by contact: record, contact, wake.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn read(store: &Path) -> io::Result<Vec<Vec<Pair>>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let store = Embedded::open(store, Options::default()).map_err(io::Error::other)?;
    runtime.block_on(async {
        let shard = first_shard(&store).await?;
        let mut tables = Vec::new();
        for table in [Table::Enrollment, Table::Contact, Table::Wake] {
            tables.push(rows(&store, table, shard).await?);
        }
        store.close().await;
        let contacts = tables.first().map_or(0, Vec::len);
        let mut tables: Vec<_> = tables.into_iter().map(Vec::into_iter).collect();
        // Each table is in the order of enrolling, or near it.
        Ok((0..contacts).map(|_| tables.iter_mut().filter_map(Iterator::next).collect()).collect())
    })
}

/// The shard of the first tenant that has enrollments.
async fn first_shard(store: &Embedded) -> io::Result<Shard> {
    for tenant in 0..16 {
        let shard = route(TenantNo(tenant), "");
        let from = Key::table(Table::Enrollment, shard);
        let found = store.scan(Scan { to: from.after_prefix(), from, limit: 1 }).await;
        if !found.map_err(io::Error::other)?.is_empty() {
            return Ok(shard);
        }
    }
    Err(io::Error::other("the store has no enrollments"))
}

async fn rows(store: &Embedded, table: Table, shard: Shard) -> io::Result<Vec<Pair>> {
    let begin = Key::table(table, shard);
    let (mut from, to) = (begin.clone(), begin.after_prefix());
    let mut rows = Vec::new();
    loop {
        let scan = Scan { from, to: to.clone(), limit: PAGE };
        let page = store.scan(scan).await.map_err(io::Error::other)?;
        let Some((last, _)) = page.last() else { return Ok(rows) };
        from = last.successor();
        // The store keeps a version of eight bytes before each body.
        let pair = |(key, row): &(Key, followupd_store::Row)| {
            (key.as_bytes().to_vec(), [&row.version.0.to_be_bytes()[..], &row.body].concat())
        };
        rows.extend(page.iter().map(pair));
    }
}

/// Writes rows into a new database, [`BATCH`] contacts a sync; tells how long it took.
///
/// # Errors
/// It cannot be written.
pub(crate) fn write(folder: &Path, contacts: &[Vec<Pair>]) -> io::Result<Duration> {
    let database = fjall::Database::builder(folder)
        .cache_size(limits::CACHE_BYTES as u64)
        .max_journaling_size(limits::JOURNAL_BYTES as u64)
        .worker_threads(limits::WORKERS)
        .open()
        .map_err(io::Error::other)?;
    let options = || KeyspaceCreateOptions::default().max_memtable_size(limits::MEMTABLE_BYTES as u64);
    let keyspace = database.keyspace("rows", options).map_err(io::Error::other)?;
    let began = Instant::now();
    for batch in contacts.chunks(BATCH) {
        let mut writes = database.batch().durability(Some(PersistMode::SyncData));
        for (key, value) in batch.iter().flatten() {
            writes.insert(&keyspace, key.as_slice(), value.as_slice());
        }
        writes.commit().map_err(io::Error::other)?;
    }
    Ok(began.elapsed())
}
