//! What the store itself keeps values of: counters and ledgers.

use bytes::Bytes;
use followupd_domain::ledger::{Charge, DayContext, Ledger, Limits, Recipients, Refusal, Rest, WarmUp};
use followupd_domain::{Moment, Span};

use super::{
    Case, Fixture, Opened, Outcome, at, charge, charged, commit, count, number, other, per_minute, row,
    today, written,
};
use crate::commit::{Expect, LedgerChange, LedgerOp, Refused};
use crate::keys::Table;

pub(super) const CASES: &[Case] = &[
    Case { name: "counts add up", run: |fixture| Box::pin(counts(fixture)) },
    Case { name: "a counted row gets a new version", run: |fixture| Box::pin(count_versions(fixture)) },
    Case { name: "a ledger row is what the ledger says", run: |fixture| Box::pin(ledger(fixture)) },
    Case { name: "a ledger of format 1 is taken over", run: |fixture| Box::pin(old_ledger(fixture)) },
    Case { name: "new recipients are counted once each", run: |fixture| Box::pin(recipients(fixture)) },
    Case { name: "a refusal says when to come back", run: |fixture| Box::pin(refusal(fixture)) },
    Case { name: "several ledger changes of a commit add up", run: |fixture| Box::pin(several(fixture)) },
    Case { name: "a row that is no ledger is unavailable", run: |fixture| Box::pin(damaged(fixture)) },
];

async fn counts(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    ensure!(number(&store, "sent").await?.is_none(), "a counter that never moved has a row");
    for (by, total) in [(5, 5), (-7, -2), (0, -2), (1 << 52, (1 << 52) - 2)] {
        let mut moved = commit();
        moved.counts.push(count("sent", by));
        written(&store, moved).await?;
        let found = number(&store, "sent").await?;
        ensure!(found == Some(total), "{found:?}, not {total}");
    }
    let mut both = commit();
    both.counts.extend([count("open", 3), count("done", 1), count("open", -1)]);
    written(&store, both).await?;
    let found = [number(&store, "open").await?, number(&store, "done").await?];
    ensure!(found == [Some(2), Some(1)], "{found:?}");
    let mut back = commit();
    back.counts.extend([count("open", -2), count("done", -2), count("done", 2), count("never", 0)]);
    written(&store, back).await?;
    let found =
        [number(&store, "open").await?, number(&store, "done").await?, number(&store, "never").await?];
    ensure!(found == [None, Some(1), None], "of a number that is zero there is no row: {found:?}");
    Ok(())
}

async fn count_versions(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    let mut moved = commit();
    moved.counts.push(count("sent", 1));
    let first = written(&store, moved.clone()).await?.version;
    let second = written(&store, moved).await?.version;
    let found = row(&store, other(Table::Count, "sent")).await?;
    ensure!(found.as_ref().is_some_and(|row| row.version == second), "{found:?} after {first:?}, {second:?}");
    let mut late = commit();
    late.expects.push(Expect { key: other(Table::Count, "sent"), version: Some(first) });
    let refused = store.commit(late).await;
    ensure!(matches!(refused, Err(Refused::Stale(_))), "{refused:?}");
    Ok(())
}

/// Holds that the lane's row decodes to `expected`.
async fn holds(store: &Opened, expected: &Ledger) -> Outcome {
    let found = row(store, other(Table::Ledger, "lane")).await?;
    let decoded = found.as_ref().map(|row| Ledger::decode(&row.body));
    ensure!(decoded == Some(Ok(expected.clone())), "{decoded:?}, not {expected:?}");
    Ok(())
}

async fn ledger(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    let rest = Some(Rest { after: 5, span: Span(600) });
    let warm_up = Some(WarmUp { days: 2, from: 3 });
    let limits = Limits { per_hour: Some(100), per_day: Some(5), rest, warm_up, ..per_minute(10) };
    let mut model = Ledger::default();
    // The day goes on and back, as after a zone was put right; the intent keeps the one it was told.
    for (n, days) in (0..).zip([0, 0, 0, 1, 0, -1, 1, 0]) {
        let now = at(n * 700);
        let day = DayContext { day: today().day + days, ..today() };
        let mut intent = commit();
        let op = LedgerOp::Charge { limits: limits.clone(), now, day };
        intent.ledger.push(LedgerChange { key: other(Table::Ledger, "lane"), op });
        written(&store, intent).await?;
        model.charge(&limits, now, day).map_err(|refusal| refusal.to_string())?;
        let mine = Charge { day, ..charged(now) };
        holds(&store, &model).await?;
        let op = match n % 3 {
            0 => LedgerOp::Settle { charge: mine, started_at: Some(now + Span(40)) },
            1 => LedgerOp::Settle { charge: mine, started_at: None },
            _ => LedgerOp::Refund { charge: mine },
        };
        match &op {
            LedgerOp::Settle { charge, started_at } => {
                model.settle(*charge, *started_at);
            }
            LedgerOp::Refund { charge } => model.refund(*charge),
            LedgerOp::Charge { .. } | LedgerOp::Recipient { .. } => {}
        }
        let mut outcome = commit();
        outcome.ledger.push(LedgerChange { key: other(Table::Ledger, "lane"), op });
        written(&store, outcome).await?;
        holds(&store, &model).await?;
    }
    Ok(())
}

