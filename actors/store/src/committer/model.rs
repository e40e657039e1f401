//! The property that holds the committer to its word: a group gives what one commit at a time gives.

#![cfg(test)]

use bytes::Bytes;
use followupd_domain::{Shard, TenantNo};
use proptest::prelude::*;
use std::collections::BTreeMap;

use super::{Changes, Group, Verdict};
use crate::commit::{Class, Commit, Count, Expect, Refused};
use crate::keys::{Key, Table};
use crate::row::{Row, Version};
use crate::{Applied, Error};

type Rows = BTreeMap<Key, Row>;

/// Applies changes to rows, as a store would.
pub(crate) fn perform(rows: &mut Rows, changes: Changes) {
    for key in changes.deletes {
        rows.remove(&key);
    }
    rows.extend(changes.puts);
}

fn key(n: u8) -> Key {
    let mut bytes = Key::table(Table::Contact, Shard(1)).as_bytes().to_vec();
    bytes.push(n);
    Key::from_bytes(bytes)
}

fn counter(n: u8) -> Key {
    let mut bytes = Key::table(Table::Count, Shard(1)).as_bytes().to_vec();
    bytes.push(n);
    Key::from_bytes(bytes)
}

/// The plainest reading of the contract: one commit, straight on the rows.
fn naive(rows: &mut Rows, last: &mut Version, commit: &Commit) -> Verdict {
    for expect in &commit.expects {
        if rows.get(&expect.key).map(|row| row.version) != expect.version {
            return Err(Refused::Stale(expect.key.clone()));
        }
    }
    last.0 += 1;
    for (key, body) in &commit.puts {
        rows.insert(key.clone(), Row { version: *last, body: body.clone() });
    }
    for key in &commit.deletes {
        rows.remove(key);
    }
    for count in &commit.counts {
        let before =
            rows.get(&count.key).map_or(0, |row| i64::from_le_bytes(row.body[..].try_into().unwrap()));
        let body = Bytes::copy_from_slice(&(before + count.by).to_le_bytes());
        rows.insert(count.key.clone(), Row { version: *last, body });
    }
    for count in &commit.counts {
        if rows.get(&count.key).is_some_and(|row| row.body[..] == 0_i64.to_le_bytes()) {
            rows.remove(&count.key);
        }
    }
    Ok(Applied { version: *last })
}

#[derive(Clone, Debug)]
enum Part {
    /// Expects the row to be as old as the n-th newest version, or absent.
    Expect(u8, Option<u64>),
    Put(u8, u8),
    Delete(u8),
    Count(u8, i64),
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        (0..6u8, prop::option::of(0..12u64)).prop_map(|(key, version)| Part::Expect(key, version)),
        (0..6u8, any::<u8>()).prop_map(|(key, body)| Part::Put(key, body)),
        (0..6u8).prop_map(Part::Delete),
        (0..3u8, -5..5i64).prop_map(|(key, by)| Part::Count(key, by)),
    ]
}

fn commit(parts: &[Part], rows: &Rows) -> Commit {
    let mut commit = Commit::new(Class::Event, TenantNo(1), Shard(1));
    let mut written = std::collections::BTreeSet::new();
    for part in parts {
        match part {
            Part::Expect(n, None) => {
                // Half of the expectations hold for the rows as they are now, so that chains form.
                let version = rows.get(&key(*n)).map(|row| row.version);
                commit.expects.push(Expect { key: key(*n), version });
            }
            Part::Expect(n, Some(version)) => {
                let version = (*version > 0).then_some(Version(*version));
                commit.expects.push(Expect { key: key(*n), version });
            }
            Part::Put(n, body) if written.insert(*n) => {
                commit.puts.push((key(*n), Bytes::copy_from_slice(&[*body])))
            }
            Part::Delete(n) if written.insert(*n) => commit.deletes.push(key(*n)),
            Part::Put(..) | Part::Delete(_) => {}
            Part::Count(n, by) => commit.counts.push(Count { key: counter(*n), by: *by }),
        }
    }
    commit
}

fn told(verdict: &Verdict) -> String {
    match verdict {
        Ok(applied) => format!("{applied:?}"),
        Err(refused) => format!("{refused:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn a_group_gives_what_one_commit_at_a_time_gives(
        plans in prop::collection::vec(prop::collection::vec(part(), 0..6), 0..40),
        sizes in prop::collection::vec(1..8usize, 1..20),
    ) {
        let (mut plain, mut plain_last) = (Rows::new(), Version(0));
        let (mut grouped, mut grouped_last) = (Rows::new(), Version(0));
        let mut plans = plans.iter();
        for size in sizes.iter().cycle() {
            let batch: Vec<_> = plans.by_ref().take(*size).collect();
            if batch.is_empty() {
                break;
            }
            let mut group = Group::new(|key: &Key| Ok::<_, Error>(grouped.get(key).cloned()), grouped_last);
            for parts in batch {
                // Made from the plain rows, which are always one commit ahead: later ones expect earlier ones.
                let commit = commit(parts, &plain);
                let expected = naive(&mut plain, &mut plain_last, &commit);
                prop_assert_eq!(told(&group.apply(&commit)), told(&expected));
            }
            grouped_last = group.last();
            let changes = group.finish();
            prop_assert!(changes.puts.is_sorted_by(|a, b| a.0 < b.0), "each row is written once");
            perform(&mut grouped, changes);
            prop_assert_eq!(&grouped, &plain);
        }
    }
}

#[test]
fn a_row_that_came_and_went_within_a_group_leaves_no_tombstone() {
    let mut group = Group::new(|_: &Key| Ok::<_, Error>(None), Version(0));
    let mut first = Commit::new(Class::Event, TenantNo(1), Shard(1));
    first.expects.push(Expect { key: key(1), version: None });
    first.puts.push((key(1), Bytes::from_static(b"a")));
    let mut second = Commit::new(Class::Event, TenantNo(1), Shard(1));
    second.deletes.push(key(1));
    assert!(group.apply(&first).is_ok() && group.apply(&second).is_ok());
    assert_eq!(group.finish(), Changes::default());
}

#[test]
fn a_row_that_cannot_be_read_refuses_its_commit_alone() {
    let mut group = Group::new(
        |wanted: &Key| if *wanted == key(1) { Err(Error::Damaged("torn".to_owned())) } else { Ok(None) },
        Version(0),
    );
    let mut bad = Commit::new(Class::Event, TenantNo(1), Shard(1));
    bad.counts.push(Count { key: counter(1), by: 1 });
    bad.expects.push(Expect { key: key(1), version: None });
    assert!(matches!(group.apply(&bad), Err(Refused::Unavailable(_))));
    let mut good = Commit::new(Class::Event, TenantNo(1), Shard(1));
    good.counts.push(Count { key: counter(1), by: 1 });
    assert_eq!(group.apply(&good).ok(), Some(Applied { version: Version(1) }));
}
