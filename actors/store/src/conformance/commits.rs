//! What a commit does: expectations, all or nothing, classes, what is refused for good.

use bytes::Bytes;
use followupd_domain::Shard;

use super::{
    Case, Fixture, Outcome, SHARD, TENANT, at, body, charge, commit, count, expecting, key, number, other,
    per_minute, put, row, stale, written,
};
use crate::commit::{Class, Commit, Invalid, Refused};
use crate::keys::Table;
use crate::row::Version;
use crate::{Key, limits};

pub(super) const CASES: &[Case] = &[
    Case { name: "an expected absence is held", run: |fixture| Box::pin(absence(fixture)) },
    Case { name: "an expected version is held", run: |fixture| Box::pin(version(fixture)) },
    Case { name: "a row may be expected and not written", run: |fixture| Box::pin(only_expected(fixture)) },
    Case { name: "a stale commit changes nothing", run: |fixture| Box::pin(all_or_nothing(fixture)) },
    Case { name: "a commit over a limit changes nothing", run: |fixture| Box::pin(over_limit(fixture)) },
    Case { name: "deleting what is not there is no error", run: |fixture| Box::pin(delete_nothing(fixture)) },
    Case { name: "commits of every class are written", run: |fixture| Box::pin(classes(fixture)) },
    Case { name: "a commit that breaks a rule is invalid", run: |fixture| Box::pin(invalid(fixture)) },
    Case { name: "a large commit is written whole", run: |fixture| Box::pin(large(fixture)) },
];

async fn absence(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    written(&store, expecting(put("ada", "first"), "ada", None)).await?;
    stale(&store, expecting(put("ada", "second"), "ada", None), "ada").await?;
    let found = body(&store, "ada").await?;
    ensure!(found.as_deref() == Some("first"), "{found:?}");
    let mut gone = commit();
    gone.deletes.push(key("ada"));
    written(&store, gone).await?;
    written(&store, expecting(put("ada", "third"), "ada", None)).await?;
    Ok(())
}

async fn version(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    let first = written(&store, put("ada", "1")).await?.version;
    let second = written(&store, expecting(put("ada", "2"), "ada", Some(first))).await?.version;
    stale(&store, expecting(put("ada", "3"), "ada", Some(first)), "ada").await?;
    stale(&store, expecting(put("ada", "3"), "ada", Some(Version(second.0 + 1))), "ada").await?;
    let mut gone = expecting(commit(), "ada", Some(second));
    gone.deletes.push(key("ada"));
    written(&store, gone).await?;
    stale(&store, expecting(put("ada", "4"), "ada", Some(second)), "ada").await?;
    written(&store, put("ada", "5")).await?;
    stale(&store, expecting(put("ada", "6"), "ada", Some(second)), "ada").await?;
    let found = body(&store, "ada").await?;
    ensure!(found.as_deref() == Some("5"), "{found:?}");
    Ok(())
}

async fn only_expected(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    let scope = written(&store, put("scope", "on")).await?.version;
    let both = expecting(expecting(put("ada", "1"), "scope", Some(scope)), "ada", None);
    let applied = written(&store, both).await?;
    let found = row(&store, key("scope")).await?;
    ensure!(found.is_some_and(|row| row.version == scope), "an expectation moved a version");
    written(&store, put("scope", "off")).await?;
    stale(&store, expecting(put("ada", "2"), "scope", Some(scope)), "scope").await?;
    let found = row(&store, key("ada")).await?;
    ensure!(found.as_ref().is_some_and(|row| row.version == applied.version), "{found:?}");
    Ok(())
}

/// A commit with something of everything.
fn full(expected: Option<Version>) -> Commit {
    let mut all = expecting(put("ada", "new"), "scope", expected);
    all.puts.push((key("fresh"), Bytes::from_static(b"new")));
    all.deletes.push(key("old"));
    all.counts.push(count("total", 5));
    all.ledger.push(charge(&per_minute(1), at(0)));
    all
}

/// Holds that nothing of a [`full`] commit is there.
async fn untouched(store: &super::Opened) -> Outcome {
    let bodies = [body(store, "ada").await?, body(store, "fresh").await?, body(store, "old").await?];
    ensure!(bodies == [Some("old".to_owned()), None, Some("old".to_owned())], "{bodies:?}");
    let total = number(store, "total").await?;
    ensure!(total == Some(1), "the counter is {total:?}");
    Ok(())
}

