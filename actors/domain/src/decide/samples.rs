//! A small tenant, sequence and enrollment for the tests of the core.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::calendar::{Calendar, QuietHours, WeekdaySet, Zone};
use crate::channel::{Channel, Kind, Meta, Security, Smtp, Transport};
use crate::contact::Contact;
use crate::decide::{apply, enroll};
use crate::decision::{Decision, Entry, TraceId, tell};
use crate::enrollment::{Enrollment, State};
use crate::gate::View;
use crate::holds::Holds;
use crate::ids::{ChannelNo, EnrollmentId, SequenceNo, Shard, TenantNo, VersionNo};
use crate::lane::Weight;
use crate::ledger::Limits;
use crate::name::Name;
use crate::scope::Scope;
use crate::sequence::{Draft, DraftStep, Sequence, draft};
use crate::signal::Counts;
use crate::target::{Target, TargetKind, TargetRef};
use crate::tenant::Tenant;
use crate::time::{Moment, Span};

/// 2026-11-23 12:00 UTC, a Monday.
pub(crate) const NOON: Moment = Moment(1_795_435_200_000);

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// Two steps about a charge: at once, then two hours later.
pub(crate) fn draft() -> Draft {
    let step = |wait: &str| DraftStep {
        wait: wait.into(),
        channel: "email".into(),
        subject: "hello".into(),
        body: "about {{ target.id }}".into(),
        ..DraftStep::default()
    };
    Draft { target: "charge".into(), steps: vec![step(""), step("2 hours")], ..Draft::default() }
}

/// Tenant `acme` in UTC with one e-mail channel (1) and one sequence (1), whose version 1 is [`draft`].
pub(crate) fn scope() -> Scope {
    let calendar = Calendar {
        zone: Zone::UTC,
        business_days: WeekdaySet::MON_TO_FRI,
        holidays: BTreeSet::new(),
        quiet: QuietHours::default(),
    };
    let tenant = Tenant {
        no: TenantNo(1),
        name: name("acme"),
        on: true,
        calendar,
        contact_time_zone: false,
        stop_words: BTreeSet::new(),
        default_channels: BTreeMap::new(),
        holds: Holds::default(),
        off_since: None,
        contact_per_day: None,
        contact_per_week: None,
        opt_out_of_all: false,
    };
    let sequence = Sequence {
        no: SequenceNo(1),
        name: name("reminder"),
        draft: None,
        latest: Some(VersionNo(1)),
        weight: Weight::default(),
        holds: Holds::default(),
        archived_at: None,
        held_steps: BTreeMap::new(),
    };
    let mut scope = Scope {
        tenant,
        accounts: BTreeMap::new(),
        channels: BTreeMap::from([(ChannelNo(1), channel(1, "mail", Kind::Email))]),
        sequences: BTreeMap::from([(SequenceNo(1), sequence)]),
        versions: BTreeMap::new(),
    };
    let version = draft::compile(&draft(), VersionNo(1), &scope).unwrap();
    scope.versions.insert((SequenceNo(1), VersionNo(1)), Arc::new(version));
    scope
}

/// The channel `no` of a kind, through the outbox, without limits.
pub(crate) fn channel(no: u32, called: &str, kind: Kind) -> Channel {
    Channel {
        no: ChannelNo(no),
        name: name(called),
        kind,
        transport: Transport::Outbox,
        limits: Limits::default(),
        ignores_quiet_hours: false,
        holds: Holds::default(),
        reacted: None,
        counted_before: Counts::default(),
        account: None,
        in_doubt: None,
        kill_switches: Vec::new(),
        watched_from: Moment(0),
    }
}

/// A way out that recognises no send id.
pub(crate) fn forgetful() -> Transport {
    Transport::Smtp(Box::new(Smtp {
        host: "mail.example".into(),
        port: 25,
        security: Security::None,
        username: String::new(),
        password: None,
        from: "team@acme.example".into(),
        from_name: String::new(),
        unsubscribe: String::new(),
        connections: 1,
    }))
}

/// A number of WhatsApp at Meta.
fn whatsapp() -> Transport {
    Transport::Meta(Box::new(Meta {
        phone_number_id: "1".into(),
        token: None,
        version: String::new(),
        base: String::new(),
        app_secrets: Vec::new(),
        verify_token: None,
        connections: 1,
    }))
}

/// Gives a tenant a number of WhatsApp, its default: the channel 7.
pub(crate) fn add_whatsapp(scope: &mut Scope) {
    let number = Channel { transport: whatsapp(), ..channel(7, "wa", Kind::Whatsapp) };
    scope.tenant.default_channels.insert(Kind::Whatsapp, number.no);
    scope.channels.insert(number.no, number);
}

