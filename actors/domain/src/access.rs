//! Access keys: who may call, for which tenant, and in which roles.
//!
//! A key's text is `fup_`, its id and its secret. What is kept of the secret is a hash: it is 256 random bits, so a
//! plain SHA-256 is as hard to turn round as any other, and quick to check on every call.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ids::base32;
use crate::name::Name;
use crate::time::Moment;

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Looks at everything of its tenant.
    Reader,
    /// Enrolls and sends events.
    Sender,
    /// Approves, edits and discards drafts.
    Reviewer,
    /// Everything, settings and keys among it.
    Operator,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 4] = [Role::Reader, Role::Sender, Role::Reviewer, Role::Operator];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Role::Reader => "reader",
            Role::Sender => "sender",
            Role::Reviewer => "reviewer",
            Role::Operator => "operator",
        }
    }

    /// The role of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.word() == word)
    }
}

/// Bytes of a key's id.
const ID: usize = 10;
/// Bytes of a key's secret.
const SECRET: usize = 32;
/// What the text of a key begins with, so that one that leaks is recognised.
const PREFIX: &str = "fup_";

/// What a new key is made of; it has to come from the system's own randomness.
pub type Draw = [u8; ID + SECRET];

/// The text of the key that is made of this draw.
#[must_use]
pub fn text(draw: &Draw) -> String {
    format!("{PREFIX}{}{}", base32::encode(&draw[..ID]), base32::encode(&draw[ID..]))
}

/// What stands for a call and all it says: SHA-256 of its path and its message.
#[must_use]
pub fn call_digest(path: &str, message: &[u8]) -> [u8; 32] {
    // A path holds no zero byte, so the two cannot run into each other.
    Sha256::new().chain_update(path).chain_update([0]).chain_update(message).finalize().into()
}

/// Finds a key; says nothing of its secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyId([u8; ID]);

impl KeyId {
    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; ID] {
        &self.0
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base32::encode(&self.0))
    }
}

/// A key as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKey {
    /// What finds it.
    pub id: KeyId,
    /// What its holder is called, on timelines and in the audit log; no two keys have one name.
    pub name: Name,
    /// The one tenant it is for; `None`: all of them.
    pub tenant: Option<Name>,
    /// What it may do.
    pub roles: BTreeSet<Role>,
    /// SHA-256 of its secret.
    pub hash: [u8; 32],
    /// When it was made.
    pub made_at: Moment,
    /// From when on it is good for nothing.
    pub expires_at: Option<Moment>,
}

/// Why a call is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// There is no key.
    #[error("the call has no access key: send it as `authorization: Bearer fup_…`")]
    Missing,
    /// It is none, or was taken away.
    #[error("the access key is not known: it is misspelt, was revoked, or is another daemon's")]
    Unknown,
    /// Its time is over.
    #[error("the access key has expired: have an operator make another")]
    Expired,
    /// It may not do this.
    #[error("the access key has not the role `{}`, which this call needs", .0.word())]
    Role(Role),
}

impl Denied {
    /// Its stable reason.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Denied::Missing => "key_missing",
            Denied::Unknown => "key_unknown",
            Denied::Expired => "key_expired",
            Denied::Role(_) => "role_missing",
        }
    }
}

impl AccessKey {
    /// Makes a key; its text is told once and not kept.
    #[must_use]
    pub fn make(
        draw: &Draw,
        name: Name,
        tenant: Option<Name>,
        roles: BTreeSet<Role>,
        made_at: Moment,
        expires_at: Option<Moment>,
    ) -> (AccessKey, String) {
        let (mut id, mut secret) = ([0; ID], [0; SECRET]);
        id.copy_from_slice(&draw[..ID]);
        secret.copy_from_slice(&draw[ID..]);
        let text = text(draw);
        let hash = Sha256::digest(secret).into();
        (AccessKey { id: KeyId(id), name, tenant, roles, hash, made_at, expires_at }, text)
    }

