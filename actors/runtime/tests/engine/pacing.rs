//! The limits of a channel through the engine: as they are put and shown, and as its lane keeps them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use followupd_channel::transports::Transports;
use followupd_channel::{Answer, Call, Slot, Transport};
use followupd_domain::decide::enroll::{Profile, Request};
use followupd_domain::decision::Decision;
use followupd_domain::enrollment::State;
use followupd_domain::filter::Filter;
use followupd_domain::gate::Binding;
use followupd_domain::ledger::{LimitName, WarmUp};
use followupd_domain::name::Name;
use followupd_domain::render::Message;
use followupd_domain::sequence::{Draft, DraftStep};
use followupd_domain::{Moment, Span};
use followupd_runtime::{
    Caller, Change, ChannelSettings, Config, Engine, Env, Error, RestSettings, ScopeName, Settings,
    TenantSettings, WaitsFor, Wanted,
};
use followupd_store::keys::SYSTEM;
use followupd_store::memory::Memory;
use followupd_store::{Applied, Class, Commit, Key, Refused, Row, Scan, Snapshot, Store};
use futures::future::BoxFuture;

use crate::virtual_env::VirtualEnv;

/// 2026-11-23, midnight in UTC.
const START: i64 = 1_795_392_000_000;

/// The moments at which calls began, by a clock that does not jump, and to whom, in the order they began.
struct Kept(Arc<VirtualEnv>, Mutex<Vec<(i64, String)>>);

impl Transport for Kept {
    fn call(&self, call: Call, _slot: Slot) -> BoxFuture<'_, Answer> {
        self.1.lock().unwrap().push((START + self.0.steady().0, call.contact));
        Box::pin(async { Answer::Accepted })
    }

    fn counts(&self, message: &Message) -> u32 {
        u32::try_from(message.body.split(' ').count()).unwrap()
    }
}

/// Takes calls, and never says what came of them.
struct Silent;

impl Transport for Silent {
    fn call(&self, _call: Call, _slot: Slot) -> BoxFuture<'_, Answer> {
        Box::pin(std::future::pending())
    }
}

/// Counts the wakes that are read from it.
struct Counting(Memory, Arc<AtomicU64>);

