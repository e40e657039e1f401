//! The bytes of every record this crate stores, held by golden files: stores out there hold such bytes.
//!
//! The samples use every variant and every optional field once, so that any change of a stored type shows.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};

use followupd_domain::access::{AccessKey, Role};
use followupd_domain::account::Account;
use followupd_domain::calendar::{
    Calendar, Hours, MinuteOfDay, QuietHours, Wait, WeekWindow, WeekdaySet, Zone,
};
use followupd_domain::channel::{
    Channel, Chatwoot, Http, InDoubt, Kind, Meta, SecretAt, Security, Smtp, Transport, Twilio,
};
use followupd_domain::contact::{Contact, Ended, Membership, Rest, Sent};
use followupd_domain::content::{
    Button, ButtonFill, ButtonParameter, Media, MediaKind, Parameter, Rich, Template,
};
use followupd_domain::decision::{Beginning, Decision, Entry, Source, TraceId};
use followupd_domain::enrollment::{
    Enrollment, ExitReason, FailReason, OpenSend, Send, SendFailure, SendStatus, SkipReason, State, Wake,
};
use followupd_domain::event::{Event, EventKey, EventKind};
use followupd_domain::gate::Binding;
use followupd_domain::holds::{Hold, Holds, PastHold, Reacted};
use followupd_domain::lane::{HoldGroup, PriorityClass, Queue, Weight};
use followupd_domain::ledger::{Charge, DayContext, Limits, Rate, Rest as RestLimit, WarmUp};
use followupd_domain::name::Name;
use followupd_domain::sequence::{
    ChannelRef, Draft, DraftStep, ExitRules, Late, OnFailure, OnReply, Reentry, Sequence, Status, Step,
    UniquePer, Version,
};
use followupd_domain::signal::{Counts, Hour, KillSwitch, Signal};
use followupd_domain::suppression::{AddressFacts, Suppression, Why};
use followupd_domain::target::{Target, TargetKind, TargetRef, Terminal, TerminalFact};
use followupd_domain::tenant::Tenant;
use followupd_domain::{
    AccountNo, ChannelNo, EnrollmentId, IdKey, Moment, SendId, SequenceNo, Shard, Span, StepNo, TenantNo,
    VersionNo,
};
use followupd_store::codec::Format;
use followupd_store::codec::golden::check;

use crate::audit::{Act, Audited};
use crate::delete::Deleted;
use crate::engine::opening::StoreRow;
use crate::env::Kept;
use crate::event::FanOut;
use crate::old::{
    Channel1, Channel2, Channel3, Contact1, Contact2, Sequence1, Sequence2, Sequence3, Sequence4,
    Suppressed1, Suppressed2, Tenant1, Tenant2, Version1,
};
use crate::once::Done;
use crate::record::Record;
use crate::settings::PutAnswer;
use crate::stop::Stop;

const AT: Moment = Moment(1_795_435_200_000);

fn id() -> EnrollmentId {
    EnrollmentId::new(AT, Shard(700), 42)
}

fn target_ref() -> TargetRef {
    TargetRef { kind: TargetKind::Charge, id: "ch-1".into() }
}

fn wake() -> Wake {
    let queue = Queue {
        class: PriorityClass::Bulk,
        sequence: SequenceNo(3),
        zone: Zone::UTC.code(),
        narrowed: Some((VersionNo(2), StepNo(1))),
        hold: HoldGroup::Quarantine,
    };
    Wake { channel: ChannelNo(5), queue, due_at: AT }
}

fn open() -> OpenSend {
    let day = DayContext { day: 20_000, next_day_at: AT + Span::hours(12) };
    OpenSend {
        send: SendId { enrollment: id(), step: StepNo(1), occurrence: 0, leg: 0 },
        channel: ChannelNo(5),
        attempt: 2,
        intended_at: AT,
        not_after: AT + Span::seconds(2),
        charge: Charge { at: AT, day, open: true },
    }
}

