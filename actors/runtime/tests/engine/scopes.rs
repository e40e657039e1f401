//! Tenants, channels and sequences through the engine: reading what was put, revisions, calls that are made once,
//! trying a sequence and archiving it.

use std::sync::{Arc, Mutex};

use followupd_channel::transports::Transports;
use followupd_channel::{Answer, Call, Slot, Transport};
use followupd_domain::access::AccessKey;
use followupd_domain::decide::enroll::{Profile, Request};
use followupd_domain::enrollment::{ExitReason, State};
use followupd_domain::name::Name;
use followupd_domain::preview::Becomes;
use followupd_domain::sequence::{Draft, DraftStep, Status};
use followupd_domain::{EnrollmentId, Moment, Span, VersionNo};
use followupd_runtime::{
    AccountSettings, At, Caller, Change, ChannelSettings, Compared, Config, Engine, EnrollAnswer, Env, Error,
    Expected, Once, ScopeName, Settings, TenantSettings, Trial, TrialOf, Wanted,
};
use followupd_store::memory::{Hooks, Memory, Point, Reaction};
use followupd_store::{Commit, Key};
use futures::future::BoxFuture;

use crate::virtual_env::VirtualEnv;

const START: i64 = 1_795_435_200_000;

#[derive(Default)]
struct Kept(Mutex<Vec<Call>>);

impl Transport for Kept {
    fn call(&self, call: Call, _slot: Slot) -> BoxFuture<'_, Answer> {
        self.0.lock().unwrap().push(call);
        Box::pin(async { Answer::Accepted })
    }
}

struct World {
    engine: Engine,
    store: Memory,
    env: Arc<VirtualEnv>,
    kept: Arc<Kept>,
}

async fn start(store: Memory, env: Arc<VirtualEnv>) -> World {
    let kept = Arc::new(Kept::default());
    let clock: Arc<dyn Env> = env.clone();
    let engine =
        Engine::start(Config::default(), Arc::new(store.clone()), clock, Transports::only(kept.clone()))
            .await
            .unwrap();
    World { engine, store, env, kept }
}

fn tenant() -> TenantSettings {
    TenantSettings { on: true, time_zone: "America/Sao_Paulo".into(), ..TenantSettings::default() }
}

fn mail() -> ChannelSettings {
    ChannelSettings { kind: "email".into(), transport: "outbox".into(), ..ChannelSettings::default() }
}

fn draft() -> Draft {
    let step = |wait: &str| DraftStep {
        wait: wait.into(),
        channel: "email".into(),
        subject: "hello".into(),
        body: "dear {{ contact.name | default('friend') }}".into(),
        ..DraftStep::default()
    };
    Draft { steps: vec![step(""), step("2 hours")], ..Draft::default() }
}

/// `acme` with the channel `mail` and the sequence `welcome`, published.
async fn world() -> World {
    let env = VirtualEnv::at(Moment(START));
    let world = start(Memory::default(), Arc::new(env)).await;
    let (engine, caller) = (&world.engine, Caller::default());
    engine.put_tenant(&caller, "acme", tenant()).await.unwrap();
    engine.put_channel(&caller, "acme", "mail", mail()).await.unwrap();
    engine.put_sequence(&caller, "acme", "welcome", draft()).await.unwrap();
    engine.publish(&caller, "acme", "welcome").await.unwrap();
    world
}

impl World {
    async fn enroll(&self, contact: &str) -> EnrollAnswer {
        let profile = Profile { email: Some(format!("{contact}@mail.example")), ..Profile::default() };
        let request = Request { contact: contact.to_owned(), profile, ..Request::default() };
        self.engine.enroll(&Caller::default(), "acme", "welcome", vec![request]).await.unwrap().remove(0)
    }

    async fn one(&self, contact: &str) -> EnrollmentId {
        match self.enroll(contact).await {
            EnrollAnswer::Enrolled { id, .. } | EnrollAnswer::AlreadyEnrolled { id } => id,
            EnrollAnswer::Refused { reason, .. } => panic!("{contact} is not enrolled: {reason}"),
        }
    }

    async fn state(&self, id: EnrollmentId) -> State {
        self.engine.get(&Caller::default(), "acme", id).await.unwrap().enrollment.state
    }
}

