//! Enrolling: whether a contact may walk a sequence now, and how its run begins.

use std::collections::BTreeMap;

use crate::calendar::Zone;
use crate::contact::{Contact, Membership};
use crate::decide::{FIRST, apply, plan_step};
use crate::decision::{self, Beginning, Decision, Source};
use crate::enrollment::{Enrollment, ExitReason};
use crate::gate::{self, Verdict, View};
use crate::ids::{EnrollmentId, SequenceNo};
use crate::limits;
use crate::scope::Scope;
use crate::sequence::{Reentry, UniquePer, Version};
use crate::target::{Target, TargetKind, TargetRef};
use crate::time::{Moment, Span};

/// A wish to enroll one contact.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// Who: the platform's id.
    pub contact: String,
    /// What is known of them; what is given replaces what was known, what is not stays.
    pub profile: Profile,
    /// About what; `None`: the contact as such.
    pub target: Option<TargetRef>,
    /// Attributes of the target.
    pub target_attributes: BTreeMap<String, String>,
    /// What enrolls.
    pub source: Source,
    /// Who does it.
    pub by: String,
}

/// What an enroll or event can say about a contact.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// What to call them.
    pub name: Option<String>,
    /// Where e-mail reaches them.
    pub email: Option<String>,
    /// Where calls reach them.
    pub phone: Option<String>,
    /// Their zone.
    pub zone: Option<Zone>,
    /// Open attributes.
    pub attributes: BTreeMap<String, String>,
}

/// Why a contact is not enrolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The tenant is off.
    #[error("the tenant is off: switch it on first")]
    TenantOff,
    /// The sequence was never published.
    #[error("the sequence has no published version: publish it first")]
    Unpublished,
    /// The sequence is paused.
    #[error("the sequence is paused: resume it first")]
    Paused,
    /// The sequence is archived.
    #[error("the sequence is archived, for good: enroll into another")]
    Archived,
    /// The wish is about something else than the sequence.
    #[error("the sequence is about a {}: {}", .wanted.word(), named(*.wanted, *.given))]
    Target {
        /// The sequence's kind.
        wanted: TargetKind,
        /// The kind of what was named; `None`: nothing was.
        given: Option<TargetKind>,
    },
    /// It ended too recently to be enrolled again.
    #[error("this contact may be enrolled again {}", when(*.0))]
    Reentry(Option<Moment>),
    /// The contact opted out of this sequence.
    #[error("the contact opted out and does not re-enter by itself")]
    OptedOut,
    /// The target has reached its goal.
    #[error("the target has reached its goal already (goal_met)")]
    GoalMet,
    /// The target came to another end.
    #[error("the target is closed already: lost, cancelled, resolved or deleted (target_closed)")]
    TargetClosed,
    /// No step could reach the contact.
    #[error("the contact is suppressed on every channel the steps use")]
    Suppressed,
    /// The channel of the first step is gone.
    #[error("the first step's channel is gone: put it again, or publish a version without it")]
    NoChannel,
    /// The contact is in as many cadences as a contact can be.
    #[error("the contact is in {} enrollments already, the most there may be", limits::ENROLLMENTS_A_CONTACT)]
    TooMany,
    /// As many are enrolled about the target as can be.
    #[error("the target has {} enrollments already, the most there may be", limits::ENROLLMENTS_A_TARGET)]
    TargetFull,
    /// The attributes would be more than are kept of one contact or target.
    #[error(
        "the {whose} would have attributes of {bytes} bytes with those known already: at most {} are kept",
        limits::ATTRIBUTE_BYTES
    )]
    AttributesTooLarge {
        /// Whose they are: `contact` or `target`.
        whose: &'static str,
        /// How many bytes there would be.
        bytes: usize,
    },
}

fn when(at: Option<Moment>) -> String {
    at.map_or_else(|| "never: its sequence says so".to_owned(), |at| format!("from {} ms UTC on", at.0))
}

fn named(wanted: TargetKind, given: Option<TargetKind>) -> String {
    match given {
        None => format!("name it as the target, with kind `{}`", wanted.word()),
        Some(given) if wanted == TargetKind::Contact => format!("leave out the target, a {}", given.word()),
        Some(given) => format!("the target has to be of kind `{}`, not `{}`", wanted.word(), given.word()),
    }
}

