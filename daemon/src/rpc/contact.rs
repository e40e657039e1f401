//! `ContactService`.

use buffa::MessageField;
use connectrpc::{RequestContext, Response, ServiceRequest, ServiceResult};
use followupd_domain::channel::Kind;
use followupd_domain::contact::Membership;
use followupd_domain::name::not_one_of;
use followupd_domain::suppression::Address;
use followupd_domain::{Moment, SendId, name};
use followupd_runtime::{Caller, Error, Known, Person, Whom};
use tracing::Instrument;

use crate::contacts::{email_problem, phone_problem};
use crate::limits;
use crate::rpc::asked::Asked;
use crate::rpc::show::Show;
use crate::rpc::take::{self, Faults};
use crate::rpc::{Service, page, refusal, show, timeline};
use followupd_proto::v1;

/// Contacts.
pub(super) struct Contacts(pub(super) Service);

impl v1::ContactService for Contacts {
    async fn get_contact(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::GetContactRequest>,
    ) -> ServiceResult<v1::GetContactResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let found = async {
            let person = self.0.engine.contact(&caller, request.tenant, request.contact).await?;
            let show = self.0.show(&caller, request.tenant).await?;
            Ok(contact(&show, &person))
        };
        let found = found.instrument(span).await;
        let contact = found.map_err(|error: Error| refusal::of(&error, "", caller.trace))?;
        Response::ok(v1::GetContactResponse { contact: contact.into(), ..Default::default() })
    }

    async fn suppress(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::SuppressRequest>,
    ) -> ServiceResult<v1::SuppressResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let stopped = async {
            let (whom, kind) = whom(request.contact, request.address, request.kind, request.reason)?;
            self.0.engine.suppress(&caller, request.tenant, whom, kind, request.reason).await
        };
        let stopped = stopped.instrument(span).await;
        let stopped = stopped.map_err(|error| refusal::of(&error, "", caller.trace))?;
        Response::ok(v1::SuppressResponse {
            exited_enrollment_ids: stopped.exited.iter().map(ToString::to_string).collect(),
            in_flight_send_ids: self.0.sends(&stopped.in_flight),
            ..Default::default()
        })
    }

    async fn lift(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::LiftRequest>,
    ) -> ServiceResult<v1::LiftResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let lifted = async {
            let (whom, kind) = whom(request.contact, request.address, request.kind, "")?;
            self.0.engine.lift(&caller, request.tenant, whom, kind).await
        };
        let changed = lifted.instrument(span).await.map_err(|error| refusal::of(&error, "", caller.trace))?;
        Response::ok(v1::LiftResponse { changed, ..Default::default() })
    }

    async fn export_contact(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::ExportContactRequest>,
    ) -> ServiceResult<v1::ExportContactResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let found = self.0.export(&caller, request.to_owned_message()).instrument(span).await;
        Response::ok(found.map_err(|error| refusal::of(&error, "", caller.trace))?)
    }

    async fn erase(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, v1::EraseRequest>,
    ) -> ServiceResult<v1::EraseResponse> {
        let Asked { caller, span } = Asked::of(&ctx)?;
        let erased = self.0.engine.erase(&caller, request.tenant, request.contact).instrument(span).await;
        let erased = erased.map_err(|error| refusal::of(&error, "", caller.trace))?;
        Response::ok(v1::EraseResponse {
            pseudonym: erased.pseudonym,
            enrollments: u32::try_from(erased.enrollments).unwrap_or(u32::MAX),
            in_flight_send_ids: self.0.sends(&erased.in_flight),
            ..Default::default()
        })
    }
}

impl Service {
    /// What it takes to show the things of a tenant.
    async fn show(&self, caller: &Caller, tenant: &str) -> Result<Show<'_>, Error> {
        let names = self.engine.names(caller, tenant).await?;
        Ok(Show { engine: &self.engine, names, now: self.env.wall() })
    }

    fn sends(&self, sends: &[SendId]) -> Vec<String> {
        sends.iter().map(|send| self.engine.send_text(*send)).collect()
    }

    async fn export(
        &self,
        caller: &Caller,
        request: v1::ExportContactRequest,
    ) -> Result<v1::ExportContactResponse, Error> {
        let (engine, tenant) = (&self.engine, request.tenant.as_str());
        let list = format!("export/{tenant}/{}", request.contact);
        let size = page::size(request.page_size)?;
        let from = page::place(engine, &list, &request.page_token)?;
        let found = engine.export_contact(caller, tenant, &request.contact, from.as_deref(), size).await?;
        let show = self.show(caller, tenant).await?;
        let enrollments = found.timelines.iter().map(|one| v1::ExportedEnrollment {
            enrollment: show.enrollment(&one.enrollment).into(),
            entries: timeline::entries(&show, &one.history),
            ..Default::default()
        });
        Ok(v1::ExportContactResponse {
            contact: contact(&show, &found.person).into(),
            enrollments: enrollments.collect(),
            next_page_token: found.next.map(|next| page::token(engine, &list, &next)).unwrap_or_default(),
            ..Default::default()
        })
    }
}

