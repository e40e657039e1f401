//! The embedded store against the suite, and against what only it can suffer.

use super::*;
use crate::commit::Class;
use crate::conformance::{self, Fixture, Opened};
use crate::keys::Table;
use bytes::Bytes;
use followupd_domain::{Shard, TenantNo};
use std::sync::atomic::Ordering::SeqCst;
use tempfile::TempDir;

/// Opens stores in folders that go with it.
#[derive(Default)]
struct Folders {
    folders: Vec<TempDir>,
    open: Option<Arc<Embedded>>,
}

impl Folders {
    fn open(&mut self) -> Opened {
        let path = self.folders.last().unwrap().path();
        let store = Arc::new(Embedded::open(path, options()).unwrap());
        self.open = Some(Arc::clone(&store));
        store
    }
}

impl Fixture for Folders {
    fn fresh(&mut self) -> BoxFuture<'_, Opened> {
        Box::pin(async {
            if let Some(open) = self.open.take() {
                open.close().await;
            }
            self.folders.push(TempDir::new().unwrap());
            self.open()
        })
    }

    fn reopen(&mut self, store: Opened) -> BoxFuture<'_, Opened> {
        Box::pin(async {
            drop(store);
            self.open.take().unwrap().close().await;
            self.open()
        })
    }
}

fn options() -> Options {
    Options { cache_bytes: 1 << 20, free_bytes_min: 1 }
}

fn key(name: &str) -> Key {
    Key::contact(Shard(0), TenantNo(1), name)
}

fn put(class: Class, name: &str) -> Commit {
    let mut commit = Commit::new(class, TenantNo(1), Shard(0));
    commit.puts.push((key(name), Bytes::from_static(b"body")));
    commit
}

async fn names(store: &Embedded) -> usize {
    let table = Key::table(Table::Contact, Shard(0));
    store.scan(Scan { from: table.clone(), to: table.after_prefix(), limit: 10_000 }).await.unwrap().len()
}

/// Commits until the store is open again.
async fn until_written(store: &Embedded, name: &str) -> Applied {
    loop {
        match store.commit(put(Class::Exit, name)).await {
            Ok(applied) => return applied,
            Err(Refused::Unavailable(_)) => tokio::time::sleep(limits::REOPEN_AFTER).await,
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn it_keeps_the_contract() {
    conformance::run(&mut Folders::default()).await.unwrap();
}

#[tokio::test]
async fn a_second_opening_of_the_folder_is_told_so() {
    let folder = TempDir::new().unwrap();
    let store = Embedded::open(folder.path(), options()).unwrap();
    let error = Embedded::open(folder.path(), options()).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error:?}");
    store.close().await;
    assert_eq!(store.health().state, State::Closed);
    assert!(Embedded::open(folder.path(), options()).is_ok());
}

#[tokio::test]
async fn a_store_that_was_never_wholly_made_is_made_anew() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("rows");
    let beside = folder.path().join("rows.new");
    std::fs::create_dir(&beside).unwrap();
    std::fs::write(beside.join("0.jnl"), [0; 64]).unwrap();
    let store = Embedded::open(&path, options()).unwrap();
    store.commit(put(Class::Enroll, "one")).await.unwrap();
    assert!(!beside.exists());
    store.close().await;
    let store = Embedded::open(&path, options()).unwrap();
    assert_eq!(names(&store).await, 1);
}

/// All rows of a snapshot.
async fn all(snapshot: &mut dyn Snapshot) -> Vec<(Key, Row)> {
    let mut all = Vec::new();
    loop {
        let piece = snapshot.next(100).await.unwrap();
        if piece.is_empty() {
            return all;
        }
        all.extend(piece);
    }
}

#[tokio::test]
async fn a_restored_store_has_the_rows_their_versions_and_higher_numbers() {
    let folder = TempDir::new().unwrap();
    let store = Embedded::open(folder.path().join("one"), options()).unwrap();
    for name in ["a", "b", "c"] {
        store.commit(put(Class::Enroll, name)).await.unwrap();
    }
    let mut snapshot = store.snapshot().await.unwrap();
    let (last, rows) = (snapshot.last(), all(&mut *snapshot).await);
    let other = folder.path().join("other");
    let given = rows.iter().cloned().map(Ok::<_, Error>);
    Embedded::restore(&other, &options(), given.clone(), last).unwrap();
    let restored = Embedded::open(&other, options()).unwrap();
    let mut snapshot = restored.snapshot().await.unwrap();
    assert_eq!((snapshot.last(), all(&mut *snapshot).await), (last, rows.clone()));
    let next = restored.commit(put(Class::Exit, "a")).await.unwrap();
    assert_eq!(next.version.0, last.0 + 1);
    restored.close().await;
    let taken = Embedded::restore(&other, &options(), given, last).unwrap_err();
    assert!(matches!(taken, OpenError::Taken { .. }), "{taken}");
}

#[tokio::test]
async fn a_restore_that_cannot_go_on_leaves_no_store() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("rows");
    let row = Row { version: Version(1), body: Bytes::new() };
    let rows = [Ok((key("a"), row)), Err("the disk is gone")];
    let failed = Embedded::restore(&path, &options(), rows.into_iter(), Version(1)).unwrap_err();
    assert!(matches!(failed, OpenError::Filling { .. }), "{failed}");
    assert!(!path.exists());
}

