//! What steps send besides texts: from messages to drafts, and back.

use buffa::MessageField;
use followupd_domain::content::{
    Button, ButtonFill, ButtonParameter, Media, MediaKind, Parameter, Rich, Template,
};
use followupd_domain::name::not_one_of;
use followupd_runtime::Error;

use crate::rpc::take;
use followupd_proto::v1;

/// What the step of this number sends besides its text, and instead while the service window is closed.
pub(super) fn of(i: usize, given: &mut v1::Step) -> Result<(Option<Rich>, Option<Template>), Error> {
    let field = |name: &str| format!("steps[{i}].{name}");
    let media = std::mem::take(&mut given.media).into_option();
    let own = std::mem::take(&mut given.template).into_option();
    let buttons = std::mem::take(&mut given.buttons);
    let fallback = std::mem::take(&mut given.fallback).into_option();
    let mut found = Vec::new();
    if let Some(given) = own {
        found.push(Rich::Template(template(&field("template"), given)?));
    }
    if let Some(given) = media {
        found.push(Rich::Media(self::media(&field("media"), given)?));
    }
    if !buttons.is_empty() {
        let button = |v1::Button { id, title, .. }| Button { id, title };
        found.push(Rich::Buttons(buttons.into_iter().map(button).collect()));
    }
    if found.len() > 1 {
        let problem = "goes with no other of template, media and buttons: give one";
        return Err(take::invalid(&field(found[1].field()), problem));
    }
    Ok((found.pop(), fallback.map(|given| template(&field("fallback"), given)).transpose()?))
}

fn template(field: &str, given: v1::Template) -> Result<Template, Error> {
    let media = given.header_media.into_option();
    let media = media.map(|given| self::media(&format!("{field}.header_media"), given)).transpose()?;
    let (name, text) = (given.header_name, given.header_text);
    if !name.is_empty() && text.is_empty() {
        let problem = "goes with header_text: give both, or leave it out";
        return Err(take::invalid(&format!("{field}.header_name"), problem));
    }
    let text = Some(text).filter(|text| !text.is_empty());
    let text = text
        .map(|text| if name.is_empty() { Parameter::Text(text) } else { Parameter::Named { name, text } });
    let header = text.into_iter().chain(media.map(Parameter::Media)).collect();
    let button = |(i, given): (usize, v1::TemplateButton)| {
        let at = |name: &str| format!("{field}.buttons[{i}].{name}");
        let index = u8::try_from(given.index)
            .map_err(|_| take::invalid(&at("index"), "is none: the first button is 0"))?;
        let fills = match (given.payload.is_empty(), given.url_end.is_empty()) {
            (false, true) => ButtonFill::Payload(given.payload),
            (true, false) => ButtonFill::UrlEnd(given.url_end),
            _ => return Err(take::invalid(&at("payload"), "give it or url_end: a button is filled by one")),
        };
        Ok(ButtonParameter { index, fills })
    };
    let buttons = given.buttons.into_iter().enumerate().map(button).collect::<Result<_, Error>>()?;
    let named = |v1::NamedParameter { name, text, .. }| Parameter::Named { name, text };
    // Both are a fault, which is found with the others: it is about the template as a whole.
    let body =
        given.named_body.into_iter().map(named).chain(given.body.into_iter().map(Parameter::Text)).collect();
    Ok(Template { name: given.name, language: given.language, header, body, buttons })
}

fn media(field: &str, given: v1::Media) -> Result<Media, Error> {
    let Some(kind) = MediaKind::parse(&given.kind) else {
        let problem = not_one_of(&given.kind, &MediaKind::ALL.map(MediaKind::word));
        return Err(take::invalid(&format!("{field}.kind"), &problem));
    };
    let perhaps = |text: String| Some(text).filter(|text| !text.is_empty());
    Ok(Media { kind, link: given.link, caption: perhaps(given.caption), file_name: perhaps(given.file_name) })
}

/// Puts what a step sends besides its text into its message.
pub(super) fn show(rich: Option<Rich>, fallback: Option<Template>, step: v1::Step) -> v1::Step {
    let fallback = fallback.map(shown_template).map_or_else(MessageField::none, Into::into);
    let step = v1::Step { fallback, ..step };
    match rich {
        None => step,
        Some(Rich::Template(template)) => v1::Step { template: shown_template(template).into(), ..step },
        Some(Rich::Media(media)) => v1::Step { media: shown_media(media).into(), ..step },
        Some(Rich::Buttons(buttons)) => {
            let button = |Button { id, title }| v1::Button { id, title, ..Default::default() };
            v1::Step { buttons: buttons.into_iter().map(button).collect(), ..step }
        }
    }
}

