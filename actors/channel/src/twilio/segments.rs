//! How many segments a text has as SMS: what carriers count and bill (3GPP TS 23.038 and 23.040). Pure.

/// How a text is written over the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Seven bits a character, of one table.
    Gsm7,
    /// Sixteen bits a unit: anything else.
    Ucs2,
}

/// The size of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    /// How it is written.
    pub encoding: Encoding,
    /// Septets of GSM-7, units of UCS-2.
    pub units: usize,
    /// Segments it takes.
    pub count: usize,
}

/// Characters of the default table, each one septet.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ\
                     ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// Characters of its extension, an escape and a septet.
const EXTENSION: &str = "\u{c}^{}\\[~]|€";

impl Encoding {
    /// Units of a message that is one segment, and of each segment of a longer one, which has a header.
    fn room(self) -> (usize, usize) {
        match self {
            Encoding::Gsm7 => (160, 153),
            Encoding::Ucs2 => (70, 67),
        }
    }

    /// Units of one character; nothing where it cannot be written.
    fn units(self, c: char) -> Option<usize> {
        match self {
            Encoding::Gsm7 if BASIC.contains(c) => Some(1),
            Encoding::Gsm7 => EXTENSION.contains(c).then_some(2),
            Encoding::Ucs2 => Some(c.len_utf16()),
        }
    }
}

/// The segments of `text`. A character is never split over two.
#[must_use]
pub fn segments(text: &str) -> Segments {
    let is_gsm7 = text.chars().all(|c| Encoding::Gsm7.units(c).is_some());
    let encoding = if is_gsm7 { Encoding::Gsm7 } else { Encoding::Ucs2 };
    let (whole, part) = encoding.room();
    let (mut units, mut count, mut filled) = (0, 1, 0);
    for size in text.chars().filter_map(|c| encoding.units(c)) {
        units += size;
        if filled + size > part {
            (count, filled) = (count + 1, 0);
        }
        filled += size;
    }
    Segments { encoding, units, count: if units <= whole { 1 } else { count } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> (Encoding, usize, usize) {
        let Segments { encoding, units, count } = segments(text);
        (encoding, units, count)
    }

    #[test]
    fn the_table_has_its_characters() {
        // 128 places, without the escape.
        assert_eq!(BASIC.chars().count(), 127);
        assert_eq!(EXTENSION.chars().count(), 10);
        let mut all: Vec<char> = BASIC.chars().chain(EXTENSION.chars()).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 137);
    }

    #[test]
    fn septets_fill_160_alone_and_153_together() {
        for (length, count) in [(0, 1), (1, 1), (160, 1), (161, 2), (306, 2), (307, 3), (459, 3), (460, 4)] {
            assert_eq!(of(&"a".repeat(length)), (Encoding::Gsm7, length, count), "{length}");
        }
    }

    #[test]
    fn an_extended_character_is_two_septets_and_stays_whole() {
        assert_eq!(of("€"), (Encoding::Gsm7, 2, 1));
        assert_eq!(of(&"€".repeat(80)), (Encoding::Gsm7, 160, 1));
        // 153 is odd: one septet of each segment stays empty.
        assert_eq!(of(&"€".repeat(81)), (Encoding::Gsm7, 162, 2));
        assert_eq!(of(&"€".repeat(152)), (Encoding::Gsm7, 304, 2));
        assert_eq!(of(&"€".repeat(153)), (Encoding::Gsm7, 306, 3));
    }

    #[test]
    fn one_character_outside_the_table_makes_all_of_it_ucs2() {
        assert_eq!(of("Olá"), (Encoding::Ucs2, 3, 1), "á is not in the table, à is");
        assert_eq!(of("Olà"), (Encoding::Gsm7, 3, 1));
        assert_eq!(of("não"), (Encoding::Ucs2, 3, 1));
        for (length, count) in [(70, 1), (71, 2), (134, 2), (135, 3), (201, 3), (202, 4)] {
            assert_eq!(of(&"ã".repeat(length)), (Encoding::Ucs2, length, count), "{length}");
        }
    }

    #[test]
    fn an_emoji_is_two_units_and_stays_whole() {
        assert_eq!(of(&"😀".repeat(35)), (Encoding::Ucs2, 70, 1));
        assert_eq!(of(&"😀".repeat(36)), (Encoding::Ucs2, 72, 2));
        // 67 is odd: 33 fit a segment.
        assert_eq!(of(&"😀".repeat(66)), (Encoding::Ucs2, 132, 2));
        assert_eq!(of(&"😀".repeat(67)), (Encoding::Ucs2, 134, 3));
    }
}
