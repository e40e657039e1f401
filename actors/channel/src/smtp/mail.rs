//! A send as a mail: its envelope and its text (RFC 5322, RFC 2045). Nothing in a call can add a header or a command.

use std::time::{Duration, SystemTime};

use followupd_domain::Moment;
use followupd_domain::reaction::{Blames, Reaction, Scope};
use lettre::Address;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, SinglePart};

use super::settings::{Settings, address};
use crate::{Call, limits};

/// The last moment a mail can be dated (the year has four digits).
const LAST_DATE: Moment = Moment(253_402_300_799_000);

/// What is sent.
#[derive(Clone, Debug)]
pub(super) struct Mail {
    /// Who answers and bounces go to.
    pub(super) from: Address,
    /// To whom.
    pub(super) to: Address,
    /// Header and body, lines ended by CRLF.
    pub(super) text: Vec<u8>,
}

impl Mail {
    /// The mail of a call, or in a word why it can never be one, and what that blames.
    pub(super) fn of(call: &Call, settings: &Settings) -> Result<Mail, (&'static str, Reaction)> {
        let from = address(&settings.from).ok_or(("bad_sender", Reaction::stop(Scope::Sender)))?;
        let to = recipient(&call.address).ok_or(("bad_address", Reaction::never(Blames::Address)))?;
        let name = Some(on_one_line(&settings.from_name)).filter(|name| !name.is_empty());
        let mut message = Message::builder()
            .from(Mailbox::new(name, from.clone()))
            .to(Mailbox::new(None, to.clone()))
            .subject(subject(&call.message.subject))
            .date(date(call.at))
            .message_id(Some(format!("<{}@{}>", id(&call.key), from.domain())));
        if let Some(template) = &settings.unsubscribe {
            let url = template.replace("{send}", &id(&call.key));
            message = message
                .raw_header(header("List-Unsubscribe", format!("<{url}>")))
                .raw_header(header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()));
        }
        let body = SinglePart::builder().header(ContentType::TEXT_PLAIN).body(body(&call.message.body));
        let message =
            message.singlepart(body).map_err(|_| ("bad_message", Reaction::never(Blames::Message)))?;
        Ok(Mail { from, to, text: message.formatted() })
    }

    /// Whether a server must know SMTPUTF8 to take it (RFC 6531).
    pub(super) fn needs_utf8(&self) -> bool {
        !self.to.user().is_ascii()
    }
}

/// A header of printable ASCII, which settings were checked for. It is not folded: a URL must stay whole.
fn header(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::dangerous_new_pre_encoded(HeaderName::new_from_ascii_str(name), value.clone(), value)
}

/// The contact's address, its domain in ASCII (RFC 5891), which every server can write.
fn recipient(text: &str) -> Option<Address> {
    let (user, domain) = text.trim().rsplit_once('@')?;
    if text.len() > limits::ADDRESS_BYTES || user.contains(char::is_control) {
        return None;
    }
    if domain.is_ascii() {
        return Address::new(user, domain).ok();
    }
    match url::Host::parse(domain).ok()? {
        url::Host::Domain(domain) => Address::new(user, domain).ok(),
        url::Host::Ipv4(_) | url::Host::Ipv6(_) => None,
    }
}

/// A subject on one line, cut where it is too long.
fn subject(text: &str) -> String {
    let mut subject = on_one_line(text);
    let too_long = |(at, c): &(usize, char)| at + c.len_utf8() > limits::SUBJECT_BYTES;
    if let Some((end, _)) = subject.char_indices().find(too_long) {
        subject.truncate(end);
    }
    subject
}

fn on_one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

/// Every kind of line break becomes one kind (lettre ends the lines with CRLF, and only LF makes a line for it), and
/// other controls go.
fn body(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).collect()
}

/// A key as part of a Message-ID: ours are letters, digits and `_`.
fn id(key: &str) -> String {
    key.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).collect()
}

