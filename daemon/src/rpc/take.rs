//! From messages to the engine's values; what is wrong with a message alone is found here, all of it at once.

use std::collections::BTreeMap;

use followupd_domain::calendar::Zone;
use followupd_domain::channel::Kind;
use followupd_domain::decide::enroll::{Profile, Request};
use followupd_domain::decide::outcome::Receipt;
use followupd_domain::decision::Source;
use followupd_domain::event::{Event, EventKey, EventKind};
use followupd_domain::limits::{ATTRIBUTE_BYTES, BATCH_ITEMS};
use followupd_domain::name::{check_id, not_one_of};
use followupd_domain::sequence::FieldError;
use followupd_domain::target::{TargetKind, TargetRef};
use followupd_domain::{EnrollmentId, Moment, SendId};
use followupd_runtime::{Error, EventCall, ReceiptCall};

use crate::limits::CODE_BYTES;
use crate::rpc::show;
use followupd_proto::v1;

/// Everything that is wrong with one message.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<FieldError>);

impl Faults {
    pub(super) fn add(&mut self, field: &str, problem: impl ToString) {
        self.0.push(FieldError { field: field.to_owned(), problem: problem.to_string() });
    }

    pub(super) fn id(&mut self, field: &str, text: &str) {
        if let Err(error) = check_id(text) {
            self.add(field, error);
        }
    }

    pub(super) fn or<T>(self, value: T) -> Result<T, Vec<FieldError>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
    }
}

/// One wrong field.
pub(super) fn invalid(field: &str, problem: &str) -> Error {
    Error::Invalid(vec![FieldError { field: field.to_owned(), problem: problem.to_owned() }])
}

/// Checks the number of items in a batch.
pub(super) fn batch_size(field: &str, items: usize) -> Result<(), Error> {
    match items {
        0 => Err(invalid(field, &format!("holds none: give 1 to {BATCH_ITEMS}"))),
        1..=BATCH_ITEMS => Ok(()),
        _ => Err(invalid(field, &format!("holds {items}: at most {BATCH_ITEMS} are allowed"))),
    }
}

/// An enrollment's id.
pub(super) fn enrollment_id(text: &str) -> Result<EnrollmentId, Error> {
    text.parse()
        .map_err(|error: followupd_domain::ids::ParseIdError| invalid("enrollment_id", &error.to_string()))
}

/// What enrolls.
pub(super) fn source(given: buffa::EnumValue<v1::Source>) -> Result<Source, Error> {
    match given.as_known() {
        Some(v1::Source::Manual) => Ok(Source::Manual),
        Some(v1::Source::Unspecified | v1::Source::Api) => Ok(Source::Api),
        None => Err(invalid("source", "is none this version knows: SOURCE_API or SOURCE_MANUAL")),
    }
}

/// A wish to enroll.
pub(super) fn enroll(given: v1::Enroll, source: Source, by: &str) -> Result<Request, Vec<FieldError>> {
    let mut faults = Faults::default();
    faults.id("contact", &given.contact);
    let target_attributes = attributes("target_attributes", given.target_attributes, &mut faults);
    let target = target(given.target.into_option(), &mut faults);
    if target.is_none() && !target_attributes.is_empty() {
        faults.add("target_attributes", "are given without a target: name it, or give profile.attributes");
    }
    let profile = profile(given.profile.into_option().unwrap_or_default(), &mut faults);
    faults.or(Request {
        contact: given.contact,
        profile,
        target,
        target_attributes,
        source,
        by: by.to_owned(),
    })
}

/// An event; `now` is when it happened, where it does not say.
pub(super) fn event(given: v1::Event, now: Moment) -> Result<EventCall, Vec<FieldError>> {
    let mut faults = Faults::default();
    faults.id("source", &given.source);
    faults.id("id", &given.id);
    let kind = EventKind::parse(&given.r#type).unwrap_or_else(|refusal| {
        faults.add("type", refusal);
        EventKind::MessageReceived
    });
    let contact = Some(given.contact).filter(|contact| !contact.is_empty());
    if let Some(contact) = &contact {
        faults.id("contact", contact);
    }
    let event = Event {
        key: EventKey { source: given.source, id: given.id },
        kind,
        occurred_at: given.occurred_at.into_option().map_or(now, |at| show::moment_of(&at)),
        contact,
        target: target(given.target.into_option(), &mut faults),
        text: given.text,
        automatic: given.automatic,
        channel: channel(&given.channel, &mut faults),
    };
    let profile = profile(given.profile.into_option().unwrap_or_default(), &mut faults);
    if faults.0.is_empty()
        && let Err(refusal) = event.check(now)
    {
        let field = match refusal {
            followupd_domain::event::Refusal::NoSubject { .. } => "target",
            followupd_domain::event::Refusal::Ahead | followupd_domain::event::Refusal::TooOld { .. } => {
                "occurred_at"
            }
            followupd_domain::event::Refusal::UnknownType { .. } => "type",
        };
        faults.add(field, refusal);
    }
    faults.or(EventCall { event, profile })
}

