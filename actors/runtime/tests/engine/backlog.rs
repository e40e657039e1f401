//! What waits in a lane: counted as it changes, told with what holds it, its pace and its end.

use std::sync::Arc;

use followupd_channel::transports::Transports;
use followupd_channel::{Answer, Call, Slot, Transport};
use followupd_domain::calendar::Zone;
use followupd_domain::decide::enroll::{Profile, Request};
use followupd_domain::gate::Binding;
use followupd_domain::ledger::LimitName;
use followupd_domain::name::Name;
use followupd_domain::sequence::{Draft, DraftStep};
use followupd_domain::{Moment, Span, TenantNo, route};
use followupd_runtime::{
    Backlog, Caller, ChannelSettings, Config, Engine, EnrollAnswer, ScopeName, TenantSettings, Waits,
    WaitsFor,
};
use followupd_store::keys::Table;
use followupd_store::memory::Memory;
use followupd_store::{Class, Commit, Key, Scan, Store};
use futures::future::BoxFuture;

use crate::virtual_env::VirtualEnv;

/// A noon.
const START: i64 = 1_795_435_200_000;

struct Takes;

impl Transport for Takes {
    fn call(&self, _call: Call, _slot: Slot) -> BoxFuture<'_, Answer> {
        Box::pin(async { Answer::Accepted })
    }
}

async fn start(store: &Memory) -> Engine {
    let env = Arc::new(VirtualEnv::at(Moment(START)));
    let transports = Transports::only(Arc::new(Takes));
    Engine::start(Config::default(), Arc::new(store.clone()), env, transports).await.unwrap()
}

/// `acme`, whose channel `mail` sends one a minute, with two sequences that wait half an hour.
async fn put(engine: &Engine, mail: ChannelSettings) {
    let caller = Caller::default();
    let tenant = TenantSettings {
        on: true,
        time_zone: "UTC".into(),
        contact_time_zone: true,
        quiet_hours: vec![("mon,tue,wed,thu,fri,sat,sun".into(), "20:00".into(), "08:00".into())],
        ..TenantSettings::default()
    };
    engine.put_tenant(&caller, "acme", tenant).await.unwrap();
    let mail = ChannelSettings { kind: "email".into(), transport: "outbox".into(), ..mail };
    engine.put_channel(&caller, "acme", "mail", mail).await.unwrap();
    for name in ["renewal", "welcome"] {
        let step = DraftStep {
            wait: "30 minutes".into(),
            channel: "mail".into(),
            subject: "hello".into(),
            body: "hello".into(),
            ..DraftStep::default()
        };
        let draft = Draft { steps: vec![step], ..Draft::default() };
        engine.put_sequence(&caller, "acme", name, draft).await.unwrap();
        engine.publish(&caller, "acme", name).await.unwrap();
    }
}

fn one_a_minute() -> ChannelSettings {
    ChannelSettings {
        rate_count: 1,
        rate_per: "1 minute".into(),
        rate_burst: 1,
        ..ChannelSettings::default()
    }
}

async fn enroll(engine: &Engine, sequence: &str, zone: &str, count: usize) {
    let request = |number| {
        let contact = format!("{sequence}-{number}");
        let profile = Profile {
            email: Some(format!("{contact}@mail.example")),
            zone: Some(Zone::parse(zone).unwrap()),
            ..Profile::default()
        };
        Request { contact, profile, ..Request::default() }
    };
    let requests = (0..count).map(request).collect();
    for answer in engine.enroll(&Caller::default(), "acme", sequence, requests).await.unwrap() {
        assert!(matches!(answer, EnrollAnswer::Enrolled { .. }), "{answer:?}");
    }
}

async fn backlog(engine: &Engine) -> Backlog {
    engine.backlog(&Caller::default(), "acme", "mail").await.unwrap()
}

/// So much time passes, and all that happens in it.
async fn pass(span: Span) {
    tokio::time::sleep(std::time::Duration::from_millis(span.0.unsigned_abs())).await;
}

