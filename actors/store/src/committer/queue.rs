//! The commits that wait, and which of them make the next group.
//!
//! Classes go in their order, tenants take turns within a class, and what one tenant asked for in one class stays
//! in the order it asked. A lower class keeps a floor in every group, and new enrollments half at most while other
//! work waits, so that nothing starves and a flood of enrolls delays nobody by more than a group.

use followupd_domain::TenantNo;
use std::collections::{BTreeMap, VecDeque};

use super::Waiting;
use crate::commit::Class;
use crate::limits;

/// How much one group may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Commits.
    pub(crate) commits: usize,
    /// Bytes; the first commit of each class is taken even beyond it.
    pub(crate) bytes: usize,
    /// Commits that a class with waiting work has for sure.
    pub(crate) floor: usize,
}

impl Room {
    /// What [`limits`] allow.
    pub(crate) const FULL: Room =
        Room { commits: limits::GROUP_COMMITS, bytes: limits::GROUP_BYTES, floor: limits::GROUP_FLOOR };
}

/// Waiting commits.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    classes: [Turns<T>; Class::ALL.len()],
}

/// The waiting commits of one class: a queue for each tenant, and whose turn it is.
#[derive(Debug)]
struct Turns<T> {
    tenants: BTreeMap<TenantNo, VecDeque<T>>,
    turn: VecDeque<TenantNo>,
    waiting: usize,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Queue { classes: Class::ALL.map(|_| Turns::default()) }
    }
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Turns { tenants: BTreeMap::new(), turn: VecDeque::new(), waiting: 0 }
    }
}

impl<T: Waiting> Turns<T> {
    fn push(&mut self, item: T) {
        let tenant = item.commit().tenant;
        let queue = self.tenants.entry(tenant).or_default();
        if queue.is_empty() {
            self.turn.push_back(tenant);
        }
        queue.push_back(item);
        self.waiting += 1;
    }

    /// The bytes of the commit whose turn it is.
    fn next_bytes(&self) -> Option<usize> {
        let queue = self.tenants.get(self.turn.front()?)?;
        queue.front().map(|item| item.commit().bytes())
    }

    fn pop(&mut self) -> Option<T> {
        let tenant = self.turn.pop_front()?;
        let queue = self.tenants.get_mut(&tenant)?;
        let item = queue.pop_front()?;
        if queue.is_empty() {
            self.tenants.remove(&tenant);
        } else {
            self.turn.push_back(tenant);
        }
        self.waiting -= 1;
        Some(item)
    }

    /// Moves commits into `group` while they fit.
    fn take(&mut self, commits: usize, bytes: usize, group: &mut Vec<T>) -> usize {
        let mut taken = 0;
        let first = group.len();
        while group.len() - first < commits {
            let Some(next) = self.next_bytes() else { break };
            if group.len() > first && taken + next > bytes {
                break;
            }
            let Some(item) = self.pop() else { break };
            group.push(item);
            taken += next;
        }
        taken
    }
}

impl<T: Waiting> Queue<T> {
    /// Lets a commit wait.
    pub(crate) fn push(&mut self, item: T) {
        self.classes[item.commit().class as usize].push(item);
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.classes.iter().map(|turns| turns.waiting).sum()
    }

    /// Whether none waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next group, in the order in which it is to be applied.
    pub(crate) fn take(&mut self, room: Room) -> Vec<T> {
        let other_work = self.len() > self.classes[Class::Enroll as usize].waiting;
        let mut group = Vec::new();
        let mut bytes = room.bytes;
        for (place, class) in Class::ALL.into_iter().enumerate() {
            let floors: usize =
                self.classes[place + 1..].iter().map(|below| below.waiting.min(room.floor)).sum();
            let mut commits = room.commits.saturating_sub(group.len() + floors);
            let mut most_bytes = bytes;
            if class == Class::Enroll && other_work {
                commits = commits.min(room.commits / limits::ENROLL_SHARE);
                most_bytes = most_bytes.min(room.bytes / limits::ENROLL_SHARE);
            }
            bytes = bytes.saturating_sub(self.classes[place].take(commits, most_bytes, &mut group));
        }
        group
    }

