//! What the demo says before and after, and its result for programs.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::cli;
use crate::cli::upload::Totals;
use crate::demo::play::Played;
use crate::demo::{End, SEQUENCE, TENANT};
use crate::table::{count, thousands};
use followupd_proto::v1;

/// The result for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report<'a> {
    funnel: &'a v1::GetFunnelResponse,
    upload: &'a Totals,
    played: &'a Played,
    all_ended: bool,
    outbox: String,
    rejected_rows: String,
}

impl End {
    /// The result for programs.
    pub(super) fn report(&self, folder: &Path) -> Report<'_> {
        Report {
            funnel: &self.funnel,
            upload: &self.upload,
            played: &self.played,
            all_ended: self.all_ended,
            outbox: folder.join("outbox").display().to_string(),
            rejected_rows: folder.join("contacts.rejected.csv").display().to_string(),
        }
    }
}

/// What runs where.
pub(super) fn opening(address: SocketAddr, folder: &Path) -> String {
    format!(
        "followupd demo: about half a minute\n\n\
         \x20 daemon    http://{address}\n\
         \x20 folder    {}\n\
         \x20 sequence  {SEQUENCE}: three mails, some seconds apart, until the charge is paid or the contact replies\n\n",
        folder.display(),
    )
}

/// What became of the contact file.
pub(super) fn enrolled(totals: &Totals) -> String {
    format!(
        "{} of contacts over one stream: {} enrolled, {} twice in the file, {} broken and set aside\n\n",
        count(totals.rows, "row", "rows"),
        thousands(totals.enrolled),
        thousands(totals.already_enrolled),
        thousands(totals.rejected),
    )
}

/// The funnel.
pub(super) fn funnel(funnel: &v1::GetFunnelResponse) -> String {
    cli::funnel::render(funnel)
}

/// Where everything lies, and how to look at it.
pub(super) fn closing(end: &End, folder: &Path, took: Duration) -> String {
    let mails: u32 =
        end.funnel.versions.iter().flat_map(|version| &version.steps).map(|step| step.accepted).sum();
    let played: u64 = end.played.events.values().sum();
    let outbox = folder.join("outbox");
    let in_flight = match end.played.in_flight {
        0 => String::new(),
        mails => format!(", {mails} of them with a mail already on its way"),
    };
    format!(
        "\n{played} events played: {exited} enrollments left by them{in_flight}. {seconds} s in all.\n\n\
         \x20 mails     {mails} in {outbox}/new, a Maildir with one file for each\n\
         \x20 read one  cat \"$(ls -d {outbox}/new/* | head -n 1)\"\n\
         \x20 rejected  {rejected}\n\
         \x20 look on   followupd serve --store {store} --outbox {outbox}\n\
         \x20           followupd --tenant {TENANT} enrollment list ct-0003\n\
         \x20 tidy up   rm -r {folder}\n",
        mails = thousands(mails.into()),
        exited = end.played.exited,
        seconds = took.as_secs(),
        outbox = outbox.display(),
        rejected = folder.join("contacts.rejected.csv").display(),
        store = folder.join("store").display(),
        folder = folder.display(),
    )
}
