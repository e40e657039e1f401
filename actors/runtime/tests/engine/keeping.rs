//! What keeps an installation safe from itself: a clock that is not to be believed, a backup, rows that make no sense.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use followupd_channel::transports::Transports;
use followupd_channel::{Answer, Call, Slot, Transport};
use followupd_domain::access::{Draw, Role};
use followupd_domain::decide::enroll::{Profile, Request};
use followupd_domain::name::Name;
use followupd_domain::sequence::{Draft, DraftStep};
use followupd_domain::target::{TargetKind, TargetRef};
use followupd_domain::{EnrollmentId, IdKey, Moment, Span, TenantNo, route};
use followupd_runtime::verify::{Report, Verifier};
use followupd_runtime::{
    At, Caller, ChannelSettings, Command, Config, Engine, EnrollAnswer, Env, Error, Expected, KeyWish,
    TenantSettings, held_rows,
};
use followupd_store::backup::Reader;
use followupd_store::codec::{self, Format};
use followupd_store::keys::{SYSTEM, Table};
use followupd_store::memory::Memory;
use followupd_store::{Class, Commit, Key, Row, Store, Version};
use futures::future::BoxFuture;

use crate::virtual_env::VirtualEnv;

const START: i64 = 1_795_435_200_000;

#[derive(Default)]
struct Kept {
    calls: Mutex<Vec<Call>>,
    /// Whether calls wait for it to be turned off.
    hangs: tokio::sync::watch::Sender<bool>,
}

impl Kept {
    fn hang(&self) {
        self.hangs.send_replace(true);
    }

    fn go_on(&self) {
        self.hangs.send_replace(false);
    }
}

impl Transport for Kept {
    fn call(&self, call: Call, _slot: Slot) -> BoxFuture<'_, Answer> {
        self.calls.lock().unwrap().push(call);
        let mut hangs = self.hangs.subscribe();
        Box::pin(async move {
            hangs.wait_for(|hangs| !hangs).await.unwrap();
            Answer::Accepted
        })
    }
}

struct World {
    clocks: Arc<VirtualEnv>,
    store: Memory,
    kept: Arc<Kept>,
    engine: Engine,
}

async fn start(clocks: &Arc<VirtualEnv>, store: &Memory, kept: &Arc<Kept>) -> Engine {
    let transports = Transports::only(Arc::clone(kept) as _);
    let env: Arc<dyn Env> = Arc::clone(clocks) as _;
    Engine::start(Config::default(), Arc::new(store.clone()), env, transports).await.unwrap()
}

/// `acme`, furnished.
async fn world() -> World {
    let clocks = Arc::new(VirtualEnv::at(Moment(START)));
    let (store, kept) = (Memory::default(), Arc::new(Kept::default()));
    let engine = start(&clocks, &store, &kept).await;
    furnish(&engine, "acme").await;
    World { clocks, store, kept, engine }
}

/// A tenant with the sequence `welcome`: a mail after an hour, another a day later, about a charge.
async fn furnish(engine: &Engine, name: &str) {
    let caller = Caller::default();
    let tenant = TenantSettings { on: true, time_zone: "UTC".into(), ..TenantSettings::default() };
    engine.put_tenant(&caller, name, tenant).await.unwrap();
    let channel =
        ChannelSettings { kind: "email".into(), transport: "outbox".into(), ..ChannelSettings::default() };
    engine.put_channel(&caller, name, "mail", channel).await.unwrap();
    let step = |wait: &str| DraftStep {
        wait: wait.into(),
        channel: "mail".into(),
        subject: "hello".into(),
        body: "hello".into(),
        ..DraftStep::default()
    };
    let draft =
        Draft { target: "charge".into(), steps: vec![step("1 hour"), step("1 day")], ..Draft::default() };
    engine.put_sequence(&caller, name, "welcome", draft).await.unwrap();
    engine.publish(&caller, name, "welcome").await.unwrap();
}

impl World {
    async fn enroll(&self, contact: &str) -> EnrollmentId {
        self.enroll_of("acme", contact).await
    }

