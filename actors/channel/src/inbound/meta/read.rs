//! The bodies of WhatsApp's webhooks. Fields that are not known are passed by: Meta adds them without notice.

use followupd_domain::Moment;
use serde_json::Value;

use super::super::{Choice, Inbound, May, Receipt, Said, Status, Template, Wants, Wrong};

/// The whole of a body.
pub(super) fn body(bytes: &[u8]) -> Result<Vec<Inbound>, Wrong> {
    let body: Value = serde_json::from_slice(bytes).map_err(|_| wrong("body", "JSON"))?;
    if body.get("object").and_then(Value::as_str) != Some("whatsapp_business_account") {
        return Err(wrong("object", "whatsapp_business_account"));
    }
    let entries = body.get("entry").and_then(Value::as_array).ok_or_else(|| wrong("entry", "a list"))?;
    let mut told = Vec::new();
    for (n, entry) in entries.iter().enumerate() {
        let changes = list(entry, "changes", &format!("entry[{n}]"), &mut told);
        for (change, at) in changes {
            let value = change.get("value").unwrap_or(&Value::Null);
            let of_template = change.get("field").and_then(Value::as_str) == Some(TEMPLATES);
            let change = Change { value, at: format!("{at}.value") };
            if of_template {
                told.extend(change.template().unwrap_or_else(|wrong| Some(Inbound::Unread(wrong))));
            } else {
                change.read(&mut told);
            }
        }
    }
    Ok(told)
}

/// The field of what is told of templates.
const TEMPLATES: &str = "message_template_status_update";

fn wrong(at: impl Into<String>, right: &'static str) -> Wrong {
    Wrong { at: at.into(), right }
}

/// The items of the list that `of` has under `name`, each with its path; a list that is none is noted.
fn list<'a>(of: &'a Value, name: &str, at: &str, told: &mut Vec<Inbound>) -> Vec<(&'a Value, String)> {
    match of.get(name) {
        None => Vec::new(),
        Some(Value::Array(items)) => {
            items.iter().enumerate().map(|(n, item)| (item, format!("{at}.{name}[{n}]"))).collect()
        }
        Some(_) => {
            told.push(Inbound::Unread(wrong(format!("{at}.{name}"), "a list")));
            Vec::new()
        }
    }
}

/// What changed of one number.
struct Change<'a> {
    value: &'a Value,
    at: String,
}

/// How one item of a list is read.
type Reader = fn(&Item<'_>) -> Result<Option<Inbound>, Wrong>;

const READERS: [(&str, Reader); 3] =
    [("statuses", |i| i.receipt()), ("messages", |i| i.message()), ("user_preferences", |i| i.preference())];

impl Change<'_> {
    fn read(&self, told: &mut Vec<Inbound>) {
        for (name, reader) in READERS {
            for (value, at) in list(self.value, name, &self.at, told) {
                let read = reader(&Item { value, at, change: self });
                told.extend(read.unwrap_or_else(|wrong| Some(Inbound::Unread(wrong))));
            }
        }
    }

    /// How a template fares (Meta's reference of `message_template_status_update`); nothing for what does not change
    /// whether it may be sent.
    fn template(&self) -> Result<Option<Inbound>, Wrong> {
        let text = |name: &str, right| {
            let text = self.value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
            text.map(str::to_owned).ok_or_else(|| wrong(format!("{}.{name}", self.at), right))
        };
        let may = match text("event", "what became of the template")?.as_str() {
            "APPROVED" | "REINSTATED" => May::Now,
            "PAUSED" => May::Later,
            "DISABLED" | "REJECTED" | "DELETED" | "PENDING_DELETION" | "ARCHIVED" => May::Not,
            _ => return Ok(None),
        };
        Ok(Some(Inbound::Template(Template {
            name: text("message_template_name", "the template's name")?,
            // It is told with another sign than it is sent with.
            language: text("message_template_language", "its language")?.replace('-', "_"),
            may,
        })))
    }

    /// The number of ours it is about.
    fn sender(&self) -> Result<String, Wrong> {
        let sender = self.value.pointer("/metadata/phone_number_id").and_then(Value::as_str);
        let at = || format!("{}.metadata.phone_number_id", self.at);
        sender.map(str::to_owned).ok_or_else(|| wrong(at(), "the id of the phone number"))
    }
}

/// One item of a list.
struct Item<'a> {
    value: &'a Value,
    at: String,
    change: &'a Change<'a>,
}

