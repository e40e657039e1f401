//! What came of a request, as the answer to its send. The table of it; it touches nothing.

use crate::Answer;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// No byte of it left: why, in a word.
    NotSent(&'static str),
    /// It was answered with this status.
    Status(u16),
    /// It left, wholly or in part, and no answer came.
    Unanswered,
}

/// A doubt is settled by calling again with the same id, which the receiver knows.
pub(super) fn answer(ending: Ending) -> Answer {
    let status = match ending {
        Ending::NotSent(word) => return Answer::Refused { code: word.to_owned() },
        Ending::Unanswered => return Answer::Uncertain,
        Ending::Status(status) => status,
    };
    let code = status.to_string();
    match status {
        200..300 => Answer::Accepted,
        // Not in time, too early (RFC 8470), too many: the same request may pass later.
        408 | 425 | 429 => Answer::Refused { code },
        // A redirect is not followed: whoever runs the receiver says where it is.
        300..500 => Answer::Rejected { code },
        // A receiver, or what stands before it, failed at some point: perhaps after it had taken the message.
        _ => Answer::Uncertain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_answer() {
        let refused = |code: u16| Answer::Refused { code: code.to_string() };
        let rejected = |code: u16| Answer::Rejected { code: code.to_string() };
        for status in 100..=999 {
            let expected = match status {
                200..=299 => Answer::Accepted,
                408 | 425 | 429 => refused(status),
                300..=499 => rejected(status),
                _ => Answer::Uncertain,
            };
            assert_eq!(answer(Ending::Status(status)), expected, "{status}");
        }
        assert_eq!(answer(Ending::Status(410)), rejected(410));
        assert_eq!(answer(Ending::Status(503)), Answer::Uncertain);
    }

    #[test]
    fn only_what_never_left_is_refused_without_an_answer() {
        assert_eq!(answer(Ending::NotSent("connect")), Answer::Refused { code: "connect".into() });
        assert_eq!(answer(Ending::Unanswered), Answer::Uncertain);
    }
}
