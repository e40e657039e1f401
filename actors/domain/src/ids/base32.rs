//! Crockford's base 32 (<https://www.crockford.com/base32.html>), upper case, most significant bits first: its
//! text sorts as the bytes do. Bits beyond the last byte are zero, and a text in which they are not is refused,
//! so that every id has one text.

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// How many digits `bytes` bytes take.
pub(crate) const fn digits(bytes: usize) -> usize {
    (bytes * 8).div_ceil(5)
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(digits(bytes.len()));
    let (mut pending, mut bits) = (0u32, 0);
    for &byte in bytes {
        pending = (pending << 8) | u32::from(byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(ALPHABET[(pending >> bits) as usize & 31]));
        }
    }
    if bits > 0 {
        text.push(char::from(ALPHABET[(pending << (5 - bits)) as usize & 31]));
    }
    text
}

pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != digits(N) {
        return None;
    }
    let mut bytes = [0; N];
    let (mut pending, mut bits, mut filled) = (0u32, 0, 0);
    for digit in text.bytes() {
        let value = ALPHABET.iter().position(|&letter| letter == digit)?;
        pending = (pending << 5) | u32::try_from(value).ok()?;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            *bytes.get_mut(filled)? = (pending >> bits) as u8;
            filled += 1;
        }
    }
    (pending & ((1 << bits) - 1) == 0).then_some(bytes)
}
