//! The record of an enrollment, the facts around it, and the one commit that a transition becomes.
//!
//! A record holds the state and its latest history; older history moves to rows of its own, so that the row stays
//! small however long the enrollment lives.

use std::sync::Arc;

use followupd_domain::contact::Contact;
use followupd_domain::decide;
use followupd_domain::decision::{self, Decision, Entry, TraceId};
use followupd_domain::enrollment::{Enrollment, State};
use followupd_domain::funnel;
use followupd_domain::gate::View;
use followupd_domain::invariant;
use followupd_domain::lane::{Lane, WakeRow};
use followupd_domain::sequence::Version;
use followupd_domain::signal::{self, Counted, Signal};
use followupd_domain::suppression::AddressFacts;
use followupd_domain::target::Target;
use followupd_domain::{EnrollmentId, Moment, Span, limits};
use followupd_store::codec::{self, Format};
use followupd_store::{Class, Commit, Count, Expect, Key, Row, Store};
use serde::{Deserialize, Serialize};

use crate::api::Error;
use crate::backlog;
use crate::loaded::{Loaded, decode};
use crate::node::Node;
use crate::old;
use crate::plant::{Bug, Planted};
use crate::suppression::{self, Addresses};

/// An enrollment's row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Its state: the fold of its whole history.
    pub(crate) enrollment: Enrollment,
    /// Entries that have moved to history rows.
    pub(crate) spilled: u32,
    /// The entries since.
    pub(crate) history: Vec<Entry>,
}

/// A row as read, with the version a commit expects of it.
#[derive(Clone, Debug)]
pub(crate) struct Read<T> {
    pub(crate) key: Key,
    pub(crate) version: Option<followupd_store::Version>,
    pub(crate) value: T,
}

impl<T> Read<T> {
    pub(crate) fn expectation(&self) -> Expect {
        Expect { key: self.key.clone(), version: self.version }
    }
}

/// Reads a row that may not be there yet.
pub(crate) fn read_or_default<T>(format: Format, key: Key, row: Option<Row>) -> Result<Read<T>, Error>
where
    T: Default + serde::de::DeserializeOwned,
{
    let version = row.as_ref().map(|row| row.version);
    let value = row.map(|row| decode(format, &row.body)).transpose()?.unwrap_or_default();
    Ok(Read { key, version, value })
}

/// Reads the row of a contact who may not be known yet.
pub(crate) fn read_contact(key: Key, row: Option<Row>) -> Result<Read<Contact>, Error> {
    let version = row.as_ref().map(|row| row.version);
    let value = row.map(|row| old::contact(&row.body)).transpose()?.unwrap_or_default();
    Ok(Read { key, version, value })
}

/// Reads the row of an address of which nothing may be known.
pub(crate) fn read_address(key: Key, row: Option<Row>) -> Result<Read<AddressFacts>, Error> {
    let version = row.as_ref().map(|row| row.version);
    let value = row.map(|row| old::address_facts(&row.body)).transpose()?.unwrap_or_default();
    Ok(Read { key, version, value })
}

/// Everything a decision about one enrollment is taken on, as read.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) loaded: Arc<Loaded>,
    pub(crate) version: Arc<Version>,
    pub(crate) record: Read<Record>,
    pub(crate) contact: Read<Contact>,
    pub(crate) target: Option<Read<Target>>,
    /// What is suppressed of the contact's addresses; read for what may begin a send.
    pub(crate) addresses: Addresses,
    /// How far engine time is ahead of the wall; known for what may begin a send.
    pub(crate) engine_ahead: Span,
}

impl Facts {
    pub(crate) fn enrollment(&self) -> &Enrollment {
        &self.record.value.enrollment
    }

    /// Reads what is suppressed of the contact's addresses.
    pub(crate) async fn with_addresses(mut self, node: &Node) -> Result<Facts, Error> {
        let addresses = suppression::reachable(&self.contact.value);
        self.addresses = suppression::read(&*node.store, node.place(&self.loaded), addresses).await?;
        self.addresses.bar(&mut self.contact.value);
        self.engine_ahead = Span(node.engine_now().0 - node.now().0);
        Ok(self)
    }

    pub(crate) fn view(&self, now: Moment) -> View<'_> {
        View {
            enrollment: self.enrollment(),
            contact: &self.contact.value,
            target: self.target.as_ref().map(|target| &target.value),
            scope: &self.loaded.scope,
            version: &self.version,
            now,
            engine_ahead: self.engine_ahead,
        }
    }
}

