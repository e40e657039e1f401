//! A CloudEvent (version 1.0) as one of ours: attributes and data, however they came.
//!
//! The mapping stands in `event.proto`. Attributes that are not known are extensions, and ignored as the
//! specification asks (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md>); keys of the data are
//! ours, so that one that is not known is refused with the near one.

use std::collections::BTreeMap;

use chrono::DateTime;
use followupd_domain::Moment;
use followupd_domain::name::nearest;
use followupd_domain::sequence::FieldError;
use followupd_domain::target::TargetKind;
use serde_json::{Map, Value};

use crate::rpc::show;
use followupd_proto::v1;

/// The one version there is.
const VERSION: &str = "1.0";

/// The attributes that mean something here.
const KNOWN: [&str; 7] = ["specversion", "id", "source", "type", "subject", "time", "datacontenttype"];

/// Those that every event has.
const REQUIRED: [&str; 4] = ["specversion", "id", "source", "type"];

/// The keys of the data: what `followupd.v1.Event` has besides its attributes.
const DATA: [&str; 6] = ["contact", "target", "text", "automatic", "profile", "channel"];

/// Kinds of what a subject names.
const SUBJECTS: [&str; 5] = ["contact", "conversation", "deal", "appointment", "charge"];

/// An event as it came.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    /// The known attributes, by name.
    attributes: BTreeMap<&'static str, String>,
    /// The data; `Null` where there is none.
    data: Value,
    faults: Vec<FieldError>,
}

impl Envelope {
    /// An event whose attributes and data are keys of one object (JSON event format, §3).
    pub(super) fn of_object(given: Value) -> Envelope {
        let mut envelope = Envelope::default();
        let Value::Object(mut given) = given else {
            envelope.fault("", "is no JSON object: give the attributes and `data` of one event");
            return envelope;
        };
        for name in KNOWN {
            match given.remove(name) {
                None | Some(Value::Null) => {}
                Some(Value::String(text)) => {
                    envelope.attributes.insert(name, text);
                }
                Some(_) => envelope.fault(name, "is no text: write it as a JSON string"),
            }
        }
        if given.contains_key("data_base64") {
            envelope.fault("data_base64", "is not read: give `data` as a JSON object");
        }
        envelope.data = given.remove("data").unwrap_or_default();
        envelope
    }

    /// An event whose attributes are `ce-` headers and whose data is the body (HTTP binding, §3.1).
    pub(super) fn of_headers<'a>(header: impl Fn(&str) -> Option<&'a [u8]>, body: &[u8]) -> Envelope {
        let mut envelope = Envelope::default();
        for name in KNOWN {
            // The content type of the request is that of the data, and was looked at before.
            let value = if name == "datacontenttype" { None } else { header(&format!("ce-{name}")) };
            match value.map(plain) {
                None => {}
                Some(Some(text)) => {
                    envelope.attributes.insert(name, text);
                }
                Some(None) => envelope.fault(name, "is no UTF-8: percent-encode what is not ASCII"),
            }
        }
        if !body.is_empty() {
            match serde_json::from_slice(body) {
                Ok(data) => envelope.data = data,
                Err(error) => envelope.fault("data", &format!("is no JSON: {error}")),
            }
        }
        envelope
    }

    fn fault(&mut self, field: &str, problem: &str) {
        self.faults.push(FieldError { field: field.to_owned(), problem: problem.to_owned() });
    }

    /// The event it says.
    ///
    /// # Errors
    /// Everything that is wrong with its attributes or with the shape of its data.
    pub(super) fn event(mut self) -> Result<v1::Event, Vec<FieldError>> {
        if !self.faults.is_empty() {
            return Err(self.faults);
        }
        for name in REQUIRED {
            if self.attributes.get(name).is_none_or(String::is_empty) {
                self.fault(name, "is missing: every event has specversion, id, source and type");
            }
        }
        if let Some(version) = self.attributes.get("specversion").filter(|version| *version != VERSION) {
            let problem = format!("is {version:?}: this server reads {VERSION:?}");
            self.fault("specversion", &problem);
        }
        let format = self.attributes.get("datacontenttype").cloned();
        if let Some(format) = format.filter(|format| !is_json(format)) {
            self.fault("datacontenttype", &format!("is {format:?}: give the data as \"application/json\""));
        }
        let mut event = self.take_data();
        let mut attribute = |name| self.attributes.remove(name).unwrap_or_default();
        (event.id, event.source, event.r#type) = (attribute("id"), attribute("source"), attribute("type"));
        let (time, subject) = (attribute("time"), attribute("subject"));
        self.take_time(&time, &mut event);
        self.take_subject(&subject, &mut event);
        if self.faults.is_empty() { Ok(event) } else { Err(self.faults) }
    }

    fn take_data(&mut self) -> v1::Event {
        let data = match std::mem::take(&mut self.data) {
            Value::Null => Map::new(),
            Value::Object(data) => data,
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                self.fault("data", "is no JSON object");
                return v1::Event::default();
            }
        };
        for key in data.keys().filter(|key| !DATA.contains(&key.as_str())) {
            let advice = match nearest(key, DATA) {
                Some(near) => format!("is unknown: did you mean {near:?}?"),
                None => format!("is unknown: there are {}", DATA.join(", ")),
            };
            self.faults.push(FieldError { field: format!("data.{key}"), problem: advice });
        }
        serde_json::from_value(Value::Object(data)).unwrap_or_else(|error| {
            self.fault("data", &format!("is not read: {error}"));
            v1::Event::default()
        })
    }

    fn take_time(&mut self, time: &str, event: &mut v1::Event) {
        match DateTime::parse_from_rfc3339(time) {
            Ok(at) => event.occurred_at = show::moment(Moment(at.timestamp_millis())),
            Err(_) if time.is_empty() => {}
            Err(_) => self.fault(
                "time",
                &format!("{time:?} is no RFC 3339 time: write one such as \"2026-03-01T09:30:00Z\""),
            ),
        }
    }

    /// The subject is whom or what the event is about, where its data does not say so.
    fn take_subject(&mut self, subject: &str, event: &mut v1::Event) {
        if subject.is_empty() {
            return;
        }
        let Some((kind, id)) = subject.split_once('/').filter(|(kind, _)| SUBJECTS.contains(kind)) else {
            let advice =
                format!("{subject:?} names nobody: write a kind and an id, {}/ID", SUBJECTS.join("/ID, "));
            self.fault("subject", &advice);
            return;
        };
        let said = if kind == TargetKind::Contact.word() {
            let said = std::mem::replace(&mut event.contact, id.to_owned());
            Some(said).filter(|said| !said.is_empty() && said != id)
        } else {
            let target = v1::Target { kind: kind.to_owned(), id: id.to_owned(), ..Default::default() };
            let said = std::mem::replace(&mut event.target, target.into()).into_option();
            said.filter(|said| said.kind != kind || said.id != id)
                .map(|said| format!("{}/{}", said.kind, said.id))
        };
        if let Some(said) = said {
            self.fault("subject", &format!("is {subject:?}, and the data says {said:?}: name it once"));
        }
    }
}

