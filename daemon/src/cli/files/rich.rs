//! What steps send besides texts, as files say it.

use super::is_default;
use followupd_proto::v1;
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Template {
    #[serde(skip_serializing_if = "is_default")]
    name: String,
    #[serde(skip_serializing_if = "is_default")]
    language: String,
    #[serde(skip_serializing_if = "is_default")]
    header_text: String,
    #[serde(skip_serializing_if = "is_default")]
    header_name: String,
    #[serde(skip_serializing_if = "is_default")]
    header_media: Option<Media>,
    #[serde(skip_serializing_if = "is_default")]
    body: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    named_body: Vec<NamedParameter>,
    #[serde(skip_serializing_if = "is_default")]
    buttons: Vec<TemplateButton>,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NamedParameter {
    name: String,
    text: String,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TemplateButton {
    index: u32,
    #[serde(skip_serializing_if = "is_default")]
    payload: String,
    #[serde(skip_serializing_if = "is_default")]
    url_end: String,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Media {
    #[serde(skip_serializing_if = "is_default")]
    kind: String,
    #[serde(skip_serializing_if = "is_default")]
    link: String,
    #[serde(skip_serializing_if = "is_default")]
    caption: String,
    #[serde(skip_serializing_if = "is_default")]
    file_name: String,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Button {
    #[serde(skip_serializing_if = "is_default")]
    id: String,
    #[serde(skip_serializing_if = "is_default")]
    title: String,
}

impl From<Template> for v1::Template {
    fn from(given: Template) -> v1::Template {
        let named = |NamedParameter { name, text }| v1::NamedParameter { name, text, ..Default::default() };
        v1::Template {
            name: given.name,
            language: given.language,
            header_text: given.header_text,
            header_name: given.header_name,
            header_media: given.header_media.map(v1::Media::from).into(),
            body: given.body,
            named_body: given.named_body.into_iter().map(named).collect(),
            buttons: given.buttons.into_iter().map(v1::TemplateButton::from).collect(),
            ..Default::default()
        }
    }
}

impl From<v1::Template> for Template {
    fn from(shown: v1::Template) -> Template {
        let named = |v1::NamedParameter { name, text, .. }| NamedParameter { name, text };
        Template {
            name: shown.name,
            language: shown.language,
            header_text: shown.header_text,
            header_name: shown.header_name,
            header_media: shown.header_media.into_option().map(Media::from),
            body: shown.body,
            named_body: shown.named_body.into_iter().map(named).collect(),
            buttons: shown.buttons.into_iter().map(TemplateButton::from).collect(),
        }
    }
}

impl From<TemplateButton> for v1::TemplateButton {
    fn from(TemplateButton { index, payload, url_end }: TemplateButton) -> v1::TemplateButton {
        v1::TemplateButton { index, payload, url_end, ..Default::default() }
    }
}

impl From<v1::TemplateButton> for TemplateButton {
    fn from(shown: v1::TemplateButton) -> TemplateButton {
        TemplateButton { index: shown.index, payload: shown.payload, url_end: shown.url_end }
    }
}

impl From<Media> for v1::Media {
    fn from(Media { kind, link, caption, file_name }: Media) -> v1::Media {
        v1::Media { kind, link, caption, file_name, ..Default::default() }
    }
}

impl From<v1::Media> for Media {
    fn from(shown: v1::Media) -> Media {
        let v1::Media { kind, link, caption, file_name, .. } = shown;
        Media { kind, link, caption, file_name }
    }
}

impl From<Button> for v1::Button {
    fn from(Button { id, title }: Button) -> v1::Button {
        v1::Button { id, title, ..Default::default() }
    }
}

impl From<v1::Button> for Button {
    fn from(shown: v1::Button) -> Button {
        Button { id: shown.id, title: shown.title }
    }
}
