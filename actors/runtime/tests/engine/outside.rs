//! Channels that lead outside, through the engine: a stored secret is kept while it goes where it went, what a provider
//! signs with is asked for where nothing it tells could be believed without, and who opts out there.

use std::sync::Arc;
use std::time::Duration;

use followupd_channel::inbound::{Inbound, Said};
use followupd_channel::resolve::System;
use followupd_channel::seal::{KEY_BYTES, Seal};
use followupd_channel::secret::Secret;
use followupd_channel::tls::Trust;
use followupd_channel::transports::{Outside, Rules, Transports};
use followupd_channel::{Answer, Call, Slot, Transport};
use followupd_domain::decide::enroll::{Profile, Request};
use followupd_domain::enrollment::{ExitReason, State};
use followupd_domain::filter::Filter;
use followupd_domain::limits::EVENT_MEMORY_OF_PROVIDERS;
use followupd_domain::sequence::{Draft, DraftStep};
use followupd_domain::signal::Signal;
use followupd_domain::{Moment, Span};
use followupd_runtime::{
    Caller, ChannelSettings, ChatwootSettings, Config, Engine, EnrollAnswer, Error, HttpSettings,
    MetaSettings, SecretGiven, Settings, SmtpSettings, TenantSettings, TwilioSettings, Wanted,
};
use followupd_store::memory::Memory;
use futures::future::BoxFuture;

use crate::virtual_env::VirtualEnv;

/// When every test begins: 2026-11-23 12:00 UTC, a Monday.
const START: Moment = Moment(1_795_435_200_000);

struct Nowhere;

impl Transport for Nowhere {
    fn call(&self, _call: Call, _slot: Slot) -> BoxFuture<'_, Answer> {
        Box::pin(async { Answer::Accepted })
    }
}

/// A daemon that may speak in the clear: no test of it depends on the certificates of its machine.
async fn engine() -> Engine {
    let engine = engine_on(Memory::default()).await;
    engine.put_tenant(&Caller::default(), "acme", tenant()).await.unwrap();
    engine
}

async fn engine_on(store: Memory) -> Engine {
    let rules = Rules { helo: "[127.0.0.1]".into(), plain_smtp: true, plain_http: true, ..Rules::default() };
    let seal = Seal::new(&[7; KEY_BYTES]).unwrap();
    let outside = Outside { trust: Trust::load(), resolver: Arc::new(System::default()), seal, rules };
    let transports = Transports::new(Arc::new(Nowhere), outside);
    let env = VirtualEnv::at(START);
    Engine::start(Config::default(), Arc::new(store), Arc::new(env), transports).await.unwrap()
}

fn tenant() -> TenantSettings {
    TenantSettings { on: true, time_zone: "UTC".into(), ..TenantSettings::default() }
}

async fn put(engine: &Engine, settings: ChannelSettings) -> Vec<String> {
    match engine.put_channel(&Caller::default(), "acme", "one", settings).await {
        Ok(_) => Vec::new(),
        Err(Error::Invalid(faults)) => {
            faults.into_iter().map(|fault| format!("{}: {}", fault.field, fault.problem)).collect()
        }
        Err(error) => vec![error.to_string()],
    }
}

fn value(text: &str) -> SecretGiven {
    SecretGiven::Value(Secret::new(text))
}

fn meta(base: &str, secret: impl Fn(&str) -> SecretGiven) -> ChannelSettings {
    let meta = MetaSettings {
        phone_number_id: "7".into(),
        token: Some(secret("token")),
        base: base.into(),
        app_secrets: vec![secret("app")],
        verify_token: Some(secret("verify")),
        ..MetaSettings::default()
    };
    let (kind, transport) = ("whatsapp".into(), "meta".into());
    ChannelSettings { kind, transport, meta: Some(meta), ..ChannelSettings::default() }
}

fn http(url: &str, secret: SecretGiven) -> ChannelSettings {
    let http = HttpSettings { url: url.into(), secrets: vec![secret], ..HttpSettings::default() };
    let (kind, transport) = ("webhook".into(), "http".into());
    ChannelSettings { kind, transport, http: Some(http), ..ChannelSettings::default() }
}

