//! Webhooks of WhatsApp's Cloud API: its handshake, its signature, and what its bodies say
//! (<https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages>).

mod read;
#[cfg(test)]
mod tests;

use ring::hmac;
use url::form_urlencoded;

use super::sign::{knows, signed};
use super::{Error, Inbound, Wrong, sized};
use crate::limits;
use crate::secret::Secret;

/// The header a signature comes in.
pub const SIGNATURE: &str = "X-Hub-Signature-256";

/// What to answer when Meta asks whether this endpoint is meant: its challenge. `query` is what stands behind the
/// URL's `?`.
///
/// # Errors
/// It is not asked so, or with a token that is none of these.
pub fn handshake(query: &str, tokens: &[Secret]) -> Result<String, Error> {
    let of = |name: &str| form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name);
    let wrong = |at: &str, right| Error::Body(Wrong { at: at.to_owned(), right });
    let mode = of("hub.mode").filter(|(_, mode)| mode == "subscribe");
    mode.ok_or_else(|| wrong("hub.mode", "subscribe"))?;
    let (_, token) = of("hub.verify_token").ok_or_else(|| wrong("hub.verify_token", "the agreed token"))?;
    knows(tokens, &token)?;
    // A number by the reference. What is sent back is never markup.
    let is_plain = |text: &str| {
        (1..=limits::CHALLENGE_BYTES).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let challenge = of("hub.challenge").filter(|(_, challenge)| is_plain(challenge));
    let (_, challenge) = challenge.ok_or_else(|| wrong("hub.challenge", "a number"))?;
    Ok(challenge.into_owned())
}

/// Whether Meta signed these bytes, as they came, with one of the app's secrets.
///
/// # Errors
/// There is no signature, or somebody else made it.
pub fn check(signature: Option<&str>, body: &[u8], secrets: &[Secret]) -> Result<(), Error> {
    let bytes = signature.and_then(|text| text.strip_prefix("sha256=")).and_then(unhex);
    let right = "sha256= and 64 hexadecimal digits";
    let bytes = bytes.ok_or_else(|| Error::Unsigned(Wrong { at: SIGNATURE.to_owned(), right }))?;
    signed(hmac::HMAC_SHA256, secrets, body, &bytes)
}

/// What a body says, in its order. It is read only after [`check`].
///
/// # Errors
/// It is no webhook of WhatsApp's. A part that cannot be read is an [`Inbound::Unread`] among the others.
pub fn read(body: &[u8]) -> Result<Vec<Inbound>, Error> {
    sized(body, (limits::INBOUND_BYTES, "at most 3 MiB"))?;
    read::body(body).map_err(Error::Body)
}

/// The 32 bytes of 64 hexadecimal digits.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let digits = text.as_bytes();
    if digits.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| pair.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    }
    Some(bytes)
}
