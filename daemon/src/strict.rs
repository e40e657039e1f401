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
        .or_else(|| mistyped(message))
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

/// A value of another type than its key's. What stands in the place of keys is not said: it may be a secret.
fn mistyped(message: &str) -> Option<String> {
    let (before, rest) =
        ["invalid type: ", "invalid value: "].iter().find_map(|by| message.split_once(by))?;
    let (given, rest) = rest.rsplit_once(", expected ")?;
    let (wanted, after) = match rest.rfind(" at line ") {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let (kind, value) = given.split_once([' ', '`']).unwrap_or((given, ""));
    let keys = wanted.strip_prefix("keys: ").or_else(|| wanted.starts_with("struct ").then_some("its keys"));
    let given = match kind {
        "sequence" => "a list",
        "map" => "a list of keys",
        "unit" => "empty",
        _ if keys.is_some() => "no list of keys",
        // What fits no type of ours says its own behind it.
        _ => value.trim_start_matches("point ").trim_matches('`').split('`').next().unwrap_or_default(),
    };
    let right = match wanted {
        "u32" => "a whole number from 0 to 4294967295",
        "u64" => "a whole number, 0 or more",
        "a nonzero u32" => "a whole number from 1 to 4294967295, or leave it out",
        "a boolean" => "true or false",
        "a string" => "a text, in quotes",
        "a sequence" if kind == "map" => "a list, with \"- \" before the first key of each",
        "a sequence" => "a list",
        wanted => keys.unwrap_or(wanted),
    };
    Some(format!("{before}is {given}: give {right}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::num::NonZeroU32;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether they are read counts")]
    struct Sample {
        time_zone: String,
        holidays: Option<Vec<String>>,
        on: Option<bool>,
        per_day: Option<u32>,
        per_hour: Option<NonZeroU32>,
        token: Option<Keys>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(expecting = "keys: env or file")]
    #[expect(dead_code, reason = "only whether they are read counts")]
    struct Keys {
        env: String,
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
        assert!(said.starts_with("unknown key `colour`: there are time_zone, holidays, on"), "{said}");
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
    fn a_value_of_another_type_is_told_what_would_be_right() {
        for (given, said) in [
            ("per_day: -4", "per_day: is -4: give a whole number from 0 to 4294967295 at line 1 column 10"),
            ("per_day: 9999999999", "per_day: is 9999999999: give a whole number from 0 to 4294967295"),
            ("per_day: 1.5", "per_day: is 1.5: give a whole number"),
            ("per_day: 99999999999999999999", "per_day: is 99999999999999999999: give a whole number"),
            ("holidays: { on: 1 }", "holidays: is a list of keys: give a list, with \"- \" before"),
            ("per_hour: 0", "per_hour: is 0: give a whole number from 1 to 4294967295, or leave it out"),
            (
                "per_hour: few",
                "per_hour: is \"few\": give a whole number from 1 to 4294967295, or leave it out",
            ),
            ("per_day: few", "per_day: is \"few\": give a whole number"),
            ("per_day: [1]", "per_day: is a list: give a whole number"),
            ("on: 1", "on: is 1: give true or false"),
            ("time_zone: { a: b }", "time_zone: is a list of keys: give a text, in quotes"),
            ("holidays: 2026-12-25", "holidays: is \"2026-12-25\": give a list"),
            ("token: a-secret, expected u32", "token: is no list of keys: give env or file"),
        ] {
            let found = yaml(&format!("{given}\n"));
            assert!(found.starts_with(said), "{given}: {found}");
        }
    }

    #[test]
    fn other_messages_stay() {
        assert_eq!(explain("missing field `time_zone`"), "missing field `time_zone`");
    }
}