/// Whom and what a suppression is about.
fn whom(contact: &str, address: &str, kind: &str, reason: &str) -> Result<(Whom, Option<Kind>), Error> {
    let mut faults = Faults::default();
    let parsed = Kind::parse(kind);
    if parsed.is_none() && !kind.is_empty() {
        faults.add("kind", not_one_of(kind, &Kind::ALL.map(Kind::word)));
    }
    let (length, most) = (reason.chars().count(), limits::SUPPRESSION_REASON_CHARS);
    if length > most {
        faults.add("reason", format!("has {length} characters: at most {most} are allowed"));
    }
    let whom = match (contact, address) {
        ("", "") => {
            faults.add("contact", "is empty, and so is address: name one of them");
            None
        }
        ("", address) => self::address(address, &mut faults),
        (contact, "") => {
            if let Err(error) = name::check_id(contact) {
                faults.add("contact", error);
            }
            Some(Whom::Contact(contact.to_owned()))
        }
        _ => {
            faults.add("address", "is given beside contact: name one of them");
            None
        }
    };
    let whom = faults.or(whom).map_err(Error::Invalid)?;
    let whom = whom.ok_or_else(|| take::invalid("contact", "names nobody"))?;
    Ok((whom, parsed))
}

/// A mailbox has an `@`; all else is a number.
fn address(text: &str, faults: &mut Faults) -> Option<Whom> {
    let (address, problem) = if text.contains('@') {
        (Address::Email(text.to_owned()), email_problem(text))
    } else {
        (Address::Phone(text.to_owned()), phone_problem(text))
    };
    if let Some(problem) = problem {
        faults.add("address", problem);
        return None;
    }
    Some(Whom::Address(address))
}

fn contact(show: &Show<'_>, person: &Person) -> v1::Contact {
    let known = &person.contact;
    let text = |given: &Option<String>| given.clone().unwrap_or_default();
    let profile = v1::Profile {
        name: text(&known.name),
        email: text(&known.email),
        phone: text(&known.phone),
        time_zone: known.zone.map(|zone| zone.name().to_owned()).unwrap_or_default(),
        attributes: known.attributes.clone().into_iter().collect(),
        ..Default::default()
    };
    v1::Contact {
        id: person.id.clone(),
        profile: profile.into(),
        last_inbound_at: known.last_inbound_at().map_or_else(MessageField::none, show::moment),
        suppressions: person.suppressions.iter().map(suppression).collect(),
        enrollments: known.enrollments.iter().map(|one| membership(show, one)).collect(),
        pseudonym: person.pseudonym.clone(),
        unusable: known.unusable_until.iter().map(unusable).collect(),
        ..Default::default()
    }
}

fn unusable((kind, until): (&Kind, &Moment)) -> v1::Unusable {
    v1::Unusable { kind: kind.word().to_owned(), until: show::moment(*until), ..Default::default() }
}

fn suppression(known: &Known) -> v1::Suppression {
    let line = v1::Suppression {
        kind: known.kind.word().to_owned(),
        by_address: known.by_address,
        ..Default::default()
    };
    match &known.suppression {
        None => line,
        Some(why) => v1::Suppression {
            since: show::moment(why.since),
            why: why.why.word().to_owned(),
            by: why.by.clone(),
            reason: why.reason.clone(),
            ..line
        },
    }
}

fn membership(show: &Show<'_>, known: &Membership) -> v1::ContactEnrollment {
    v1::ContactEnrollment {
        enrollment_id: known.enrollment.to_string(),
        sequence: show.sequence(known.sequence),
        target: known.target.as_ref().map(show::target).map_or_else(MessageField::none, MessageField::some),
        ended_at: known.ended.map_or_else(MessageField::none, |ended| show::moment(ended.at)),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(contact: &str, address: &str, kind: &str, reason: &str) -> (String, String) {
        match whom(contact, address, kind, reason) {
            Err(Error::Invalid(faults)) => (faults[0].field.clone(), faults[0].problem.clone()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_suppression_names_a_contact_or_an_address_and_a_known_kind() {
        let (ana, kind) = whom("ana", "", "", "").unwrap();
        assert_eq!((ana, kind), (Whom::Contact("ana".into()), None));
        let (mailbox, kind) = whom("", "ana@mail.example", "email", "").unwrap();
        assert_eq!(mailbox, Whom::Address(Address::Email("ana@mail.example".into())));
        assert_eq!(kind, Some(Kind::Email));
        let long = "x".repeat(201);
        for (contact, address, kind, reason, field, says) in [
            ("", "", "", "", "contact", "name one of them"),
            ("ana", "+15550100", "", "", "address", "name one of them"),
            ("", "ana", "", "", "address", "+"),
            ("", "ana@", "", "", "address", "@"),
            ("ana", "", "emial", "", "kind", "\"email\""),
            ("ana", "", "", &long, "reason", "200"),
            ("a\nb", "", "", "", "contact", "control"),
        ] {
            let (found, problem) = fault(contact, address, kind, reason);
            assert_eq!(found, field, "{problem}");
            assert!(problem.contains(says), "{problem}");
        }
    }
}
