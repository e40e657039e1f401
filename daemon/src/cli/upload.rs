//! A file of contacts over one stream, in constant memory: rows go out in batches, results come back in their order,
//! and only the batches under way are kept.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::cli::client::Server;
use crate::contacts::{Columns, Contacts, Problem, Row};
use crate::exit::{Code, Failure};
use crate::limits;
use followupd_proto::v1;

/// Where the contacts are enrolled.
#[derive(Clone, Debug)]
pub(crate) struct Into {
    /// Whose.
    pub(crate) tenant: String,
    /// Into which sequence.
    pub(crate) sequence: String,
}

/// What became of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Totals {
    /// Rows read, without the heading.
    pub(crate) rows: u64,
    /// Of these: enrolled now.
    pub(crate) enrolled: u64,
    /// Of these: enrolled before, or twice in the file.
    pub(crate) already_enrolled: u64,
    /// Of these: rejected.
    pub(crate) rejected: u64,
    /// The rejected ones by reason.
    pub(crate) reasons: std::collections::BTreeMap<String, u64>,
}

/// How far an upload has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    /// Where the last row with a result begins in its file.
    pub(crate) bytes: u64,
    /// How long the file of rejected rows is, as it lies on disk.
    pub(crate) rejected_bytes: u64,
}

/// The file of rejected rows, made with the first of them.
#[derive(Debug)]
pub(crate) struct Rejects {
    path: PathBuf,
    headings: Vec<String>,
    file: Option<csv::Writer<File>>,
}

impl Rejects {
    /// Rejected rows go to `path`, under the headings of their file.
    pub(crate) fn to(path: PathBuf, columns: &Columns) -> Rejects {
        Rejects { path, headings: columns.headings().to_vec(), file: None }
    }

    /// Rejected rows go on after what an earlier run wrote; what it wrote of rows that had no result then is cut off.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn after(path: PathBuf, columns: &Columns, bytes: u64) -> Result<Rejects, Failure> {
        let mut rejects = Rejects::to(path, columns);
        if bytes == 0 {
            return Ok(rejects);
        }
        let cut = |mut file: File| {
            file.set_len(bytes.min(file.metadata()?.len()))?;
            file.seek(SeekFrom::End(0)).map(|_| file)
        };
        match OpenOptions::new().write(true).open(&rejects.path).and_then(cut) {
            Ok(file) => rejects.file = Some(csv::WriterBuilder::new().flexible(true).from_writer(file)),
            // Whoever took it away has what was in it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let says = format!("{} cannot be written: {error}", rejects.path.display());
                return Err(Failure::other(says));
            }
        }
        Ok(rejects)
    }

    /// Writes out what was rejected so far, and says how long the file is.
    fn flushed(&mut self) -> Result<u64, Failure> {
        let Some(file) = &mut self.file else { return Ok(0) };
        let length = file.flush().and_then(|()| file.get_ref().metadata()).map(|meta| meta.len());
        length.map_err(|error| Failure::other(format!("{} cannot be written: {error}", self.path.display())))
    }

    fn write(&mut self, row: &Row, reason: &str, problem: &Problem) -> Result<(), Failure> {
        let path = self.path.display().to_string();
        let cannot = |error: csv::Error| Failure::other(format!("{path} cannot be written: {error}"));
        if self.file.is_none() {
            let mut file = csv::WriterBuilder::new().flexible(true).from_path(&self.path).map_err(cannot)?;
            let ours =
                ["line", "column", "reason", "problem"].map(|name| format!("{}{name}", columns_prefix()));
            file.write_record(ours.iter().chain(&self.headings)).map_err(cannot)?;
            self.file = Some(file);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let line = row.line.to_string();
        let ours =
            [line.as_bytes(), problem.column.as_bytes(), reason.as_bytes(), problem.problem.as_bytes()];
        file.write_record(ours.into_iter().chain(row.cells.iter())).map_err(cannot)
    }
}

fn columns_prefix() -> &'static str {
    crate::contacts::REJECTED
}

/// Rows that were read together, some of which are on the wire.
type Batch = Vec<Row>;

