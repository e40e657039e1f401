//! What a lane that starts finds open: sends whose call somebody began and nobody settled.
//!
//! They hold on to their charges, so their rows go first and need no permit. The ledger says how many there are; an
//! open send keeps the row it came from (E2), so they are found from the heads of the queues on.

use std::ops::Range;

use followupd_domain::lane::{Queue, WakeRow};
use followupd_domain::{Moment, Span};
use followupd_store::codec::Format;
use followupd_store::{Key, Scan};

use super::Opening;
use super::queues::Queues;
use crate::api::Error;
use crate::limits;
use crate::loaded::decode;
use crate::read;
use crate::record::Record;

/// Calls of the lane that nobody settled though its limits know their start.
pub(super) async fn calling(opening: &Opening) -> Result<u32, Error> {
    let key = Key::calling(opening.tenant.shard, opening.lane);
    let row = opening.node.store.get(vec![key]).await?.pop().flatten();
    let count = row.map(|row| read::number(&row)).transpose()?.unwrap_or_default();
    Ok(u32::try_from(count.max(0)).unwrap_or(u32::MAX))
}

/// The rows of the lane's open sends. Such a row was due when its intent was taken, so what is due later is looked
/// through only when some are still missing: the wall may have jumped back since.
pub(super) async fn open_rows(opening: &Opening, open: u32, queues: &Queues) -> Result<Vec<WakeRow>, Error> {
    let mut found = Vec::new();
    if open == 0 {
        return Ok(found);
    }
    let now = opening.node.now();
    let later = now + Span(1);
    for (from, to) in [(Moment(0), later), (later, Moment::FAR)] {
        for queue in queues.known() {
            look_through(opening, queue, from..to, open, &mut found).await?;
        }
    }
    Ok(found)
}

/// Adds the open sends whose rows stand in a stretch of a queue, until `open` are found.
async fn look_through(
    opening: &Opening,
    queue: &Queue,
    due_in: Range<Moment>,
    open: u32,
    found: &mut Vec<WakeRow>,
) -> Result<(), Error> {
    let store = &*opening.node.store;
    let due = |at| Key::due(opening.tenant.shard, opening.lane, queue, at);
    let (mut from, to) = (due(due_in.start), due(due_in.end));
    while (found.len() as u64) < u64::from(open) {
        let rows = store.scan(Scan { from: from.clone(), to: to.clone(), limit: limits::WINDOW }).await?;
        let Some((last, _)) = rows.last() else { break };
        from = last.successor();
        let wakes: Vec<WakeRow> = rows.iter().filter_map(|(key, _)| key.to_wake()).collect();
        let records = store.get(wakes.iter().map(|wake| Key::enrollment(wake.enrollment)).collect()).await?;
        for (wake, row) in wakes.into_iter().zip(records) {
            let Some(row) = row else { continue };
            let record: Record = decode(Format::Enrollment, &row.body)?;
            if record.enrollment.open.is_some() {
                found.push(wake);
            }
        }
    }
    Ok(())
}
