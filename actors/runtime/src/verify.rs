//! Whether the rows of a store make sense: each by itself, and together. For a store that nobody runs, for a backup,
//! and for the simulator, which holds every run to it.
//!
//! Rows are looked at once, in key order. What one row promises of another is remembered until that one comes: a few
//! hundred bytes for each enrollment that has not ended, fewer for one that has.

use std::collections::{BTreeMap, BTreeSet};

use followupd_domain::access::AccessKey;
use followupd_domain::account::Account;
use followupd_domain::contact::Contact;
use followupd_domain::decision::Entry;
use followupd_domain::enrollment::Enrollment;
use followupd_domain::lane::Lane;
use followupd_domain::ledger::{Ledger, Recipients};
use followupd_domain::target::Target;
use followupd_domain::{EnrollmentId, Moment, TenantNo, funnel, invariant};
use followupd_store::codec::Format;
use followupd_store::keys::Table;
use followupd_store::{Key, Row, Version};
use serde::de::DeserializeOwned;

use crate::api::Error;
use crate::audit::Audited;
use crate::backlog;
use crate::delete::Deleted;
use crate::engine::opening::StoreRow;
use crate::event::FanOut;
use crate::loaded::decode;
use crate::old;
use crate::once::Done;
use crate::record::Record;
use crate::stop::Stop;

mod words;

use words::Words;

/// What is wrong with the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The invariant that is broken, such as `E1`; `row` for a row that makes no sense by itself.
    pub name: &'static str,
    /// The row or the enrollment it is about, in words.
    pub about: String,
    /// What is wrong.
    pub what: String,
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Rows of each kind.
    pub rows: BTreeMap<&'static str, u64>,
    /// Enrollments that have not ended.
    pub open: u64,
    /// The first faults, [`Report::FAULTS`] at most.
    pub faults: Vec<Fault>,
    /// Faults beyond these.
    pub more: u64,
}

impl Report {
    /// Faults that are kept: nobody reads more, and what damages a file damages much of it.
    pub const FAULTS: usize = 1_000;

    fn add(&mut self, name: &'static str, about: String, what: String) {
        if self.faults.len() < Report::FAULTS {
            self.faults.push(Fault { name, about, what });
        } else {
            self.more += 1;
        }
    }
}

/// A row that names an enrollment before that comes.
#[derive(Debug)]
struct Named {
    /// By which contact of which tenant.
    tenant: TenantNo,
    contact: String,
    /// As one that has not ended.
    open: bool,
}

/// Looks at rows.
#[derive(Debug, Default)]
pub struct Verifier {
    report: Report,
    words: Words,
    last: Version,
    /// Tenants that were deleted, of which any rows may be left.
    deleted: BTreeSet<TenantNo>,
    /// History of theirs that may be left.
    deleted_histories: BTreeSet<Key>,
    /// What contacts say of enrollments that were not met yet.
    named: BTreeMap<EnrollmentId, Named>,
    /// Enrollments whose older history was not met yet.
    spilled: BTreeMap<Key, (Record, Vec<Entry>)>,
    /// Wakes that enrollments have, and whether for an open send.
    wakes: BTreeMap<Key, bool>,
    /// Targets and who is enrolled about them.
    targets: BTreeMap<Key, BTreeSet<EnrollmentId>>,
    /// What the counters have to say.
    counts: BTreeMap<Key, i64>,
    /// By how much the wakes of each hour of a queue are more than is said of them.
    uncounted: BTreeMap<Key, i64>,
}

impl Verifier {
    /// One for a store whose last commit has this number.
    #[must_use]
    pub fn new(last: Version) -> Verifier {
        Verifier { last, ..Verifier::default() }
    }

