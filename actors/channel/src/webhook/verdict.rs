//! What came of a request, as the answer to its send. The table of it; it touches nothing.

use std::time::Duration;

use followupd_domain::Span;
use followupd_domain::reaction::{Again, Blames, Reaction};

use crate::Answer;
use crate::http::{Ending, Verdict};
use crate::places::Health;

/// A doubt is settled by calling again with the same id, which the receiver knows.
pub(super) fn verdict(ending: Ending) -> Verdict {
    let (status, wait) = match ending {
        Ending::NotSent(word) => {
            return Verdict { answer: Answer::unsent(word), host: Health::Fails };
        }
        Ending::Unanswered => return Verdict { answer: Answer::Uncertain, host: Health::Stumbles },
        Ending::Status(status, wait) => (status, wait),
    };
    let code = status.to_string();
    let answer = match status {
        200..300 => Answer::Accepted,
        // Not in time, another under the same key is under way, too early (RFC 8470): the same request may pass later.
        408 | 409 | 425 => Answer::refused(code, Reaction::again(Again::Soon { at_least: span(wait) })),
        // Too many: the next would be one more. Or whoever runs the receiver has moved, closed or locked it, which all
        // messages share; a redirect is not followed.
        429 | 300..=399 | 401 | 403 | 404 | 405 | 410 => Answer::refused(code, Reaction::HOST_RESTS),
        400..500 => Answer::refused(code, Reaction::never(Blames::Message)),
        // A receiver, or what stands before it, failed at some point: perhaps after it had taken the message.
        _ => Answer::Uncertain,
    };
    let host = match (status, wait) {
        (429 | 503, Some(wait)) => Health::Asks(wait),
        // Not 500: one message that a receiver chokes on must not keep the others waiting.
        (429, None) | (300..=399 | 401 | 403 | 404 | 405 | 410, _) => Health::Fails,
        (502..=504, _) => Health::Stumbles,
        _ => Health::Works,
    };
    Verdict { answer, host }
}

fn span(wait: Option<Duration>) -> Span {
    Span(wait.map_or(0, |wait| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_answer() {
        for status in 100..=999 {
            let code = status.to_string();
            let expected = match status {
                200..=299 => Answer::Accepted,
                408 | 409 | 425 => Answer::refused(code, Reaction::again(Again::SOON)),
                429 | 300..=399 | 401 | 403 | 404 | 405 | 410 => Answer::refused(code, Reaction::HOST_RESTS),
                400..=499 => Answer::refused(code, Reaction::never(Blames::Message)),
                _ => Answer::Uncertain,
            };
            assert_eq!(verdict(Ending::Status(status, None)).answer, expected, "{status}");
        }
    }

    #[test]
    fn what_never_left_backs_off_and_what_was_not_answered_is_uncertain() {
        let answer = Answer::unsent("connect");
        assert_eq!(verdict(Ending::NotSent("connect")), Verdict { answer, host: Health::Fails });
        let expected = Verdict { answer: Answer::Uncertain, host: Health::Stumbles };
        assert_eq!(verdict(Ending::Unanswered), expected);
    }

    #[test]
    fn a_receiver_gets_the_pause_it_asks_for() {
        let wait = Duration::from_secs(7);
        for status in [429, 503] {
            assert_eq!(verdict(Ending::Status(status, Some(wait))).host, Health::Asks(wait));
        }
        assert_eq!(verdict(Ending::Status(429, None)).host, Health::Fails);
        assert_eq!(verdict(Ending::Status(503, None)).host, Health::Stumbles);
        let again = Again::Soon { at_least: Span::seconds(7) };
        let expected = Answer::refused("425", Reaction::again(again));
        assert_eq!(verdict(Ending::Status(425, Some(wait))).answer, expected);
        assert_eq!(verdict(Ending::Status(500, Some(wait))).host, Health::Works);
    }
}
