//! What is done with a store that nobody runs: making one of a backup, and looking whether its rows make sense.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use followupd_runtime::verify::{Report, Verifier};
use followupd_runtime::{Env, WallEnv, held_rows};
use followupd_store::backup;
use followupd_store::embedded::{Embedded, OpenError, Options};
use followupd_store::limits::BACKUP_PART_BYTES;
use followupd_store::{Key, Row, Store};
use serde_json::json;

use crate::cli::Shared;
use crate::cli::backup::{Summary, open};
use crate::config::{Config, Overrides, Source};
use crate::exit::{Code, Failure};
use crate::serve::lock::FolderLock;
use crate::serve::unusable;
use crate::table::{Align, Table, thousands};

/// Where the store lies.
#[derive(Clone, Debug, Args)]
pub(crate) struct Place {
    /// Settings file, as for `serve`.
    #[arg(long, short, env = "FOLLOWUPD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Instead of `store.folder`.
    #[arg(long, value_name = "FOLDER")]
    store: Option<PathBuf>,
}

/// Commands of a store that nobody runs.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Look at every row: whether it is as it was written, and whether the rows make sense together. Exit code 9 where
    /// something is damaged. The daemon must not run; with --backup it may.
    Verify {
        #[command(flatten)]
        place: Place,
        /// A backup instead of the store.
        #[arg(long, value_name = "FILE", conflicts_with = "store")]
        backup: Option<PathBuf>,
    },
}

/// What may lie in a folder that a store is made in: keys that were put there for it, and what a start or an attempt
/// that was cut off leaves.
const ALLOWED: [&str; 4] = ["lock", "operator.key", "seal.key", "rows.new"];

impl Place {
    fn read(self) -> Result<Config, Failure> {
        let overrides = Overrides { store: self.store, ..Overrides::default() };
        Source { path: self.config, overrides }.read()
    }
}

/// Does it.
pub(crate) async fn run(shared: &Shared, command: StoreCommand) -> Result<(), Failure> {
    let StoreCommand::Verify { place, backup } = command;
    let report = match backup {
        Some(path) => on_a_thread(move || of_backup(&path)).await?,
        None => of_store(place.read()?).await?,
    };
    let faults = report
        .faults
        .iter()
        .map(|fault| json!({ "invariant": fault.name, "about": fault.about, "what": fault.what }));
    let answer = json!({ "rows": report.rows, "open": report.open, "faults": faults.collect::<Vec<_>>(), "more": report.more });
    shared.answer(&answer, || text(&report))?;
    match report.faults.len() as u64 + report.more {
        0 => Ok(()),
        count => Err(Failure::new(Code::Damaged, format!("{count} faults were found"))),
    }
}

/// Makes a store of a backup.
pub(crate) async fn restore(shared: &Shared, file: PathBuf, place: Place) -> Result<(), Failure> {
    let config = place.read()?;
    let (store, seal_key) = (config.store, config.outside.seal_key);
    let folder = store.clone();
    // All of it is read before anything is made.
    let summary = on_a_thread(move || {
        let (head, summary) = Summary::of(&file)?;
        must_be_free(&folder)?;
        let _lock = FolderLock::take(&folder)?;
        make(&file, &head, &folder)?;
        Ok(summary)
    });
    let summary = summary.await?;
    shared.answer(&summary, || {
        let missing = match seal_key.exists() {
            true => String::new(),
            false => format!(
                "put the seal key of that installation to {} before the start: without it sealed secrets of \
                 channels have to be given again\n",
                seal_key.display()
            ),
        };
        format!(
            "{}: {}\naccess keys are those of that installation\n{missing}sending is held: `followupd serve` starts it, `followupd resume-sending --all` shows \
             what would go out; what was sent after the backup is not known here",
            store.display(),
            summary.words()
        )
    })
}

/// A store is made where none is, and nothing else that would be lost sight of.
fn must_be_free(folder: &Path) -> Result<(), Failure> {
    let refuse = |why: String| Failure::new(Code::Folder, format!("{}: {why}", folder.display()));
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| refuse(format!("cannot be read: {error}")))?,
    };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut there: Vec<String> = names.filter(|name| !ALLOWED.contains(&name.as_str())).collect();
    there.sort_unstable();
    if there.is_empty() {
        return Ok(());
    }
    Err(refuse(format!(
        "is not empty, there is {}: give --store another folder, or move what is there away",
        there.join(", ")
    )))
}

