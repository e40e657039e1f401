//! What Chatwoot's answers mean. It has no codes: statuses decide. The table of them; it touches nothing.

use followupd_domain::Span;
use serde_json::Value;

use crate::http::Reading;
use followupd_domain::reaction::{Blames, Reaction, Scope};

/// What an answer says: the message's id, or a status that is no yes.
pub(super) fn read(status: u16, body: &Value) -> Reading {
    let is_id = body.get("id").and_then(Value::as_u64).is_some_and(|id| id > 0);
    let is_error = body.get("error").is_some() || body.get("errors").is_some();
    match status {
        200..300 if is_id && !is_error => Reading::Taken,
        200..300 => Reading::Unclear,
        _ => Reading::Refused(status.to_string(), reaction(status)),
    }
}

/// What follows a status with a body of Chatwoot's; nothing for one that means what it means everywhere.
fn reaction(status: u16) -> Option<Reaction> {
    Some(match status {
        // The token, what it may do, an account that has not paid.
        401 | 403 => Reaction::stop(Scope::Sender),
        402 => Reaction::stop(Scope::Account),
        // This conversation is not there; many, and it is the account that is not.
        404 => Reaction::Never { blames: Blames::Message, alike: Some(Scope::Sender) },
        400 | 413 | 422 => Reaction::BAD_STEP,
        429 => Reaction::back_off(Scope::Account, Span::ZERO),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_row_of_the_statuses_has_its_reaction() {
        let missing = Reaction::Never { blames: Blames::Message, alike: Some(Scope::Sender) };
        let rows: [(&str, &[u16], Reaction); 5] = [
            ("wrong token, no permission", &[401, 403], Reaction::stop(Scope::Sender)),
            ("not paid", &[402], Reaction::stop(Scope::Account)),
            ("no such conversation", &[404], missing),
            ("bad request", &[400, 413, 422], Reaction::BAD_STEP),
            ("too many", &[429], Reaction::back_off(Scope::Account, Span::ZERO)),
        ];
        for (row, statuses, expected) in rows {
            for status in statuses {
                let said = read(*status, &json!({ "error": "no" }));
                assert_eq!(said, Reading::Refused(status.to_string(), Some(expected)), "{row}: {status}");
            }
        }
        assert_eq!(read(500, &json!({})), Reading::Refused("500".into(), None));
    }

    #[test]
    fn a_message_was_taken_when_it_has_a_number() {
        assert_eq!(read(200, &json!({ "id": 7, "content": "Oi" })), Reading::Taken);
        for body in [json!({}), json!({ "id": 0 }), json!({ "id": "7" }), json!([7]), json!(null)] {
            assert_eq!(read(200, &body), Reading::Unclear, "{body}");
        }
        assert_eq!(read(200, &json!({ "id": 7, "error": "no" })), Reading::Unclear);
    }
}