#[tokio::test(start_paused = true)]
async fn a_few_do_not_wait_for_what_a_cap_leaves_in_the_long_run() {
    let engine = start(&Memory::default()).await;
    let capped = ChannelSettings { rate_per: "1 second".into(), per_hour: 50, ..one_a_minute() };
    put(&engine, capped).await;
    enroll(&engine, "renewal", "UTC", 60).await;
    pass(Span::minutes(30) + Span::seconds(30)).await;
    let during = backlog(&engine).await;
    assert_eq!((during.due, during.pace), (30, Some((LimitName::PerHour, 72_000_000))));
    // Twenty within as many seconds; ten, when the first of all are an hour old.
    let end = during.empty_at.unwrap().since(Moment(START) + Span::minutes(90));
    assert!((Span::seconds(10)..Span::minutes(2)).contains(&end), "{end:?}");
    pass(end + Span::minutes(59) + Span::seconds(26)).await;
    assert!(backlog(&engine).await.due > 0, "the last is told to leave in 4 seconds");
    pass(Span::seconds(6)).await;
    assert_eq!(backlog(&engine).await.due, 0);
}

#[tokio::test(start_paused = true)]
async fn who_stands_behind_more_new_people_than_a_day_has_room_for_is_told_a_later_day() {
    let engine = start(&Memory::default()).await;
    put(&engine, ChannelSettings { new_recipients: 5, ..one_a_minute() }).await;
    enroll(&engine, "renewal", "UTC", 12).await;
    let caller = Caller::default();
    let told = async |contact: &str| {
        let one = engine.contact_enrollments(&caller, "acme", contact).await.unwrap()[0];
        engine.explain(&caller, "acme", one).await.unwrap().explained
    };
    let last = told("renewal-11").await;
    let morning = Moment(START) + Span::hours(20 + 24);
    assert_eq!((last.binding, last.at), (Some(Binding::Line), Some(morning)), "5 today, 5 on the next day");
    assert_eq!(told("renewal-4").await.at, Some(Moment(START) + Span::minutes(34)));
    // Who was written to today is nobody new.
    pass(Span::minutes(31)).await;
    let again = Request { contact: "renewal-0".into(), ..Request::default() };
    engine.enroll(&caller, "acme", "welcome", vec![again]).await.unwrap();
    let known = engine.contact_enrollments(&caller, "acme", "renewal-0").await.unwrap();
    let mut ends = Vec::new();
    for id in known {
        ends.extend(engine.explain(&caller, "acme", id).await.unwrap().explained.at);
    }
    let today = Moment(START) + Span::hours(8);
    assert!(ends.iter().max().is_some_and(|at| *at < today), "{ends:?}");
}

#[tokio::test(start_paused = true)]
async fn a_day_on_which_hours_do_not_open_has_no_room() {
    let engine = start(&Memory::default()).await;
    put(&engine, ChannelSettings { new_recipients: 5, ..one_a_minute() }).await;
    let caller = Caller::default();
    let quiet = [("mon", "00:00", "24:00"), ("tue", "00:00", "24:00"), ("wed", "00:00", "24:00")];
    let quiet = quiet.map(|(days, from, to)| (days.into(), from.into(), to.into())).to_vec();
    let tenant =
        TenantSettings { on: true, time_zone: "UTC".into(), quiet_hours: quiet, ..TenantSettings::default() };
    engine.put_tenant(&caller, "acme", tenant).await.unwrap();
    enroll(&engine, "renewal", "UTC", 12).await;
    let last = engine.contact_enrollments(&caller, "acme", "renewal-11").await.unwrap()[0];
    let last = engine.explain(&caller, "acme", last).await.unwrap().explained;
    let saturday = Moment(START) + Span::hours(12 + 4 * 24);
    assert_eq!(last.at, Some(saturday), "5 on Thursday, when it opens, and 5 on Friday");
}

