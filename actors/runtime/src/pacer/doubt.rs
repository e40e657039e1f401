//! What a lane that starts finds open: sends whose call somebody began and nobody settled.
//!
//! They hold on to their charges, so their rows go first and need no permit. The ledger says how many there are; an
//! open send keeps the row it came from (E2), which was next in its queue when it was pulled, so nearly all of them
//! stand near the heads. The first windows are looked through before anything else; where some are still missing the
//! lane goes to work, looks through the rest a window at a time, and asks each row it pulls meanwhile.

use std::collections::{BTreeSet, VecDeque};

use followupd_domain::lane::{Queue, WakeRow};
use followupd_domain::{EnrollmentId, Moment, Span};
use followupd_store::codec::Format;
use followupd_store::{Key, Scan};

use super::Opening;
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

/// The open sends of a lane that are not found yet, and where they may stand.
#[derive(Default)]
pub(super) struct Doubts {
    /// How many there are, or more.
    open: usize,
    found: BTreeSet<EnrollmentId>,
    /// Stretches of the queues that were due when the lane started, a window of each in turn.
    due: VecDeque<Stretch>,
    /// What is due later. A row was due when its intent was taken, so these are looked through only when the others
    /// are: the wall may have jumped back since.
    later: VecDeque<Stretch>,
}

/// Keys from the first up to the second.
type Stretch = (Key, Key);

impl Doubts {
    /// So many open sends are somewhere in these queues.
    pub(super) fn new<'a>(opening: &Opening, open: u32, queues: impl Iterator<Item = &'a Queue>) -> Doubts {
        if open == 0 {
            return Doubts::default();
        }
        let later = opening.node.now() + Span(1);
        let key = |queue, at| Key::due(opening.tenant.shard, opening.lane, queue, at);
        let mut doubts = Doubts { open: open as usize, ..Doubts::default() };
        for queue in queues {
            doubts.due.push_back((key(queue, Moment(0)), key(queue, later)));
            doubts.later.push_back((key(queue, later), key(queue, Moment::FAR)));
        }
        doubts
    }

    /// Whether some are still missing that may be found.
    pub(super) fn are_left(&self) -> bool {
        self.found.len() < self.open && !(self.due.is_empty() && self.later.is_empty())
    }

    /// An enrollment with an open send was found; whether it is one that was missing.
    pub(super) fn found(&mut self, enrollment: EnrollmentId) -> bool {
        self.found.insert(enrollment)
    }

    /// Whether a row may be one of those that are missing.
    pub(super) fn may_be(&self, enrollment: EnrollmentId) -> bool {
        self.are_left() && !self.found.contains(&enrollment)
    }

    /// Looks through the next window; the rows in it whose send is open. Those that this lane has called are open, too.
    pub(super) async fn look_on(&mut self, opening: &Opening) -> Result<Vec<WakeRow>, Error> {
        let stretches = if self.due.is_empty() { &mut self.later } else { &mut self.due };
        let Some((from, to)) = stretches.pop_front() else { return Ok(Vec::new()) };
        let scan = Scan { from, to: to.clone(), limit: limits::WINDOW };
        let rows = opening.node.store.scan(scan).await?;
        if let Some((last, _)) = rows.last().filter(|_| rows.len() == limits::WINDOW) {
            stretches.push_back((last.successor(), to));
        }
        open_of(opening, rows.iter().filter_map(|(key, _)| key.to_wake()).collect()).await
    }
}

/// Those of some rows whose enrollments have an open send.
pub(super) async fn open_of(opening: &Opening, wakes: Vec<WakeRow>) -> Result<Vec<WakeRow>, Error> {
    let keys = wakes.iter().map(|wake| Key::enrollment(wake.enrollment)).collect();
    let records = opening.node.store.get(keys).await?;
    let mut open = Vec::new();
    for (wake, row) in wakes.into_iter().zip(records) {
        let Some(row) = row else { continue };
        let record: Record = decode(Format::Enrollment, &row.body)?;
        if record.enrollment.open.is_some() {
            open.push(wake);
        }
    }
    Ok(open)
}