/// A receipt; `send_of` reads the text of a send's id.
pub(super) fn receipt(
    given: v1::Receipt,
    send_of: impl Fn(&str) -> Option<SendId>,
) -> Result<ReceiptCall, Vec<FieldError>> {
    let mut faults = Faults::default();
    let send = send_of(&given.send_id);
    if send.is_none() {
        faults.add("send_id", format!("{:?} is no id of a send of ours: give snd_…", given.send_id));
    }
    let receipt = RECEIPTS.iter().find(|(word, _)| *word == given.status).map(|(_, receipt)| *receipt);
    if receipt.is_none() {
        let words = RECEIPTS.map(|(word, _)| word).join(", ");
        faults.add("status", format!("{:?} is none: give one of {words}", given.status));
    }
    if given.code.len() > CODE_BYTES {
        faults.add("code", format!("has {} bytes: at most {CODE_BYTES} are allowed", given.code.len()));
    }
    if !given.code.is_empty() && receipt.is_some_and(|receipt| receipt != Receipt::Failed(None)) {
        faults.add("code", "goes with the status failed: leave it out");
    }
    let address = Some(given.address).filter(|address| !address.is_empty());
    if let Some(address) = &address {
        faults.id("address", address);
    }
    let at = given.occurred_at.into_option().map(|at| show::moment_of(&at));
    match (send, receipt) {
        (Some(send), Some(receipt)) => {
            faults.or(ReceiptCall { send, receipt, code: given.code, address, at })
        }
        _ => Err(faults.0),
    }
}

/// What a receipt can say.
const RECEIPTS: [(&str, Receipt); 4] = [
    ("sent", Receipt::Sent),
    ("delivered", Receipt::Delivered),
    ("read", Receipt::Read),
    ("failed", Receipt::Failed(None)),
];

fn channel(given: &str, faults: &mut Faults) -> Option<Kind> {
    let kind = Kind::parse(given);
    if kind.is_none() && !given.is_empty() {
        faults.add("channel", not_one_of(given, &Kind::ALL.map(Kind::word)));
    }
    kind
}

pub(super) fn target(given: Option<v1::Target>, faults: &mut Faults) -> Option<TargetRef> {
    let given = given?;
    faults.id("target.id", &given.id);
    let Some(kind) = TargetKind::parse(&given.kind) else {
        faults.add("target.kind", not_one_of(&given.kind, &TargetKind::ALL.map(TargetKind::word)));
        return None;
    };
    Some(TargetRef { kind, id: given.id })
}

fn profile(given: v1::Profile, faults: &mut Faults) -> Profile {
    let known = |text: String| Some(text).filter(|text| !text.is_empty());
    let zone = known(given.time_zone)
        .and_then(|name| Zone::parse(&name).map_err(|error| faults.add("profile.time_zone", error)).ok());
    let email = known(given.email);
    if let Some(problem) = email.as_deref().and_then(crate::contacts::email_problem) {
        faults.add("profile.email", problem);
    }
    let phone = known(given.phone);
    if let Some(problem) = phone.as_deref().and_then(crate::contacts::phone_problem) {
        faults.add("profile.phone", problem);
    }
    let attributes = attributes("profile.attributes", given.attributes, faults);
    Profile { name: known(given.name), email, phone, zone, attributes }
}

fn attributes(
    field: &str,
    given: impl IntoIterator<Item = (String, String)>,
    faults: &mut Faults,
) -> BTreeMap<String, String> {
    let given: BTreeMap<String, String> = given.into_iter().collect();
    let bytes: usize = given.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > ATTRIBUTE_BYTES {
        faults.add(field, format!("have {bytes} bytes: at most {ATTRIBUTE_BYTES} are allowed"));
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(faults: Vec<FieldError>) -> Vec<String> {
        faults.into_iter().map(|fault| fault.field).collect()
    }

    fn enroll_of(given: v1::Enroll) -> Result<Request, Vec<String>> {
        enroll(given, Source::Api, "test").map_err(fields)
    }

    #[test]
    fn every_fault_of_a_wish_is_found_at_once() {
        let profile = v1::Profile {
            email: "nobody".into(),
            time_zone: "Europe/Berln".into(),
            phone: "0171".into(),
            ..Default::default()
        };
        let target = v1::Target { kind: "charges".into(), id: String::new(), ..Default::default() };
        let given = v1::Enroll { profile: profile.into(), target: target.into(), ..Default::default() };
        let found = enroll_of(given).unwrap_err();
        let all =
            ["contact", "target.id", "target.kind", "profile.time_zone", "profile.email", "profile.phone"];
        assert_eq!(found, all);
    }

    #[test]
    fn empty_texts_say_nothing_about_the_contact() {
        let request = enroll_of(v1::Enroll { contact: "ana".into(), ..Default::default() }).unwrap();
        assert_eq!(request.profile, Profile::default());
        assert_eq!(request.target, None);
    }

    #[test]
    fn an_event_without_a_moment_happened_now() {
        let given = v1::Event {
            source: "inbox".into(),
            id: "1".into(),
            r#type: "message.received".into(),
            contact: "ana".into(),
            ..Default::default()
        };
        let call = event(given.clone(), Moment(5_000)).unwrap();
        assert_eq!(call.event.occurred_at, Moment(5_000));
        let lost = v1::Event { contact: String::new(), ..given.clone() };
        assert_eq!(fields(event(lost, Moment(5_000)).unwrap_err()), ["target"]);
        let unknown = v1::Event { r#type: "message.recieved".into(), ..given };
        let faults = event(unknown, Moment(5_000)).unwrap_err();
        assert!(faults[0].problem.contains("message.received"), "{faults:?}");
    }

    #[test]
    fn a_batch_has_one_to_a_thousand_items() {
        assert!(batch_size("enrolls", 0).is_err());
        assert!(batch_size("enrolls", 1_000).is_ok());
        assert!(batch_size("enrolls", 1_001).is_err());
    }
}
