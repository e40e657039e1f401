//! What reads show: rows, versions, ranges.

use bytes::Bytes;

use super::{Case, Fixture, Opened, Outcome, TENANT, body, commit, key, other, put, row, rows, written};
use crate::keys::Table;
use crate::row::{Row, Version};
use crate::{Key, Scan};

pub(super) const CASES: &[Case] = &[
    Case { name: "a row is read as it was written", run: |fixture| Box::pin(as_written(fixture)) },
    Case { name: "rows are read in the order asked", run: |fixture| Box::pin(in_order(fixture)) },
    Case { name: "the version of a row only ever rises", run: |fixture| Box::pin(rising(fixture)) },
    Case { name: "rows and versions survive a reopening", run: |fixture| Box::pin(reopened(fixture)) },
    Case { name: "a scan goes in key order within its bounds", run: |fixture| Box::pin(scanned(fixture)) },
    Case { name: "a scan shows what its range holds now", run: |fixture| Box::pin(scanned_anew(fixture)) },
];

async fn as_written(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    let binary = Bytes::from((0..=255).collect::<Vec<u8>>());
    let mut first = put("ada", "hello");
    first.puts.push((key("empty"), Bytes::new()));
    first.puts.push((key("binary"), binary.clone()));
    let applied = written(&store, first).await?;
    for (name, body) in [("ada", Bytes::from_static(b"hello")), ("empty", Bytes::new()), ("binary", binary)] {
        let found = row(&store, key(name)).await?;
        ensure!(found == Some(Row { version: applied.version, body }), "{name} reads as {found:?}");
    }
    Ok(())
}

async fn in_order(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    written(&store, put("b", "2")).await?;
    written(&store, put("a", "1")).await?;
    let found = rows(&store, vec![key("b"), key("missing"), key("a"), key("b")]).await?;
    let bodies: Vec<_> = found.iter().map(|row| row.as_ref().map(|row| row.body.as_ref())).collect();
    ensure!(bodies == [Some(&b"2"[..]), None, Some(&b"1"[..]), Some(&b"2"[..])], "{found:?}");
    let none = rows(&store, Vec::new()).await?;
    ensure!(none.is_empty(), "asking for nothing gives {none:?}");
    Ok(())
}

async fn rising(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    let mut last = Version(0);
    for round in 0..4 {
        let applied = written(&store, put("ada", "again")).await?;
        ensure!(applied.version > last, "{:?} after {last:?} in round {round}", applied.version);
        last = applied.version;
        if round % 2 == 1 {
            let mut gone = commit();
            gone.deletes.push(key("ada"));
            last = written(&store, gone).await?.version.max(last);
            let found = row(&store, key("ada")).await?;
            ensure!(found.is_none(), "still there: {found:?}");
        }
    }
    Ok(())
}

async fn reopened(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    written(&store, put("gone", "x")).await?;
    let before = written(&store, put("ada", "hello")).await?;
    let mut gone = commit();
    gone.deletes.push(key("gone"));
    let deleted = written(&store, gone).await?;
    let store = fixture.reopen(store).await;
    let found = row(&store, key("ada")).await?;
    ensure!(found.as_ref().is_some_and(|row| row.version == before.version), "after reopening: {found:?}");
    ensure!(body(&store, "gone").await?.is_none(), "a deleted row is back");
    let after = written(&store, put("gone", "y")).await?;
    ensure!(after.version > deleted.version, "{after:?} was used before the reopening");
    Ok(())
}

/// The names of the contacts in a range.
async fn names(store: &Opened, from: Key, to: Key, limit: usize) -> Result<Vec<String>, String> {
    let found =
        store.scan(Scan { from, to, limit }).await.map_err(|error| format!("unreadable: {error:?}"))?;
    let start = Key::contact(super::SHARD, TENANT, "").as_bytes().len();
    Ok(found
        .into_iter()
        .map(|(key, _)| String::from_utf8_lossy(&key.as_bytes()[start..]).into_owned())
        .collect())
}

async fn scanned(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    for name in ["c", "a", "ab", "b", "d"] {
        written(&store, put(name, name)).await?;
    }
    // Neighbours that no scan of the contacts may show.
    let mut neighbours = commit();
    neighbours.puts.push((other(Table::Target, "a"), Bytes::new()));
    neighbours.puts.push((other(Table::Name, "a"), Bytes::new()));
    written(&store, neighbours).await?;
    let table = Key::table(Table::Contact, super::SHARD);
    let all = names(&store, table.clone(), table.after_prefix(), 100).await?;
    ensure!(all == ["a", "ab", "b", "c", "d"], "{all:?}");
    let half_open = names(&store, key("ab"), key("c"), 100).await?;
    ensure!(half_open == ["ab", "b"], "the first counts, the last does not: {half_open:?}");
    let next = names(&store, key("ab").successor(), key("c").successor(), 100).await?;
    ensure!(next == ["b", "c"], "{next:?}");
    let limited = names(&store, table.clone(), table.after_prefix(), 2).await?;
    ensure!(limited == ["a", "ab"], "{limited:?}");
    for (from, to, limit) in [("c", "c", 10), ("d", "a", 10), ("x", "z", 10), ("a", "z", 0)] {
        let none = names(&store, key(from), key(to), limit).await?;
        ensure!(none.is_empty(), "{from} to {to}, at most {limit}: {none:?}");
    }
    Ok(())
}

async fn scanned_anew(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    for name in ["a", "b", "c"] {
        written(&store, put(name, "old")).await?;
    }
    let mut change = put("c", "new");
    change.deletes.push(key("a"));
    let applied = written(&store, change).await?;
    let scan = Scan { from: key("a"), to: key("z"), limit: 10 };
    let found = store.scan(scan).await.map_err(|error| format!("unreadable: {error:?}"))?;
    let keys: Vec<_> = found.iter().map(|(key, _)| key.clone()).collect();
    ensure!(keys == [key("b"), key("c")], "{keys:?}");
    let last = found.last().map(|(_, row)| row.clone());
    let expected = Row { version: applied.version, body: Bytes::from_static(b"new") };
    ensure!(last.as_ref() == Some(&expected), "{last:?}");
    Ok(())
}