impl Refusal {
    /// Its stable reason.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Refusal::TenantOff => "tenant_off",
            Refusal::Unpublished => "sequence_unpublished",
            Refusal::Paused => "sequence_paused",
            Refusal::Archived => "sequence_archived",
            Refusal::Target { .. } => "wrong_target",
            Refusal::Reentry(_) => "reentry",
            Refusal::OptedOut => "opted_out",
            Refusal::GoalMet => "goal_met",
            Refusal::TargetClosed => "target_closed",
            Refusal::Suppressed => "suppressed",
            Refusal::NoChannel => "no_channel",
            Refusal::TooMany => "too_many_enrollments",
            Refusal::TargetFull => "target_full",
            Refusal::AttributesTooLarge { .. } => "attributes_too_large",
        }
    }
}

/// What a wish to enroll leads to.
#[derive(Clone, Debug, PartialEq)]
pub enum Enrolling {
    /// It begins: its decisions, its state, and its contact and target as they are then.
    New(Box<New>),
    /// It is enrolled already.
    Already(EnrollmentId),
}

/// A new enrollment.
#[derive(Clone, Debug, PartialEq)]
pub struct New {
    /// Its history so far.
    pub decisions: Vec<Decision>,
    /// Its state.
    pub enrollment: Enrollment,
    /// Its contact, which now indexes it.
    pub contact: Contact,
    /// Its target, which now indexes it.
    pub target: Option<Target>,
}

/// What the facts around a wish are.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The contact as known, default where not.
    pub contact: &'a Contact,
    /// The target as known, default where not; `None` where the wish names none.
    pub target: Option<&'a Target>,
    /// The tenant's scope.
    pub scope: &'a Scope,
    /// Into which sequence.
    pub sequence: SequenceNo,
    /// Its latest version.
    pub version: &'a Version,
    /// When.
    pub now: Moment,
}

/// Decides a wish to enroll; `id` is the new enrollment's, if it becomes one.
///
/// # Errors
/// Says why the contact cannot be enrolled.
pub fn enroll(request: &Request, facts: &Facts<'_>, id: EnrollmentId) -> Result<Enrolling, Refusal> {
    if let Some(existing) = admitted(request, facts)? {
        return Ok(Enrolling::Already(existing));
    }
    let mut contact = facts.contact.clone();
    know(&mut contact, &request.profile)?;
    contact.enrollments.push(Membership {
        enrollment: id,
        sequence: facts.sequence,
        target: request.target.clone(),
        ended: None,
    });
    contact.forget_surplus();
    if contact.enrollments.len() > limits::ENROLLMENTS_A_CONTACT {
        return Err(Refusal::TooMany);
    }
    let target = request.target.as_ref().map(|_| indexed(request, facts, id)).transpose()?;
    begin(request, facts, id, contact, target)
}

/// The target as it is with the new enrollment.
fn indexed(request: &Request, facts: &Facts<'_>, id: EnrollmentId) -> Result<Target, Refusal> {
    let mut target = facts.target.cloned().unwrap_or_default();
    if target.enrollments.len() >= limits::ENROLLMENTS_A_TARGET {
        return Err(Refusal::TargetFull);
    }
    merge(&mut target.attributes, &request.target_attributes, "target")?;
    target.enrollments.push(id);
    Ok(target)
}

/// Checks that a wish is about what its sequence is about. One about contacts needs no target.
fn about(wanted: TargetKind, given: Option<TargetKind>) -> Result<(), Refusal> {
    if given.unwrap_or(TargetKind::Contact) == wanted {
        Ok(())
    } else {
        Err(Refusal::Target { wanted, given })
    }
}

/// Checks the scope and the uniqueness rules; the enrollment that exists already, if there is one.
fn admitted(request: &Request, facts: &Facts<'_>) -> Result<Option<EnrollmentId>, Refusal> {
    if !facts.scope.tenant.on {
        return Err(Refusal::TenantOff);
    }
    let sequence = facts.scope.sequences.get(&facts.sequence).ok_or(Refusal::Unpublished)?;
    if sequence.archived_at.is_some() {
        return Err(Refusal::Archived);
    }
    if sequence.latest.is_none() {
        return Err(Refusal::Unpublished);
    }
    about(facts.version.target, request.target.as_ref().map(|target| target.kind))?;
    let same = |membership: &&Membership| {
        membership.sequence == facts.sequence
            && (facts.version.unique_per == UniquePer::Contact || membership.target == request.target)
    };
    if let Some(open) = facts.contact.open_enrollments().find(same) {
        return Ok(Some(open.enrollment));
    }
    if sequence.holds.current.is_some() {
        return Err(Refusal::Paused);
    }
    reenters(request, facts).map(|()| None)
}