    async fn enroll_of(&self, tenant: &str, contact: &str) -> EnrollmentId {
        let profile = Profile { email: Some(format!("{contact}@mail.example")), ..Profile::default() };
        let target = Some(TargetRef { kind: TargetKind::Charge, id: format!("ch-{contact}") });
        let request = Request { contact: contact.into(), profile, target, ..Request::default() };
        let answers = self.engine.enroll(&Caller::default(), tenant, "welcome", vec![request]).await.unwrap();
        let EnrollAnswer::Enrolled { id, .. } = answers[0] else { panic!("{:?}", answers[0]) };
        id
    }

    /// The process dies, somebody sets the clock by so much, and it starts again.
    async fn restart(&mut self, set_by: Span) {
        self.engine.stop();
        self.store = self.store.crash();
        self.clocks.jumped.fetch_add(set_by.0, Ordering::Relaxed);
        self.engine = start(&self.clocks, &self.store, &self.kept).await;
    }

    fn sent(&self) -> usize {
        self.kept.calls.lock().unwrap().len()
    }
}

async fn hours(hours: u64) {
    tokio::time::sleep(Duration::from_secs(hours * 3_600)).await;
}

fn held(engine: &Engine) -> String {
    engine.stopped().map(|stop| stop.reason).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_clock_before_what_it_said_last_holds_sending_until_a_person_resumes() {
    let mut world = world().await;
    world.enroll("ana").await;
    world.engine.keep_time().await.unwrap();
    world.restart(Span(-Span::minutes(30).0)).await;
    assert!(held(&world.engine).contains("is 30 min before what it said last"), "{}", held(&world.engine));
    assert_eq!(world.engine.stopped().unwrap().by, "the start");
    hours(4).await;
    assert_eq!(world.sent(), 0);
    // The next start finds what this one wrote down, and it is held on.
    world.engine.keep_time().await.unwrap();
    world.restart(Span::ZERO).await;
    assert!(held(&world.engine).contains("30 min before"), "{}", held(&world.engine));
    assert!(world.engine.resume_sending(&Caller::default()).await.unwrap());
    hours(1).await;
    assert_eq!(world.sent(), 1);
    world.restart(Span::ZERO).await;
    assert_eq!(held(&world.engine), "");
    let acts = world.engine.audit(&Caller::default(), None, None, 10).await.unwrap();
    let what: Vec<&str> = acts.entries.iter().map(|line| line.what.as_str()).collect();
    assert!(what[0] == "all sending" && what[1].contains("30 min before"), "{what:?}");
}

#[tokio::test(start_paused = true)]
async fn a_start_long_after_the_last_moment_holds_sending_and_a_short_sleep_does_not() {
    let mut world = world().await;
    world.enroll("ana").await;
    world.engine.keep_time().await.unwrap();
    world.restart(Span::hours(5)).await;
    assert_eq!(held(&world.engine), "");
    hours(1).await;
    assert_eq!(world.sent(), 1);
    world.engine.keep_time().await.unwrap();
    world.restart(Span::hours(6) + Span::minutes(1)).await;
    assert!(held(&world.engine).contains("is 6 h 1 min after"), "{}", held(&world.engine));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_wrote_the_time_down_starts_as_ever() {
    let mut world = world().await;
    world.restart(Span::days(30)).await;
    assert_eq!(held(&world.engine), "");
}

/// A key for one tenant.
async fn key_for(engine: &Engine, tenant: &str) -> String {
    let (name, tenant) = (format!("{tenant}-key"), Some(tenant.to_owned()));
    let wish = KeyWish { name, tenant, roles: [Role::Operator].into(), expires_after: None };
    let number = engine.keys(&Caller::default()).len() as u8;
    let draw: Draw = [number; 42];
    engine.make_key(&Caller::default(), wish, draw).await.unwrap().1
}

/// The tables that have rows left of the store's first tenant, with how many each.
fn left(store: &Memory) -> BTreeMap<Table, usize> {
    let mut left = BTreeMap::new();
    for (key, _) in store.dump() {
        let table = key.kind().unwrap();
        let known = [Table::Enrollment, Table::History].contains(&table)
            || table == Table::Deleted
            || Table::OF_TENANTS.contains(&table) && key.tenant_no() == Some(TenantNo(1));
        *left.entry(table).or_default() += usize::from(known);
    }
    left.retain(|_, rows| *rows > 0);
    left
}

#[tokio::test(start_paused = true)]
async fn a_deleted_tenant_is_gone_at_once_and_its_rows_by_and_by_across_a_crash() {
    let mut world = world().await;
    let caller = Caller::default();
    let tenant = TenantSettings { on: true, time_zone: "UTC".into(), ..TenantSettings::default() };
    world.engine.put_tenant(&caller, "globex", tenant.clone()).await.unwrap();
    let ana = world.enroll("ana").await;
    world.enroll("bo").await;
    for _ in 0..20 {
        world.engine.command(&caller, "acme", ana, Command::Pause).await.unwrap();
        world.engine.command(&caller, "acme", ana, Command::Resume).await.unwrap();
    }
    hours(2).await;
    assert_eq!(world.sent(), 2);
    assert!(left(&world.store).contains_key(&Table::History));
    let (of_acme, of_globex) = (key_for(&world.engine, "acme").await, key_for(&world.engine, "globex").await);

    let old = Expected::Revision(1);
    let refused = world.engine.delete_tenant(&caller, "acme", old).await;
    assert!(matches!(refused, Err(Error::Mismatch { .. })), "{refused:?}");
    let own = Caller { only: Some(Name::parse("acme").unwrap()), ..Caller::default() };
    let refused = world.engine.delete_tenant(&own, "acme", Expected::Any).await;
    assert!(matches!(refused, Err(Error::NotFound { .. })), "{refused:?}");
    world.engine.delete_tenant(&caller, "acme", Expected::Any).await.unwrap();
    assert!(matches!(world.engine.get_tenant(&caller, "acme").await, Err(Error::NotFound { .. })));
    assert!(world.engine.holder(&of_acme).is_err());
    assert!(world.engine.holder(&of_globex).is_ok());
    let report = verified(&world.store.dump(), world.store.snapshot().await.unwrap().last());
    assert_eq!(report.faults, [], "rows of a deleted tenant are no fault");

    world.restart(Span::ZERO).await;
    assert!(left(&world.store).contains_key(&Table::Deleted), "the crash came before the end");
    assert!(world.engine.holder(&of_acme).is_err());
    // Its name is free while rows are left.
    let put =
        world.engine.put_tenant(&caller, "acme", At { value: tenant, expected: Expected::Absent }).await;
    put.unwrap();
    hours(48).await;
    assert_eq!(left(&world.store), BTreeMap::new());
    assert_eq!(world.sent(), 2);
    assert!(matches!(world.engine.get(&caller, "acme", ana).await, Err(Error::NotFound { .. })));
    world.engine.get_tenant(&caller, "globex").await.unwrap();
    let acts = world.engine.audit(&caller, None, None, 10).await.unwrap();
    assert!(acts.entries.iter().any(|line| line.act.word() == "delete_tenant" && line.what == "tenant acme"));
}

/// Has the store give this number to the next tenant.
async fn number_the_next(store: &Memory, no: TenantNo) {
    let row = store.get(vec![Key::store()]).await.unwrap().remove(0).unwrap();
    let (key, _): (IdKey, u32) = codec::decode(Format::Store, &row.body).unwrap();
    let mut commit = Commit::new(Class::Event, TenantNo(0), SYSTEM);
    commit.puts.push((Key::store(), codec::encode(Format::Store, &(key, no.0)).unwrap()));
    store.commit(commit).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn another_tenant_of_a_deleted_ones_shard_keeps_every_byte() {
    let world = world().await;
    let (caller, other) = (Caller::default(), TenantNo(988));
    assert_eq!(route(other, ""), route(TenantNo(1), ""));
    number_the_next(&world.store, other).await;
    furnish(&world.engine, "globex").await;
    world.enroll("ana").await;
    let theirs = world.enroll_of("globex", "ana").await;
    hours(2).await;
    assert_eq!(world.sent(), 2);
    let of_other = || {
        let is_theirs = |key: &Key| {
            *key == Key::enrollment(theirs)
                || Table::OF_TENANTS.contains(&key.kind().unwrap()) && key.tenant_no() == Some(other)
        };
        let rows = world.store.dump();
        rows.into_iter().filter(|(key, _)| is_theirs(key)).collect::<Vec<_>>()
    };
    let before = of_other();
    assert!(before.iter().any(|(key, _)| key.kind() == Some(Table::Wake)), "they are under way");
    world.engine.delete_tenant(&caller, "acme", Expected::Any).await.unwrap();
    hours(20).await;
    assert!(world.store.dump().iter().all(|(key, _)| key.tenant_no() != Some(TenantNo(1))));
    assert_eq!(of_other(), before);
    hours(24).await;
    assert_eq!(world.sent(), 3, "they go on");
    let last = world.store.snapshot().await.unwrap().last();
    assert_eq!(verified(&world.store.dump(), last).faults, []);
}

#[tokio::test(start_paused = true)]
async fn a_message_on_its_way_does_not_bring_a_deleted_tenant_back() {
    let world = world().await;
    let caller = Caller::default();
    world.enroll("ana").await;
    world.kept.hang();
    hours(2).await;
    assert_eq!(world.sent(), 1, "it hangs");
    world.engine.delete_tenant(&caller, "acme", Expected::Any).await.unwrap();
    world.kept.go_on();
    hours(48).await;
    assert_eq!(left(&world.store), BTreeMap::new());
    assert_eq!(world.sent(), 1);
    world.engine.drain().await;
}

/// A whole backup, in its parts.
async fn backup(engine: &Engine) -> Vec<u8> {
    let mut backup = engine.backup(&Caller::default(), "0.0.0").await.unwrap();
    let mut bytes = Vec::new();
    while let Some(part) = backup.part().await.unwrap() {
        bytes.extend_from_slice(&part);
    }
    bytes
}

fn verified(rows: &[(Key, Row)], last: Version) -> Report {
    let mut verifier = Verifier::new(last);
    rows.iter().for_each(|(key, row)| verifier.row(key, row));
    verifier.finish()
}

#[tokio::test(start_paused = true)]
async fn a_backup_is_of_one_moment_and_makes_sense() {
    let world = world().await;
    for contact in ["ana", "bo", "cy"] {
        world.enroll(contact).await;
    }
    hours(2).await;
    let mut slow = world.engine.backup(&Caller::default(), "0.0.0").await.unwrap();
    let then = world.store.dump();
    let mut bytes = slow.part().await.unwrap().unwrap().to_vec();
    world.enroll("late").await;
    while let Some(part) = slow.part().await.unwrap() {
        bytes.extend_from_slice(&part);
    }
    let reader = Reader::open(&bytes[..]).unwrap();
    let head = reader.head().clone();
    let rows: Vec<(Key, Row)> = reader.collect::<Result<_, _>>().unwrap();
    assert_eq!(rows, then);
    assert_eq!((head.release.as_str(), head.at), ("0.0.0", world.clocks.wall()));
    let report = verified(&rows, head.last);
    assert_eq!((report.faults, report.open, report.rows["enrollment"]), (vec![], 3, 3));

    let (held, last) = held_rows(&head, world.clocks.wall()).unwrap();
    assert_eq!(last.0, head.last.0 + 1);
    let mut with: Vec<_> = rows.into_iter().chain(held).collect();
    with.sort_by(|(one, _), (other, _)| one.cmp(other));
    assert_eq!(verified(&with, last).faults, vec![]);
    let acts = world.engine.audit(&Caller::default(), None, None, 10).await.unwrap();
    assert_eq!((acts.entries[0].act.word(), acts.entries[0].what.as_str()), ("backup", "all rows"));
    assert!(Reader::open(&backup(&world.engine).await[..]).unwrap().check().unwrap() > 10);
}

#[tokio::test(start_paused = true)]
async fn a_backup_is_for_who_has_all_tenants() {
    let world = world().await;
    let caller = Caller { only: Some(Name::parse("acme").unwrap()), ..Caller::default() };
    let refused = world.engine.backup(&caller, "0.0.0").await.err().unwrap();
    assert!(matches!(refused, Error::NotFound { .. }), "{refused}");
}

type Damage = fn(&mut Vec<(Key, Row)>);

/// Removes the first row of a table.
fn without(rows: &mut Vec<(Key, Row)>, table: Table) -> (Key, Row) {
    let at = rows.iter().position(|(key, _)| key.kind() == Some(table)).unwrap();
    rows.remove(at)
}

/// Changes the body of the first row of a table.
fn changed(rows: &mut [(Key, Row)], table: Table, change: impl FnOnce(&mut Vec<u8>)) {
    let (_, row) = rows.iter_mut().find(|(key, _)| key.kind() == Some(table)).unwrap();
    let mut body = row.body.to_vec();
    change(&mut body);
    row.body = body.into();
}

#[tokio::test(start_paused = true)]
async fn rows_that_make_no_sense_are_named() {
    let world = world().await;
    let id = world.enroll("ana").await.to_string();
    world.enroll("bo").await;
    let whole = world.store.dump();
    let last = whole.iter().map(|(_, row)| row.version).max().unwrap();
    assert_eq!(verified(&whole, last).faults, vec![]);
    let missing = format!("wake of {id} due ");
    let table: [(&str, &str, &str, Damage); 12] = [
        ("E14", "contact ana of tenant 1", "no tenant has this number", |rows| {
            drop(without(rows, Table::Name))
        }),
        ("E14", &id, "no tenant has number 1", |rows| drop(without(rows, Table::Name))),
        ("E1", &missing, "it is not there", |rows| drop(without(rows, Table::Wake))),
        ("E9", "wake of", "no enrollment has it", |rows| drop(without(rows, Table::Enrollment))),
        ("E14", &id, "contact ana of tenant acme names it", |rows| drop(without(rows, Table::Enrollment))),
        ("E9", &id, "its contact, ana, does not name it", |rows| drop(without(rows, Table::Contact))),
        ("E9", "target ch-ana of tenant acme", "1 enrollments are about it", |rows| {
            without(rows, Table::Target);
        }),
        ("E9", "target ch-ana", "does not name enr_", |rows| {
            let other = rows.iter().rfind(|(key, _)| key.kind() == Some(Table::Target)).unwrap().1.clone();
            changed(rows, Table::Target, |body| *body = other.body.to_vec());
        }),
        ("E9", "counter", "the enrollments come to 2", |rows| {
            changed(rows, Table::Count, |body| body[0] += 1)
        }),
        ("row", "contact ana of tenant acme", "checksum", |rows| {
            changed(rows, Table::Contact, |body| body[6] ^= 1);
        }),
        ("row", "wake of", "it has a body", |rows| changed(rows, Table::Wake, |body| body.push(1))),
        ("row", "row ", "no such kind of row", |rows| {
            let (key, row) = without(rows, Table::Audit);
            let unknown = [b"!", &key.as_bytes()[1..]].concat();
            rows.insert(0, (Key::from_bytes(unknown), row));
        }),
    ];
    for (name, about, what, damage) in table {
        let mut rows = whole.clone();
        damage(&mut rows);
        let faults = verified(&rows, last).faults;
        let found = faults
            .iter()
            .any(|fault| fault.name == name && fault.about.contains(about) && fault.what.contains(what));
        assert!(found, "{name} {about}: {what} is not in {faults:#?}");
    }
    let newer = verified(&whole, Version(last.0 - 1)).faults;
    assert!(newer.iter().any(|fault| fault.what.contains("and the last is")), "{newer:#?}");
}