    /// Looks at the next row; they come in key order.
    pub fn row(&mut self, key: &Key, row: &Row) {
        if row.version > self.last {
            self.fault(
                "row",
                key,
                format!("it was written by commit {}, and the last is {}", row.version.0, self.last.0),
            );
        }
        let Some(table) = key.kind() else {
            return self.fault(
                "row",
                key,
                "no such kind of row is known: was it written by a newer release?".to_owned(),
            );
        };
        *self.report.rows.entry(words::of(table)).or_default() += 1;
        let is_of_tenant = Table::OF_TENANTS.contains(&table);
        if let Some(no) = key.tenant_no().filter(|_| is_of_tenant) {
            if self.deleted.contains(&no) {
                return;
            }
            if !self.words.knows(no) {
                self.fault("E14", key, "no tenant has this number".to_owned());
            }
        }
        match self.of_table(table, key, &row.body) {
            Ok(()) => {}
            Err(Error::Unavailable(what)) => self.fault("row", key, what),
            Err(error) => self.fault("row", key, error.to_string()),
        }
    }

    /// What was found, when all rows were looked at.
    #[must_use]
    pub fn finish(mut self) -> Report {
        for (id, named) in std::mem::take(&mut self.named) {
            let what = format!(
                "contact {} of {} names it, and it is not there",
                named.contact,
                self.words.tenant(named.tenant)
            );
            self.report.add("E14", id.to_string(), what);
        }
        for (record, _) in std::mem::take(&mut self.spilled).into_values() {
            let what = format!("{} entries of its history are not there", record.spilled);
            self.report.add("E9", record.enrollment.id.to_string(), what);
        }
        for (key, open) in std::mem::take(&mut self.wakes) {
            let name = if open { "E2" } else { "E1" };
            self.fault(name, &key, "an enrollment has it, and it is not there".to_owned());
        }
        for (key, ids) in std::mem::take(&mut self.targets) {
            self.fault("E9", &key, format!("{} enrollments are about it, and it is not there", ids.len()));
        }
        for (key, wanted) in std::mem::take(&mut self.counts) {
            self.fault("E9", &key, format!("it is not there: the enrollments come to {wanted}"));
        }
        self.report
    }

    fn fault(&mut self, name: &'static str, key: &Key, what: String) {
        let about = self.words.key(key);
        self.report.add(name, about, what);
    }

    fn of_table(&mut self, table: Table, key: &Key, body: &[u8]) -> Result<(), Error> {
        match table {
            Table::Audit => read::<Audited>(Format::Audit, body),
            Table::Access => read::<AccessKey>(Format::Access, body),
            Table::Event => read::<Moment>(Format::Event, body),
            Table::FanOut => read::<FanOut>(Format::FanOut, body),
            Table::Once => read::<Done>(Format::Once, body),
            Table::Stop => read::<Stop>(Format::Stop, body),
            Table::Clock => old::clock(body).map(drop),
            Table::Suppression => old::address_facts(body).map(drop),
            Table::Address => address(key, body),
            Table::Version => old::version(body).map(drop),
            Table::Store => read::<StoreRow>(Format::Store, body),
            Table::Scope => scope(key, body),
            Table::Ledger => Ledger::decode(body).map(drop).map_err(|error| damaged(&error)),
            Table::Recipients => Recipients::decode(body).map(drop).map_err(|error| damaged(&error)),
            Table::Name => {
                self.words.name(key, decode(Format::Name, body)?);
                Ok(())
            }
            Table::Deleted => {
                self.deleted.extend(key.tenant_no());
                read::<Deleted>(Format::Deleted, body)
            }
            Table::Contact => self.contact(key, &old::contact(body)?),
            Table::Enrollment => self.enrollment(key, decode(Format::Enrollment, body)?),
            Table::History => self.history(key, decode(Format::History, body)?),
            Table::Count | Table::Calling => self.count(key, body),
            Table::Signal => number(body).map(drop),
            Table::Backlog => self.backlog(key, body),
            Table::Target => self.target(key, &decode(Format::Target, body)?),
            Table::Wake => self.wake(key, body),
        }
    }