fn shown_template(template: Template) -> v1::Template {
    let mut shown = v1::Template { name: template.name, language: template.language, ..Default::default() };
    for parameter in template.header {
        match parameter {
            Parameter::Text(text) => shown.header_text = text,
            Parameter::Media(media) => shown.header_media = shown_media(media).into(),
            Parameter::Named { name, text } => (shown.header_name, shown.header_text) = (name, text),
        }
    }
    for parameter in template.body {
        match parameter {
            Parameter::Text(text) => shown.body.push(text),
            Parameter::Named { name, text } => {
                shown.named_body.push(v1::NamedParameter { name, text, ..Default::default() });
            }
            // A template's text takes no file, and none is let in.
            Parameter::Media(_) => {}
        }
    }
    let button = |ButtonParameter { index, fills }| {
        let index = u32::from(index);
        match fills {
            ButtonFill::Payload(payload) => v1::TemplateButton { index, payload, ..Default::default() },
            ButtonFill::UrlEnd(url_end) => v1::TemplateButton { index, url_end, ..Default::default() },
        }
    };
    shown.buttons = template.buttons.into_iter().map(button).collect();
    shown
}

fn shown_media(media: Media) -> v1::Media {
    v1::Media {
        kind: media.kind.word().to_owned(),
        link: media.link,
        caption: media.caption.unwrap_or_default(),
        file_name: media.file_name.unwrap_or_default(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media() -> Media {
        let (caption, file_name) = (Some("c".into()), Some("plan.pdf".into()));
        Media { kind: MediaKind::Document, link: "https://cdn.example/a".into(), caption, file_name }
    }

    fn template(header: Parameter) -> Template {
        Template {
            name: "aula".into(),
            language: "pt_BR".into(),
            header: vec![header],
            body: vec![Parameter::Text("one".into())],
            buttons: vec![
                ButtonParameter { index: 0, fills: ButtonFill::Payload("yes".into()) },
                ButtonParameter { index: 1, fills: ButtonFill::UrlEnd("7".into()) },
            ],
        }
    }

    #[test]
    fn what_is_shown_can_be_put_again() {
        let buttons = vec![Button { id: "yes".into(), title: "Sim".into() }];
        let named = || Parameter::Named { name: "student".into(), text: "Ana".into() };
        let by_name = Template { body: vec![named(), named()], ..template(named()) };
        let all = [
            (Some(Rich::Template(by_name)), None),
            (None, Some(template(Parameter::Text("h".into())))),
            (Some(Rich::Template(template(Parameter::Media(media())))), None),
            (Some(Rich::Media(media())), None),
            (Some(Rich::Buttons(buttons)), Some(template(Parameter::Media(media())))),
        ];
        for (rich, fallback) in all {
            let mut shown = show(rich.clone(), fallback.clone(), v1::Step::default());
            assert_eq!(of(0, &mut shown).unwrap(), (rich, fallback));
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_field() {
        let twice = v1::Step {
            media: shown_media(media()).into(),
            buttons: vec![v1::Button::default()],
            ..Default::default()
        };
        let kind = v1::Step {
            media: v1::Media { kind: "film".into(), ..Default::default() }.into(),
            ..Default::default()
        };
        let unfilled = v1::Template { buttons: vec![v1::TemplateButton::default()], ..Default::default() };
        let unfilled = v1::Step { fallback: unfilled.into(), ..Default::default() };
        let nameless = v1::Template { header_name: "student".into(), ..Default::default() };
        let nameless = v1::Step { template: nameless.into(), ..Default::default() };
        for (mut step, field) in [
            (nameless, "steps[2].template.header_name"),
            (twice, "steps[2].buttons"),
            (kind, "steps[2].media.kind"),
            (unfilled, "steps[2].fallback.buttons[0].payload"),
        ] {
            let Err(Error::Invalid(faults)) = of(2, &mut step) else { panic!("{field} is taken") };
            assert_eq!(faults[0].field, field);
        }
    }
}
