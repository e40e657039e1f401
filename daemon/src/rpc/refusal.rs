//! Errors of a call: the engine's refusals with a stable reason, the wrong fields, and when to come back.

use std::time::Duration;

use buffa::MessageField;
use connectrpc::{ConnectError, ErrorCode, ErrorDetail};
use followupd_domain::access::Denied;
use followupd_domain::decision::TraceId;
use followupd_domain::sequence::FieldError;
use followupd_runtime::{Error, Expected};

use crate::limits;
use crate::rpc::asked;
use followupd_proto::rpc::{BadRequest, ErrorInfo, RetryInfo, bad_request::FieldViolation};

const DOMAIN: &str = "followupd";

/// The error of a call; `within` is the field of the request under which the engine's fields lie.
pub(super) fn of(error: &Error, within: &str, trace: TraceId) -> ConnectError {
    let (code, reason, retry) = match error {
        Error::NotFound { .. } => (ErrorCode::NotFound, "NOT_FOUND".to_owned(), None),
        Error::Invalid(_) => (ErrorCode::InvalidArgument, "INVALID".to_owned(), None),
        Error::Mismatch { .. } => (ErrorCode::Aborted, "REVISION_MISMATCH".to_owned(), None),
        Error::Refused { reason, .. } => (ErrorCode::FailedPrecondition, reason.to_uppercase(), None),
        Error::Overloaded { retry_after } => {
            let after = Duration::from_millis(u64::try_from(retry_after.0).unwrap_or_default());
            (ErrorCode::ResourceExhausted, "OVERLOADED".to_owned(), Some(after))
        }
        Error::Unavailable(_) => {
            (ErrorCode::Unavailable, "STORE_UNAVAILABLE".to_owned(), Some(limits::STORE_RETRY))
        }
    };
    let mut info = info(reason, trace);
    if let Error::NotFound { what, name } = error {
        info.metadata.insert("what".to_owned(), (*what).to_owned());
        info.metadata.insert("name".to_owned(), name.clone());
    }
    if let Error::Mismatch { expected, found } = error {
        let none = || "none".to_owned();
        let wanted = match expected {
            Expected::Any => "any".to_owned(),
            Expected::Absent => none(),
            Expected::Revision(revision) => revision.to_string(),
        };
        info.metadata.insert("field".to_owned(), "expected_revision".to_owned());
        info.metadata.insert("expected_revision".to_owned(), wanted);
        info.metadata.insert("revision".to_owned(), found.map_or_else(none, |found| found.to_string()));
    }
    let faults = if let Error::Invalid(faults) = error { &faults[..] } else { &[] };
    let says = if faults.is_empty() { error.to_string() } else { list(faults, within) };
    let mut answer = ConnectError::new(code, says).with_detail(detail("ErrorInfo", &info));
    if !faults.is_empty() {
        answer = answer.with_detail(detail("BadRequest", &violations(faults, within)));
    }
    if let Some(after) = retry {
        let delay = MessageField::some(after.into());
        answer = answer
            .with_detail(detail("RetryInfo", &RetryInfo { retry_delay: delay, ..RetryInfo::default() }));
    }
    answer
}

/// The error of a call that is not let in.
pub(super) fn denied(denied: Denied, trace: TraceId) -> ConnectError {
    let code = match denied {
        Denied::Missing | Denied::Unknown | Denied::Expired => ErrorCode::Unauthenticated,
        Denied::Role(_) => ErrorCode::PermissionDenied,
    };
    let info = info(denied.word().to_uppercase(), trace);
    ConnectError::new(code, denied.to_string()).with_detail(detail("ErrorInfo", &info))
}

/// The error of a call that its key makes too early.
pub(super) fn too_often(after: Duration, trace: TraceId) -> ConnectError {
    let info = info("TOO_OFTEN".to_owned(), trace);
    let delay = MessageField::some(after.into());
    let says = "this access key calls more often than limits.calls_per_second_per_key: send batches, or wait";
    ConnectError::new(ErrorCode::ResourceExhausted, says)
        .with_detail(detail("ErrorInfo", &info))
        .with_detail(detail("RetryInfo", &RetryInfo { retry_delay: delay, ..RetryInfo::default() }))
}