    fn contact(&mut self, key: &Key, contact: &Contact) -> Result<(), Error> {
        let Some((tenant, id)) = words::contact(key) else {
            return Err(damaged(&"its key is none of a contact"));
        };
        for membership in &contact.enrollments {
            let named = Named { tenant, contact: id.clone(), open: membership.ended.is_none() };
            if self.named.insert(membership.enrollment, named).is_some() {
                self.fault("E9", key, format!("{} is named twice by contacts", membership.enrollment));
            }
        }
        Ok(())
    }

    fn enrollment(&mut self, key: &Key, record: Record) -> Result<(), Error> {
        let enrollment = &record.enrollment;
        if self.deleted.contains(&enrollment.tenant) {
            self.deleted_histories.extend((record.spilled > 0).then(|| Key::histories(enrollment.id)));
            return Ok(());
        }
        let (id, about) = (enrollment.id, enrollment.id.to_string());
        if !self.words.knows(enrollment.tenant) {
            let what = format!("no tenant has number {}", enrollment.tenant.0);
            self.report.add("E14", about.clone(), what);
        }
        if Key::enrollment(id) != *key {
            self.fault("E9", key, format!("{id} stands under another's key"));
        }
        if !invariant::e1_one_wake(enrollment) {
            self.report.add(
                "E1",
                about.clone(),
                format!("{:?} with the wake {:?}", enrollment.state, enrollment.wake),
            );
        }
        let is_open = !enrollment.state.is_over();
        self.report.open += u64::from(is_open);
        self.indexed(enrollment, is_open);
        if let Some(wake) = enrollment.wake_row() {
            self.wakes.insert(Key::wake(&wake), enrollment.open.is_some());
            *self.uncounted.entry(backlog::key(&wake)).or_default() += 1;
        }
        if let Some(target) = enrollment.target.as_ref().filter(|_| is_open) {
            let key = Key::target(id.shard(), enrollment.tenant, target);
            self.targets.entry(key).or_default().insert(id);
        }
        for metric in funnel::contribution(enrollment) {
            let (tenant, sequence, version) = (enrollment.tenant, enrollment.sequence, enrollment.version);
            *self.counts.entry(Key::count(id.shard(), tenant, sequence, version, metric)).or_default() += 1;
        }
        if let Some(channel) = enrollment.calling() {
            *self
                .counts
                .entry(Key::calling(id.shard(), Lane { tenant: enrollment.tenant, channel }))
                .or_default() += 1;
        }
        if record.spilled > 0 {
            self.spilled.insert(Key::histories(id), (record, Vec::new()));
        } else if !invariant::e9_state_is_fold(enrollment, &record.history) {
            self.report.add("E9", about, "its state is not the fold of its history".to_owned());
        }
        Ok(())
    }

    /// Holds that its contact names it as what it is, and no contact of another tenant does.
    fn indexed(&mut self, enrollment: &Enrollment, is_open: bool) {
        let about = enrollment.id.to_string();
        let contact = &enrollment.contact;
        match self.named.remove(&enrollment.id) {
            Some(named) if named.tenant != enrollment.tenant => {
                let tenant = self.words.tenant(named.tenant);
                self.report.add("E14", about, format!("contact {} of {tenant} names it", named.contact));
            }
            Some(named) if is_open && (!named.open || named.contact != *contact) => {
                let what = format!("contact {} names it: it is open, and {contact}'s", named.contact);
                self.report.add("E9", about, what);
            }
            Some(named) if !is_open && named.open => {
                self.report.add(
                    "E9",
                    about,
                    format!("contact {} names it as open, and it has ended", named.contact),
                );
            }
            None if is_open => {
                self.report.add("E9", about, format!("its contact, {contact}, does not name it"))
            }
            Some(_) | None => {}
        }
    }