async fn old_ledger(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    let limits = Limits { per_day: Some(9), ..per_minute(9) };
    let mut model = Ledger::default();
    let mine = model.charge(&limits, at(0), today()).map_err(|refusal| refusal.to_string())?;
    model.settle(mine, Some(at(10)));
    let mut bytes = Vec::new();
    model.encode(&mut bytes);
    // Format 1 had neither a run nor a first day.
    bytes[0] = 1;
    bytes.drain(57..65);
    let mut old = commit();
    old.puts.push((other(Table::Ledger, "lane"), Bytes::from(bytes.clone())));
    written(&store, old).await?;
    let mut model = Ledger::decode(&bytes).map_err(|error| error.to_string())?;
    let mut intent = commit();
    intent.ledger.push(charge(&limits, at(20)));
    written(&store, intent).await?;
    model.charge(&limits, at(20), today()).map_err(|refusal| refusal.to_string())?;
    holds(&store, &model).await
}

async fn recipients(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    let key = other(Table::Recipients, "lane");
    let mut model = Recipients::default();
    let mut counted: [Option<Moment>; 4] = [None; 4];
    // Hours apart, so that some are out again when they are written to the next time.
    for (n, person) in (0..).zip([0, 1, 0, 2, 3, 1, 0, 2, 3, 0, 1, 2, 3, 3, 2, 1]) {
        let (now, before) = (at(n * 7_777_777), counted[person]);
        let counted_at = now + Span(2_000);
        let op = LedgerOp::Recipient { cap: 2, now, before, counted_at };
        let mut intent = commit();
        intent.ledger.push(LedgerChange { key: key.clone(), op });
        match (store.commit(intent).await, model.count(2, now, before, counted_at)) {
            (Ok(_), Ok(())) => counted[person] = Some(counted_at),
            (Err(Refused::Limit(said)), Err(expected)) if said == expected => {}
            (said, expected) => return Err(format!("{said:?}, not {expected:?}")),
        }
        let found = row(&store, key.clone()).await?;
        let decoded = found.as_ref().map(|row| Recipients::decode(&row.body));
        ensure!(decoded == Some(Ok(model.clone())), "{decoded:?}, not {model:?}");
    }
    Ok(())
}

async fn refusal(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    let limits = per_minute(1);
    let try_at = |now: Moment| {
        let mut intent = commit();
        intent.ledger.push(charge(&limits, now));
        store.commit(intent)
    };
    let mut model = Ledger::default();
    let first = try_at(at(0)).await;
    ensure!(first.is_ok(), "{first:?}");
    let mine = model.charge(&limits, at(0), today()).map_err(|refusal| refusal.to_string())?;
    let open = try_at(at(5)).await;
    ensure!(matches!(open, Err(Refused::Limit(Refusal::Open { .. }))), "{open:?}");
    let mut outcome = commit();
    let op = LedgerOp::Settle { charge: mine, started_at: Some(at(3)) };
    outcome.ledger.push(LedgerChange { key: other(Table::Ledger, "lane"), op });
    written(&store, outcome).await?;
    model.settle(mine, Some(at(3)));
    let expected = model.charge(&limits, at(10), today());
    match (try_at(at(10)).await, expected) {
        (Err(Refused::Limit(said)), Err(expected)) if said == expected => {}
        (said, expected) => return Err(format!("{said:?}, not {expected:?}")),
    }
    holds(&store, &model).await
}

async fn several(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    let limits = per_minute(3);
    let mut twice = commit();
    twice.ledger.extend([charge(&limits, at(0)), charge(&limits, at(1))]);
    written(&store, twice.clone()).await?;
    // The first would fit, the second would not: neither is charged.
    let refused = store.commit(twice).await;
    ensure!(matches!(refused, Err(Refused::Limit(_))), "{refused:?}");
    let mut last = commit();
    last.ledger.push(charge(&limits, at(2)));
    written(&store, last).await?;
    Ok(())
}

async fn damaged(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.fresh().await;
    let mut broken = commit();
    broken.puts.push((other(Table::Ledger, "lane"), Bytes::from_static(b"no ledger")));
    broken.puts.push((other(Table::Count, "sent"), Bytes::from_static(b"no number")));
    written(&store, broken).await?;
    let mut intent = commit();
    intent.ledger.push(charge(&per_minute(1), at(0)));
    let refused = store.commit(intent).await;
    ensure!(matches!(refused, Err(Refused::Unavailable(_))), "{refused:?}");
    let mut moved = commit();
    moved.counts.push(count("sent", 1));
    let refused = store.commit(moved).await;
    ensure!(matches!(refused, Err(Refused::Unavailable(_))), "{refused:?}");
    Ok(())
}