/// Reads an enrollment and the facts around it; `None` when there is no such enrollment of this tenant.
pub(crate) async fn read(
    store: &dyn Store,
    loaded: Arc<Loaded>,
    id: EnrollmentId,
) -> Result<Option<Facts>, Error> {
    let key = Key::enrollment(id);
    let Some(row) = store.get(vec![key.clone()]).await?.pop().flatten() else { return Ok(None) };
    let value: Record = decode(Format::Enrollment, &row.body)?;
    let record = Read { key, version: Some(row.version), value };
    let enrollment = &record.value.enrollment;
    let tenant = loaded.scope.tenant.no;
    if enrollment.tenant != tenant {
        return Ok(None);
    }
    let mut keys = vec![Key::contact(loaded.shard, tenant, &enrollment.contact)];
    keys.extend(enrollment.target.as_ref().map(|target| Key::target(loaded.shard, tenant, target)));
    let mut rows = store.get(keys.clone()).await?.into_iter();
    let mut keys = keys.into_iter();
    let (Some(contact_key), Some(contact_row)) = (keys.next(), rows.next()) else { return Ok(None) };
    let contact = read_contact(contact_key, contact_row)?;
    let target = match (keys.next(), rows.next()) {
        (Some(key), Some(row)) => Some(read_or_default(Format::Target, key, row)?),
        _ => None,
    };
    let version = loaded.scope.version(enrollment.sequence, enrollment.version).cloned();
    let version = version.ok_or_else(|| Error::Unavailable("a version is missing".to_owned()))?;
    let (addresses, engine_ahead) = (Addresses::default(), Span::ZERO);
    Ok(Some(Facts { loaded, version, record, contact, target, addresses, engine_ahead }))
}

/// A transition on its way into a commit.
pub(crate) struct Transition {
    pub(crate) commit: Commit,
    pub(crate) after: Record,
}

impl Transition {
    /// Writes what suppresses an address, too.
    pub(crate) fn take_in(&mut self, suppressed: Commit) {
        self.commit.expects.extend(suppressed.expects);
        self.commit.puts.extend(suppressed.puts);
        self.commit.counts.extend(suppressed.counts);
    }

    /// Writes the contact's row, unless the transition does so anyway.
    pub(crate) fn put_once(&mut self, facts: &Facts, contact: Option<(Key, bytes::Bytes)>) {
        let Some((key, body)) = contact else { return };
        if !self.commit.puts.iter().any(|(known, _)| *known == key) {
            self.commit.expects.push(facts.contact.expectation());
            self.commit.puts.push((key, body));
        }
    }
}

/// The commit of `decisions`, taken at `now` on what `facts` says: record, wake, indexes and counters.
///
/// It expects the enrollment as read; whoever depends on more adds it.
pub(crate) fn transition(
    facts: &Facts,
    decisions: &[Decision],
    now: Moment,
    trace: TraceId,
    class: Class,
    planted: Planted,
) -> Result<Transition, Error> {
    let before = facts.enrollment();
    let after = decide::apply(before.clone(), decisions, now);
    debug_assert!(invariant::e1_one_wake(&after), "E1 {after:?} by {decisions:?}");
    debug_assert!(invariant::e2_open_send_keeps_row(before, &after), "E2 {before:?} {decisions:?}");
    let mut commit = Commit::new(class, before.tenant, facts.loaded.shard);
    commit.expects.push(facts.record.expectation());
    let entries = decisions.iter().map(|decision| Entry { at: now, trace, decision: decision.clone() });
    let mut record = facts.record.value.clone();
    record.enrollment = after;
    entries.for_each(|entry| decision::tell(&mut record.history, entry));
    spill(&mut record, &mut commit)?;
    move_wake(before, &record.enrollment, &mut commit, planted);
    if record.enrollment.state.is_over() && !before.state.is_over() {
        leave_indexes(facts, &record.enrollment, now, &mut commit, planted)?;
    }
    if before.state.is_over() && !record.enrollment.state.is_over() {
        return_to_indexes(facts, record.enrollment.id, &mut commit)?;
    }
    count(facts.loaded.shard, Some(before), &record.enrollment, &mut commit);
    let (was, is) = (before.calling(), record.enrollment.calling());
    if was != is {
        let key = |channel| Key::calling(facts.loaded.shard, Lane { tenant: before.tenant, channel });
        commit.counts.extend(was.map(|channel| Count { key: key(channel), by: -1 }));
        commit.counts.extend(is.map(|channel| Count { key: key(channel), by: 1 }));
    }
    for counted in signal::counted(before, &record.enrollment) {
        count_signal(&facts.loaded, &counted, now, &mut commit);
    }
    put(&mut commit, facts.record.key.clone(), Format::Enrollment, &record)?;
    Ok(Transition { commit, after: record })
}

