//! Trying a sequence, as messages: what is found in a draft, and what a contact would get.

use followupd_domain::VersionNo;
use followupd_domain::decision::Source;
use followupd_domain::preview::{Becomes, Foreseen};
use followupd_domain::scope::HeldBy;
use followupd_domain::sequence::FieldError;
use followupd_runtime::{Error, Names, Trial, TrialOf};

use crate::rpc::{scopes, show, take};
use followupd_proto::v1;

/// Something found in a draft.
pub(super) fn finding(found: FieldError) -> v1::Finding {
    v1::Finding { field: found.field, problem: found.problem, ..Default::default() }
}

/// What to try.
///
/// # Errors
/// The contact or the target is wrong, or both a draft and a version are given.
pub(super) fn trial(request: v1::PreviewSequenceRequest, by: &str) -> Result<Trial, Error> {
    let of = match (request.draft.into_option(), request.version) {
        (None, 0) => TrialOf::Newest,
        (None, version) => TrialOf::Version(VersionNo(version)),
        (Some(draft), 0) => TrialOf::Draft(scopes::draft(draft)?),
        (Some(_), _) => {
            return Err(take::invalid("version", "goes without a draft: leave one of them out"));
        }
    };
    let enroll = request.enroll.into_option().unwrap_or_default();
    let request_of = take::enroll(enroll, Source::Api, by).map_err(|faults| {
        let under = |fault: FieldError| FieldError { field: format!("enroll.{}", fault.field), ..fault };
        Error::Invalid(faults.into_iter().map(under).collect())
    })?;
    Ok(Trial { sequence: request.sequence, of, request: request_of })
}

/// What becomes of one step.
pub(super) fn step(foreseen: Foreseen, names: &Names) -> v1::PreviewedStep {
    let name = |no| names.channels.iter().find(|(known, _)| *known == no).map(|(_, name)| name.to_string());
    let (becomes, reason, message) = match foreseen.becomes {
        Becomes::Sent(message) => ("sent", "", Some(message)),
        Becomes::Skipped(reason) => ("skipped", reason.word(), None),
        Becomes::Failed(failure) => ("failed", failure.word(), None),
        Becomes::Exits(reason) => ("exits", reason.word(), None),
        Becomes::Broken(reason) => ("failed", reason.word(), None),
    };
    let text = message.map(|message| (message.text(), message.subject));
    let (body, subject) = text.unwrap_or_default();
    v1::PreviewedStep {
        step: u32::from(foreseen.step.0),
        due_at: show::moment(foreseen.due_at),
        at: show::moment(foreseen.at),
        channel: foreseen.channel.and_then(name).unwrap_or_default(),
        becomes: becomes.to_owned(),
        reason: reason.to_owned(),
        subject,
        body,
        held_by: foreseen.held_by.map(HeldBy::word).unwrap_or_default().to_owned(),
        ..Default::default()
    }
}
