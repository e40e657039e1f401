//! Sequences: the blueprint a tenant designs once, and its published, immutable versions.
//!
//! What a caller writes is a [`Draft`] (texts, checked by [`draft::compile`]); what an enrollment is pinned to is a
//! [`Version`].

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::calendar::{Hours, Wait};
use crate::channel::Kind;
use crate::content::{Rich, Template};
use crate::holds::{Holds, Reacted};
use crate::ids::{SequenceNo, StepNo, VersionNo};
use crate::lane::{PriorityClass, Weight};
use crate::limits;
use crate::name::Name;
use crate::target::TargetKind;
use crate::time::{Moment, Span};

pub mod advice;
pub mod draft;
mod written;

pub use draft::{Draft, DraftStep, FieldError};

/// What may be enrolled once at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum UniquePer {
    /// A contact and target: one reminder for each charge.
    #[default]
    Target,
    /// A contact, whatever the target.
    Contact,
}

/// Whether an ended enrollment may be followed by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reentry {
    /// No.
    Never,
    /// At once.
    Always,
    /// When this long has passed since it ended.
    After(Span),
}

impl Default for Reentry {
    fn default() -> Self {
        Reentry::After(Span::hours(24))
    }
}

/// A sequence: a scope that every intent of its enrollments expects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sequence {
    /// Its number within the tenant.
    pub no: SequenceNo,
    /// Its name.
    pub name: Name,
    /// What was put last and is not published yet.
    pub draft: Option<Draft>,
    /// The version new enrollments start on.
    pub latest: Option<VersionNo>,
    /// How much of a lane it gets beside others of its class: what was published last counts for every version, so that
    /// it can be changed while enrollments on earlier ones are under way.
    pub weight: Weight,
    /// Whether it is paused, and when it was before: a hold of the sequence.
    pub holds: Holds,
    /// Since when it is archived, for good: nobody is enrolled any more, and whoever was exits.
    pub archived_at: Option<Moment>,
    /// Steps that are held by themselves, because providers refuse what they say; those that went on a while ago, too:
    /// what waited for them leaves gently.
    pub held_steps: BTreeMap<(VersionNo, StepNo), Reacted>,
}

impl Sequence {
    /// Lets those of its held steps go on that `which` names; whether any was held. What went on so long ago that nobody
    /// needs to know it any more is forgotten.
    pub fn let_steps_go(
        &mut self,
        which: impl Fn((VersionNo, StepNo), &Reacted) -> bool,
        now: Moment,
    ) -> bool {
        let mut were_held = false;
        for (step, held) in &mut self.held_steps {
            if held.is_on(now) && which(*step, held) {
                held.end(now);
                were_held = true;
            }
        }
        self.held_steps
            .retain(|_, held| held.until.is_none_or(|until| until + limits::EASED_IN_WITHIN > now));
        were_held
    }

    /// Where it stands in its life.
    #[must_use]
    pub fn status(&self) -> Status {
        match (&self.archived_at, &self.latest, &self.holds.current) {
            (Some(_), _, _) => Status::Archived,
            (None, None, _) => Status::Unpublished,
            (None, Some(_), Some(_)) => Status::Paused,
            (None, Some(_), None) => Status::Active,
        }
    }
}

/// Where a sequence stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// It has no version yet.
    Unpublished,
    /// Contacts can be enrolled.
    Active,
    /// It is held.
    Paused,
    /// It is over, for good.
    Archived,
}

impl Status {
    /// All of them.
    pub const ALL: [Status; 4] = [Status::Unpublished, Status::Active, Status::Paused, Status::Archived];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Status::Unpublished => "unpublished",
            Status::Active => "active",
            Status::Paused => "paused",
            Status::Archived => "archived",
        }
    }

    /// The status of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.word() == word)
    }
}

/// What publishing snapshots: immutable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Its number.
    pub no: VersionNo,
    /// What its enrollments are about.
    pub target: TargetKind,
    /// How its sends rank in a lane.
    pub class: PriorityClass,
    /// What may be enrolled once at a time.
    pub unique_per: UniquePer,
    /// Whether one may be enrolled again.
    pub reentry: Reentry,
    /// What ends an enrollment early.
    pub exits: ExitRules,
    /// How long an enrollment lives at most.
    pub max_lifetime: Span,
    /// What is sent, in order.
    pub steps: Vec<Step>,
}

impl Version {
    /// The step of this number.
    #[must_use]
    pub fn step(&self, no: StepNo) -> Option<&Step> {
        self.steps.get(usize::from(no.0))
    }
}

/// Which conditions end an enrollment early; opting out always does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRules {
    /// A reply of the contact.
    pub on_reply: OnReply,
    /// The linked conversation is resolved.
    pub on_resolved: bool,
    /// The target reaches its goal.
    pub on_goal: bool,
}

/// Which replies end an enrollment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnReply {
    /// Any inbound message of the contact.
    Any,
    /// Only one in the linked conversation.
    Conversation,
    /// None.
    Ignore,
}

/// One message of a sequence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// How long after the previous step was settled.
    pub wait: Wait,
    /// Through which channel.
    pub channel: ChannelRef,
    /// Subject line, for channels that have one.
    pub subject: String,
    /// The text, a template; empty where something else is sent.
    pub body: String,
    /// What is sent instead of the text, or with it.
    pub rich: Option<Rich>,
    /// The approved template that goes instead while the service window is closed.
    pub fallback: Option<Template>,
    /// Its own open hours, within the tenant's.
    pub hours: Hours,
    /// From its due time, before all gates, when it is too late to send it.
    pub useless_after: Option<Span>,
    /// What then happens.
    pub late: Late,
    /// What happens when it fails.
    pub on_failure: OnFailure,
}

impl Step {
    /// The approved template that it sends, always or while the service window is closed.
    #[must_use]
    pub fn template(&self) -> Option<&Template> {
        match &self.rich {
            Some(Rich::Template(template)) => Some(template),
            Some(Rich::Media(_) | Rich::Buttons(_)) | None => self.fallback.as_ref(),
        }
    }
}

/// The channel a step names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChannelRef {
    /// This one.
    Named(Name),
    /// The tenant's default of this kind.
    OfKind(Kind),
}

/// What a step that is useless by now does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Late {
    /// It is skipped.
    #[default]
    Skip,
    /// The enrollment exits.
    Exit,
}

/// What a failed step does to its enrollment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnFailure {
    /// It goes on with the next step.
    #[default]
    Continue,
    /// It exits.
    Exit,
}
