//! What a message may be besides its text: a template that a provider has approved, a file, buttons that answer.
//!
//! The same types stand in a step, where their texts are templates of ours, and in a message, where they are rendered.

use serde::{Deserialize, Serialize};

use crate::limits;
use crate::render;

/// What a step sends instead of a text, or with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rich {
    /// A template the provider has approved, with what fills it.
    Template(Template),
    /// A file.
    Media(Media),
    /// Buttons under the text, which answer it.
    Buttons(Vec<Button>),
}

/// An approved template and its parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// Its name at the provider.
    pub name: String,
    /// Its language there, like `pt_BR`.
    pub language: String,
    /// What fills its header.
    pub header: Vec<Parameter>,
    /// What fills its text, in order.
    pub body: Vec<Parameter>,
    /// What fills its buttons.
    pub buttons: Vec<ButtonParameter>,
}

/// What fills one place of a template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Parameter {
    /// A text.
    Text(String),
    /// A file, in a header.
    Media(Media),
    /// A text for a place that has a name instead of a number (Meta, "Named parameters").
    Named {
        /// The place's name.
        name: String,
        /// The text.
        text: String,
    },
}

/// What fills one button of a template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ButtonParameter {
    /// Which button, from 0.
    pub index: u8,
    /// What of it.
    pub fills: ButtonFill,
}

/// What of a template's button is filled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ButtonFill {
    /// What a quick reply sends back.
    Payload(String),
    /// The end of a link.
    UrlEnd(String),
}

/// A file by its link, which the provider fetches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// What it is.
    pub kind: MediaKind,
    /// Where it lies.
    pub link: String,
    /// The text under it; audio has none.
    pub caption: Option<String>,
    /// What a document is called.
    pub file_name: Option<String>,
}

/// Kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MediaKind {
    /// A picture.
    Image,
    /// Any file.
    Document,
    /// A film.
    Video,
    /// Sound.
    Audio,
}

impl MediaKind {
    /// All of them.
    pub const ALL: [MediaKind; 4] =
        [MediaKind::Image, MediaKind::Document, MediaKind::Video, MediaKind::Audio];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            MediaKind::Image => "image",
            MediaKind::Document => "document",
            MediaKind::Video => "video",
            MediaKind::Audio => "audio",
        }
    }

    /// The kind of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<MediaKind> {
        MediaKind::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// A button that answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Button {
    /// What comes back when it is pressed.
    pub id: String,
    /// What stands on it.
    pub title: String,
}

impl Rich {
    /// The field of a step that it stands in.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Rich::Template(_) => "template",
            Rich::Media(_) => "media",
            Rich::Buttons(_) => "buttons",
        }
    }

    /// The same with other texts: `text` gets the place of each and what stands there.
    ///
    /// # Errors
    /// The first of `text`.
    pub fn with<E>(&self, text: &mut impl FnMut(&str, &str) -> Result<String, E>) -> Result<Rich, E> {
        Ok(match self {
            Rich::Template(template) => Rich::Template(template.with(text)?),
            Rich::Media(media) => Rich::Media(media.with("", text)?),
            Rich::Buttons(buttons) => {
                let one = |(i, button): (usize, &Button)| {
                    let id = text(&format!("[{i}].id"), &button.id)?;
                    Ok(Button { id, title: text(&format!("[{i}].title"), &button.title)? })
                };
                Rich::Buttons(buttons.iter().enumerate().map(one).collect::<Result<_, E>>()?)
            }
        })
    }
}

impl Template {
    /// The same with other texts, see [`Rich::with`].
    ///
    /// # Errors
    /// The first of `text`.
    pub fn with<E>(&self, text: &mut impl FnMut(&str, &str) -> Result<String, E>) -> Result<Template, E> {
        let mut parameters = |of: &str, all: &[Parameter]| {
            let one = |(i, parameter): (usize, &Parameter)| {
                let place = place_of(of, i, parameter);
                Ok(match parameter {
                    Parameter::Text(given) => Parameter::Text(text(&place, given)?),
                    Parameter::Media(media) => Parameter::Media(media.with(&place, text)?),
                    Parameter::Named { name, text: given } => {
                        Parameter::Named { name: name.clone(), text: text(&place, given)? }
                    }
                })
            };
            all.iter().enumerate().map(one).collect::<Result<Vec<_>, E>>()
        };
        let (header, body) = (parameters("header", &self.header)?, parameters("body", &self.body)?);
        let mut button = |(i, button): (usize, &ButtonParameter)| {
            let fills = match &button.fills {
                ButtonFill::Payload(given) => {
                    ButtonFill::Payload(text(&format!(".buttons[{i}].payload"), given)?)
                }
                ButtonFill::UrlEnd(given) => {
                    ButtonFill::UrlEnd(text(&format!(".buttons[{i}].url_end"), given)?)
                }
            };
            Ok(ButtonParameter { index: button.index, fills })
        };
        let buttons = self.buttons.iter().enumerate().map(&mut button).collect::<Result<_, E>>()?;
        Ok(Template { name: self.name.clone(), language: self.language.clone(), header, body, buttons })
    }
}

