//! Keys as a person reads them.

use std::collections::BTreeMap;

use followupd_domain::TenantNo;
use followupd_store::Key;
use followupd_store::keys::Table;

/// The bytes of a tenant's table before what the table sorts by: the table, the shard, the tenant.
const HEAD: usize = 7;

/// The names that were met.
#[derive(Debug, Default)]
pub(super) struct Words {
    tenants: BTreeMap<TenantNo, String>,
}

impl Words {
    /// Meets a name of the directory.
    pub(super) fn name(&mut self, key: &Key, no: TenantNo) {
        let name = key.as_bytes().get(3..).unwrap_or_default();
        self.tenants.insert(no, String::from_utf8_lossy(name).into_owned());
    }

    /// Whether a number is a tenant's, or that of what is no tenant's.
    pub(super) fn knows(&self, no: TenantNo) -> bool {
        no == TenantNo(0) || self.tenants.contains_key(&no)
    }

    /// A tenant by name, else by number.
    pub(super) fn tenant(&self, no: TenantNo) -> String {
        self.tenants.get(&no).map_or_else(|| format!("tenant {}", no.0), |name| format!("tenant {name}"))
    }

    /// What stands under a key.
    pub(super) fn key(&self, key: &Key) -> String {
        let Some(table) = key.kind() else { return format!("row {key:?}") };
        let word = of(table);
        let tenant = || key.tenant_no().map(|no| self.tenant(no)).unwrap_or_default();
        match table {
            Table::Enrollment => key.to_enrollment().map(|id| id.to_string()),
            Table::History => history(key)
                .and_then(|(histories, first)| Some((as_enrollment(&histories)?.to_enrollment()?, first)))
                .map(|(id, first)| format!("history of {id} from entry {first}")),
            Table::Wake => key.to_wake().map(|wake| {
                let at = crate::clock::utc(wake.due_at);
                format!("wake of {} due {at}, {}", wake.enrollment, self.tenant(wake.lane.tenant))
            }),
            Table::Backlog => key.to_backlog().map(|(lane, queue, hour)| {
                let (at, tenant) = (crate::clock::utc(hour), self.tenant(lane.tenant));
                let (channel, sequence) = (lane.channel.0, queue.sequence.0);
                format!("{word} of channel {channel} and sequence {sequence} due from {at}, {tenant}")
            }),
            Table::Contact => contact(key).map(|(_, id)| format!("contact {id} of {}", tenant())),
            Table::Target => key.as_bytes().get(HEAD + 1..).map(|id| {
                let id = String::from_utf8_lossy(id);
                format!("target {id} of {}", tenant())
            }),
            Table::Stop | Table::Clock | Table::Store => Some(word.to_owned()),
            Table::Name | Table::Access => key.as_bytes().get(3..).map(|name| {
                let name = String::from_utf8_lossy(name);
                format!("{word} {name}")
            }),
            Table::Deleted => key.tenant_no().map(|no| format!("{word}, number {}", no.0)),
            Table::Audit
            | Table::Event
            | Table::FanOut
            | Table::Once
            | Table::Ledger
            | Table::Recipients
            | Table::Count
            | Table::Signal
            | Table::Calling
            | Table::Suppression
            | Table::Address
            | Table::Scope
            | Table::Version => Some(format!("{word} {key:?} of {}", tenant())),
        }
        .unwrap_or_else(|| format!("{word} {key:?}"))
    }
}

/// What rows of a table are called.
pub(super) fn of(table: Table) -> &'static str {
    match table {
        Table::Audit => "audit line",
        Table::Access => "access key",
        Table::Name => "name of a tenant",
        Table::Contact => "contact",
        Table::Event => "event id",
        Table::Enrollment => "enrollment",
        Table::FanOut => "event under way",
        Table::History => "history",
        Table::Once => "call made once",
        Table::Stop => "stop of all sending",
        Table::Ledger => "ledger",
        Table::Recipients => "count of recipients",
        Table::Count => "counter",
        Table::Signal => "signal of a channel",
        Table::Backlog => "count of wakes",
        Table::Calling => "count of calls under way",
        Table::Clock => "clock",
        Table::Deleted => "deleted tenant",
        Table::Suppression => "suppressed address",
        Table::Address => "contact by address",
        Table::Scope => "tenant, account, channel or sequence",
        Table::Target => "target",
        Table::Version => "version",
        Table::Wake => "wake",
        Table::Store => "store",
    }
}

/// The tenant and the id in a key of [`Key::contact`].
pub(super) fn contact(key: &Key) -> Option<(TenantNo, String)> {
    let id = String::from_utf8(key.as_bytes().get(HEAD..)?.to_vec()).ok()?;
    Some((key.tenant_no()?, id))
}

/// What a key of [`Key::history`] begins with, and its first entry.
pub(super) fn history(key: &Key) -> Option<(Key, u32)> {
    let (histories, first) = key.as_bytes().split_last_chunk::<4>()?;
    Some((Key::from_bytes(histories.to_vec()), u32::from_be_bytes(*first)))
}

/// The key of the enrollment whose history keys begin with this.
fn as_enrollment(histories: &Key) -> Option<Key> {
    let (_, rest) = histories.as_bytes().split_first()?;
    Some(Key::from_bytes([&[Table::Enrollment as u8], rest].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use followupd_domain::{EnrollmentId, Moment, Shard};

    #[test]
    fn keys_read_as_what_they_are_of() {
        let mut words = Words::default();
        words.name(&Key::tenant_name("acme"), TenantNo(3));
        let shard = Shard(7);
        let id = EnrollmentId::new(Moment(1_795_435_200_000), shard, 42);
        let table = [
            (Key::contact(shard, TenantNo(3), "ana"), "contact ana of tenant acme".to_owned()),
            (Key::contact(shard, TenantNo(4), "ana"), "contact ana of tenant 4".to_owned()),
            (Key::enrollment(id), id.to_string()),
            (Key::history(id, 16), format!("history of {id} from entry 16")),
            (Key::access("crm"), "access key crm".to_owned()),
            (Key::stop(), "stop of all sending".to_owned()),
        ];
        for (key, expected) in table {
            assert_eq!(words.key(&key), expected);
        }
        assert!(words.key(&Key::from_bytes(vec![0xff, 1])).starts_with("row "));
    }
}
