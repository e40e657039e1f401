//! Invariants over the rows of a store, at any moment: E1, E2, E9, E13, E14; and at the end E12.

use std::collections::BTreeMap;

use followupd_domain::enrollment::Enrollment;
use followupd_domain::target::Target;
use followupd_domain::{EnrollmentId, TenantNo};
use followupd_runtime::verify::Verifier;
use followupd_store::codec::{self, Format};
use followupd_store::keys::Table;
use followupd_store::{Key, Row, Version};

use super::world::{World, read};

/// The rows of a store that the run remembers something of.
#[derive(Default)]
struct Rows {
    enrollments: BTreeMap<EnrollmentId, Enrollment>,
    targets: Vec<(Key, Target)>,
    events: Vec<(TenantNo, Vec<u8>)>,
    fan_outs: usize,
}

impl Rows {
    fn read(dump: &[(Key, Row)]) -> Rows {
        let mut rows = Rows::default();
        for (key, row) in dump {
            match key.kind() {
                Some(Table::Enrollment) => {
                    let (enrollment, _) = read(&row.body);
                    rows.enrollments.insert(enrollment.id, enrollment);
                }
                Some(Table::Target) => {
                    rows.targets.push((key.clone(), codec::decode(Format::Target, &row.body).unwrap()));
                }
                Some(Table::Event) => {
                    rows.events.push((key.tenant_no().unwrap(), key.as_bytes()[7..].to_vec()));
                }
                Some(Table::FanOut) => rows.fan_outs += 1,
                _ => {}
            }
        }
        rows
    }
}

/// What every dump must show: what makes sense of a store at rest, and what the run was told.
pub(crate) fn check(world: &World, dump: &[(Key, Row)]) {
    let mut verifier = Verifier::new(Version(u64::MAX));
    dump.iter().for_each(|(key, row)| verifier.row(key, row));
    for fault in verifier.finish().faults {
        world.broken(fault.name, fault.about, fault.what);
    }
    acknowledged(world, &Rows::read(dump));
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
        if rows.enrollments.get(id).is_none_or(|enrollment| !enrollment.state.is_over()) && !inner.armed {
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
    for (id, enrollment) in &rows.enrollments {
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
        let row = rows.targets.iter().find(|(known, _)| *known == key);
        let known = row.and_then(|(_, target)| target.terminal.clone());
        if row.is_some() && known < facts.iter().max().cloned() {
            world.broken("E16", target, format!("{known:?} is not the last of {facts:?}"));
        }
    }
}