/// Moves the older half of a history that has grown too long to a row of its own.
fn spill(record: &mut Record, commit: &mut Commit) -> Result<(), Error> {
    if record.history.len() <= limits::HISTORY_INLINE {
        return Ok(());
    }
    let older: Vec<Entry> = record.history.drain(..limits::HISTORY_INLINE / 2).collect();
    let key = Key::history(record.enrollment.id, record.spilled);
    record.spilled += u32::try_from(older.len()).unwrap_or(u32::MAX);
    put(commit, key, Format::History, &older)
}

fn move_wake(before: &Enrollment, after: &Enrollment, commit: &mut Commit, planted: Planted) {
    let (was, is) = (before.wake_row(), after.wake_row());
    if was == is {
        return;
    }
    let forgotten = planted.is(Bug::WakeForgottenOnExit) && matches!(after.state, State::Exited(_));
    let was = was.filter(|_| !forgotten);
    commit.deletes.extend(was.map(|row| Key::wake(&row)));
    put_wake(is, commit);
    let miscounted = planted.is(Bug::WakeStillCounted) && matches!(after.state, State::Exited(_));
    backlog::count(was.filter(|_| !miscounted), -1, commit);
}

/// Puts a wake, and counts it.
pub(crate) fn put_wake(wake: Option<WakeRow>, commit: &mut Commit) {
    commit.puts.extend(wake.map(|row| (Key::wake(&row), bytes::Bytes::new())));
    backlog::count(wake, 1, commit);
}

/// Takes an enrollment that is over out of the rows that index it.
fn leave_indexes(
    facts: &Facts,
    after: &Enrollment,
    now: Moment,
    commit: &mut Commit,
    planted: Planted,
) -> Result<(), Error> {
    let reason = match after.state {
        State::Exited(reason) => Some(reason),
        State::Active | State::Paused { .. } | State::Completed | State::Failed(_) => None,
    };
    if !planted.is(Bug::UniqueKeyKept) {
        let mut contact = facts.contact.value.clone();
        contact.end(after.id, now, reason);
        commit.expects.push(facts.contact.expectation());
        put(commit, facts.contact.key.clone(), Format::Contact3, &contact)?;
    }
    if let Some(target) = &facts.target {
        let mut left = target.value.clone();
        left.enrollments.retain(|id| *id != after.id);
        commit.expects.push(target.expectation());
        put(commit, target.key.clone(), Format::Target, &left)?;
    }
    Ok(())
}

/// Puts an enrollment that has come back into the rows that index it. These are expected: what they would have ended
/// meanwhile does not come back.
fn return_to_indexes(facts: &Facts, id: EnrollmentId, commit: &mut Commit) -> Result<(), Error> {
    let mut contact = facts.contact.value.clone();
    contact.returns(id);
    commit.expects.push(facts.contact.expectation());
    put(commit, facts.contact.key.clone(), Format::Contact3, &contact)?;
    if let Some(target) = &facts.target {
        let mut joined = target.value.clone();
        joined.enrollments.push(id);
        commit.expects.push(target.expectation());
        put(commit, target.key.clone(), Format::Target, &joined)?;
    }
    Ok(())
}

/// Moves the funnel's counters by what the transition changes.
pub(crate) fn count(
    shard: followupd_domain::Shard,
    before: Option<&Enrollment>,
    after: &Enrollment,
    commit: &mut Commit,
) {
    for (metric, by) in funnel::difference(before, after) {
        let key = Key::count(shard, after.tenant, after.sequence, after.version, metric);
        commit.counts.push(Count { key, by });
    }
}

/// Moves the counters of how a channel fares.
pub(crate) fn count_signal(loaded: &Loaded, counted: &Counted, now: Moment, commit: &mut Commit) {
    let Counted { channel, hour, signal, by, sent_at } = *counted;
    // What was sent before a person looked counts no more, whatever becomes of it; where the clock was set back since,
    // nobody can tell. What is uncertain is so whoever has looked.
    let known = loaded.scope.channels.get(&channel).filter(|_| signal != Signal::Uncertain);
    if known.is_some_and(|known| sent_at < known.watched_from && known.watched_from <= now) {
        return;
    }
    let lane = Lane { tenant: loaded.scope.tenant.no, channel };
    commit.counts.push(Count { key: Key::signal(loaded.shard, lane, hour, signal), by });
}

/// Puts a record into a commit; a second put of the same row replaces the first.
pub(crate) fn put<T: Serialize>(
    commit: &mut Commit,
    key: Key,
    format: Format,
    value: &T,
) -> Result<(), Error> {
    let body = codec::encode(format, value).map_err(|error| Error::Unavailable(error.to_string()))?;
    commit.puts.retain(|(known, _)| *known != key);
    commit.puts.push((key, body));
    Ok(())
}