/// Enrolls every row of a file from where it is read to; `totals` is what became of those before. `accounted` is told
/// after each batch that has its results.
///
/// # Errors
/// The file cannot be read on, or the daemon ends the stream: what has a result by then is done, and enrolling the
/// file again finds it enrolled already.
pub(crate) async fn run<R: Read + Send + 'static>(
    server: &Server,
    into: Into,
    contacts: Contacts<R>,
    mut rejects: Rejects,
    mut totals: Totals,
    mut accounted: impl FnMut(&Totals, At),
) -> Result<Totals, Failure> {
    let stream = server.enrollment_streams().enroll_stream().await.map_err(|error| server.failure(&error))?;
    let (mut out, mut back) = stream.into_split();
    let mut batches = reading(contacts);
    let (sent, mut waiting) = mpsc::channel::<Batch>(limits::CSV_BATCHES_AHEAD);
    let sending = async {
        while let Some(batch) = batches.recv().await {
            let batch = batch?;
            let request = request(&into, &batch);
            // The batch first: its result cannot be back before it is known what it is the result of.
            if sent.send(batch).await.is_err() {
                break;
            }
            // Why the stream broke is said by what comes back.
            if let Some(request) = request
                && out.send(request).await.is_err()
            {
                break;
            }
        }
        out.close_send();
        drop(sent);
        Ok::<(), Failure>(())
    };
    let receiving = async {
        while let Some(batch) = waiting.recv().await {
            let wired = batch.iter().filter(|row| row.says.is_ok()).count();
            let results = match wired {
                0 => Vec::new(),
                _ => match back.message::<v1::EnrollStreamResponse>().await {
                    Ok(Some(answer)) => answer.to_owned_message().results,
                    Ok(None) => return Err(broken(&totals, "the daemon ended the stream")),
                    Err(error) => {
                        let failure = server.failure(&error);
                        return Err(Failure { code: failure.code, ..broken(&totals, &failure.says) });
                    }
                },
            };
            if results.len() != wired {
                return Err(broken(&totals, "the daemon answered another number of rows"));
            }
            account(&batch, results, &mut totals, &mut rejects)?;
            let last = batch.last().and_then(|row| row.cells.position());
            let bytes = last.map(csv::Position::byte).unwrap_or_default();
            accounted(&totals, At { bytes, rejected_bytes: rejects.flushed()? });
        }
        Ok(totals)
    };
    // Whichever fails first is the cause; the other only notices.
    let ((), totals) = tokio::try_join!(sending, receiving)?;
    Ok(totals)
}

fn broken(totals: &Totals, why: &str) -> Failure {
    if totals.rows == 0 {
        return Failure::new(Code::Unreachable, why.to_owned());
    }
    Failure::new(Code::Unreachable, format!("{why}, after {} rows had their result", totals.rows))
}

/// Reads the file on a thread of its own: reading blocks.
fn reading<R: Read + Send + 'static>(mut contacts: Contacts<R>) -> mpsc::Receiver<Result<Batch, Failure>> {
    let (read, batches) = mpsc::channel(1);
    tokio::task::spawn_blocking(move || {
        let mut batch = Batch::with_capacity(limits::CSV_BATCH);
        loop {
            let more = match contacts.next() {
                Ok(Some(row)) => {
                    batch.push(row);
                    true
                }
                Ok(None) => false,
                Err(error) => {
                    let _ = read.blocking_send(Err(Failure::input(error)));
                    return;
                }
            };
            let full = batch.len() == limits::CSV_BATCH || (!more && !batch.is_empty());
            // A receiver that has gone wants no more.
            if full && read.blocking_send(Ok(std::mem::take(&mut batch))).is_err() || !more {
                return;
            }
        }
    });
    batches
}

/// The message of a batch; `None` where no row is right.
fn request(into: &Into, batch: &Batch) -> Option<v1::EnrollStreamRequest> {
    let enrolls: Vec<v1::Enroll> = batch.iter().filter_map(|row| row.says.clone().ok()).collect();
    (!enrolls.is_empty()).then(|| v1::EnrollStreamRequest {
        tenant: into.tenant.clone(),
        sequence: into.sequence.clone(),
        enrolls,
        source: v1::Source::Manual.into(),
        ..Default::default()
    })
}

