//! What a lane that starts finds open: sends whose call somebody began and nobody settled.
//!
//! They hold on to their charges, so their rows go first and need no permit. The ledger says how many there are; an
//! open send keeps the row it came from (E2), so they are found from the heads of the queues on.

use followupd_domain::lane::WakeRow;
use followupd_store::codec::Format;
use followupd_store::{Key, Scan};

use super::Opening;
use super::queues::Queues;
use crate::api::Error;
use crate::limits;
use crate::loaded::decode;
use crate::record::Record;

/// The rows of the lane's open sends.
pub(super) async fn open_rows(opening: &Opening, open: u32, queues: &Queues) -> Result<Vec<WakeRow>, Error> {
    let store = &*opening.node.store;
    let mut found = Vec::new();
    for queue in queues.known() {
        let prefix = Key::queue(opening.tenant.shard, opening.lane, queue);
        let mut from = prefix.clone();
        while (found.len() as u64) < u64::from(open) {
            let rows = store
                .scan(Scan { from: from.clone(), to: prefix.after_prefix(), limit: limits::WINDOW })
                .await?;
            let Some((last, _)) = rows.last() else { break };
            from = last.successor();
            let wakes: Vec<WakeRow> = rows.iter().filter_map(|(key, _)| key.to_wake()).collect();
            let records =
                store.get(wakes.iter().map(|wake| Key::enrollment(wake.enrollment)).collect()).await?;
            for (wake, row) in wakes.into_iter().zip(records) {
                let Some(row) = row else { continue };
                let record: Record = decode(Format::Enrollment, &row.body)?;
                if record.enrollment.open.is_some() {
                    found.push(wake);
                }
            }
        }
    }
    Ok(found)
}
