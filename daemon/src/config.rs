//! Settings of the process. `config.toml` documents every one; it is part of the binary and holds the defaults.
//!
//! Only what the process needs before it can take a call stands here; tenants, channels and sequences are put over
//! the RPC. All of it is read and cross-checked before a port is bound.

use serde::Deserialize;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::exit::Failure;
use crate::{log, strict, tls, traces};

mod bounds;

pub(crate) use bounds::Bounds;

mod outside;

pub(crate) use outside::Outside;

/// The settings file with all defaults and their meaning.
pub(crate) const DEFAULTS: &str = include_str!("../../config.toml");

/// Checked settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// Where the RPC listens; port 0: a free one.
    pub(crate) listen: SocketAddr,
    /// Whether it may be one that others can reach in the clear.
    pub(crate) insecure: bool,
    /// The certificate of that address; without one it speaks in the clear.
    pub(crate) tls: Option<tls::Files>,
    /// What a connection and a key may take.
    pub(crate) bounds: Bounds,
    /// Where the store lies.
    pub(crate) store: PathBuf,
    /// Where the outbox lies.
    pub(crate) outbox: PathBuf,
    /// Which log lines are written.
    pub(crate) log_level: String,
    /// In which form.
    pub(crate) log_format: LogFormat,
    /// How long a stopping daemon waits for what it has begun.
    pub(crate) drain_within: Duration,
    /// What channels that lead outside need.
    pub(crate) outside: Outside,
    /// Where spans of calls go, if anywhere.
    pub(crate) traces: Option<traces::To>,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What the command line says instead of the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    /// `listen.address`.
    pub(crate) listen: Option<String>,
    /// `store.folder`.
    pub(crate) store: Option<PathBuf>,
    /// `outbox.folder`.
    pub(crate) outbox: Option<PathBuf>,
    /// `log.level`.
    pub(crate) log_level: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    listen: Listen,
    store: Folder,
    outbox: Folder,
    log: Log,
    drain: Drain,
    secrets: outside::Secrets,
    smtp: outside::Smtp,
    http: outside::Http,
    limits: bounds::Limits,
    traces: Traces,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Listen {
    address: Option<String>,
    insecure: Option<bool>,
    tls: Certificate,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Certificate {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    client_ca: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Folder {
    folder: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Log {
    level: Option<String>,
    format: Option<LogFormat>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Traces {
    endpoint: Option<String>,
    percent: Option<u8>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Drain {
    within_seconds: Option<u64>,
}

/// Where settings come from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source {
    /// The file, if there is one.
    pub(crate) path: Option<PathBuf>,
    /// What goes before it.
    pub(crate) overrides: Overrides,
}

impl Source {
    /// Reads them.
    ///
    /// # Errors
    /// As [`load`].
    pub(crate) fn read(&self) -> Result<Config, Failure> {
        load(self.path.as_deref(), &self.overrides)
    }
}

/// Reads the settings: the file's, else the defaults, and over both what the command line says.
///
/// # Errors
/// The file cannot be read, or a setting is wrong alone or beside another; each says what would be right.
pub(crate) fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Config, Failure> {
    let text = match path {
        None => String::new(),
        Some(path) => fs::read_to_string(path)
            .map_err(|error| Failure::input(format!("{} cannot be read: {error}", path.display())))?,
    };
    let from = path.map_or_else(|| "config.toml".to_owned(), |path| path.display().to_string());
    let mut file = parse(&text, &from)?;
    file.listen.address = overrides.listen.clone().or(file.listen.address);
    file.log.level = overrides.log_level.clone().or(file.log.level);
    file.store.folder = overrides.store.clone().or(file.store.folder);
    file.outbox.folder = overrides.outbox.clone().or(file.outbox.folder);
    check(file, parse(DEFAULTS, "config.toml")?)
}

fn parse(text: &str, from: &str) -> Result<File, Failure> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        let line = line.map(|line| format!(", line {line}")).unwrap_or_default();
        Failure::input(format!("{from}{line}: {}", strict::explain(error.message())))
    })
}

/// Checks each setting, then those that bear on each other.
fn check(given: File, defaults: File) -> Result<Config, Failure> {
    let tls = certificate(given.listen.tls.clone(), defaults.listen.tls.clone())?;
    let listen = address(&given.listen, &defaults.listen, tls.is_some())?;
    let bounds = bounds::check(&given.limits, &defaults.limits)?;
    let store = folder("store.folder", given.store, defaults.store)?;
    let outbox = folder("outbox.folder", given.outbox, defaults.outbox)?;
    if outbox.starts_with(&store) || store.starts_with(&outbox) {
        return Err(Failure::input(format!(
            "outbox.folder ({}) and store.folder ({}) lie in one another: the store's folder is its own, give the \
             outbox another",
            outbox.display(),
            store.display()
        )));
    }
    let log_level = or(given.log.level, defaults.log.level, "log.level")?;
    log::filter(&log_level).map_err(|error| {
        Failure::input(format!(
            "log.level: {log_level:?} is no filter ({error}): write error, warn, info, debug or trace"
        ))
    })?;
    let outside = outside::check(&store, (given.secrets, given.smtp, given.http))?;
    let seconds = or(given.drain.within_seconds, defaults.drain.within_seconds, "drain.within_seconds")?;
    if !(1..=3_600).contains(&seconds) {
        return Err(Failure::input(format!("drain.within_seconds is {seconds}: write 1 to 3600")));
    }
    Ok(Config {
        listen,
        insecure: or(given.listen.insecure, defaults.listen.insecure, "listen.insecure")?,
        tls,
        bounds,
        store,
        outbox,
        log_level,
        log_format: given.log.format.or(defaults.log.format).unwrap_or_default(),
        drain_within: Duration::from_secs(seconds),
        outside,
        traces: spans(given.traces, defaults.traces)?,
    })
}

/// Where spans go; an empty endpoint is none.
fn spans(given: Traces, defaults: Traces) -> Result<Option<traces::To>, Failure> {
    let endpoint = or(given.endpoint, defaults.endpoint, "traces.endpoint")?;
    let percent = or(given.percent, defaults.percent, "traces.percent")?;
    if percent > 100 {
        return Err(Failure::input(format!("traces.percent is {percent}: write 0 to 100")));
    }
    if endpoint.is_empty() {
        return Ok(None);
    }
    let url = endpoint.parse::<http::Uri>();
    let right = url.is_ok_and(|url| url.scheme_str() == Some("http") && url.host().is_some());
    if !right {
        return Err(Failure::input(format!(
            "traces.endpoint: {endpoint:?} is no address of a collector: write one such as \"http://127.0.0.1:4318\" \
             (OTLP over http; TLS is the business of a collector on this machine)"
        )));
    }
    Ok(Some(traces::To { endpoint, percent }))
}

pub(crate) fn or<T>(given: Option<T>, default: Option<T>, key: &str) -> Result<T, Failure> {
    given.or(default).ok_or_else(|| Failure::input(format!("{key} is missing")))
}

fn folder(key: &str, given: Folder, default: Folder) -> Result<PathBuf, Failure> {
    let path = or(given.folder, default.folder, key)?;
    if path.as_os_str().is_empty() {
        return Err(Failure::input(format!("{key} is empty: name a folder")));
    }
    // Absolute at once: what is printed can be copied, and a later change of folder does not move it.
    std::path::absolute(&path).map_err(|error| Failure::input(format!("{key}: {}: {error}", path.display())))
}

/// The files of TLS; an empty name is none.
fn certificate(given: Certificate, defaults: Certificate) -> Result<Option<tls::Files>, Failure> {
    let file = |key: &str, given: Option<PathBuf>, default: Option<PathBuf>| {
        let path = or(given, default, key)?;
        if path.as_os_str().is_empty() {
            return Ok(None);
        }
        let absolute = std::path::absolute(&path);
        absolute.map(Some).map_err(|error| Failure::input(format!("{key}: {}: {error}", path.display())))
    };
    let chain = file("listen.tls.certificate", given.certificate, defaults.certificate)?;
    let key = file("listen.tls.key", given.key, defaults.key)?;
    let client_ca = file("listen.tls.client_ca", given.client_ca, defaults.client_ca)?;
    match (chain, key) {
        (Some(certificate), Some(key)) => Ok(Some(tls::Files { certificate, key, client_ca })),
        (None, None) if client_ca.is_none() => Ok(None),
        (None, _) => Err(Failure::input(
            "listen.tls.certificate is missing beside the rest of listen.tls: name its file, or leave all of it out",
        )),
        (Some(_), None) => {
            Err(Failure::input("listen.tls.key is missing: name the file of the certificate's key"))
        }
    }
}

fn address(given: &Listen, defaults: &Listen, encrypted: bool) -> Result<SocketAddr, Failure> {
    let text = or(given.address.clone(), defaults.address.clone(), "listen.address")?;
    let address: SocketAddr = text.parse().map_err(|_| {
        Failure::input(format!(
            "listen.address: {text:?} is no address: write one such as \"127.0.0.1:7400\""
        ))
    })?;
    let insecure = or(given.insecure, defaults.insecure, "listen.insecure")?;
    if !address.ip().is_loopback() && !encrypted && !insecure {
        return Err(Failure::input(format!(
            "listen.address: {address} can be reached from other machines, and without TLS keys would pass in the \
             clear. Give listen.tls a certificate and its key, listen on 127.0.0.1 behind something that has one, or \
             set listen.insecure = true on a network you trust"
        )));
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        let checked =
            parse(text, "t.toml").and_then(|file| check(file, parse(DEFAULTS, "config.toml").unwrap()));
        checked.map_err(|failure| failure.says)
    }

    #[test]
    fn the_file_in_the_repository_is_complete_and_is_the_default() {
        let config = read("").unwrap();
        assert_eq!(config, read(DEFAULTS).unwrap());
        assert_eq!(config.listen, "127.0.0.1:7400".parse().unwrap());
        assert!(config.store.is_absolute());
    }

    #[test]
    fn every_key_of_the_file_is_commented() {
        let lines: Vec<&str> = DEFAULTS.lines().collect();
        for (i, line) in
            lines.iter().enumerate().filter(|(_, line)| line.contains(" = ") && !line.starts_with('#'))
        {
            assert!(i > 0 && lines[i - 1].starts_with('#'), "no comment above: {line}");
        }
    }

    #[test]
    fn an_unknown_key_names_its_line_and_the_near_one() {
        let said = read("[listen]\naddress = \"127.0.0.1:1\"\n[stroe]\n").unwrap_err();
        assert_eq!(said, "t.toml, line 3: unknown key `stroe`: did you mean `store`?");
        assert!(read("[log]\nformat = \"jsno\"\n").unwrap_err().contains("did you mean `json`?"));
    }

    #[test]
    fn an_address_others_can_reach_needs_a_word() {
        let said = read("[listen]\naddress = \"0.0.0.0:7400\"\n").unwrap_err();
        assert!(said.contains("TLS") && said.contains("insecure = true"), "{said}");
        assert!(read("[listen]\naddress = \"0.0.0.0:7400\"\ninsecure = true\n").is_ok());
        assert!(read("[listen]\naddress = \"[::1]:7400\"\n").is_ok());
        assert!(read("[listen]\naddress = \"localhost\"\n").unwrap_err().contains("127.0.0.1:7400"));
    }

    #[test]
    fn a_certificate_makes_an_address_safe_and_is_never_half_there() {
        let tls = "[listen.tls]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\n";
        let all = format!("[listen]\naddress = \"0.0.0.0:7400\"\n{tls}");
        let files = read(&all).unwrap().tls.unwrap();
        assert!(files.certificate.is_absolute() && files.client_ca.is_none());
        for half in ["certificate = \"c.pem\"\n", "key = \"k.pem\"\n", "client_ca = \"a.pem\"\n"] {
            let said = read(&format!("[listen.tls]\n{half}")).unwrap_err();
            assert!(said.contains("is missing"), "{half}: {said}");
        }
    }

    #[test]
    fn bounds_are_checked_alone_and_beside_each_other() {
        assert!(
            read("[limits]\nconnections = 0\n").unwrap_err().contains("limits.connections is 0: write 1 to")
        );
        let said = read("[limits]\ncall_seconds = 400\n").unwrap_err();
        assert!(said.contains("limits.call_seconds_most"), "{said}");
    }

    #[test]
    fn the_store_and_the_outbox_keep_apart() {
        let said = read("[outbox]\nfolder = \"data/store/outbox\"\n").unwrap_err();
        assert!(said.contains("store.folder") && said.contains("outbox.folder"), "{said}");
        assert!(read("[store]\nfolder = \"\"\n").unwrap_err().contains("store.folder is empty"));
    }

    #[test]
    fn numbers_and_levels_are_checked() {
        assert!(read("[drain]\nwithin_seconds = 0\n").unwrap_err().contains("1 to 3600"));
        for no_level in ["=,=", "verbose", "warning", "", "info,", "info;debug", "info,followupd"] {
            let said = read(&format!("[log]\nlevel = \"{no_level}\"\n")).unwrap_err();
            assert!(said.contains("log.level"), "{said}");
        }
        for level in ["warn", "TRACE", "off", "info,followupd_store=debug", "info,[send]=trace"] {
            assert!(read(&format!("[log]\nlevel = \"{level}\"\n")).is_ok(), "{level}");
        }
    }
}
