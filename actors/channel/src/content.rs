//! What a message may be besides text, in no provider's words.
//!
//! The core renders text today; the rest is what it may say once it knows of templates and media.

use followupd_domain::render::Message;

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Text.
    Text(String),
    /// A template the provider has approved, with what fills it.
    Template(Template),
    /// A file.
    Media(Media),
    /// Text with buttons that answer it.
    Buttons {
        /// The text over them.
        body: String,
        /// The buttons.
        buttons: Vec<Button>,
    },
}

/// An approved template and its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// A text.
    Text(String),
    /// A file, in a header.
    Media(Media),
}

/// What fills one button of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ButtonParameter {
    /// Which button, from 0.
    pub index: u8,
    /// What of it.
    pub fills: ButtonFill,
}

/// What of a template's button is filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ButtonFill {
    /// What a quick reply sends back.
    Payload(String),
    /// The end of a link.
    UrlEnd(String),
}

/// A file by its link, which the provider fetches.
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

/// A button that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Button {
    /// What comes back when it is pressed.
    pub id: String,
    /// What stands on it.
    pub title: String,
}

impl From<Message> for Content {
    /// A subject, where there is one, stands above the text.
    fn from(Message { subject, body }: Message) -> Content {
        Content::Text(if subject.is_empty() { body } else { format!("{subject}\n\n{body}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_not_lost() {
        let of = |subject: &str| Content::from(Message { subject: subject.into(), body: "Oi".into() });
        assert_eq!(of(""), Content::Text("Oi".into()));
        assert_eq!(of("Aula"), Content::Text("Aula\n\nOi".into()));
    }
}
