//! Unknown keys in settings files: which was probably meant.
//!
//! Files are read into types that refuse unknown keys. serde says so in one fixed wording, which this module reads
//! to name the nearest known key instead of listing all of them.

use followupd_domain::name::nearest;

/// A serde message, made helpful where it is about an unknown key or word; others stay as they are.
pub(crate) fn explain(message: &str) -> String {
    unknown(message, "unknown field `", "key")
        .or_else(|| unknown(message, "unknown variant `", "value"))
        .or_else(|| no_keys(message))
        .unwrap_or_else(|| message.to_owned())
}

fn unknown(message: &str, begins: &str, what: &str) -> Option<String> {
    let (before, rest) = message.split_once(begins)?;
    let (given, rest) = rest.split_once('`')?;
    let (list, after) = match rest.find(" at line ") {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let known: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
    let advice = match nearest(given, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "there are none here".to_owned(),
        None => format!("there are {}", known.join(", ")),
    };
    Some(format!("{before}unknown {what} `{given}`: {advice}{after}"))
}

/// A file that is a text or a list instead of keys and values.
fn no_keys(message: &str) -> Option<String> {
    let (given, wanted) = message.strip_prefix("invalid type: ")?.split_once(", expected struct ")?;
    let given = match given.split([' ', ':']).next()? {
        "sequence" => "list",
        given => given,
    };
    let wanted = wanted.split(' ').next()?.to_lowercase();
    Some(format!("holds a {given} instead of the keys of a {wanted}, one `key: value` a line"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether they are read counts")]
    struct Sample {
        time_zone: String,
        holidays: Option<Vec<String>>,
    }

    fn yaml(text: &str) -> String {
        explain(&serde_norway::from_str::<Sample>(text).unwrap_err().to_string())
    }

    #[test]
    fn an_unknown_key_names_the_near_one_and_its_line() {
        let said = yaml("holidays: []\ntiem_zone: UTC\n");
        assert_eq!(said, "unknown key `tiem_zone`: did you mean `time_zone`? at line 2 column 1");
    }

    #[test]
    fn a_key_near_to_none_lists_them() {
        let said = yaml("colour: red\n");
        assert!(said.starts_with("unknown key `colour`: there are time_zone, holidays"), "{said}");
    }

    #[test]
    fn toml_says_it_in_the_same_words() {
        let error = toml::from_str::<Sample>("tiem_zone = \"UTC\"").unwrap_err();
        assert_eq!(explain(error.message()), "unknown key `tiem_zone`: did you mean `time_zone`?");
    }

    #[test]
    fn a_file_without_keys_is_said_to_be_one() {
        assert_eq!(
            yaml("a,b\nc,d\n"),
            "holds a string instead of the keys of a sample, one `key: value` a line"
        );
        assert!(yaml("- a\n").starts_with("holds a list instead"), "{}", yaml("- a\n"));
    }

    #[test]
    fn other_messages_stay() {
        assert_eq!(explain("missing field `time_zone`"), "missing field `time_zone`");
    }
}
