//! Names the caller gives: tenants, channels, sequences; and the platform's opaque ids.

use serde::{Deserialize, Serialize};
use std::fmt;

use crate::limits;

/// The name of a tenant, channel or sequence: `[a-z0-9-]`, 1 to 63 of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Name(String);

/// Why a text is no name or id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Empty.
    #[error("is empty: give 1 to {most} characters")]
    Empty {
        /// The most there may be.
        most: usize,
    },
    /// Longer than allowed.
    #[error("has {length} bytes: at most {most} are allowed")]
    TooLong {
        /// How many there are.
        length: usize,
        /// The most there may be.
        most: usize,
    },
    /// Holds a character that names do not have.
    #[error("holds {found:?}: a name has only a-z, 0-9 and -")]
    Character {
        /// The first such character.
        found: char,
    },
    /// Holds a control character, which no platform's id has.
    #[error("holds a control character")]
    Control,
}

impl Name {
    /// The name of this text.
    ///
    /// # Errors
    /// Says which rule of names the text breaks.
    pub fn parse(text: &str) -> Result<Name, Error> {
        bounded(text, limits::NAME_BYTES)?;
        match text.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
            Some(found) => Err(Error::Character { found }),
            None => Ok(Name(text.to_owned())),
        }
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks the platform's id of a contact, target or event: opaque, 1 to 128 bytes, no control characters.
///
/// # Errors
/// Says which rule of ids the text breaks.
pub fn check_id(text: &str) -> Result<(), Error> {
    bounded(text, limits::ID_BYTES)?;
    if text.chars().any(char::is_control) { Err(Error::Control) } else { Ok(()) }
}

fn bounded(text: &str, most: usize) -> Result<(), Error> {
    match text.len() {
        0 => Err(Error::Empty { most }),
        length if length > most => Err(Error::TooLong { length, most }),
        _ => Ok(()),
    }
}

/// That a word is none of those there are, with the one that was probably meant.
#[must_use]
pub fn not_one_of(given: &str, known: &[&str]) -> String {
    let near = nearest(given, known.iter().copied()).map(|near| format!(", did you mean {near:?}?"));
    format!("{given:?} is not one of {}{}", known.join(", "), near.unwrap_or_default())
}

/// The known word nearest to a mistaken one, if one is near enough to be meant.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters = word.chars().count();
    let close_enough = 1 + letters / 4;
    // The distance is at least that of their lengths: one that is out of reach is not measured, however long it is.
    known
        .into_iter()
        .filter(|candidate| candidate.chars().count().abs_diff(letters) <= close_enough)
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= close_enough)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edits (insert, remove, replace, swap of neighbours) that turn one word into the other, whatever their case.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let letters = |word: &str| word.chars().map(|c| c.to_ascii_lowercase()).collect::<Vec<char>>();
    let (a, b) = (letters(a), letters(b));
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels() {
        assert!(Name::parse("charge-reminder-2").is_ok());
        assert_eq!(Name::parse(""), Err(Error::Empty { most: 63 }));
        assert_eq!(Name::parse("Acme"), Err(Error::Character { found: 'A' }));
        assert_eq!(Name::parse(&"a".repeat(64)), Err(Error::TooLong { length: 64, most: 63 }));
    }

    #[test]
    fn ids_are_opaque_but_bounded() {
        assert!(check_id("+55 11 99999-0000 / José").is_ok());
        assert_eq!(check_id("a\nb"), Err(Error::Control));
        assert!(check_id(&"é".repeat(65)).is_err());
    }

    #[test]
    fn the_near_word_is_named_and_a_far_one_is_not() {
        let known = ["email", "phone", "name"];
        assert_eq!(nearest("emial", known), Some("email"));
        assert_eq!(nearest("fax", known), None);
        assert_eq!(nearest("phon", known), Some("phone"));
    }
}