impl Store for Counting {
    fn get(&self, keys: Vec<Key>) -> BoxFuture<'_, Result<Vec<Option<Row>>, followupd_store::Error>> {
        self.0.get(keys)
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Vec<(Key, Row)>, followupd_store::Error>> {
        Box::pin(async move {
            let rows = self.0.scan(scan).await?;
            let wakes = rows.iter().filter(|(key, _)| key.to_wake().is_some()).count();
            self.1.fetch_add(wakes as u64, Ordering::Relaxed);
            Ok(rows)
        })
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Applied, Refused>> {
        self.0.commit(commit)
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn Snapshot>, followupd_store::Error>> {
        self.0.snapshot()
    }
}

/// Fails the next commits of one class.
struct Failing {
    store: Memory,
    class: Class,
    left: AtomicU64,
    /// Whether they are written all the same, and only nobody knows.
    written: bool,
}

impl Store for Failing {
    fn get(&self, keys: Vec<Key>) -> BoxFuture<'_, Result<Vec<Option<Row>>, followupd_store::Error>> {
        self.store.get(keys)
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Vec<(Key, Row)>, followupd_store::Error>> {
        self.store.scan(scan)
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Applied, Refused>> {
        Box::pin(async move {
            let left = self.left.load(Ordering::Relaxed);
            if commit.class != self.class || commit.shard == SYSTEM || left == 0 {
                return self.store.commit(commit).await;
            }
            self.left.store(left - 1, Ordering::Relaxed);
            if !self.written {
                return Err(Refused::Unavailable("the test has it so".into()));
            }
            self.store.commit(commit).await.and(Err(Refused::Unknown))
        })
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn Snapshot>, followupd_store::Error>> {
        self.store.snapshot()
    }
}

/// Takes calls from four places and never answers; how often it was asked for them.
struct Hanging(AtomicU64);

impl Transport for Hanging {
    fn places(&self) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed);
        4
    }

    fn call(&self, _call: Call, _slot: Slot) -> BoxFuture<'_, Answer> {
        Box::pin(std::future::pending())
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
    let env = VirtualEnv::at(Moment(START));
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
        self.enroll_in("welcome", contacts).await;
    }

    async fn enroll_in(&self, sequence: &str, contacts: std::ops::Range<usize>) {
        let request = |n| {
            let profile = Profile { phone: Some(format!("+1555010{n:04}")), ..Profile::default() };
            Request { contact: format!("c{n}"), profile, ..Request::default() }
        };
        let requests = contacts.map(request).collect();
        self.engine.enroll(&Caller::default(), "acme", sequence, requests).await.unwrap();
    }

    /// Puts and publishes a sequence like the first one, but for what is changed.
    async fn put(&self, sequence: &str, change: impl FnOnce(&mut Draft)) {
        let caller = Caller::default();
        let mut draft = self.engine.version(&caller, "acme", "welcome", None).unwrap().unwrap().1;
        change(&mut draft);
        self.engine.put_sequence(&caller, "acme", sequence, draft).await.unwrap();
        self.engine.publish(&caller, "acme", sequence).await.unwrap();
    }

    /// How many of the calls so far, but for the first, went to these contacts.
    fn calls_after(&self, first: usize, contacts: std::ops::Range<usize>) -> usize {
        let starts = self.kept.1.lock().unwrap();
        let number = |contact: &str| contact[1..].parse::<usize>().unwrap();
        starts[first..].iter().filter(|(_, to)| contacts.contains(&number(to))).count()
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
    assert_eq!(shown.warm_up, Some(WarmUp { days: 20, from: 20 }));
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
async fn a_sequence_that_was_held_gets_its_share_when_it_goes_on_and_no_more() {
    let world = world(ChannelSettings { gap: "1 second".into(), ..chat() }).await;
    world.put("held", |_| ()).await;
    world.enroll(0..1_000).await;
    world.enroll_in("held", 1_000..2_000).await;
    pass(Span::seconds(20)).await;
    let (caller, held) = (Caller::default(), ScopeName::Sequence(Name::parse("held").unwrap()));
    world.engine.hold(&caller, "acme", held.clone(), "a test").await.unwrap();
    pass(Span::minutes(8)).await;
    let before = world.starts().len();
    world.engine.release(&caller, "acme", held).await.unwrap();
    pass(Span::seconds(100)).await;
    let (after, of_held) = (world.starts().len() - before, world.calls_after(before, 1_000..2_000));
    assert!(after >= 90 && of_held.abs_diff(after - of_held) <= 4, "{of_held} of {after}");
}

#[tokio::test(start_paused = true)]
async fn a_weight_counts_from_its_publishing_for_those_enrolled_before_too() {
    let world = world(ChannelSettings { gap: "1 second".into(), ..chat() }).await;
    world.put("other", |_| ()).await;
    world.enroll(0..1_000).await;
    world.enroll_in("other", 1_000..2_000).await;
    pass(Span::seconds(40)).await;
    world.put("other", |draft| draft.weight = Some(3)).await;
    let before = world.starts().len();
    pass(Span::seconds(100)).await;
    let (after, of_other) = (world.starts().len() - before, world.calls_after(before, 1_000..2_000));
    assert!(after >= 90 && of_other.abs_diff(after * 3 / 4) <= 4, "{of_other} of {after}");
    // What is shown can be put again and changes nothing; a weight alone is a change.
    let shown = world.engine.version(&Caller::default(), "acme", "other", None).unwrap().unwrap().1;
    assert_eq!(shown.weight, Some(3));
    for (weight, change) in
        [(Some(3), Change::Unchanged), (Some(4), Change::Changed), (None, Change::Changed)]
    {
        let settings = Settings::Sequence(Draft { weight, ..shown.clone() });
        let wanted = Wanted { name: "other".into(), settings };
        let compared = world.engine.compare(&Caller::default(), "acme", vec![wanted]).unwrap().remove(0);
        assert_eq!(compared.change, Some(change), "{weight:?}");
    }
}

impl World {
    async fn hold_channel(&self) {
        let chat = ScopeName::Channel(Name::parse("chat").unwrap());
        self.engine.hold(&Caller::default(), "acme", chat, "a test").await.unwrap();
    }

    /// Begins one call of a sequence that is none of these `others`, which are due too, and stops before its outcome is
    /// known. The channel is held before.
    async fn stop_in_a_call(self, others: &[&str]) -> World {
        let caller = Caller::default();
        let sequence = |name: &str| ScopeName::Sequence(Name::parse(name).unwrap());
        for other in others {
            self.engine.hold(&caller, "acme", sequence(other), "a test").await.unwrap();
        }
        self.engine.stop();
        let (store, env) = (self.store.clone(), self.env.clone());
        let transports = Transports::only(Arc::new(Silent));
        let silent = Engine::start(Config::default(), Arc::new(store), env, transports).await.unwrap();
        let chat = ScopeName::Channel(Name::parse("chat").unwrap());
        silent.release(&caller, "acme", chat).await.unwrap();
        pass(Span::seconds(5)).await;
        for other in others {
            silent.release(&caller, "acme", sequence(other)).await.unwrap();
        }
        silent.stop();
        self
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_finds_what_is_open_near_the_heads_and_reads_no_more_for_a_longer_backlog() {
    let mut read = Vec::new();
    for backlog in [1_000, 4_000] {
        let world = world(ChannelSettings { gap: "1 minute".into(), ..chat() }).await;
        world.put("second", |_| ()).await;
        world.hold_channel().await;
        for from in (0..backlog).step_by(1_000) {
            world.enroll(from..from + 1_000).await;
            world.enroll_in("second", backlog + from..backlog + from + 1_000).await;
        }
        let world = world.stop_in_a_call(&["welcome"]).await;
        assert_eq!(world.starts().len(), 0);
        let counted = Arc::new(AtomicU64::new(0));
        let store = Arc::new(Counting(world.store.clone(), counted.clone()));
        let transports = Transports::only(world.kept.clone());
        let engine = Engine::start(Config::default(), store, world.env.clone(), transports).await.unwrap();
        pass(Span::seconds(5)).await;
        read.push(counted.load(Ordering::Relaxed));
        // As another attempt, with a charge of its own: behind the gap.
        assert_eq!(world.starts().len(), 0);
        pass(Span::minutes(2)).await;
        assert!(world.calls_after(0, backlog..2 * backlog) > 0, "the open one is called again");
        engine.stop();
    }
    assert_eq!(read[0], read[1]);
}

#[tokio::test(start_paused = true)]
async fn what_is_open_in_the_last_of_many_queues_is_found_while_the_lane_works() {
    let world = world(ChannelSettings { gap: "1 minute".into(), ..chat() }).await;
    world.hold_channel().await;
    world.enroll(0..1).await;
    world.enroll_in_more(24, 0).await;
    world.put("last", |_| ()).await;
    world.enroll_in("last", 1..2).await;
    let more: Vec<String> = (0..24).map(|n| format!("more{n}")).collect();
    let others: Vec<&str> = more.iter().map(String::as_str).chain(["welcome"]).collect();
    let world = world.stop_in_a_call(&others).await;
    let world = start(world.store.clone(), world.env.clone(), world.kept.clone()).await;
    pass(Span::minutes(40)).await;
    assert_eq!((world.starts().len(), world.starts_to("c1").len()), (26, 1));
}

impl World {
    /// Starts anew over a store that fails so many commits of a class.
    async fn start_failing(&self, class: Class, times: u64, written: bool) -> Engine {
        let left = AtomicU64::new(times);
        let store = Arc::new(Failing { store: self.store.clone(), class, left, written });
        let transports = Transports::only(self.kept.clone());
        Engine::start(Config::default(), store, self.env.clone(), transports).await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn an_intent_that_was_written_and_nobody_knew_is_withdrawn_and_its_message_sent() {
    let world = world(ChannelSettings { gap: "1 second".into(), ..chat() }).await;
    world.hold_channel().await;
    world.enroll(0..5).await;
    world.engine.stop();
    let engine = world.start_failing(Class::Intent, 3, true).await;
    let chat = ScopeName::Channel(Name::parse("chat").unwrap());
    engine.release(&Caller::default(), "acme", chat).await.unwrap();
    pass(Span::minutes(1)).await;
    for contact in 0..5 {
        assert_eq!(world.starts_to(&format!("c{contact}")).len(), 1, "c{contact}");
    }
    let doubted = |entry: &Decision| matches!(entry, Decision::Doubted { .. } | Decision::LeftUncertain);
    for contact in 0..5 {
        let caller = Caller::default();
        let enrolled = engine.contact_enrollments(&caller, "acme", &format!("c{contact}")).await.unwrap();
        let timeline = engine.get(&caller, "acme", enrolled[0]).await.unwrap();
        assert!(!timeline.history.iter().any(|entry| doubted(&entry.decision)), "{:?}", timeline.history);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lane_goes_on_after_what_was_open_at_its_start_could_not_be_settled_at_once() {
    for (gap, rate_count) in [("1 minute", 0), ("", 1)] {
        let (rate_per, rate_burst) = (if gap.is_empty() { "1 minute" } else { "" }.into(), rate_count);
        let paced = ChannelSettings { gap: gap.into(), rate_count, rate_per, rate_burst, ..chat() };
        let world = world(paced).await;
        world.hold_channel().await;
        world.enroll(0..3).await;
        // Its start is told: it holds no charge any more.
        let world = world.stop_in_a_call(&[]).await;
        let engine = world.start_failing(Class::Outcome, 2, false).await;
        pass(Span::minutes(10)).await;
        assert_eq!(world.starts().len(), 3, "{gap}");
        engine.stop();
    }
}

#[tokio::test(start_paused = true)]
async fn a_lane_whose_calls_hang_sleeps() {
    let world = world(chat()).await;
    world.hold_channel().await;
    world.enroll(0..100).await;
    world.engine.stop();
    let hanging = Arc::new(Hanging(AtomicU64::new(0)));
    let transports = Transports::only(hanging.clone());
    let store = Arc::new(world.store.clone());
    let engine = Engine::start(Config::default(), store, world.env.clone(), transports).await.unwrap();
    let chat = ScopeName::Channel(Name::parse("chat").unwrap());
    engine.release(&Caller::default(), "acme", chat).await.unwrap();
    pass(Span::seconds(5)).await;
    let before = hanging.0.load(Ordering::Relaxed);
    pass(Span::minutes(1)).await;
    let asked = hanging.0.load(Ordering::Relaxed) - before;
    assert!(asked <= 60, "it looked {asked} times at places that are taken");
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_a_zone_that_was_wrong_is_sent_to_by_the_hours_of_the_right_one() {
    let world = world(chat()).await;
    let tenant = |zone: &str| TenantSettings {
        on: true,
        time_zone: zone.into(),
        quiet_hours: vec![("mon,tue,wed,thu,fri,sat,sun".into(), "18:00".into(), "08:00".into())],
        ..TenantSettings::default()
    };
    let caller = Caller::default();
    world.engine.put_tenant(&caller, "acme", tenant("America/New_York")).await.unwrap();
    world.enroll(0..1).await;
    pass(Span::minutes(1)).await;
    world.engine.put_tenant(&caller, "acme", tenant("Europe/Berlin")).await.unwrap();
    pass(Span::hours(20)).await;
    let at = world.starts_to("c0");
    // 08:00 in Berlin, not in New York.
    assert!(at.len() == 1 && (7 * 3_600_000..7 * 3_600_000 + 60_000).contains(&at[0]), "{at:?}");
}

#[tokio::test(start_paused = true)]
async fn what_counts_as_several_takes_the_time_of_several() {
    for burst in [1, 4] {
        let (rate_count, rate_per) = (2, "1 second".into());
        let world = world(ChannelSettings { rate_count, rate_per, rate_burst: burst, ..chat() }).await;
        world.put("long", |draft| draft.steps[0].body = "five of them at once".into()).await;
        world.enroll_in("long", 0..21).await;
        pass(Span::seconds(100)).await;
        // Those of a burst leave together, and what follows waits for all of them.
        let (starts, each) = (world.starts(), 5_000 / 2);
        let least = (21 - i64::from(burst)) * each;
        assert!((least..20 * each + 100).contains(&starts[20]), "{starts:?}");
        world.enroll(21..30).await;
        pass(Span::seconds(100)).await;
        let took = world.starts()[29] - world.starts()[21];
        assert!((4_000 - 500 * i64::from(burst)..=4_000).contains(&took), "one each: {:?}", world.starts());
    }
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
async fn a_gap_that_was_mistyped_and_mended_frees_whom_it_has_put_off() {
    let world = world(ChannelSettings { recipient_gap: "720 hours".into(), ..chat() }).await;
    world.enroll(0..1).await;
    world.enroll_in_more(1, 0).await;
    pass(Span::days(3)).await;
    assert_eq!(world.starts_to("c0").len(), 1);
    let (caller, filter) = (Caller::default(), Filter { contact: Some("c0".into()), ..Filter::default() });
    let page = world.engine.enrollments(&caller, "acme", None, filter, None, 10).await.unwrap();
    let waits = page.enrollments.iter().find(|one| one.state == State::Active).unwrap();
    let history = world.engine.get(&caller, "acme", waits.id).await.unwrap().history;
    let moves = history.iter().filter(|entry| matches!(entry.decision, Decision::Moved { .. })).count();
    assert_eq!(moves, 1, "{history:?}");
    let mended = ChannelSettings { recipient_gap: "1 hour".into(), ..chat() };
    world.engine.put_channel(&caller, "acme", "chat", mended).await.unwrap();
    pass(Span::hours(7)).await;
    assert_eq!(world.starts_to("c0").len(), 2);
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
async fn those_that_wait_for_room_among_new_recipients_are_written_to_in_the_order_they_were_enrolled_in() {
    let world = world(ChannelSettings { new_recipients: 5, ..chat() }).await;
    for group in 0..6 {
        world.enroll(5 * group..5 * group + 5).await;
        pass(Span::minutes(1)).await;
    }
    pass(Span::days(9)).await;
    let starts = world.kept.1.lock().unwrap().clone();
    let groups: Vec<usize> = starts.iter().map(|(_, to)| to[1..].parse::<usize>().unwrap() / 5).collect();
    assert!(groups.len() == 30 && groups.is_sorted(), "{groups:?}");
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

#[tokio::test(start_paused = true)]
async fn what_is_told_of_limits_is_told_by_a_wall_that_was_set_back() {
    let (hour, day) = (Span::hours(1), Span::days(1));
    let (by_hour, by_day) =
        (ChannelSettings { per_hour: 2, ..chat() }, ChannelSettings { per_day: 2, ..chat() });
    let minute = Span::minutes(1);
    let rows = [
        (LimitName::PerHour, by_hour, (minute, 2), Span::minutes(30)),
        (LimitName::PerDay, by_day.clone(), (minute, 2), day),
        // The day before begins again, and what was sent on the one that had begun counts.
        (LimitName::PerDay, by_day, (day + minute, 4), day + day),
    ];
    for (name, channel, (jumps_after, sent), opens) in rows {
        let (world, caller) = (world(channel).await, Caller::default());
        world.enroll(0..6).await;
        pass(jumps_after).await;
        assert_eq!(world.starts().len(), sent, "{name:?}");
        world.env.jumped.store(-hour.0 / 2, Ordering::Relaxed);
        pass(minute).await;
        let backlog = world.engine.backlog(&caller, "acme", "chat").await.unwrap();
        let held = backlog.waits.iter().find(|waits| waits.on == WaitsFor::Limit(name)).unwrap();
        let filter = Filter { state: Some("active"), ..Filter::default() };
        let page = world.engine.enrollments(&caller, "acme", None, filter, None, 10).await.unwrap();
        let waits = page.enrollments[0].id;
        let explained = world.engine.explain(&caller, "acme", waits).await.unwrap().explained;
        for until in [held.until, explained.at] {
            let late = until.unwrap().since(Moment(START) + opens);
            // A window opens up to a 64th of it after its sends began.
            assert!((Span::ZERO..Span::minutes(2)).contains(&late), "{name:?}: {late:?} late");
        }
        world.engine.stop();
    }
}