async fn prepared(fixture: &mut dyn Fixture) -> Result<(super::Opened, Version), String> {
    let store = fixture.fresh().await;
    let mut before = put("ada", "old");
    before.puts.push((key("old"), Bytes::from_static(b"old")));
    before.puts.push((key("scope"), Bytes::from_static(b"on")));
    before.counts.push(count("total", 1));
    let version = written(&store, before).await?.version;
    Ok((store, version))
}

async fn all_or_nothing(fixture: &mut dyn Fixture) -> Outcome {
    let (store, version) = prepared(fixture).await?;
    stale(&store, full(Some(Version(version.0 + 7))), "scope").await?;
    stale(&store, full(None), "scope").await?;
    untouched(&store).await?;
    let ledger = row(&store, other(Table::Ledger, "lane")).await?;
    ensure!(ledger.is_none(), "a refused commit was charged");
    written(&store, full(Some(version))).await?;
    let total = number(&store, "total").await?;
    ensure!(total == Some(6), "the counter is {total:?}");
    let bodies = [body(&store, "ada").await?, body(&store, "fresh").await?, body(&store, "old").await?];
    ensure!(bodies == [Some("new".to_owned()), Some("new".to_owned()), None], "{bodies:?}");
    Ok(())
}

async fn over_limit(fixture: &mut dyn Fixture) -> Outcome {
    let (store, version) = prepared(fixture).await?;
    let mut first = commit();
    first.ledger.push(charge(&per_minute(1), at(0)));
    written(&store, first).await?;
    let before = row(&store, other(Table::Ledger, "lane")).await?;
    let refused = store.commit(full(Some(version))).await;
    ensure!(matches!(refused, Err(Refused::Limit(_))), "{refused:?}");
    untouched(&store).await?;
    let after = row(&store, other(Table::Ledger, "lane")).await?;
    ensure!(before == after, "a refused charge has moved the ledger");
    Ok(())
}

async fn delete_nothing(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    let mut gone = put("ada", "1");
    gone.deletes.push(key("never"));
    written(&store, gone).await?;
    let mut gone = expecting(commit(), "never", None);
    gone.deletes.push(key("never"));
    written(&store, gone).await?;
    ensure!(body(&store, "never").await?.is_none(), "deleting made a row");
    Ok(())
}

async fn classes(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    for class in Class::ALL {
        let mut one = Commit::new(class, TENANT, SHARD);
        one.puts.push((key(&format!("{class:?}")), Bytes::new()));
        written(&store, one).await?;
    }
    for class in Class::ALL {
        let found = body(&store, &format!("{class:?}")).await?;
        ensure!(found.is_some(), "{class:?} was not written");
    }
    Ok(())
}

async fn invalid(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    let mut elsewhere = put("ada", "1");
    elsewhere.puts.push((Key::contact(Shard(SHARD.0 + 1), TENANT, "ada"), Bytes::new()));
    let mut twice = put("ada", "1");
    twice.deletes.push(key("ada"));
    let mut huge = put("ada", "1");
    huge.puts.push((key("huge"), Bytes::from(vec![0; limits::RECORD_BYTES + 1])));
    let mut long = put("ada", "1");
    long.expects.push(crate::Expect { key: key(&"x".repeat(limits::KEY_BYTES)), version: None });
    for (bad, what) in
        [(elsewhere, "another shard"), (twice, "twice"), (huge, "too large"), (long, "too long")]
    {
        let refused = store.commit(bad).await;
        let fits = matches!(
            (&refused, what),
            (Err(Refused::Invalid(Invalid::Key(_))), "another shard" | "too long")
                | (Err(Refused::Invalid(Invalid::Twice(_))), "twice")
                | (Err(Refused::Invalid(Invalid::Record(_))), "too large")
        );
        ensure!(fits, "{what}: {refused:?}");
    }
    ensure!(body(&store, "ada").await?.is_none(), "something of an invalid commit was written");
    Ok(())
}

async fn large(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    let mut large = commit();
    for n in 0..1_000 {
        large.puts.push((key(&format!("{n:04}")), Bytes::from(vec![n as u8; 1_000])));
    }
    let version = written(&store, large).await?.version;
    let last = row(&store, key("0999")).await?;
    ensure!(
        last.is_some_and(|row| row.version == version && row.body.len() == 1_000),
        "the last row is not there"
    );
    Ok(())
}
