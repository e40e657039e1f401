//! `check-config`: the settings as a start would read them, and what is in force.

use serde_json::{Map, Value, json};

use crate::cli::{Shared, json as as_json, print};
use crate::config::{Config, LogFormat, Source};
use crate::exit::Failure;
use crate::serve::check;

/// Checks them and prints what is in force: as a settings file, or as JSON.
///
/// # Errors
/// What `serve` would say before it listens.
pub(crate) fn run(shared: &Shared, source: &Source) -> Result<(), Failure> {
    let config = source.read()?;
    let notes = check::check(&config)?;
    let in_force = in_force(&config);
    if shared.json {
        print(&as_json(&in_force)?)?;
    } else {
        print(&in_force.iter().map(section).collect::<String>())?;
    }
    let from = source.path.as_ref().map(|path| path.display().to_string());
    eprintln!("{}: sound", from.as_deref().unwrap_or("the defaults"));
    notes.iter().for_each(|note| eprintln!("  {note}"));
    Ok(())
}

/// Every key of the file with its value, section by section.
fn in_force(config: &Config) -> Map<String, Value> {
    let path = |path: &std::path::Path| path.display().to_string();
    let (bounds, rules) = (config.bounds, &config.outside.rules);
    let tls = config.tls.as_ref();
    let file = |file: Option<&std::path::PathBuf>| file.map(|file| path(file)).unwrap_or_default();
    let networks: Vec<String> = rules.networks.iter().map(ToString::to_string).collect();
    let traces = config.traces.as_ref().map(|to| (to.endpoint.as_str(), to.percent));
    let (endpoint, percent) = traces.unwrap_or(("", 100));
    let sections = [
        ("listen", json!({ "address": config.listen.to_string(), "insecure": config.insecure })),
        (
            "listen.tls",
            json!({
                "certificate": file(tls.map(|tls| &tls.certificate)),
                "key": file(tls.map(|tls| &tls.key)),
                "client_ca": file(tls.and_then(|tls| tls.client_ca.as_ref())),
            }),
        ),
        (
            "limits",
            json!({
                "connections": bounds.connections,
                "calls_per_connection": bounds.calls_a_connection,
                "calls_per_second_per_key": bounds.calls_a_key,
                "head_seconds": bounds.head_within.as_secs(),
                "stall_seconds": bounds.stall.as_secs(),
                "call_seconds": bounds.call_within.as_secs(),
                "call_seconds_most": bounds.call_within_most.as_secs(),
            }),
        ),
        ("store", json!({ "folder": path(&config.store) })),
        ("outbox", json!({ "folder": path(&config.outbox) })),
        (
            "log",
            json!({
                "level": config.log_level,
                "format": match config.log_format {
                    LogFormat::Text => "text",
                    LogFormat::Json => "json",
                },
            }),
        ),
        ("traces", json!({ "endpoint": endpoint, "percent": percent })),
        ("drain", json!({ "within_seconds": config.drain_within.as_secs() })),
        ("secrets", json!({ "key_file": path(&config.outside.seal_key) })),
        ("smtp", json!({ "helo": rules.helo, "allow_plain": rules.plain_smtp })),
        ("http", json!({ "networks": networks, "allow_plain": rules.plain_http })),
    ];
    sections.into_iter().map(|(name, keys)| (name.to_owned(), keys)).collect()
}

/// A section as it stands in a settings file: what JSON writes of texts, numbers and lists of texts, TOML reads.
fn section((name, keys): (&String, &Value)) -> String {
    let keys = keys.as_object().into_iter().flatten();
    let lines: String = keys.map(|(key, value)| format!("{key} = {value}\n")).collect();
    format!("[{name}]\n{lines}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DEFAULTS, Overrides, load};

    fn printed(config: &Config) -> String {
        in_force(config).iter().map(section).collect()
    }

    #[test]
    fn what_is_printed_is_a_settings_file_that_says_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "[http]\nnetworks = [\"10.1.0.0/16\"]\n[log]\nlevel = \"debug\"\n").unwrap();
        let overrides = Overrides { listen: Some("[::1]:0".into()), ..Overrides::default() };
        let config = load(Some(&path), &overrides).unwrap();
        std::fs::write(&path, printed(&config)).unwrap();
        assert_eq!(load(Some(&path), &Overrides::default()).unwrap(), config);
    }

    #[test]
    fn every_key_of_the_settings_file_is_printed() {
        let keys = |text: &str| -> std::collections::BTreeSet<String> {
            let mut section = String::new();
            let mut found = std::collections::BTreeSet::new();
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                if let Some(name) = line.strip_prefix('[') {
                    section = name.trim_end_matches(']').to_owned();
                } else if let Some((key, _)) = line.split_once(" = ") {
                    found.insert(format!("{section}.{key}"));
                }
            }
            found
        };
        let config = load(None, &Overrides::default()).unwrap();
        assert_eq!(keys(&printed(&config)), keys(DEFAULTS));
    }
}