fn smtp(host: &str, security: &str, port: u32, password: SecretGiven) -> ChannelSettings {
    let smtp = SmtpSettings {
        host: host.into(),
        port,
        security: security.into(),
        username: "mailer".into(),
        password: Some(password),
        from: "hi@acme.example".into(),
        ..SmtpSettings::default()
    };
    let (kind, transport) = ("email".into(), "smtp".into());
    ChannelSettings { kind, transport, smtp: Some(smtp), ..ChannelSettings::default() }
}

fn twilio(username: &str, auth_tokens: Vec<SecretGiven>) -> ChannelSettings {
    let twilio = TwilioSettings {
        account: format!("AC{}", "0".repeat(32)),
        username: username.into(),
        password: Some(value("hunter2")),
        number: "+15005550006".into(),
        auth_tokens,
        base: "http://api.example".into(),
        ..TwilioSettings::default()
    };
    let (kind, transport) = ("sms".into(), "twilio".into());
    ChannelSettings { kind, transport, twilio: Some(twilio), ..ChannelSettings::default() }
}

#[tokio::test(start_paused = true)]
async fn a_stored_secret_is_kept_where_it_goes_and_follows_nobody_elsewhere() {
    let engine = engine().await;
    let kept = |_: &str| SecretGiven::Kept;
    assert_eq!(put(&engine, meta("http://graph.example", value)).await, [""; 0]);
    assert_eq!(put(&engine, meta("http://graph.example:80/sub", kept)).await, [""; 0]);
    let elsewhere = "give the value again: the channel would send it elsewhere";
    let fields = ["meta.token", "meta.app_secrets[0]", "meta.verify_token"];
    let refused = fields.map(|field| format!("{field}: {elsewhere}"));
    for base in ["http://evil.example", "http://graph.example:8080", "http://graph.example.evil.example"] {
        assert_eq!(put(&engine, meta(base, kept)).await, refused, "{base}");
    }
    assert!(!put(&engine, meta("http://evil.example\\@graph.example", kept)).await.is_empty());
    assert_eq!(put(&engine, meta("http://evil.example", value)).await, [""; 0], "who knows it may");

    // Fields of one name, and another way out.
    let inbox = ChatwootSettings {
        base: "http://evil.example".into(),
        account: 1,
        token: Some(SecretGiven::Kept),
        ..ChatwootSettings::default()
    };
    let (kind, transport) = ("conversation".into(), "chatwoot".into());
    let inbox = ChannelSettings { kind, transport, chatwoot: Some(inbox), ..ChannelSettings::default() };
    assert_eq!(put(&engine, inbox).await, [format!("chatwoot.token: {elsewhere}")]);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_of_mail_and_of_webhooks_stays_with_its_host_too() {
    let engine = engine().await;
    let elsewhere = "give the value again: the channel would send it elsewhere";
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    assert_eq!(put(&engine, http("http://hooks.example/a", value(secret))).await, [""; 0]);
    assert_eq!(put(&engine, http("http://hooks.example/b", SecretGiven::Kept)).await, [""; 0]);
    let moved = put(&engine, http("http://evil.example/a", SecretGiven::Kept)).await;
    assert_eq!(moved, [format!("http.secrets[0]: {elsewhere}")]);

    assert_eq!(put(&engine, smtp("mx.example", "none", 25, value("hunter2"))).await, [""; 0]);
    assert_eq!(put(&engine, smtp("mx.example", "none", 0, SecretGiven::Kept)).await, [""; 0]);
    for (host, port) in [("evil.example", 25), ("mx.example", 2525)] {
        let moved = put(&engine, smtp(host, "none", port, SecretGiven::Kept)).await;
        assert_eq!(moved, [format!("smtp.password: {elsewhere}")], "{host} {port}");
    }
    // A comparison says what the put would.
    let settings = Settings::Channel(Box::new(smtp("evil.example", "none", 25, SecretGiven::Kept)));
    let wanted = vec![Wanted { name: "one".into(), settings }];
    let compared = engine.compare(&Caller::default(), "acme", wanted).unwrap();
    assert_eq!(compared[0].faults[0].field, "smtp.password");
}

#[tokio::test(start_paused = true)]
async fn what_a_provider_signs_with_is_asked_for_where_it_could_not_be_told_apart() {
    let engine = engine().await;
    let key = format!("SK{}", "a".repeat(32));
    let bare = put(&engine, twilio(&key, Vec::new())).await;
    assert_eq!(bare.len(), 1, "{bare:?}");
    assert!(bare[0].starts_with("twilio.auth_tokens: is required with an API key"), "{bare:?}");
    assert_eq!(put(&engine, twilio(&key, vec![value("token")])).await, [""; 0]);
    assert_eq!(
        put(&engine, twilio("", Vec::new())).await,
        [""; 0],
        "it logs in with the account's own token"
    );

    let with = |change: fn(&mut MetaSettings)| {
        let mut settings = meta("http://graph.example", value);
        settings.meta.iter_mut().for_each(change);
        settings
    };
    let unsigned = put(&engine, with(|meta| meta.app_secrets.clear())).await;
    assert!(unsigned[0].starts_with("meta.app_secrets: are required with verify_token"), "{unsigned:?}");
    let unasked = put(&engine, with(|meta| meta.verify_token = None)).await;
    assert!(unasked[0].starts_with("meta.verify_token: is required with app_secrets"), "{unasked:?}");
    let many = put(&engine, with(|meta| meta.app_secrets = vec![value("one more"); 5])).await;
    assert_eq!(many, ["meta.app_secrets: at most 4 of them"]);
    let many = put(&engine, twilio(&key, vec![value("one more"); 5])).await;
    assert_eq!(many, ["twilio.auth_tokens: at most 4 of them"]);
    let silent = |meta: &mut MetaSettings| {
        meta.app_secrets.clear();
        meta.verify_token = None;
    };
    assert_eq!(put(&engine, with(silent)).await, [""; 0], "it only sends");
}

/// Whether somebody with this number can be enrolled in a sequence by WhatsApp, or why not.
async fn enrolled(engine: &Engine, contact: &str, phone: &str) -> &'static str {
    let profile = Profile { phone: Some(phone.to_owned()), ..Profile::default() };
    let request = Request { contact: contact.to_owned(), profile, ..Request::default() };
    match engine.enroll(&Caller::default(), "acme", "chat", vec![request]).await.unwrap().remove(0) {
        EnrollAnswer::Refused { reason, .. } => reason,
        EnrollAnswer::Enrolled { .. } | EnrollAnswer::AlreadyEnrolled { .. } => "enrolled",
    }
}

