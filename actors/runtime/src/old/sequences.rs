//! Sequences and versions as earlier releases wrote them: first their steps were text, and nothing else.

use std::collections::BTreeMap;

use followupd_domain::calendar::{Hours, Wait};
use followupd_domain::holds::{Holds, Reacted};
use followupd_domain::lane::{PriorityClass, Weight};
use followupd_domain::name::Name;
use followupd_domain::sequence::{
    ChannelRef, Draft, DraftStep, ExitRules, Late, OnFailure, Reentry, Sequence, Step, UniquePer, Version,
};
use followupd_domain::target::TargetKind;
use followupd_domain::{Moment, SequenceNo, Span, StepNo, VersionNo};
use followupd_store::codec::{self, Format};
use serde::{Deserialize, Serialize};

use crate::api::Error;
use crate::loaded::decode;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct DraftStep1 {
    wait: String,
    at: String,
    channel: String,
    subject: String,
    body: String,
    useless_after: String,
    late: String,
    on_failure: String,
    business_days_only: bool,
}

impl From<DraftStep1> for DraftStep {
    fn from(old: DraftStep1) -> DraftStep {
        let DraftStep1 { wait, at, channel, subject, body, useless_after, late, .. } = old;
        let DraftStep1 { on_failure, business_days_only, .. } = old;
        DraftStep {
            wait,
            at,
            channel,
            subject,
            body,
            rich: None,
            fallback: None,
            useless_after,
            late,
            on_failure,
            business_days_only,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Draft1 {
    target: String,
    class: String,
    unique_per: String,
    reentry: String,
    exit_on_reply: String,
    stay_on_resolved: bool,
    stay_on_goal: bool,
    max_lifetime: String,
    steps: Vec<DraftStep1>,
}

impl From<Draft1> for Draft {
    fn from(old: Draft1) -> Draft {
        let Draft1 { target, class, unique_per, reentry, exit_on_reply, .. } = old;
        let Draft1 { stay_on_resolved, stay_on_goal, max_lifetime, steps, .. } = old;
        let steps = steps.into_iter().map(DraftStep::from).collect();
        Draft {
            target,
            class,
            weight: None,
            unique_per,
            reentry,
            exit_on_reply,
            stay_on_resolved,
            stay_on_goal,
            max_lifetime,
            steps,
        }
    }
}

/// A draft whose sequence had no weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Draft2 {
    target: String,
    class: String,
    unique_per: String,
    reentry: String,
    exit_on_reply: String,
    stay_on_resolved: bool,
    stay_on_goal: bool,
    max_lifetime: String,
    steps: Vec<DraftStep>,
}

impl From<Draft2> for Draft {
    fn from(old: Draft2) -> Draft {
        let Draft2 { target, class, unique_per, reentry, exit_on_reply, .. } = old;
        let Draft2 { stay_on_resolved, stay_on_goal, max_lifetime, steps, .. } = old;
        Draft {
            target,
            class,
            weight: None,
            unique_per,
            reentry,
            exit_on_reply,
            stay_on_resolved,
            stay_on_goal,
            max_lifetime,
            steps,
        }
    }
}

/// A sequence of format 1, which could not be archived.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sequence1 {
    no: SequenceNo,
    name: Name,
    draft: Option<Draft1>,
    latest: Option<VersionNo>,
    holds: Holds,
}

/// A sequence of format 2, whose steps could not be held by themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sequence2 {
    no: SequenceNo,
    name: Name,
    draft: Option<Draft1>,
    latest: Option<VersionNo>,
    holds: Holds,
    archived_at: Option<Moment>,
}

/// A sequence of format 3.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sequence3 {
    no: SequenceNo,
    name: Name,
    draft: Option<Draft1>,
    latest: Option<VersionNo>,
    holds: Holds,
    archived_at: Option<Moment>,
    held_steps: BTreeMap<(VersionNo, StepNo), Reacted>,
}

/// A sequence of format 4, which had no weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sequence4 {
    no: SequenceNo,
    name: Name,
    draft: Option<Draft2>,
    latest: Option<VersionNo>,
    holds: Holds,
    archived_at: Option<Moment>,
    held_steps: BTreeMap<(VersionNo, StepNo), Reacted>,
}

