//! Lanes and queues: where a wake stands in line, and which one is next.
//!
//! A lane is one channel of a tenant. Its wakes stand in queues: what opens and closes together. A row is put into
//! the queue it will leave from when its step is planned, so that quiet hours in one zone or a held sequence close
//! a queue and rewrite nothing. [`next`] merges the heads of the open queues, sequences by their [`Shares`].

use serde::{Deserialize, Serialize};

use crate::calendar::Zone;
use crate::ids::{ChannelNo, EnrollmentId, SequenceNo, StepNo, TenantNo, VersionNo};
use crate::time::Moment;

mod shares;

pub use shares::{Shares, Weight};

/// One paced path of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lane {
    /// Whose.
    pub tenant: TenantNo,
    /// Through which channel; [`ChannelNo::CONTROL`] for what is not a send.
    pub channel: ChannelNo,
}

/// Priority between sequences: strict, with a floor for bulk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PriorityClass {
    /// Somebody waits for it: a confirmation, a code.
    Transactional,
    /// The usual.
    #[default]
    Normal,
    /// It can wait.
    Bulk,
}

impl PriorityClass {
    /// The class of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<PriorityClass> {
        match word {
            "transactional" => Some(PriorityClass::Transactional),
            "normal" => Some(PriorityClass::Normal),
            "bulk" => Some(PriorityClass::Bulk),
            _ => None,
        }
    }

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            PriorityClass::Transactional => "transactional",
            PriorityClass::Normal => "normal",
            PriorityClass::Bulk => "bulk",
        }
    }
}

/// Why rows stand apart from those they would otherwise be in line with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum HoldGroup {
    /// They do not.
    #[default]
    None,
    /// Their enrollment kept failing; only a person lets them go on.
    Quarantine,
    /// Their step is held by itself.
    Step,
}

/// What opens and closes together inside a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Queue {
    /// Strictly before the next class.
    pub class: PriorityClass,
    /// Of which sequence: held together, weighted against others.
    pub sequence: SequenceNo,
    /// In whose zone hours count, as [`Zone::code`].
    pub zone: u32,
    /// The step whose own open hours narrow the tenant's, if it has any.
    pub narrowed: Option<(VersionNo, StepNo)>,
    /// What holds these rows apart.
    pub hold: HoldGroup,
}

impl Queue {
    /// Length in bytes, as stored.
    pub const LEN: usize = 16;

    /// The bytes that stand in a wake's key.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[0] = self.class as u8;
        bytes[1] = self.hold as u8;
        bytes[2..6].copy_from_slice(&self.sequence.0.to_be_bytes());
        bytes[6..10].copy_from_slice(&self.zone.to_be_bytes());
        // Versions count from 1, so a zero says that no step narrows the hours.
        if let Some((version, step)) = self.narrowed {
            bytes[10..14].copy_from_slice(&version.0.to_be_bytes());
            bytes[14..].copy_from_slice(&step.0.to_be_bytes());
        }
        bytes
    }

    /// The queue of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Queue {
        let u32_at = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let version = u32_at(10);
        Queue {
            class: match bytes[0] {
                0 => PriorityClass::Transactional,
                1 => PriorityClass::Normal,
                _ => PriorityClass::Bulk,
            },
            hold: match bytes[1] {
                0 => HoldGroup::None,
                2 => HoldGroup::Step,
                _ => HoldGroup::Quarantine,
            },
            sequence: SequenceNo(u32_at(2)),
            zone: u32_at(6),
            narrowed: (version > 0)
                .then(|| (VersionNo(version), StepNo(u16::from_be_bytes([bytes[14], bytes[15]])))),
        }
    }

    /// The zone in which its hours count.
    #[must_use]
    pub fn zone(&self) -> Option<Zone> {
        Zone::from_code(self.zone)
    }
}

/// The durable row that rouses an enrollment when due. Its key says everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WakeRow {
    /// In which lane.
    pub lane: Lane,
    /// In which of its queues.
    pub queue: Queue,
    /// From when.
    pub due_at: Moment,
    /// Whom it rouses.
    pub enrollment: EnrollmentId,
}

/// The first row of an open queue, and where its sequence stands in its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The row.
    pub row: WakeRow,
    /// Where it begins, by [`Shares::tag`].
    pub tag: u64,
}

/// Of so many permits, one goes to the bulk class even when the classes before it have work: it never starves.
pub const BULK_FLOOR: u64 = 20;

/// Which of the heads is next at `now`: strict between classes with a floor for bulk, the lowest tag first, by due
/// within. `None` when none is due. `granted` counts the permits of the lane so far.
#[must_use]
pub fn next(heads: &[Head], granted: u64, now: Moment) -> Option<WakeRow> {
    let due = || heads.iter().filter(|head| head.row.due_at <= now);
    let order = |head: &&Head| (head.row.queue.class, head.tag, head.row.due_at, head.row.enrollment);
    let bulk_turn = granted % BULK_FLOOR == BULK_FLOOR - 1;
    due()
        .filter(|head| bulk_turn && head.row.queue.class == PriorityClass::Bulk)
        .min_by_key(order)
        .or_else(|| due().min_by_key(order))
        .map(|head| head.row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Shard;
    use proptest::prelude::*;

    pub(super) fn head(class: PriorityClass, sequence: u32, tag: u64, due: i64) -> Head {
        let queue =
            Queue { class, sequence: SequenceNo(sequence), zone: 7, narrowed: None, hold: HoldGroup::None };
        let enrollment = EnrollmentId::new(Moment(due), Shard(1), sequence);
        let lane = Lane { tenant: TenantNo(1), channel: ChannelNo(1) };
        Head { row: WakeRow { lane, queue, due_at: Moment(due), enrollment }, tag }
    }

    #[test]
    fn a_transactional_wake_does_not_wait_behind_bulk() {
        let heads = [head(PriorityClass::Bulk, 1, 0, 10), head(PriorityClass::Transactional, 2, 500, 90)];
        assert_eq!(next(&heads, 0, Moment(100)), Some(heads[1].row));
    }

    #[test]
    fn bulk_is_never_starved() {
        let heads = [head(PriorityClass::Bulk, 1, 0, 10), head(PriorityClass::Normal, 2, 0, 5)];
        let bulk =
            (0..200).filter(|granted| next(&heads, *granted, Moment(100)) == Some(heads[0].row)).count();
        assert_eq!(bulk, 10);
    }

    #[test]
    fn the_lowest_tag_goes_first_and_nothing_goes_before_it_is_due() {
        let heads = [head(PriorityClass::Normal, 1, 9, 10), head(PriorityClass::Normal, 2, 3, 20)];
        assert_eq!(next(&heads, 0, Moment(25)), Some(heads[1].row));
        assert_eq!(next(&heads, 0, Moment(15)), Some(heads[0].row));
        assert_eq!(next(&heads, 0, Moment(9)), None);
    }

    proptest! {
        #[test]
        fn queues_survive_their_bytes(class in 0u8..3, hold in 0u8..3, sequence: u32, zone: u32, version: u32, step: u16) {
            let queue = Queue {
                class: [PriorityClass::Transactional, PriorityClass::Normal, PriorityClass::Bulk][usize::from(class)],
                sequence: SequenceNo(sequence),
                zone,
                narrowed: (version > 0).then_some((VersionNo(version), StepNo(step))),
                hold: [HoldGroup::None, HoldGroup::Quarantine, HoldGroup::Step][usize::from(hold)],
            };
            prop_assert_eq!(Queue::from_bytes(&queue.to_bytes()), queue);
        }
    }
}
