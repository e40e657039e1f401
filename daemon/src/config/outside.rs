//! Settings of what leads outside: the key that seals secrets, and what mail and webhooks may do.

use std::path::{Path, PathBuf};

use followupd_channel::transports::Rules;
use followupd_channel::{smtp, webhook::Network};
use serde::Deserialize;

use crate::exit::Failure;

/// What channels that lead outside need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outside {
    /// Where the key lies that seals secrets.
    pub(crate) seal_key: PathBuf,
    /// What is allowed.
    pub(crate) rules: Rules,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Secrets {
    key_file: PathBuf,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Smtp {
    helo: String,
    allow_plain: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Http {
    networks: Vec<String>,
    allow_plain: bool,
}

/// Checks them. What is left out is as it stands in the defaults: empty, and nothing allowed.
pub(super) fn check(store: &Path, (secrets, smtp, http): (Secrets, Smtp, Http)) -> Result<Outside, Failure> {
    let seal_key = match secrets.key_file.as_os_str().is_empty() {
        true => store.join("seal.key"),
        false => secrets.key_file,
    };
    let helo = if smtp.helo.is_empty() { own_name() } else { smtp.helo };
    if !smtp::is_helo(&helo) {
        return Err(Failure::input(format!(
            "smtp.helo: {helo:?} is no name of a machine: write its full name, or an address like [192.0.2.1]"
        )));
    }
    let network = |(at, text): (usize, String)| {
        text.parse::<Network>().map_err(|error| Failure::input(format!("http.networks[{at}]: {error}")))
    };
    let networks = http.networks.into_iter().enumerate().map(network).collect::<Result<_, _>>()?;
    let rules = Rules { helo, plain_smtp: smtp.allow_plain, plain_http: http.allow_plain, networks };
    Ok(Outside { seal_key, rules })
}

/// What this machine is called; an address where that is no name for others.
fn own_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if smtp::is_helo(&name) { name } else { "[127.0.0.1]".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(smtp: Smtp, http: Http) -> Result<Outside, Failure> {
        check(Path::new("/store"), (Secrets::default(), smtp, http))
    }

    #[test]
    fn the_seal_key_lies_in_the_store_unless_it_is_told_where() {
        let outside = checked(Smtp::default(), Http::default()).unwrap();
        assert_eq!(outside.seal_key, Path::new("/store/seal.key"));
        assert!(smtp::is_helo(&outside.rules.helo));
        let secrets = Secrets { key_file: "/keys/seal".into() };
        let outside = check(Path::new("/store"), (secrets, Smtp::default(), Http::default())).unwrap();
        assert_eq!(outside.seal_key, Path::new("/keys/seal"));
    }

    #[test]
    fn what_cannot_be_is_named() {
        let smtp = Smtp { helo: "a b".into(), ..Smtp::default() };
        assert!(checked(smtp, Http::default()).unwrap_err().says.contains("smtp.helo"));
        let http = Http { networks: vec!["10.0.0.0/8".into(), "ten".into()], ..Http::default() };
        assert!(checked(Smtp::default(), http).unwrap_err().says.contains("http.networks[1]"));
    }
}
