//! Keys of what is counted: how channels fare and wakes, by the hour; calls under way.

use followupd_domain::lane::{Lane, Queue};
use followupd_domain::signal::{Hour, Signal};
use followupd_domain::{ChannelNo, Moment, Shard, TenantNo};

use super::{Key, SYSTEM, Table};

/// Milliseconds of the hours that wakes are counted by.
const HOUR: i64 = 3_600_000;

impl Key {
    /// How many sends of an hour of a channel show a signal.
    #[must_use]
    pub fn signal(shard: Shard, lane: Lane, hour: Hour, signal: Signal) -> Key {
        Key::signals(shard, lane).u32(hour.0).bytes(&[signal as u8])
    }

    /// Begins the signals of a channel.
    #[must_use]
    pub fn signals(shard: Shard, lane: Lane) -> Key {
        Key::all_signals(shard, lane.tenant).u32(lane.channel.0)
    }

    /// Begins the signals of a tenant's channels.
    #[must_use]
    pub fn all_signals(shard: Shard, tenant: TenantNo) -> Key {
        Key::start(Table::Signal, shard).u32(tenant.0)
    }

    /// The hour and the signal in a key of [`Key::signal`]; `None` for any other key.
    #[must_use]
    pub fn to_signal(&self) -> Option<(Hour, Signal)> {
        let rest = self.0.strip_prefix(&[Table::Signal as u8])?.get(2 + 4 + 4..)?;
        let (hour, signal) = rest.split_first_chunk::<4>()?;
        let [signal] = signal else { return None };
        let signal = Signal::ALL.into_iter().find(|known| *known as u8 == *signal)?;
        Some((Hour(u32::from_be_bytes(*hour)), signal))
    }

    /// How many calls of a lane are under way whose start its limits know.
    #[must_use]
    pub fn calling(shard: Shard, lane: Lane) -> Key {
        Key::start(Table::Calling, shard).u32(lane.tenant.0).u32(lane.channel.0)
    }

    /// The lane in a key of [`Key::calling`]; `None` for any other key.
    #[must_use]
    pub fn to_calling(&self) -> Option<Lane> {
        let rest = self.0.strip_prefix(&[Table::Calling as u8])?.get(2..)?;
        let (tenant, rest) = rest.split_first_chunk::<4>()?;
        let channel: &[u8; 4] = rest.try_into().ok()?;
        let (tenant, channel) = (u32::from_be_bytes(*tenant), u32::from_be_bytes(*channel));
        Some(Lane { tenant: TenantNo(tenant), channel: ChannelNo(channel) })
    }

    /// How many wakes of a queue are due in the hour of a moment.
    #[must_use]
    pub fn backlog(shard: Shard, lane: Lane, queue: &Queue, due_at: Moment) -> Key {
        let hour = due_at.0.div_euclid(HOUR);
        Key::backlog_of(shard, lane, queue).bytes(&(hour as u64 ^ (1 << 63)).to_be_bytes())
    }

    /// Begins the numbers of a queue's wakes, by hour.
    #[must_use]
    pub fn backlog_of(shard: Shard, lane: Lane, queue: &Queue) -> Key {
        Key::backlogs(shard, lane).bytes(&queue.to_bytes())
    }

    /// Begins the numbers of a lane's wakes, by queue.
    #[must_use]
    pub fn backlogs(shard: Shard, lane: Lane) -> Key {
        Key::start(Table::Backlog, shard).u32(lane.tenant.0).u32(lane.channel.0)
    }

    /// The lane, the queue and the hour, as its first moment, of a key of [`Key::backlog`]; `None` for any other key.
    #[must_use]
    pub fn to_backlog(&self) -> Option<(Lane, Queue, Moment)> {
        let rest = self.0.strip_prefix(&[Table::Backlog as u8])?.get(2..)?;
        let (tenant, rest) = rest.split_first_chunk::<4>()?;
        let (channel, rest) = rest.split_first_chunk::<4>()?;
        let (queue, hour) = rest.split_first_chunk::<{ Queue::LEN }>()?;
        let hour = (u64::from_be_bytes(hour.try_into().ok()?) ^ (1 << 63)) as i64;
        let lane = Lane {
            tenant: TenantNo(u32::from_be_bytes(*tenant)),
            channel: ChannelNo(u32::from_be_bytes(*channel)),
        };
        Some((lane, Queue::from_bytes(queue), Moment(hour.saturating_mul(HOUR))))
    }

    /// Says since when the numbers of wakes are kept; a store of an earlier release has none yet.
    #[must_use]
    pub fn backlogs_kept() -> Key {
        Key::start(Table::Backlog, SYSTEM)
    }
}
