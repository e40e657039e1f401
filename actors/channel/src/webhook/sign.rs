//! Signatures by which a receiver knows that a request is ours (Standard Webhooks, symmetric, version 1:
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use crate::limits;
use crate::secret::Secret;

/// The key of a secret, `whsec_` and 24 to 64 bytes in base64.
pub(super) fn key(secret: &Secret) -> Option<hmac::Key> {
    let bytes = STANDARD.decode(secret.reveal().strip_prefix("whsec_")?).ok()?;
    limits::SECRET_BYTES.contains(&bytes.len()).then(|| hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

/// The signatures of a request by each key, as their header has them. `timestamp` is in seconds.
pub(super) fn signatures(keys: &[hmac::Key], id: &str, timestamp: i64, body: &[u8]) -> String {
    let head = format!("{id}.{timestamp}.");
    let signed = keys.iter().map(|key| {
        let mut context = hmac::Context::with_key(key);
        context.update(head.as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign()))
    });
    signed.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const OTHER: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

    fn signed(secrets: &[&str]) -> String {
        let keys: Vec<_> = secrets.iter().map(|secret| key(&Secret::new(*secret)).unwrap()).collect();
        signatures(&keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#)
    }

    #[test]
    fn the_published_example_is_signed_as_published() {
        assert_eq!(signed(&[SECRET]), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn while_rotating_every_secret_signs() {
        let both = signed(&[OTHER, SECRET]);
        assert_eq!(both, format!("{} {}", signed(&[OTHER]), signed(&[SECRET])));
    }

    #[test]
    fn a_secret_has_its_prefix_and_its_length() {
        for secret in [
            "",
            "whsec_",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La",
            "whsec_?",
        ] {
            assert!(key(&Secret::new(secret)).is_none(), "{secret}");
        }
        assert!(key(&Secret::new(format!("whsec_{}", STANDARD.encode([7; 64])))).is_some());
        assert!(key(&Secret::new(format!("whsec_{}", STANDARD.encode([7; 65])))).is_none());
    }
}
