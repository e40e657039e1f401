//! What the Cloud API's codes mean
//! (<https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes>). The table of them;
//! it touches nothing. Codes decide, never titles.

use followupd_domain::Span;
use serde_json::Value;

use crate::http::Reading;
use followupd_domain::reaction::{Blames, Pause, Reaction, Scope, Then, Until};

/// What an answer says: the message's id, or a code.
pub(super) fn read(_status: u16, body: &Value) -> Reading {
    if let Some(error) = body.get("error") {
        let number = |field| error.get(field).and_then(Value::as_u64);
        return match (number("code"), number("error_subcode")) {
            // A number that is not there, or not ours to send from: a bad request that is the sender's fault.
            (Some(code @ 100), Some(33)) => {
                Reading::Refused(format!("{code}.33"), Some(Reaction::stop(Scope::Sender)))
            }
            (Some(code), _) => Reading::Refused(code.to_string(), reaction(code)),
            (None, _) => Reading::Unclear,
        };
    }
    match body.pointer("/messages/0/id").and_then(Value::as_str) {
        Some(id) if !id.is_empty() => Reading::Taken,
        Some(_) | None => Reading::Unclear,
    }
}

/// What follows a code, in an answer or in a status that comes later; nothing for one that is not known.
#[must_use]
pub fn reaction(code: u64) -> Option<Reaction> {
    Some(match code {
        // The token, or what it may do; a path or version that there is not.
        0 | 190 | 3 | 10 | 200..=299 | 131_005 | 2_500 => Reaction::stop(Scope::Sender),
        // Down, or nobody knows.
        1 | 2 | 131_000 | 131_016 | 133_004 => Reaction::SOON,
        4 => Reaction::back_off(Scope::App, Span::ZERO),
        80_007 => Reaction::back_off(Scope::Account, Span::ZERO),
        130_429 => Reaction::Slow { after: Span::seconds(1) },
        // 4^X seconds from X = 0, for this pair of numbers alone.
        131_056 => {
            Reaction::BackOff { scope: Scope::Contact, pause: Pause { at_least: Span::seconds(1), grows: 4 } }
        }
        // No webhook says that it is over: since October 2025 numbers are not flagged any more, and Meta's reference of
        // `phone_number_quality_update` knows only a throughput that rose.
        131_048 => Reaction::stop(Scope::Sender),
        131_049 => Reaction::Later { after: Span::days(1), times: 1, then: Then::Skip },
        131_050 => Reaction::OptOut,
        130_472 => Reaction::Skip,
        131_047 => Reaction::NeedsTemplate,
        131_026 => Reaction::Unusable,
        // The recipient is the sender: no other message to it passes either, but its number is nobody's to suppress.
        131_021 => Reaction::Never { blames: Blames::Message, alike: None },
        // Locked, against policy, not registered, not paid.
        131_031 | 368 | 131_045 | 133_010 | 131_042 => Reaction::stop(Scope::Account),
        131_057 => Reaction::Hold { scope: Scope::Sender, until: Until::After(Span::seconds(60)) },
        // A bad request; parameters that do not fit their template.
        100 | 131_008 | 131_009 | 131_051 | 132_000 | 132_005 | 132_007 | 132_012 | 132_018 => {
            Reaction::BAD_STEP
        }
        131_052 | 131_053 => Reaction::Later { after: Span::minutes(1), times: 2, then: Then::HoldStep },
        // There is none of this name and language, or it is disabled: another is needed.
        132_001 | 132_016 => Reaction::Hold { scope: Scope::Template, until: Until::Changed },
        132_015 => told(Span::hours(3)),
        _ => return None,
    })
}

