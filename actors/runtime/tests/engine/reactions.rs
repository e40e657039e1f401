//! What providers' words hold and slow, through the engine: senders, steps, breakers, and what lets them go on.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use followupd_channel::inbound::{self, Inbound, May};
use followupd_channel::transports::Transports;
use followupd_channel::{Answer, Call, Slot, Transport};
use followupd_domain::channel::Kind;
use followupd_domain::content::{Rich, Template};
use followupd_domain::decide::enroll::{Profile, Request};
use followupd_domain::decide::outcome::Receipt;
use followupd_domain::enrollment::State;
use followupd_domain::event::{Event, EventKey, EventKind};
use followupd_domain::name::Name;
use followupd_domain::reaction::{Blames, Reaction, Scope, Until};
use followupd_domain::sequence::{Draft, DraftStep};
use followupd_domain::signal::Signal;
use followupd_domain::{EnrollmentId, Moment, SendId, Span, limits};
use followupd_runtime::{
    AccountSettings, Caller, ChannelSettings, Config, Engine, EnrollAnswer, Env, Error, EventCall, HeldScope,
    KillSwitchSettings, ReceiptCall, ScopeName, TenantSettings, Whom,
};
use followupd_store::memory::Memory;
use futures::future::BoxFuture;

use crate::virtual_env::VirtualEnv;

/// When every test begins: 2026-11-23 12:00 UTC, a Monday.
const START: Moment = Moment(1_795_435_200_000);

/// What the provider says to a text; nothing: it takes it.
type Says = fn(&Call) -> Option<Answer>;

struct Provider {
    says: Mutex<Says>,
    /// When it was called, in milliseconds since the start, with what.
    calls: Mutex<Vec<(i64, Call)>>,
    env: Arc<VirtualEnv>,
}

impl Transport for Provider {
    fn call(&self, call: Call, _slot: Slot) -> BoxFuture<'_, Answer> {
        let answer = self.says.lock().unwrap()(&call).unwrap_or(Answer::Accepted);
        self.calls.lock().unwrap().push((self.env.steady().0, call));
        Box::pin(async { answer })
    }
}

struct World {
    engine: Engine,
    store: Memory,
    provider: Arc<Provider>,
}

fn channel() -> ChannelSettings {
    ChannelSettings { kind: "email".into(), transport: "outbox".into(), ..ChannelSettings::default() }
}

fn draft(body: &str) -> Draft {
    let step =
        DraftStep { channel: "email".into(), subject: "s".into(), body: body.into(), ..DraftStep::default() };
    Draft { steps: vec![step], ..Draft::default() }
}

async fn started(store: Memory, says: Says) -> World {
    let env = Arc::new(VirtualEnv::at(START));
    let provider = Provider { says: Mutex::new(says), calls: Mutex::default(), env: Arc::clone(&env) };
    let provider = Arc::new(provider);
    let transports = Transports::only(provider.clone());
    let engine = Engine::start(Config::default(), Arc::new(store.clone()), env, transports).await.unwrap();
    World { engine, store, provider }
}

/// `acme` with the channel `mail` and the sequences `welcome` and `bad`, whose provider `says` this.
async fn world(channel: ChannelSettings, says: Says) -> World {
    let world = started(Memory::default(), says).await;
    let (engine, caller) = (&world.engine, Caller::default());
    let tenant = TenantSettings { on: true, time_zone: "UTC".into(), ..TenantSettings::default() };
    engine.put_tenant(&caller, "acme", tenant).await.unwrap();
    engine.put_channel(&caller, "acme", "mail", channel).await.unwrap();
    for sequence in ["welcome", "bad"] {
        engine.put_sequence(&caller, "acme", sequence, draft(sequence)).await.unwrap();
        engine.publish(&caller, "acme", sequence).await.unwrap();
    }
    world
}

impl World {
    async fn enroll(&self, sequence: &str, contacts: std::ops::Range<usize>) -> Vec<EnrollmentId> {
        let request = |no: usize| {
            let profile =
                Profile { email: Some(format!("{sequence}{no}@mail.example")), ..Profile::default() };
            Request { contact: format!("{sequence}{no}"), profile, ..Request::default() }
        };
        let requests = contacts.map(request).collect();
        let answers = self.engine.enroll(&Caller::default(), "acme", sequence, requests).await.unwrap();
        let id = |answer: EnrollAnswer| match answer {
            EnrollAnswer::Enrolled { id, .. } => id,
            other @ (EnrollAnswer::AlreadyEnrolled { .. } | EnrollAnswer::Refused { .. }) => {
                panic!("{other:?}")
            }
        };
        answers.into_iter().map(id).collect()
    }

    async fn state(&self, id: EnrollmentId) -> State {
        self.engine.get(&Caller::default(), "acme", id).await.unwrap().enrollment.state
    }

    async fn held(&self) -> Vec<HeldScope> {
        self.engine.holds(&Caller::default(), "acme").await.unwrap()
    }

    fn says(&self, says: Says) {
        *self.provider.says.lock().unwrap() = says;
    }

    fn calls(&self) -> usize {
        self.provider.calls.lock().unwrap().len()
    }

