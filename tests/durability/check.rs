//! Opens the store on what a power cut left, and looks for what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use blackbox::seed::Seed;
use followupd_domain::decision::Entry;
use followupd_domain::enrollment::Enrollment;
use followupd_domain::event::EventKey;
use followupd_domain::{Shard, TenantNo, invariant};
use followupd_store::codec::{self, Format};
use followupd_store::embedded::{Embedded, Options};
use followupd_store::keys::Table;
use followupd_store::{Key, Row, Scan, Store};
use serde::Deserialize;

use crate::durability::acks::Ack;
use crate::durability::disk::Disk;

/// An enrollment's row, as the runtime writes it.
#[derive(Debug, Deserialize)]
struct Record {
    enrollment: Enrollment,
    _spilled: u32,
    _history: Vec<Entry>,
}

/// The rows that matter here.
struct Rows {
    enrollments: BTreeMap<String, Record>,
    keys: BTreeSet<Key>,
}

/// Opens what a cut at this place leaves, and looks for everything acknowledged; tells how many things it found.
pub(crate) fn check<'a>(
    disk: &Disk,
    place: usize,
    chance: &mut Seed,
    acks: impl Iterator<Item = &'a Ack>,
) -> Result<usize, String> {
    let folder = folder();
    disk.after_a_cut(folder.path(), chance);
    let store = Embedded::open(folder.path().join("rows"), options())
        .map_err(|error| format!("it does not open: {error} {:?}", std::error::Error::source(&error)))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let rows = read(&store).await;
        store.close().await;
        let rows = rows?;
        consistent(&rows)?;
        acks.map(|ack| holds(&rows, ack).map_err(|what| format!("{what} at {place}"))).sum()
    })
}

/// A place in memory where there is one: a thousand stores are written here.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.unwrap()
}

fn options() -> Options {
    Options { free_bytes_min: 0, ..Options::default() }
}

async fn read(store: &Embedded) -> Result<Rows, String> {
    let mut rows = Rows { enrollments: BTreeMap::new(), keys: BTreeSet::new() };
    let shard = followupd_domain::route(tenant(store).await?, "");
    for table in [Table::Enrollment, Table::Contact, Table::Event, Table::Wake] {
        for (key, row) in scan(store, table, shard).await? {
            if table == Table::Enrollment {
                let record: Record = codec::decode(Format::Enrollment, &row.body)
                    .map_err(|error| format!("an enrollment is damaged: {error}"))?;
                rows.enrollments.insert(record.enrollment.id.to_string(), record);
            }
            rows.keys.insert(key);
        }
    }
    Ok(rows)
}

/// The number of the one tenant; before it was put, that of the first one there can be.
async fn tenant(store: &Embedded) -> Result<TenantNo, String> {
    let names = scan(store, Table::Name, followupd_store::keys::SYSTEM).await?;
    let Some((_, row)) = names.first() else { return Ok(TenantNo(0)) };
    codec::decode(Format::Name, &row.body).map_err(|error| format!("a name is damaged: {error}"))
}

async fn scan(store: &Embedded, table: Table, shard: Shard) -> Result<Vec<(Key, Row)>, String> {
    let from = Key::table(table, shard);
    let scan = Scan { to: from.after_prefix(), from, limit: usize::MAX };
    store.scan(scan).await.map_err(|error| format!("it cannot be read: {error}"))
}

/// Rows that were written together are there together: every wake is that of an enrollment, and the reverse.
fn consistent(rows: &Rows) -> Result<(), String> {
    let states = || rows.enrollments.values().map(|record| &record.enrollment);
    if let Some(state) = states().find(|state| !invariant::e1_one_wake(state)) {
        return Err(format!("E1: {state:?}"));
    }
    let wanted: BTreeSet<Key> =
        states().filter_map(Enrollment::wake_row).map(|wake| Key::wake(&wake)).collect();
    let there: BTreeSet<Key> = rows.keys.iter().filter(|key| key.to_wake().is_some()).cloned().collect();
    if wanted != there {
        let odd = wanted.symmetric_difference(&there).count();
        return Err(format!("E9: {odd} wakes without their enrollment, or the reverse"));
    }
    Ok(())
}

/// Whether what was acknowledged is there; how many things that is.
fn holds(rows: &Rows, ack: &Ack) -> Result<usize, String> {
    match ack {
        Ack::Enrolled(enrolled) => {
            for (contact, id) in enrolled {
                let record =
                    rows.enrollments.get(id).ok_or_else(|| format!("{id} was acknowledged and is lost"))?;
                let (tenant, shard) = (record.enrollment.tenant, record.enrollment.id.shard());
                if !rows.keys.contains(&Key::contact(shard, tenant, contact)) {
                    return Err(format!("{contact} was acknowledged and is lost"));
                }
            }
            Ok(enrolled.len())
        }
        Ack::Over(id) => over(rows, id),
        Ack::TakenIn(event) => taken_in(rows, event),
        Ack::Replied(id, event) => Ok(over(rows, id)? + taken_in(rows, event)?),
    }
}

fn over(rows: &Rows, id: &str) -> Result<usize, String> {
    let over = rows.enrollments.get(id).is_some_and(|record| record.enrollment.state.is_over());
    if over { Ok(1) } else { Err(format!("the end of {id} was acknowledged and is lost")) }
}

fn taken_in(rows: &Rows, event: &str) -> Result<usize, String> {
    let first = rows.enrollments.values().next().map(|record| &record.enrollment);
    let (tenant, shard) = first.map_or((TenantNo(0), Shard(0)), |state| (state.tenant, state.id.shard()));
    let key = EventKey { source: "inbox".to_owned(), id: event.to_owned() };
    if rows.keys.contains(&Key::event(shard, tenant, &key)) {
        return Ok(1);
    }
    Err(format!("the event {event} was acknowledged and is lost"))
}
