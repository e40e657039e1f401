//! Lists of enrollments: filters as messages, and pages as answers.

use followupd_domain::enrollment::{ExitReason, SendStatus, State};
use followupd_domain::filter::Filter;
use followupd_domain::name::not_one_of;
use followupd_runtime::{Caller, Error};

use crate::rpc::take::{self, Faults};
use crate::rpc::{Service, page, show};
use followupd_proto::v1;

impl Service {
    /// A page of the enrollments that pass a filter.
    pub(super) async fn enrollments(
        &self,
        caller: &Caller,
        request: v1::ListEnrollmentsRequest,
    ) -> Result<v1::ListEnrollmentsResponse, Error> {
        let (engine, tenant) = (&self.engine, request.tenant.as_str());
        let given = request.filter.into_option().unwrap_or_default();
        let sequence = Some(given.sequence.clone()).filter(|sequence| !sequence.is_empty());
        let filter = filter(given)?;
        let list = format!("enrollments/{tenant}/{sequence:?}/{filter:?}");
        let size = page::size(request.page_size)?;
        let from = page::place(engine, &list, &request.page_token)?;
        let found =
            engine.enrollments(caller, tenant, sequence.as_deref(), filter, from.as_deref(), size).await?;
        let names = engine.names(caller, tenant).await?;
        let show = show::Show { engine, names, now: self.env.wall() };
        Ok(v1::ListEnrollmentsResponse {
            enrollments: found.enrollments.iter().map(|enrollment| show.enrollment(enrollment)).collect(),
            next_page_token: found.next.map(|next| page::token(engine, &list, &next)).unwrap_or_default(),
            ..Default::default()
        })
    }

    /// A page of the quarantined enrollments.
    pub(super) async fn quarantined(
        &self,
        caller: &Caller,
        request: v1::ListQuarantinedRequest,
    ) -> Result<v1::ListQuarantinedResponse, Error> {
        let (engine, tenant) = (&self.engine, request.tenant.as_str());
        let list = format!("quarantined/{tenant}");
        let size = page::size(request.page_size)?;
        let from = page::place(engine, &list, &request.page_token)?;
        let found = engine.quarantined(caller, tenant, from, size).await?;
        Ok(v1::ListQuarantinedResponse {
            enrollment_ids: found.ids.iter().map(ToString::to_string).collect(),
            next_page_token: found.next.map(|next| page::token(engine, &list, &next)).unwrap_or_default(),
            ..Default::default()
        })
    }
}

/// A filter, without its sequence, whose number only the engine knows.
fn filter(given: v1::EnrollmentFilter) -> Result<Filter, Error> {
    let mut faults = Faults::default();
    let state = State::WORDS.into_iter().find(|word| *word == given.state);
    if state.is_none() && !given.state.is_empty() {
        faults.add("filter.state", not_one_of(&given.state, &State::WORDS));
    }
    let reason = ExitReason::parse(&given.exit_reason);
    if reason.is_none() && !given.exit_reason.is_empty() {
        let known = ExitReason::ALL.map(ExitReason::word);
        faults.add("filter.exit_reason", not_one_of(&given.exit_reason, &known));
    }
    let contact = Some(given.contact).filter(|contact| !contact.is_empty());
    if let Some(contact) = &contact {
        faults.id("filter.contact", contact);
    }
    let mut of_target = Faults::default();
    let target = take::target(given.target.into_option(), &mut of_target);
    if let Err(all) = of_target.or(()) {
        all.into_iter().for_each(|fault| faults.add(&format!("filter.{}", fault.field), fault.problem));
    }
    let due_from = given.due_from.into_option().map(|at| show::moment_of(&at));
    let due_until = given.due_until.into_option().map(|at| show::moment_of(&at));
    if due_from.zip(due_until).is_some_and(|(from, until)| from >= until) {
        faults.add("filter.due_until", "is not after due_from: give a later moment, or leave one out");
    }
    let send_status = SendStatus::WORDS.into_iter().find(|word| *word == given.send_status);
    if send_status.is_none() && !given.send_status.is_empty() {
        faults.add("filter.send_status", not_one_of(&given.send_status, &SendStatus::WORDS));
    }
    let filter = Filter { sequence: None, state, contact, target, reason, due_from, due_until, send_status };
    faults.or(filter).map_err(Error::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use buffa_types::google::protobuf::Timestamp;

    fn fields(given: v1::EnrollmentFilter) -> Vec<String> {
        let Error::Invalid(faults) = filter(given).unwrap_err() else { return Vec::new() };
        faults.into_iter().map(|fault| format!("{}: {}", fault.field, fault.problem)).collect()
    }

    #[test]
    fn an_empty_filter_leaves_nothing_out() {
        assert_eq!(filter(v1::EnrollmentFilter::default()).unwrap(), Filter::default());
    }

    #[test]
    fn every_fault_of_a_filter_is_found_at_once_and_near_words_are_named() {
        let at = |seconds| Timestamp::from_unix(seconds, 0).into();
        let target = v1::Target { kind: "chrage".into(), id: "ch-1".into(), ..Default::default() };
        let found = fields(v1::EnrollmentFilter {
            state: "activ".into(),
            exit_reason: "reply".into(),
            contact: "x".repeat(129),
            target: target.into(),
            due_from: at(9),
            due_until: at(9),
            ..Default::default()
        });
        let begins = [
            "filter.state",
            "filter.exit_reason",
            "filter.contact",
            "filter.target.kind",
            "filter.due_until",
        ];
        assert_eq!(found.len(), begins.len(), "{found:?}");
        assert!(found.iter().zip(begins).all(|(fault, field)| fault.starts_with(field)), "{found:?}");
        assert!(found[0].contains("\"active\"") && found[3].contains("\"charge\""), "{found:?}");
    }
}
