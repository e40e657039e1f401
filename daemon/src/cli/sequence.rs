//! Commands that look at, try and end sequences.

use std::path::PathBuf;

use clap::Args;

use crate::cli::ask::answer;
use crate::cli::client::Server;
use crate::cli::pages::{self, PAGE};
use crate::cli::scope::{held, yaml};
use crate::cli::{Shared, files, time};
use crate::exit::{Code, Failure};
use crate::table::{Align, Table};
use followupd_proto::v1;

/// Whom to preview a sequence for.
#[derive(Debug, Args)]
pub(crate) struct PreviewOptions {
    /// The sequence.
    name: String,
    /// A draft to try, which is not put; `followupd example sequence` prints one.
    #[arg(long, short, value_name = "YAML", conflicts_with = "version")]
    file: Option<PathBuf>,
    /// A version to try; without, the draft that was put last, else the latest version.
    #[arg(long, value_name = "N", default_value_t = 0)]
    version: u32,
    /// The contact, by the platform's id; what is known of them counts.
    #[arg(long, value_name = "ID")]
    contact: String,
    /// Their e-mail address, if it is not known.
    #[arg(long, default_value = "")]
    email: String,
    /// Their phone number, if it is not known, as +491511234567.
    #[arg(long, default_value = "")]
    phone: String,
    /// What to call them, if it is not known.
    #[arg(long = "name", default_value = "", value_name = "NAME")]
    called: String,
    /// What it would be about, such as `charge/ch-1`.
    #[arg(long, value_name = "KIND/ID", value_parser = crate::cli::event::target)]
    target: Option<v1::Target>,
}

/// Prints one sequence.
pub(crate) async fn get(shared: &Shared, sequence: String, version: u32) -> Result<(), Failure> {
    let server = shared.server()?;
    let request =
        v1::GetSequenceRequest { tenant: shared.tenant()?, sequence, version, ..Default::default() };
    let found = answer(&server, server.sequences().get_sequence(request)).await?;
    let one = found.sequence.as_option().cloned().unwrap_or_default();
    let draft = one.draft.as_option().cloned().map(files::Sequence::from);
    let published = found.published.as_option().cloned().map(files::Sequence::from);
    let parts = [("draft".to_owned(), draft), (format!("version {}", found.version), published)];
    let mut text = format!("# sequence {} · {} · revision {}\n", one.name, one.status, one.revision);
    text.push_str(&held(one.held.as_option()));
    for (title, part) in parts {
        if let Some(part) = part {
            text.push_str(&format!("# {title}\n{}", yaml(&part)?));
        }
    }
    shared.answer(&found, || text)
}

/// All sequences of a tenant; with a status those that have it.
pub(crate) async fn all_sequences(
    server: &Server,
    tenant: &str,
    status: &str,
) -> Result<v1::ListSequencesResponse, Failure> {
    let page = async |page_token| {
        let (tenant, status, page_size) = (tenant.to_owned(), status.to_owned(), PAGE);
        let request =
            v1::ListSequencesRequest { tenant, status, page_size, page_token, ..Default::default() };
        answer(server, server.sequences().list_sequences(request)).await
    };
    pages::all(page).await
}

/// Prints all of a tenant.
pub(crate) async fn list(shared: &Shared, status: String) -> Result<(), Failure> {
    let all = all_sequences(&shared.server()?, &shared.tenant()?, &status).await?;
    shared.answer(&all, || {
        let left = |title| (title, Align::Left);
        let right = |title| (title, Align::Right);
        let columns =
            [left("name"), left("status"), right("version"), left("draft"), right("revision"), left("why")];
        let mut table = Table::new(&columns);
        for one in &all.sequences {
            let version = Some(one.latest_version).filter(|version| *version > 0);
            table.row([
                one.name.clone(),
                one.status.clone(),
                version.map(|version| version.to_string()).unwrap_or_default(),
                if one.has_draft { "yes".to_owned() } else { String::new() },
                one.revision.to_string(),
                one.held.as_option().map(|held| held.reason.clone()).unwrap_or_default(),
            ]);
        }
        table.to_string()
    })
}

/// Says what is wrong with a draft.
pub(crate) async fn validate(shared: &Shared, name: String, file: Option<PathBuf>) -> Result<(), Failure> {
    let draft = file.map(|file| files::read::<files::Sequence>(&file)).transpose()?.map(v1::Draft::from);
    let server = shared.server()?;
    let request = v1::ValidateSequenceRequest {
        tenant: shared.tenant()?,
        sequence: name.clone(),
        draft: draft.into(),
        ..Default::default()
    };
    let found = answer(&server, server.sequences().validate_sequence(request)).await?;
    let line = |kind: &str, one: &v1::Finding| format!("{kind} {}: {}\n", one.field, one.problem);
    shared.answer(&found, || {
        let faults = found.faults.iter().map(|one| line("fault  ", one));
        let lines: String = faults.chain(found.warnings.iter().map(|one| line("warning", one))).collect();
        if lines.is_empty() { format!("sequence {name} can be published") } else { lines }
    })?;
    match found.faults.len() {
        0 => Ok(()),
        faults => Err(Failure::new(Code::Refused, format!("sequence {name} has {faults} faults"))),
    }
}