fn date(at: Moment) -> SystemTime {
    let at = at.clamp(Moment(0), LAST_DATE);
    SystemTime::UNIX_EPOCH + Duration::from_millis(at.0.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::tests::{call, settings};

    fn text(call: &Call) -> String {
        String::from_utf8(Mail::of(call, &settings(25)).unwrap().text).unwrap()
    }

    fn header_names(text: &str) -> Vec<&str> {
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        head.split("\r\n")
            .filter(|l| !l.starts_with([' ', '\t']))
            .map(|l| l.split(':').next().unwrap())
            .collect()
    }

    #[test]
    fn a_mail_says_who_to_whom_when_and_which_send() {
        let text = text(&call());
        assert!(text.contains("Message-ID: <snd_TEST@acme.example>\r\n"), "{text}");
        assert!(text.contains("To: ana@mail.example\r\n"), "{text}");
        assert!(text.contains("Date: Fri, 15 Jan 2027 08:00:00 +0000\r\n"), "{text}");
        assert!(text.contains("MIME-Version: 1.0\r\n"), "{text}");
        assert!(text.contains("Content-Type: text/plain; charset=utf-8\r\n"), "{text}");
        assert!(!text.contains("List-Unsubscribe"), "{text}");
        assert!(text.is_ascii(), "names and bodies are encoded: {text}");
        assert!(text.contains("Subject: =?utf-8?b?T2zDoQ==?=\r\n"), "{text}");
        assert!(text.contains("From: =?utf-8?b?"), "{text}");
    }

    #[test]
    fn the_same_send_is_the_same_mail() {
        assert_eq!(text(&call()), text(&Call { again: true, ..call() }));
    }

    #[test]
    fn one_click_unsubscribe_is_there_where_there_is_a_template() {
        let mut settings = settings(25);
        settings.unsubscribe = Some("https://acme.example/stop?send={send}".into());
        let text = String::from_utf8(Mail::of(&call(), &settings).unwrap().text).unwrap();
        assert!(text.contains("List-Unsubscribe: <https://acme.example/stop?send=snd_TEST>\r\n"), "{text}");
        assert!(text.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"), "{text}");
    }

    #[test]
    fn nothing_in_a_call_adds_a_header() {
        let plain = text(&call());
        let evil = "x\r\nBcc: all@mail.example\r\n\r\nbody\n.\rBcc: y\u{2028}Bcc: z\u{85}Bcc: q\0";
        let mut call = call();
        call.message.subject = evil.into();
        call.message.body = evil.into();
        call.key = evil.into();
        call.contact = evil.into();
        let text = text(&call);
        assert_eq!(header_names(&text), header_names(&plain), "{text}");
    }

    #[test]
    fn a_body_has_no_line_break_but_crlf() {
        let mut call = call();
        call.message.body = "a\n.\nb\r.\rc\r\n.\r\n\0d".into();
        let text = text(&call);
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(body.trim_end(), "a\r\n.\r\nb\r\n.\r\nc\r\n.\r\nd");
    }

    #[test]
    fn an_address_that_is_none_is_no_mail() {
        let long = format!("{}@mail.example", "a".repeat(300));
        for address in [
            "",
            "ana",
            "@",
            "ana@",
            "a@b\r\nRCPT TO:<c@d>",
            "a b@c.example",
            "a\r\n@c.example",
            "<a@b.example>",
            &long,
        ] {
            let call = Call { address: address.into(), ..call() };
            assert_eq!(
                Mail::of(&call, &settings(25)).err(),
                Some(("bad_address", Reaction::never(Blames::Address))),
                "{address:?}"
            );
        }
    }

    #[test]
    fn a_domain_in_any_script_becomes_ascii() {
        let mail = Mail::of(&Call { address: "ana@bücher.example".into(), ..call() }, &settings(25)).unwrap();
        assert_eq!(mail.to.to_string(), "ana@xn--bcher-kva.example");
        assert!(!mail.needs_utf8());
        let mail = Mail::of(&Call { address: "zoë@mail.example".into(), ..call() }, &settings(25)).unwrap();
        assert!(mail.needs_utf8());
    }

    #[test]
    fn a_subject_is_cut_between_letters_and_a_date_stays_within_its_digits() {
        assert_eq!(subject(&"é".repeat(2_000)).len(), 2_048);
        assert_eq!(subject(&format!("x{}", "é".repeat(2_000))).len(), 2_047);
        for at in [Moment(i64::MIN), Moment(i64::MAX)] {
            text(&Call { at, ..call() });
        }
    }
}