/// Where a parameter of a template is written: a header has one place for a text and one for a file.
fn place_of(of: &str, i: usize, parameter: &Parameter) -> String {
    match (of, parameter) {
        ("header", Parameter::Text(_) | Parameter::Named { .. }) => ".header_text".to_owned(),
        ("header", Parameter::Media(_)) => ".header_media".to_owned(),
        (_, Parameter::Named { .. }) => format!(".named_body[{i}].text"),
        (of, Parameter::Text(_) | Parameter::Media(_)) => format!(".{of}[{i}]"),
    }
}

/// Whether the provider refuses line breaks, tabs and many spaces there: what fills a template's texts and ends its links
/// stands in the middle of a text that was approved as it is (Meta, code 132018).
#[must_use]
pub fn is_one_line(place: &str) -> bool {
    let of_body = place.starts_with(".body[") || place.starts_with(".named_body[");
    of_body || place == ".header_text" || place.ends_with(".url_end")
}

impl Media {
    fn with<E>(
        &self,
        place: &str,
        text: &mut impl FnMut(&str, &str) -> Result<String, E>,
    ) -> Result<Media, E> {
        let mut perhaps = |name: &str, given: &Option<String>| {
            given.as_ref().map(|given| text(&format!("{place}.{name}"), given)).transpose()
        };
        let (caption, file_name) =
            (perhaps("caption", &self.caption)?, perhaps("file_name", &self.file_name)?);
        Ok(Media { kind: self.kind, link: text(&format!("{place}.link"), &self.link)?, caption, file_name })
    }
}

/// What is wrong with a step's content, each with its place in it and what would be right.
#[must_use]
pub fn faults(rich: &Rich) -> Vec<(String, String)> {
    let mut faults = Vec::new();
    let mut check = |place: &str, text: &str| {
        faults.extend(render::check(text).err().map(|fault| (place.to_owned(), fault)));
        if text.trim().is_empty() {
            faults.push((place.to_owned(), "is empty: give a text".to_owned()));
        }
        let is_link = text.starts_with("https://") || text.starts_with("{{");
        if place.ends_with(".link") && !is_link {
            faults.push((
                place.to_owned(),
                "is none that a provider fetches: begin it with https://".to_owned(),
            ));
        }
        Ok::<String, std::convert::Infallible>(String::new())
    };
    let Ok(_) = rich.with(&mut check);
    match rich {
        Rich::Template(template) => template.faults(&mut faults),
        Rich::Media(media) => media.faults("", &mut faults),
        Rich::Buttons(buttons) => button_faults(buttons, &mut faults),
    }
    faults
}

impl Template {
    fn faults(&self, faults: &mut Vec<(String, String)>) {
        for (name, text) in [("name", &self.name), ("language", &self.language)] {
            if text.trim().is_empty() {
                let right = "is missing: a provider knows an approved template by its name and language";
                faults.push((format!(".{name}"), right.to_owned()));
            }
        }
        self.name_faults(faults);
        let is_media = |parameter: &Parameter| matches!(parameter, Parameter::Media(_));
        if let Some(i) = self.body.iter().position(is_media) {
            faults.push((format!(".body[{i}]"), "is a file: only a header takes one".to_owned()));
        }
        for parameter in &self.header {
            let Parameter::Media(media) = parameter else { continue };
            if media.kind == MediaKind::Audio {
                let right = "is audio: a header takes an image, a document or a video".to_owned();
                faults.push((".header_media.kind".to_owned(), right));
            }
        }
        if self.header.len() > 1 {
            let right = "goes with no header_text: a header takes one text or one file";
            faults.push((".header_media".to_owned(), right.to_owned()));
        }
        for (i, button) in self.buttons.iter().enumerate() {
            let (index, most) = (button.index, limits::TEMPLATE_BUTTONS);
            let place = || format!(".buttons[{i}].index");
            if usize::from(index) >= most {
                let right = format!("is {index}: the first button is 0, and there are {most} at most");
                faults.push((place(), right));
            }
            if self.buttons[..i].iter().any(|other| other.index == index) {
                faults.push((place(), format!("is {index} again: each button is filled once")));
            }
        }
    }
}