/// A daemon with the sequence `chat`, of one step by WhatsApp after an hour, and the channel `one`, whose provider tells
/// of SMS.
async fn told() -> Engine {
    let engine = engine().await;
    assert_eq!(put(&engine, twilio("", Vec::new())).await, [""; 0]);
    put_chat(&engine).await;
    engine
}

async fn put_chat(engine: &Engine) {
    let caller = Caller::default();
    let chat =
        ChannelSettings { kind: "whatsapp".into(), transport: "outbox".into(), ..ChannelSettings::default() };
    engine.put_channel(&caller, "acme", "chat", chat).await.unwrap();
    let step = DraftStep {
        wait: "1 hour".into(),
        channel: "chat".into(),
        body: "hello".into(),
        ..DraftStep::default()
    };
    let draft = Draft { steps: vec![step], ..Draft::default() };
    engine.put_sequence(&caller, "acme", "chat", draft).await.unwrap();
    engine.publish(&caller, "acme", "chat").await.unwrap();
}

/// An opt-out of one kind is one of all.
async fn opts_out_of_all(engine: &Engine) {
    let all = TenantSettings { opt_out_of_all: true, ..tenant() };
    engine.put_tenant(&Caller::default(), "acme", all).await.unwrap();
}

fn stop(phone: &str, at: Moment) -> Vec<Inbound> {
    says("stop", phone, at)
}