#[tokio::test]
async fn a_snapshot_keeps_no_database_from_closing() {
    let folder = TempDir::new().unwrap();
    let store = Embedded::open(folder.path(), options()).unwrap();
    store.commit(put(Class::Enroll, "a")).await.unwrap();
    let mut snapshot = store.snapshot().await.unwrap();
    store.close().await;
    assert!(matches!(snapshot.next(1).await, Err(Error::Unavailable(_))));
    assert!(Embedded::open(folder.path(), options()).is_ok());
}

#[tokio::test]
async fn a_torn_journal_opens_with_what_was_acknowledged() {
    let folder = TempDir::new().unwrap();
    let store = Embedded::open(folder.path(), options()).unwrap();
    for name in ["one", "two"] {
        store.commit(put(Class::Enroll, name)).await.unwrap();
    }
    store.close().await;
    let journal = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let journal = journal.filter(|path| path.extension().is_some_and(|end| end == "jnl")).max().unwrap();
    let mut bytes = std::fs::read(&journal).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[end - 30] ^= 1;
    std::fs::write(&journal, bytes).unwrap();
    let store = Embedded::open(folder.path(), options()).unwrap();
    let rows = store.get(vec![key("one"), key("two")]).await.unwrap();
    assert!(rows[0].is_some() && rows[1].is_none());
}

#[tokio::test]
async fn a_closed_store_refuses_and_what_waited_was_written() {
    let folder = TempDir::new().unwrap();
    let store = Embedded::open(folder.path(), options()).unwrap();
    let names: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let commits = futures::future::join_all(names.iter().map(|name| store.commit(put(Class::Enroll, name))));
    let (outcomes, ()) = futures::future::join(commits, store.close()).await;
    let written = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(written, 100, "all were handed over before the close");
    assert!(matches!(store.commit(put(Class::Exit, "late")).await, Err(Refused::Unavailable(_))));
    assert!(matches!(store.get(vec![key("1")]).await, Err(Error::Unavailable(_))));
    let store = Embedded::open(folder.path(), options()).unwrap();
    assert_eq!(self::names(&store).await, 100);
}

#[tokio::test]
async fn a_write_that_failed_halfway_is_unknown_and_the_store_recovers() {
    let folder = TempDir::new().unwrap();
    let store = Embedded::open(folder.path(), options()).unwrap();
    let before = store.commit(put(Class::Event, "before")).await.unwrap();
    store.shared.faults.fail_after_write.store(true, SeqCst);
    store.shared.faults.fail_opens.store(2, SeqCst);
    assert!(matches!(store.commit(put(Class::Event, "doubt")).await, Err(Refused::Unknown)));
    let after = until_written(&store, "after").await;
    let health = store.health();
    assert_eq!((health.state, health.reopened), (State::Ready, 1));
    assert!(store.get(vec![key("doubt")]).await.unwrap()[0].is_some(), "it was in the journal");
    assert!(after.version.0 > before.version.0 + 1, "a number that may be on disk is not used again");
}

