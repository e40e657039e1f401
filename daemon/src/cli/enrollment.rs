//! Commands of single enrollments.

use clap::{Args, Subcommand};

use crate::cli::ask::answer;
use crate::cli::client::Server;
use crate::cli::pages::{self, PAGE};
use crate::cli::{Shared, listing, time};
use crate::exit::Failure;
use crate::table::{Align, Table};
use followupd_proto::v1;

/// Commands of enrollments.
#[derive(Debug, Subcommand)]
pub(crate) enum EnrollmentCommand {
    /// One enrollment as it is.
    Show(Id),
    /// One enrollment and all that happened to it.
    Timeline(Id),
    /// The tenant's enrollments, or those that pass a filter.
    List(Box<listing::Filter>),
    /// What one does next, when, and what keeps it from doing it now.
    Explain(Id),
    /// Take one out.
    Exit(Id),
    /// Pause one; it keeps the rest of its wait.
    Pause(Id),
    /// Let a paused one go on.
    Resume(Id),
    /// Let a quarantined one go on.
    Release(Id),
    /// Those that kept failing and wait for a person.
    Quarantined,
}

/// Names one enrollment.
#[derive(Debug, Args)]
pub(crate) struct Id {
    /// `enr_…`
    #[arg(value_name = "ENROLLMENT")]
    id: String,
}

/// Does it.
pub(crate) async fn run(shared: &Shared, command: EnrollmentCommand) -> Result<(), Failure> {
    let (server, tenant) = (shared.server()?, shared.tenant()?);
    let asked = server.enrollments();
    match command {
        EnrollmentCommand::Show(Id { id: enrollment_id }) => {
            let request = v1::GetEnrollmentRequest { tenant, enrollment_id, ..Default::default() };
            let found = answer(&server, asked.get_enrollment(request)).await?;
            shared.answer(&found, || show(&found.enrollment))
        }
        EnrollmentCommand::Timeline(Id { id: enrollment_id }) => {
            let request = v1::GetTimelineRequest { tenant, enrollment_id, ..Default::default() };
            let found = answer(&server, asked.get_timeline(request)).await?;
            shared.answer(&found, || format!("{}\n{}", show(&found.enrollment), timeline(&found.entries)))
        }
        EnrollmentCommand::List(filter) => listing::list(shared, &server, tenant, &filter).await,
        EnrollmentCommand::Explain(Id { id: enrollment_id }) => {
            let request = v1::ExplainRequest { tenant, enrollment_id, ..Default::default() };
            let found = answer(&server, asked.explain(request)).await?;
            shared.answer(&found, || listing::explanation(&found))
        }
        EnrollmentCommand::Quarantined => quarantined(shared, &server, tenant).await,
        EnrollmentCommand::Exit(Id { id: enrollment_id }) => {
            let request = v1::ExitRequest { tenant, enrollment_id, ..Default::default() };
            let done = answer(&server, asked.exit(request)).await?;
            shared.answer(&done, || changed(&done.change))
        }
        EnrollmentCommand::Pause(Id { id: enrollment_id }) => {
            let request = v1::PauseRequest { tenant, enrollment_id, ..Default::default() };
            let done = answer(&server, asked.pause(request)).await?;
            shared.answer(&done, || changed(&done.change))
        }
        EnrollmentCommand::Resume(Id { id: enrollment_id }) => {
            let request = v1::ResumeRequest { tenant, enrollment_id, ..Default::default() };
            let done = answer(&server, asked.resume(request)).await?;
            shared.answer(&done, || changed(&done.change))
        }
        EnrollmentCommand::Release(Id { id: enrollment_id }) => {
            let request = v1::ReleaseQuarantineRequest { tenant, enrollment_id, ..Default::default() };
            let done = answer(&server, asked.release_quarantine(request)).await?;
            shared.answer(&done, || changed(&done.change))
        }
    }
}

/// Prints those in quarantine, page after page.
async fn quarantined(shared: &Shared, server: &Server, tenant: String) -> Result<(), Failure> {
    let page = async |page_token| {
        let (tenant, page_size) = (tenant.clone(), PAGE);
        let request = v1::ListQuarantinedRequest { tenant, page_size, page_token, ..Default::default() };
        answer(server, server.enrollments().list_quarantined(request)).await
    };
    let all = pages::all(page).await?;
    listed(shared, &all, &all.enrollment_ids, "none is quarantined")
}

/// Ids on stdout; that there are none is said on stderr, so that a pipe gets nothing.
fn listed(shared: &Shared, all: &impl serde::Serialize, ids: &[String], none: &str) -> Result<(), Failure> {
    if ids.is_empty() && !shared.json {
        eprintln!("{none}");
        return Ok(());
    }
    shared.answer(all, || ids.join("\n"))
}

