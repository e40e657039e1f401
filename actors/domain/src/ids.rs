//! Identifiers: numbers that stand in keys, and the ids the world sees (`enr_…`, `snd_…`).
//!
//! An [`EnrollmentId`] carries the moment it was made and its shard, so that its text sorts by time and routes
//! without a lookup. A [`SendId`] carries its enrollment, step, occurrence and leg, and a keyed check, so that a
//! forged one is refused before any read. Neither ever contains an attempt or a node: a retry keeps its id.

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use std::fmt;
use std::hash::Hasher;
use std::str::FromStr;

use crate::limits;
use crate::time::Moment;

pub(crate) mod base32;

/// A unit of placement: everything of one tenant lives in one shard (see [`route`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Shard(pub u16);

/// The number a tenant has in keys; names live in the directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TenantNo(pub u32);

/// The number of a channel within its tenant; `0` is the tenant's control lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChannelNo(pub u32);

impl ChannelNo {
    /// The lane of what is not a send: expiries and quarantined enrollments.
    pub const CONTROL: ChannelNo = ChannelNo(0);
}

/// The number of an account within its tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccountNo(pub u32);

/// The number of a sequence within its tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SequenceNo(pub u32);

/// The number of a published version within its sequence, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VersionNo(pub u32);

/// The place of a step within its version, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StepNo(pub u16);

/// The shard of a tenant's contact.
///
/// The contact does not count today; it is an argument so that a huge tenant can be split without a new format.
#[must_use]
pub fn route(tenant: TenantNo, _contact: &str) -> Shard {
    // Fibonacci hashing spreads consecutive tenant numbers over the shards.
    let spread = u64::from(tenant.0).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    Shard((spread >> 54) as u16 % limits::SHARDS)
}

/// One contact's run through one version of a sequence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EnrollmentId([u8; 12]);

impl EnrollmentId {
    /// Length in bytes, as stored.
    pub const LEN: usize = 12;

    /// An id made at `at` in `shard`; `unique` tells apart those of the same millisecond.
    #[must_use]
    pub fn new(at: Moment, shard: Shard, unique: u32) -> Self {
        let mut bytes = [0; Self::LEN];
        bytes[..6].copy_from_slice(&at.0.to_be_bytes()[2..]);
        bytes[6..8].copy_from_slice(&shard.0.to_be_bytes());
        bytes[8..].copy_from_slice(&unique.to_be_bytes());
        Self(bytes)
    }

    /// The shard it lives in.
    #[must_use]
    pub fn shard(self) -> Shard {
        Shard(u16::from_be_bytes([self.0[6], self.0[7]]))
    }

    /// When it was made.
    #[must_use]
    pub fn made_at(self) -> Moment {
        let [a, b, c, d, e, f, ..] = self.0;
        Moment(i64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    /// Its bytes, which sort as its text does.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// The id of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for EnrollmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "enr_{}", base32::encode(&self.0))
    }
}

impl fmt::Debug for EnrollmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is no id of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseIdError {
    /// It is not written the way we write this kind of id.
    #[error("not an id of this kind: expected `{prefix}` and {digits} letters and digits")]
    Malformed {
        /// What such an id begins with.
        prefix: &'static str,
        /// How many characters follow.
        digits: usize,
    },
    /// It is well written, but this store did not make it.
    #[error("not a send id of this store")]
    Forged,
}

impl FromStr for EnrollmentId {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        text.strip_prefix("enr_")
            .and_then(base32::decode)
            .map(Self)
            .ok_or(ParseIdError::Malformed { prefix: "enr_", digits: base32::digits(Self::LEN) })
    }
}

/// The key of a store under which send ids are checked.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdKey(pub [u8; 16]);

impl IdKey {
    /// A keyed check of some bytes (SipHash-1-3).
    #[must_use]
    pub fn check(self, bytes: &[u8]) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        hasher.write(bytes);
        hasher.finish()
    }
}

impl fmt::Debug for IdKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdKey(…)")
    }
}

/// One step's send in one enrollment: idempotency key, callback data and Message-ID towards providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SendId {
    /// Whose send it is.
    pub enrollment: EnrollmentId,
    /// Which step.
    pub step: StepNo,
    /// Which planning of that step, from 0; a step planned anew is another send.
    pub occurrence: u16,
    /// Which channel of the step's fallbacks, from 0.
    pub leg: u8,
}

