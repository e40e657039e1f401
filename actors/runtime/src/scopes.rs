//! Tenants, accounts, channels and sequences as callers see them: their settings in the form they are put, their revisions, and
//! what holds them.

use followupd_domain::calendar::{Wait, Zone};
use followupd_domain::channel::InDoubt;
use followupd_domain::channel::{Channel, Kind};
use followupd_domain::decide::enroll::Request;
use followupd_domain::name::Name;
use followupd_domain::sequence::{Draft, FieldError, Status};
use followupd_domain::signal::Signal;
use followupd_domain::{Moment, Span, StepNo, VersionNo};

use crate::api::{AccountSettings, ChannelSettings, RestSettings, ScopeName, TenantSettings};
use crate::loaded::Loaded;
use crate::settings::{account, transport, watch};

/// What a put expects of what it replaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// Nothing: the last one wins.
    #[default]
    Any,
    /// That there is none yet.
    Absent,
    /// That it has this revision.
    Revision(u64),
}

/// Why what was expected is not so, for people.
pub(crate) fn mismatch(expected: Expected, found: Option<u64>) -> String {
    let found = found.map_or("it is not there".to_owned(), |found| format!("it has revision {found}"));
    match expected {
        Expected::Any | Expected::Absent => format!("expected_revision: {found}, and none was to be there"),
        Expected::Revision(expected) => {
            format!("expected_revision: {found}, not {expected}: read it again and decide anew")
        }
    }
}

/// Something to put or publish, and what is expected of what is there.
#[derive(Clone, Debug, PartialEq)]
pub struct At<T> {
    /// What.
    pub value: T,
    /// What is expected.
    pub expected: Expected,
}

impl<T> From<T> for At<T> {
    fn from(value: T) -> At<T> {
        At { value, expected: Expected::Any }
    }
}

/// A tenant that was put.
#[derive(Clone, Debug, PartialEq)]
pub struct TenantPut {
    /// Its name.
    pub name: Name,
    /// Whether it is switched on.
    pub on: bool,
    /// Its zone.
    pub zone: Zone,
    /// Its revision.
    pub revision: u64,
}

/// A channel that was put.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelPut {
    /// Its name.
    pub name: Name,
    /// What it carries.
    pub kind: Kind,
    /// Its revision.
    pub revision: u64,
}

/// A sequence whose draft was put.
#[derive(Clone, Debug, PartialEq)]
pub struct SequencePut {
    /// Its name.
    pub name: Name,
    /// Where it stands.
    pub status: Status,
    /// Its latest version.
    pub latest: Option<VersionNo>,
    /// Its revision.
    pub revision: u64,
}

/// A draft that was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The version it became.
    pub version: VersionNo,
    /// The sequence's revision.
    pub revision: u64,
}

/// A hold as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Since when.
    pub since: Moment,
    /// Why.
    pub reason: String,
    /// Who held it.
    pub by: String,
    /// When it ends by itself; `None`: somebody has to release it.
    pub until: Option<Moment>,
}

/// A scope that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldScope {
    /// Which.
    pub scope: ScopeName,
    /// By what.
    pub held: Held,
    /// Of a sequence one step alone.
    pub step: Option<(VersionNo, StepNo)>,
}

/// A tenant as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct TenantShown {
    /// Its name.
    pub name: Name,
    /// Its settings, as they can be put again.
    pub settings: TenantSettings,
    /// Its revision: every change of it has another, holds among them.
    pub revision: u64,
    /// What holds it.
    pub held: Option<Held>,
}

/// An account that was put.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountPut {
    /// Its name.
    pub name: Name,
    /// Its revision.
    pub revision: u64,
}

/// An account as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountShown {
    /// Its name.
    pub name: Name,
    /// Its settings, as they can be put again.
    pub settings: AccountSettings,
    /// Its revision: every change of it has another, holds among them.
    pub revision: u64,
    /// What holds it, and with it all its channels.
    pub held: Option<Held>,
    /// The channels that belong to it.
    pub channels: Vec<Name>,
    /// How many people count as its new recipients now.
    pub recipients: u32,
}

/// A channel as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelShown {
    /// Its name.
    pub name: Name,
    /// Its settings, as they can be put again.
    pub settings: ChannelSettings,
    /// Its revision: every change of it has another, holds among them.
    pub revision: u64,
    /// Whether a step that names only the kind means this channel.
    pub is_default: bool,
    /// What holds it.
    pub held: Option<Held>,
    /// How its sends fare; of one channel that was asked for, and not of a list.
    pub fares: Option<Fares>,
}

/// How a channel's sends of a week fare, or those since a person released it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fares {
    /// How many show which signal.
    pub counts: Vec<(Signal, u64)>,
    /// Why each kill switch that trips does so, and whether it only says so.
    pub tripped: Vec<(String, bool)>,
}

