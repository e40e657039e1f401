//! What holds while many write at once.

use bytes::Bytes;
use futures::future::{join, join_all};

use super::{
    Case, Fixture, Opened, Outcome, at, body, charge, commit, expecting, key, number, per_minute, put, rows,
    written,
};
use crate::commit::{Class, Commit, Refused};
use crate::row::Version;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "a commit sees the one before it, also in its group",
        run: |fixture| Box::pin(chain(fixture)),
    },
    Case { name: "of many that expect an absence one is written", run: |fixture| Box::pin(unique(fixture)) },
    Case { name: "no update is lost", run: |fixture| Box::pin(increments(fixture)) },
    Case { name: "no limit is passed", run: |fixture| Box::pin(charges(fixture)) },
    Case { name: "no read shows half a commit", run: |fixture| Box::pin(halves(fixture)) },
    Case { name: "counts of many add up", run: |fixture| Box::pin(counts(fixture)) },
];

async fn chain(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    let before = written(&store, put("ada", "1")).await?.version;
    // Nobody else writes, so the next commit's number is known.
    let next = Version(before.0 + 1);
    let (second, third) = join(
        store.commit(expecting(put("ada", "2"), "ada", Some(before))),
        store.commit(expecting(put("ada", "3"), "ada", Some(next))),
    )
    .await;
    let found = body(&store, "ada").await?;
    // Two calls at once have no order. In the one order both are written; in the other the third came too early.
    let holds = match (&second, &third) {
        (Ok(second), Ok(third)) => {
            second.version == next && third.version.0 == next.0 + 1 && found.as_deref() == Some("3")
        }
        (Ok(second), Err(Refused::Stale(_))) => second.version == next && found.as_deref() == Some("2"),
        _ => false,
    };
    ensure!(holds, "{second:?}, {third:?}, and then {found:?}");
    Ok(())
}

async fn unique(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    let enroll = |n: u32| {
        let mut enroll = Commit::new(Class::Enroll, super::TENANT, super::SHARD);
        enroll.puts.push((key("unique"), Bytes::copy_from_slice(&n.to_le_bytes())));
        store.commit(expecting(enroll, "unique", None))
    };
    let outcomes = join_all((0..50).map(enroll)).await;
    let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let stale = outcomes.iter().filter(|outcome| matches!(outcome, Err(Refused::Stale(_)))).count();
    ensure!((won, stale) == (1, 49), "{won} written, {stale} stale");
    Ok(())
}

async fn increment(store: &Opened, times: u32) -> Outcome {
    for _ in 0..times {
        loop {
            let row = super::row(store, key("number")).await?;
            let value = row
                .as_ref()
                .and_then(|row| std::str::from_utf8(&row.body).ok()?.parse().ok())
                .unwrap_or(0_u32);
            let next = put("number", &(value + 1).to_string());
            match store.commit(expecting(next, "number", row.map(|row| row.version))).await {
                Ok(_) => break,
                Err(Refused::Stale(_)) => {}
                Err(refused) => return Err(format!("{refused:?}")),
            }
        }
    }
    Ok(())
}

async fn increments(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    for outcome in join_all((0..8).map(|_| increment(&store, 10))).await {
        outcome?;
    }
    let found = body(&store, "number").await?;
    ensure!(found.as_deref() == Some("80"), "{found:?}");
    Ok(())
}

async fn charges(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    let limits = per_minute(10);
    let intent = |n: i64| {
        let mut intent = Commit::new(Class::Intent, super::TENANT, super::SHARD);
        intent.ledger.push(charge(&limits, at(n)));
        store.commit(intent)
    };
    let outcomes = join_all((0..40).map(intent)).await;
    let charged = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let refused = outcomes.iter().filter(|outcome| matches!(outcome, Err(Refused::Limit(_)))).count();
    ensure!((charged, refused) == (10, 30), "{charged} charged, {refused} refused");
    Ok(())
}

async fn halves(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    let write = async {
        for n in 0..60 {
            let mut both = put("left", &n.to_string());
            both.puts.push((key("right"), Bytes::from(n.to_string())));
            written(&store, both).await?;
        }
        Ok::<(), String>(())
    };
    let read = async {
        for _ in 0..60 {
            let found = rows(&store, vec![key("left"), key("right")]).await?;
            ensure!(found[0] == found[1], "{found:?}");
        }
        Ok(())
    };
    let (wrote, read) = join(write, read).await;
    wrote.and(read)
}

async fn counts(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    let outcomes = join_all((0..200).map(|n| {
        let mut moved = commit();
        moved.counts.push(super::count("sent", 1));
        // Every fourth is refused and must not count.
        let moved = if n % 4 == 0 { expecting(moved, "missing", Some(Version(1))) } else { moved };
        store.commit(moved)
    }))
    .await;
    let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let total = number(&store, "sent").await?;
    ensure!(won == 150 && total == Some(150), "{won} written, {total:?} counted");
    Ok(())
}
