//! What a refusal says to programs: the reason and the first wrong field, read from the details of its error.
//!
//! Connect carries details as base64 of protobuf messages; of `google.rpc.ErrorInfo` and `google.rpc.BadRequest` the
//! first field is all that is needed.

use serde_json::Value;

/// The reason of a refusal; empty where it carries none.
#[must_use]
pub fn reason(says: &Value) -> String {
    detail(says, "google.rpc.ErrorInfo").as_deref().map(first_text).unwrap_or_default()
}

/// The first wrong field; empty where it is not about a field.
#[must_use]
pub fn field(says: &Value) -> String {
    let violation = detail(says, "google.rpc.BadRequest");
    violation.as_deref().and_then(first_bytes).map(first_text).unwrap_or_default()
}

fn detail(says: &Value, name: &str) -> Option<Vec<u8>> {
    let details = says["details"].as_array()?;
    let found =
        details.iter().find(|detail| detail["type"].as_str().is_some_and(|kind| kind.ends_with(name)));
    base64(found?["value"].as_str()?)
}

fn first_text(message: &[u8]) -> String {
    first_bytes(message).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
}

/// The first field of a message, where it is field 1 and holds bytes: key 0x0a, a varint length, the bytes
/// (<https://protobuf.dev/programming-guides/encoding>).
fn first_bytes(message: &[u8]) -> Option<&[u8]> {
    let mut rest = message.strip_prefix(&[0x0a])?;
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        let (byte, after) = rest.split_first()?;
        rest = after;
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return rest.get(..length);
        }
    }
}

/// Base64 with or without padding (RFC 4648, 4).
fn base64(text: &str) -> Option<Vec<u8>> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        let value = LETTERS.iter().position(|known| *known == letter)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
    }
    Some(bytes)
}