/// A sequence as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct SequenceShown {
    /// Its name.
    pub name: Name,
    /// Where it stands.
    pub status: Status,
    /// The version new enrollments start on.
    pub latest: Option<VersionNo>,
    /// What was put last and is not published yet.
    pub draft: Option<Draft>,
    /// Its revision: every change of it has another, holds among them.
    pub revision: u64,
    /// What holds it.
    pub held: Option<Held>,
    /// Since when it is archived.
    pub archived_at: Option<Moment>,
    /// Its steps that are held by themselves.
    pub held_steps: Vec<HeldStep>,
}

/// A step that is held by itself: providers refuse what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldStep {
    /// Of which version.
    pub version: VersionNo,
    /// Which, from 0.
    pub step: StepNo,
    /// Since when, and why.
    pub held: Held,
}

/// Which text of a sequence is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrialOf {
    /// One that is not put.
    Draft(Draft),
    /// The draft that was put last, else the latest version.
    Newest,
    /// A version.
    Version(VersionNo),
}

/// A sequence to try on one contact, of which nothing is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// The sequence's name; one that is not there yet can be tried with its draft.
    pub sequence: String,
    /// Which text.
    pub of: TrialOf,
    /// Who would be enrolled, as the enroll would say it; what is known of the contact counts too.
    pub request: Request,
}

/// Settings of one thing, as they can be put.
#[derive(Clone, Debug, PartialEq)]
pub enum Settings {
    /// The tenant's.
    Tenant(TenantSettings),
    /// An account's.
    Account(AccountSettings),
    /// A channel's.
    Channel(Box<ChannelSettings>),
    /// A sequence's draft.
    Sequence(Draft),
}

/// What something is to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// The name of the channel or sequence; the tenant's is known.
    pub name: String,
    /// Its settings.
    pub settings: Settings,
}

/// What a put would change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// There is none yet.
    New,
    /// It says something else.
    Changed,
    /// The draft that was put last says the same, and is not published.
    Unpublished,
    /// Nothing.
    Unchanged,
}

impl Change {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Change::New => "new",
            Change::Changed => "changed",
            Change::Unpublished => "unpublished",
            Change::Unchanged => "unchanged",
        }
    }
}

/// How something stands to what it is to be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compared {
    /// Its name, as it was given.
    pub name: String,
    /// What a put would change; `None`: it would be refused.
    pub change: Option<Change>,
    /// Its revision; 0: it is not there.
    pub revision: u64,
    /// As it is: of a sequence its latest version, else its draft. Defaults are filled in.
    pub now: Option<Settings>,
    /// As it would be, defaults filled in.
    pub then: Option<Settings>,
    /// What a put would be refused for.
    pub faults: Vec<FieldError>,
    /// Fields of secrets that are stored and would be stored as another value, which nothing shows.
    pub other_secrets: Vec<String>,
    /// Whether there is a draft that says something else than what it is to be.
    pub other_draft: bool,
}

/// The settings that make this channel. What is secret of them is not among them, nor is a preset: its limits are.
pub(crate) fn channel_settings(loaded: &Loaded, channel: &Channel) -> ChannelSettings {
    let limits = &channel.limits;
    let text = |span: Span| Wait::Span(span).to_string();
    let rate = limits.rate;
    ChannelSettings {
        kind: channel.kind.word().to_owned(),
        transport: channel.transport.word().to_owned(),
        smtp: transport::shown_smtp(&channel.transport),
        http: transport::shown_http(&channel.transport),
        meta: transport::shown_meta(&channel.transport),
        twilio: transport::shown_twilio(&channel.transport),
        chatwoot: transport::shown_chatwoot(&channel.transport),
        preset: String::new(),
        without: Vec::new(),
        rate_count: rate.map(|rate| rate.count).unwrap_or_default(),
        rate_per: rate.map(|rate| text(rate.per)).unwrap_or_default(),
        rate_burst: rate.map(|rate| rate.burst).unwrap_or_default(),
        gap: limits.gap.map(text).unwrap_or_default(),
        jitter: limits.jitter.map(text).unwrap_or_default(),
        per_minute: limits.per_minute.unwrap_or_default(),
        per_hour: limits.per_hour.unwrap_or_default(),
        per_day: limits.per_day.unwrap_or_default(),
        rest: limits.rest.map(|rest| RestSettings { after: rest.after, span: text(rest.span) }),
        warm_up: limits.warm_up,
        recipient_gap: limits.recipient_gap.map(text).unwrap_or_default(),
        new_recipients: limits.new_recipients.unwrap_or_default(),
        ignores_quiet_hours: Some(channel.ignores_quiet_hours),
        in_doubt: channel.in_doubt.map(InDoubt::word).unwrap_or_default().to_owned(),
        kill_switches: Some(watch::shown(channel)),
        account: account::name_of(loaded, channel),
    }
}
