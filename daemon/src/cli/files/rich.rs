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
    header_media: Option<Media>,
    #[serde(skip_serializing_if = "is_default")]
    body: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    buttons: Vec<TemplateButton>,
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
        let Template { name, language, header_text, header_media, body, buttons } = given;
        let header_media = header_media.map(v1::Media::from).into();
        let buttons = buttons.into_iter().map(v1::TemplateButton::from).collect();
        v1::Template { name, language, header_text, header_media, body, buttons, ..Default::default() }
    }
}

impl From<v1::Template> for Template {
    fn from(shown: v1::Template) -> Template {
        let v1::Template { name, language, header_text, header_media, body, buttons, .. } = shown;
        let header_media = header_media.into_option().map(Media::from);
        let buttons = buttons.into_iter().map(TemplateButton::from).collect();
        Template { name, language, header_text, header_media, body, buttons }
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