/// Checks the re-entry rule against what ended before.
fn reenters(request: &Request, facts: &Facts<'_>) -> Result<(), Refusal> {
    let about = (facts.version.unique_per == UniquePer::Target).then_some(request.target.as_ref());
    let ends = || facts.contact.ends(facts.sequence, about);
    let Some(ended) = ends().max_by_key(|ended| ended.at) else { return Ok(()) };
    if ends().any(|ended| ended.opted_out) {
        return Err(Refusal::OptedOut);
    }
    match facts.version.reentry {
        Reentry::Never => Err(Refusal::Reentry(None)),
        Reentry::After(span) if facts.now < ended.at + span => Err(Refusal::Reentry(Some(ended.at + span))),
        Reentry::Always | Reentry::After(_) => Ok(()),
    }
}

/// Takes in what is said about a contact: what is given replaces what was known, what is not stays.
///
/// # Errors
/// [`Refusal::AttributesTooLarge`]; the contact is then unchanged.
pub fn know(contact: &mut Contact, profile: &Profile) -> Result<(), Refusal> {
    merge(&mut contact.attributes, &profile.attributes, "contact")?;
    let replace = |known: &mut Option<String>, given: &Option<String>| {
        if given.is_some() {
            known.clone_from(given);
        }
    };
    replace(&mut contact.name, &profile.name);
    replace(&mut contact.email, &profile.email);
    replace(&mut contact.phone, &profile.phone);
    contact.zone = profile.zone.or(contact.zone);
    Ok(())
}

/// Merges attributes within their bound. Ones that are beyond it already may change as long as they do not grow.
fn merge(
    known: &mut BTreeMap<String, String>,
    given: &BTreeMap<String, String>,
    whose: &'static str,
) -> Result<(), Refusal> {
    let size = |all: &BTreeMap<String, String>| -> usize {
        all.iter().map(|(name, value)| name.len() + value.len()).sum()
    };
    let mut merged = known.clone();
    merged.extend(given.clone());
    let bytes = size(&merged);
    if bytes > limits::ATTRIBUTE_BYTES && bytes > size(known) {
        return Err(Refusal::AttributesTooLarge { whose, bytes });
    }
    *known = merged;
    Ok(())
}

fn begin(
    request: &Request,
    facts: &Facts<'_>,
    id: EnrollmentId,
    contact: Contact,
    target: Option<Target>,
) -> Result<Enrolling, Refusal> {
    let beginning = Beginning {
        id,
        tenant: facts.scope.tenant.no,
        sequence: facts.sequence,
        version: facts.version.no,
        contact: request.contact.clone(),
        target: request.target.clone(),
        expires_at: facts.now + facts.version.max_lifetime,
        source: request.source,
        by: request.by.clone(),
    };
    let state = decision::begin(&beginning, facts.now);
    let view = View {
        enrollment: &state,
        contact: &contact,
        target: target.as_ref(),
        scope: facts.scope,
        version: facts.version,
        now: facts.now,
        engine_ahead: Span::ZERO,
    };
    refuse_pointless(&view)?;
    let planned = plan_step(&view, None);
    if !matches!(planned, Decision::Planned { .. }) {
        return Err(Refusal::NoChannel);
    }
    let decisions = vec![Decision::Enrolled(Box::new(beginning)), planned];
    let enrollment = apply(state, &decisions, facts.now);
    Ok(Enrolling::New(Box::new(New { decisions, enrollment, contact, target })))
}

/// Refuses what the first last look would end at once.
fn refuse_pointless(view: &View<'_>) -> Result<(), Refusal> {
    let Some(first) = view.version.step(FIRST) else { return Ok(()) };
    match gate::ask(view, first) {
        Some((gate::Binding::Target, Verdict::Exit(ExitReason::Goal))) => Err(Refusal::GoalMet),
        Some((gate::Binding::Target, Verdict::Exit(_))) => Err(Refusal::TargetClosed),
        Some((gate::Binding::Suppression, Verdict::Exit(_))) => Err(Refusal::Suppressed),
        _ => Ok(()),
    }
}
