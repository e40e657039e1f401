//! What Twilio's codes mean (<https://www.twilio.com/docs/api/errors>). The table of them; it touches nothing.

use followupd_domain::Span;
use serde_json::Value;

use crate::http::Reading;
use followupd_domain::reaction::{Blames, Reaction, Scope, Then, Until};

/// What an answer says: the message's id, or a code.
pub(super) fn read(status: u16, body: &Value) -> Reading {
    let of = |field| body.get(field).and_then(Value::as_u64);
    // A message that was made names its code beside its id, an error its own.
    if let Some(code) = of("error_code").or_else(|| of("code")) {
        return Reading::Refused(code.to_string(), reaction(code));
    }
    match body.get("sid").and_then(Value::as_str) {
        Some(id) if !id.is_empty() && status == 201 => Reading::Taken,
        Some(_) | None => Reading::Unclear,
    }
}

/// What follows a code, in an answer or in a receipt that comes later; nothing for one that is not known.
#[must_use]
pub fn reaction(code: u64) -> Option<Reaction> {
    let once = |after| Reaction::Later { after, times: 1, then: Then::Fail };
    let bad_address = Reaction::Never { blames: Blames::Address, alike: None };
    Some(match code {
        // The login.
        20_003 => Reaction::stop(Scope::Sender),
        21_610 => Reaction::OptOut,
        // Its queue is hours long: more would only make it longer.
        21_611 | 30_001 => Reaction::Hold { scope: Scope::Sender, until: Until::After(Span::minutes(30)) },
        20_429 => Reaction::back_off(Scope::Account, Span::ZERO),
        // Suspended, not registered; a number, name or service that is not ours to send from.
        30_002 | 30_034 | 21_212 | 21_603 | 21_606 | 21_701 => Reaction::stop(Scope::Sender),
        30_003 => once(Span::hours(4)),
        30_004 | 63_014 => Reaction::OptOut,
        30_005 | 30_006 | 21_211 | 21_614 | 63_024 => bad_address,
        30_007 => Reaction::BAD_STEP,
        // A country the account may not write to; numbers that cannot reach each other: the next contact's may.
        21_408 | 21_612 => Reaction::never(Blames::Message),
        30_008 => once(Span::minutes(5)),
        30_022 | 63_018 => Reaction::Slow { after: Span::seconds(1) },
        // When the day of a cap ends differs by carrier, and no answer says it. Tried every six hours, a message that is
        // refused by receipt each time has an attempt left when the day is over.
        30_023 | 63_038 => Reaction::Hold { scope: Scope::Sender, until: Until::After(Span::hours(6)) },
        63_016 => Reaction::NeedsTemplate,
        63_032 => Reaction::Skip,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::whatsapp;

    #[test]
    fn each_row_of_the_codes_has_its_reaction() {
        let hold = |until| Reaction::Hold { scope: Scope::Sender, until };
        let later = |after| Reaction::Later { after, times: 1, then: Then::Fail };
        let rows: [(&str, &[u64], Reaction); 17] = [
            ("wrong login", &[20_003], Reaction::stop(Scope::Sender)),
            ("opted out", &[21_610], Reaction::OptOut),
            ("queue over 10 h", &[21_611, 30_001], hold(Until::After(Span::minutes(30)))),
            ("concurrency", &[20_429], Reaction::back_off(Scope::Account, Span::ZERO)),
            ("suspended, unregistered", &[30_002, 30_034], Reaction::stop(Scope::Sender)),
            ("not ours to send from", &[21_212, 21_603, 21_606, 21_701], Reaction::stop(Scope::Sender)),
            ("unreachable", &[30_003], later(Span::hours(4))),
            ("blocked by the recipient", &[30_004, 63_014], Reaction::OptOut),
            (
                "unknown, landline, invalid",
                &[30_005, 30_006, 21_211, 21_614, 63_024],
                Reaction::Never { blames: Blames::Address, alike: None },
            ),
            ("carrier filter", &[30_007], Reaction::BAD_STEP),
            ("not there, not that way", &[21_408, 21_612], Reaction::never(Blames::Message)),
            ("unknown", &[30_008], later(Span::minutes(5))),
            ("too fast", &[30_022], Reaction::Slow { after: Span::seconds(1) }),
            ("daily cap", &[30_023, 63_038], hold(Until::After(Span::hours(6)))),
            ("window closed", &[63_016], whatsapp::reaction(131_047).unwrap()),
            ("WhatsApp's throughput", &[63_018], whatsapp::reaction(130_429).unwrap()),
            ("in an experiment", &[63_032], whatsapp::reaction(130_472).unwrap()),
        ];
        for (row, codes, expected) in rows {
            for code in codes {
                assert_eq!(reaction(*code), Some(expected), "{row}: {code}");
            }
        }
        assert_eq!(reaction(99_999), None);
    }

    #[test]
    fn a_message_was_taken_when_it_was_made_and_has_an_id() {
        let made = json!({ "sid": "SM1", "status": "queued", "error_code": null });
        assert_eq!(read(201, &made), Reading::Taken);
        assert_eq!(read(200, &made), Reading::Unclear, "nothing was made");
        assert_eq!(read(201, &json!({ "sid": "" })), Reading::Unclear);
        let failed = json!({ "sid": "SM1", "status": "failed", "error_code": 30_007 });
        assert_eq!(read(201, &failed), Reading::Refused("30007".into(), Some(Reaction::BAD_STEP)));
        let refused = json!({ "code": 21_610, "message": "no", "status": 400 });
        let expected = Reading::Refused("21610".into(), Some(Reaction::OptOut));
        assert_eq!(read(400, &refused), expected);
    }
}