fn make(file: &Path, head: &backup::Head, folder: &Path) -> Result<(), Failure> {
    let (held, last) = held_rows(head, WallEnv::new().wall()).map_err(Failure::other)?;
    // One that was held already is held for this reason.
    let given = |row: &Result<(Key, Row), backup::Error>| {
        row.as_ref().map_or(true, |(key, _)| held.iter().all(|(other, _)| other != key))
    };
    let rows = open(file)?.filter(given).chain(held.clone().into_iter().map(Ok));
    Embedded::restore(rows_of(folder), &Options::default(), rows, last)
        .map_err(|error| unusable("store", folder, &error))
}

async fn of_store(config: Config) -> Result<Report, Failure> {
    let folder = config.store;
    let rows = rows_of(&folder);
    if !rows.is_dir() {
        let says = format!("{}: there is no store; give --store its folder", folder.display());
        return Err(Failure::input(says));
    }
    let _lock = FolderLock::take(&folder)?;
    let opened = on_a_thread(move || {
        Embedded::open(rows, Options::default()).map_err(|error| {
            let damaged = matches!(error, OpenError::Damaged { .. });
            if damaged { Failure::new(Code::Damaged, error) } else { unusable("store", &folder, &error) }
        })
    });
    let store = opened.await?;
    let report = all_of(&store).await;
    store.close().await;
    report
}

async fn all_of(store: &dyn Store) -> Result<Report, Failure> {
    let unreadable = |error: followupd_store::Error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        Failure::new(Code::Damaged, format!("{error}{cause}"))
    };
    let mut snapshot = store.snapshot().await.map_err(unreadable)?;
    let mut verifier = Verifier::new(snapshot.last());
    loop {
        let rows = snapshot.next(BACKUP_PART_BYTES).await.map_err(unreadable)?;
        if rows.is_empty() {
            return Ok(verifier.finish());
        }
        rows.iter().for_each(|(key, row)| verifier.row(key, row));
    }
}

fn of_backup(path: &Path) -> Result<Report, Failure> {
    let reader = open(path)?;
    let mut verifier = Verifier::new(reader.head().last);
    for row in reader {
        let (key, row) = row.map_err(|error| unreadable(path, &error))?;
        verifier.row(&key, &row);
    }
    Ok(verifier.finish())
}

fn rows_of(folder: &Path) -> PathBuf {
    folder.join("rows")
}

/// What is wrong with a backup; one that cannot be read at all is no damage.
pub(super) fn unreadable(path: &Path, error: &backup::Error) -> Failure {
    let code = match error {
        backup::Error::Medium(_) => Code::Failed,
        backup::Error::NotOne => Code::Input,
        backup::Error::CutOff { .. } | backup::Error::Damaged { .. } => Code::Damaged,
    };
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    Failure::new(code, format!("{}: {error}{cause}", path.display()))
}

/// Runs what blocks.
async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(Failure::other)?
}

fn text(report: &Report) -> String {
    let mut table = Table::new(&[("KIND", Align::Left), ("ROWS", Align::Right)]);
    for (kind, rows) in &report.rows {
        table.row([(*kind).to_owned(), thousands(*rows)]);
    }
    let mut text = format!("{table}\n{} enrollments have not ended\n", thousands(report.open));
    for fault in &report.faults {
        text.push_str(&format!("{}  {}: {}\n", fault.name, fault.about, fault.what));
    }
    match (report.faults.len(), report.more) {
        (0, _) => text.push_str("every row is as it was written, and they make sense together"),
        (_, 0) => {}
        (_, more) => text.push_str(&format!("and {more} more")),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_something_in_it_is_named_with_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        assert!(must_be_free(&folder.path().join("missing")).is_ok());
        for allowed in ALLOWED {
            fs::write(folder.path().join(allowed), "").unwrap();
        }
        assert!(must_be_free(folder.path()).is_ok());
        fs::create_dir(folder.path().join("rows")).unwrap();
        let failure = must_be_free(folder.path()).unwrap_err();
        assert!(failure.code == Code::Folder && failure.says.contains("there is rows:"), "{failure}");
    }
}
