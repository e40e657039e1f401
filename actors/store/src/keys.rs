//! The on-disk keys. They are the order of everything: a range of them is what a lane pulls and a page lists.
//!
//! A key is a table byte, the shard, then what the table sorts by, all big-endian. Names of variable length stand
//! last, or carry their length before them. Changing anything here is a new format.

use followupd_domain::event::EventKey;
use followupd_domain::funnel::Metric;
use followupd_domain::lane::{HoldGroup, Lane, PriorityClass, Queue, WakeRow};
use followupd_domain::suppression::AddressHash;
use followupd_domain::target::TargetRef;
use followupd_domain::time::Moment;
use followupd_domain::{AccountNo, ChannelNo, EnrollmentId, SequenceNo, Shard, TenantNo, VersionNo};

mod counters;
mod table;

pub use table::Table;

/// The bytes a row stands under.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Vec<u8>);

/// The shard of what belongs to no tenant: the directory of names and the store's own row.
pub const SYSTEM: Shard = Shard(u16::MAX);

impl Key {
    /// The key of these bytes, as a store read them.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Key(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The shard it lies in; `None` when it is too short to be a key of ours.
    #[must_use]
    pub fn shard(&self) -> Option<Shard> {
        let (_, rest) = self.0.split_first().filter(|(table, _)| **table > 0)?;
        rest.first_chunk::<2>().map(|shard| Shard(u16::from_be_bytes(*shard)))
    }

    /// What kind of row stands under it; `None` where this build knows no such.
    #[must_use]
    pub fn kind(&self) -> Option<Table> {
        let first = self.0.first()?;
        Table::ALL.into_iter().find(|table| *table as u8 == *first)
    }

    /// Whose row it is, where its table is one of tenants.
    #[must_use]
    pub fn tenant_no(&self) -> Option<TenantNo> {
        let bytes = self.0.get(3..7)?.try_into().ok()?;
        Some(TenantNo(u32::from_be_bytes(bytes)))
    }

    fn start(table: Table, shard: Shard) -> Self {
        let mut bytes = Vec::with_capacity(64);
        bytes.push(table as u8);
        bytes.extend_from_slice(&shard.0.to_be_bytes());
        Key(bytes)
    }