#[tokio::test]
async fn a_write_that_never_began_is_unavailable_and_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let store = Embedded::open(folder.path(), options()).unwrap();
    store.shared.faults.fail_before_write.store(true, SeqCst);
    assert!(matches!(store.commit(put(Class::Event, "lost")).await, Err(Refused::Unavailable(_))));
    until_written(&store, "after").await;
    assert!(store.get(vec![key("lost")]).await.unwrap()[0].is_none());
}

#[tokio::test]
async fn a_store_that_is_being_reopened_can_be_closed() {
    let folder = TempDir::new().unwrap();
    let store = Embedded::open(folder.path(), options()).unwrap();
    store.shared.faults.fail_before_write.store(true, SeqCst);
    store.shared.faults.fail_opens.store(u32::MAX, SeqCst);
    assert!(store.commit(put(Class::Event, "lost")).await.is_err());
    assert!(matches!(store.commit(put(Class::Exit, "x")).await, Err(Refused::Unavailable(_))));
    store.close().await;
    assert!(Embedded::open(folder.path(), options()).is_ok());
}

#[tokio::test]
async fn a_nearly_full_disk_still_takes_exits_and_outcomes() {
    let folder = TempDir::new().unwrap();
    let store = Embedded::open(folder.path(), Options { free_bytes_min: u64::MAX, ..options() }).unwrap();
    store.commit(put(Class::Exit, "first")).await.unwrap();
    assert_eq!(store.health().disk, Disk::Critical);
    for class in Class::ALL {
        let outcome = store.commit(put(class, "row")).await;
        let taken = matches!(class, Class::Exit | Class::Outcome);
        assert_eq!(outcome.is_ok(), taken, "{class:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_store_of_a_newer_format_is_left_alone() {
    let folder = TempDir::new().unwrap();
    Embedded::open(folder.path(), options()).unwrap().close().await;
    {
        let database = fjall::Database::builder(folder.path()).open().unwrap();
        let rows = database.keyspace("rows", fjall::KeyspaceCreateOptions::default).unwrap();
        rows.insert([0], [&9_u32.to_be_bytes()[..], &[0; 8]].concat()).unwrap();
    }
    let error = Embedded::open(folder.path(), options()).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 9, .. }), "{error:?}");
}

#[tokio::test]
async fn commits_that_wait_together_share_a_sync_and_are_counted_by_class() {
    let folder = TempDir::new().unwrap();
    let store = Embedded::open(folder.path(), options()).unwrap();
    let before = store.stats();
    let names: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    let enrolls = names.iter().map(|name| store.commit(put(Class::Enroll, name)));
    assert!(futures::future::join_all(enrolls).await.iter().all(Result::is_ok));
    let stats = store.stats().since(&before);
    assert!(stats.groups < 100, "{stats:?}");
    let enrolls = stats.class(Class::Enroll);
    assert_eq!((enrolls.commits, enrolls.puts, enrolls.deletes, enrolls.refused), (300, 300, 0, 0));
    assert!(stats.write_us > 0 && stats.write_us_max <= stats.write_us);
}

/// A store whose memtables and journals turn over many times holds everything, also after reopening.
#[tokio::test]
async fn a_store_larger_than_its_memory_is_whole_after_reopening() {
    let folder = TempDir::new().unwrap();
    let store = Embedded::open(folder.path(), options()).unwrap();
    let mut noise = 1_u64;
    for round in 0..100 {
        let mut commit = Commit::new(Class::Event, TenantNo(1), Shard(0));
        for n in 0..1_000 {
            let body: Vec<u8> = std::iter::repeat_with(|| {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (noise >> 56) as u8
            })
            .take(1_000)
            .collect();
            commit.puts.push((key(&format!("{round}-{n}")), body.into()));
        }
        store.commit(commit).await.unwrap();
    }
    store.close().await;
    let store = Embedded::open(folder.path(), options()).unwrap();
    let table = Key::table(Table::Contact, Shard(0));
    let all =
        store.scan(Scan { from: table.clone(), to: table.after_prefix(), limit: usize::MAX }).await.unwrap();
    assert_eq!(all.len(), 100_000);
    let found = store.get(vec![key("99-999"), key("0-0"), key("100-0")]).await.unwrap();
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false]);
}
