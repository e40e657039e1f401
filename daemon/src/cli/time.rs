//! Moments for people: UTC, to the second.

use buffa_types::google::protobuf::Timestamp;
use chrono::DateTime;
use followupd_domain::Moment;

/// A moment; empty where there is none.
pub(crate) fn utc(at: Option<&Timestamp>) -> String {
    let at = at.and_then(|at| DateTime::from_timestamp(at.seconds, 0));
    at.map(|at| at.format("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default()
}

/// A moment of the engine.
pub(crate) fn moment(at: Moment) -> String {
    let at = DateTime::from_timestamp_millis(at.0);
    at.map(|at| at.format("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default()
}

/// A moment with its milliseconds, for timelines.
pub(crate) fn utc_millis(at: Option<&Timestamp>) -> String {
    let at =
        at.and_then(|at| DateTime::from_timestamp(at.seconds, u32::try_from(at.nanos).unwrap_or_default()));
    at.map(|at| at.format("%Y-%m-%d %H:%M:%S%.3f").to_string()).unwrap_or_default()
}

/// The moment of an RFC 3339 text.
///
/// # Errors
/// Says how it is written.
pub(crate) fn parse(text: &str) -> Result<Timestamp, String> {
    let at = DateTime::parse_from_rfc3339(text);
    let at = at.map_err(|_| format!("{text:?} is no moment: write it as 2026-03-01T09:30:00Z"))?;
    let nanos = i32::try_from(at.timestamp_subsec_nanos()).unwrap_or_default();
    Ok(Timestamp::from_unix(at.timestamp(), nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_survive_their_text() {
        let at = parse("2026-03-01T10:30:00.250+01:00").unwrap();
        assert_eq!(utc(Some(&at)), "2026-03-01 09:30:00");
        assert_eq!(utc_millis(Some(&at)), "2026-03-01 09:30:00.250");
        assert_eq!(utc(None), "");
        assert!(parse("tomorrow").unwrap_err().contains("2026-03-01T09:30:00Z"));
    }
}
