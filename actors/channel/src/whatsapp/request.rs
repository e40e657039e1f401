//! A message as the Cloud API wants it
//! (<https://developers.facebook.com/documentation/business-messaging/whatsapp/reference/whatsapp-business-phone-number/message-api>).

use serde_json::{Value, json};

use crate::content::{Button, ButtonFill, ButtonParameter, Content, Media, MediaKind, Parameter, Template};
use crate::limits;
use crate::problem::Problem;

/// The body of a request. `key` comes back with each status of the message.
///
/// # Errors
/// What the provider would refuse, before it is asked.
pub(super) fn body(to: &str, key: &str, content: &Content) -> Result<Value, Problem> {
    let right = || format!("at most {} bytes", limits::CALLBACK_BYTES);
    unless(key.len() <= limits::CALLBACK_BYTES, "key", right)?;
    let (kind, part) = match content {
        Content::Text(text) => ("text", self::text(text)?),
        Content::Template(template) => ("template", self::template(template)?),
        Content::Media(media) => (media.kind.word(), self::media(media)?),
        Content::Buttons { body, buttons } => ("interactive", interactive(body, buttons)?),
    };
    let mut message = json!({
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": to,
        "type": kind,
        "biz_opaque_callback_data": key,
    });
    message[kind] = part;
    Ok(message)
}

fn unless(is_right: bool, field: &'static str, right: impl FnOnce() -> String) -> Result<(), Problem> {
    if is_right { Ok(()) } else { Err(Problem { field, right: right() }) }
}

/// A text of one to `most` characters.
fn sized(text: &str, most: usize, field: &'static str) -> Result<(), Problem> {
    let is_right = !text.is_empty() && text.chars().take(most + 1).count() <= most;
    unless(is_right, field, || format!("from 1 to {most} characters"))
}

fn text(text: &str) -> Result<Value, Problem> {
    sized(text, limits::WHATSAPP_TEXT, "text")?;
    Ok(json!({ "body": text }))
}

fn template(template: &Template) -> Result<Value, Problem> {
    sized(&template.name, limits::TEMPLATE_NAME, "template_name")?;
    sized(&template.language, limits::LANGUAGE, "template_language")?;
    let mut components = Vec::new();
    let is_alone = template.header.is_empty() && template.buttons.is_empty();
    let body = if is_alone { limits::TEMPLATE_BODY_ALONE } else { limits::TEMPLATE_BODY };
    let parts = [("header", &template.header, limits::TEMPLATE_HEADER), ("body", &template.body, body)];
    for (kind, parameters, most) in parts {
        if !parameters.is_empty() {
            let parameters = parameters.iter().map(|one| parameter(one, most));
            let parameters = parameters.collect::<Result<Vec<_>, _>>()?;
            components.push(json!({ "type": kind, "parameters": parameters }));
        }
    }
    for button in &template.buttons {
        components.push(button_parameter(button)?);
    }
    let mut value = json!({ "name": template.name, "language": { "code": template.language } });
    if !components.is_empty() {
        value["components"] = Value::Array(components);
    }
    Ok(value)
}

fn parameter(parameter: &Parameter, most: usize) -> Result<Value, Problem> {
    match parameter {
        Parameter::Text(text) => {
            sized(text, most, "template_parameter")?;
            Ok(json!({ "type": "text", "text": text }))
        }
        Parameter::Named { name, text } => {
            sized(text, most, "template_parameter")?;
            Ok(json!({ "type": "text", "parameter_name": name, "text": text }))
        }
        Parameter::Media(media) => {
            let is_right = media.kind != MediaKind::Audio;
            unless(is_right, "template_parameter", || "an image, a document or a video".to_owned())?;
            let kind = media.kind.word();
            let mut value = json!({ "type": kind });
            // A header has no text of its own.
            value[kind] = self::media(&Media { caption: None, ..media.clone() })?;
            Ok(value)
        }
    }
}

fn button_parameter(button: &ButtonParameter) -> Result<Value, Problem> {
    let (kind, parameter) = match &button.fills {
        ButtonFill::Payload(payload) => ("quick_reply", json!({ "type": "payload", "payload": payload })),
        ButtonFill::UrlEnd(end) => {
            sized(end, limits::URL_BYTES, "template_parameter")?;
            ("url", json!({ "type": "text", "text": end }))
        }
    };
    Ok(json!({
        "type": "button",
        "sub_type": kind,
        "index": button.index.to_string(),
        "parameters": [parameter],
    }))
}

