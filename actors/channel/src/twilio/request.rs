//! A message as Twilio's API wants it: a form (<https://www.twilio.com/docs/messaging/api/message-resource>).

use url::Url;
use url::form_urlencoded::Serializer;

use super::settings::Sender;
use crate::limits;
use crate::problem::Problem;

/// The form of a message. `callback` is told the send's key, which the API has no place for.
///
/// # Errors
/// What the provider would refuse, before it is asked.
pub(super) fn form(
    to: &str,
    text: &str,
    sender: &Sender,
    callback: Option<&Url>,
    key: &str,
) -> Result<String, Problem> {
    let most = limits::SMS_TEXT;
    if text.is_empty() || text.chars().take(most + 1).count() > most {
        return Err(Problem { field: "text", right: format!("from 1 to {most} characters") });
    }
    let mut form = Serializer::new(String::new());
    form.append_pair("To", to);
    match sender {
        Sender::Number(number) => form.append_pair("From", number),
        Sender::Service(id) => form.append_pair("MessagingServiceSid", id),
    };
    form.append_pair("Body", text);
    if let Some(callback) = callback {
        let mut callback = callback.clone();
        callback.query_pairs_mut().append_pair("send", key);
        form.append_pair("StatusCallback", callback.as_str());
    }
    Ok(form.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(sender: &Sender, callback: Option<&str>) -> Vec<(String, String)> {
        let callback = callback.map(|url| Url::parse(url).unwrap());
        let form = form("+5511999990000", "Olá & até já+", sender, callback.as_ref(), "snd_1").unwrap();
        url::form_urlencoded::parse(form.as_bytes()).into_owned().collect()
    }

    fn expected(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_message_has_who_sends_and_who_gets_it() {
        let number = Sender::Number("+15005550006".into());
        let (to, body) = (("To", "+5511999990000"), ("Body", "Olá & até já+"));
        assert_eq!(pairs(&number, None), expected(&[to, ("From", "+15005550006"), body]));
        let service = Sender::Service("MG1".into());
        let callback = ("StatusCallback", "https://f.example/twilio?for=acme&send=snd_1");
        let with = expected(&[to, ("MessagingServiceSid", "MG1"), body, callback]);
        assert_eq!(pairs(&service, Some("https://f.example/twilio?for=acme")), with);
    }

    #[test]
    fn a_text_is_neither_empty_nor_too_long() {
        let sender = Sender::Number("+1".into());
        for text in ["", &"é".repeat(1_601)] {
            assert_eq!(form("+5", text, &sender, None, "k").unwrap_err().field, "text");
        }
        assert!(form("+5", &"é".repeat(1_600), &sender, None, "k").is_ok());
    }
}
