//! Invariants over the rows of a store, at any moment: E1, E2, E9, E13, E14; and at the end E12.

use std::collections::{BTreeMap, BTreeSet};

use followupd_domain::contact::Contact;
use followupd_domain::decision::Entry;
use followupd_domain::enrollment::Enrollment;
use followupd_domain::target::Target;
use followupd_domain::{EnrollmentId, TenantNo, funnel, invariant};
use followupd_store::codec::{self, Format};
use followupd_store::keys::Table;
use followupd_store::{Key, Row};

use super::world::{World, read};

/// The rows of a store, read.
#[derive(Default)]
struct Rows {
    enrollments: BTreeMap<EnrollmentId, (Enrollment, Vec<Entry>)>,
    contacts: Vec<(TenantNo, String, Contact)>,
    targets: Vec<(TenantNo, Key, Target)>,
    wakes: BTreeSet<Key>,
    counts: BTreeMap<Key, i64>,
    events: Vec<(TenantNo, Vec<u8>)>,
    fan_outs: usize,
}

fn tenant_of(key: &Key) -> TenantNo {
    TenantNo(u32::from_be_bytes(key.as_bytes()[3..7].try_into().unwrap()))
}

impl Rows {
    fn read(dump: &[(Key, Row)]) -> Rows {
        let mut rows = Rows::default();
        let mut older: BTreeMap<Vec<u8>, Vec<Entry>> = BTreeMap::new();
        for (key, row) in dump {
            let bytes = key.as_bytes();
            let is = |table: Table| bytes[0] == table as u8;
            if is(Table::History) {
                let entries: Vec<Entry> = codec::decode(Format::History, &row.body).unwrap();
                older.entry(bytes[..bytes.len() - 4].to_vec()).or_default().extend(entries);
            } else if is(Table::Contact) {
                let id = String::from_utf8(bytes[7..].to_vec()).unwrap();
                rows.contacts.push((tenant_of(key), id, codec::decode(Format::Contact, &row.body).unwrap()));
            } else if is(Table::Target) {
                let target = codec::decode(Format::Target, &row.body).unwrap();
                rows.targets.push((tenant_of(key), key.clone(), target));
            } else if is(Table::Wake) {
                rows.wakes.insert(key.clone());
            } else if is(Table::Count) {
                let count = i64::from_le_bytes(row.body.as_ref().try_into().unwrap());
                rows.counts.insert(key.clone(), count);
            } else if is(Table::Event) {
                rows.events.push((tenant_of(key), bytes[7..].to_vec()));
            } else if is(Table::FanOut) {
                rows.fan_outs += 1;
            }
        }
        for (_, row) in dump.iter().filter(|(key, _)| key.as_bytes()[0] == Table::Enrollment as u8) {
            let (enrollment, (_, latest)) = read(&row.body);
            let mut history = older.remove(Key::histories(enrollment.id).as_bytes()).unwrap_or_default();
            history.extend(latest);
            rows.enrollments.insert(enrollment.id, (enrollment, history));
        }
        rows
    }
}

/// What every dump must show.
pub(crate) fn check(world: &World, dump: &[(Key, Row)]) {
    let rows = Rows::read(dump);
    enrollments(world, &rows);
    indexes(world, &rows);
    counts(world, &rows);
    acknowledged(world, &rows);
}

fn enrollments(world: &World, rows: &Rows) {
    let mut wakes = rows.wakes.clone();
    for (id, (enrollment, history)) in &rows.enrollments {
        if !invariant::e1_one_wake(enrollment) {
            world.broken("E1", id, format!("{enrollment:?}"));
        }
        if !invariant::e9_state_is_fold(enrollment, history) {
            world.broken(
                "E9",
                id,
                format!("its state is not the fold of its history: {enrollment:?} {history:?}"),
            );
        }
        if let Some(wake) = enrollment.wake_row()
            && !wakes.remove(&Key::wake(&wake))
        {
            let name = if enrollment.open.is_some() { "E2" } else { "E1" };
            world.broken(name, id, format!("its wake row is missing: {enrollment:?}"));
        }
    }
    for wake in wakes.iter().filter_map(Key::to_wake) {
        let state = rows.enrollments.get(&wake.enrollment).map(|(enrollment, _)| enrollment.state);
        world.broken("E9", wake.enrollment, format!("a wake row nobody has: {wake:?}, {state:?}"));
    }
}

