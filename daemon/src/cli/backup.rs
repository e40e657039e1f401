//! `backup`: all rows of a running daemon in a file that is there whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use followupd_store::backup::{Head, Reader};
use serde::Serialize;

use crate::cli::client::Server;
use crate::cli::{Shared, time};
use crate::exit::Failure;
use crate::table::thousands;
use followupd_proto::v1;

/// What a backup came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    /// When it was begun.
    at: String,
    /// Its last commit.
    commit: u64,
    /// The release that wrote it.
    release: String,
    /// Its rows.
    rows: u64,
    /// Bytes of the file.
    bytes: u64,
}

impl Summary {
    /// Reads a whole backup.
    ///
    /// # Errors
    /// What is wrong with it, under its name.
    pub(super) fn of(path: &Path) -> Result<(Head, Summary), Failure> {
        let reader = open(path)?;
        let head = reader.head().clone();
        let rows = reader.check().map_err(|error| super::store::unreadable(path, &error))?;
        let bytes = fs::metadata(path).map(|meta| meta.len()).unwrap_or_default();
        let summary = Summary {
            at: time::moment(head.at),
            commit: head.last.0,
            release: head.release.clone(),
            rows,
            bytes,
        };
        Ok((head, summary))
    }

    /// In one line.
    pub(super) fn words(&self) -> String {
        let Summary { at, commit, rows, bytes, release } = self;
        let (rows, bytes) = (thousands(*rows), thousands(*bytes));
        format!("{rows} rows as of {at} UTC, commit {commit}, {bytes} bytes, written by {release}")
    }
}

/// Opens a backup and reads its head.
///
/// # Errors
/// It is not there, or no backup.
pub(super) fn open(path: &Path) -> Result<Reader<BufReader<File>>, Failure> {
    let file = File::open(path)
        .map_err(|error| Failure::input(format!("{} cannot be read: {error}", path.display())))?;
    Reader::open(BufReader::new(file)).map_err(|error| super::store::unreadable(path, &error))
}

/// Writes a backup to `path`.
pub(crate) async fn run(shared: &Shared, path: PathBuf) -> Result<(), Failure> {
    if path.try_exists().unwrap_or(true) {
        let says = format!("{} is there already: give another name, or move it away", path.display());
        return Err(Failure::input(says));
    }
    let server = shared.server()?;
    let mut aside = path.as_os_str().to_owned();
    aside.push(".partial");
    let aside = PathBuf::from(aside);
    let cannot = |error: io::Error| Failure::input(format!("{} cannot be written: {error}", aside.display()));
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&aside);
    let mut file = file.map_err(cannot)?;
    if file.try_lock().is_err() {
        let says = format!("{}: another backup is being written there", aside.display());
        return Err(Failure::input(says));
    }
    let written = write(&server, &mut file, &aside).await;
    let done = written.and_then(|()| {
        let (_, summary) = Summary::of(&aside)?;
        fs::rename(&aside, &path).and_then(|()| sync_folder(&path)).map_err(cannot)?;
        Ok(summary)
    });
    let summary = done.inspect_err(|_| {
        // What is left of it is of no use; one that cannot be removed is written over by the next.
        let _ = fs::remove_file(&aside);
    })?;
    shared.answer(&summary, || {
        format!(
            "{}: {}\nnot in it: the key that seals secrets (seal.key in the store's folder, unless \
             secrets.key_file says otherwise) and config.toml; keep copies of both",
            path.display(),
            summary.words()
        )
    })
}

async fn write(server: &Server, file: &mut File, aside: &Path) -> Result<(), Failure> {
    let cannot = |error: io::Error| Failure::other(format!("{} cannot be written: {error}", aside.display()));
    // One that was cut off may be there from before.
    file.set_len(0).map_err(cannot)?;
    let stream = server.store().backup(v1::BackupRequest::default()).await;
    let mut stream = stream.map_err(|error| server.failure(&error))?;
    while let Some(message) = stream.message().await.map_err(|error| server.failure(&error))? {
        file.write_all(&message.to_owned_message().part).map_err(cannot)?;
    }
    file.sync_all().map_err(cannot)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