fn history() -> Vec<Entry> {
    let beginning = Beginning {
        id: id(),
        tenant: TenantNo(1),
        sequence: SequenceNo(3),
        version: VersionNo(2),
        contact: "ana".into(),
        target: Some(target_ref()),
        expires_at: AT + Span::days(90),
        source: Source::Manual,
        by: "crm".into(),
    };
    let decisions = [
        Decision::Enrolled(Box::new(beginning)),
        Decision::Planned { step: StepNo(1), due_at: AT, wake: wake() },
        Decision::Moved { wake: wake(), gate: Binding::Queue },
        Decision::Intended(open()),
        Decision::Accepted { at: AT },
        Decision::Refused { code: "130429".into(), wake: wake() },
        Decision::Withdrawn,
        Decision::LeftUncertain,
        Decision::Skipped(SkipReason::Late),
        Decision::StepFailed(SendFailure::MissingVariable),
        Decision::Received { step: StepNo(1), status: SendStatus::Read },
        Decision::Paused { remaining: Span::hours(1) },
        Decision::Resumed { due_at: AT, wake: wake() },
        Decision::Completed,
        Decision::Exited(ExitReason::OptedOut),
        Decision::Failed(FailReason::NoChannel),
        Decision::Quarantined { reason: "panicked".into(), wake: wake() },
        Decision::Released { wake: wake() },
    ];
    let entry = |decision| Entry { at: AT, trace: TraceId(0x4bf9_2f35), decision };
    decisions.into_iter().map(entry).collect()
}

fn enrollment() -> Enrollment {
    let send =
        |step, status| Send { step: StepNo(step), status, channel: ChannelNo(5), sent_at: Some(AT), at: AT };
    Enrollment {
        id: id(),
        tenant: TenantNo(1),
        sequence: SequenceNo(3),
        version: VersionNo(2),
        contact: "ana".into(),
        target: Some(target_ref()),
        enrolled_at: AT,
        expires_at: AT + Span::days(90),
        state: State::Paused { remaining: Span::hours(1) },
        step: StepNo(1),
        step_due_at: AT,
        waits_from: AT,
        settled_at: AT,
        attempts: 1,
        wake: Some(wake()),
        open: Some(open()),
        sends: vec![send(0, SendStatus::Failed(SendFailure::NoAddress)), send(1, SendStatus::Uncertain)],
        quarantine: Some("panicked".into()),
    }
}