impl From<Sequence1> for Sequence {
    fn from(old: Sequence1) -> Sequence {
        let Sequence1 { no, name, draft, latest, holds } = old;
        Sequence::from(Sequence2 { no, name, draft, latest, holds, archived_at: None })
    }
}

impl From<Sequence2> for Sequence {
    fn from(old: Sequence2) -> Sequence {
        let Sequence2 { no, name, draft, latest, holds, archived_at } = old;
        let held_steps = BTreeMap::new();
        Sequence::from(Sequence3 { no, name, draft, latest, holds, archived_at, held_steps })
    }
}

impl From<Sequence3> for Sequence {
    fn from(old: Sequence3) -> Sequence {
        let Sequence3 { no, name, draft, latest, holds, archived_at, held_steps } = old;
        let (draft, weight) = (draft.map(Draft::from), Weight::default());
        Sequence { no, name, draft, latest, weight, holds, archived_at, held_steps }
    }
}

impl From<Sequence4> for Sequence {
    fn from(old: Sequence4) -> Sequence {
        let Sequence4 { no, name, draft, latest, holds, archived_at, held_steps } = old;
        let (draft, weight) = (draft.map(Draft::from), Weight::default());
        Sequence { no, name, draft, latest, weight, holds, archived_at, held_steps }
    }
}

