//! A message as one thing, for providers that take it as one.

use followupd_domain::content::Rich;
pub use followupd_domain::content::{
    Button, ButtonFill, ButtonParameter, Media, MediaKind, Parameter, Template,
};
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

impl From<Message> for Content {
    /// A subject, where there is one, stands above the text.
    fn from(Message { subject, body, rich }: Message) -> Content {
        let text = if subject.is_empty() { body } else { format!("{subject}\n\n{body}") };
        match rich {
            None => Content::Text(text),
            Some(Rich::Template(template)) => Content::Template(template),
            Some(Rich::Media(media)) => Content::Media(media),
            Some(Rich::Buttons(buttons)) => Content::Buttons { body: text, buttons },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_not_lost() {
        let of = |subject: &str| Content::from(Message::of(subject, "Oi"));
        assert_eq!(of(""), Content::Text("Oi".into()));
        assert_eq!(of("Aula"), Content::Text("Aula\n\nOi".into()));
    }
}