impl SendId {
    const CHECKED: usize = EnrollmentId::LEN + 5;
    const LEN: usize = Self::CHECKED + 5;

    fn fields(self) -> [u8; Self::CHECKED] {
        let mut bytes = [0; Self::CHECKED];
        bytes[..12].copy_from_slice(self.enrollment.as_bytes());
        bytes[12..14].copy_from_slice(&self.step.0.to_be_bytes());
        bytes[14..16].copy_from_slice(&self.occurrence.to_be_bytes());
        bytes[16] = self.leg;
        bytes
    }

    fn check(fields: &[u8; Self::CHECKED], key: IdKey) -> [u8; 5] {
        let mut check = [0; 5];
        check.copy_from_slice(&key.check(fields).to_be_bytes()[..5]);
        check
    }

    /// Its text, with the check of `key`.
    #[must_use]
    pub fn to_text(self, key: IdKey) -> String {
        let fields = self.fields();
        let mut bytes = [0; Self::LEN];
        bytes[..Self::CHECKED].copy_from_slice(&fields);
        bytes[Self::CHECKED..].copy_from_slice(&Self::check(&fields, key));
        format!("snd_{}", base32::encode(&bytes))
    }

    /// The id that [`SendId::to_text`] wrote under the same key.
    ///
    /// # Errors
    /// [`ParseIdError::Malformed`] when it is not written like one, [`ParseIdError::Forged`] when its check is wrong.
    pub fn parse(text: &str, key: IdKey) -> Result<Self, ParseIdError> {
        let malformed = ParseIdError::Malformed { prefix: "snd_", digits: base32::digits(Self::LEN) };
        let bytes: [u8; Self::LEN] = text.strip_prefix("snd_").and_then(base32::decode).ok_or(malformed)?;
        let mut fields = [0; Self::CHECKED];
        fields.copy_from_slice(&bytes[..Self::CHECKED]);
        if Self::check(&fields, key) != bytes[Self::CHECKED..] {
            return Err(ParseIdError::Forged);
        }
        let mut enrollment = [0; 12];
        enrollment.copy_from_slice(&fields[..12]);
        Ok(SendId {
            enrollment: EnrollmentId(enrollment),
            step: StepNo(u16::from_be_bytes([fields[12], fields[13]])),
            occurrence: u16::from_be_bytes([fields[14], fields[15]]),
            leg: fields[16],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enrollment() -> EnrollmentId {
        EnrollmentId::new(Moment(1_800_000_000_123), Shard(700), 42)
    }

    #[test]
    fn enrollment_ids_survive_their_text_and_sort_by_time() {
        let id = enrollment();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.shard(), Shard(700));
        let later = EnrollmentId::new(Moment(1_800_000_000_124), Shard(0), 0);
        assert!(id.to_string() < later.to_string());
        assert!(id < later);
    }

    #[test]
    fn enrollment_ids_have_the_recorded_text() {
        assert_eq!(enrollment().to_string(), "enr_06HHGQ2GFC1BR00000N0");
    }

    #[test]
    fn a_text_that_is_no_id_is_refused_with_the_right_form() {
        for bad in ["", "enr_", "06HHGQ2GFC1BR00000N0", "enr_06HHGQ2GFC1BR00000N", "enr_06HHGQ2GFC1BR00000NU"]
        {
            assert!(bad.parse::<EnrollmentId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_send_id_of_another_key_is_forged() {
        let send = SendId { enrollment: enrollment(), step: StepNo(3), occurrence: 1, leg: 0 };
        let text = send.to_text(IdKey([7; 16]));
        assert_eq!(SendId::parse(&text, IdKey([7; 16])), Ok(send));
        assert_eq!(SendId::parse(&text, IdKey([8; 16])), Err(ParseIdError::Forged));
    }

    #[test]
    fn tenants_spread_over_the_shards() {
        let mut seen = std::collections::BTreeSet::new();
        for n in 0..u32::from(limits::SHARDS) {
            let shard = route(TenantNo(n), "anyone");
            assert!(shard.0 < limits::SHARDS);
            seen.insert(shard);
        }
        assert!(seen.len() > 600, "{} of {} shards used", seen.len(), limits::SHARDS);
    }
}
