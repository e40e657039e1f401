//! [`Zone`]: a time zone by its IANA name, and the short code that stands for it in keys on disk.
//!
//! The rules of a zone come with `chrono-tz`; how a local time becomes an instant is the module `local`'s.

use crate::limits;
use crate::name::distance;
use chrono_tz::{TZ_VARIANTS, Tz};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, sync::LazyLock};

/// A time zone of the IANA database. Its serde form is the name, so that a newer database reads old records.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(pub Tz);

/// Why a text names no zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is empty.
    #[error("the time zone is empty: write an IANA name such as \"Europe/Berlin\"")]
    Empty,
    /// No zone has this name.
    #[error("unknown time zone {name:?}: {}", advice(*.near))]
    Unknown {
        /// The text as given.
        name: String,
        /// The known name nearest to it, if one is near enough to be what was meant.
        near: Option<&'static str>,
    },
}

/// Every zone by its code, in the order of the codes.
static BY_CODE: LazyLock<Vec<(u32, Tz)>> = LazyLock::new(|| {
    let mut codes: Vec<(u32, Tz)> = TZ_VARIANTS.iter().map(|tz| (fnv1a(tz.name()), *tz)).collect();
    codes.sort_unstable_by_key(|(code, _)| *code);
    codes
});

impl Zone {
    /// Coordinated universal time, the zone of whoever names none.
    pub const UTC: Zone = Zone(Tz::UTC);

    /// The zone of an IANA name, which is written exactly so: `Europe/Berlin`.
    ///
    /// # Errors
    /// [`Error`], with the nearest known name where one is near.
    pub fn parse(name: &str) -> Result<Zone, Error> {
        if name.trim().is_empty() {
            return Err(Error::Empty);
        }
        name.parse().map(Zone).map_err(|_| Error::Unknown { name: name.to_owned(), near: near(name) })
    }

    /// The IANA name. An alias keeps its own: `Asia/Calcutta` does not turn into `Asia/Kolkata`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// The 32-bit FNV-1a hash of the name. It stands in keys on disk: it must never change.
    #[must_use]
    pub fn code(self) -> u32 {
        fnv1a(self.name())
    }

    /// The zone with this [`Zone::code`], `None` if the database knows none.
    #[must_use]
    pub fn from_code(code: u32) -> Option<Zone> {
        let found = BY_CODE.binary_search_by_key(&code, |(known, _)| *known).ok()?;
        BY_CODE.get(found).map(|(_, tz)| Zone(*tz))
    }
}

/// FNV-1a with the 32-bit basis and prime of its authors, <http://www.isthe.com/chongo/tech/comp/fnv/>.
fn fnv1a(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The known name nearest to `name`, which may also be a bare city: "berlin" finds "Europe/Berlin".
fn near(name: &str) -> Option<&'static str> {
    let name = name.trim().replace(' ', "_");
    if name.len() > limits::ZONE_NAME_BYTES {
        return None;
    }
    // A quarter of the letters may be wrong: "PST" must not be taken for "EST".
    let within = (name.len() / 4).min(3);
    let known = TZ_VARIANTS.iter().map(|tz| tz.name());
    // Names with digits are left out: "Etc/GMT+2" lies two hours *behind* UTC, hardly ever what was meant.
    let named = known.filter(|known| !known.bytes().any(|byte| byte.is_ascii_digit()));
    let ranked = named.map(|known| {
        let city = known.rsplit('/').next().unwrap_or(known);
        (distance(&name, known).min(distance(&name, city)), known)
    });
    ranked.filter(|(found, _)| *found <= within).min().map(|(_, known)| known)
}

fn advice(near: Option<&str>) -> String {
    match near {
        Some(near) => format!("did you mean {near:?}?"),
        None => "write an IANA name such as \"Europe/Berlin\"".to_owned(),
    }
}

impl Default for Zone {
    fn default() -> Zone {
        Zone::UTC
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.name())
    }
}

impl FromStr for Zone {
    type Err = Error;
    fn from_str(name: &str) -> Result<Zone, Error> {
        Zone::parse(name)
    }
}

impl TryFrom<String> for Zone {
    type Error = Error;
    fn try_from(name: String) -> Result<Zone, Error> {
        Zone::parse(&name)
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> String {
        zone.name().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_longer_than_any_is_compared_with_none() {
        assert!(TZ_VARIANTS.iter().all(|tz| 2 * tz.name().len() <= limits::ZONE_NAME_BYTES));
        assert_eq!(near(&"x".repeat(4 * 1_024 * 1_024)), None);
    }

    #[test]
    fn no_two_zone_names_share_a_code() {
        assert!(BY_CODE.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for tz in TZ_VARIANTS {
            assert_eq!(Zone::from_code(Zone(tz).code()), Some(Zone(tz)), "{tz}");
        }
        assert_eq!(Zone::from_code(0), None);
    }

    #[test]
    fn codes_on_disk_never_change() {
        assert_eq!(fnv1a(""), 0x811c_9dc5);
        assert_eq!(fnv1a("foobar"), 0xbf9c_f968);
        assert_eq!(Zone(Tz::Europe__Berlin).code(), fnv1a("Europe/Berlin"));
    }

    #[test]
    fn every_name_parses_back() {
        for tz in TZ_VARIANTS {
            assert_eq!(Zone::parse(tz.name()), Ok(Zone(tz)));
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_nearest_known_one() {
        let near = |name: &str| match Zone::parse(name) {
            Err(Error::Unknown { near, .. }) => near,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(near("Europe/Berln"), Some("Europe/Berlin"));
        assert_eq!(near("europe/berlin"), Some("Europe/Berlin"));
        assert_eq!(near("berlin"), Some("Europe/Berlin"));
        assert_eq!(near("America/New York"), Some("America/New_York"));
        assert_eq!(near("PST"), None);
        assert_eq!(near("GMT+2"), None);
        assert_eq!(near("Middle-earth/Shire"), None);
        assert_eq!(
            Zone::parse("Europe/Berln").unwrap_err().to_string(),
            "unknown time zone \"Europe/Berln\": did you mean \"Europe/Berlin\"?"
        );
    }

    #[test]
    fn an_empty_name_is_refused() {
        assert_eq!(Zone::parse("  "), Err(Error::Empty));
    }
}