#[tokio::test(start_paused = true)]
async fn a_backlog_tells_what_is_due_who_holds_it_and_when_it_is_gone() {
    let engine = start(&Memory::default()).await;
    put(&engine, one_a_minute()).await;
    enroll(&engine, "renewal", "UTC", 60).await;
    // There it is night until the engine's 23 h.
    enroll(&engine, "welcome", "Asia/Tokyo", 5).await;
    let before = backlog(&engine).await;
    assert_eq!((before.due, before.due_24h, before.later), (0, 65, 65));
    assert_eq!((before.pace, before.share), (Some((LimitName::Rate, 60_000_000)), 1_000));

    // The first is due at half past, and one leaves a minute.
    pass(Span::minutes(30) + Span::seconds(570)).await;
    let during = backlog(&engine).await;
    assert_eq!((during.due, during.later, during.about, during.more), (55, 0, false, false));
    let waits: Vec<(u64, Option<Waits>)> =
        during.groups.iter().map(|group| (group.due, group.waits)).collect();
    let morning = Moment(START) + Span::hours(11);
    assert_eq!(waits, [(50, None), (5, Some(Waits { on: WaitsFor::Hours, until: Some(morning) }))]);
    assert_eq!(during.empty_at, Some(morning + Span::minutes(4)), "when those in Tokyo have left too");

    let sequence = ScopeName::Sequence(Name::parse("renewal").unwrap());
    engine.hold(&Caller::default(), "acme", sequence, "not yet").await.unwrap();
    let held = backlog(&engine).await;
    assert_eq!(held.groups[0].waits, Some(Waits { on: WaitsFor::Sequence, until: None }));
    assert_eq!(held.empty_at, Some(morning + Span::minutes(4)), "what is held has no end");
    engine.hold(&Caller::default(), "acme", ScopeName::Tenant, "not yet").await.unwrap();
    let held = backlog(&engine).await;
    assert_eq!(held.waits, [Waits { on: WaitsFor::Tenant, until: None }]);
    assert_eq!(held.empty_at, None);
    engine.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_cap_of_a_day_that_is_used_up_is_what_holds_it() {
    let engine = start(&Memory::default()).await;
    put(&engine, ChannelSettings { per_day: 10, ..one_a_minute() }).await;
    enroll(&engine, "renewal", "UTC", 15).await;
    pass(Span::hours(1)).await;
    let found = backlog(&engine).await;
    let midnight = Moment(START) + Span::hours(12);
    assert_eq!(found.due, 5);
    assert_eq!(found.waits, [Waits { on: WaitsFor::Limit(LimitName::PerDay), until: Some(midnight) }]);
    assert_eq!(found.empty_at, Some(midnight + Span::hours(8) + Span::minutes(4)), "the morning after");
    engine.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_of_an_earlier_release_is_counted_at_its_first_start() {
    let store = Memory::default();
    let engine = start(&store).await;
    put(&engine, one_a_minute()).await;
    enroll(&engine, "renewal", "UTC", 70).await;
    let before = backlog(&engine).await;
    engine.drain().await;
    // As it was before wakes were counted, but for a count that a start left when it was cut short.
    let (tenant, shard) = (TenantNo(1), route(TenantNo(1), ""));
    let prefix = Key::of_tenant(Table::Backlog, shard, tenant);
    let scan = Scan { from: prefix.clone(), to: prefix.after_prefix(), limit: 100 };
    let counts = store.scan(scan).await.unwrap();
    assert_eq!(counts.len(), 1);
    let mut kept = Commit::new(Class::Event, TenantNo(0), followupd_store::keys::SYSTEM);
    kept.deletes.push(Key::backlogs_kept());
    store.commit(kept).await.unwrap();
    let mut wrong = Commit::new(Class::Event, tenant, shard);
    let (_, queue, _) = counts[0].0.to_backlog().unwrap();
    let lane = counts[0].0.to_backlog().unwrap().0;
    wrong.deletes.push(counts[0].0.clone());
    wrong.puts.push((Key::backlog(shard, lane, &queue, Moment(0)), 9_i64.to_le_bytes().to_vec().into()));
    store.commit(wrong).await.unwrap();

    let engine = start(&store).await;
    let after = backlog(&engine).await;
    assert_eq!((after.due, after.later, &after.groups), (before.due, before.later, &before.groups));
    engine.drain().await;
}
