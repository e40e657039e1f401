//! Webhooks of Twilio's: status callbacks and messages that come in
//! (<https://www.twilio.com/docs/usage/webhooks/messaging-webhooks>), signed by the account's token
//! (<https://www.twilio.com/docs/usage/webhooks/webhooks-security>).

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use followupd_domain::Moment;
use ring::{digest, hmac};
use url::form_urlencoded;

use super::sign::signed;
use super::{Choice, Error, Inbound, Receipt, Said, Status, Wants, Wrong, sized};
use crate::limits;
use crate::secret::Secret;

/// The header a signature comes in.
pub const SIGNATURE: &str = "X-Twilio-Signature";

/// The parameter of a callback's URL that brings the send's key back.
pub const KEY: &str = "send";

/// The parameter of a URL that has the hash of a body which is no form, in hexadecimal digits.
const BODY_HASH: &str = "bodySHA256";

/// Bytes of a body, at most.
const MOST: (usize, &str) = (limits::INBOUND_FORM_BYTES, "at most 64 KiB");

/// A request as it came.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The whole URL that Twilio was told to call, with its query: as it is outside, before any proxy.
    pub url: &'a str,
    /// What its `Content-Type` says.
    pub content_type: Option<&'a str>,
    /// Its body, byte for byte.
    pub body: &'a [u8],
}

impl Request<'_> {
    /// Whether Twilio signed it with one of the account's tokens.
    ///
    /// # Errors
    /// There is no signature, or somebody else made it, or the body is not the one whose hash it signs.
    pub fn check(&self, signature: Option<&str>, tokens: &[Secret]) -> Result<(), Error> {
        let right = "a signature in base64";
        let bytes = signature.and_then(|text| STANDARD.decode(text).ok());
        let bytes = bytes.ok_or_else(|| Error::Unsigned(Wrong { at: SIGNATURE.to_owned(), right }))?;
        sized(self.body, MOST)?;
        let pairs = if self.is_form() { self.pairs() } else { self.hashed().map(|()| BTreeSet::new())? };
        let after: String = pairs.iter().flat_map(|(name, value)| [name.as_str(), value]).collect();
        // Whether the port is part of what was signed differs from one of its servers to the next.
        let tried = ports(self.url).into_iter().filter(|url| {
            let data = format!("{url}{after}");
            signed(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, tokens, data.as_bytes(), &bytes).is_ok()
        });
        if tried.count() > 0 { Ok(()) } else { Err(Error::Forged) }
    }

    /// What it says, told at `now`; nothing for a status that is no news, like `queued`. It is read only after
    /// [`Request::check`].
    ///
    /// # Errors
    /// It is neither a status callback nor a message.
    pub fn read(&self, now: Moment) -> Result<Vec<Inbound>, Error> {
        sized(self.body, MOST)?;
        if !self.is_form() {
            return Err(wrong("body", "a form"));
        }
        let form = Form(self.pairs());
        match form.get("MessageStatus") {
            Some(word) => {
                let told = status(word).map(|status| form.receipt(status, self.key(), now)).transpose()?;
                Ok(told.into_iter().collect())
            }
            None => form.message(now),
        }
    }

    fn is_form(&self) -> bool {
        let kind = self.content_type.and_then(|kind| kind.split(';').next()).unwrap_or_default();
        kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
    }

    /// The form's parameters, sorted; one that comes twice with the same value counts once, as Twilio signs it.
    fn pairs(&self) -> BTreeSet<(String, String)> {
        form_urlencoded::parse(self.body).into_owned().collect()
    }

    /// The value of a parameter of the URL.
    fn query(&self, name: &str) -> Option<String> {
        let url = self.url.split('#').next().unwrap_or_default();
        let (_, query) = url.split_once('?')?;
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    fn key(&self) -> Option<String> {
        self.query(KEY).filter(|key| !key.is_empty())
    }

    /// Whether a body that is no form is the one whose hash stands in the URL, which is signed.
    fn hashed(&self) -> Result<(), Error> {
        let right = "a parameter bodySHA256, or a form";
        let hash = self.query(BODY_HASH);
        let hash = hash.ok_or_else(|| Error::Unsigned(Wrong { at: "url".to_owned(), right }))?;
        let body = digest::digest(&digest::SHA256, self.body);
        let body: String = body.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        // Whoever sent the body knows its hash: there is nothing here that the time could tell.
        if body.eq_ignore_ascii_case(&hash) { Ok(()) } else { Err(Error::Forged) }
    }
}

/// A URL as given, without its port, and with the one its scheme has.
fn ports(url: &str) -> [String; 3] {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let host =
        authority.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(authority, |(host, _)| host);
    let port = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
    [url.to_owned(), format!("{scheme}://{host}{path}"), format!("{scheme}://{host}:{port}{path}")]
}

fn wrong(at: &str, right: &'static str) -> Error {
    Error::Body(Wrong { at: at.to_owned(), right })
}

/// What a status word says of a message; nothing for what goes before its sending, and for words that are new.
fn status(word: &str) -> Option<Status> {
    match word {
        "sent" => Some(Status::Sent),
        "delivered" => Some(Status::Delivered),
        "read" => Some(Status::Read),
        "failed" | "undelivered" | "canceled" => Some(Status::Failed),
        _ => None,
    }
}

/// The parameters of a request.
struct Form(BTreeSet<(String, String)>);

impl Form {
    /// A parameter that is there and not empty.
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, value)| key == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    fn text(&self, name: &str, right: &'static str) -> Result<String, Error> {
        self.get(name).map(str::to_owned).ok_or_else(|| wrong(name, right))
    }

    fn perhaps(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    fn receipt(&self, status: Status, key: Option<String>, at: Moment) -> Result<Inbound, Error> {
        Ok(Inbound::Receipt(Receipt {
            key,
            id: self.text("MessageSid", "the message's id")?,
            status,
            at,
            code: self.perhaps("ErrorCode").filter(|code| code != "0"),
            contact: self.perhaps("To"),
            sender: self.perhaps("From"),
        }))
    }

    /// What a contact said, and, where Twilio understood it so, what the contact wants.
    fn message(&self, at: Moment) -> Result<Vec<Inbound>, Error> {
        let id = self.text("MessageSid", "the message's id")?;
        let contact = self.text("From", "the contact's number")?;
        let sender = self.text("To", "the number it came to")?;
        let wants = match self.get("OptOutType") {
            Some("STOP") => Some(Wants::Out),
            Some("START") => Some(Wants::In),
            // Help, or nothing of the kind.
            Some(_) | None => None,
        };
        let choice = wants.map(|wants| {
            let (contact, sender, id) = (contact.clone(), sender.clone(), id.clone());
            Inbound::Choice(Choice { contact, sender, id, wants, at })
        });
        let said = Inbound::Said(Said {
            contact,
            sender,
            id,
            text: self.perhaps("Body"),
            button: self.perhaps("ButtonPayload"),
            answers: self.perhaps("OriginalRepliedMessageSid"),
            at,
        });
        Ok([said].into_iter().chain(choice).collect())
    }
}