/// A template that rests until its provider says that it does not.
fn told(at_least: Span) -> Reaction {
    Reaction::Hold { scope: Scope::Template, until: Until::Told { at_least } }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Each row of the table of codes: what it is called, its codes, what follows.
    fn rows() -> Vec<(&'static str, Vec<u64>, Reaction)> {
        let hold = |scope, until| Reaction::Hold { scope, until };
        vec![
            ("token invalid or expired", vec![0, 190], Reaction::stop(Scope::Sender)),
            ("no permission", vec![3, 10, 200, 219, 299, 131_005], Reaction::stop(Scope::Sender)),
            ("no such path or version", vec![2_500], Reaction::stop(Scope::Sender)),
            ("down or unknown", vec![1, 2, 131_000, 131_016, 133_004], Reaction::SOON),
            ("app call limit", vec![4], Reaction::back_off(Scope::App, Span::ZERO)),
            ("account rate limit", vec![80_007], Reaction::back_off(Scope::Account, Span::ZERO)),
            ("throughput", vec![130_429], Reaction::Slow { after: Span::seconds(1) }),
            (
                "pair rate",
                vec![131_056],
                Reaction::BackOff {
                    scope: Scope::Contact,
                    pause: Pause { at_least: Span::seconds(1), grows: 4 },
                },
            ),
            ("spam limit", vec![131_048], Reaction::stop(Scope::Sender)),
            (
                "Meta chose not to deliver",
                vec![131_049],
                Reaction::Later { after: Span::hours(24), times: 1, then: Then::Skip },
            ),
            ("stopped marketing", vec![131_050], Reaction::OptOut),
            ("in an experiment", vec![130_472], Reaction::Skip),
            ("window closed", vec![131_047], Reaction::NeedsTemplate),
            ("undeliverable", vec![131_026], Reaction::Unusable),
            (
                "recipient is the sender",
                vec![131_021],
                Reaction::Never { blames: Blames::Message, alike: None },
            ),
            (
                "locked, policy, not registered",
                vec![131_031, 368, 131_045, 133_010],
                Reaction::stop(Scope::Account),
            ),
            ("payment problem", vec![131_042], Reaction::stop(Scope::Account)),
            ("maintenance", vec![131_057], hold(Scope::Sender, Until::After(Span::seconds(60)))),
            ("bad request", vec![100, 131_008, 131_009, 131_051], Reaction::BAD_STEP),
            (
                "media",
                vec![131_052, 131_053],
                Reaction::Later { after: Span::minutes(1), times: 2, then: Then::HoldStep },
            ),
            ("template parameters", vec![132_000, 132_005, 132_007, 132_012, 132_018], Reaction::BAD_STEP),
            ("no such template or language", vec![132_001], hold(Scope::Template, Until::Changed)),
            (
                "template paused",
                vec![132_015],
                hold(Scope::Template, Until::Told { at_least: Span::hours(3) }),
            ),
            ("template disabled", vec![132_016], hold(Scope::Template, Until::Changed)),
        ]
    }

    #[test]
    fn each_row_of_the_codes_has_its_reaction() {
        for (row, codes, expected) in rows() {
            for code in codes {
                assert_eq!(reaction(code), Some(expected), "{row}: {code}");
            }
        }
    }

    #[test]
    fn a_code_of_no_row_has_none() {
        for code in [5, 199, 300, 131_001, 132_002, 999_999] {
            assert_eq!(reaction(code), None, "{code}");
        }
    }

    #[test]
    fn a_message_was_taken_when_it_has_an_id() {
        let taken = json!({ "messaging_product": "whatsapp", "messages": [{ "id": "wamid.HBg" }] });
        assert_eq!(read(200, &taken), Reading::Taken);
        for body in [
            json!({}),
            json!({ "messages": [] }),
            json!({ "messages": [{ "id": "" }] }),
            json!({ "messages": [{ "id": 7 }] }),
            json!([]),
            json!(null),
        ] {
            assert_eq!(read(200, &body), Reading::Unclear, "{body}");
        }
    }

    #[test]
    fn an_error_counts_whatever_stands_beside_it() {
        let both = json!({ "error": { "code": 100 }, "messages": [{ "id": "wamid.HBg" }] });
        assert_eq!(read(200, &both), Reading::Refused("100".into(), Some(Reaction::BAD_STEP)));
        assert_eq!(read(400, &json!({ "error": { "code": "100" } })), Reading::Unclear);
        let gone = json!({ "error": { "code": 100, "error_subcode": 33 } });
        assert_eq!(read(400, &gone), Reading::Refused("100.33".into(), Some(Reaction::stop(Scope::Sender))));
        assert_eq!(read(400, &json!({ "error": { "code": 7 } })), Reading::Refused("7".into(), None));
    }
}
