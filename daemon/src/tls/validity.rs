//! From when until when a certificate is good, read from its DER (RFC 5280, §4.1): the one part of it that rustls does
//! not tell, of a file that our own operator wrote.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::NaiveDateTime;

const SEQUENCE: u8 = 0x30;
/// The version, which first versions of certificates leave out.
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// When a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    /// From here.
    pub(super) from: SystemTime,
    /// Until here.
    pub(super) until: SystemTime,
}

impl Validity {
    /// That of a certificate in DER; `None` where it is written in a way that is not understood.
    pub(super) fn of(certificate: &[u8]) -> Option<Validity> {
        let (signed, _) = value(certificate, SEQUENCE)?;
        let (fields, _) = value(signed, SEQUENCE)?;
        let rest = value(fields, VERSION).map_or(fields, |(_, rest)| rest);
        // The serial number, the algorithm of the signature, the issuer.
        let rest = (0..3).try_fold(rest, |rest, _| element(rest).map(|(_, _, rest)| rest))?;
        let (validity, _) = value(rest, SEQUENCE)?;
        let (kind, from, rest) = element(validity)?;
        let from = moment(kind, from)?;
        let (kind, until, _) = element(rest)?;
        Some(Validity { from, until: moment(kind, until)? })
    }
}

/// The value of the first element, which has to be of this kind, and what follows it.
fn value(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    element(der).filter(|(kind, _, _)| *kind == wanted).map(|(_, value, rest)| (value, rest))
}

/// Kind and value of the first element, and what follows it. A length up to 127 is one byte; of a longer one the first
/// byte says how many bytes it has.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[kind, short], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some((kind, value, rest))
}

/// `YYMMDDhhmmssZ`, of 1950 to 2049, or `YYYYMMDDhhmmssZ` (RFC 5280, §4.1.2.5). A moment before 1970 counts as 1970.
fn moment(kind: u8, text: &[u8]) -> Option<SystemTime> {
    let text = std::str::from_utf8(text).ok()?;
    let text = match kind {
        UTC_TIME => format!("{}{text}", if text.get(..2)? < "50" { "20" } else { "19" }),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let at = NaiveDateTime::parse_from_str(&text, "%Y%m%d%H%M%SZ").ok()?.and_utc().timestamp();
    Some(UNIX_EPOCH + Duration::from_secs(u64::try_from(at).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn both_ways_to_write_a_moment_are_understood() {
        let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        params.not_before = date_time_ymd(2026, 11, 23);
        for (until, seconds) in
            [(date_time_ymd(2026, 12, 23), 1_797_984_000), (date_time_ymd(2051, 1, 1), 2_556_144_000)]
        {
            params.not_after = until;
            let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            let validity = Validity::of(certificate.der()).unwrap();
            assert_eq!(validity, Validity { from: at(1_795_392_000), until: at(seconds) });
        }
        assert_eq!(moment(UTC_TIME, b"990101000000Z"), Some(at(915_148_800)));
    }

    #[test]
    fn what_is_cut_off_or_something_else_says_nothing() {
        let certificate = CertificateParams::new(vec!["localhost".into()]).unwrap();
        let certificate = certificate.self_signed(&KeyPair::generate().unwrap()).unwrap();
        for end in 0..certificate.der().len() {
            assert_eq!(Validity::of(&certificate.der()[..end]), None, "cut at {end}");
        }
        for other in [&b"nothing"[..], &[SEQUENCE, 0x80], &[SEQUENCE, 0x84, 0xff, 0xff, 0xff, 0xff]] {
            assert_eq!(Validity::of(other), None);
        }
    }
}