fn changed(change: &v1::Change) -> String {
    let now = &change.enrollment;
    let verb = if change.changed { "is" } else { "was already" };
    let mut text = format!("{} {verb} {}", now.id, state(now));
    if !change.in_flight_send_id.is_empty() {
        text.push_str(&format!("\n{} had begun before and ends by itself", change.in_flight_send_id));
    }
    text
}

fn state(enrollment: &v1::Enrollment) -> String {
    match enrollment.reason.as_str() {
        "" => enrollment.state.clone(),
        reason => format!("{} ({reason})", enrollment.state),
    }
}

fn show(enrollment: &v1::Enrollment) -> String {
    let target = enrollment.target.as_option().map(|target| format!("{}/{}", target.kind, target.id));
    let over = enrollment.step_due_at.is_unset();
    let lines = [
        ("enrollment", enrollment.id.clone()),
        ("sequence", format!("{}, version {}", enrollment.sequence, enrollment.version)),
        ("contact", enrollment.contact.clone()),
        ("about", target.unwrap_or_default()),
        ("state", state(enrollment)),
        ("quarantine", enrollment.quarantine.clone()),
        ("enrolled", time::utc(enrollment.enrolled_at.as_option())),
        ("next step", if over { String::new() } else { format!("{}", enrollment.step + 1) }),
        ("due", time::utc(enrollment.step_due_at.as_option())),
        ("next look", time::utc(enrollment.next_look_at.as_option())),
        ("in flight", enrollment.in_flight_send_id.clone()),
    ];
    let mut text = String::new();
    for (label, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
        text.push_str(&format!("{label:<12}{value}\n"));
    }
    if !enrollment.sends.is_empty() {
        text.push_str(&format!("\n{}", sends(&enrollment.sends)));
    }
    text
}

fn sends(sends: &[v1::SendRecord]) -> Table {
    let columns = ["step", "status", "why", "channel", "at (UTC)", "send"].map(|title| (title, Align::Left));
    let mut table = Table::new(&columns);
    for send in sends {
        let step = (send.step + 1).to_string();
        let at = time::utc(send.at.as_option());
        table.row([
            step,
            send.status.clone(),
            send.reason.clone(),
            send.channel.clone(),
            at,
            send.send_id.clone(),
        ]);
    }
    table
}

fn timeline(entries: &[v1::TimelineEntry]) -> Table {
    let columns = ["at (UTC)", "what", "step", "details", "trace"].map(|title| (title, Align::Left));
    let mut table = Table::new(&columns);
    for entry in entries {
        let step = entry.step.map(|step| (step + 1).to_string()).unwrap_or_default();
        let at = time::utc_millis(entry.at.as_option());
        table.row([at, entry.kind.clone(), step, details(entry), entry.trace_id.clone()]);
    }
    table
}

fn details(entry: &v1::TimelineEntry) -> String {
    let attempt = if entry.attempt > 1 { format!("attempt {}", entry.attempt) } else { String::new() };
    let due = time::utc(entry.due_at.as_option());
    let look = time::utc(entry.next_look_at.as_option());
    let known = String::new();
    let parts = [
        ("", &entry.status),
        ("", &entry.reason),
        ("gate ", &entry.gate),
        ("by ", &entry.by),
        ("via ", &entry.channel),
        ("due ", &due),
        ("next look ", if look == due { &known } else { &look }),
        ("", &attempt),
        ("", &entry.send_id),
    ];
    let mut said: Vec<String> = Vec::new();
    for (label, value) in parts.into_iter().filter(|(_, value)| !value.is_empty()) {
        let part = format!("{label}{value}");
        if !said.contains(&part) {
            said.push(part);
        }
    }
    said.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_takes_no_line() {
        let enrollment = v1::Enrollment {
            id: "enr_1".into(),
            sequence: "welcome".into(),
            version: 1,
            contact: "ana".into(),
            state: "exited".into(),
            reason: "replied".into(),
            ..Default::default()
        };
        let text = show(&enrollment);
        assert!(text.contains("state       exited (replied)"), "{text}");
        assert!(!text.contains("next step") && !text.contains("about"), "{text}");
    }

    #[test]
    fn what_was_received_has_no_next_look() {
        let entry =
            v1::TimelineEntry { kind: "received".into(), status: "replied".into(), ..Default::default() };
        assert_eq!(details(&entry), "replied");
    }

    #[test]
    fn details_say_only_what_the_line_has() {
        let entry = v1::TimelineEntry {
            kind: "intended".into(),
            channel: "mail".into(),
            attempt: 1,
            send_id: "snd_1".into(),
            ..Default::default()
        };
        assert_eq!(details(&entry), "via mail · snd_1");
    }
}