/// A caller whose change is made once: `id` for a call that says `says`.
fn once(id: &str, says: u8) -> Caller {
    let (key, _) = AccessKey::make(
        &[7; 42],
        Name::parse("crm").unwrap(),
        None,
        std::collections::BTreeSet::new(),
        Moment(0),
        None,
    );
    let once = Once { key: key.id, id: id.to_owned(), digest: [says; 32] };
    Caller { once: Some(once), ..Caller::default() }
}

#[tokio::test(start_paused = true)]
async fn what_was_read_can_be_put_again_and_changes_nothing() {
    let world = world().await;
    let (engine, caller) = (&world.engine, Caller::default());
    let settings = TenantSettings {
        on: true,
        time_zone: "Europe/Berlin".into(),
        contact_time_zone: true,
        quiet_hours: vec![("sat,sun".into(), "00:00".into(), "24:00".into())],
        business_days: "mon-fri,sun".into(),
        holidays: vec!["2026-12-25".into()],
        stop_words: vec!["basta".into()],
        contact_per_day: 2,
        contact_per_week: 5,
        opt_out_of_all: true,
        default_channels: [("email".to_owned(), "mail".to_owned())].into(),
    };
    engine.put_tenant(&caller, "acme", settings).await.unwrap();
    let paced = ChannelSettings {
        rate_count: 80,
        rate_burst: 1,
        gap: "90 seconds".into(),
        per_minute: 60,
        per_hour: 500,
        per_day: 5_000,
        ignores_quiet_hours: Some(true),
        ..mail()
    };
    engine.put_channel(&caller, "acme", "mail", paced).await.unwrap();
    engine.put_sequence(&caller, "acme", "welcome", draft()).await.unwrap();

    let tenant = engine.get_tenant(&caller, "acme").await.unwrap();
    let channel = engine.get_channel(&caller, "acme", "mail").await.unwrap();
    let sequence = engine.get_sequence(&caller, "acme", "welcome").await.unwrap();
    engine.put_tenant(&caller, "acme", tenant.settings.clone()).await.unwrap();
    engine.put_channel(&caller, "acme", "mail", channel.settings.clone()).await.unwrap();
    engine.put_sequence(&caller, "acme", "welcome", sequence.draft.clone().unwrap()).await.unwrap();
    let again = engine.get_tenant(&caller, "acme").await.unwrap();
    assert_eq!(again.settings, tenant.settings);
    assert!(again.revision > tenant.revision, "every put is a revision of its own");
    assert_eq!(engine.get_channel(&caller, "acme", "mail").await.unwrap().settings, channel.settings);
    assert_eq!(engine.get_sequence(&caller, "acme", "welcome").await.unwrap().draft, sequence.draft);

    let version = |no| engine.version(&caller, "acme", "welcome", no).unwrap();
    let (no, written) = version(None).unwrap();
    assert_eq!((no, written.steps.len()), (VersionNo(1), 2));
    engine.put_sequence(&caller, "acme", "welcome", written.clone()).await.unwrap();
    engine.publish(&caller, "acme", "welcome").await.unwrap();
    assert_eq!(version(Some(VersionNo(2))).unwrap().1, written);
    assert!(engine.version(&caller, "acme", "welcome", Some(VersionNo(3))).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_key_for_one_tenant_lists_that_one_and_lists_go_by_name() {
    let world = world().await;
    let (engine, caller) = (&world.engine, Caller::default());
    for name in ["globex", "initech"] {
        engine.put_tenant(&caller, name, tenant()).await.unwrap();
    }
    assert_eq!(engine.tenant_names(&caller, "", 2), ["acme", "globex"]);
    assert_eq!(engine.tenant_names(&caller, "globex", 2), ["initech"]);
    let only = Caller { only: Some(Name::parse("globex").unwrap()), ..Caller::default() };
    assert_eq!(engine.tenant_names(&only, "", 10), ["globex"]);
    assert!(engine.get_tenant(&only, "acme").await.is_err());

    engine.put_channel(&caller, "acme", "backup", mail()).await.unwrap();
    let channels = engine.channels(&caller, "acme", "", 10).await.unwrap();
    let shown: Vec<(&str, bool)> = channels.iter().map(|one| (one.name.as_str(), one.is_default)).collect();
    assert_eq!(shown, [("backup", false), ("mail", true)]);
    engine.put_sequence(&caller, "acme", "later", draft()).await.unwrap();
    let names = async |status| {
        let found = engine.sequences(&caller, "acme", status, "", 10).await.unwrap();
        found.iter().map(|one| one.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(None).await, ["later", "welcome"]);
    assert_eq!(names(Some(Status::Active)).await, ["welcome"]);
    assert_eq!(names(Some(Status::Unpublished)).await, ["later"]);
}

#[tokio::test(start_paused = true)]
async fn a_hold_says_since_when_why_and_by_whom() {
    let world = world().await;
    let (engine, zoe) = (&world.engine, Caller { by: "zoe".into(), ..Caller::default() });
    let scope = || ScopeName::Sequence(Name::parse("welcome").unwrap());
    engine.hold(&zoe, "acme", scope(), "typo in step 1").await.unwrap();
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    let max = Caller { by: "max".into(), ..Caller::default() };
    engine.hold(&max, "acme", scope(), "me too").await.unwrap();
    engine.hold(&max, "acme", ScopeName::Tenant, "").await.unwrap();
    let held = engine.holds(&max, "acme").await.unwrap();
    let told: Vec<(String, &str, &str)> = held
        .iter()
        .map(|one| (one.scope.told(&Name::parse("acme").unwrap()), &*one.held.reason, &*one.held.by))
        .collect();
    assert_eq!(
        told,
        [("tenant acme".into(), "", "max"), ("sequence welcome".into(), "typo in step 1", "zoe")]
    );
    assert_eq!(held[1].held.since, Moment(START));
    engine.release(&max, "acme", ScopeName::Tenant).await.unwrap();
    assert_eq!(engine.get_tenant(&max, "acme").await.unwrap().held, None);
}

#[tokio::test(start_paused = true)]
async fn a_put_that_saw_an_older_revision_is_refused_with_both() {
    let world = world().await;
    let (engine, caller) = (&world.engine, Caller::default());
    let at = |expected| At { value: mail(), expected };
    let first = engine.get_channel(&caller, "acme", "mail").await.unwrap().revision;
    let second =
        engine.put_channel(&caller, "acme", "mail", at(Expected::Revision(first))).await.unwrap().revision;
    assert!(second > first);
    let late = engine.put_channel(&caller, "acme", "mail", at(Expected::Revision(first))).await;
    assert!(
        matches!(late, Err(Error::Mismatch { expected: Expected::Revision(a), found: Some(b) })
            if a == first && b == second),
        "{late:?}"
    );
    let taken = engine.put_channel(&caller, "acme", "mail", at(Expected::Absent)).await;
    assert!(matches!(taken, Err(Error::Mismatch { expected: Expected::Absent, found: Some(_) })));
    assert!(engine.put_channel(&caller, "acme", "new", at(Expected::Absent)).await.is_ok());
    let gone = engine.put_channel(&caller, "acme", "none", at(Expected::Revision(1))).await;
    assert!(matches!(gone, Err(Error::Mismatch { found: None, .. })));

    let tenant = |expected| At { value: tenant(), expected };
    assert!(engine.put_tenant(&caller, "globex", tenant(Expected::Revision(9))).await.is_err());
    assert!(engine.put_tenant(&caller, "globex", tenant(Expected::Absent)).await.is_ok());
    let taken = engine.put_tenant(&caller, "globex", tenant(Expected::Absent)).await;
    assert!(matches!(taken, Err(Error::Mismatch { .. })), "{taken:?}");

    let put = engine.put_sequence(&caller, "acme", "welcome", draft()).await.unwrap();
    let publish = |revision| At { value: "welcome", expected: Expected::Revision(revision) };
    assert!(engine.publish(&caller, "acme", publish(put.revision - 1)).await.is_err());
    assert!(engine.publish(&caller, "acme", publish(put.revision)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_repeat_under_one_request_id_is_told_what_came_of_the_first() {
    let world = world().await;
    let engine = &world.engine;
    engine.put_sequence(&Caller::default(), "acme", "welcome", draft()).await.unwrap();
    let first = engine.publish(&once("r1", 1), "acme", "welcome").await.unwrap();
    assert_eq!(first.version, VersionNo(2));
    let again = engine.publish(&once("r1", 1), "acme", "welcome").await.unwrap();
    assert_eq!(again, first, "and no draft is missed");
    let other = engine.publish(&once("r1", 2), "acme", "welcome").await;
    assert!(matches!(other, Err(Error::Refused { reason: "request_id_reused", .. })), "{other:?}");

    let paced = ChannelSettings { per_day: 5, ..mail() };
    let put = engine.put_channel(&once("r2", 1), "acme", "mail", paced).await.unwrap();
    engine.put_channel(&Caller::default(), "acme", "mail", mail()).await.unwrap();
    let late = ChannelSettings { per_day: 5, ..mail() };
    assert_eq!(engine.put_channel(&once("r2", 1), "acme", "mail", late).await.unwrap(), put);
    let now = engine.get_channel(&Caller::default(), "acme", "mail").await.unwrap();
    assert_eq!(now.settings.per_day, 0, "a repeat undoes nothing that came later");

    let restarted = start(world.store.clone(), world.env.clone()).await;
    assert_eq!(restarted.engine.publish(&once("r1", 1), "acme", "welcome").await.unwrap(), first);
    tokio::time::advance(std::time::Duration::from_secs(25 * 3_600)).await;
    let forgotten = restarted.engine.publish(&once("r1", 1), "acme", "welcome").await;
    assert!(matches!(forgotten, Err(Error::Refused { reason: "no_draft", .. })), "{forgotten:?}");
}

#[tokio::test(start_paused = true)]
async fn trying_a_draft_finds_its_faults_and_shows_what_a_contact_would_get() {
    let world = world().await;
    let (engine, caller) = (&world.engine, Caller::default());
    let mut wrong = draft();
    wrong.steps[1].wait = "2 fortnights".into();
    let (faults, _) = engine.validate(&caller, "acme", "welcome", Some(&wrong)).unwrap();
    assert_eq!(faults[0].field, "steps[1].wait");
    let mut bare = draft();
    bare.steps[0].body = "dear {{ contact.name }}".into();
    let (faults, advice) = engine.validate(&caller, "acme", "welcome", Some(&bare)).unwrap();
    assert!(faults.is_empty() && advice[0].field == "steps[0].body", "{advice:?}");
    assert!(engine.validate(&caller, "acme", "welcome", None).is_err(), "there is no draft");

    let trial = |of, name: Option<&str>| {
        let profile = Profile {
            name: name.map(str::to_owned),
            email: Some("ana@mail.example".into()),
            ..Profile::default()
        };
        let request = Request { contact: "ana".into(), profile, ..Request::default() };
        Trial { sequence: "welcome".into(), of, request }
    };
    let steps = engine.preview(&caller, "acme", trial(TrialOf::Newest, Some("Ana"))).await.unwrap();
    let Becomes::Sent(message) = &steps[0].becomes else { panic!("{steps:?}") };
    assert_eq!(message.body, "dear Ana");
    assert_eq!(steps[1].at, Moment(START) + Span::hours(2));
    let steps = engine.preview(&caller, "acme", trial(TrialOf::Draft(bare), None)).await.unwrap();
    assert!(matches!(steps[0].becomes, Becomes::Failed(_)) && steps.len() == 2, "{steps:?}");
    assert!(engine.preview(&caller, "acme", trial(TrialOf::Version(VersionNo(7)), None)).await.is_err());
    assert!(world.kept.0.lock().unwrap().is_empty(), "nothing was sent");
    assert!(engine.contact_enrollments(&caller, "acme", "ana").await.is_err(), "nothing was written");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_while_all_sending_is_stopped_and_a_restart_keeps_it_so() {
    let world = world().await;
    let (engine, zoe) = (&world.engine, Caller { by: "zoe".into(), ..Caller::default() });
    let only = Caller { only: Some(Name::parse("acme").unwrap()), ..Caller::default() };
    assert!(engine.stop_sending(&only, "").await.is_err(), "one tenant's key stops nobody else");
    engine.stop_sending(&zoe, "wrong list").await.unwrap();
    engine.stop_sending(&zoe, "again").await.unwrap();
    let id = world.one("ana").await;
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    assert!(world.kept.0.lock().unwrap().is_empty());
    let stop = engine.stopped().unwrap();
    assert_eq!((stop.by.as_str(), stop.reason.as_str()), ("zoe", "wrong list"));
    world.engine.stop();

    let restarted = start(world.store.clone(), world.env.clone()).await;
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    assert!(restarted.kept.0.lock().unwrap().is_empty(), "a stop survives a restart");
    // Exits still act.
    let other = restarted.one("bo").await;
    restarted.engine.command(&zoe, "acme", other, followupd_runtime::Command::Exit).await.unwrap();
    assert!(restarted.engine.resume_sending(&zoe).await.unwrap());
    assert!(!restarted.engine.resume_sending(&zoe).await.unwrap());
    tokio::time::sleep(std::time::Duration::from_secs(3 * 3_600)).await;
    let calls = restarted.kept.0.lock().unwrap().iter().filter(|call| call.send.enrollment == id).count();
    assert_eq!((calls, restarted.state(id).await), (2, State::Completed));
    let audit = restarted.engine.audit(&zoe, None, None, 10).await.unwrap();
    let lines: Vec<&str> = audit.entries.iter().map(|line| line.what.as_str()).collect();
    assert_eq!(lines, ["all sending", "all sending: wrong list"]);
}

/// The answer to who lets all sending go on is a while on its way.
struct LateAnswer;

impl Hooks for LateAnswer {
    fn at(&self, point: Point, commit: &Commit) -> Reaction {
        let late = point == Point::Answering && commit.deletes.contains(&Key::stop());
        if late { Reaction::Yield(1_000) } else { Reaction::Go }
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_stops_all_sending_while_another_lets_it_go_on_finds_it_stopped() {
    let env = VirtualEnv::at(Moment(START));
    let world = start(Memory::new(Arc::new(LateAnswer)), Arc::new(env)).await;
    let (zoe, max) = (Caller { by: "zoe".into(), ..Caller::default() }, Caller::default());
    world.engine.stop_sending(&zoe, "first").await.unwrap();
    let resumes = tokio::spawn({
        let (engine, caller) = (world.engine.clone(), max.clone());
        async move { engine.resume_sending(&caller).await }
    });
    // Its row is gone by then, and the gate is not open yet.
    for _ in 0..500 {
        tokio::task::yield_now().await;
    }
    assert!(!resumes.is_finished());
    world.engine.stop_sending(&zoe, "second").await.unwrap();
    assert!(resumes.await.unwrap().unwrap());
    let reason = |engine: &Engine| engine.stopped().map(|stop| stop.reason);
    assert_eq!(reason(&world.engine).as_deref(), Some("second"));
    world.engine.stop();
    let restarted = start(world.store.clone(), world.env.clone()).await;
    assert_eq!(reason(&restarted.engine).as_deref(), Some("second"));
}

#[tokio::test(start_paused = true)]
async fn a_release_says_whether_anything_was_held() {
    let world = world().await;
    let (engine, caller) = (&world.engine, Caller::default());
    engine.put_account(&caller, "acme", "portfolio", AccountSettings { new_recipients: 0 }).await.unwrap();
    let name = |name: &str| Name::parse(name).unwrap();
    for scope in [
        ScopeName::Tenant,
        ScopeName::Account(name("portfolio")),
        ScopeName::Channel(name("mail")),
        ScopeName::Sequence(name("welcome")),
    ] {
        assert!(!engine.release(&caller, "acme", scope.clone()).await.unwrap(), "{scope:?}");
        assert!(engine.hold(&caller, "acme", scope.clone(), "first").await.unwrap(), "{scope:?}");
        assert!(!engine.hold(&caller, "acme", scope.clone(), "again").await.unwrap(), "{scope:?}");
        assert_eq!(engine.holds(&caller, "acme").await.unwrap()[0].held.reason, "first", "{scope:?}");
        assert!(engine.release(&caller, "acme", scope.clone()).await.unwrap(), "{scope:?}");
    }
    engine.hold(&caller, "acme", ScopeName::Tenant, "").await.unwrap();
    assert!(engine.release(&once("r9", 1), "acme", ScopeName::Tenant).await.unwrap());
    assert!(engine.release(&once("r9", 1), "acme", ScopeName::Tenant).await.unwrap(), "a repeat");
    assert!(!engine.release(&once("r10", 1), "acme", ScopeName::Tenant).await.unwrap());
    assert!(!engine.release(&once("r10", 1), "acme", ScopeName::Tenant).await.unwrap(), "a repeat");
}

#[tokio::test(start_paused = true)]
async fn a_release_is_foreseen_lane_by_lane() {
    let world = world().await;
    let (engine, caller) = (&world.engine, Caller::default());
    let mut late = draft();
    late.steps[0].useless_after = "30 minutes".into();
    late.steps[0].wait = "10 minutes".into();
    late.steps[0].at = String::new();
    engine.put_sequence(&caller, "acme", "welcome", late).await.unwrap();
    engine.publish(&caller, "acme", "welcome").await.unwrap();
    let paced = ChannelSettings { per_minute: 1, ..mail() };
    engine.put_channel(&caller, "acme", "mail", paced).await.unwrap();
    for n in 0..20 {
        world.one(&format!("c{n}")).await;
    }
    engine.stop_sending(&caller, "").await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(20 * 60)).await;
    let lane = engine.forecast(&caller, "acme", &ScopeName::Tenant).await.unwrap().remove(0);
    assert_eq!((lane.due, lane.sent, lane.skipped), (20, 20, 0));
    assert_eq!(lane.takes, Span::minutes(20));
    tokio::time::sleep(std::time::Duration::from_secs(30 * 60)).await;
    let lane = engine.forecast(&caller, "acme", &ScopeName::Tenant).await.unwrap().remove(0);
    assert_eq!((lane.looked_at, lane.sent, lane.skipped), (20, 0, 20));
    let other = ScopeName::Sequence(Name::parse("none").unwrap());
    assert!(engine.forecast(&caller, "acme", &other).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn archiving_a_sequence_ends_everyone_under_it_and_lets_nobody_in() {
    let world = world().await;
    let (engine, caller) = (&world.engine, Caller::default());
    let mut ids = Vec::new();
    for n in 0..200 {
        ids.push(world.one(&format!("c{n}")).await);
    }
    engine.archive(&caller, "acme", "welcome").await.unwrap();
    let EnrollAnswer::Refused { reason, .. } = world.enroll("late").await else { panic!("enrolled") };
    assert_eq!(reason, "sequence_archived");
    let put = engine.put_sequence(&caller, "acme", "welcome", draft()).await;
    assert!(matches!(put, Err(Error::Refused { reason: "sequence_archived", .. })), "{put:?}");
    // The second step of none of them goes out, two hours later.
    tokio::time::sleep(std::time::Duration::from_secs(3 * 3_600)).await;
    for id in ids {
        assert_eq!(world.state(id).await, State::Exited(ExitReason::Archived));
    }
    let seconds = world.kept.0.lock().unwrap().iter().filter(|call| call.send.step.0 > 0).count();
    assert_eq!(seconds, 0);
    let shown = engine.get_sequence(&caller, "acme", "welcome").await.unwrap();
    assert_eq!((shown.status, shown.archived_at.is_some()), (Status::Archived, true));
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_ending_what_an_archived_sequence_had() {
    let world = world().await;
    let id = world.one("ana").await;
    let caller = Caller::default();
    world.engine.command(&caller, "acme", id, followupd_runtime::Command::Pause).await.unwrap();
    world.engine.archive(&caller, "acme", "welcome").await.unwrap();
    // It stops before the sweep has had a turn: nothing was awaited since.
    world.engine.stop();
    let restarted = start(world.store.clone(), world.env.clone()).await;
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    assert_eq!(restarted.state(id).await, State::Exited(ExitReason::Archived));
}

/// The tenant, `mail` and `welcome`, as they are to be.
fn wanted(tenant: TenantSettings, channel: ChannelSettings, draft: Draft) -> Vec<Wanted> {
    let named = |name: &str, settings| Wanted { name: name.to_owned(), settings };
    vec![
        named("", Settings::Tenant(tenant)),
        named("mail", Settings::Channel(channel.into())),
        named("welcome", Settings::Sequence(draft)),
    ]
}

fn changes(compared: &[Compared]) -> Vec<Option<Change>> {
    compared.iter().map(|one| one.change).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_to_be_is_compared_on_the_ground_it_would_make_itself() {
    let world = world().await;
    let (engine, caller) = (&world.engine, Caller::default());
    let compared = engine.compare(&caller, "acme", wanted(tenant(), mail(), draft())).unwrap();
    assert_eq!(changes(&compared), [Some(Change::Unchanged); 3], "{compared:?}");
    let mut later = draft();
    later.steps[1].wait = "3 hours".into();
    let paced = ChannelSettings { rate_count: 2, ..mail() };
    let compared = engine.compare(&caller, "acme", wanted(tenant(), paced, later.clone())).unwrap();
    assert_eq!(
        changes(&compared),
        [Some(Change::Unchanged), Some(Change::Changed), Some(Change::Changed)],
        "{compared:?}"
    );
    let Some(Settings::Channel(then)) = &compared[1].then else { panic!("{compared:?}") };
    assert_eq!((then.rate_per.as_str(), then.rate_burst), ("1 second", 2), "defaults are filled in");
    let revision = engine.get_sequence(&caller, "acme", "welcome").await.unwrap().revision;
    assert_eq!(compared[2].revision, revision);

    // A sequence may name a channel that is new beside it, of a tenant that is not there.
    let new = engine.compare(&caller, "globex", wanted(tenant(), mail(), draft())).unwrap();
    assert_eq!(changes(&new), [Some(Change::New); 3], "{new:?}");
    assert!(matches!(engine.get_tenant(&caller, "globex").await, Err(Error::NotFound { .. })));
    let only = Caller { only: Some(Name::parse("acme").unwrap()), ..Caller::default() };
    assert!(engine.compare(&only, "globex", wanted(tenant(), mail(), draft())).is_err());
    let no_tenant = wanted(tenant(), mail(), draft()).split_off(1);
    assert!(matches!(engine.compare(&caller, "globex", no_tenant), Err(Error::NotFound { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_draft_that_is_not_published_is_told_from_a_version() {
    let world = world().await;
    let (engine, caller) = (&world.engine, Caller::default());
    let mut later = draft();
    later.steps[1].wait = "3 hours".into();
    engine.put_sequence(&caller, "acme", "welcome", later.clone()).await.unwrap();
    let compare = |draft| engine.compare(&caller, "acme", wanted(tenant(), mail(), draft)).unwrap().remove(2);
    let drafted = compare(later);
    assert_eq!((drafted.change, drafted.other_draft), (Some(Change::Unpublished), false));
    let published = compare(draft());
    assert_eq!((published.change, published.other_draft), (Some(Change::Unchanged), true));
    engine.archive(&caller, "acme", "welcome").await.unwrap();
    let over = compare(draft());
    assert!(over.change.is_none() && over.faults[0].problem.contains("archived, for good"), "{over:?}");
}

#[tokio::test(start_paused = true)]
async fn each_fault_stands_with_what_it_is_about() {
    let world = world().await;
    let (engine, caller) = (&world.engine, Caller::default());
    let zone = TenantSettings { time_zone: "America/Sao_Paolo".into(), ..tenant() };
    let fax = ChannelSettings { kind: "fax".into(), ..mail() };
    let mut fortnight = draft();
    fortnight.steps[0].wait = "1 fortnight".into();
    let compared = engine.compare(&caller, "acme", wanted(zone, fax, fortnight)).unwrap();
    let fields: Vec<&str> = compared.iter().map(|one| one.faults[0].field.as_str()).collect();
    assert_eq!(fields, ["time_zone", "kind", "steps[0].wait"], "{compared:?}");
    assert!(changes(&compared).iter().all(Option::is_none));
}

fn with_defaults(defaults: &[(&str, &str)]) -> TenantSettings {
    let defaults = defaults.iter().map(|(kind, name)| ((*kind).to_owned(), (*name).to_owned()));
    TenantSettings { default_channels: defaults.collect(), ..tenant() }
}

#[tokio::test(start_paused = true)]
async fn the_default_channel_of_a_kind_is_the_one_the_tenant_names() {
    let world = world().await;
    let (engine, caller) = (&world.engine, Caller::default());
    let is_default = async |name| engine.get_channel(&caller, "acme", name).await.unwrap().is_default;
    engine.put_channel(&caller, "acme", "news", mail()).await.unwrap();
    assert!(is_default("mail").await && !is_default("news").await, "the first, where none is named");
    engine.put_tenant(&caller, "acme", with_defaults(&[("email", "news")])).await.unwrap();
    assert!(is_default("news").await && !is_default("mail").await);
    let shown = engine.get_tenant(&caller, "acme").await.unwrap().settings;
    assert_eq!(shown.default_channels, with_defaults(&[("email", "news")]).default_channels);

    let sms = ChannelSettings { kind: "sms".into(), ..mail() };
    let turned = engine.put_channel(&caller, "acme", "news", sms.clone()).await.unwrap_err().to_string();
    assert!(turned.contains("kind: it is the tenant's default for email"), "{turned}");
    engine.put_channel(&caller, "acme", "short", sms.clone()).await.unwrap();
    engine.put_channel(&caller, "acme", "mail", sms.clone()).await.unwrap();
    engine.put_channel(&caller, "acme", "mail", mail()).await.unwrap();
    let mut by_name = draft();
    by_name.steps.iter_mut().for_each(|step| step.channel = "mail".into());
    engine.put_sequence(&caller, "acme", "named", by_name).await.unwrap();
    engine.publish(&caller, "acme", "named").await.unwrap();
    let turned = engine.put_channel(&caller, "acme", "mail", sms).await.unwrap_err().to_string();
    assert!(turned.contains("kind: it is email, and the sequence named has steps by it"), "{turned}");
    for (kind, name, says) in [
        ("email", "newss", "default_channels.email: there is no channel \"newss\", did you mean \"news\"?"),
        ("email", "short", "default_channels.email: \"short\" is for sms, not for email"),
        ("emial", "news", "default_channels.emial: \"emial\" is not one of"),
    ] {
        let wrong = engine.put_tenant(&caller, "acme", with_defaults(&[(kind, name)])).await;
        let wrong = wrong.unwrap_err().to_string();
        assert!(wrong.contains(says), "{wrong}");
    }
    let early = engine.put_tenant(&caller, "globex", with_defaults(&[("email", "mail")])).await;
    assert!(early.unwrap_err().to_string().contains("put it first"));
    engine.put_tenant(&caller, "acme", tenant()).await.unwrap();
    assert!(is_default("mail").await, "left out, it is the first again");
}

#[tokio::test(start_paused = true)]
async fn a_default_channel_may_be_compared_before_it_is_there() {
    let world = world().await;
    let (engine, caller) = (&world.engine, Caller::default());
    let named = |name: &str, settings| Wanted { name: name.to_owned(), settings };
    let folder = |defaults: &[(&str, &str)]| {
        vec![
            named("", Settings::Tenant(with_defaults(defaults))),
            named("news", Settings::Channel(mail().into())),
        ]
    };
    let compared = engine.compare(&caller, "acme", folder(&[("email", "news")])).unwrap();
    assert_eq!(changes(&compared), [Some(Change::Changed), Some(Change::New)], "{compared:?}");
    assert_eq!(
        compared[0].then,
        Some(Settings::Tenant(TenantSettings {
            business_days: "mon,tue,wed,thu,fri".into(),
            ..with_defaults(&[("email", "news")])
        }))
    );
    let compared = engine.compare(&caller, "acme", folder(&[("sms", "news")])).unwrap();
    assert_eq!(compared[0].faults[0].field, "default_channels.sms", "{compared:?}");
    let new = engine.compare(&caller, "globex", folder(&[("email", "news")])).unwrap();
    assert_eq!(changes(&new), [Some(Change::New); 2], "{new:?}");
}
