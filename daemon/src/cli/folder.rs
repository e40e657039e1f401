//! A folder that describes one tenant: `tenant.yaml`, `accounts/NAME.yaml`, `channels/NAME.yaml` and `sequences/NAME.yaml`, read in the order
//! in which they are put. What is in it by mistake is said, not passed over.

use std::fs;
use std::path::{Path, PathBuf};

use followupd_domain::name::{Name, nearest};

use crate::cli::files;
use crate::exit::Failure;
use crate::limits;
use followupd_proto::v1;
use followupd_proto::v1::__buffa::oneof::wanted::Settings;

/// One file of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Described {
    /// As people know it: `channels/mail.yaml`.
    pub(crate) file: String,
    /// What the daemon is told.
    pub(crate) wanted: v1::Wanted,
}

impl Described {
    /// Where its kind stands in the order in which they are put.
    pub(crate) fn rank(&self) -> u8 {
        match self.wanted.settings {
            Some(Settings::Tenant(_)) | None => 0,
            Some(Settings::Account(_)) => 1,
            Some(Settings::Channel(_)) => 2,
            Some(Settings::Sequence(_)) => SEQUENCE,
        }
    }
}

/// The last rank: sequences build on all others.
pub(crate) const SEQUENCE: u8 = 3;

const TENANT: &str = "tenant.yaml";
const ACCOUNTS: &str = "accounts";
const CHANNELS: &str = "channels";
const SEQUENCES: &str = "sequences";

/// Reads a folder.
///
/// # Errors
/// Everything that is wrong with it and its files, before anything is asked.
pub(crate) fn read(folder: &Path) -> Result<Vec<Described>, Failure> {
    let mut reading = Reading { folder, described: Vec::new(), wrong: Vec::new() };
    let entries = reading.entries("")?;
    if !entries.iter().any(|entry| entry == TENANT) {
        let path = folder.join(TENANT);
        reading.wrong.push(format!("{} is missing: `followupd init` writes a folder", path.display()));
    }
    for entry in &entries {
        match entry.as_str() {
            TENANT => reading.file(TENANT, "", |tenant: files::Tenant| {
                Settings::Tenant(v1::TenantSettings::from(tenant).into())
            }),
            ACCOUNTS | CHANNELS | SEQUENCES => {}
            other => reading.other(other),
        }
    }
    reading.named(ACCOUNTS, |account: files::Account| {
        Settings::Account(v1::AccountSettings::from(account).into())
    })?;
    reading.named(CHANNELS, |channel: files::Channel| {
        Settings::Channel(v1::ChannelSettings::from(channel).into())
    })?;
    reading
        .named(SEQUENCES, |sequence: files::Sequence| Settings::Sequence(v1::Draft::from(sequence).into()))?;
    if reading.described.len() > limits::FOLDER_FILES {
        let (has, most) = (reading.described.len(), limits::FOLDER_FILES);
        return Err(Failure::input(format!("{} has {has} files: at most {most}", folder.display())));
    }
    match reading.wrong.is_empty() {
        true => Ok(reading.described),
        false => Err(Failure::input(reading.wrong.join("\n           "))),
    }
}

/// A folder as it is read, with what is wrong so far.
struct Reading<'a> {
    folder: &'a Path,
    described: Vec<Described>,
    wrong: Vec<String>,
}

