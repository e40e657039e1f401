//! Accounts through the engine: limits and holds that several channels share.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use followupd_channel::transports::Transports;
use followupd_channel::{Answer, Call, Slot, Transport};
use followupd_domain::channel::Kind;
use followupd_domain::decide::enroll::{Profile, Request};
use followupd_domain::event::{Event, EventKey, EventKind};
use followupd_domain::name::Name;
use followupd_domain::reaction::{Reaction, Scope};
use followupd_domain::sequence::{Draft, DraftStep};
use followupd_domain::{Moment, Span};
use followupd_runtime::{
    AccountSettings, Caller, Change, ChannelSettings, Config, Engine, Env, Error, EventCall, HeldScope,
    ScopeName, Settings, TenantSettings, WaitsFor, Wanted,
};
use followupd_store::memory::Memory;
use futures::future::BoxFuture;

use crate::virtual_env::VirtualEnv;

type Says = fn(&Call) -> Option<Answer>;

/// Keeps when it was called, in milliseconds since the start, and with what.
struct Provider(Arc<VirtualEnv>, Mutex<Says>, Mutex<Vec<(i64, Call)>>);

impl Transport for Provider {
    fn call(&self, call: Call, _slot: Slot) -> BoxFuture<'_, Answer> {
        let answer = self.1.lock().unwrap()(&call).unwrap_or(Answer::Accepted);
        self.2.lock().unwrap().push((self.0.steady().0, call));
        Box::pin(async { answer })
    }
}

struct World {
    engine: Engine,
    caller: Caller,
    provider: Arc<Provider>,
}

const TENANT: &str = "acme";
const START: Moment = Moment(1_795_392_000_000);

fn chat(account: &str) -> ChannelSettings {
    ChannelSettings {
        kind: "whatsapp".into(),
        transport: "outbox".into(),
        account: account.into(),
        ..ChannelSettings::default()
    }
}

fn portfolio() -> ScopeName {
    ScopeName::Account(Name::parse("portfolio").unwrap())
}

async fn start(store: Memory, says: Says) -> World {
    let env = Arc::new(VirtualEnv::at(START));
    let provider = Arc::new(Provider(Arc::clone(&env), Mutex::new(says), Mutex::default()));
    let transports = Transports::only(provider.clone());
    let engine = Engine::start(Config::default(), Arc::new(store), env, transports).await.unwrap();
    World { engine, caller: Caller::default(), provider }
}

/// `acme` with the account `portfolio`, its channels `one` and `two`, the channel `alone` without any, and a sequence
/// of one step through each.
async fn world(new_recipients: u32, says: Says) -> World {
    let world = start(Memory::default(), says).await;
    let World { engine, caller, .. } = &world;
    let tenant = TenantSettings { on: true, time_zone: "UTC".into(), ..TenantSettings::default() };
    engine.put_tenant(caller, TENANT, tenant).await.unwrap();
    engine.put_account(caller, TENANT, "portfolio", AccountSettings { new_recipients }).await.unwrap();
    for (channel, account) in [("one", "portfolio"), ("two", "portfolio"), ("alone", "")] {
        engine.put_channel(caller, TENANT, channel, chat(account)).await.unwrap();
        let step = DraftStep { channel: channel.into(), body: channel.into(), ..DraftStep::default() };
        let draft = Draft { steps: vec![step], ..Draft::default() };
        engine.put_sequence(caller, TENANT, channel, draft).await.unwrap();
        engine.publish(caller, TENANT, channel).await.unwrap();
    }
    world
}

impl World {
    async fn enroll(&self, sequence: &str, contacts: std::ops::Range<usize>) {
        let request = |n| {
            let profile = Profile { phone: Some(format!("+1555010{n:04}")), ..Profile::default() };
            Request { contact: format!("c{n}"), profile, ..Request::default() }
        };
        let requests = contacts.map(request).collect();
        self.engine.enroll(&self.caller, TENANT, sequence, requests).await.unwrap();
    }

    /// A contact wrote.
    async fn wrote(&self, n: usize, kind: Kind, occurred_at: Moment) {
        let event = Event {
            key: EventKey { source: "inbox".into(), id: format!("{n} at {}", occurred_at.0) },
            kind: EventKind::MessageReceived,
            occurred_at,
            contact: Some(format!("c{n}")),
            target: None,
            channel: Some(kind),
            text: "hi".into(),
            automatic: false,
        };
        let call = EventCall { event, profile: Profile::default() };
        self.engine.event(&self.caller, TENANT, vec![call]).await.unwrap();
    }

