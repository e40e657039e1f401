//! `init`: a settings file of the daemon and a folder that describes a tenant, to start from. What is there stays.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use followupd_domain::name::Name;
use serde::Serialize;

use crate::cli::Shared;
use crate::cli::files::Example;
use crate::exit::Failure;

/// The tenant, where nobody names one.
const TENANT: &str = "acme";

/// What was written.
#[derive(Debug, Default, Serialize)]
struct Written {
    wrote: Vec<PathBuf>,
    /// These were there.
    kept: Vec<PathBuf>,
}

/// Writes them, and says what comes next.
///
/// # Errors
/// The folder cannot be written, or the tenant's name is none.
pub(crate) fn run(shared: &Shared, folder: &Path) -> Result<(), Failure> {
    let tenant = shared.tenant.clone().unwrap_or_else(|| TENANT.to_owned());
    Name::parse(&tenant).map_err(|error| Failure::input(format!("--tenant {tenant:?} {error}")))?;
    let (settings, of_tenant) = (folder.join("config.toml"), folder.join(&tenant));
    let mut written = Written::default();
    for (path, example) in [
        (settings.clone(), Example::Config),
        (of_tenant.join("tenant.yaml"), Example::Tenant),
        (of_tenant.join("channels/mail.yaml"), Example::Channel),
        (of_tenant.join("sequences/charge-reminder.yaml"), Example::Sequence),
    ] {
        let new = write(&path, example.text())
            .map_err(|error| Failure::input(format!("{} cannot be written: {error}", path.display())))?;
        if new { written.wrote.push(path) } else { written.kept.push(path) }
    }
    shared.answer(&written, || shown(&written, &tenant, &settings, &of_tenant))
}

/// Writes a file that is not there yet; whether it was not.
fn write(path: &Path, text: &str) -> io::Result<bool> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

fn shown(written: &Written, tenant: &str, settings: &Path, of_tenant: &Path) -> String {
    let lines = |word: &str, paths: &[PathBuf]| -> String {
        paths.iter().map(|path| format!("{word}  {}\n", path.display())).collect()
    };
    let (wrote, kept) = (lines("wrote", &written.wrote), lines("kept ", &written.kept));
    let (settings, of_tenant) = (quoted(settings), quoted(of_tenant));
    format!(
        "{wrote}{kept}\n\
         next, when they say what you want:\n\
         \x20 followupd check-config --config {settings}\n\
         \x20 followupd serve --config {settings}\n\
         in another terminal:\n\
         \x20 export FOLLOWUPD_KEY=$(cat data/store/operator.key)\n\
         \x20 followupd --tenant {tenant} diff {of_tenant}\n\
         \x20 followupd --tenant {tenant} apply {of_tenant}\n"
    )
}

/// A path as a shell reads it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.yaml");
        assert!(write(&path, "one").unwrap());
        assert!(!write(&path, "other").unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
    }

    #[test]
    fn a_path_is_quoted_where_a_shell_would_take_it_apart() {
        assert_eq!(quoted(Path::new("/etc/followupd/acme")), "/etc/followupd/acme");
        assert_eq!(quoted(Path::new("my team's")), "'my team'\\''s'");
    }
}