impl Parameter {
    /// The name of its place; `None`: it has none, as a file has none.
    fn name(&self) -> Option<&str> {
        match self {
            Parameter::Named { name, .. } => Some(name),
            Parameter::Text(_) | Parameter::Media(_) => None,
        }
    }
}

impl Template {
    /// What is wrong with the names of its parameters: all have one, or none has.
    fn name_faults(&self, faults: &mut Vec<(String, String)>) {
        let named = |all: &[Parameter]| all.iter().any(|one| one.name().is_some());
        let placed = |all: &[Parameter]| all.iter().any(|one| matches!(one, Parameter::Text(_)));
        let (header, body) = (self.header.as_slice(), self.body.as_slice());
        let mixed = [
            (named(body) && placed(body), ".named_body", "goes without body"),
            (named(header) && placed(body), ".header_name", "goes with named_body"),
            (placed(header) && named(body), ".header_name", "is missing"),
        ];
        for (_, place, is) in mixed.into_iter().filter(|(is_mixed, ..)| *is_mixed) {
            let right = format!("{is}: all parameters of a template have names, or none has");
            faults.push((place.to_owned(), right));
        }
        let is_name = |name: &str| {
            let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            !name.is_empty() && name.len() <= limits::PARAMETER_NAME && name.bytes().all(known)
        };
        let header = header.iter().map(|one| (".header_name".to_owned(), one.name()));
        let body = body.iter().enumerate().map(|(i, one)| (format!(".named_body[{i}].name"), one.name()));
        for (place, name) in header.chain(body).filter_map(|(place, name)| Some((place, name?))) {
            if !is_name(name) {
                let right = format!("is {name:?}: write it as the template does, like order_id");
                faults.push((place, right));
            }
        }
        for (i, name) in self.body.iter().enumerate().filter_map(|(i, one)| Some((i, one.name()?))) {
            if self.body[..i].iter().any(|other| other.name() == Some(name)) {
                let right = format!("is {name:?} again: each place is filled once");
                faults.push((format!(".named_body[{i}].name"), right));
            }
        }
    }
}

/// What is wrong with buttons that answer a text.
fn button_faults(buttons: &[Button], faults: &mut Vec<(String, String)>) {
    if !limits::REPLY_BUTTONS.contains(&buttons.len()) {
        let (least, most) = (limits::REPLY_BUTTONS.start(), limits::REPLY_BUTTONS.end());
        faults.push((String::new(), format!("has {}: give {least} to {most}", buttons.len())));
    }
    for (i, button) in buttons.iter().enumerate() {
        let texts = [("id", &button.id, limits::BUTTON_ID), ("title", &button.title, limits::BUTTON_TITLE)];
        for (name, text, most) in texts {
            // How long one with variables is, only its contact says.
            let length = if text.contains("{{") { 0 } else { text.chars().count() };
            if length > most {
                let right = format!("has {length} characters: at most {most} are allowed");
                faults.push((format!("[{i}].{name}"), right));
            }
        }
        let same = |other: &Button| other.id == button.id || other.title == button.title;
        if buttons[..i].iter().any(same) {
            let right = "is like another: give it an id and a title of its own";
            faults.push((format!("[{i}]"), right.to_owned()));
        }
    }
}