/// The error of a call that broke by a fault of ours; the log says more under the same trace.
pub(super) fn internal(trace: TraceId) -> ConnectError {
    let info = info("INTERNAL".to_owned(), trace);
    let says = format!("this call broke; the server's log says more under trace {}", asked::hex(trace));
    ConnectError::new(ErrorCode::Internal, says).with_detail(detail("ErrorInfo", &info))
}

fn info(reason: String, trace: TraceId) -> ErrorInfo {
    let mut info = ErrorInfo { reason, domain: DOMAIN.to_owned(), ..ErrorInfo::default() };
    info.metadata.insert("trace_id".to_owned(), asked::hex(trace));
    info
}

fn detail(name: &str, message: &impl buffa::Message) -> ErrorDetail {
    ErrorDetail::from_message(format!("google.rpc.{name}"), message)
}

fn violations(faults: &[FieldError], within: &str) -> BadRequest {
    let violation = |fault: &FieldError| FieldViolation {
        field: path(within, &fault.field),
        description: fault.problem.clone(),
        ..FieldViolation::default()
    };
    BadRequest { field_violations: faults.iter().map(violation).collect(), ..BadRequest::default() }
}

fn list(faults: &[FieldError], within: &str) -> String {
    let lines = faults.iter().map(|fault| format!("{}: {}", path(within, &fault.field), fault.problem));
    lines.collect::<Vec<_>>().join("; ")
}

/// The path of a field under another; names of the request itself stay what they are.
fn path(within: &str, field: &str) -> String {
    let of_request = [
        "tenant",
        "name",
        "sequence",
        "on-behalf-of",
        "enrollment_id",
        "scope",
        "reason",
        "only_new",
        "expected_revision",
    ];
    if within.is_empty() || of_request.contains(&field) {
        field.to_owned()
    } else {
        format!("{within}.{field}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use followupd_domain::Span;

    fn names(error: &ConnectError) -> Vec<&str> {
        error.details.iter().map(|detail| detail.type_url.as_str()).collect()
    }

    #[test]
    fn wrong_fields_are_listed_under_their_path() {
        let faults = vec![
            FieldError { field: "steps[1].wait".into(), problem: "no".into() },
            FieldError { field: "name".into(), problem: "empty".into() },
            FieldError { field: "only_new".into(), problem: "no".into() },
        ];
        let error = of(&Error::Invalid(faults), "sequence", TraceId(7));
        assert_eq!(error.code, ErrorCode::InvalidArgument);
        assert_eq!(error.message.as_deref(), Some("sequence.steps[1].wait: no; name: empty; only_new: no"));
        assert_eq!(names(&error), ["google.rpc.ErrorInfo", "google.rpc.BadRequest"]);
    }

    #[test]
    fn a_revision_that_moved_on_names_both() {
        let moved = Error::Mismatch { expected: Expected::Revision(7), found: Some(9) };
        let error = of(&moved, "", TraceId(7));
        assert_eq!(error.code, ErrorCode::Aborted);
        assert!(error.message.unwrap().contains("revision 9, not 7"));
        assert_eq!(error.details.len(), 1);
    }

    #[test]
    fn only_what_may_succeed_later_says_when() {
        let busy = of(&Error::Overloaded { retry_after: Span(1_500) }, "", TraceId(7));
        assert_eq!(names(&busy), ["google.rpc.ErrorInfo", "google.rpc.RetryInfo"]);
        let refused = Error::Refused { reason: "tenant_off", problem: "the tenant is off".into() };
        let refused = of(&refused, "", TraceId(7));
        assert_eq!(refused.code, ErrorCode::FailedPrecondition);
        assert_eq!(names(&refused), ["google.rpc.ErrorInfo"]);
    }
}
