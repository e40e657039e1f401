//! A message as Chatwoot's application API wants it
//! (<https://developers.chatwoot.com/api-reference/messages/create-new-message>).

use serde_json::{Value, json};
use url::Url;

use crate::limits;
use crate::problem::Problem;

/// Where the messages of a conversation are posted.
///
/// # Errors
/// The conversation is none of Chatwoot's.
pub(super) fn url(base: &Url, account: u64, conversation: &str) -> Result<Url, Problem> {
    let right = || "the number of a conversation, from 1 on".to_owned();
    let is_plain = conversation.bytes().all(|byte| byte.is_ascii_digit());
    let number: Option<u64> = conversation.parse().ok().filter(|number| is_plain && *number > 0);
    let number = number.ok_or_else(|| Problem { field: "conversation", right: right() })?;
    let mut url = base.clone();
    let path = base.path().trim_end_matches('/');
    url.set_path(&format!("{path}/api/v1/accounts/{account}/conversations/{number}/messages"));
    Ok(url)
}

/// The body of a request. `key` stands beside the message in whatever Chatwoot says of it later.
///
/// # Errors
/// What the provider would refuse, before it is asked.
pub(super) fn body(text: &str, key: &str) -> Result<Value, Problem> {
    let most = limits::CONVERSATION_TEXT;
    if text.is_empty() || text.chars().take(most + 1).count() > most {
        return Err(Problem { field: "text", right: format!("from 1 to {most} characters") });
    }
    Ok(json!({
        "content": text,
        "message_type": "outgoing",
        "private": false,
        "content_attributes": { "followupd_send": key },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_a_number() {
        let base = Url::parse("https://inbox.example/chat/").unwrap();
        let expected = "https://inbox.example/chat/api/v1/accounts/3/conversations/42/messages";
        assert_eq!(url(&base, 3, "42").unwrap().as_str(), expected);
        for conversation in ["", "0", "-1", "+1", "4/2", "../1", "ct-1", "99999999999999999999"] {
            assert_eq!(url(&base, 3, conversation).unwrap_err().field, "conversation", "{conversation}");
        }
    }

    #[test]
    fn a_message_is_outgoing_and_open_and_has_its_key() {
        let expected = json!({
            "content": "Oi", "message_type": "outgoing", "private": false,
            "content_attributes": { "followupd_send": "snd_1" },
        });
        assert_eq!(body("Oi", "snd_1").unwrap(), expected);
        assert_eq!(body("", "snd_1").unwrap_err().field, "text");
        assert_eq!(body(&"x".repeat(150_001), "snd_1").unwrap_err().field, "text");
    }
}