/// Whether data of this media type is JSON.
pub(super) fn is_json(media_type: &str) -> bool {
    let bare = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    bare == "application/json" || bare.ends_with("+json")
}

/// A header's value as text, percent-decoded (HTTP binding, §3.1.3.2).
fn plain(value: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *first == b'%').and_then(|pair| str::from_utf8(pair).ok());
        match digits.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(event: Result<v1::Event, Vec<FieldError>>) -> Vec<String> {
        event.unwrap_err().into_iter().map(|fault| fault.field).collect()
    }

    fn minimal() -> Value {
        json!({ "specversion": "1.0", "id": "1", "source": "inbox", "type": "message.received" })
    }

    fn with(name: &str, value: Value) -> Envelope {
        let mut event = minimal();
        event[name] = value;
        Envelope::of_object(event)
    }

    #[test]
    fn attributes_and_data_make_one_event() {
        let event = json!({ "specversion": "1.0", "id": "1", "source": "/inbox", "type": "message.received",
            "time": "2026-03-01T10:30:00.250+01:00", "subject": "contact/ana", "traceparent": "an extension",
            "data": { "text": "stop", "profile": { "timeZone": "UTC" } } });
        let event = Envelope::of_object(event).event().unwrap();
        assert_eq!((event.id.as_str(), event.source.as_str()), ("1", "/inbox"));
        assert_eq!((event.contact.as_str(), event.text.as_str()), ("ana", "stop"));
        let at = event.occurred_at.into_option().map(|at| show::moment_of(&at));
        assert_eq!(at, Some(Moment(1_772_357_400_250)));
        assert_eq!(event.profile.into_option().unwrap().time_zone, "UTC");
    }

    #[test]
    fn a_subject_names_a_contact_or_a_target() {
        let event = with("subject", json!("charge/a/b")).event().unwrap();
        let target = event.target.into_option().unwrap();
        assert_eq!((target.kind.as_str(), target.id.as_str()), ("charge", "a/b"));
        assert_eq!(fields(with("subject", json!("ana")).event()), ["subject"]);
        let mut twice = minimal();
        twice["subject"] = json!("contact/ana");
        twice["data"] = json!({ "contact": "bo" });
        assert_eq!(fields(Envelope::of_object(twice.clone()).event()), ["subject"]);
        twice["data"] = json!({ "contact": "ana" });
        assert_eq!(Envelope::of_object(twice).event().unwrap().contact, "ana");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let all = fields(Envelope::of_object(json!({ "specversion": "0.3" })).event());
        assert_eq!(all, ["id", "source", "type", "specversion"]);
        assert_eq!(fields(Envelope::of_object(json!([])).event()), [""]);
        assert_eq!(fields(with("id", json!(7)).event()), ["id"]);
        assert_eq!(fields(with("time", json!("yesterday")).event()), ["time"]);
        assert_eq!(fields(with("datacontenttype", json!("text/xml")).event()), ["datacontenttype"]);
        assert_eq!(fields(with("data_base64", json!("AA==")).event()), ["data_base64"]);
        assert_eq!(fields(with("data", json!("text")).event()), ["data"]);
        let near = with("data", json!({ "contct": "ana" })).event().unwrap_err();
        assert!(near[0].field == "data.contct" && near[0].problem.contains("\"contact\""), "{near:?}");
    }

    #[test]
    fn headers_are_percent_decoded() {
        assert_eq!(plain(b"Euro%20%E2%82%AC"), Some("Euro €".to_owned()));
        assert_eq!(plain(b"100%"), Some("100%".to_owned()));
        assert_eq!(plain(b"%FF"), None);
        let header = |name: &str| match name {
            "ce-specversion" => Some(&b"1.0"[..]),
            "ce-id" => Some(&b"%31"[..]),
            "ce-source" => Some(&b"inbox"[..]),
            "ce-type" => Some(&b"message.received"[..]),
            _ => None,
        };
        let event = Envelope::of_headers(header, br#"{"contact":"ana"}"#).event().unwrap();
        assert_eq!((event.id.as_str(), event.contact.as_str()), ("1", "ana"));
        assert_eq!(fields(Envelope::of_headers(header, b"{").event()), ["data"]);
    }
}