/// The sequence of a row, in whichever format it was written.
pub(crate) fn sequence(body: &[u8]) -> Result<Sequence, Error> {
    match codec::decode(Format::Sequence5, body) {
        Ok(sequence) => return Ok(sequence),
        Err(codec::Error::Kind { .. }) => {}
        Err(error) => return Err(Error::Unavailable(error.to_string())),
    }
    match codec::decode::<Sequence4>(Format::Sequence4, body) {
        Ok(sequence) => return Ok(sequence.into()),
        Err(codec::Error::Kind { .. }) => {}
        Err(error) => return Err(Error::Unavailable(error.to_string())),
    }
    match codec::decode::<Sequence3>(Format::Sequence3, body) {
        Ok(sequence) => return Ok(sequence.into()),
        Err(codec::Error::Kind { .. }) => {}
        Err(error) => return Err(Error::Unavailable(error.to_string())),
    }
    match codec::decode::<Sequence2>(Format::Sequence2, body) {
        Ok(sequence) => Ok(sequence.into()),
        Err(codec::Error::Kind { .. }) => decode::<Sequence1>(Format::Sequence, body).map(Sequence::from),
        Err(error) => Err(Error::Unavailable(error.to_string())),
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Step1 {
    wait: Wait,
    channel: ChannelRef,
    subject: String,
    body: String,
    hours: Hours,
    useless_after: Option<Span>,
    late: Late,
    on_failure: OnFailure,
}

impl From<Step1> for Step {
    fn from(old: Step1) -> Step {
        let Step1 { wait, channel, subject, body, hours, useless_after, late, on_failure } = old;
        let (rich, fallback) = (None, None);
        Step { wait, channel, subject, body, rich, fallback, hours, useless_after, late, on_failure }
    }
}

/// A version of format 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Version1 {
    no: VersionNo,
    target: TargetKind,
    class: PriorityClass,
    unique_per: UniquePer,
    reentry: Reentry,
    exits: ExitRules,
    max_lifetime: Span,
    steps: Vec<Step1>,
}

impl From<Version1> for Version {
    fn from(old: Version1) -> Version {
        let Version1 { no, target, class, unique_per, reentry, exits, max_lifetime, steps } = old;
        let steps = steps.into_iter().map(Step::from).collect();
        Version { no, target, class, unique_per, reentry, exits, max_lifetime, steps }
    }
}

/// The version of a row, in whichever format it was written.
pub(crate) fn version(body: &[u8]) -> Result<Version, Error> {
    match codec::decode(Format::Version2, body) {
        Ok(version) => Ok(version),
        Err(codec::Error::Kind { .. }) => decode::<Version1>(Format::Version, body).map(Version::from),
        Err(error) => Err(Error::Unavailable(error.to_string())),
    }
}

#[cfg(test)]
mod earlier {
    //! What is written by this release as earlier ones wrote it.

    use super::*;

    impl From<Draft> for Draft1 {
        fn from(new: Draft) -> Draft1 {
            let step = |new: DraftStep| DraftStep1 {
                wait: new.wait,
                at: new.at,
                channel: new.channel,
                subject: new.subject,
                body: new.body,
                useless_after: new.useless_after,
                late: new.late,
                on_failure: new.on_failure,
                business_days_only: new.business_days_only,
            };
            Draft1 {
                target: new.target,
                class: new.class,
                unique_per: new.unique_per,
                reentry: new.reentry,
                exit_on_reply: new.exit_on_reply,
                stay_on_resolved: new.stay_on_resolved,
                stay_on_goal: new.stay_on_goal,
                max_lifetime: new.max_lifetime,
                steps: new.steps.into_iter().map(step).collect(),
            }
        }
    }

    impl From<Sequence> for Sequence1 {
        fn from(new: Sequence) -> Sequence1 {
            let Sequence { no, name, draft, latest, holds, .. } = new;
            Sequence1 { no, name, draft: draft.map(Draft1::from), latest, holds }
        }
    }

    impl From<Sequence> for Sequence2 {
        fn from(new: Sequence) -> Sequence2 {
            let Sequence { no, name, draft, latest, holds, archived_at, .. } = new;
            Sequence2 { no, name, draft: draft.map(Draft1::from), latest, holds, archived_at }
        }
    }

    impl From<Sequence> for Sequence3 {
        fn from(new: Sequence) -> Sequence3 {
            let Sequence { no, name, draft, latest, holds, archived_at, held_steps, .. } = new;
            Sequence3 { no, name, draft: draft.map(Draft1::from), latest, holds, archived_at, held_steps }
        }
    }

    impl From<Draft> for Draft2 {
        fn from(new: Draft) -> Draft2 {
            Draft2 {
                target: new.target,
                class: new.class,
                unique_per: new.unique_per,
                reentry: new.reentry,
                exit_on_reply: new.exit_on_reply,
                stay_on_resolved: new.stay_on_resolved,
                stay_on_goal: new.stay_on_goal,
                max_lifetime: new.max_lifetime,
                steps: new.steps,
            }
        }
    }

    impl From<Sequence> for Sequence4 {
        fn from(new: Sequence) -> Sequence4 {
            let Sequence { no, name, draft, latest, holds, archived_at, held_steps, .. } = new;
            Sequence4 { no, name, draft: draft.map(Draft2::from), latest, holds, archived_at, held_steps }
        }
    }

    impl From<Version> for Version1 {
        fn from(new: Version) -> Version1 {
            let step = |new: Step| Step1 {
                wait: new.wait,
                channel: new.channel,
                subject: new.subject,
                body: new.body,
                hours: new.hours,
                useless_after: new.useless_after,
                late: new.late,
                on_failure: new.on_failure,
            };
            let Version { no, target, class, unique_per, reentry, exits, max_lifetime, steps } = new;
            let steps = steps.into_iter().map(step).collect();
            Version1 { no, target, class, unique_per, reentry, exits, max_lifetime, steps }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_of_an_earlier_format_is_read_with_its_draft_as_one_that_is_not_archived_not_held_and_of_weight_1()
     {
        let step = DraftStep { wait: "2 hours".into(), body: "hello".into(), ..DraftStep::default() };
        let now = Sequence {
            no: SequenceNo(3),
            name: Name::parse("reminder").unwrap(),
            draft: Some(Draft { steps: vec![step], ..Draft::default() }),
            latest: Some(VersionNo(2)),
            weight: Weight::default(),
            holds: Holds::default(),
            archived_at: None,
            held_steps: BTreeMap::new(),
        };
        let all = [
            codec::encode(Format::Sequence, &Sequence1::from(now.clone())).unwrap(),
            codec::encode(Format::Sequence2, &Sequence2::from(now.clone())).unwrap(),
            codec::encode(Format::Sequence3, &Sequence3::from(now.clone())).unwrap(),
            codec::encode(Format::Sequence4, &Sequence4::from(now.clone())).unwrap(),
            codec::encode(Format::Sequence5, &now).unwrap(),
        ];
        for body in all {
            assert_eq!(sequence(&body).unwrap(), now);
        }
        assert!(sequence(&codec::encode(Format::Name, &7_u32).unwrap()).is_err());
    }
}