impl Item<'_> {
    /// What became of a message; nothing for a word that is no news of it, like `deleted`.
    fn receipt(&self) -> Result<Option<Inbound>, Wrong> {
        let status = match self.text("status", "sent, delivered, read or failed")?.as_str() {
            "sent" => Status::Sent,
            "delivered" => Status::Delivered,
            // A voice message that was listened to.
            "read" | "played" => Status::Read,
            "failed" => Status::Failed,
            _ => return Ok(None),
        };
        let code = self.value.pointer("/errors/0/code").and_then(|code| match code {
            Value::Number(number) => Some(number.to_string()),
            Value::String(text) => Some(text.clone()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        });
        Ok(Some(Inbound::Receipt(Receipt {
            key: self.any(["/biz_opaque_callback_data"]),
            id: self.text("id", "the message's id")?,
            status,
            at: self.moment()?,
            code,
            contact: self.any(["/recipient_id", "/recipient_user_id"]),
            sender: self.change.sender().ok(),
        })))
    }

    /// What a contact said; nothing for what WhatsApp itself says, like a number that has changed, and for what is no
    /// message: a chat that was opened, a reaction that was taken back.
    fn message(&self) -> Result<Option<Inbound>, Wrong> {
        let kind = self.text("type", "the kind of message")?;
        let text = match kind.as_str() {
            "system" => return self.system(),
            // A message that the contact took back (Meta's reference `messages/revoke`) is none.
            "request_welcome" | "revoke" => return Ok(None),
            "reaction" if self.any(["/reaction/emoji"]).is_none() => return Ok(None),
            "text" => self.any(["/text/body"]),
            "button" => self.any(["/button/text"]),
            "interactive" => self.any([
                "/interactive/button_reply/title",
                "/interactive/list_reply/title",
                "/interactive/nfm_reply/body",
            ]),
            "reaction" => self.any(["/reaction/emoji"]),
            // A message corrected since (`messages/edit`): what it says now.
            "edit" => self.any([
                "/edit/message/text/body",
                "/edit/message/image/caption",
                "/edit/message/video/caption",
                "/edit/message/document/caption",
            ]),
            // Media may have words under them. Whatever else it is, something was said.
            kind => self.any([format!("/{kind}/caption").as_str()]),
        };
        Ok(Some(Inbound::Said(Said {
            contact: self.contact()?,
            sender: self.change.sender()?,
            id: self.text("id", "the message's id")?,
            text,
            button: self.any([
                "/button/payload",
                "/interactive/button_reply/id",
                "/interactive/list_reply/id",
            ]),
            answers: self.any(["/context/id", "/reaction/message_id"]),
            at: self.moment()?,
        })))
    }

    /// A preference that comes as a message of the system's.
    fn system(&self) -> Result<Option<Inbound>, Wrong> {
        match self.any(["/system/marketing"]).as_deref().and_then(wants) {
            Some(wants) => self.choice(self.contact()?, wants).map(Some),
            None => Ok(None),
        }
    }

    /// Whether a contact wants marketing messages.
    fn preference(&self) -> Result<Option<Inbound>, Wrong> {
        let right = "stop or resume";
        let Some(wants) = wants(&self.text("value", right)?) else {
            return Err(self.wrong("value", right));
        };
        let contact = self.any(["/wa_id", "/user_id"]);
        let contact = contact.ok_or_else(|| self.wrong("wa_id", "the contact's number"))?;
        self.choice(contact, wants).map(Some)
    }

    fn choice(&self, contact: String, wants: Wants) -> Result<Inbound, Wrong> {
        let (sender, at) = (self.change.sender()?, self.moment()?);
        // It has no id in one of its forms, and the same moment in both.
        let id = format!("{contact}-{}", at.0);
        Ok(Inbound::Choice(Choice { contact, sender, id, wants, at }))
    }

    /// Who wrote: a number, or the id of somebody who shows none.
    fn contact(&self) -> Result<String, Wrong> {
        let contact = self.any(["/from", "/from_user_id"]);
        contact.ok_or_else(|| self.wrong("from", "the contact's number"))
    }

    /// The first of these places that has a text.
    fn any<const N: usize>(&self, places: [&str; N]) -> Option<String> {
        let texts = places.into_iter().filter_map(|place| self.value.pointer(place)?.as_str());
        texts.into_iter().find(|text| !text.is_empty()).map(str::to_owned)
    }

    fn text(&self, name: &str, right: &'static str) -> Result<String, Wrong> {
        self.any([format!("/{name}").as_str()]).ok_or_else(|| self.wrong(name, right))
    }

    /// Seconds since 1970, as a text or, in some webhooks, as a number.
    fn moment(&self) -> Result<Moment, Wrong> {
        let seconds = match self.value.get("timestamp") {
            Some(Value::String(text)) => text.parse().ok(),
            Some(Value::Number(number)) => number.as_i64(),
            Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => None,
        };
        let ms = seconds.and_then(|seconds: i64| seconds.checked_mul(1_000));
        // What lies outside every moment of ours is no time.
        let ms = ms.filter(|ms| (0..Moment::FAR.0).contains(ms));
        ms.map(Moment).ok_or_else(|| self.wrong("timestamp", "seconds since 1970"))
    }

    fn wrong(&self, name: &str, right: &'static str) -> Wrong {
        wrong(format!("{}.{name}", self.at), right)
    }
}

fn wants(word: &str) -> Option<Wants> {
    match word {
        "stop" => Some(Wants::Out),
        "resume" => Some(Wants::In),
        _ => None,
    }
}
