//! Secrets at rest: sealed under one key of this installation (AES-256-GCM), each for one place, so that what was
//! sealed for one channel opens for no other.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

use crate::secret::Secret;

/// Bytes of the key.
pub const KEY_BYTES: usize = 32;

/// The key, ready to seal and open.
pub struct Seal(LessSafeKey);

impl Seal {
    /// The seal of this key.
    ///
    /// # Errors
    /// The key is not of [`KEY_BYTES`].
    pub fn new(key: &[u8]) -> Result<Seal, &'static str> {
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| "a key has 32 bytes")?;
        Ok(Seal(LessSafeKey::new(key)))
    }

    /// The value, sealed for this place: a random nonce, then what only this key opens. `None` when the system has
    /// no randomness to give.
    #[must_use]
    pub fn seal(&self, place: &str, value: &Secret) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut sealed = value.reveal().as_bytes().to_vec();
        let nonced = Nonce::assume_unique_for_key(nonce);
        self.0.seal_in_place_append_tag(nonced, Aad::from(place), &mut sealed).ok()?;
        Some([&nonce[..], &sealed].concat())
    }

    /// What was sealed for this place; `None` when it was not, or under another key.
    #[must_use]
    pub fn open(&self, place: &str, sealed: &[u8]) -> Option<Secret> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut opened = sealed.to_vec();
        let opened = self.0.open_in_place(nonce, Aad::from(place), &mut opened).ok()?;
        String::from_utf8(opened.to_vec()).ok().map(Secret::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_in_its_place_under_its_key_and_nowhere_else() {
        let seal = Seal::new(&[7; KEY_BYTES]).unwrap();
        let sealed = seal.seal("1/2", &Secret::new("hunter2")).unwrap();
        assert_eq!(seal.open("1/2", &sealed).unwrap().reveal(), "hunter2");
        assert!(seal.open("1/3", &sealed).is_none());
        assert!(Seal::new(&[8; KEY_BYTES]).unwrap().open("1/2", &sealed).is_none());
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(seal.open("1/2", &damaged).is_none(), "byte {at}");
            assert!(seal.open("1/2", &sealed[..at]).is_none(), "{at} bytes");
        }
    }

    #[test]
    fn the_same_value_is_never_sealed_alike_and_does_not_show() {
        let seal = Seal::new(&[7; KEY_BYTES]).unwrap();
        let (one, two) =
            (seal.seal("1/2", &Secret::new("hunter2")), seal.seal("1/2", &Secret::new("hunter2")));
        assert_ne!(one, two);
        assert!(!String::from_utf8_lossy(&one.unwrap()).contains("hunter2"));
    }

    #[test]
    fn a_key_of_another_length_is_none() {
        assert!(Seal::new(&[0; 31]).is_err());
    }
}
