//! What a snapshot shows: every row of every commit up to one, and nothing of what comes after it.

use super::{Case, Fixture, Opened, Outcome, commit, count, key, put, row, stale, written};
use crate::row::Row;
use crate::{Key, Snapshot};

pub(super) const CASES: &[Case] = &[
    Case { name: "a snapshot shows every row in key order", run: |fixture| Box::pin(whole(fixture)) },
    Case { name: "a snapshot shows nothing that comes after it", run: |fixture| Box::pin(as_of(fixture)) },
    Case { name: "a snapshot knows its last commit", run: |fixture| Box::pin(numbered(fixture)) },
];

async fn begun(store: &Opened) -> Result<Box<dyn Snapshot>, String> {
    store.snapshot().await.map_err(|error| format!("no snapshot: {error:?}"))
}

/// All that is left of a snapshot, and in how many pieces it came.
async fn rest(snapshot: &mut dyn Snapshot, bytes: usize) -> Result<(Vec<(Key, Row)>, usize), String> {
    let (mut all, mut pieces) = (Vec::new(), 0);
    loop {
        let piece = snapshot.next(bytes).await.map_err(|error| format!("unreadable: {error:?}"))?;
        if piece.is_empty() {
            return Ok((all, pieces));
        }
        pieces += 1;
        all.extend(piece);
    }
}

async fn whole(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    let (none, _) = rest(&mut *begun(&store).await?, 100).await?;
    ensure!(none.is_empty(), "an empty store shows {none:?}");
    let mut expected = Vec::new();
    for n in 0..40 {
        let name = format!("c{n:02}");
        written(&store, put(&name, "a body of some length")).await?;
        expected.push((key(&name), row(&store, key(&name)).await?));
    }
    for bytes in [1, 200, 1 << 20] {
        let (all, pieces) = rest(&mut *begun(&store).await?, bytes).await?;
        let found: Vec<_> = all.into_iter().map(|(key, row)| (key, Some(row))).collect();
        ensure!(found == expected, "in pieces of {bytes}: {found:?}");
        let wanted = if bytes == 1 { 40..=40 } else { 1..=39 };
        ensure!(wanted.contains(&pieces), "{pieces} pieces of {bytes} bytes");
    }
    Ok(())
}

async fn as_of(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    for name in ["a", "b", "c", "d"] {
        written(&store, put(name, "old")).await?;
    }
    let mut moved = commit();
    moved.counts.push(count("sent", 1));
    written(&store, moved.clone()).await?;
    let (before, _) = rest(&mut *begun(&store).await?, 1 << 20).await?;
    let mut snapshot = begun(&store).await?;
    let first = snapshot.next(1).await.map_err(|error| format!("unreadable: {error:?}"))?;
    let mut change = put("c", "new");
    change.puts.push((key("bb"), "new".into()));
    change.deletes.push(key("d"));
    written(&store, change).await?;
    written(&store, moved).await?;
    let (later, _) = rest(&mut *snapshot, 1).await?;
    let found: Vec<_> = first.into_iter().chain(later).collect();
    ensure!(found == before, "{found:?}, not {before:?}");
    let (now, _) = rest(&mut *begun(&store).await?, 1 << 20).await?;
    ensure!(now != before, "a later snapshot shows what came after the first");
    Ok(())
}

async fn numbered(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    written(&store, put("a", "1")).await?;
    let second = written(&store, put("b", "2")).await?;
    let snapshot = begun(&store).await?;
    stale(&store, super::expecting(put("a", "3"), "a", None), "a").await?;
    written(&store, put("c", "3")).await?;
    ensure!(snapshot.last() == second.version, "{:?}, not {:?}", snapshot.last(), second.version);
    Ok(())
}
