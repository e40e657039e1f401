//! What the engine is asked and what it answers: plain values, for the RPC above and the tests beside it.

use std::collections::BTreeMap;

use followupd_domain::channel::Kind;
use followupd_domain::contact::Contact;
use followupd_domain::decide::enroll::Profile;
use followupd_domain::decide::explain::Explained;
use followupd_domain::decide::outcome::Receipt;
use followupd_domain::decision::{Entry, TraceId};
use followupd_domain::enrollment::{Enrollment, ExitReason};
use followupd_domain::event::Event;
use followupd_domain::funnel::Metric;
use followupd_domain::ledger::WarmUp;
use followupd_domain::name::Name;
use followupd_domain::sequence::FieldError;
use followupd_domain::suppression::{Address, Suppression};
use followupd_domain::{ChannelNo, EnrollmentId, Moment, SendId, SequenceNo, Span, VersionNo};

use crate::once::Once;
use crate::scopes::{Expected, mismatch};

mod outside;

pub use outside::{ChatwootSettings, HttpSettings, MetaSettings, SecretGiven, SmtpSettings, TwilioSettings};

/// Who asks, and under which trace.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The name that stands on timelines.
    pub by: String,
    /// The trace of the call (W3C Trace Context).
    pub trace: TraceId,
    /// The one tenant that is there for it; `None`: all of them.
    pub only: Option<Name>,
    /// What makes a change happen once, however often it is sent; `None`: each call counts.
    pub once: Option<Once>,
}

/// Why the engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such thing, or it is another tenant's.
    #[error("{what} {name:?} was not found")]
    NotFound {
        /// `tenant`, `sequence`, …
        what: &'static str,
        /// What was looked for.
        name: String,
    },
    /// What was given cannot be.
    #[error("{}", list(.0))]
    Invalid(Vec<FieldError>),
    /// What is to be replaced is not what the caller saw.
    #[error("{}", mismatch(*.expected, *.found))]
    Mismatch {
        /// What the caller expected.
        expected: Expected,
        /// Its revision now; `None`: it is not there.
        found: Option<u64>,
    },
    /// The state of things does not allow it; the text says what would.
    #[error("{problem}")]
    Refused {
        /// Stable, for programs.
        reason: &'static str,
        /// For people.
        problem: String,
    },
    /// More is waiting than is admitted; nothing was done.
    #[error("the daemon has as much waiting work as it takes on: come back in {} ms", retry_after.0)]
    Overloaded {
        /// When to come back.
        retry_after: Span,
    },
    /// The store cannot be reached or is full; nothing was done, or it is not known whether it was.
    #[error("the store does not answer: {0}")]
    Unavailable(String),
}

fn list(faults: &[FieldError]) -> String {
    let lines: Vec<String> =
        faults.iter().map(|fault| format!("{}: {}", fault.field, fault.problem)).collect();
    lines.join("; ")
}

/// Settings of a tenant, as put. Everything is replaced.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TenantSettings {
    /// Whether it is switched on.
    pub on: bool,
    /// IANA name; required.
    pub time_zone: String,
    /// Whether a contact's own zone counts where it is known.
    pub contact_time_zone: bool,
    /// Windows such as (`mon-fri`, `20:00`, `08:00`): days, from, to.
    pub quiet_hours: Vec<(String, String, String)>,
    /// Such as `mon-fri`, which is the default.
    pub business_days: String,
    /// Dates such as `2026-12-25`.
    pub holidays: Vec<String>,
    /// Words that opt out besides the usual ones.
    pub stop_words: Vec<String>,
    /// Sends to one contact in any moving 24 h, over all channels but webhooks; 0: no cap.
    pub contact_per_day: u32,
    /// The same in any moving 7 × 24 h.
    pub contact_per_week: u32,
    /// Whether who opts out does so of every kind of channel, and not only of the one they did it by.
    pub opt_out_of_all: bool,
    /// The channel that steps mean when they name only its kind, by kind and name; else the first of the kind.
    pub default_channels: BTreeMap<String, String>,
}

/// Settings of an account, as put. Everything is replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountSettings {
    /// People written to by all its channels in any moving 24 h; 0: no cap.
    pub new_recipients: u32,
}