impl Reading<'_> {
    fn path(&self, file: &str) -> PathBuf {
        if file.is_empty() { self.folder.to_path_buf() } else { self.folder.join(file) }
    }

    /// What lies in a folder, by name, without what is hidden.
    fn entries(&self, within: &str) -> Result<Vec<String>, Failure> {
        let path = self.path(within);
        let cannot =
            |error: std::io::Error| Failure::input(format!("{} cannot be read: {error}", path.display()));
        let mut names = Vec::new();
        for entry in fs::read_dir(&path).map_err(cannot)? {
            let name = entry.map_err(cannot)?.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Something beside what a folder has: said where it was probably meant to be read.
    fn other(&mut self, name: &str) {
        let path = self.path(name);
        let known = [TENANT, ACCOUNTS, CHANNELS, SEQUENCES];
        let near = nearest(name, known).map(|near| format!("did you mean {near}?"));
        let is_yaml = name.ends_with(".yaml") || name.ends_with(".yml");
        let advice = match near {
            Some(near) if is_yaml || path.is_dir() => near,
            None | Some(_) if is_yaml => {
                format!("it has {TENANT}, {ACCOUNTS}/, {CHANNELS}/ and {SEQUENCES}/NAME.yaml")
            }
            None | Some(_) => return,
        };
        self.wrong.push(format!("{} is no part of such a folder: {advice}", path.display()));
    }

    /// Every file of a folder in it, each under the name it describes.
    fn named<T: serde::de::DeserializeOwned>(
        &mut self,
        within: &str,
        settings: impl Fn(T) -> Settings,
    ) -> Result<(), Failure> {
        // One that is not there has none.
        if !self.path(within).exists() {
            return Ok(());
        }
        for entry in self.entries(within)? {
            let file = format!("{within}/{entry}");
            let shown = self.path(&file).display().to_string();
            if let Some(stem) = entry.strip_suffix(".yml") {
                self.wrong.push(format!("{shown} is not read: call it {stem}.yaml"));
            } else if self.path(&file).is_dir() {
                self.wrong.push(format!("{shown} is a folder: {within} has files only"));
            } else if let Some(name) = entry.strip_suffix(".yaml") {
                match Name::parse(name) {
                    Ok(name) => self.file(&file, name.as_str(), &settings),
                    Err(error) => self.wrong.push(format!("{shown}: the name {name:?} {error}")),
                }
            }
        }
        Ok(())
    }

    fn file<T: serde::de::DeserializeOwned>(
        &mut self,
        file: &str,
        name: &str,
        settings: impl Fn(T) -> Settings,
    ) {
        match files::read::<T>(&self.path(file)) {
            Ok(read) => {
                let settings = Some(settings(read));
                let wanted = v1::Wanted { name: name.to_owned(), settings, ..Default::default() };
                self.described.push(Described { file: file.to_owned(), wanted });
            }
            Err(failure) => self.wrong.push(failure.says),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn files_come_in_the_order_in_which_they_are_put() {
        let folder = folder(&[
            ("sequences/b.yaml", "steps: []\n"),
            ("sequences/a.yaml", "steps: []\n"),
            ("channels/mail.yaml", "kind: email\n"),
            ("accounts/main.yaml", "new_recipients: 250\n"),
            ("tenant.yaml", "time_zone: UTC\n"),
            ("README.md", "ours"),
            (".git/config", ""),
            ("notes/x.txt", ""),
        ]);
        let read = read(folder.path()).unwrap();
        let files: Vec<(&str, u8)> = read.iter().map(|one| (one.file.as_str(), one.rank())).collect();
        assert_eq!(
            files,
            [
                ("tenant.yaml", 0),
                ("accounts/main.yaml", 1),
                ("channels/mail.yaml", 2),
                ("sequences/a.yaml", SEQUENCE),
                ("sequences/b.yaml", SEQUENCE)
            ]
        );
        assert_eq!(read[2].wanted.name, "mail");
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let folder = folder(&[
            ("tenat.yaml", "time_zone: UTC\n"),
            ("other.yaml", ""),
            ("chanels/mail.yaml", ""),
            ("channels/Mail.yaml", "kind: email\n"),
            ("channels/sms.yml", "kind: sms\n"),
            ("sequences/welcome.yaml", "stepps: []\n"),
            ("sequences/old/welcome.yaml", ""),
        ]);
        let failure = read(folder.path()).unwrap_err();
        assert_eq!(failure.code, crate::exit::Code::Input);
        for says in [
            "tenant.yaml is missing: `followupd init`",
            "tenat.yaml is no part of such a folder: did you mean tenant.yaml?",
            "other.yaml is no part of such a folder: it has tenant.yaml",
            "chanels is no part of such a folder: did you mean channels?",
            "Mail.yaml: the name \"Mail\"",
            "sms.yml is not read: call it sms.yaml",
            "welcome.yaml: unknown key `stepps`: did you mean `steps`?",
            "old is a folder",
        ] {
            assert!(failure.says.contains(says), "{says}: {failure}");
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let failure = read(Path::new("not-there")).unwrap_err();
        assert!(failure.says.contains("not-there cannot be read"), "{failure}");
    }
}
