//! Enrolling a file: looked at as a whole first, then row by row, with a mark to go on from.

use std::path::Path;

use crate::cli::Shared;
use crate::cli::enroll::bar::Bar;
use crate::cli::enroll::mark::{Kept, Mark, beside};
use crate::cli::enroll::source::Source;
use crate::cli::upload::{self, Into, Rejects, Totals};
use crate::contacts::Contacts;
use crate::exit::{Code, Failure};
use crate::table::{count, thousands};

/// Enrolls a file.
///
/// # Errors
/// It is wrong as a whole, and nothing was enrolled; the daemon ended the upload; or rows were rejected, which has a
/// code of its own.
pub(super) async fn run(shared: &Shared, sequence: String, path: &Path, resume: bool) -> Result<(), Failure> {
    let (server, into) = (shared.server()?, Into { tenant: shared.tenant()?, sequence });
    let source = Source::open(path)?;
    let wrong = |error: String| Failure::input(format!("{}: {error}", source.name));
    let mut bar = Bar::over(source.bytes);
    let surveyed =
        Contacts::open(source.read()).and_then(|contacts| contacts.survey(|bytes| bar.looks(bytes)));
    bar.ends();
    let rows = surveyed.map_err(wrong)?;
    let mut contacts = Contacts::open(source.read()).map_err(wrong)?;
    for (given, near) in contacts.columns().doubtful() {
        eprintln!(
            "{}: column {given:?} is taken as a value for templates; did you mean {near:?}?",
            source.name
        );
    }
    let begun = Mark::of(&source, &shared.server, &into)?;
    let place = source.path.as_deref().map(|path| beside(path, ".progress"));
    let mark = if resume { going_on(&source, &begun, place.as_deref())? } else { begun };
    let rejected = beside(source.path.as_deref().unwrap_or(Path::new("stdin")), ".rejected.csv");
    let rejects = Rejects::after(rejected.clone(), contacts.columns(), mark.rejected_bytes)?;
    let so_far = mark.totals.clone();
    contacts.skip(so_far.rows).map_err(wrong)?;
    let mut kept = Kept::at(place, mark);
    let done = upload::run(&server, into, contacts, rejects, so_far, |totals, at| {
        bar.moves(totals, at.bytes);
        kept.moves(totals, at.rejected_bytes);
    });
    let done = done.await;
    bar.ends();
    let totals = match done {
        Ok(totals) => totals,
        Err(failure) => {
            let advice = match kept.path() {
                Some(_) => "the same command with --resume goes on from there",
                None => "give the same command again: what is enrolled is recognised",
            };
            return Err(Failure { says: format!("{failure}; {advice}"), ..failure });
        }
    };
    kept.ends();
    if totals.rows != rows {
        let says =
            format!("{}: {} of {rows} rows were read: it was changed meanwhile", source.name, totals.rows);
        return Err(Failure::other(says));
    }
    ended(shared, &totals, &rejected)
}

/// Where an earlier run came to; the beginning, where there was none.
fn going_on(source: &Source, begun: &Mark, place: Option<&Path>) -> Result<Mark, Failure> {
    let Some(place) = place else {
        let says = format!("--resume needs a file: what came through {} is gone", source.name);
        return Err(Failure::input(says));
    };
    match begun.left(place)? {
        Some(left) => {
            eprintln!("{}: goes on after {}", source.name, count(left.totals.rows, "row", "rows"));
            Ok(left)
        }
        None => {
            eprintln!("{}: there is no {}: begins with the first row", source.name, place.display());
            Ok(begun.clone())
        }
    }
}

fn ended(shared: &Shared, totals: &Totals, rejected: &Path) -> Result<(), Failure> {
    shared.answer(totals, || line(totals))?;
    if totals.rejected == 0 {
        return Ok(());
    }
    let rows = count(totals.rejected, "row was", "rows were");
    let says =
        format!("{rows} rejected: {} says which and why; enroll it again once mended", rejected.display());
    Err(Failure::new(Code::Rejected, says))
}

fn line(totals: &Totals) -> String {
    format!(
        "{}: {} enrolled, {} enrolled already, {} rejected",
        count(totals.rows, "row", "rows"),
        thousands(totals.enrolled),
        thousands(totals.already_enrolled),
        thousands(totals.rejected)
    )
}
