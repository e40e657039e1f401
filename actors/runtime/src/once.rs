//! Calls that are made once, however often they are sent: what came of each stands for a day in a row that its own
//! commit wrote, and a repeat is told the same.
//!
//! Enrolling, events and what is done to one enrollment need none of this: a repeat of theirs finds its work done.

use followupd_domain::access::KeyId;
use followupd_domain::{Moment, Span};
use followupd_store::codec::Format;
use followupd_store::{Commit, Key, Row};
use serde::{Deserialize, Serialize};

use crate::api::{Caller, Error};
use crate::loaded::{Loaded, decode};
use crate::node::Node;
use crate::record;
use crate::settings::{PutAnswer, Written};

/// How long a repeat is recognised: callers that were cut off come back within minutes, jobs within a day.
const KEPT: Span = Span::hours(24);

/// What makes a call happen once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// The key it is made with: ids of different keys have nothing to do with each other.
    pub key: KeyId,
    /// The id the caller gave it.
    pub id: String,
    /// SHA-256 of the call and all it says: the same id cannot stand for another call.
    pub digest: [u8; 32],
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) at: Moment,
    pub(crate) digest: [u8; 32],
    pub(crate) answer: PutAnswer,
}

fn row(loaded: &Loaded, once: &Once) -> Key {
    Key::once(loaded.shard, loaded.scope.tenant.no, once.key.as_bytes(), &once.id)
}

/// What came of this call before; `None`: it was not made yet.
///
/// # Errors
/// [`Error::Refused`] where its id stands for another call.
pub(crate) async fn done(node: &Node, loaded: &Loaded, caller: &Caller) -> Result<Option<Written>, Error> {
    let Some(once) = &caller.once else { return Ok(None) };
    let Some(row) = node.store.get(vec![row(loaded, once)]).await?.pop().flatten() else { return Ok(None) };
    let done: Done = decode(Format::Once, &row.body)?;
    if done.at + KEPT < node.now() {
        return Ok(None);
    }
    if done.digest != once.digest {
        let problem = format!("the request id {:?} stands for another call: give this one its own", once.id);
        return Err(Error::Refused { reason: "request_id_reused", problem });
    }
    // What it wrote was written by the commit that wrote this row.
    Ok(Some(Written { answer: done.answer, revision: row.version.0 }))
}

/// Writes into the commit of a call what comes of it.
pub(crate) fn add(
    commit: &mut Commit,
    node: &Node,
    loaded: &Loaded,
    caller: &Caller,
    answer: &PutAnswer,
) -> Result<(), Error> {
    let Some(once) = &caller.once else { return Ok(()) };
    let done = Done { at: node.now(), digest: once.digest, answer: answer.clone() };
    record::put(commit, row(loaded, once), Format::Once, &done)
}

/// Whether a repeat is not recognised any more.
pub(crate) fn is_over(row: &Row, now: Moment) -> Result<bool, Error> {
    let done: Done = decode(Format::Once, &row.body)?;
    Ok(done.at + KEPT < now)
}