/// Settings of a channel, as put. Everything is replaced.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChannelSettings {
    /// `email`, `whatsapp`, `sms`, `conversation`, `webhook`.
    pub kind: String,
    /// `outbox`, `smtp`, `http`, `meta`, `twilio` or `chatwoot`.
    pub transport: String,
    /// How mail leaves; with `smtp` and only there.
    pub smtp: Option<SmtpSettings>,
    /// Where messages are posted; with `http` and only there.
    pub http: Option<HttpSettings>,
    /// The number of WhatsApp; with `meta` and only there.
    pub meta: Option<MetaSettings>,
    /// The sender of SMS; with `twilio` and only there.
    pub twilio: Option<TwilioSettings>,
    /// The agent inbox; with `chatwoot` and only there.
    pub chatwoot: Option<ChatwootSettings>,
    /// A word for a set of limits, of which those given below replace their like; empty: none.
    pub preset: String,
    /// The limits of the preset that are left out, by their names here.
    pub without: Vec<String>,
    /// Sends per `rate_per`; 0: no rate.
    pub rate_count: u32,
    /// A span such as `1 second`, the default.
    pub rate_per: String,
    /// Starts that may fall together; 0: as many as `rate_count`.
    pub rate_burst: u32,
    /// Least span between two starts.
    pub gap: String,
    /// How much longer a gap is at most, by chance; empty: all are alike.
    pub jitter: String,
    /// Starts in any moving minute; 0: no cap.
    pub per_minute: u32,
    /// Starts in any moving hour; 0: no cap.
    pub per_hour: u32,
    /// Starts on a calendar day; 0: no cap.
    pub per_day: u32,
    /// A pause after every so many starts.
    pub rest: Option<RestSettings>,
    /// A lower `per_day` on the first days.
    pub warm_up: Option<WarmUp>,
    /// Least span between two starts to one contact; empty: none.
    pub recipient_gap: String,
    /// People written to in any moving 24 h; 0: no cap.
    pub new_recipients: u32,
    /// Whether quiet hours do not apply; `None`: only for webhooks they do not.
    pub ignores_quiet_hours: Option<bool>,
    /// `leave` or `resend`; empty: what the transport can do.
    pub in_doubt: String,
    /// What holds the channel when it fares badly; `None`: those of the preset.
    pub kill_switches: Option<Vec<KillSwitchSettings>>,
    /// The account it belongs to; empty: none.
    pub account: String,
}

/// A kill switch, as put.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KillSwitchSettings {
    /// `failed`, `opted_out`, `delivered` or `replied`.
    pub signal: String,
    /// The share of the sends.
    pub percent: u32,
    /// From so many sends on.
    pub after: u32,
    /// Whether it holds nothing and only says so.
    pub report_only: bool,
}

/// A pause after every so many starts, as put.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RestSettings {
    /// Starts without a pause.
    pub after: u32,
    /// How long it is.
    pub span: String,
}

/// What became of one wish to enroll.
#[derive(Clone, Debug, PartialEq)]
pub enum EnrollAnswer {
    /// It began.
    Enrolled {
        /// Its id.
        id: EnrollmentId,
        /// Its first send will not be before.
        first_send_not_before: Moment,
    },
    /// It was enrolled already.
    AlreadyEnrolled {
        /// Its id.
        id: EnrollmentId,
    },
    /// It cannot be; the reason is stable, the problem for people.
    Refused {
        /// Stable, for programs.
        reason: &'static str,
        /// For people.
        problem: String,
    },
}

/// What became of one event.
#[derive(Clone, Debug, PartialEq)]
pub enum EventAnswer {
    /// It was taken in.
    Accepted {
        /// Enrollments that ended by it, and why.
        exited: Vec<(EnrollmentId, ExitReason)>,
        /// Sends of those that are on the wire already.
        in_flight: Vec<SendId>,
    },
    /// It was taken in before.
    Duplicate,
    /// It cannot be.
    Refused {
        /// Stable, for programs.
        reason: &'static str,
        /// For people.
        problem: String,
    },
}

/// An event as called, with what it says about the contact.
#[derive(Clone, Debug, PartialEq)]
pub struct EventCall {
    /// The event.
    pub event: Event,
    /// What is known of the contact; replaces what was known.
    pub profile: Profile,
}

/// A receipt as told.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceiptCall {
    /// About which send.
    pub send: SendId,
    /// What; of a refusal without what follows from it, that is read from the code.
    pub receipt: Receipt,
    /// The provider's code, where it refused.
    pub code: String,
    /// The address the message went to, where it is told; else the one the contact has.
    pub address: Option<String>,
    /// When it was so, where that is told; else now.
    pub at: Option<Moment>,
}

