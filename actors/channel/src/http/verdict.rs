//! What came of a request to a provider that answers in JSON. The table of HTTP; the codes in the answers are each
//! provider's. It touches nothing.

use std::time::Duration;

use serde_json::Value;

use super::{Ending, Said};
use crate::Answer;
use crate::places::Health;
use followupd_domain::Span;
use followupd_domain::reaction::{Reaction, Scope};

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// For the send.
    pub(crate) answer: Answer,
    /// What it shows of the host.
    pub(crate) host: Health,
}

/// What an answer's body says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The message was taken, and has an id now.
    Taken,
    /// It was not: the provider's code, and what follows where that is known.
    Refused(String, Option<Reaction>),
    /// Neither.
    Unclear,
}

/// A refusal with a body is surely no acceptance. A yes without the message's id is in doubt, as is a yes that says no
/// in its body, and a 5xx that names no code we know.
pub(crate) fn verdict(said: &Said, read: impl FnOnce(u16, &Value) -> Reading) -> Verdict {
    let (status, wait) = match said.ending {
        Ending::NotSent(word) => {
            return Verdict { answer: Answer::unsent(word), host: Health::Fails };
        }
        Ending::Unanswered => return Verdict { answer: Answer::Uncertain, host: Health::Stumbles },
        Ending::Status(status, wait) => (status, wait),
    };
    let body = said.body.as_ref().and_then(|body| serde_json::from_slice(body).ok());
    let reading = body.map_or(Reading::Unclear, |body| read(status, &body));
    let (answer, host) = match (status, reading) {
        (200..300, Reading::Taken) => (Answer::Accepted, Health::Works),
        (200..300, Reading::Refused(..) | Reading::Unclear) => (Answer::Uncertain, Health::Works),
        (_, Reading::Refused(code, Some(reaction))) => (Answer::refused(code, reaction), health(reaction)),
        (_, Reading::Refused(code, None)) => unknown(status, code),
        (_, Reading::Taken | Reading::Unclear) => unknown(status, status.to_string()),
    };
    let host = match (status, wait) {
        (503, Some(wait)) => longer(host, wait),
        // Too many to one contact is no reason to rest for all others.
        (429, Some(wait)) if host != Health::Works => longer(host, wait),
        _ => host,
    };
    Verdict { answer, host }
}

/// The rest that an answer asks for besides what it says; no rest is shorter for it.
fn longer(host: Health, wait: Duration) -> Health {
    match host {
        Health::Asks(own) => Health::Asks(own.max(wait)),
        Health::Works | Health::Fails | Health::Stumbles if wait.is_zero() => host,
        Health::Works | Health::Fails | Health::Stumbles => Health::Asks(wait),
    }
}

/// What a status means whose body says nothing we know.
fn unknown(status: u16, code: String) -> (Answer, Health) {
    let reaction = match status {
        408 | 425 => Reaction::SOON,
        429 => Reaction::back_off(Scope::Account, Span::ZERO),
        // Moved, locked, or another path than we were told: whoever set the sender up has to look.
        300..400 | 401 | 403 | 404 | 405 | 410 => Reaction::stop(Scope::Sender),
        400..500 => Reaction::BAD_STEP,
        502..=504 => return (Answer::Uncertain, Health::Stumbles),
        _ => return (Answer::Uncertain, Health::Works),
    };
    (Answer::refused(code, reaction), health(reaction))
}

/// What a reaction shows of the way out, which is one sender's: what is shared by its messages rests.
fn health(reaction: Reaction) -> Health {
    let asks = |span: Span| match u64::try_from(span.0) {
        Ok(ms) if ms > 0 => Health::Asks(Duration::from_millis(ms)),
        _ => Health::Fails,
    };
    match reaction {
        Reaction::Slow { after } => asks(after),
        Reaction::BackOff { scope, pause } if is_shared(scope) => asks(pause.at_least),
        Reaction::Hold { scope, .. } | Reaction::Stop { scope } if is_shared(scope) => Health::Fails,
        Reaction::BackOff { .. } | Reaction::Hold { .. } | Reaction::Stop { .. } => Health::Works,
        Reaction::Again { .. }
        | Reaction::Later { .. }
        | Reaction::Never { .. }
        | Reaction::Skip
        | Reaction::NeedsTemplate
        | Reaction::Unusable
        | Reaction::OptOut => Health::Works,
    }
}