    async fn release(&self, scope: ScopeName) {
        self.engine.release(&Caller::default(), "acme", scope).await.unwrap();
    }
}

fn mail() -> ScopeName {
    ScopeName::Channel(Name::parse("mail").unwrap())
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_is_stopped_waits_for_a_person_and_nobody_fails() {
    let world = world(channel(), |_| Some(Answer::refused("190", Reaction::stop(Scope::Sender)))).await;
    let ids = world.enroll("welcome", 0..300).await;
    pass(60).await;
    let called = world.calls();
    assert!(called < 300, "the first answers stop the rest: {called}");
    let [HeldScope { scope, held, step: None }] = &world.held().await[..] else {
        panic!("{:?}", world.held().await)
    };
    assert_eq!(
        (scope, &*held.reason, &*held.by, held.until),
        (&mail(), "the provider said 190", "followupd", None)
    );
    pass(100_000).await;
    assert_eq!(world.calls(), called, "nothing leaves");
    let shown = world.engine.get_channel(&Caller::default(), "acme", "mail").await.unwrap();
    assert_eq!(shown.held.as_ref(), Some(held));

    // It outlives a restart.
    world.engine.drain().await;
    world.engine.stop();
    let world = started(world.store.clone(), |_| None).await;
    assert_eq!(world.held().await.len(), 1);
    pass(1_000).await;
    assert_eq!(world.calls(), 0);
    world.release(mail()).await;
    pass(1_000).await;
    assert_eq!(world.held().await, []);
    for id in ids {
        assert_eq!(world.state(id).await, State::Completed);
    }
    assert_eq!(world.calls(), 300, "each once");
}

#[tokio::test(start_paused = true)]
async fn a_step_that_is_refused_again_and_again_is_held_and_the_other_sequence_goes_on() {
    let refuse: Says =
        |call| (call.message.body == "bad").then(|| Answer::refused("132000", Reaction::BAD_STEP));
    let paced = ChannelSettings { rate_count: 1, rate_burst: 1, ..channel() };
    let world = world(paced, refuse).await;
    let bad = world.enroll("bad", 0..20).await;
    pass(120).await;
    let [HeldScope { scope, held, step: Some(step) }] = &world.held().await[..] else {
        panic!("{:?}", world.held().await)
    };
    assert_eq!(scope, &ScopeName::Sequence(Name::parse("bad").unwrap()));
    assert_eq!((step.1.0, &*held.reason), (0, "the provider said 132000"));
    let refused = world.calls();
    assert!(refused < 20, "{refused}");
    let shown = world.engine.get_sequence(&Caller::default(), "acme", "bad").await.unwrap();
    assert_eq!(shown.held_steps.len(), 1);

    let good = world.enroll("welcome", 0..5).await;
    pass(60).await;
    for id in good {
        assert_eq!(world.state(id).await, State::Completed);
    }
    assert_eq!(world.calls(), refused + 5);

    world.says(|_| None);
    world.release(ScopeName::Sequence(Name::parse("bad").unwrap())).await;
    pass(600).await;
    assert_eq!(world.held().await, []);
    let mut sent = 0;
    for id in bad {
        assert_eq!(world.state(id).await, State::Completed);
        let known = world.engine.get(&Caller::default(), "acme", id).await.unwrap();
        sent +=
            usize::from(known.enrollment.sends[0].status == followupd_domain::enrollment::SendStatus::Sent);
    }
    assert_eq!(sent, 20 - refused, "those that were held, and no more");
}

#[tokio::test(start_paused = true)]
async fn a_template_that_is_gone_holds_every_step_that_sends_it() {
    let gone: Says = |call| {
        let until = Until::Changed;
        let used = matches!(&call.message.rich, Some(Rich::Template(template)) if template.name == "aula");
        used.then(|| Answer::refused("132001", Reaction::Hold { scope: Scope::Template, until }))
    };
    let chat = ChannelSettings { kind: "whatsapp".into(), ..channel() };
    let world = world(channel(), gone).await;
    let (engine, caller) = (&world.engine, Caller::default());
    engine.put_channel(&caller, "acme", "chat", chat).await.unwrap();
    let other = ChannelSettings { kind: "whatsapp".into(), ..channel() };
    engine.put_channel(&caller, "acme", "other", other).await.unwrap();
    let all = [("first", "aula", "chat"), ("second", "aula", "chat"), ("third", "boleto", "chat")];
    for (sequence, name, channel) in all.into_iter().chain([("elsewhere", "aula", "other")]) {
        let template = Template { name: name.into(), language: "pt_BR".into(), ..Template::default() };
        let rich = Some(Rich::Template(template));
        let step = DraftStep { channel: channel.into(), rich, ..DraftStep::default() };
        let draft = Draft { steps: vec![step], ..Draft::default() };
        engine.put_sequence(&caller, "acme", sequence, draft).await.unwrap();
        engine.publish(&caller, "acme", sequence).await.unwrap();
    }
    let enroll = |sequence: &'static str| {
        let profile = Profile { phone: Some("+15550100".into()), ..Profile::default() };
        let request = Request { contact: "ana".into(), profile, ..Request::default() };
        let engine = world.engine.clone();
        async move { engine.enroll(&Caller::default(), "acme", sequence, vec![request]).await.unwrap() }
    };
    enroll("first").await;
    pass(60).await;
    let held: Vec<ScopeName> = world.held().await.into_iter().map(|held| held.scope).collect();
    assert_eq!(held.len(), 2, "not that of another number: {held:?}");
    let sequence = |name: &str| ScopeName::Sequence(Name::parse(name).unwrap());
    assert_eq!(held, [sequence("first"), sequence("second")]);
    enroll("second").await;
    enroll("third").await;
    pass(60).await;
    assert_eq!(world.calls(), 2, "one was told, one sends another template");
    world.says(|_| None);
    world.release(sequence("second")).await;
    pass(60).await;
    assert_eq!((world.calls(), world.held().await.len()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_opens_ends_by_itself_and_what_waited_leaves_gently() {
    let paced = ChannelSettings { rate_count: 10, rate_burst: 1, ..channel() };
    let world = world(paced, |_| Some(Answer::refused("131000", Reaction::SOON))).await;
    let ids = world.enroll("welcome", 0..100).await;
    pass(10).await;
    let [HeldScope { held, .. }] = &world.held().await[..] else { panic!("{:?}", world.held().await) };
    assert!(held.until.is_some() && held.reason.contains("131000"), "{held:?}");
    let called = world.calls();
    assert!(called <= limits::BREAKER_SEES, "{called}");
    world.says(|_| None);
    pass(limits::BREAKER_LEAST.0 as u64 / 1_000 + 10).await;
    assert_eq!(world.held().await, []);
    let after: Vec<i64> = world.provider.calls.lock().unwrap()[called..].iter().map(|(at, _)| *at).collect();
    assert!(!after.is_empty());
    assert!(after.windows(2).all(|two| two[1] - two[0] >= 500), "slower than 10 a second: {after:?}");
    pass(600).await;
    for id in ids {
        assert_eq!(world.state(id).await, State::Completed);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_person_releases_after_days_leaves_gently() {
    let paced = ChannelSettings { rate_count: 10, rate_burst: 1, ..channel() };
    let world = world(paced, |_| Some(Answer::refused("190", Reaction::stop(Scope::Sender)))).await;
    world.enroll("welcome", 0..200).await;
    pass(2 * 86_400).await;
    let called = world.calls();
    world.says(|_| None);
    world.release(mail()).await;
    pass(8).await;
    let first = world.calls() - called;
    assert!((4..=12).contains(&first), "about one a second: {first}");
    pass(600).await;
    assert_eq!(world.calls() - called, 200);
}

#[tokio::test(start_paused = true)]
async fn what_a_person_held_or_stopped_leaves_gently_and_who_held_for_a_moment_waits_for_nobody() {
    let portfolio = || ScopeName::Account(Name::parse("portfolio").unwrap());
    for (scope, seconds, gently) in [
        (Some(mail()), 3_600, true),
        (Some(portfolio()), 3_600, true),
        (Some(ScopeName::Tenant), 3_600, true),
        (None, 3_600, true),
        (Some(mail()), 3, false),
    ] {
        let world = world(channel(), |_| None).await;
        let (engine, caller) = (&world.engine, Caller::default());
        engine
            .put_account(&caller, "acme", "portfolio", AccountSettings { new_recipients: 0 })
            .await
            .unwrap();
        let (account, rate_count) = ("portfolio".into(), 10);
        let paced = ChannelSettings { rate_count, rate_burst: 1, account, ..channel() };
        engine.put_channel(&caller, "acme", "mail", paced).await.unwrap();
        match scope.clone() {
            Some(scope) => drop(engine.hold(&caller, "acme", scope, "").await.unwrap()),
            None => engine.stop_sending(&caller, "").await.unwrap(),
        }
        world.enroll("welcome", 0..200).await;
        pass(seconds).await;
        assert_eq!(world.calls(), 0, "{scope:?}");
        match scope.clone() {
            Some(scope) => world.release(scope).await,
            None => assert!(engine.resume_sending(&caller).await.unwrap()),
        }
        pass(8).await;
        let first = world.calls();
        let expected = if gently { 4..=12 } else { 70..=85 };
        assert!(expected.contains(&first), "{scope:?} after {seconds} s: {first}");
        pass(600).await;
        assert_eq!(world.calls(), 200, "{scope:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_waited_for_a_step_leaves_gently() {
    let paced = ChannelSettings { rate_count: 10, rate_burst: 1, ..channel() };
    let world = world(paced, |_| Some(Answer::refused("132000", Reaction::BAD_STEP))).await;
    world.enroll("bad", 0..200).await;
    pass(3_600).await;
    let called = world.calls();
    world.says(|_| None);
    world.release(ScopeName::Sequence(Name::parse("bad").unwrap())).await;
    pass(8).await;
    let first = world.calls() - called;
    assert!((4..=12).contains(&first), "about one a second: {first}");
    pass(600).await;
    assert_eq!(world.calls(), 200);
    let shown = world.engine.get_sequence(&Caller::default(), "acme", "bad").await.unwrap();
    assert_eq!((shown.held_steps, world.held().await), (vec![], vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_template_that_is_approved_frees_what_was_held_for_it_and_nothing_else() {
    for (reaction, frees) in [
        (Reaction::Hold { scope: Scope::Template, until: Until::Changed }, true),
        (Reaction::BAD_STEP, false),
    ] {
        let says: Says = match frees {
            true => |_| {
                let until = Until::Changed;
                Some(Answer::refused("132001", Reaction::Hold { scope: Scope::Template, until }))
            },
            false => |_| Some(Answer::refused("132000", Reaction::BAD_STEP)),
        };
        let world = world(channel(), says).await;
        let (engine, caller) = (&world.engine, Caller::default());
        let chat = ChannelSettings { kind: "whatsapp".into(), ..channel() };
        engine.put_channel(&caller, "acme", "chat", chat).await.unwrap();
        let template = Template { name: "aula".into(), language: "pt_BR".into(), ..Template::default() };
        let rich = Some(Rich::Template(template));
        let step = DraftStep { channel: "chat".into(), rich, ..DraftStep::default() };
        let draft = Draft { steps: vec![step], ..Draft::default() };
        engine.put_sequence(&caller, "acme", "class", draft).await.unwrap();
        engine.publish(&caller, "acme", "class").await.unwrap();
        let request = |n: usize| {
            let profile = Profile { phone: Some(format!("+1555010{n:04}")), ..Profile::default() };
            Request { contact: format!("c{n}"), profile, ..Request::default() }
        };
        engine.enroll(&caller, "acme", "class", (0..9).map(request).collect()).await.unwrap();
        pass(60).await;
        let held = world.held().await;
        assert_eq!(held.len(), 1, "{reaction:?}: {held:?}");
        let reason =
            if frees { "its template: the provider said 132001" } else { "the provider said 132000" };
        assert_eq!(held[0].held.reason, reason);
        world.says(|_| None);
        let approved = inbound::Template { name: "aula".into(), language: "pt_BR".into(), may: May::Now };
        engine.take_in("acme", "chat", vec![Inbound::Template(approved)]).await.unwrap();
        let called = world.calls();
        pass(600).await;
        assert_eq!((world.held().await.is_empty(), world.calls() > called), (frees, frees), "{reaction:?}");
    }
}

/// Somebody opts out of mail.
async fn opts_out(world: &World, contact: &str, id: &str) {
    let event = Event {
        key: EventKey { source: "inbox".into(), id: id.into() },
        kind: EventKind::MessageReceived,
        occurred_at: Moment(1_795_435_200_000) + world.provider.env.steady(),
        contact: Some(contact.into()),
        target: None,
        channel: Some(Kind::Email),
        text: "STOP".into(),
        automatic: false,
    };
    let call = EventCall { event, profile: Profile::default() };
    world.engine.event(&Caller::default(), "acme", vec![call]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn people_who_opt_out_after_the_last_step_trip_its_switch_each_once() {
    let world = world(switch("opted_out", 20, false), |_| None).await;
    for sequence in ["welcome", "bad"] {
        let request = |n: usize| {
            let profile = Profile { email: Some(format!("c{n}@mail.example")), ..Profile::default() };
            Request { contact: format!("c{n}"), profile, ..Request::default() }
        };
        let requests = (0..5).map(request).collect();
        world.engine.enroll(&Caller::default(), "acme", sequence, requests).await.unwrap();
    }
    pass(3_600).await;
    assert_eq!(world.calls(), 10, "two for each of five people");
    let opted_out = || async {
        let shown = world.engine.get_channel(&Caller::default(), "acme", "mail").await.unwrap();
        let counts = shown.fares.unwrap().counts;
        counts.into_iter().find(|(signal, _)| *signal == Signal::OptedOut).map(|(_, count)| count)
    };
    for n in 0..3 {
        opts_out(&world, &format!("c{n}"), &format!("e{n}")).await;
        opts_out(&world, &format!("c{n}"), &format!("e{n}")).await;
        opts_out(&world, &format!("c{n}"), &format!("again{n}")).await;
        assert_eq!(opted_out().await, Some(n + 1), "once, though they were in two and say it again");
    }
    // They are over, and what they say counts with what was sent then.
    world.enroll("welcome", 100..140).await;
    pass(120).await;
    let held = world.held().await;
    assert!(held[0].held.reason.contains("sends opted_out: it should be at most 20 %"), "{held:?}");
}

#[tokio::test(start_paused = true)]
async fn who_opts_out_under_way_counts_once_though_two_enrollments_end_by_it() {
    let world = world(channel(), |_| None).await;
    let caller = Caller::default();
    let later = DraftStep { wait: "1 day".into(), ..draft("later").steps[0].clone() };
    for sequence in ["welcome", "bad"] {
        let steps = vec![draft(sequence).steps[0].clone(), later.clone()];
        let draft = Draft { steps, ..Draft::default() };
        world.engine.put_sequence(&caller, "acme", sequence, draft).await.unwrap();
        world.engine.publish(&caller, "acme", sequence).await.unwrap();
        let profile = Profile { email: Some("ana@mail.example".into()), ..Profile::default() };
        let request = Request { contact: "ana".into(), profile, ..Request::default() };
        world.engine.enroll(&caller, "acme", sequence, vec![request]).await.unwrap();
    }
    pass(3_600).await;
    assert_eq!(world.calls(), 2);
    opts_out(&world, "ana", "e1").await;
    let shown = world.engine.get_channel(&caller, "acme", "mail").await.unwrap();
    let counts = shown.fares.unwrap().counts;
    assert!(counts.contains(&(Signal::OptedOut, 1)) && counts.contains(&(Signal::Sent, 2)), "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_opens_again_does_so_at_the_first_failure_and_for_longer() {
    let paced = ChannelSettings { rate_count: 10, rate_burst: 1, ..channel() };
    let world = world(paced, |_| Some(Answer::refused("131000", Reaction::SOON))).await;
    world.enroll("welcome", 0..100).await;
    pass(10).await;
    let span = |held: &HeldScope| held.held.until.unwrap().since(held.held.since);
    let first = world.held().await;
    assert_eq!(first.iter().map(span).collect::<Vec<_>>(), [limits::BREAKER_LEAST]);
    let called = world.calls();
    // The lane was let go meanwhile.
    pass(limits::BREAKER_LEAST.0 as u64 / 1_000 + 5).await;
    let second = world.held().await;
    assert_eq!(second.iter().map(span).collect::<Vec<_>>(), [Span(2 * limits::BREAKER_LEAST.0)]);
    assert!(world.calls() - called <= 3, "one probe, and what was under way with it");
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_is_told_to_slow_down_halves_its_pace_and_gets_it_back() {
    let paced = ChannelSettings { rate_count: 10, rate_burst: 1, ..channel() };
    let world = world(paced, |call| {
        let slow = Reaction::Slow { after: Span::seconds(1) };
        (call.contact == "welcome0" && !call.again).then(|| Answer::refused("130429", slow))
    })
    .await;
    world.enroll("welcome", 0..1).await;
    pass(1).await;
    world.enroll("welcome", 1..900).await;
    pass(400).await;
    let calls: Vec<i64> = world.provider.calls.lock().unwrap().iter().map(|(at, _)| *at).collect();
    let within = |from: i64, to: i64| calls.iter().filter(|at| (from..to).contains(*at)).count();
    let first = within(2_000, 10_000);
    assert!((30..=50).contains(&first), "5 a second: {first}");
    let later = within(104_000, 114_000);
    assert!((95..=101).contains(&later), "10 a second again: {later}");
    assert!(calls.len() >= 900, "nothing is lost");
}

fn switch(signal: &str, percent: u32, report_only: bool) -> ChannelSettings {
    let switch = KillSwitchSettings { signal: signal.into(), percent, after: 10, report_only };
    let kill_switches = Some(vec![switch]);
    ChannelSettings { kill_switches, rate_count: 1, rate_per: "1 minute".into(), ..channel() }
}

/// Every other contact's message fails, which says nothing of the sender.
fn half_fail(call: &Call) -> Option<Answer> {
    let odd = call.contact.ends_with(['1', '3', '5', '7', '9']);
    odd.then(|| Answer::refused("131026", Reaction::never(Blames::Message)))
}

#[tokio::test(start_paused = true)]
async fn a_kill_switch_holds_a_channel_that_fares_badly_until_a_person_has_looked() {
    let world = world(switch("failed", 20, false), half_fail).await;
    world.enroll("welcome", 0..40).await;
    pass(3_600).await;
    assert_eq!(world.calls(), 10, "of fewer it says nothing");
    let [HeldScope { scope, held, .. }] = &world.held().await[..] else { panic!("it is not held") };
    let why = "5 of 10 sends failed: it should be at most 20 %";
    assert_eq!((scope, held.reason.as_str(), held.until), (&mail(), &*format!("kill switch: {why}"), None));
    let fares = || async {
        let shown = world.engine.get_channel(&Caller::default(), "acme", "mail").await.unwrap();
        shown.fares.unwrap()
    };
    let shown = fares().await;
    assert_eq!(
        (&shown.counts[..2], &shown.tripped[..]),
        (&[(Signal::Sent, 10), (Signal::Failed, 5)][..], &[(why.to_owned(), false)][..])
    );
    // Released, it looks at what comes from then on, in this hour too.
    world.release(mail()).await;
    let shown = fares().await;
    assert!(shown.tripped.is_empty() && shown.counts[0].1 <= 1, "the first leaves at once: {shown:?}");
    pass(60 * 50).await;
    assert_eq!((world.calls(), world.held().await.len()), (20, 1), "it fares as badly as before");
    world.says(|_| None);
    world.release(mail()).await;
    pass(3_600 * 2).await;
    assert_eq!((world.calls(), world.held().await), (40, vec![]));
}

#[tokio::test(start_paused = true)]
async fn sends_that_fail_in_a_row_hold_a_channel_at_the_last_that_is_one_too_many() {
    let in_a_row = |report_only| {
        let mut settings = switch("failed_in_a_row", 0, report_only);
        settings.kill_switches.as_mut().unwrap()[0].after = 3;
        // Faster than the other switches look.
        ChannelSettings { rate_count: 4, rate_per: "1 second".into(), rate_burst: 1, ..settings }
    };
    let all = |_: &Call| Some(Answer::refused("131026", Reaction::never(Blames::Message)));
    let two_of_three = |call: &Call| {
        let is_taken = call.contact.ends_with(['0', '3', '6', '9']);
        (!is_taken).then(|| Answer::refused("131026", Reaction::never(Blames::Message)))
    };
    let world = world(in_a_row(false), two_of_three).await;
    world.enroll("welcome", 10..30).await;
    pass(60).await;
    assert_eq!((world.calls(), world.held().await), (20, vec![]), "no three in a row");
    world.says(all);
    for round in 1..=2 {
        world.enroll("welcome", 100 * round..100 * round + 20).await;
        pass(60).await;
        let held = world.held().await;
        assert_eq!(held[0].held.reason, "kill switch: 3 sends failed in a row: 3 are too many");
        assert_eq!((world.calls(), held[0].held.until), (20 + 3 * round, None));
        world.says(if round == 1 { all } else { |_| None });
        world.release(mail()).await;
    }
    pass(60).await;
    assert_eq!((world.calls(), world.held().await), (60, vec![]), "the rest is taken");

    world.engine.put_channel(&Caller::default(), "acme", "mail", in_a_row(true)).await.unwrap();
    world.says(all);
    world.enroll("welcome", 300..305).await;
    pass(60).await;
    assert_eq!((world.calls(), world.held().await), (65, vec![]), "it only says so");
    let shown = world.engine.get_channel(&Caller::default(), "acme", "mail").await.unwrap();
    let says = "5 sends failed in a row: 3 are too many";
    assert_eq!(shown.fares.unwrap().tripped, [(says.into(), true)]);
}

/// Three that fail in a row hold it; one a minute leaves.
fn three_in_a_row() -> ChannelSettings {
    let mut settings = switch("failed_in_a_row", 0, false);
    settings.kill_switches.as_mut().unwrap()[0].after = 3;
    settings
}

impl World {
    /// The sends that were called, in their order.
    fn sends(&self) -> Vec<SendId> {
        self.provider.calls.lock().unwrap().iter().map(|(_, call)| call.send).collect()
    }

    async fn told(&self, send: SendId, receipt: Receipt) {
        let told = ReceiptCall { send, receipt, code: "7".into(), address: None, at: None };
        self.engine.receipts(&Caller::default(), "acme", vec![told]).await.unwrap();
        pass(1).await;
    }

    async fn fares(&self) -> Vec<(Signal, u64)> {
        let shown = self.engine.get_channel(&Caller::default(), "acme", "mail").await.unwrap();
        shown.fares.unwrap().counts
    }
}

const FAILED: Receipt = Receipt::Failed(None);

#[tokio::test(start_paused = true)]
async fn receipts_of_failures_in_a_row_hold_a_channel_whose_calls_are_all_taken() {
    let world = world(three_in_a_row(), |_| None).await;
    world.enroll("welcome", 0..40).await;
    pass(9 * 60 + 30).await;
    let sends = world.sends();
    assert_eq!(sends.len(), 10);
    world.told(sends[0], FAILED).await;
    world.told(sends[1], Receipt::Delivered).await;
    world.told(sends[9], FAILED).await;
    world.told(sends[7], FAILED).await;
    assert_eq!(world.held().await, [], "the ninth was taken");
    world.told(sends[8], FAILED).await;
    assert_eq!(world.held().await[0].held.reason, "kill switch: 3 sends failed in a row: 3 are too many");
    // What was sent before a person looked is none of what comes.
    world.release(mail()).await;
    for send in &sends[2..7] {
        world.told(*send, FAILED).await;
    }
    assert_eq!(world.held().await, []);
    pass(10 * 60).await;
    let sends = world.sends();
    let [.., first, second, third] = sends[..] else { panic!("{sends:?}") };
    world.told(first, FAILED).await;
    world.told(second, FAILED).await;
    world.told(second, Receipt::Delivered).await;
    world.told(third, FAILED).await;
    assert_eq!(
        (world.sends().len(), world.held().await),
        (sends.len(), vec![]),
        "the second arrived after all"
    );
}

#[tokio::test(start_paused = true)]
async fn one_message_that_is_refused_after_all_again_and_again_is_no_row_and_no_breaker() {
    let world = world(three_in_a_row(), |_| None).await;
    let later = DraftStep { wait: "5 days".into(), ..draft("later").steps[0].clone() };
    let draft = Draft { steps: vec![draft("first").steps[0].clone(), later], ..Draft::default() };
    world.engine.put_sequence(&Caller::default(), "acme", "welcome", draft).await.unwrap();
    world.engine.publish(&Caller::default(), "acme", "welcome").await.unwrap();
    let id = world.enroll("welcome", 0..1).await[0];
    for n in 1..=5 {
        pass(12 * 3_600).await;
        assert_eq!(world.sends().len(), n);
        world.told(world.sends()[n - 1], Receipt::Failed(Some(Reaction::SOON))).await;
    }
    assert_eq!((world.held().await, world.state(id).await), (vec![], State::Active));
}

#[tokio::test(start_paused = true)]
async fn a_row_begins_when_its_switch_is_put() {
    let world =
        world(three_in_a_row(), |_| Some(Answer::refused("7", Reaction::never(Blames::Message)))).await;
    let put = async |settings| {
        world.engine.put_channel(&Caller::default(), "acme", "mail", settings).await.unwrap();
    };
    world.enroll("welcome", 0..2).await;
    pass(3 * 60).await;
    put(ChannelSettings { kill_switches: Some(Vec::new()), ..three_in_a_row() }).await;
    world.says(|_| None);
    world.enroll("welcome", 2..4).await;
    pass(3 * 60).await;
    put(three_in_a_row()).await;
    world.says(|_| Some(Answer::refused("7", Reaction::never(Blames::Message))));
    world.enroll("welcome", 4..6).await;
    pass(3 * 60).await;
    assert_eq!((world.calls(), world.held().await), (6, vec![]), "two in a row, and two");
}

#[tokio::test(start_paused = true)]
async fn an_opt_out_that_a_provider_tells_of_a_last_message_counts_once() {
    let world = world(channel(), |_| None).await;
    world.enroll("welcome", 0..1).await;
    pass(60).await;
    world.told(world.sends()[0], Receipt::Failed(Some(Reaction::OptOut))).await;
    assert!(world.fares().await.contains(&(Signal::OptedOut, 1)), "{:?}", world.fares().await);
    opts_out(&world, "welcome0", "e1").await;
    assert!(world.fares().await.contains(&(Signal::OptedOut, 1)), "{:?}", world.fares().await);
}

#[tokio::test(start_paused = true)]
async fn an_opt_out_in_a_provider_s_answer_counts_with_the_message_before_it() {
    let world = world(channel(), |call| {
        (call.message.body == "bad").then(|| Answer::refused("131050", Reaction::OptOut))
    })
    .await;
    for sequence in ["welcome", "bad"] {
        let profile = Profile { email: Some("ana@mail.example".into()), ..Profile::default() };
        let request = Request { contact: "ana".into(), profile, ..Request::default() };
        world.engine.enroll(&Caller::default(), "acme", sequence, vec![request]).await.unwrap();
        pass(60).await;
    }
    assert_eq!(world.calls(), 2);
    let fares = world.fares().await;
    assert!(fares.contains(&(Signal::OptedOut, 1)) && fares.contains(&(Signal::Sent, 1)), "{fares:?}");
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_longer_while_its_lane_is_told_to_slow_down() {
    let paced = ChannelSettings { gap: "1 minute".into(), ..channel() };
    let world = world(paced, |call| {
        let slow = Reaction::Slow { after: Span::seconds(1) };
        let is_busy = call.at.since(START) < Span::seconds(90);
        (call.contact == "welcome1" && is_busy).then(|| Answer::refused("130429", slow))
    })
    .await;
    world.enroll("welcome", 0..10).await;
    pass(3_600).await;
    let calls: Vec<i64> = world.provider.calls.lock().unwrap().iter().map(|(at, _)| *at / 1_000).collect();
    let apart: Vec<i64> = calls.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // Half the pace, and a twentieth more every 10 s: 60 s take 87.
    assert!(apart[0] <= 62 && (80..=95).contains(&apart[1]) && apart[3] <= 62, "{apart:?}");
}

#[tokio::test(start_paused = true)]
async fn a_kill_switch_goes_on_looking_when_the_clock_is_set_back() {
    let world = world(switch("failed", 20, false), half_fail).await;
    world.enroll("welcome", 0..40).await;
    pass(3 * 60 + 30).await;
    assert!((1..10).contains(&world.calls()), "it has looked, and seen too few: {}", world.calls());
    world.provider.env.jumped.store(-3_600_000, Ordering::Relaxed);
    world.enroll("bad", 0..40).await;
    pass(30 * 60).await;
    assert_eq!(
        (world.calls(), world.held().await.len()),
        (10, 1),
        "before the clock says again what it said"
    );
    // Also where a person has looked shortly before.
    world.release(mail()).await;
    world.provider.env.jumped.store(-2 * 3_600_000, Ordering::Relaxed);
    world.enroll("bad", 40..80).await;
    pass(30 * 60).await;
    assert_eq!((world.calls(), world.held().await.len()), (20, 1), "{:?}", world.held().await);
}

#[tokio::test(start_paused = true)]
async fn a_preset_s_kill_switches_can_be_left_out() {
    let web = ChannelSettings { preset: "whatsapp-web".into(), kind: "whatsapp".into(), ..channel() };
    let bare = ChannelSettings { kill_switches: Some(Vec::new()), ..web.clone() };
    let world = world(channel(), |_| None).await;
    for (settings, switches) in [(web, 4), (bare, 0)] {
        let caller = Caller::default();
        world.engine.put_channel(&caller, "acme", "web", settings).await.unwrap();
        let shown = world.engine.get_channel(&caller, "acme", "web").await.unwrap();
        assert_eq!(shown.settings.kill_switches.unwrap().len(), switches);
    }
}

#[tokio::test(start_paused = true)]
async fn a_kill_switch_that_only_reports_holds_nothing() {
    let world = world(switch("failed", 20, true), half_fail).await;
    world.enroll("welcome", 0..40).await;
    pass(3_600).await;
    assert_eq!((world.calls(), world.held().await), (40, vec![]));
    let shown = world.engine.get_channel(&Caller::default(), "acme", "mail").await.unwrap();
    assert_eq!(
        shown.fares.unwrap().tripped,
        [("20 of 40 sends failed: it should be at most 20 %".into(), true)]
    );
}

#[tokio::test(start_paused = true)]
async fn nobody_answering_holds_a_channel_once_they_have_had_a_day_to() {
    let world = world(switch("replied", 10, false), |_| None).await;
    world.enroll("welcome", 0..20).await;
    pass(3_600 * 20).await;
    assert_eq!((world.calls(), world.held().await), (20, vec![]), "too young to have been answered");
    pass(3_600 * 6).await;
    world.enroll("bad", 0..5).await;
    pass(3_600).await;
    let held = world.held().await;
    assert!(held[0].held.reason.contains("0 of 20 sends replied: it should be at least 10 %"), "{held:?}");
    assert!(world.calls() < 25, "{}", world.calls());
}

#[tokio::test(start_paused = true)]
async fn what_nobody_knows_the_end_of_is_called_again_or_left_as_the_channel_says() {
    for (policy, calls) in [("", 5), ("resend", 5), ("leave", 1)] {
        let channel = ChannelSettings { in_doubt: policy.into(), ..channel() };
        let world = world(channel, |_| Some(Answer::Uncertain)).await;
        world.enroll("welcome", 0..1).await;
        pass(100_000).await;
        assert_eq!(world.calls(), calls, "{policy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_that_nothing_reaches_is_left_alone_for_a_week_or_until_it_is_lifted() {
    let world = world(channel(), |_| Some(Answer::refused("131026", Reaction::Unusable))).await;
    // Two people who share an address.
    let enroll = |id: &str, sequence: &'static str| {
        let profile = Profile { email: Some("house@mail.example".into()), ..Profile::default() };
        let request = Request { contact: id.into(), profile, ..Request::default() };
        let engine = world.engine.clone();
        async move { engine.enroll(&Caller::default(), "acme", sequence, vec![request]).await.unwrap() }
    };
    enroll("ana", "welcome").await;
    pass(60).await;
    enroll("bo", "welcome").await;
    enroll("ana", "bad").await;
    pass(3_600).await;
    assert_eq!(world.calls(), 1, "it was told once");
    let person = |id: &'static str| {
        let engine = world.engine.clone();
        async move { engine.contact(&Caller::default(), "acme", id).await.unwrap().contact }
    };
    assert!(person("bo").await.unusable_until.contains_key(&Kind::Email));
    assert!(
        !person("bo").await.is_suppressed(Kind::Email),
        "they may be written to in other ways, and later"
    );
    world.says(|_| None);
    pass(7 * 86_400).await;
    assert!(person("bo").await.unusable_until.is_empty());
    enroll("cy", "welcome").await;
    pass(60).await;
    assert_eq!(world.calls(), 2);
    world.says(|_| Some(Answer::refused("131026", Reaction::Unusable)));
    enroll("di", "welcome").await;
    pass(60).await;
    world.says(|_| None);
    let whom = Whom::Contact("di".into());
    assert!(world.engine.lift(&Caller::default(), "acme", whom, None).await.unwrap());
    enroll("ed", "welcome").await;
    pass(60).await;
    assert_eq!(world.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn settings_that_watch_nothing_are_refused_by_their_field() {
    let world = world(channel(), |_| None).await;
    let put =
        |settings| async { world.engine.put_channel(&Caller::default(), "acme", "mail", settings).await };
    let refused = |field: &str, right: &str, result: Result<_, _>| match result {
        Err(Error::Invalid(faults)) => {
            let [fault] = &faults[..] else { panic!("{faults:?}") };
            assert!(fault.field == field && fault.problem.contains(right), "{fault:?}");
        }
        other => panic!("{other:?}"),
    };
    refused("kill_switches[0].signal", "did you mean \"replied\"?", put(switch("replid", 10, false)).await);
    refused("kill_switches[0].percent", "1 to 99", put(switch("failed", 100, false)).await);
    let of_a_row = |percent, after| {
        let mut settings = switch("failed_in_a_row", percent, false);
        settings.kill_switches.as_mut().unwrap()[0].after = after;
        settings
    };
    refused("kill_switches[0].percent", "leave it out", put(of_a_row(20, 5)).await);
    refused(
        "kill_switches[0].after",
        "give 1 to 100 failures in a row, such as 5",
        put(of_a_row(0, 101)).await,
    );
    let wrong = ChannelSettings { in_doubt: "retry".into(), ..channel() };
    refused("in_doubt", "leave, resend", put(wrong).await);
}