fn says(text: &str, phone: &str, at: Moment) -> Vec<Inbound> {
    vec![Inbound::Said(Said {
        contact: phone.to_owned(),
        sender: "+15005550006".into(),
        id: format!("SM{phone}"),
        text: Some(text.into()),
        button: None,
        answers: None,
        at,
    })]
}

#[tokio::test(start_paused = true)]
async fn an_unknown_number_that_opts_out_is_out_of_all_that_it_serves_where_the_tenant_has_it_so() {
    let engine = told().await;
    engine.take_in("acme", "one", stop("+15550100", START)).await.unwrap();
    assert_eq!(enrolled(&engine, "ana", "+15550100").await, "enrolled", "by SMS alone");
    opts_out_of_all(&engine).await;
    engine.take_in("acme", "one", stop("+15550101", START)).await.unwrap();
    assert_eq!(enrolled(&engine, "bo", "+15550101").await, "suppressed");
}

#[tokio::test(start_paused = true)]
async fn an_opt_out_that_is_too_old_to_be_an_event_counts_all_the_same() {
    let engine = told().await;
    opts_out_of_all(&engine).await;
    assert_eq!(enrolled(&engine, "ana", "+15550100").await, "enrolled");
    let long_ago = START - EVENT_MEMORY_OF_PROVIDERS - Span::days(1);
    for _ in 0..2 {
        let taken = engine.take_in("acme", "one", stop("+15550100", long_ago)).await.unwrap();
        assert_eq!((taken.taken, taken.unknown, taken.unread), (1, 0, 0));
    }
    assert_eq!(enrolled(&engine, "bo", "+15550100").await, "suppressed");
    tokio::time::sleep(Duration::from_secs(7_200)).await;
    let shown = engine.get_channel(&Caller::default(), "acme", "chat").await.unwrap();
    assert_eq!(shown.fares.unwrap().counts[0], (Signal::Sent, 0), "nothing goes to who was in line");
}

#[tokio::test(start_paused = true)]
async fn one_word_of_a_number_that_several_contacts_have_is_one_opt_out() {
    let engine = told().await;
    opts_out_of_all(&engine).await;
    for contact in ["ana", "bo", "cy"] {
        assert_eq!(enrolled(&engine, contact, "+15550100").await, "enrolled");
    }
    tokio::time::sleep(Duration::from_secs(7_200)).await;
    let at = START + Span::hours(2);
    engine.take_in("acme", "one", stop("+15550100", at)).await.unwrap();
    let shown = engine.get_channel(&Caller::default(), "acme", "chat").await.unwrap();
    let counts = shown.fares.unwrap().counts;
    assert!(counts.contains(&(Signal::Sent, 3)) && counts.contains(&(Signal::OptedOut, 1)), "{counts:?}");
    assert_eq!(enrolled(&engine, "di", "+15550100").await, "suppressed");
}