impl Media {
    fn faults(&self, place: &str, faults: &mut Vec<(String, String)>) {
        if self.caption.is_some() && self.kind == MediaKind::Audio {
            faults.push((format!("{place}.caption"), "goes with no audio: leave it out".to_owned()));
        }
        if self.file_name.is_some() && self.kind != MediaKind::Document {
            faults.push((format!("{place}.file_name"), "goes with a document: leave it out".to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media(kind: MediaKind) -> Media {
        Media { kind, link: "https://cdn.example/a".into(), caption: None, file_name: None }
    }

    fn template() -> Template {
        Template {
            name: "aula".into(),
            language: "pt_BR".into(),
            header: vec![Parameter::Media(Media { caption: Some("c".into()), ..media(MediaKind::Image) })],
            body: vec![Parameter::Text("{{ contact.name }}".into()), Parameter::Text("two".into())],
            buttons: vec![
                ButtonParameter { index: 0, fills: ButtonFill::Payload("yes".into()) },
                ButtonParameter { index: 1, fills: ButtonFill::UrlEnd("{{ contact.id }}".into()) },
            ],
        }
    }

    #[test]
    fn every_text_has_its_place_and_can_be_another() {
        let mut places = Vec::new();
        let mut note = |place: &str, text: &str| {
            places.push(place.to_owned());
            Ok::<String, String>(format!("<{text}>"))
        };
        let Ok(Rich::Template(other)) = Rich::Template(template()).with(&mut note) else { panic!() };
        assert_eq!(
            places,
            [
                ".header_media.caption",
                ".header_media.link",
                ".body[0]",
                ".body[1]",
                ".buttons[0].payload",
                ".buttons[1].url_end"
            ]
        );
        assert_eq!(other.body[1], Parameter::Text("<two>".into()));
        assert_eq!(
            (other.name.as_str(), other.language.as_str()),
            ("aula", "pt_BR"),
            "they are no texts of ours"
        );
        let stop = Rich::Media(media(MediaKind::Video)).with(&mut |_, _| Err::<String, u8>(7));
        assert_eq!(stop, Err(7));
    }

    fn named(name: &str) -> Parameter {
        Parameter::Named { name: name.into(), text: "{{ contact.name }}".into() }
    }

    #[test]
    fn parameters_have_names_or_places_and_never_both() {
        let of = |header: Vec<Parameter>, body: Vec<Parameter>| {
            let found = faults(&Rich::Template(Template { header, body, buttons: Vec::new(), ..template() }));
            found.into_iter().map(|(place, _)| place).collect::<Vec<_>>()
        };
        let text = || Parameter::Text("one".into());
        let file = || Parameter::Media(media(MediaKind::Image));
        assert_eq!(of(vec![named("title")], vec![named("order_id"), named("day_2")]), [""; 0]);
        assert_eq!(of(vec![file()], vec![named("order_id")]), [""; 0]);
        assert_eq!(of(vec![named("title")], vec![]), [""; 0]);
        assert_eq!(of(vec![], vec![named("a"), text()]), [".named_body"]);
        assert_eq!(of(vec![named("a")], vec![text()]), [".header_name"]);
        assert_eq!(of(vec![text()], vec![named("a")]), [".header_name"]);
        for wrong in ["", "Order", "order id", "{{1}}"] {
            assert_eq!(of(vec![], vec![named(wrong)]), [".named_body[0].name"], "{wrong}");
            assert_eq!(of(vec![named(wrong)], vec![]), [".header_name"], "{wrong}");
        }
        assert_eq!(of(vec![], vec![named("a"), named("a")]), [".named_body[1].name"]);
        let unknown = Parameter::Named { name: "a".into(), text: "{{ contact.nmae }}".into() };
        assert_eq!(of(vec![], vec![unknown]), [".named_body[0].text"]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let button = |id: &str| Button { id: id.into(), title: "Sim".into() };
        let rows = [
            (Rich::Template(template()), "", ""),
            (Rich::Template(Template { language: String::new(), ..template() }), ".language", "by its name"),
            (
                Rich::Template(Template {
                    body: vec![Parameter::Media(media(MediaKind::Image))],
                    ..template()
                }),
                ".body[0]",
                "only a header",
            ),
            (
                Rich::Template(Template {
                    header: vec![Parameter::Media(media(MediaKind::Audio))],
                    ..template()
                }),
                ".header_media.kind",
                "is audio",
            ),
            (
                Rich::Template(Template {
                    body: vec![Parameter::Text("{{ contact.nmae }}".into())],
                    ..template()
                }),
                ".body[0]",
                "did you mean \"name\"?",
            ),
            (Rich::Media(Media { link: "a.png".into(), ..media(MediaKind::Image) }), ".link", "https://"),
            (
                Rich::Media(Media { caption: Some("x".into()), ..media(MediaKind::Audio) }),
                ".caption",
                "no audio",
            ),
            (
                Rich::Media(Media { file_name: Some("x".into()), ..media(MediaKind::Image) }),
                ".file_name",
                "a document",
            ),
            (Rich::Buttons(Vec::new()), "", "give 1 to 3"),
            (Rich::Buttons(vec![button("")]), "[0].id", "is empty"),
            (Rich::Buttons(vec![button(&"x".repeat(257))]), "[0].id", "at most 256"),
            (Rich::Buttons(vec![button("a"), button("b")]), "[1]", "a title of its own"),
            (
                Rich::Template(Template {
                    buttons: vec![ButtonParameter { index: 10, fills: ButtonFill::Payload("x".into()) }],
                    ..template()
                }),
                ".buttons[0].index",
                "10 at most",
            ),
        ];
        for (rich, place, right) in rows {
            let found = faults(&rich);
            if right.is_empty() {
                assert_eq!(found, []);
                continue;
            }
            let is_said = found.iter().any(|(at, what)| at == place && what.contains(right));
            assert!(is_said, "{place} {right}: {found:?}");
        }
    }
}