    /// Whether it is this key that was presented, and is still good.
    ///
    /// # Errors
    /// [`Denied::Unknown`] or [`Denied::Expired`].
    pub fn admits(&self, presented: &Presented, now: Moment) -> Result<(), Denied> {
        let hash: [u8; 32] = Sha256::digest(presented.secret).into();
        // What is compared are hashes: where they begin to differ tells nothing of the secret.
        if presented.id != self.id || hash != self.hash {
            return Err(Denied::Unknown);
        }
        if self.expires_at.is_some_and(|at| at <= now) { Err(Denied::Expired) } else { Ok(()) }
    }

    /// Whether it may do what needs `role`; an operator may do all.
    ///
    /// # Errors
    /// [`Denied::Role`].
    pub fn may(&self, role: Role) -> Result<(), Denied> {
        if self.roles.contains(&role) || self.roles.contains(&Role::Operator) {
            Ok(())
        } else {
            Err(Denied::Role(role))
        }
    }
}

/// A key as a caller presents it.
pub struct Presented {
    /// Which it claims to be.
    pub id: KeyId,
    secret: [u8; SECRET],
}

impl Presented {
    /// Reads the text of a key; `None` when it is written like none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Presented> {
        let text = text.strip_prefix(PREFIX)?;
        let (id, secret) = text.split_at_checked(base32::digits(ID))?;
        Some(Presented { id: KeyId(base32::decode(id)?), secret: base32::decode(secret)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

    const NOON: Moment = Moment(1_800_000_000_000);

    fn key(roles: &[Role], expires_at: Option<Moment>) -> (AccessKey, String) {
        let draw: Draw = std::array::from_fn(|place| place as u8);
        let name = Name::parse("inbox").unwrap();
        AccessKey::make(&draw, name, None, roles.iter().copied().collect(), NOON, expires_at)
    }

    fn admits(key: &AccessKey, text: &str, now: Moment) -> Result<(), Denied> {
        Presented::parse(text).map_or(Err(Denied::Unknown), |presented| key.admits(&presented, now))
    }

    #[test]
    fn a_key_is_let_in_by_its_text_alone() {
        let (key, text) = key(&[Role::Reader], None);
        assert_eq!(admits(&key, &text, NOON), Ok(()));
        for place in 4..text.len() {
            let mut other = text.clone().into_bytes();
            other[place] = if other[place] == b'7' { b'8' } else { b'7' };
            assert_eq!(
                admits(&key, &String::from_utf8(other).unwrap(), NOON),
                Err(Denied::Unknown),
                "{place}"
            );
        }
        for none in ["", "fup_", &text[..text.len() - 1], &text.to_lowercase(), &text[4..], "fup_é"] {
            assert!(Presented::parse(none).is_none(), "{none}");
        }
    }

    #[test]
    fn the_secret_is_not_kept() {
        let (key, text) = key(&[], None);
        let kept = format!("{key:?}");
        assert!(!kept.contains(&text[20..40]), "{kept}");
        assert!(text.starts_with(&format!("fup_{:?}", key.id)));
    }

    #[test]
    fn a_key_expires_to_the_millisecond() {
        let (key, text) = key(&[], Some(NOON + Span(1)));
        assert_eq!(admits(&key, &text, NOON), Ok(()));
        assert_eq!(admits(&key, &text, NOON + Span(1)), Err(Denied::Expired));
    }

    #[test]
    fn a_role_is_needed_and_an_operator_has_all() {
        let (sender, _) = key(&[Role::Sender], None);
        assert_eq!(sender.may(Role::Sender), Ok(()));
        for other in [Role::Reader, Role::Reviewer, Role::Operator] {
            assert_eq!(sender.may(other), Err(Denied::Role(other)));
        }
        let (operator, _) = key(&[Role::Operator], None);
        assert!(Role::ALL.into_iter().all(|role| operator.may(role).is_ok()));
        assert!(Role::ALL.into_iter().all(|role| Role::parse(role.word()) == Some(role)));
    }
}