/// What became of a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptAnswer {
    /// It was taken in.
    Taken {
        /// Whether it changed anything: one that was told before, or comes late, does not.
        changed: bool,
    },
    /// The tenant has no such send.
    Unknown,
}

/// What an exit, pause or resume by hand came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    /// The enrollment as it is now.
    pub enrollment: Enrollment,
    /// The send that is on the wire, if there is one.
    pub in_flight: Option<SendId>,
    /// Whether the call changed anything.
    pub changed: bool,
}

/// What can be done to one enrollment by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// It leaves, `manual`.
    Exit,
    /// It pauses and keeps the rest of its wait.
    Pause,
    /// It goes on.
    Resume,
    /// It leaves quarantine.
    Release,
}

/// A scope to hold or release, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScopeName {
    /// The whole tenant.
    Tenant,
    /// One channel.
    Channel(Name),
    /// One sequence.
    Sequence(Name),
    /// One account, with all its channels.
    Account(Name),
}

impl ScopeName {
    /// How the audit log names it.
    #[must_use]
    pub fn told(&self, tenant: &Name) -> String {
        match self {
            ScopeName::Tenant => format!("tenant {tenant}"),
            ScopeName::Channel(name) => format!("channel {name}"),
            ScopeName::Sequence(name) => format!("sequence {name}"),
            ScopeName::Account(name) => format!("account {name}"),
        }
    }
}

/// An enrollment and everything that happened to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// Its state.
    pub enrollment: Enrollment,
    /// Its history, oldest first.
    pub history: Vec<Entry>,
}

/// A page of enrollments.
#[derive(Clone, Debug, PartialEq)]
pub struct EnrollmentPage {
    /// Those that pass its filter.
    pub enrollments: Vec<Enrollment>,
    /// Where the next page begins; `None`: this was the last.
    pub next: Option<Vec<u8>>,
}

/// What an enrollment does next.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// What, when, and what each gate says.
    pub explained: Explained,
    /// How many stand in line before it, up to 10,000.
    pub ahead: usize,
    /// Its state.
    pub enrollment: Enrollment,
}

/// Whom a suppression is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// One contact with its addresses, by the platform's id.
    Contact(String),
    /// An address, whoever has it.
    Address(Address),
}

/// What is known of one contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The platform's id.
    pub id: String,
    /// What stands for it in the audit log, and for good when it is erased.
    pub pseudonym: String,
    /// Its row.
    pub contact: Contact,
    /// The kinds of channel that it must not be reached by.
    pub suppressions: Vec<Known>,
}

/// What is known of one suppression of a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Through which kind of channel.
    pub kind: Kind,
    /// Since when and why; `None` where that was not kept.
    pub suppression: Option<Suppression>,
    /// Whether only the address is suppressed: somebody else who has it opted out.
    pub by_address: bool,
}

/// What a suppression stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Enrollments that left by it.
    pub exited: Vec<EnrollmentId>,
    /// Sends that are on the wire already.
    pub in_flight: Vec<SendId>,
}

/// A page of everything that is known of a contact.
#[derive(Clone, Debug, PartialEq)]
pub struct Export {
    /// The contact.
    pub person: Person,
    /// Its enrollments of this page, each with all that happened to it.
    pub timelines: Vec<Timeline>,
    /// Where the next page begins; `None`: this was the last.
    pub next: Option<Vec<u8>>,
}

/// What erasing a contact came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// What stands for it from now on.
    pub pseudonym: String,
    /// How many enrollments were written anew.
    pub enrollments: usize,
    /// Sends that are on the wire already.
    pub in_flight: Vec<SendId>,
}

/// A page of ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdPage {
    /// The ids.
    pub ids: Vec<EnrollmentId>,
    /// Where the next page begins; `None`: this was the last.
    pub next: Option<Vec<u8>>,
}

/// The funnel of one version.
#[derive(Clone, Debug, PartialEq)]
pub struct Funnel {
    /// Which.
    pub version: VersionNo,
    /// Its numbers that are not zero.
    pub counts: Vec<(Metric, i64)>,
}

/// Numbers that stand for names, for callers that show both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Sequences by number.
    pub sequences: Vec<(SequenceNo, Name)>,
    /// Channels by number.
    pub channels: Vec<(ChannelNo, Name)>,
}
