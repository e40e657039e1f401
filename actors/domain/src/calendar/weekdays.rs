//! [`WeekdaySet`]: a set of weekdays, such as a tenant's business days.

use chrono::Weekday;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The names, Monday first: a name's index is its bit.
const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Some days of the week. Bit 0 is Monday, bit 6 Sunday; its default is Monday to Friday.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct WeekdaySet(u8);

/// Why a text or number is no set of weekdays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A word that names no day.
    #[error("unknown weekday {0:?}: write mon, tue, wed, thu, fri, sat or sun, or a range such as mon-fri")]
    UnknownDay(String),
    /// No day is named at all.
    #[error("no weekday is named: write at least one, such as mon or mon-fri")]
    NoDay,
    /// A number with bits that stand for no day.
    #[error("{0} is no set of weekdays: only the bits 0 (Monday) to 6 (Sunday) have a meaning")]
    UnknownBit(u8),
}

impl WeekdaySet {
    /// No day.
    pub const NONE: WeekdaySet = WeekdaySet(0);
    /// Monday to Friday.
    pub const MON_TO_FRI: WeekdaySet = WeekdaySet(0b001_1111);
    /// Every day.
    pub const ALL: WeekdaySet = WeekdaySet(0b111_1111);

    /// This set with `day` in it.
    #[must_use]
    pub fn with(self, day: Weekday) -> WeekdaySet {
        WeekdaySet(self.0 | 1 << day.num_days_from_monday())
    }

    /// Whether `day` is in the set.
    #[must_use]
    pub fn contains(self, day: Weekday) -> bool {
        self.has(day.num_days_from_monday() as u8)
    }

    /// Whether no day is in the set.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the day of this number, Monday 0 to Sunday 6, is in the set.
    pub(super) fn has(self, day: u8) -> bool {
        self.0 & (1 << day) != 0
    }
}

/// The number of a day by its name.
fn day_number(name: &str) -> Result<u8, Error> {
    let found = NAMES.iter().position(|known| known.eq_ignore_ascii_case(name));
    found.map(|number| number as u8).ok_or_else(|| Error::UnknownDay(name.to_owned()))
}

impl FromStr for WeekdaySet {
    type Err = Error;

    /// Reads names and ranges with commas or spaces between: `mon,wed` or `mon-fri`; `sat-mon` wraps.
    fn from_str(text: &str) -> Result<WeekdaySet, Error> {
        let words = text.split([',', ' ']).filter(|word| !word.is_empty());
        let mut set = WeekdaySet::NONE;
        for word in words {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            let (mut day, last) = (day_number(first)?, day_number(last)?);
            set.0 |= 1 << day;
            while day != last {
                day = (day + 1) % 7;
                set.0 |= 1 << day;
            }
        }
        if set.is_empty() { Err(Error::NoDay) } else { Ok(set) }
    }
}

impl fmt::Display for WeekdaySet {
    /// The names with commas between, Monday first: the text reads back as the same set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (day, name) in (0..).zip(NAMES) {
            if self.has(day) {
                write!(f, "{between}{name}")?;
                between = ",";
            }
        }
        Ok(())
    }
}

impl Default for WeekdaySet {
    fn default() -> WeekdaySet {
        WeekdaySet::MON_TO_FRI
    }
}

impl FromIterator<Weekday> for WeekdaySet {
    fn from_iter<I: IntoIterator<Item = Weekday>>(days: I) -> WeekdaySet {
        days.into_iter().fold(WeekdaySet::NONE, WeekdaySet::with)
    }
}

impl TryFrom<u8> for WeekdaySet {
    type Error = Error;
    fn try_from(bits: u8) -> Result<WeekdaySet, Error> {
        if bits & !WeekdaySet::ALL.0 == 0 { Ok(WeekdaySet(bits)) } else { Err(Error::UnknownBit(bits)) }
    }
}

impl From<WeekdaySet> for u8 {
    fn from(set: WeekdaySet) -> u8 {
        set.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ranges_read_as_days() {
        let set = |text: &str| text.parse::<WeekdaySet>().map(u8::from);
        assert_eq!(set("mon"), Ok(0b1));
        assert_eq!(set("mon-fri"), Ok(u8::from(WeekdaySet::default())));
        assert_eq!(set("sat, SUN"), Ok(0b110_0000));
        assert_eq!(set("sat-mon"), Ok(0b110_0001));
        assert_eq!(set("mon-sun"), Ok(0b111_1111));
        assert_eq!(set(" , "), Err(Error::NoDay));
        assert_eq!(set("mon-"), Err(Error::UnknownDay(String::new())));
        assert_eq!(set("monday"), Err(Error::UnknownDay("monday".to_owned())));
    }

    #[test]
    fn every_set_reads_back_from_its_text_and_its_bits() {
        for bits in 1..128 {
            let set = WeekdaySet::try_from(bits).unwrap();
            assert_eq!(set.to_string().parse(), Ok(set));
            assert_eq!(u8::from(set), bits);
        }
        assert_eq!(WeekdaySet::try_from(128), Err(Error::UnknownBit(128)));
    }

    #[test]
    fn a_set_contains_the_days_it_is_made_of() {
        let set: WeekdaySet = [Weekday::Mon, Weekday::Sun].into_iter().collect();
        assert!(set.contains(Weekday::Mon) && set.contains(Weekday::Sun) && !set.contains(Weekday::Tue));
    }
}
