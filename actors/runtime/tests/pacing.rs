//! The limits of a channel through the engine: as they are put and shown, and as its lane keeps them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use followupd_channel::transports::Transports;
use followupd_channel::{Answer, Call, Slot, Transport};
use followupd_domain::decide::enroll::{Profile, Request};
use followupd_domain::enrollment::State;
use followupd_domain::filter::Filter;
use followupd_domain::gate::Binding;
use followupd_domain::ledger::WarmUp;
use followupd_domain::sequence::{Draft, DraftStep};
use followupd_domain::{Moment, Span};
use followupd_runtime::{
    Caller, Change, ChannelSettings, Config, Engine, Env, Error, RestSettings, Settings, TenantSettings,
    Wanted,
};
use followupd_store::memory::Memory;
use futures::future::BoxFuture;

struct VirtualEnv {
    started: tokio::time::Instant,
    drawn: AtomicU64,
    /// How far the clock on the wall has jumped.
    jumped: AtomicI64,
}

/// 2026-11-23, midnight in UTC.
const START: i64 = 1_795_392_000_000;

impl Env for VirtualEnv {
    fn wall(&self) -> Moment {
        Moment(START) + self.steady() + Span(self.jumped.load(Ordering::Relaxed))
    }
    fn steady(&self) -> Span {
        Span(self.started.elapsed().as_millis() as i64)
    }
    fn random(&self) -> u64 {
        self.drawn.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

/// The moments at which calls began, by a clock that does not jump, and to whom, in the order they began.
struct Kept(Arc<VirtualEnv>, Mutex<Vec<(i64, String)>>);

impl Transport for Kept {
    fn call(&self, call: Call, _slot: Slot) -> BoxFuture<'_, Answer> {
        self.1.lock().unwrap().push((START + self.0.steady().0, call.contact));
        Box::pin(async { Answer::Accepted })
    }
}

struct World {
    engine: Engine,
    store: Memory,
    env: Arc<VirtualEnv>,
    kept: Arc<Kept>,
}

async fn start(store: Memory, env: Arc<VirtualEnv>, kept: Arc<Kept>) -> World {
    let transports = Transports::only(kept.clone());
    let engine = Engine::start(Config::default(), Arc::new(store.clone()), env.clone(), transports);
    World { engine: engine.await.unwrap(), store, env, kept }
}

fn chat() -> ChannelSettings {
    ChannelSettings { kind: "whatsapp".into(), transport: "outbox".into(), ..ChannelSettings::default() }
}

/// `acme` with the channel `chat`, so paced, and a sequence of one step at once.
async fn world(channel: ChannelSettings) -> World {
    let env = VirtualEnv {
        started: tokio::time::Instant::now(),
        drawn: AtomicU64::new(1),
        jumped: AtomicI64::new(0),
    };
    let env = Arc::new(env);
    let kept = Arc::new(Kept(Arc::clone(&env), Mutex::default()));
    let world = start(Memory::default(), env, kept).await;
    let (engine, caller) = (&world.engine, Caller::default());
    let tenant = TenantSettings { on: true, time_zone: "UTC".into(), ..TenantSettings::default() };
    engine.put_tenant(&caller, "acme", tenant).await.unwrap();
    engine.put_channel(&caller, "acme", "chat", channel).await.unwrap();
    let step = DraftStep { channel: "chat".into(), body: "hello".into(), ..DraftStep::default() };
    let draft = Draft { steps: vec![step], ..Draft::default() };
    engine.put_sequence(&caller, "acme", "welcome", draft).await.unwrap();
    engine.publish(&caller, "acme", "welcome").await.unwrap();
    world
}

impl World {
    /// Enrolls so many who were not enrolled before.
    async fn enroll(&self, contacts: std::ops::Range<usize>) {
        let request = |n| {
            let profile = Profile { phone: Some(format!("+1555010{n:04}")), ..Profile::default() };
            Request { contact: format!("c{n}"), profile, ..Request::default() }
        };
        let requests = contacts.map(request).collect();
        self.engine.enroll(&Caller::default(), "acme", "welcome", requests).await.unwrap();
    }

    /// The starts so far, in milliseconds since the first.
    fn starts(&self) -> Vec<i64> {
        let starts = self.kept.1.lock().unwrap();
        starts.iter().map(|(at, _)| at - starts[0].0).collect()
    }

    /// The starts of calls to one contact so far, in milliseconds since the world began.
    fn starts_to(&self, contact: &str) -> Vec<i64> {
        let starts = self.kept.1.lock().unwrap();
        starts.iter().filter(|(_, to)| to == contact).map(|(at, _)| at - START).collect()
    }

