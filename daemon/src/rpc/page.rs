//! Pages: an opaque token says where the next one begins, and in which list.

use followupd_domain::limits::BATCH_ITEMS;
use followupd_runtime::{Engine, Error};

use crate::rpc::take;

/// Items of a page where the caller names no number.
const USUAL: usize = 100;

/// Bytes of a token's check.
const CHECK: usize = 8;

/// How many items a page has.
///
/// # Errors
/// More than a page can have.
pub(super) fn size(asked: u32) -> Result<usize, Error> {
    match usize::try_from(asked) {
        Ok(0) => Ok(USUAL),
        Ok(size) if size <= BATCH_ITEMS => Ok(size),
        _ => Err(take::invalid(
            "page_size",
            &format!("is {asked}: give 1 to {BATCH_ITEMS}, or none for {USUAL}"),
        )),
    }
}

/// A page of a list that goes by name.
pub(super) struct Page<'a> {
    filter: &'a str,
    size: usize,
    /// The last name of the page before; empty: this is the first.
    pub(super) after: String,
}

impl<'a> Page<'a> {
    /// The page a caller asks for, in the list that `filter` describes.
    ///
    /// # Errors
    /// As [`size`] and [`place`].
    pub(super) fn of(engine: &Engine, filter: &'a str, asked: u32, token: &str) -> Result<Page<'a>, Error> {
        let after = place(engine, filter, token)?.unwrap_or_default();
        Ok(Page { filter, size: size(asked)?, after: String::from_utf8_lossy(&after).into_owned() })
    }

    /// How many items to look for: one more than there is room for, to see whether more follow.
    pub(super) fn ask(&self) -> usize {
        self.size + 1
    }

    /// The items of the page among those found, and the token of the next.
    pub(super) fn cut<T>(
        &self,
        engine: &Engine,
        mut found: Vec<T>,
        name: impl Fn(&T) -> &str,
    ) -> (Vec<T>, String) {
        let more = found.len() > self.size;
        found.truncate(self.size);
        let last = found.last().filter(|_| more);
        let next = last.map(|last| token(engine, self.filter, name(last).as_bytes()));
        (found, next.unwrap_or_default())
    }
}

/// The token of a place in the list that `filter` describes.
pub(super) fn token(engine: &Engine, filter: &str, place: &[u8]) -> String {
    let bytes = [&check(engine, filter, place)[..], place].concat();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The place a token names; `None` for an empty one, which is the beginning.
///
/// # Errors
/// It is of another list, or none.
pub(super) fn place(engine: &Engine, filter: &str, token: &str) -> Result<Option<Vec<u8>>, Error> {
    if token.is_empty() {
        return Ok(None);
    }
    let wrong = || take::invalid("page_token", "is of another list, or none: begin without one");
    let bytes = hex(token).ok_or_else(wrong)?;
    let (checked, place) = bytes.split_at_checked(CHECK).ok_or_else(wrong)?;
    if checked == check(engine, filter, place) { Ok(Some(place.to_vec())) } else { Err(wrong()) }
}

fn check(engine: &Engine, filter: &str, place: &[u8]) -> [u8; CHECK] {
    engine.check(&[filter.as_bytes(), &[0], place].concat()).to_be_bytes()
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_read_as_it_is_written() {
        assert_eq!(hex("00ff7a"), Some(vec![0, 255, 122]));
        for wrong in ["0", "0g", "é"] {
            assert_eq!(hex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_page_has_a_bound_and_a_usual_size() {
        assert_eq!(size(0).unwrap(), USUAL);
        assert_eq!(size(1_000).unwrap(), 1_000);
        assert!(size(1_001).is_err());
    }
}