/// The wish to enroll `ana`, who has an e-mail address, about charge `ch-1`.
pub(crate) fn request() -> enroll::Request {
    enroll::Request {
        contact: "ana".into(),
        profile: enroll::Profile { email: Some("ana@mail.example".into()), ..enroll::Profile::default() },
        target: Some(TargetRef { kind: TargetKind::Charge, id: "ch-1".into() }),
        ..enroll::Request::default()
    }
}

/// An enrollment with everything around it.
pub(crate) struct Sample {
    pub(crate) scope: Scope,
    pub(crate) contact: Contact,
    pub(crate) target: Target,
    pub(crate) enrollment: Enrollment,
    pub(crate) history: Vec<Entry>,
    pub(crate) now: Moment,
}

impl Sample {
    /// `ana`, enrolled about charge `ch-1` at noon.
    pub(crate) fn enrolled() -> Sample {
        Sample::walking(|_, _| ())
    }

    /// `ana`, enrolled about `ch-1`, of the draft's kind, at noon, in a tenant and on a draft that `change` has changed.
    pub(crate) fn walking(change: impl FnOnce(&mut Scope, &mut Draft)) -> Sample {
        let (mut scope, mut draft) = (scope(), draft());
        change(&mut scope, &mut draft);
        let version = draft::compile(&draft, VersionNo(1), &scope).unwrap();
        scope.versions.insert((SequenceNo(1), VersionNo(1)), Arc::new(version));
        let mut request = request();
        if let Some(target) = &mut request.target {
            target.kind = TargetKind::parse(&draft.target).unwrap();
        }
        let facts = enroll::Facts {
            contact: &Contact::default(),
            target: None,
            scope: &scope,
            sequence: SequenceNo(1),
            version: &scope.versions[&(SequenceNo(1), VersionNo(1))],
            now: NOON,
        };
        let id = EnrollmentId::new(NOON, Shard(9), 1);
        let enroll::Enrolling::New(new) = enroll::enroll(&request, &facts, id).unwrap() else {
            panic!("the sample is enrolled already");
        };
        let history = new.decisions.iter().map(|decision| entry(NOON, decision)).collect();
        let target = new.target.unwrap();
        Sample { contact: new.contact, target, enrollment: new.enrollment, history, now: NOON, scope }
    }

    pub(crate) fn version(&self) -> &crate::sequence::Version {
        &self.scope.versions[&(SequenceNo(1), VersionNo(1))]
    }

    pub(crate) fn view(&self) -> View<'_> {
        View {
            enrollment: &self.enrollment,
            contact: &self.contact,
            target: Some(&self.target),
            scope: &self.scope,
            version: self.version(),
            now: self.now,
            engine_ahead: Span::ZERO,
        }
    }

    /// Folds what `decide` says about the view as it is, and checks what must hold of every transition.
    pub(crate) fn take(&mut self, decide: impl FnOnce(&View<'_>) -> Vec<Decision>) -> Vec<Decision> {
        let decisions = decide(&self.view());
        let after = apply(self.enrollment.clone(), &decisions, self.now);
        decisions.iter().for_each(|decision| tell(&mut self.history, entry(self.now, decision)));
        assert!(crate::invariant::e1_one_wake(&after), "E1 {after:?}");
        assert!(crate::invariant::e2_open_send_keeps_row(&self.enrollment, &after), "E2 {after:?}");
        assert!(crate::invariant::e9_state_is_fold(&after, &self.history), "E9 {after:?}");
        self.index(&after);
        self.enrollment = after;
        decisions
    }

    /// Keeps what contact and target index as its transitions do.
    fn index(&mut self, after: &Enrollment) {
        let id = after.id;
        match (self.enrollment.state.is_over(), after.state.is_over()) {
            (false, true) => {
                let reason = match after.state {
                    State::Exited(reason) => Some(reason),
                    State::Active | State::Paused { .. } | State::Completed | State::Failed(_) => None,
                };
                self.contact.end(id, self.now, reason);
                self.target.enrollments.retain(|known| *known != id);
            }
            (true, false) => {
                self.contact.returns(id);
                self.target.enrollments.push(id);
            }
            (true, true) | (false, false) => {}
        }
    }
}

fn entry(at: Moment, decision: &Decision) -> Entry {
    Entry { at, trace: TraceId::default(), decision: decision.clone() }
}
