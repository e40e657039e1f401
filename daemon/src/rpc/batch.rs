//! Batches: what is wrong with one item is its own result and does not stop the others.

use std::future::Future;

use followupd_domain::sequence::FieldError;
use followupd_runtime::{EnrollAnswer, Error, EventAnswer, ReceiptAnswer};

use crate::rpc::show;
use followupd_proto::v1;

/// What became of one item: the engine's answer, or what is wrong with it.
pub(super) type Answered<A> = Result<A, Vec<FieldError>>;

/// Asks for the items that are right, and puts the answers back in the places of their items. It asks for none as well:
/// whether the caller may ask at all is found there.
///
/// # Errors
/// Those of the call; nothing is known of any item then.
pub(super) async fn ask<I, A, F>(
    items: Vec<Result<I, Vec<FieldError>>>,
    call: impl FnOnce(Vec<I>) -> F,
) -> Result<Vec<Answered<A>>, Error>
where
    F: Future<Output = Result<Vec<A>, Error>>,
{
    let mut right = Vec::with_capacity(items.len());
    let places: Vec<Result<(), Vec<FieldError>>> =
        items.into_iter().map(|item| item.map(|item| right.push(item))).collect();
    let asked = right.len();
    let answers = call(right).await?;
    if answers.len() != asked {
        return Err(Error::Unavailable(format!("{} answers to {asked} items", answers.len())));
    }
    let mut answers = answers.into_iter();
    Ok(places.into_iter().map(|place| place.and_then(|()| answers.next().ok_or_else(Vec::new))).collect())
}

/// The result of one wish to enroll.
pub(super) fn enroll_result(answered: Answered<EnrollAnswer>) -> v1::EnrollResult {
    match answered {
        Ok(EnrollAnswer::Enrolled { id, first_send_not_before }) => v1::EnrollResult {
            outcome: v1::EnrollOutcome::Enrolled.into(),
            enrollment_id: id.to_string(),
            first_send_not_before: show::moment(first_send_not_before),
            ..Default::default()
        },
        Ok(EnrollAnswer::AlreadyEnrolled { id }) => v1::EnrollResult {
            outcome: v1::EnrollOutcome::AlreadyEnrolled.into(),
            enrollment_id: id.to_string(),
            ..Default::default()
        },
        Ok(EnrollAnswer::Refused { reason, problem }) => enroll_refused(reason, problem),
        Err(faults) => enroll_refused("invalid", list(&faults)),
    }
}

fn enroll_refused(reason: &str, problem: String) -> v1::EnrollResult {
    let outcome = v1::EnrollOutcome::Refused.into();
    v1::EnrollResult { outcome, reason: reason.to_owned(), problem, ..Default::default() }
}

/// The result of one event; `send_text` writes a send's id.
pub(super) fn event_result(
    answered: Answered<EventAnswer>,
    send_text: impl Fn(followupd_domain::SendId) -> String,
) -> v1::EventResult {
    match answered {
        Ok(EventAnswer::Accepted { exited, in_flight }) => {
            let exited = exited.into_iter().map(|(id, reason)| v1::Exited {
                enrollment_id: id.to_string(),
                reason: reason.word().to_owned(),
                ..Default::default()
            });
            v1::EventResult {
                outcome: v1::EventOutcome::Accepted.into(),
                exited: exited.collect(),
                in_flight_send_ids: in_flight.into_iter().map(send_text).collect(),
                ..Default::default()
            }
        }
        Ok(EventAnswer::Duplicate) => {
            v1::EventResult { outcome: v1::EventOutcome::Duplicate.into(), ..Default::default() }
        }
        Ok(EventAnswer::Refused { reason, problem }) => event_refused(reason, problem),
        Err(faults) => event_refused("invalid", list(&faults)),
    }
}

fn event_refused(reason: &str, problem: String) -> v1::EventResult {
    let outcome = v1::EventOutcome::Refused.into();
    v1::EventResult { outcome, reason: reason.to_owned(), problem, ..Default::default() }
}

/// The result of one receipt.
pub(super) fn receipt_result(answered: Answered<ReceiptAnswer>) -> v1::ReceiptResult {
    let of =
        |outcome: v1::ReceiptOutcome| v1::ReceiptResult { outcome: outcome.into(), ..Default::default() };
    let refused = |reason: &str, problem| v1::ReceiptResult {
        reason: reason.to_owned(),
        problem,
        ..of(v1::ReceiptOutcome::Refused)
    };
    match answered {
        Ok(ReceiptAnswer::Taken { changed: true }) => of(v1::ReceiptOutcome::TakenIn),
        Ok(ReceiptAnswer::Taken { changed: false }) => of(v1::ReceiptOutcome::Unchanged),
        Ok(ReceiptAnswer::Unknown) => {
            refused("not_found", "send_id: the tenant has no such send, or no longer".to_owned())
        }
        Err(faults) => refused("invalid", list(&faults)),
    }
}

fn list(faults: &[FieldError]) -> String {
    let lines = faults.iter().map(|fault| format!("{}: {}", fault.field, fault.problem));
    lines.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(field: &str) -> Vec<FieldError> {
        vec![FieldError { field: field.into(), problem: "no".into() }]
    }

    #[tokio::test]
    async fn answers_stand_in_the_places_of_their_items() {
        let items = vec![Ok(1), Err(wrong("a")), Ok(3)];
        let answers =
            ask(items, |right| async move { Ok(right.into_iter().map(|n| n * 10).collect()) }).await;
        assert_eq!(answers.unwrap(), [Ok(10), Err(wrong("a")), Ok(30)]);
    }

    #[tokio::test]
    async fn who_may_not_ask_is_told_so_whatever_is_wrong_with_the_items() {
        let items = || -> Vec<Result<u8, _>> { vec![Err(wrong("a"))] };
        let not_found = || Error::NotFound { what: "tenant", name: "acme".into() };
        let answers: Result<Vec<Answered<u8>>, Error> = ask(items(), |_| async { Err(not_found()) }).await;
        assert!(matches!(answers, Err(Error::NotFound { .. })), "{answers:?}");
        let answers = ask(items(), |right| async { Ok(right) }).await;
        assert_eq!(answers.unwrap(), [Err(wrong("a"))]);
    }

    #[tokio::test]
    async fn a_call_that_answers_too_little_is_an_error() {
        let answers: Result<Vec<Answered<u8>>, Error> =
            ask(vec![Ok(1), Ok(2)], |_| async { Ok(vec![1]) }).await;
        assert!(answers.is_err());
    }

    #[test]
    fn a_wrong_item_is_refused_as_invalid_with_its_fields() {
        let result = enroll_result(Err(wrong("contact")));
        assert_eq!(result.outcome, v1::EnrollOutcome::Refused);
        assert_eq!((result.reason.as_str(), result.problem.as_str()), ("invalid", "contact: no"));
    }
}