    /// Everybody who was called, through which channel's sequence.
    fn called(&self) -> Vec<(i64, String, String)> {
        let calls = self.provider.2.lock().unwrap();
        calls.iter().map(|(at, call)| (*at, call.contact.clone(), call.message.body.clone())).collect()
    }

    fn count(&self, body: &str) -> usize {
        self.called().iter().filter(|(_, _, through)| through == body).count()
    }

    async fn held(&self) -> Vec<HeldScope> {
        self.engine.holds(&self.caller, TENANT).await.unwrap()
    }
}

async fn pass(span: Span) {
    tokio::time::sleep(Duration::from_millis(span.0 as u64)).await;
}

#[tokio::test(start_paused = true)]
async fn all_channels_of_an_account_write_to_no_more_new_people_than_it_may() {
    let world = world(5, |_| None).await;
    world.enroll("one", 0..4).await;
    world.enroll("two", 2..8).await;
    world.enroll("alone", 0..9).await;
    pass(Span::hours(1)).await;
    assert_eq!(world.count("alone"), 9, "it has no account");
    let shared = || world.called().into_iter().filter(|(_, _, through)| through != "alone");
    let people: BTreeSet<String> = shared().map(|(_, contact, _)| contact).collect();
    assert_eq!(people.len(), 5, "{people:?}");
    assert!(shared().count() > 5, "who was written to by both counts once: {people:?}");
    let shown = world.engine.get_account(&world.caller, TENANT, "portfolio").await.unwrap();
    assert_eq!((shown.recipients, shown.channels.len(), shown.held), (5, 2, None));
    pass(Span::hours(24)).await;
    let people: BTreeSet<String> = shared().map(|(_, contact, _)| contact).collect();
    assert_eq!(people.len(), 8, "a day later the others had their turn");
    let all: Vec<(i64, String, String)> = shared().collect();
    for (end, ..) in &all {
        let day = all.iter().filter(|(at, ..)| (end - 86_400_000..=*end).contains(at));
        let people: BTreeSet<&String> = day.map(|(_, contact, _)| contact).collect();
        assert!(people.len() <= 5, "up to {end}: {people:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_wrote_by_whatsapp_within_a_day_is_nobody_new() {
    let world = world(1, |_| None).await;
    for (n, kind) in [(1, Kind::Whatsapp), (2, Kind::Email)] {
        world.wrote(n, kind, START).await;
    }
    world.enroll("one", 0..3).await;
    pass(Span::hours(1)).await;
    let people: BTreeSet<String> = world.called().into_iter().map(|(_, contact, _)| contact).collect();
    assert!(people.contains("c1") && people.len() == 2, "one of c0 and c2 beside c1: {people:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_who_wrote_counts_nobody_however_long_ago_they_were_counted() {
    let world = world(1, |_| None).await;
    world.enroll("one", 1..2).await;
    pass(Span::days(2)).await;
    world.wrote(1, Kind::Whatsapp, START + Span::days(2)).await;
    world.enroll("two", 1..2).await;
    pass(Span::minutes(1)).await;
    assert_eq!((world.count("one"), world.count("two")), (1, 1));
    let shown = world.engine.get_account(&world.caller, TENANT, "portfolio").await.unwrap();
    assert_eq!(shown.recipients, 0, "an answer is nothing new");
    world.enroll("one", 2..3).await;
    pass(Span::minutes(1)).await;
    assert_eq!(world.count("one"), 2, "there is room for somebody else");
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_held_holds_its_channels_until_it_is_released() {
    let world = world(0, |_| None).await;
    world.engine.hold(&world.caller, TENANT, portfolio(), "unpaid").await.unwrap();
    for sequence in ["one", "two", "alone"] {
        world.enroll(sequence, 0..3).await;
    }
    pass(Span::hours(1)).await;
    assert_eq!((world.count("one"), world.count("two"), world.count("alone")), (0, 0, 3));
    let [HeldScope { scope, held, step: None }] = &world.held().await[..] else { panic!() };
    assert_eq!((scope, held.reason.as_str(), held.until), (&portfolio(), "unpaid", None));
    let shown = world.engine.get_channel(&world.caller, TENANT, "one").await.unwrap();
    assert_eq!(shown.held.unwrap().reason, "account portfolio: unpaid");
    let waits = world.engine.backlog(&world.caller, TENANT, "one").await.unwrap();
    assert!(waits.waits.iter().any(|waits| waits.on == WaitsFor::Account), "{waits:?}");
    let freed = world.engine.forecast(&world.caller, TENANT, &portfolio()).await.unwrap();
    assert_eq!(
        freed.iter().map(|lane| (lane.channel.as_str(), lane.sent)).collect::<Vec<_>>(),
        [("one", 3), ("two", 3)]
    );
    world.engine.release(&world.caller, TENANT, portfolio()).await.unwrap();
    pass(Span::hours(1)).await;
    assert_eq!((world.count("one"), world.count("two"), world.held().await), (3, 3, vec![]));
}

#[tokio::test(start_paused = true)]
async fn what_a_provider_says_of_an_account_holds_all_of_it() {
    let locked: Says = |call| {
        (call.message.body == "one").then(|| Answer::refused("131031", Reaction::stop(Scope::Account)))
    };
    let world = world(0, locked).await;
    world.enroll("one", 0..1).await;
    pass(Span::minutes(1)).await;
    world.enroll("two", 0..3).await;
    world.enroll("alone", 0..3).await;
    pass(Span::hours(1)).await;
    assert_eq!((world.count("two"), world.count("alone")), (0, 3));
    let [HeldScope { scope, held, .. }] = &world.held().await[..] else { panic!("{:?}", world.held().await) };
    assert_eq!((scope, held.reason.as_str(), held.until), (&portfolio(), "the provider said 131031", None));
    *world.provider.1.lock().unwrap() = |_| None;
    world.engine.release(&world.caller, TENANT, portfolio()).await.unwrap();
    pass(Span::hours(1)).await;
    assert_eq!((world.count("two"), world.held().await), (3, vec![]));
}

#[tokio::test(start_paused = true)]
async fn an_account_that_backs_off_rests_with_all_its_channels_and_goes_on_by_itself() {
    let busy: Says = |call| {
        let reaction = Reaction::back_off(Scope::Account, Span::minutes(10));
        (call.message.body == "one").then(|| Answer::refused("80007", reaction))
    };
    let world = world(0, busy).await;
    world.enroll("one", 0..1).await;
    pass(Span::minutes(1)).await;
    *world.provider.1.lock().unwrap() = |_| None;
    world.enroll("two", 0..3).await;
    pass(Span::minutes(5)).await;
    assert_eq!(world.count("two"), 0);
    let [HeldScope { scope, held, .. }] = &world.held().await[..] else { panic!("{:?}", world.held().await) };
    assert!(scope == &portfolio() && held.until.is_some(), "{held:?}");
    pass(Span::minutes(10)).await;
    assert_eq!((world.count("two"), world.held().await), (3, vec![]));
    assert!(world.count("one") > 1, "what was refused was sent again");
}

#[tokio::test(start_paused = true)]
async fn a_channel_of_no_account_that_is_told_to_wait_is_held_by_nobody() {
    let busy: Says = |_| Some(Answer::refused("429", Reaction::back_off(Scope::Account, Span::ZERO)));
    let world = world(0, busy).await;
    world.enroll("alone", 0..3).await;
    pass(Span::seconds(5)).await;
    assert_eq!(world.held().await, [], "its way out rests by itself");
}

#[tokio::test(start_paused = true)]
async fn an_account_is_put_before_its_channels_and_compared_like_them() {
    let world = world(250, |_| None).await;
    let World { engine, caller, .. } = &world;
    let Err(Error::Invalid(faults)) = engine.put_channel(caller, TENANT, "one", chat("portfolo")).await
    else {
        panic!("there is no such account")
    };
    let fault = &faults[0];
    assert!(fault.field == "account" && fault.problem.contains("did you mean \"portfolio\"?"), "{fault:?}");
    let wanted = |name: &str, new_recipients| Wanted {
        name: name.into(),
        settings: Settings::Account(AccountSettings { new_recipients }),
    };
    let channel = Wanted { name: "three".into(), settings: Settings::Channel(Box::new(chat("other"))) };
    let all = vec![wanted("portfolio", 250), wanted("portfolio", 2_000), wanted("other", 0), channel];
    let compared = engine.compare(caller, TENANT, all).unwrap();
    let changes: Vec<Option<Change>> = compared.iter().map(|one| one.change).collect();
    assert_eq!(
        changes,
        [Some(Change::Unchanged), Some(Change::Changed), Some(Change::New), Some(Change::New)]
    );
    assert!(compared[3].faults.is_empty(), "an account that is put before it: {:?}", compared[3]);
    let shown = engine.get_channel(caller, TENANT, "one").await.unwrap();
    assert_eq!(shown.settings.account, "portfolio");
}