fn media(media: &Media) -> Result<Value, Problem> {
    let is_link = media.link.starts_with("https://") || media.link.starts_with("http://");
    let is_right = is_link && media.link.len() <= limits::URL_BYTES;
    unless(is_right, "media_link", || "a link the provider can fetch, https://…".to_owned())?;
    let mut value = json!({ "link": media.link });
    if let Some(caption) = &media.caption {
        unless(media.kind != MediaKind::Audio, "media_caption", || "none: audio has no text".to_owned())?;
        sized(caption, limits::WHATSAPP_CAPTION, "media_caption")?;
        value["caption"] = json!(caption);
    }
    if let Some(name) = &media.file_name {
        let is_right = media.kind == MediaKind::Document;
        unless(is_right, "media_file_name", || "none: only a document has a name".to_owned())?;
        value["filename"] = json!(name);
    }
    Ok(value)
}

fn interactive(body: &str, buttons: &[Button]) -> Result<Value, Problem> {
    sized(body, limits::WHATSAPP_CAPTION, "text")?;
    let count = limits::REPLY_BUTTONS;
    let right = || format!("from {} to {} of them", count.start(), count.end());
    unless(count.contains(&buttons.len()), "buttons", right)?;
    for (place, button) in buttons.iter().enumerate() {
        sized(&button.id, limits::BUTTON_ID, "button_id")?;
        sized(&button.title, limits::BUTTON_TITLE, "button_title")?;
        let is_new = |field: fn(&Button) -> &String| {
            buttons[..place].iter().all(|other| field(other) != field(button))
        };
        let is_right = is_new(|button| &button.id) && is_new(|button| &button.title);
        unless(is_right, "buttons", || "each with an id and a title of its own".to_owned())?;
    }
    let reply =
        |button: &Button| json!({ "type": "reply", "reply": { "id": button.id, "title": button.title } });
    let buttons: Vec<Value> = buttons.iter().map(reply).collect();
    Ok(json!({ "type": "button", "body": { "text": body }, "action": { "buttons": buttons } }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(content: &Content) -> Value {
        body("5511999990000", "snd_1", content).unwrap()
    }

    fn wrong(content: &Content) -> &'static str {
        body("5511999990000", "snd_1", content).unwrap_err().field
    }

    fn part(content: &Content, kind: &str) -> Value {
        let mut message = of(content);
        let part = message[kind].take();
        message.as_object_mut().unwrap().remove(kind);
        let around = json!({
            "messaging_product": "whatsapp", "recipient_type": "individual", "to": "5511999990000",
            "type": kind, "biz_opaque_callback_data": "snd_1",
        });
        assert_eq!(message, around);
        part
    }

    fn image() -> Media {
        let link = "https://cdn.example/a.png".to_owned();
        Media { kind: MediaKind::Image, link, caption: None, file_name: None }
    }

    fn button(id: &str, title: &str) -> Button {
        Button { id: id.into(), title: title.into() }
    }

    #[test]
    fn a_text_is_a_text() {
        assert_eq!(part(&Content::Text("Olá".into()), "text"), json!({ "body": "Olá" }));
        assert_eq!(wrong(&Content::Text(String::new())), "text");
        assert_eq!(wrong(&Content::Text("é".repeat(4_097))), "text");
        of(&Content::Text("é".repeat(4_096)));
    }

    #[test]
    fn a_template_has_its_language_and_what_fills_it() {
        let template = Template {
            name: "aula".into(),
            language: "pt_BR".into(),
            header: vec![Parameter::Media(image())],
            body: vec![Parameter::Text("Ana".into()), Parameter::Text("19h".into())],
            buttons: vec![
                ButtonParameter { index: 0, fills: ButtonFill::Payload("yes".into()) },
                ButtonParameter { index: 1, fills: ButtonFill::UrlEnd("a/7".into()) },
            ],
        };
        let expected = json!({
            "name": "aula",
            "language": { "code": "pt_BR" },
            "components": [
                { "type": "header", "parameters": [
                    { "type": "image", "image": { "link": "https://cdn.example/a.png" } }] },
                { "type": "body", "parameters": [
                    { "type": "text", "text": "Ana" }, { "type": "text", "text": "19h" }] },
                { "type": "button", "sub_type": "quick_reply", "index": "0",
                  "parameters": [{ "type": "payload", "payload": "yes" }] },
                { "type": "button", "sub_type": "url", "index": "1",
                  "parameters": [{ "type": "text", "text": "a/7" }] },
            ],
        });
        assert_eq!(part(&Content::Template(template.clone()), "template"), expected);
        let bare = Template { header: Vec::new(), body: Vec::new(), buttons: Vec::new(), ..template.clone() };
        let expected = json!({ "name": "aula", "language": { "code": "pt_BR" } });
        assert_eq!(part(&Content::Template(bare), "template"), expected);
        let nameless = Template { language: String::new(), ..template };
        assert_eq!(wrong(&Content::Template(nameless)), "template_language");
    }

    #[test]
    fn a_parameter_may_have_a_name_and_is_as_long_as_its_place_takes() {
        let named = |text: &str| Parameter::Named { name: "student".into(), text: text.into() };
        let with = |header: Vec<Parameter>, body: Vec<Parameter>| {
            let (name, language) = ("aula".into(), "pt_BR".into());
            Content::Template(Template { name, language, header, body, ..Template::default() })
        };
        let expected = json!({
            "name": "aula",
            "language": { "code": "pt_BR" },
            "components": [
                { "type": "header", "parameters": [
                    { "type": "text", "parameter_name": "student", "text": "Ana" }] },
                { "type": "body", "parameters": [
                    { "type": "text", "parameter_name": "student", "text": "Bia" }] },
            ],
        });
        assert_eq!(part(&with(vec![named("Ana")], vec![named("Bia")]), "template"), expected);
        let long = |most: usize| Parameter::Text("é".repeat(most));
        of(&with(vec![long(60)], vec![long(1_024)]));
        of(&with(Vec::new(), vec![long(32_768)]));
        let ones = || vec![long(1)];
        for (header, body) in [
            (vec![long(61)], ones()),
            (ones(), vec![long(1_025)]),
            (vec![named(&"x".repeat(61))], ones()),
            (Vec::new(), vec![long(32_769)]),
            (Vec::new(), vec![named("")]),
        ] {
            assert_eq!(wrong(&with(header, body)), "template_parameter");
        }
    }

    #[test]
    fn each_kind_of_media_goes_by_its_link() {
        for (kind, word) in [
            (MediaKind::Image, "image"),
            (MediaKind::Document, "document"),
            (MediaKind::Video, "video"),
            (MediaKind::Audio, "audio"),
        ] {
            let media = Media { kind, ..image() };
            assert_eq!(part(&Content::Media(media), word), json!({ "link": "https://cdn.example/a.png" }));
        }
        let named = Media {
            kind: MediaKind::Document,
            caption: Some("Plano".into()),
            file_name: Some("plano.pdf".into()),
            ..image()
        };
        let expected =
            json!({ "link": "https://cdn.example/a.png", "caption": "Plano", "filename": "plano.pdf" });
        assert_eq!(part(&Content::Media(named), "document"), expected);
    }

    #[test]
    fn media_that_would_be_refused_are_named() {
        for (media, field) in [
            (Media { link: "a.png".into(), ..image() }, "media_link"),
            (Media { kind: MediaKind::Audio, caption: Some("x".into()), ..image() }, "media_caption"),
            (Media { file_name: Some("a.png".into()), ..image() }, "media_file_name"),
            (Media { caption: Some("x".repeat(1_025)), ..image() }, "media_caption"),
        ] {
            assert_eq!(wrong(&Content::Media(media)), field);
        }
    }

    #[test]
    fn buttons_answer_a_text() {
        let buttons = vec![button("yes", "Sim"), button("no", "Não")];
        let expected = json!({
            "type": "button",
            "body": { "text": "Vem?" },
            "action": { "buttons": [
                { "type": "reply", "reply": { "id": "yes", "title": "Sim" } },
                { "type": "reply", "reply": { "id": "no", "title": "Não" } },
            ] },
        });
        assert_eq!(part(&Content::Buttons { body: "Vem?".into(), buttons }, "interactive"), expected);
    }

    #[test]
    fn buttons_that_would_be_refused_are_named() {
        let four: Vec<_> = ["a", "b", "c", "d"].iter().map(|id| button(id, id)).collect();
        for (buttons, field) in [
            (Vec::new(), "buttons"),
            (four, "buttons"),
            (vec![button("a", "x"), button("a", "y")], "buttons"),
            (vec![button("a", "x"), button("b", "x")], "buttons"),
            (vec![button("", "x")], "button_id"),
            (vec![button("a", &"x".repeat(21))], "button_title"),
        ] {
            assert_eq!(wrong(&Content::Buttons { body: "Vem?".into(), buttons }), field);
        }
    }

    #[test]
    fn a_key_too_long_to_come_back_is_refused() {
        let body = body("55", &"k".repeat(513), &Content::Text("x".into()));
        assert_eq!(body.unwrap_err().field, "key");
    }
}
