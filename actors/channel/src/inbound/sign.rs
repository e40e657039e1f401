//! Signatures and tokens compared without telling, by the time it takes, how much of them was right.

use ring::hmac;

use super::Error;
use crate::secret::Secret;

/// Whether one of these secrets signed `data`. Every one is tried, so that the time it takes does not tell which of
/// them is in use.
///
/// # Errors
/// None did.
pub(super) fn signed(
    algorithm: hmac::Algorithm,
    secrets: &[Secret],
    data: &[u8],
    signature: &[u8],
) -> Result<(), Error> {
    let tried = secrets.iter().filter(|secret| {
        let key = hmac::Key::new(algorithm, secret.reveal().as_bytes());
        !secret.reveal().is_empty() && hmac::verify(&key, data, signature).is_ok()
    });
    if tried.count() > 0 { Ok(()) } else { Err(Error::Forged) }
}

/// Whether one of these is the token that is given.
///
/// # Errors
/// None is.
pub(super) fn knows(tokens: &[Secret], given: &str) -> Result<(), Error> {
    let tried = tokens.iter().filter(|token| {
        let token = token.reveal().as_bytes();
        // What is compared is a hash of each under a key that the asker has not: nothing of the token itself.
        let key = hmac::Key::new(hmac::HMAC_SHA256, token);
        !token.is_empty() && hmac::verify(&key, given.as_bytes(), hmac::sign(&key, token).as_ref()).is_ok()
    });
    if tried.count() > 0 { Ok(()) } else { Err(Error::Forged) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(all: &[&str]) -> Vec<Secret> {
        all.iter().map(|secret| Secret::new(*secret)).collect()
    }

    #[test]
    fn any_of_the_secrets_signs_and_no_other_does() {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"two"), b"data");
        let signed = |all: &[&str]| signed(hmac::HMAC_SHA256, &secrets(all), b"data", tag.as_ref());
        assert_eq!(signed(&["two"]), Ok(()));
        assert_eq!(signed(&["one", "two", "three"]), Ok(()));
        assert_eq!(signed(&["one", "three"]), Err(Error::Forged));
        assert_eq!(signed(&[]), Err(Error::Forged));
    }

    #[test]
    fn a_secret_that_is_empty_signs_nothing() {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b""), b"data");
        assert_eq!(signed(hmac::HMAC_SHA256, &secrets(&[""]), b"data", tag.as_ref()), Err(Error::Forged));
        assert_eq!(knows(&secrets(&[""]), ""), Err(Error::Forged));
    }

    #[test]
    fn a_token_is_known_whole_or_not() {
        let tokens = secrets(&["hunter2", "hunter3"]);
        for given in ["hunter2", "hunter3"] {
            assert_eq!(knows(&tokens, given), Ok(()));
        }
        for given in ["", "hunter", "hunter22", "Hunter2"] {
            assert_eq!(knows(&tokens, given), Err(Error::Forged), "{given}");
        }
    }
}