/// Whether all of a sender's messages are in this scope.
fn is_shared(scope: Scope) -> bool {
    match scope {
        Scope::Sender | Scope::Account | Scope::App | Scope::Host => true,
        Scope::Contact | Scope::Step | Scope::Template => false,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use followupd_domain::reaction::Until;

    use super::*;

    fn of(status: u16, body: &'static str, reading: Reading) -> (Answer, Health) {
        let body = Some(Bytes::from_static(body.as_bytes()));
        let said = Said { ending: Ending::Status(status, None), body };
        let Verdict { answer, host } = verdict(&said, |_, _| reading);
        (answer, host)
    }

    #[test]
    fn a_yes_without_an_id_is_in_doubt() {
        assert_eq!(of(201, "{}", Reading::Taken), (Answer::Accepted, Health::Works));
        for reading in [Reading::Unclear, Reading::Refused("4".into(), Some(Reaction::BAD_STEP))] {
            assert_eq!(of(200, "{}", reading), (Answer::Uncertain, Health::Works));
        }
        assert_eq!(of(200, "<html>", Reading::Taken).0, Answer::Uncertain);
    }

    #[test]
    fn a_5xx_is_in_doubt_unless_it_names_a_code_we_know() {
        for status in [500, 501, 502, 503, 599] {
            assert_eq!(of(status, "oh", Reading::Taken).0, Answer::Uncertain, "{status}");
            assert_eq!(of(status, "{}", Reading::Refused("9".into(), None)).0, Answer::Uncertain);
            let known = Reading::Refused("131000".into(), Some(Reaction::SOON));
            assert_eq!(of(status, "{}", known).0, Answer::refused("131000", Reaction::SOON));
        }
    }

    #[test]
    fn wrong_credentials_use_no_attempt_and_the_sender_rests() {
        for status in [301, 401, 403, 404, 405] {
            let expected =
                (Answer::refused(status.to_string(), Reaction::stop(Scope::Sender)), Health::Fails);
            assert_eq!(of(status, "no", Reading::Unclear), expected);
        }
    }

    #[test]
    fn an_unknown_code_of_a_bad_request_is_this_messages() {
        let (answer, host) = of(400, "{}", Reading::Refused("99".into(), None));
        assert_eq!((answer, host), (Answer::refused("99", Reaction::BAD_STEP), Health::Works));
    }

    #[test]
    fn a_rest_that_is_asked_for_is_given() {
        let said = Said::bare(Ending::Status(429, Some(Duration::from_secs(7))));
        let Verdict { answer, host } = verdict(&said, |_, _| Reading::Unclear);
        assert_eq!(answer, Answer::refused("429", Reaction::back_off(Scope::Account, Span::ZERO)));
        assert_eq!(host, Health::Asks(Duration::from_secs(7)));
        let slow = Reading::Refused("130429".into(), Some(Reaction::Slow { after: Span::seconds(1) }));
        assert_eq!(of(400, "{}", slow.clone()).1, Health::Asks(Duration::from_secs(1)));
        let asked = |status, secs, reading: &Reading| {
            let mut said = Said::bare(Ending::Status(status, Some(Duration::from_secs(secs))));
            said.body = Some(Bytes::from_static(b"{}"));
            verdict(&said, |_, _| reading.clone()).host
        };
        for (status, secs, host) in [
            (429, 7, Health::Asks(Duration::from_secs(7))),
            (429, 0, Health::Asks(Duration::from_secs(1))),
            (503, 7, Health::Asks(Duration::from_secs(7))),
        ] {
            assert_eq!(asked(status, secs, &slow), host, "the longer of two");
        }
        assert_eq!(
            asked(429, 0, &Reading::Unclear),
            Health::Fails,
            "no time at all is no less than none named"
        );
        let pair =
            Reading::Refused("131056".into(), Some(Reaction::back_off(Scope::Contact, Span::seconds(1))));
        assert_eq!(asked(429, 60, &pair), Health::Works, "it is one contact's");
    }

    #[test]
    fn what_one_contact_or_template_is_refused_slows_nobody() {
        for reaction in [
            Reaction::back_off(Scope::Contact, Span::seconds(1)),
            Reaction::Hold { scope: Scope::Template, until: Until::Changed },
            Reaction::BAD_STEP,
        ] {
            let refused = Reading::Refused("x".into(), Some(reaction));
            assert_eq!(of(400, "{}", refused).1, Health::Works, "{reaction:?}");
        }
    }

    #[test]
    fn what_never_left_backs_off_and_what_was_not_answered_is_in_doubt() {
        let ended = |ending| verdict(&Said::bare(ending), |_, _| Reading::Taken);
        let answer = Answer::unsent("tls");
        assert_eq!(ended(Ending::NotSent("tls")), Verdict { answer, host: Health::Fails });
        let doubt = Verdict { answer: Answer::Uncertain, host: Health::Stumbles };
        assert_eq!(ended(Ending::Unanswered), doubt);
    }
}