fn holds() -> Holds {
    Holds {
        current: Some(Hold { since: AT, reason: "maintenance".into() }),
        past: vec![PastHold { since: AT, until: AT + Span::hours(1) }],
    }
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

#[test]
fn an_enrollment_and_its_history_have_the_recorded_bytes() {
    let record = Record { enrollment: enrollment(), spilled: 16, history: history() };
    check("enrollment_1", Format::Enrollment, &record);
    check("history_1", Format::History, &history());
    let later =
        [Decision::BackedOff { code: "connect".into(), wake: wake() }, Decision::Doubted { wake: wake() }];
    let later = later.map(|decision| Entry { at: AT, trace: TraceId(1), decision }).to_vec();
    check("history_later_1", Format::History, &later);
    let reopened = Decision::Reopened { step: StepNo(1), due_at: AT, wake: wake() };
    let later = [reopened, Decision::Closed];
    let later = later.map(|decision| Entry { at: AT, trace: TraceId(1), decision }).to_vec();
    check("history_later_2", Format::History, &later);
    let begun = Entry { at: AT, trace: TraceId(1), decision: Decision::Begun { at: AT } };
    check("history_later_3", Format::History, &vec![begun]);
    let code = Entry {
        at: AT,
        trace: TraceId(1),
        decision: Decision::Code { step: StepNo(1), code: "131026".into() },
    };
    check("history_later_4", Format::History, &vec![code]);
}

#[test]
fn a_contact_and_a_target_have_the_recorded_bytes() {
    let membership = Membership {
        enrollment: id(),
        sequence: SequenceNo(3),
        target: Some(target_ref()),
        ended: Some(Ended { at: AT, opted_out: true }),
    };
    let contact = Contact {
        name: Some("Zoë".into()),
        email: Some("zoe@mail.example".into()),
        phone: Some("+15550100".into()),
        zone: Some(Zone::UTC),
        attributes: BTreeMap::from([("plan".into(), "gold".into())]),
        suppressed: BTreeSet::from(Kind::ALL),
        barred: BTreeSet::new(),
        unusable_until: BTreeMap::new(),
        inbound: BTreeMap::from([(Kind::Whatsapp, AT)]),
        enrollments: vec![membership],
        rests: vec![Rest { sequence: SequenceNo(4), target: Some(7), at: AT, opted_out: true }],
        sent: vec![Sent { channel: ChannelNo(5), counted_at: AT }],
        recipient_of: BTreeMap::from([(ChannelNo(5), AT)]),
        recipient_of_accounts: BTreeMap::from([(AccountNo(9), AT)]),
    };
    check("contact_3", Format::Contact3, &contact);
    check("contact_2", Format::Contact2, &Contact2::from(contact.clone()));
    check("contact_1", Format::Contact, &Contact1::from(contact));
    let target = Target {
        attributes: BTreeMap::from([("amount".into(), "10.00".into())]),
        terminal: Some(TerminalFact { occurred_at: AT, event: "e1".into(), terminal: Terminal::Cancelled }),
        enrollments: vec![id()],
    };
    check("target_1", Format::Target, &target);
}

#[test]
fn an_account_has_the_recorded_bytes() {
    let account = Account {
        no: AccountNo(9),
        name: name("portfolio"),
        new_recipients: Some(2_000),
        holds: holds(),
        reacted: Some(reacted()),
    };
    check("account_1", Format::Account, &account);
}

#[test]
fn channels() {
    let channel = Channel {
        no: ChannelNo(5),
        name: name("mail"),
        kind: Kind::Whatsapp,
        transport: Transport::Outbox,
        limits: Limits {
            rate: Some(Rate { count: 80, per: Span::seconds(1), burst: 80 }),
            gap: Some(Span(10)),
            jitter: Some(Span(20)),
            per_minute: Some(100),
            per_hour: Some(1_000),
            per_day: Some(10_000),
            rest: Some(RestLimit { after: 30, span: Span::minutes(20) }),
            warm_up: Some(WarmUp { days: 14, from: 20 }),
            recipient_gap: Some(Span::seconds(6)),
            new_recipients: Some(250),
        },
        ignores_quiet_hours: true,
        holds: holds(),
        reacted: Some(reacted()),
        in_doubt: Some(InDoubt::Resend),
        kill_switches: vec![KillSwitch {
            signal: Signal::Replied,
            percent: 10,
            after: 50,
            report_only: true,
        }],
        watched_from: AT,
        counted_before: Counts(vec![(Hour(7), Signal::Sent, 3)]),
        account: Some(AccountNo(9)),
    };
    check("channel_4", Format::Channel4, &channel);
    check("channel_3", Format::Channel3, &Channel3::from(channel.clone()));
    check("channel_2", Format::Channel2, &Channel2::from(channel.clone()));
    check("channel_1", Format::Channel, &Channel1::from(channel.clone()));
    let smtp = Transport::Smtp(Box::new(Smtp {
        host: "mail.example".into(),
        port: 587,
        security: Security::StartTls,
        username: "team".into(),
        password: Some(SecretAt::Sealed(vec![1, 2, 3])),
        from: "team@acme.example".into(),
        from_name: "Acme".into(),
        unsubscribe: "https://acme.example/{send}".into(),
        connections: 8,
    }));
    let mail = Channel { transport: smtp, ..channel.clone() };
    check("channel_smtp_1", Format::Channel, &Channel1::from(mail));
    let secrets = vec![SecretAt::Env("HOOK".into()), SecretAt::File("/secret".into())];
    let http = Http { url: "https://acme.example/hook".into(), secrets, connections: 2 };
    let http = Transport::Http(Box::new(http));
    check("channel_http_1", Format::Channel, &Channel1::from(Channel { transport: http, ..channel.clone() }));
    for (name, transport) in providers() {
        check(name, Format::Channel2, &Channel2::from(Channel { transport, ..channel.clone() }));
    }
}

/// One sender of each provider.
fn providers() -> [(&'static str, Transport); 3] {
    let secrets = || vec![SecretAt::Sealed(vec![4, 5]), SecretAt::Env("NEXT".into())];
    let meta = Meta {
        phone_number_id: "106540352242922".into(),
        token: Some(SecretAt::Env("TOKEN".into())),
        version: "v23.0".into(),
        base: "https://graph.facebook.com".into(),
        app_secrets: secrets(),
        verify_token: Some(SecretAt::File("/verify".into())),
        connections: 8,
    };
    let twilio = Twilio {
        account: "AC00000000000000000000000000000000".into(),
        username: "SK00000000000000000000000000000000".into(),
        password: Some(SecretAt::Sealed(vec![6])),
        number: "+15005550006".into(),
        service: "MG00000000000000000000000000000000".into(),
        status_callback: "https://acme.example/twilio".into(),
        auth_tokens: secrets(),
        base: "https://api.twilio.com".into(),
        connections: 4,
    };
    let chatwoot = Chatwoot {
        base: "https://inbox.example".into(),
        account: 3,
        token: Some(SecretAt::Sealed(vec![7])),
        connections: 2,
    };
    [
        ("channel_meta_2", Transport::Meta(Box::new(meta))),
        ("channel_twilio_2", Transport::Twilio(Box::new(twilio))),
        ("channel_chatwoot_2", Transport::Chatwoot(Box::new(chatwoot))),
    ]
}

fn reacted() -> Reacted {
    Reacted { since: AT, until: Some(Moment(AT.0 + 60_000)), to: "the provider said 131057".into() }
}

#[test]
fn the_scopes_have_the_recorded_bytes() {
    let window = WeekWindow {
        days: WeekdaySet::MON_TO_FRI,
        from: MinuteOfDay::parse("20:00").unwrap(),
        to: MinuteOfDay::parse("08:00").unwrap(),
    };
    let tenant = Tenant {
        no: TenantNo(1),
        name: name("acme"),
        on: true,
        calendar: Calendar {
            zone: Zone::parse("America/Sao_Paulo").unwrap(),
            business_days: WeekdaySet::MON_TO_FRI,
            holidays: BTreeSet::from(["2026-12-25".parse().unwrap()]),
            quiet: QuietHours { windows: vec![window] },
        },
        contact_time_zone: true,
        stop_words: BTreeSet::from(["SAIR".into()]),
        default_channels: BTreeMap::from([(Kind::Email, ChannelNo(5))]),
        holds: holds(),
        off_since: Some(AT),
        contact_per_day: Some(2),
        contact_per_week: Some(5),
        opt_out_of_all: true,
    };
    check("tenant_3", Format::Tenant3, &tenant);
    check("tenant_2", Format::Tenant2, &Tenant2::from(tenant.clone()));
    check("tenant_1", Format::Tenant, &Tenant1::from(tenant));
}

#[test]
fn a_sequence_has_the_recorded_bytes() {
    let step = DraftStep { wait: "2 hours".into(), body: "hello".into(), ..DraftStep::default() };
    let draft = Draft { target: "charge".into(), steps: vec![step], ..Draft::default() };
    let template = Template {
        name: "aula".into(),
        language: "pt_BR".into(),
        header: vec![Parameter::Media(media())],
        body: vec![Parameter::Text("{{ contact.name }}".into())],
        buttons: vec![
            ButtonParameter { index: 0, fills: ButtonFill::Payload("yes".into()) },
            ButtonParameter { index: 1, fills: ButtonFill::UrlEnd("7".into()) },
        ],
    };
    let buttons = vec![Button { id: "yes".into(), title: "Sim".into() }];
    let rich =
        DraftStep { rich: Some(Rich::Buttons(buttons)), fallback: Some(template), ..draft.steps[0].clone() };
    let sequence = Sequence {
        no: SequenceNo(3),
        name: name("reminder"),
        draft: Some(draft.clone()),
        latest: Some(VersionNo(2)),
        weight: Weight::new(20).unwrap(),
        holds: holds(),
        archived_at: Some(AT),
        held_steps: [((VersionNo(2), StepNo(1)), reacted())].into(),
    };
    check("sequence_2", Format::Sequence2, &Sequence2::from(sequence.clone()));
    check("sequence_3", Format::Sequence3, &Sequence3::from(sequence.clone()));
    check("sequence_1", Format::Sequence, &Sequence1::from(sequence.clone()));
    let draft = Draft { steps: vec![rich], ..draft };
    let sequence = Sequence { draft: Some(draft), ..sequence };
    check("sequence_4", Format::Sequence4, &Sequence4::from(sequence.clone()));
    check("sequence_5", Format::Sequence5, &sequence);
}

fn media() -> Media {
    let (caption, file_name) = (Some("caption".into()), Some("plan.pdf".into()));
    Media { kind: MediaKind::Document, link: "https://cdn.example/plan.pdf".into(), caption, file_name }
}

#[test]
fn a_version_has_the_recorded_bytes() {
    let waits = [
        Wait::None,
        Wait::Span(Span::hours(2)),
        Wait::Days { days: 3, at: Some(MinuteOfDay::MIDNIGHT) },
        Wait::BusinessDays { days: 1, at: None },
    ];
    let channels = [ChannelRef::Named(name("mail")), ChannelRef::OfKind(Kind::Sms)];
    let step = |(wait, channel): (Wait, ChannelRef)| Step {
        wait,
        channel,
        subject: "hello".into(),
        body: "dear {{ contact.name }}".into(),
        rich: Some(Rich::Media(media())),
        fallback: None,
        hours: Hours { business_days_only: true, ..Hours::default() },
        useless_after: Some(Span::days(1)),
        late: Late::Exit,
        on_failure: OnFailure::Exit,
    };
    let version = Version {
        no: VersionNo(2),
        target: TargetKind::Charge,
        class: PriorityClass::Transactional,
        unique_per: UniquePer::Contact,
        reentry: Reentry::After(Span::hours(24)),
        exits: ExitRules { on_reply: OnReply::Conversation, on_resolved: true, on_goal: true },
        max_lifetime: Span::days(90),
        steps: waits.into_iter().zip(channels.into_iter().cycle()).map(step).collect(),
    };
    check("version_2", Format::Version2, &version);
    check("version_1", Format::Version, &Version1::from(version));
}

#[test]
fn what_is_kept_of_events_and_of_the_store_has_the_recorded_bytes() {
    let event = Event {
        key: EventKey { source: "payments".into(), id: "e1".into() },
        kind: EventKind::Target(TargetKind::Charge, Terminal::Goal),
        occurred_at: AT,
        contact: Some("ana".into()),
        target: Some(target_ref()),
        channel: Some(Kind::Whatsapp),
        text: "paid".into(),
        automatic: true,
    };
    let fan_out = FanOut { event, opted_out: true, trace: TraceId(1), enrollments: vec![id()] };
    check("fan_out_1", Format::FanOut, &fan_out);
    check("event_1", Format::Event, &AT);
    check("name_1", Format::Name, &TenantNo(7));
    check("store_1", Format::Store, &StoreRow { key: IdKey([7; 16]), next_tenant: 8 });
}

#[test]
fn what_is_suppressed_of_an_address_has_the_recorded_bytes() {
    let suppression =
        |why| Suppression { since: AT, why, by: "desk".into(), reason: "asked by phone".into() };
    let mut suppressed = AddressFacts::default();
    for (kind, why) in [(Kind::Whatsapp, Why::OptedOut), (Kind::Sms, Why::ByHand), (Kind::Email, Why::Erased)]
    {
        suppressed.add([kind], &suppression(why));
    }
    check("suppressed_1", Format::Suppressed, &Suppressed1(suppressed.standing.clone()));
    suppressed.rest(Kind::Sms, AT, Moment(0));
    let AddressFacts { standing, unusable_until, .. } = suppressed.clone();
    check("suppressed_2", Format::Suppressed2, &Suppressed2 { standing, unusable_until });
    suppressed.hears(Kind::Whatsapp, AT);
    suppressed.opt_in(Kind::Sms, AT);
    check("address_facts_1", Format::AddressFacts, &suppressed);
}

#[test]
fn keys_and_the_audit_log_have_the_recorded_bytes() {
    let (name, tenant) = (Name::parse("inbox").unwrap(), Name::parse("acme").unwrap());
    let (key, _) = AccessKey::make(&[7; 42], name, Some(tenant), Role::ALL.into(), AT, Some(AT));
    check("access_1", Format::Access, &key);
    let (by, what) = ("operator for ana".to_owned(), "sequence welcome".to_owned());
    let answer = PutAnswer::Sequence { status: Status::Paused, latest: Some(VersionNo(2)) };
    check("once_1", Format::Once, &Done { at: AT, digest: [7; 32], answer });
    let stop = Stop { since: AT, reason: "wrong list".into(), by: "zoe".into() };
    check("stop_1", Format::Stop, &stop);
    check("clock_1", Format::Clock, &AT);
    check("clock_2", Format::Clock2, &Kept { wall: AT, engine: AT });
    check("backlogs_kept_1", Format::BacklogsKept, &AT);
    check("deleted_1", Format::Deleted, &Deleted { name: Name::parse("acme").unwrap(), at: AT });
    check("audit_1", Format::Audit, &Audited { at: AT, by, trace: TraceId(7), act: Act::Publish, what });
}