    /// Everything that waits, in no group at all.
    pub(crate) fn drain(&mut self) -> Vec<T> {
        let mut items = Vec::with_capacity(self.len());
        for turns in &mut self.classes {
            while let Some(item) = turns.pop() {
                items.push(item);
            }
        }
        items
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit::Commit;
    use crate::keys::{Key, Table};
    use bytes::Bytes;
    use followupd_domain::Shard;
    use proptest::prelude::*;

    #[derive(Debug)]
    struct Item {
        commit: Commit,
        serial: usize,
    }

    impl Waiting for Item {
        fn commit(&self) -> &Commit {
            &self.commit
        }
    }

    const ROOM: Room = Room { commits: 16, bytes: 1_000, floor: 2 };

    fn item(class: Class, tenant: u32, serial: usize, bytes: usize) -> Item {
        let mut commit = Commit::new(class, TenantNo(tenant), Shard(0));
        let key = Key::table(Table::Contact, Shard(0));
        let body = Bytes::from(vec![0; bytes.saturating_sub(key.as_bytes().len())]);
        commit.puts.push((key, body));
        Item { commit, serial }
    }

    fn queue(items: impl IntoIterator<Item = (Class, u32, usize)>) -> Queue<Item> {
        let mut queue = Queue::default();
        for (serial, (class, tenant, bytes)) in items.into_iter().enumerate() {
            queue.push(item(class, tenant, serial, bytes));
        }
        queue
    }

    fn classes(group: &[Item]) -> Vec<Class> {
        group.iter().map(|item| item.commit.class).collect()
    }

    #[test]
    fn a_group_goes_in_class_order_whatever_came_first() {
        let mut queue = queue(Class::ALL.into_iter().rev().map(|class| (class, 1, 10)));
        assert_eq!(classes(&queue.take(ROOM)), Class::ALL);
        assert!(queue.is_empty());
    }

    #[test]
    fn tenants_take_turns_within_a_class() {
        let mut queue = queue((0..30).map(|n| (Class::Intent, u32::from(n == 29), 10)));
        let group = queue.take(ROOM);
        assert_eq!(group[1].commit.tenant, TenantNo(1), "the tenant of one commit waits behind one, not 29");
    }

    #[test]
    fn enrolls_take_half_at_most_while_others_wait() {
        let mut busy = queue((0..40).map(|n| (if n == 0 { Class::Exit } else { Class::Enroll }, 1, 10)));
        let group = busy.take(ROOM);
        assert_eq!(group.len(), 1 + ROOM.commits / 2);
        let mut alone = queue((0..40).map(|_| (Class::Enroll, 1, 10)));
        assert_eq!(alone.take(ROOM).len(), ROOM.commits);
    }

    #[test]
    fn a_flood_of_exits_leaves_every_class_its_floor() {
        let below = [Class::Outcome, Class::Intent, Class::Event, Class::Enroll];
        let flood = (0..100).map(|_| (Class::Exit, 1, 10));
        let mut queue = queue(flood.chain(below.into_iter().flat_map(|class| [(class, 2, 10); 3])));
        let group = queue.take(ROOM);
        assert_eq!(group.len(), ROOM.commits);
        for class in below {
            assert_eq!(
                group.iter().filter(|item| item.commit.class == class).count(),
                ROOM.floor,
                "{class:?}"
            );
        }
    }

    #[test]
    fn a_group_ends_where_its_bytes_do_but_the_first_of_a_class_always_goes() {
        let mut queue = queue([(Class::Exit, 1, 900), (Class::Exit, 1, 200), (Class::Enroll, 1, 5_000)]);
        assert_eq!(classes(&queue.take(ROOM)), [Class::Exit, Class::Enroll]);
        assert_eq!(classes(&queue.take(ROOM)), [Class::Exit]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

        #[test]
        fn nothing_is_lost_nothing_starves_and_each_tenant_keeps_its_order(
            items in prop::collection::vec((0..5usize, 0..4u32, 1..600usize), 0..200)
        ) {
            let mut queue = queue(items.iter().map(|(class, tenant, bytes)| (Class::ALL[*class], *tenant, *bytes)));
            let mut last: BTreeMap<(Class, TenantNo), usize> = BTreeMap::new();
            let mut seen = 0;
            while !queue.is_empty() {
                let waiting: Vec<Class> =
                    Class::ALL.into_iter().filter(|class| queue.classes[*class as usize].waiting > 0).collect();
                let group = queue.take(ROOM);
                prop_assert!(group.len() <= ROOM.commits);
                let largest = group.iter().map(|item| item.commit.bytes()).max().unwrap_or(0);
                let bytes: usize = group.iter().map(|item| item.commit.bytes()).sum();
                prop_assert!(bytes <= ROOM.bytes + Class::ALL.len() * largest);
                for class in waiting {
                    prop_assert!(classes(&group).contains(&class), "{class:?} got nothing");
                }
                let order = classes(&group);
                prop_assert!(order.is_sorted());
                for item in group {
                    let key = (item.commit.class, item.commit.tenant);
                    prop_assert!(last.insert(key, item.serial).is_none_or(|before| before < item.serial));
                    seen += 1;
                }
            }
            prop_assert_eq!(seen, items.len());
        }
    }
}