    /// Puts so many sequences more, like the first one, and enrolls one contact in each of them.
    async fn enroll_in_more(&self, sequences: usize, contact: usize) {
        let caller = Caller::default();
        for n in 0..sequences {
            let name = format!("more{n}");
            let draft = self.engine.version(&caller, "acme", "welcome", None).unwrap().unwrap().1;
            self.engine.put_sequence(&caller, "acme", &name, draft).await.unwrap();
            self.engine.publish(&caller, "acme", name.as_str()).await.unwrap();
            let request = Request { contact: format!("c{contact}"), ..Request::default() };
            self.engine.enroll(&caller, "acme", &name, vec![request]).await.unwrap();
        }
    }
}

async fn pass(span: Span) {
    tokio::time::sleep(Duration::from_millis(span.0.unsigned_abs())).await;
}

#[tokio::test(start_paused = true)]
async fn a_preset_is_shown_as_its_limits_and_putting_these_changes_nothing() {
    let preset = ChannelSettings { preset: "whatsapp-web".into(), per_hour: 20, new_recipients: 9, ..chat() };
    let world = world(preset.clone()).await;
    let (engine, caller) = (&world.engine, Caller::default());
    let shown = engine.get_channel(&caller, "acme", "chat").await.unwrap().settings;
    assert_eq!(
        (shown.preset.as_str(), shown.gap.as_str(), shown.jitter.as_str()),
        ("", "45 seconds", "75 seconds")
    );
    assert_eq!((shown.per_hour, shown.per_day, shown.new_recipients), (20, 200, 9));
    assert_eq!(shown.rest, Some(RestSettings { after: 30, span: "20 minutes".into() }));
    assert_eq!(shown.warm_up, Some(WarmUp { days: 14, from: 20 }));
    for settings in [shown.clone(), preset] {
        let wanted = Wanted { name: "chat".into(), settings: Settings::Channel(Box::new(settings)) };
        let compared = engine.compare(&caller, "acme", vec![wanted]).unwrap().remove(0);
        assert_eq!(compared.change, Some(Change::Unchanged), "{:?}", compared.faults);
    }
    engine.put_channel(&caller, "acme", "chat", shown.clone()).await.unwrap();
    assert_eq!(engine.get_channel(&caller, "acme", "chat").await.unwrap().settings, shown);
}

#[tokio::test(start_paused = true)]
async fn limits_that_contradict_each_other_are_refused_by_both_names() {
    let world = world(chat()).await;
    let rest = |after| Some(RestSettings { after, span: "1 minute".into() });
    let ramp = |from| Some(WarmUp { days: 5, from });
    let wrong = [
        (ChannelSettings { jitter: "1 second".into(), ..chat() }, ["jitter", "gap"]),
        (ChannelSettings { rest: rest(9), per_day: 8, ..chat() }, ["rest.after", "per_day"]),
        (ChannelSettings { rest: rest(9), gap: "1 minute".into(), ..chat() }, ["rest.span", "gap"]),
        (ChannelSettings { warm_up: ramp(1), ..chat() }, ["warm_up.days", "per_day"]),
        (ChannelSettings { warm_up: ramp(9), per_day: 8, ..chat() }, ["warm_up.from", "per_day"]),
    ];
    for (settings, names) in wrong {
        let refused =
            world.engine.put_channel(&Caller::default(), "acme", "chat", settings).await.unwrap_err();
        assert!(matches!(refused, Error::Invalid(_)), "{refused}");
        let told = refused.to_string();
        assert!(names.iter().all(|name| told.contains(name)), "{names:?}: {told}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_jitter_makes_gaps_longer_by_chance_and_a_restart_none_shorter() {
    let channel = ChannelSettings { gap: "10 seconds".into(), jitter: "20 seconds".into(), ..chat() };
    let world = world(channel).await;
    world.enroll(0..60).await;
    pass(Span::minutes(10)).await;
    world.engine.stop();
    let world = start(world.store.clone(), world.env.clone(), world.kept.clone()).await;
    pass(Span::minutes(20)).await;
    let starts = world.starts();
    assert_eq!(starts.len(), 60);
    let gaps: Vec<i64> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| (10_000..=30_500).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().any(|gap| *gap < 15_000) && gaps.iter().any(|gap| *gap > 25_000), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lane_rests_after_so_many_sends() {
    let rest = Some(RestSettings { after: 3, span: "20 minutes".into() });
    let world = world(ChannelSettings { gap: "1 second".into(), rest, ..chat() }).await;
    world.enroll(0..8).await;
    pass(Span::hours(2)).await;
    let starts = world.starts();
    assert_eq!(starts.len(), 8);
    let long: Vec<usize> = (1..8).filter(|n| starts[*n] - starts[n - 1] >= 1_200_000).collect();
    assert_eq!(long, [3, 6], "{starts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_new_sender_warms_up_day_by_day() {
    let warm_up = Some(WarmUp { days: 3, from: 2 });
    let world = world(ChannelSettings { per_day: 8, warm_up, ..chat() }).await;
    // A day passes before the first send: the ramp begins with it.
    pass(Span::days(1)).await;
    world.enroll(0..40).await;
    pass(Span::hours(4 * 24 - 1)).await;
    let day = |at: &i64| at.div_euclid(86_400_000);
    let starts = world.starts();
    let days: Vec<usize> = (0..4).map(|n| starts.iter().filter(|at| day(at) == n).count()).collect();
    assert_eq!(days, [2, 4, 6, 8]);
}

#[tokio::test(start_paused = true)]
async fn a_contact_in_many_sequences_is_kept_a_gap_apart_and_nobody_waits_for_it() {
    let world = world(ChannelSettings { recipient_gap: "1 hour".into(), ..chat() }).await;
    world.enroll(0..3).await;
    world.enroll_in_more(3, 0).await;
    pass(Span::minutes(1)).await;
    assert_eq!((world.starts().len(), world.starts_to("c1").len()), (3, 1));
    // A restart in between forgets nothing.
    world.engine.stop();
    let world = start(world.store.clone(), world.env.clone(), world.kept.clone()).await;
    pass(Span::hours(5)).await;
    let starts = world.starts_to("c0");
    assert_eq!(starts.len(), 4);
    let apart: Vec<i64> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(apart.iter().all(|apart| (3_600_000..3_610_000).contains(apart)), "{apart:?}");
}

#[tokio::test(start_paused = true)]
async fn a_contact_gets_no_more_than_its_caps_over_all_sequences() {
    let world = world(chat()).await;
    let tenant = TenantSettings {
        on: true,
        time_zone: "UTC".into(),
        contact_per_day: 2,
        contact_per_week: 3,
        ..TenantSettings::default()
    };
    world.engine.put_tenant(&Caller::default(), "acme", tenant).await.unwrap();
    world.enroll(0..2).await;
    world.enroll_in_more(4, 0).await;
    pass(Span::days(9)).await;
    let days: Vec<i64> = world.starts_to("c0").iter().map(|at| at.div_euclid(86_400_000)).collect();
    assert_eq!(days, [0, 0, 1, 7, 7]);
    assert_eq!(world.starts_to("c1").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn explain_names_the_cap_that_a_contact_waits_for() {
    let world = world(chat()).await;
    let tenant =
        TenantSettings { on: true, time_zone: "UTC".into(), contact_per_day: 1, ..Default::default() };
    world.engine.put_tenant(&Caller::default(), "acme", tenant).await.unwrap();
    world.enroll(0..1).await;
    world.enroll_in_more(1, 0).await;
    pass(Span::minutes(1)).await;
    let filter = Filter { contact: Some("c0".into()), ..Filter::default() };
    let page = world.engine.enrollments(&Caller::default(), "acme", None, filter, None, 10).await.unwrap();
    let waits = page.enrollments.iter().find(|one| one.state == State::Active).unwrap();
    let explained = world.engine.explain(&Caller::default(), "acme", waits.id).await.unwrap().explained;
    assert_eq!(explained.binding, Some(Binding::ContactCaps));
    let at = Moment(START) + Span::days(1);
    assert!(explained.at.is_some_and(|opens| opens >= at && opens < at + Span::seconds(5)), "{explained:?}");
}

#[tokio::test(start_paused = true)]
async fn a_channel_writes_to_so_many_new_people_in_24_h_and_those_it_knows_do_not_wait_behind_them() {
    let world = world(ChannelSettings { new_recipients: 5, ..chat() }).await;
    world.enroll(0..40).await;
    pass(Span::minutes(5)).await;
    assert_eq!(world.starts().len(), 5);
    let known = world.kept.1.lock().unwrap()[0].1.clone();
    world.enroll_in_more(2, known[1..].parse().unwrap()).await;
    pass(Span::minutes(5)).await;
    assert_eq!(world.starts_to(&known).len(), 3, "who was written to is no new recipient");
    world.engine.stop();
    let world = start(world.store.clone(), world.env.clone(), world.kept.clone()).await;
    pass(Span::days(9)).await;
    let starts = world.kept.1.lock().unwrap().clone();
    assert_eq!(starts.len(), 42, "everybody is written to in the end");
    for (end, _) in &starts {
        let within = starts.iter().filter(|(at, _)| (end - 86_400_000..=*end).contains(at));
        let people: BTreeSet<&String> = within.map(|(_, to)| to).collect();
        assert!(people.len() <= 5, "{people:?} up to {end}");
    }
}

/// A limit, and how many are in line for it when the clock jumps back an hour.
struct Jump {
    channel: ChannelSettings,
    people: usize,
    /// From the world's beginning on.
    jumps_after: Span,
    /// At most so many sends in any window of so long.
    most: (usize, Span),
    /// How long the lane may stand still beside its windows.
    stands: Span,
}

fn jumps() -> Vec<(&'static str, Jump)> {
    let (minute, hour) = (Span::minutes(1), Span::hours(1));
    let per_minute = ChannelSettings { per_minute: 4, ..chat() };
    let per_hour = ChannelSettings { per_hour: 9, ..chat() };
    let gap = ChannelSettings { gap: "1 minute".into(), ..chat() };
    let of = |channel, people, jumps_after, most| {
        // When somebody is due is the wall's: who came into line within the hour before waits for it once more.
        let stands = if jumps_after < hour { hour } else { Span::ZERO };
        Jump { channel, people, jumps_after, most, stands }
    };
    vec![
        ("per_minute", of(per_minute.clone(), 400, Span::minutes(70), (4, minute))),
        ("per_hour", of(per_hour, 40, Span::minutes(90), (9, hour))),
        ("gap", of(gap.clone(), 100, Span::minutes(70), (1, minute))),
        ("per_minute, lately", of(per_minute, 40, Span::minutes(5), (4, minute))),
        ("gap, lately", of(gap, 40, Span::minutes(5), (1, minute))),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_back_exceeds_no_window_stops_no_lane_and_sends_nobody_a_second_message() {
    for (name, Jump { channel, people, jumps_after, most: (most, window), stands }) in jumps() {
        let world = world(channel).await;
        world.enroll(0..people).await;
        pass(jumps_after).await;
        let before = world.starts().len();
        assert!((1..people).contains(&before), "{name}: {before} have left before it jumps");
        world.env.jumped.store(-3_600_000, Ordering::Relaxed);
        pass(Span::hours(8)).await;
        let starts = world.kept.1.lock().unwrap().clone();
        let whom: BTreeSet<&String> = starts.iter().map(|(_, to)| to).collect();
        assert_eq!((starts.len(), whom.len()), (people, people), "{name}: each once");
        for (first, _) in &starts {
            let within = starts.iter().filter(|(at, _)| (*first..first + window.0).contains(at));
            assert!(within.count() <= most, "{name}: {starts:?}");
        }
        // A window's sends leave at its beginning, and the next ones when these are out: at most a 64th of it later,
        // and engine time is drawn toward the wall by a hundredth.
        let longest = starts.windows(2).map(|pair| pair[1].0 - pair[0].0).max();
        let most = window.0 + window.0 / 16 + stands.0;
        assert!(longest <= Some(most), "{name}: it stood still for {longest:?} ms");
        world.engine.stop();
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_back_over_midnight_gives_no_day_a_second_time() {
    let warm_up = Some(WarmUp { days: 3, from: 2 });
    let rows = [
        ("per_day", ChannelSettings { per_day: 8, ..chat() }, [8_usize, 8, 8, 8]),
        ("warm_up", ChannelSettings { per_day: 8, warm_up, ..chat() }, [2, 4, 6, 8]),
    ];
    // In the middle of a day, and so that the same midnight comes twice.
    for (jumps_after, (name, channel, days)) in [Span::hours(36), Span::minutes(24 * 60 + 20)]
        .into_iter()
        .flat_map(|at| rows.clone().map(|row| (at, row)))
    {
        let world = world(channel).await;
        world.enroll(0..40).await;
        pass(jumps_after).await;
        world.env.jumped.store(-3_600_000, Ordering::Relaxed);
        pass(Span(Span::hours(4 * 24).0 - jumps_after.0)).await;
        let starts = world.kept.1.lock().unwrap().clone();
        let people: BTreeSet<&String> = starts.iter().map(|(_, to)| to).collect();
        assert_eq!(people.len(), starts.len(), "{name}: each once");
        // Each day's leave when it begins: of the wall's days and the engine's that is within the same steady day.
        let day = |at: i64| (at - START).div_euclid(86_400_000);
        let sent = [0, 1, 2, 3].map(|n| starts.iter().filter(|(at, _)| day(*at) == n).count());
        assert_eq!(sent, days, "{name}, after {jumps_after:?}");
        world.engine.stop();
    }
}