/// Says, beside the answer, what of a draft that was put is probably not meant.
pub(crate) async fn warn(server: &Server, tenant: &str, sequence: &str) {
    let (tenant, sequence) = (tenant.to_owned(), sequence.to_owned());
    let request = v1::ValidateSequenceRequest { tenant, sequence, ..Default::default() };
    // It is put, whether or not anything more can be said of it.
    let Ok(found) = answer(server, server.sequences().validate_sequence(request)).await else { return };
    for one in &found.warnings {
        eprintln!("warning {}: {}", one.field, one.problem);
    }
}

/// Shows what a contact would get.
pub(crate) async fn preview(shared: &Shared, options: PreviewOptions) -> Result<(), Failure> {
    let draft =
        options.file.map(|file| files::read::<files::Sequence>(&file)).transpose()?.map(v1::Draft::from);
    let profile = v1::Profile {
        name: options.called,
        email: options.email,
        phone: options.phone,
        ..Default::default()
    };
    let enroll = v1::Enroll {
        contact: options.contact,
        profile: profile.into(),
        target: options.target.into(),
        ..Default::default()
    };
    let server = shared.server()?;
    let request = v1::PreviewSequenceRequest {
        tenant: shared.tenant()?,
        sequence: options.name,
        draft: draft.into(),
        version: options.version,
        enroll: enroll.into(),
        ..Default::default()
    };
    let found = answer(&server, server.sequences().preview_sequence(request)).await?;
    shared.answer(&found, || found.steps.iter().map(step).collect())
}

fn step(step: &v1::PreviewedStep) -> String {
    let at = time::utc(step.at.as_option());
    let held = match step.held_by.as_str() {
        "" => String::new(),
        by => format!(" · the {by} is held: not before it is released"),
    };
    let why = if step.reason.is_empty() { String::new() } else { format!(": {}", step.reason) };
    let head = format!("{}. {at} UTC · {} · {}{why}{held}\n", step.step + 1, step.channel, step.becomes);
    let subject = if step.subject.is_empty() { String::new() } else { format!("   {}\n", step.subject) };
    let body: String = step.body.lines().map(|line| format!("   {line}\n")).collect();
    format!("{head}{subject}{body}")
}

/// Pauses a sequence.
pub(crate) async fn pause(shared: &Shared, sequence: String, reason: String) -> Result<(), Failure> {
    let server = shared.server()?;
    let (tenant, name) = (shared.tenant()?, sequence.clone());
    let request = v1::PauseSequenceRequest { tenant, sequence, reason, ..Default::default() };
    let paused = answer(&server, server.sequences().pause_sequence(request)).await?;
    shared.answer(&paused, || format!("sequence {name} is paused: nobody is enrolled and nothing is sent"))
}

/// Lets a paused sequence go on.
pub(crate) async fn resume(shared: &Shared, sequence: String) -> Result<(), Failure> {
    let server = shared.server()?;
    let (tenant, name) = (shared.tenant()?, sequence.clone());
    let request = v1::ActivateSequenceRequest { tenant, sequence, ..Default::default() };
    let active = answer(&server, server.sequences().activate_sequence(request)).await?;
    shared.answer(&active, || format!("sequence {name} goes on: waits are pushed back by its pause"))
}

/// Archives a sequence.
pub(crate) async fn archive(shared: &Shared, sequence: String) -> Result<(), Failure> {
    let server = shared.server()?;
    let (tenant, name) = (shared.tenant()?, sequence.clone());
    let request = v1::ArchiveSequenceRequest { tenant, sequence, ..Default::default() };
    let archived = answer(&server, server.sequences().archive_sequence(request)).await?;
    shared.answer(&archived, || {
        format!(
            "sequence {name} is archived: whoever is in it exits, `followupd funnel {name}` counts those left"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_shows_when_what_and_why_not() {
        let sent = v1::PreviewedStep {
            channel: "mail".into(),
            becomes: "sent".into(),
            subject: "Hello".into(),
            body: "Dear Ana\nbye".into(),
            ..Default::default()
        };
        assert_eq!(step(&sent), "1.  UTC · mail · sent\n   Hello\n   Dear Ana\n   bye\n");
        let failed = v1::PreviewedStep {
            step: 1,
            becomes: "failed".into(),
            reason: "no_address".into(),
            held_by: "tenant".into(),
            ..Default::default()
        };
        assert!(step(&failed).contains("failed: no_address · the tenant is held"), "{}", step(&failed));
    }
}