fn account(
    batch: &Batch,
    results: Vec<v1::EnrollResult>,
    totals: &mut Totals,
    rejects: &mut Rejects,
) -> Result<(), Failure> {
    let mut results = results.into_iter();
    let mut refused: HashMap<String, u64> = HashMap::new();
    for row in batch {
        totals.rows += 1;
        let (reason, problem) = match &row.says {
            Err(problem) => ("invalid".to_owned(), problem.clone()),
            Ok(_) => {
                let result = results.next().unwrap_or_default();
                match result.outcome.as_known() {
                    Some(v1::EnrollOutcome::Enrolled) => {
                        totals.enrolled += 1;
                        continue;
                    }
                    Some(v1::EnrollOutcome::AlreadyEnrolled) => {
                        totals.already_enrolled += 1;
                        continue;
                    }
                    Some(v1::EnrollOutcome::Refused | v1::EnrollOutcome::Unspecified) | None => {
                        (result.reason, Problem { column: String::new(), problem: result.problem })
                    }
                }
            }
        };
        totals.rejected += 1;
        rejects.write(row, &reason, &problem)?;
        *refused.entry(reason).or_default() += 1;
    }
    for (reason, more) in refused {
        *totals.reasons.entry(reason).or_default() += more;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &'static str) -> (Batch, Rejects, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let mut contacts = Contacts::open(text.as_bytes()).unwrap();
        let rejects = Rejects::to(folder.path().join("c.csv.rejected.csv"), contacts.columns());
        (std::iter::from_fn(|| contacts.next().unwrap()).collect(), rejects, folder)
    }

    fn result(outcome: v1::EnrollOutcome) -> v1::EnrollResult {
        v1::EnrollResult { outcome: outcome.into(), reason: "paused".into(), ..Default::default() }
    }

    #[test]
    fn every_row_is_accounted_for_and_the_rejected_ones_can_be_mended() {
        let (batch, mut rejects, folder) =
            rows("contact,email\nct-1,a@b.example\nct-2,wrong\nct-3,a@b.example\nct-4,a@b.example\n");
        let results = vec![
            result(v1::EnrollOutcome::Enrolled),
            result(v1::EnrollOutcome::AlreadyEnrolled),
            result(v1::EnrollOutcome::Refused),
        ];
        let mut totals = Totals::default();
        account(&batch, results, &mut totals, &mut rejects).unwrap();
        rejects.flushed().unwrap();
        assert_eq!((totals.rows, totals.enrolled, totals.already_enrolled, totals.rejected), (4, 1, 1, 2));
        assert_eq!(totals.reasons["invalid"], 1);
        let written = std::fs::read_to_string(folder.path().join("c.csv.rejected.csv")).unwrap();
        let lines: Vec<&str> = written.lines().collect();
        assert_eq!(lines[0], "rejected_line,rejected_column,rejected_reason,rejected_problem,contact,email");
        assert!(lines[1].starts_with("3,email,invalid,") && lines[1].ends_with("ct-2,wrong"), "{}", lines[1]);
        assert!(lines[2].starts_with("5,,paused,,ct-4"), "{}", lines[2]);
        let mended = written.replace(",wrong", ",w@b.example");
        let mut again = Contacts::open(mended.as_bytes()).unwrap();
        assert_eq!(again.next().unwrap().unwrap().says.unwrap().profile.email, "w@b.example");
    }

    #[test]
    fn rejected_rows_go_on_where_the_results_ended() {
        let (batch, mut rejects, folder) = rows("contact,email\nct-1,one\nct-2,two\n");
        let path = folder.path().join("c.csv.rejected.csv");
        let contacts = Contacts::open("contact,email\n".as_bytes()).unwrap();
        let (mut totals, first) = (Totals::default(), batch[..1].to_vec());
        account(&first, Vec::new(), &mut totals, &mut rejects).unwrap();
        let bytes = rejects.flushed().unwrap();
        // The run ends after it wrote the second row, and before it noted that.
        account(&batch[1..].to_vec(), Vec::new(), &mut totals, &mut rejects).unwrap();
        drop(rejects);
        let mut again = Rejects::after(path.clone(), contacts.columns(), bytes).unwrap();
        account(&batch[1..].to_vec(), Vec::new(), &mut totals, &mut again).unwrap();
        again.flushed().unwrap();
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(written.lines().count(), 3, "a heading and each row once: {written}");
        assert!(written.contains("ct-1,one") && written.contains("ct-2,two"), "{written}");
    }

    #[test]
    fn a_file_without_wrong_rows_leaves_no_file_behind() {
        let (batch, mut rejects, folder) = rows("contact\nct-1\n");
        let results = vec![result(v1::EnrollOutcome::Enrolled)];
        account(&batch, results, &mut Totals::default(), &mut rejects).unwrap();
        rejects.flushed().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