/// Contacts and targets index exactly what is open, and only their own tenant's.
fn indexes(world: &World, rows: &Rows) {
    let mut by_contact: BTreeMap<(TenantNo, &str), BTreeSet<EnrollmentId>> = BTreeMap::new();
    let mut by_target: BTreeMap<Key, BTreeSet<EnrollmentId>> = BTreeMap::new();
    for (enrollment, _) in rows.enrollments.values().filter(|(enrollment, _)| !enrollment.state.is_over()) {
        by_contact.entry((enrollment.tenant, &enrollment.contact)).or_default().insert(enrollment.id);
        if let Some(target) = &enrollment.target {
            let key = Key::target(enrollment.id.shard(), enrollment.tenant, target);
            by_target.entry(key).or_default().insert(enrollment.id);
        }
    }
    for (tenant, id, contact) in &rows.contacts {
        let open: BTreeSet<EnrollmentId> = contact.open_enrollments().map(|m| m.enrollment).collect();
        let wanted = by_contact.remove(&(*tenant, id.as_str())).unwrap_or_default();
        if open != wanted {
            world.broken(
                "E9",
                open.symmetric_difference(&wanted).next().unwrap(),
                format!("{id} of {tenant:?} has {wanted:?}, its row says {open:?}"),
            );
        }
        foreign(world, rows, *tenant, contact.enrollments.iter().map(|m| m.enrollment));
    }
    for (tenant, key, target) in &rows.targets {
        let open: BTreeSet<EnrollmentId> = target.enrollments.iter().copied().collect();
        let wanted = by_target.remove(key).unwrap_or_default();
        if open != wanted {
            world.broken(
                "E9",
                open.symmetric_difference(&wanted).next().unwrap(),
                format!("target {key:?} has {wanted:?}, its row says {open:?}"),
            );
        }
        foreign(world, rows, *tenant, target.enrollments.iter().copied());
    }
    for id in by_contact.into_values().chain(by_target.into_values()).flatten() {
        world.broken("E9", id, "no row indexes it");
    }
}

fn foreign(world: &World, rows: &Rows, tenant: TenantNo, ids: impl Iterator<Item = EnrollmentId>) {
    for id in ids {
        if rows.enrollments.get(&id).is_none_or(|(enrollment, _)| enrollment.tenant != tenant) {
            world.broken("E14", id, format!("a row of {tenant:?} names it"));
        }
    }
}

fn counts(world: &World, rows: &Rows) {
    let mut wanted: BTreeMap<Key, i64> = BTreeMap::new();
    for (enrollment, _) in rows.enrollments.values() {
        for metric in funnel::contribution(enrollment) {
            let (tenant, sequence, version) = (enrollment.tenant, enrollment.sequence, enrollment.version);
            let key = Key::count(enrollment.id.shard(), tenant, sequence, version, metric);
            *wanted.entry(key).or_default() += 1;
        }
    }
    let counted: BTreeMap<Key, i64> =
        rows.counts.iter().filter(|(_, n)| **n != 0).map(|(key, n)| (key.clone(), *n)).collect();
    if counted != wanted {
        world.broken("E9", "counters", format!("counters say {counted:?}, the enrollments {wanted:?}"));
    }
}

fn acknowledged(world: &World, rows: &Rows) {
    let mut inner = world.inner();
    let inner = &mut *inner;
    let (known, now) = (&inner.script.remembered, world.env.elapsed());
    let mut broken = Vec::new();
    for id in known.enrolled.iter().filter(|id| !rows.enrollments.contains_key(id)) {
        broken.push(("E13", id.to_string(), "an acknowledged enrollment is gone".to_owned()));
    }
    for id in &known.over {
        if rows.enrollments.get(id).is_none_or(|(enrollment, _)| !enrollment.state.is_over()) && !inner.armed
        {
            broken.push(("E13", id.to_string(), "it goes on after its end was acknowledged".to_owned()));
        }
    }
    // Ids are kept three days; the wall may have jumped some hours meanwhile.
    let recent = known.events.iter().filter(|(_, at)| now - **at < 2 * 86_400_000);
    for ((tenant, id), _) in recent {
        if !rows.events.iter().any(|(t, key)| t == tenant && key.ends_with(id.as_bytes())) {
            broken.push(("E13", id.clone(), "an acknowledged event is forgotten".to_owned()));
        }
    }
    for (name, about, what) in broken {
        inner.broken(name, about, what);
    }
}

/// What the last dump must show besides: everyone is over, nothing is left to do.
pub(crate) fn check_end(world: &World, dump: &[(Key, Row)]) {
    let rows = Rows::read(dump);
    for (id, (enrollment, _)) in &rows.enrollments {
        if !enrollment.state.is_over() || enrollment.open.is_some() {
            world.broken("E12", id, format!("it never ends: {enrollment:?}"));
        }
    }
    if rows.fan_outs > 0 {
        world.broken("E16", "fan", format!("{} events are not consumed by everyone", rows.fan_outs));
    }
    let facts = world.inner().script.remembered.facts.clone();
    for ((tenant, target), facts) in facts {
        let key = Key::target(followupd_domain::route(tenant, ""), tenant, &target);
        let row = rows.targets.iter().find(|(_, known, _)| *known == key);
        let known = row.and_then(|(_, _, target)| target.terminal.clone());
        if row.is_some() && known < facts.iter().max().cloned() {
            world.broken("E16", target, format!("{known:?} is not the last of {facts:?}"));
        }
    }
}