    fn u32(mut self, n: u32) -> Self {
        self.0.extend_from_slice(&n.to_be_bytes());
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// The first key after every key that begins with this one.
    #[must_use]
    pub fn after_prefix(&self) -> Key {
        let mut bytes = self.0.clone();
        while let Some(last) = bytes.pop() {
            if last < u8::MAX {
                bytes.push(last + 1);
                return Key(bytes);
            }
        }
        Key(vec![u8::MAX; 16])
    }

    /// The first key after this one.
    #[must_use]
    pub fn successor(&self) -> Key {
        let mut bytes = self.0.clone();
        bytes.push(0);
        Key(bytes)
    }

    /// Begins every key of a table in a shard.
    #[must_use]
    pub fn table(table: Table, shard: Shard) -> Key {
        Key::start(table, shard)
    }

    /// The store's own row.
    #[must_use]
    pub fn store() -> Key {
        Key::start(Table::Store, SYSTEM)
    }

    /// What stops all sending, while it is stopped.
    #[must_use]
    pub fn stop() -> Key {
        Key::start(Table::Stop, SYSTEM)
    }

    /// What the clock said when it was last written down.
    #[must_use]
    pub fn clock() -> Key {
        Key::start(Table::Clock, SYSTEM)
    }

    /// A tenant's name.
    #[must_use]
    pub fn tenant_name(name: &str) -> Key {
        Key::start(Table::Name, SYSTEM).bytes(name.as_bytes())
    }

    /// A tenant that was deleted.
    #[must_use]
    pub fn deleted(tenant: TenantNo) -> Key {
        Key::start(Table::Deleted, SYSTEM).u32(tenant.0)
    }

    /// Begins the rows of a tenant in one of [`Table::OF_TENANTS`].
    #[must_use]
    pub fn of_tenant(table: Table, shard: Shard, tenant: TenantNo) -> Key {
        Key::start(table, shard).u32(tenant.0)
    }

    /// An access key.
    #[must_use]
    pub fn access(name: &str) -> Key {
        Key::start(Table::Access, SYSTEM).bytes(name.as_bytes())
    }

    /// Begins the audit log of a tenant.
    #[must_use]
    pub fn audits(shard: Shard, tenant: TenantNo) -> Key {
        Key::start(Table::Audit, shard).u32(tenant.0)
    }

    /// A line of the audit log; later ones come first, `unique` tells apart those of one millisecond.
    #[must_use]
    pub fn audit(shard: Shard, tenant: TenantNo, at: Moment, unique: EnrollmentId) -> Key {
        Key::audits_from(shard, tenant, at).bytes(&unique.as_bytes()[8..])
    }

    /// What came of a call: whose key it was made with, and the id the caller gave it.
    #[must_use]
    pub fn once(shard: Shard, tenant: TenantNo, key: &[u8], id: &str) -> Key {
        Key::onces(shard, tenant).bytes(key).bytes(id.as_bytes())
    }

    /// Begins what came of a tenant's calls that are made once.
    #[must_use]
    pub fn onces(shard: Shard, tenant: TenantNo) -> Key {
        Key::start(Table::Once, shard).u32(tenant.0)
    }

    /// Begins the lines of a tenant's audit log that were written at a moment or before.
    #[must_use]
    pub fn audits_from(shard: Shard, tenant: TenantNo, at: Moment) -> Key {
        Key::audits(shard, tenant).bytes(&(!(at.0 as u64 ^ (1 << 63))).to_be_bytes())
    }

    /// Begins the scopes of a tenant.
    #[must_use]
    pub fn scopes(shard: Shard, tenant: TenantNo) -> Key {
        Key::start(Table::Scope, shard).u32(tenant.0)
    }

    /// A tenant's scope: settings and holds.
    #[must_use]
    pub fn tenant(shard: Shard, tenant: TenantNo) -> Key {
        Key::scopes(shard, tenant).bytes(b"a")
    }

    /// A channel's scope.
    #[must_use]
    pub fn channel(shard: Shard, tenant: TenantNo, channel: ChannelNo) -> Key {
        Key::scopes(shard, tenant).bytes(b"c").u32(channel.0)
    }

    /// An account's scope.
    #[must_use]
    pub fn account(shard: Shard, tenant: TenantNo, account: AccountNo) -> Key {
        Key::scopes(shard, tenant).bytes(b"k").u32(account.0)
    }

    /// A sequence's scope.
    #[must_use]
    pub fn sequence(shard: Shard, tenant: TenantNo, sequence: SequenceNo) -> Key {
        Key::scopes(shard, tenant).bytes(b"s").u32(sequence.0)
    }

    /// A published version.
    #[must_use]
    pub fn version(shard: Shard, tenant: TenantNo, sequence: SequenceNo, version: VersionNo) -> Key {
        Key::versions(shard, tenant).u32(sequence.0).u32(version.0)
    }

    /// Begins the published versions of a tenant's sequences.
    #[must_use]
    pub fn versions(shard: Shard, tenant: TenantNo) -> Key {
        Key::start(Table::Version, shard).u32(tenant.0)
    }

    /// The sequence in a key of [`Key::version`]; `None` for any other key.
    #[must_use]
    pub fn to_version_sequence(&self) -> Option<SequenceNo> {
        let rest = self.0.strip_prefix(&[Table::Version as u8])?;
        let sequence = rest.get(6..10)?.try_into().ok()?;
        Some(SequenceNo(u32::from_be_bytes(sequence)))
    }

    /// A contact.
    #[must_use]
    pub fn contact(shard: Shard, tenant: TenantNo, contact: &str) -> Key {
        Key::contacts(shard, tenant).bytes(contact.as_bytes())
    }

    /// Begins the contacts of a tenant.
    #[must_use]
    pub fn contacts(shard: Shard, tenant: TenantNo) -> Key {
        Key::start(Table::Contact, shard).u32(tenant.0)
    }

    /// The contact in a key of [`Key::contact`]; `None` for any other key.
    #[must_use]
    pub fn to_contact(&self) -> Option<&str> {
        let rest = self.0.strip_prefix(&[Table::Contact as u8])?;
        str::from_utf8(rest.get(2 + 4..)?).ok()
    }

    /// What is known of an address.
    #[must_use]
    pub fn suppression(shard: Shard, tenant: TenantNo, address: AddressHash) -> Key {
        Key::suppressions(shard, tenant).bytes(&address)
    }

    /// Begins what is known of a tenant's addresses.
    #[must_use]
    pub fn suppressions(shard: Shard, tenant: TenantNo) -> Key {
        Key::start(Table::Suppression, shard).u32(tenant.0)
    }

    /// A contact by one of its addresses.
    #[must_use]
    pub fn address(shard: Shard, tenant: TenantNo, address: AddressHash, contact: &str) -> Key {
        Key::at_address(shard, tenant, address).bytes(contact.as_bytes())
    }

    /// Begins the contacts that have an address.
    #[must_use]
    pub fn at_address(shard: Shard, tenant: TenantNo, address: AddressHash) -> Key {
        Key::start(Table::Address, shard).u32(tenant.0).bytes(&address)
    }

    /// Says how far the contacts of a tenant are written down by their addresses.
    #[must_use]
    pub fn addresses_known(shard: Shard, tenant: TenantNo) -> Key {
        Key::of_tenant(Table::Address, shard, tenant)
    }

    /// Whether it is one of [`Key::addresses_known`].
    #[must_use]
    pub fn is_addresses_known(&self) -> bool {
        self.kind() == Some(Table::Address) && self.0.len() == 1 + 2 + 4
    }

    /// The contact in a key of [`Key::address`]; `None` for any other key.
    #[must_use]
    pub fn to_address_contact(&self) -> Option<&str> {
        let rest = self.0.strip_prefix(&[Table::Address as u8])?;
        str::from_utf8(rest.get(2 + 4 + size_of::<AddressHash>()..)?).ok()
    }

    /// A target.
    #[must_use]
    pub fn target(shard: Shard, tenant: TenantNo, target: &TargetRef) -> Key {
        Key::targets(shard, tenant).bytes(&[target.kind.code()]).bytes(target.id.as_bytes())
    }

    /// Begins the targets of a tenant.
    #[must_use]
    pub fn targets(shard: Shard, tenant: TenantNo) -> Key {
        Key::start(Table::Target, shard).u32(tenant.0)
    }

    /// An enrollment.
    #[must_use]
    pub fn enrollment(id: EnrollmentId) -> Key {
        let bytes = id.as_bytes();
        Key::start(Table::Enrollment, id.shard()).bytes(&bytes[..6]).bytes(&bytes[8..])
    }

    /// The enrollment under a key of [`Key::enrollment`]; `None` for any other key.
    #[must_use]
    pub fn to_enrollment(&self) -> Option<EnrollmentId> {
        let bytes = self.0.strip_prefix(&[Table::Enrollment as u8])?;
        let (shard, rest) = bytes.split_first_chunk::<2>()?;
        let id: &[u8; 10] = rest.try_into().ok()?;
        Some(EnrollmentId::from_bytes(with_shard(id, *shard)))
    }

    /// The history row of an enrollment that begins with its `first` entry.
    #[must_use]
    pub fn history(id: EnrollmentId, first: u32) -> Key {
        Key::histories(id).u32(first)
    }

    /// Begins the history rows of an enrollment.
    #[must_use]
    pub fn histories(id: EnrollmentId) -> Key {
        let bytes = id.as_bytes();
        Key::start(Table::History, id.shard()).bytes(&bytes[..6]).bytes(&bytes[8..])
    }

    /// An accepted event's id.
    #[must_use]
    pub fn event(shard: Shard, tenant: TenantNo, event: &EventKey) -> Key {
        Key::events(shard, tenant).event_key(event)
    }

    /// The source of the event in a key of [`Key::event`]; `None` for any other key.
    #[must_use]
    pub fn to_event_source(&self) -> Option<&str> {
        let rest = self.0.strip_prefix(&[Table::Event as u8])?;
        let (length, rest) = rest.get(2 + 4..)?.split_first()?;
        str::from_utf8(rest.get(..usize::from(*length))?).ok()
    }

    /// Begins the ids of a tenant's accepted events.
    #[must_use]
    pub fn events(shard: Shard, tenant: TenantNo) -> Key {
        Key::start(Table::Event, shard).u32(tenant.0)
    }

    /// What an event still has to move.
    #[must_use]
    pub fn fan_out(shard: Shard, tenant: TenantNo, event: &EventKey) -> Key {
        Key::fan_outs(shard, tenant).event_key(event)
    }

    /// Begins the events of a tenant that still have to move something.
    #[must_use]
    pub fn fan_outs(shard: Shard, tenant: TenantNo) -> Key {
        Key::start(Table::FanOut, shard).u32(tenant.0)
    }

    fn event_key(self, event: &EventKey) -> Key {
        // The source's length stands before it, so that no two pairs of source and id share a key.
        let length = u8::try_from(event.source.len()).unwrap_or(u8::MAX);
        self.bytes(&[length]).bytes(event.source.as_bytes()).bytes(event.id.as_bytes())
    }

    /// A lane's limits.
    #[must_use]
    pub fn ledger(shard: Shard, lane: Lane) -> Key {
        Key::start(Table::Ledger, shard).u32(lane.tenant.0).u32(lane.channel.0)
    }

    /// A lane's new recipients.
    #[must_use]
    pub fn recipients(shard: Shard, lane: Lane) -> Key {
        Key::start(Table::Recipients, shard).u32(lane.tenant.0).u32(lane.channel.0)
    }

    /// An account's new recipients: behind the number of the control lane, which writes to nobody.
    #[must_use]
    pub fn account_recipients(shard: Shard, tenant: TenantNo, account: AccountNo) -> Key {
        Key::recipients(shard, Lane { tenant, channel: ChannelNo::CONTROL }).u32(account.0)
    }

    /// A number of a funnel.
    #[must_use]
    pub fn count(
        shard: Shard,
        tenant: TenantNo,
        sequence: SequenceNo,
        version: VersionNo,
        metric: Metric,
    ) -> Key {
        Key::counts(shard, tenant, sequence).u32(version.0).bytes(&metric.to_bytes())
    }

    /// Begins the numbers of a sequence's funnel.
    #[must_use]
    pub fn counts(shard: Shard, tenant: TenantNo, sequence: SequenceNo) -> Key {
        Key::start(Table::Count, shard).u32(tenant.0).u32(sequence.0)
    }

    /// Begins the wakes of a tenant's lanes.
    #[must_use]
    pub fn lanes(shard: Shard, tenant: TenantNo) -> Key {
        Key::start(Table::Wake, shard).u32(tenant.0)
    }

    /// Begins the wakes of a lane.
    #[must_use]
    pub fn lane(shard: Shard, lane: Lane) -> Key {
        Key::lanes(shard, lane.tenant).u32(lane.channel.0)
    }

    /// Begins the wakes of a lane that are of one class and held apart for one cause.
    #[must_use]
    pub fn apart(shard: Shard, lane: Lane, class: PriorityClass, hold: HoldGroup) -> Key {
        Key::lane(shard, lane).bytes(&[class as u8, hold as u8])
    }

    /// Begins the wakes of a queue.
    #[must_use]
    pub fn queue(shard: Shard, lane: Lane, queue: &Queue) -> Key {
        Key::lane(shard, lane).bytes(&queue.to_bytes())
    }

    /// Begins the wakes of a queue that are due at a moment; those due later come behind it.
    #[must_use]
    pub fn due(shard: Shard, lane: Lane, queue: &Queue, at: Moment) -> Key {
        // Moments are positive in practice; the flipped sign bit keeps the order for all of them.
        Key::queue(shard, lane, queue).bytes(&(at.0 as u64 ^ (1 << 63)).to_be_bytes())
    }

    /// A wake.
    #[must_use]
    pub fn wake(row: &WakeRow) -> Key {
        let bytes = row.enrollment.as_bytes();
        Key::due(row.enrollment.shard(), row.lane, &row.queue, row.due_at)
            .bytes(&bytes[..6])
            .bytes(&bytes[8..])
    }

    /// The wake under a key of [`Key::wake`]; `None` for any other key.
    #[must_use]
    pub fn to_wake(&self) -> Option<WakeRow> {
        let bytes = self.0.strip_prefix(&[Table::Wake as u8])?;
        let (shard, rest) = bytes.split_first_chunk::<2>()?;
        let (tenant, rest) = rest.split_first_chunk::<4>()?;
        let (channel, rest) = rest.split_first_chunk::<4>()?;
        let (queue, rest) = rest.split_first_chunk::<{ Queue::LEN }>()?;
        let (due, rest) = rest.split_first_chunk::<8>()?;
        let id: &[u8; 10] = rest.try_into().ok()?;
        Some(WakeRow {
            lane: Lane {
                tenant: TenantNo(u32::from_be_bytes(*tenant)),
                channel: ChannelNo(u32::from_be_bytes(*channel)),
            },
            queue: Queue::from_bytes(queue),
            due_at: Moment((u64::from_be_bytes(*due) ^ (1 << 63)) as i64),
            enrollment: EnrollmentId::from_bytes(with_shard(id, *shard)),
        })
    }
}

/// The bytes of an enrollment's id, whose shard stands elsewhere in a key.
fn with_shard(id: &[u8; 10], shard: [u8; 2]) -> [u8; EnrollmentId::LEN] {
    let mut bytes = [0; EnrollmentId::LEN];
    bytes[..6].copy_from_slice(&id[..6]);
    bytes[6..8].copy_from_slice(&shard);
    bytes[8..].copy_from_slice(&id[6..]);
    bytes
}

impl std::fmt::Debug for Key {
    /// The table's letter and the rest in hexadecimal: what stands there can be a person's id.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (table, rest) = self.0.split_first().unwrap_or((&b'?', &[]));
        write!(f, "{}:", char::from(*table))?;
        rest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