    fn history(&mut self, key: &Key, entries: Vec<Entry>) -> Result<(), Error> {
        let Some((histories, first)) = words::history(key) else {
            return Err(damaged(&"its key is none of a history"));
        };
        if self.deleted_histories.contains(&histories) {
            return Ok(());
        }
        let Some((record, older)) = self.spilled.get_mut(&histories) else {
            self.fault("E9", key, "no enrollment has it".to_owned());
            return Ok(());
        };
        let in_order = older.len() == first as usize;
        older.extend(entries);
        if older.len() < record.spilled as usize && in_order {
            return Ok(());
        }
        let Some((record, mut history)) = self.spilled.remove(&histories) else { return Ok(()) };
        let whole = in_order && history.len() == record.spilled as usize;
        history.extend(record.history);
        if !whole || !invariant::e9_state_is_fold(&record.enrollment, &history) {
            let what = "its state is not the fold of its history".to_owned();
            self.report.add("E9", record.enrollment.id.to_string(), what);
        }
        Ok(())
    }

    /// What is said of the wakes of an hour. Only behind all of it stands that it is whole: a store of an earlier
    /// release says nothing.
    fn backlog(&mut self, key: &Key, body: &[u8]) -> Result<(), Error> {
        if *key != Key::backlogs_kept() {
            *self.uncounted.entry(key.clone()).or_default() -= number(body)?;
            return Ok(());
        }
        for (key, by) in std::mem::take(&mut self.uncounted).into_iter().filter(|(_, by)| *by != 0) {
            let word = if by > 0 { "fewer" } else { "more" };
            self.fault("E9", &key, format!("it says {} {word} than there are", by.unsigned_abs()));
        }
        read::<Moment>(Format::BacklogsKept, body)
    }

    fn count(&mut self, key: &Key, body: &[u8]) -> Result<(), Error> {
        let found = number(body)?;
        let wanted = self.counts.remove(key).unwrap_or_default();
        if found != wanted {
            self.fault("E9", key, format!("it says {found}: the enrollments come to {wanted}"));
        }
        Ok(())
    }

    fn target(&mut self, key: &Key, target: &Target) -> Result<(), Error> {
        let found: BTreeSet<EnrollmentId> = target.enrollments.iter().copied().collect();
        let wanted = self.targets.remove(key).unwrap_or_default();
        for id in wanted.difference(&found) {
            self.fault("E9", key, format!("it does not name {id}, which is about it"));
        }
        for id in found.difference(&wanted) {
            self.fault("E9", key, format!("it names {id}, which is not open about it"));
        }
        Ok(())
    }

    fn wake(&mut self, key: &Key, body: &[u8]) -> Result<(), Error> {
        if self.wakes.remove(key).is_none() {
            self.fault("E9", key, "no enrollment has it".to_owned());
        }
        if body.is_empty() { Ok(()) } else { Err(damaged(&"its key says all, and it has a body")) }
    }
}

/// A row that says it all in its key.
fn address(key: &Key, body: &[u8]) -> Result<(), Error> {
    match key.to_address_contact() {
        None if key.is_addresses_known() && body.len() <= 1 => Ok(()),
        Some(_) if body.is_empty() => Ok(()),
        Some(_) => Err(damaged(&"it has a body")),
        None => Err(damaged(&"its key names no contact")),
    }
}

fn scope(key: &Key, body: &[u8]) -> Result<(), Error> {
    match key.as_bytes().get(7) {
        Some(b'a') => old::tenant(body).map(drop),
        Some(b'c') => old::channel(body).map(drop),
        Some(b'k') => read::<Account>(Format::Account, body),
        Some(b's') => old::sequence(body).map(drop),
        _ => Err(damaged(&"its key is none of a tenant, account, channel or sequence")),
    }
}

fn number(body: &[u8]) -> Result<i64, Error> {
    body.try_into().map(i64::from_le_bytes).map_err(|_| damaged(&"it is no number"))
}

fn read<T: DeserializeOwned>(format: Format, body: &[u8]) -> Result<(), Error> {
    decode::<T>(format, body).map(drop)
}

fn damaged(what: &dyn std::fmt::Display) -> Error {
    Error::Unavailable(what.to_string())
}
