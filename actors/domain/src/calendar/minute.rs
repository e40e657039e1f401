//! [`MinuteOfDay`]: a time on the clock on the wall, to the minute.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Minutes since local midnight, 0 to 1440. 1440, written `24:00`, is the end of the day and never its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct MinuteOfDay(u16);

/// Why a text or number is no time of day.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text does not read as a time.
    #[error("{0:?} is no time of day: write hours and minutes with two digits each, such as \"09:30\"")]
    NotATime(String),
    /// `24:00` where the start of something is meant.
    #[error("\"24:00\" can only end a window: write \"00:00\", of the following day")]
    EndOfDay,
    /// More minutes than a day has.
    #[error("{0} is past the end of the day: a day has 1440 minutes")]
    PastEnd(u16),
}

impl MinuteOfDay {
    /// `00:00`.
    pub const MIDNIGHT: MinuteOfDay = MinuteOfDay(0);
    /// `24:00`, which only ends a window.
    pub const END: MinuteOfDay = MinuteOfDay(1_440);

    /// A time of day from `00:00` to `23:59`.
    ///
    /// # Errors
    /// [`Error::EndOfDay`] for `24:00`, [`Error::NotATime`] for any other text.
    pub fn parse(text: &str) -> Result<MinuteOfDay, Error> {
        let minute = MinuteOfDay::parse_end(text)?;
        if minute == MinuteOfDay::END { Err(Error::EndOfDay) } else { Ok(minute) }
    }

    /// The end of a window: a time of day or `24:00`.
    ///
    /// # Errors
    /// [`Error::NotATime`] if the text is not of that form.
    pub fn parse_end(text: &str) -> Result<MinuteOfDay, Error> {
        digits(text).ok_or_else(|| Error::NotATime(text.to_owned()))
    }

    /// Minutes since midnight.
    #[must_use]
    pub const fn minutes(self) -> u16 {
        self.0
    }
}

fn digits(text: &str) -> Option<MinuteOfDay> {
    let [h1, h2, b':', m1, m2] = *text.as_bytes() else { return None };
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u16::from(byte - b'0'));
    let (hour, minute) = (digit(h1)? * 10 + digit(h2)?, digit(m1)? * 10 + digit(m2)?);
    let total = hour * 60 + minute;
    (minute < 60 && total <= MinuteOfDay::END.0).then_some(MinuteOfDay(total))
}

impl fmt::Display for MinuteOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl TryFrom<u16> for MinuteOfDay {
    type Error = Error;
    fn try_from(minutes: u16) -> Result<MinuteOfDay, Error> {
        if minutes <= MinuteOfDay::END.0 { Ok(MinuteOfDay(minutes)) } else { Err(Error::PastEnd(minutes)) }
    }
}

impl From<MinuteOfDay> for u16 {
    fn from(minute: MinuteOfDay) -> u16 {
        minute.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_minute_of_a_day_reads_back() {
        for minutes in 0..1_440 {
            let minute = MinuteOfDay::try_from(minutes).unwrap();
            assert_eq!(MinuteOfDay::parse(&minute.to_string()), Ok(minute));
        }
        assert_eq!(MinuteOfDay::try_from(1_441), Err(Error::PastEnd(1_441)));
    }

    #[test]
    fn twenty_four_oclock_is_only_an_end() {
        assert_eq!(MinuteOfDay::parse("24:00"), Err(Error::EndOfDay));
        assert_eq!(MinuteOfDay::parse_end("24:00"), Ok(MinuteOfDay::END));
        assert_eq!(MinuteOfDay::END.to_string(), "24:00");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "9:30", "09:60", "24:01", "25:00", "0930", "09:3a", "+9:30", "09:30:00", "０９:30"]
        {
            assert_eq!(MinuteOfDay::parse(text), Err(Error::NotATime(text.to_owned())), "{text}");
        }
    }
}