#[tokio::test(start_paused = true)]
async fn everybody_with_a_number_hears_of_what_it_writes_however_many_they_are() {
    let engine = told().await;
    for n in 0..40 {
        assert_eq!(enrolled(&engine, &format!("ticket-{n}"), "+15550100").await, "enrolled");
    }
    let taken = engine.take_in("acme", "one", says("yes, thanks", "+15550100", START)).await.unwrap();
    assert_eq!((taken.taken, taken.unknown), (1, 0));
    let of_chat = Filter { reason: Some(ExitReason::Replied), ..Filter::default() };
    let left =
        engine.enrollments(&Caller::default(), "acme", Some("chat"), of_chat, None, 100).await.unwrap();
    assert_eq!(left.enrollments.len(), 40);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_unknown_writes_is_to_be_told_again_while_contacts_are_still_written_down() {
    let (store, caller) = (Memory::default(), Caller::default());
    let engine = engine_on(store.clone()).await;
    engine.put_tenant(&caller, "acme", tenant()).await.unwrap();
    put_chat(&engine).await;
    let request = |n: usize| {
        let profile = Profile { phone: Some(format!("+1555{n:07}")), ..Profile::default() };
        Request { contact: format!("c{n:07}"), profile, ..Request::default() }
    };
    let all: Vec<Request> = (0..9_000).map(request).collect();
    for some in all.chunks(1_000) {
        engine.enroll(&caller, "acme", "chat", some.to_vec()).await.unwrap();
    }
    assert_eq!(put(&engine, twilio("", Vec::new())).await, [""; 0]);
    let yes = |n: usize| says("yes", &format!("+1555{n:07}"), START);
    for n in [0, 8_999] {
        let early = engine.take_in("acme", "one", yes(n)).await;
        assert!(matches!(early, Err(Error::Overloaded { .. })), "another may have that number: {early:?}");
    }
    let of_chat = |n: usize| Filter { contact: Some(format!("c{n:07}")), ..Filter::default() };
    let of = engine.enrollments(&caller, "acme", Some("chat"), of_chat(0), None, 1).await.unwrap();
    assert_eq!(of.enrollments[0].state, State::Exited(ExitReason::Replied), "who is known has heard of it");
    engine.stop();
    let engine = engine_on(store).await;
    let early = engine.take_in("acme", "one", yes(8_999)).await;
    assert!(matches!(early, Err(Error::Overloaded { .. })), "a restart forgets nothing: {early:?}");
    tokio::time::sleep(Duration::from_secs(10)).await;
    let taken = engine.take_in("acme", "one", yes(8_999)).await.unwrap();
    assert_eq!((taken.taken, taken.unknown), (1, 0), "within seconds, and not an hour");
    let again = engine.take_in("acme", "one", yes(0)).await.unwrap();
    assert_eq!((again.taken, again.unknown), (1, 0));
    let nobody = engine.take_in("acme", "one", yes(9_999)).await.unwrap();
    assert_eq!((nobody.taken, nobody.unknown), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn who_came_while_nobody_was_told_of_replies_is_known_as_soon_as_somebody_is() {
    let engine = told().await;
    let silent =
        ChannelSettings { kind: "sms".into(), transport: "outbox".into(), ..ChannelSettings::default() };
    assert_eq!(put(&engine, silent).await, [""; 0]);
    assert_eq!(enrolled(&engine, "ana", "+15550100").await, "enrolled");
    assert_eq!(put(&engine, twilio("", Vec::new())).await, [""; 0]);
    let taken = engine.take_in("acme", "one", says("yes", "+15550100", START)).await.unwrap();
    assert_eq!((taken.taken, taken.unknown), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_not_there_is_refused_at_the_put_though_only_webhooks_need_it() {
    let engine = engine().await;
    let missing = |_: &str| SecretGiven::Env("FOLLOWUPD_NO_SUCH_VARIABLE".into());
    let refused = put(&engine, meta("http://graph.example", missing)).await;
    let fields: Vec<&str> = refused.iter().filter_map(|fault| fault.split(':').next()).collect();
    assert_eq!(fields, ["meta.token", "meta.app_secrets", "meta.verify_token"], "{refused:?}");
    let key = format!("SK{}", "a".repeat(32));
    let refused = put(&engine, twilio(&key, vec![missing("")])).await;
    assert!(refused[0].starts_with("twilio.auth_tokens: has to be a variable"), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_word_that_is_empty_is_refused() {
    let engine = engine().await;
    let settings = TenantSettings { stop_words: vec!["basta".into(), "  ".into()], ..tenant() };
    let Err(Error::Invalid(faults)) = engine.put_tenant(&Caller::default(), "acme", settings).await else {
        panic!("it is taken")
    };
    assert_eq!(faults[0].field, "stop_words[1]");
}

#[tokio::test(start_paused = true)]
async fn a_quiet_window_that_ends_as_it_begins_is_refused() {
    let engine = engine().await;
    let quiet_hours =
        vec![("mon".into(), "20:00".into(), "08:00".into()), ("tue".into(), "20:00".into(), "20:00".into())];
    let settings = TenantSettings { quiet_hours, ..tenant() };
    let Err(Error::Invalid(faults)) = engine.put_tenant(&Caller::default(), "acme", settings).await else {
        panic!("it is taken")
    };
    assert_eq!((faults.len(), faults[0].field.as_str()), (1, "quiet_hours[1].to"));
}
