//! Lists of enrollments, and what one of them does next, for people.

use buffa_types::google::protobuf::Timestamp;
use clap::Args;

use crate::cli::ask::answer;
use crate::cli::client::Server;
use crate::cli::{Shared, event, pages, time};
use crate::exit::Failure;
use crate::table::{Align, Table};
use followupd_proto::v1;

/// Most enrollments that one call is asked for.
const PAGE: u32 = 500;

/// Which enrollments are listed.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// Those of this contact.
    #[arg(value_name = "CONTACT")]
    contact: Option<String>,
    /// Those through this sequence.
    #[arg(long, value_name = "NAME")]
    sequence: Option<String>,
    /// Those that are `active`, `paused`, `completed`, `exited` or `failed`.
    #[arg(long, value_name = "WORD")]
    state: Option<String>,
    /// Those about this target, such as `charge/ch-1`.
    #[arg(long, value_name = "KIND/ID", value_parser = event::target)]
    target: Option<v1::Target>,
    /// Those that left for this reason, such as `replied`.
    #[arg(long, value_name = "WORD")]
    exit_reason: Option<String>,
    /// Those next looked at from then on, such as `2026-03-01T09:30:00Z`.
    #[arg(long, value_name = "MOMENT", value_parser = time::parse)]
    due_from: Option<Timestamp>,
    /// Those next looked at before then.
    #[arg(long, value_name = "MOMENT", value_parser = time::parse)]
    due_until: Option<Timestamp>,
    /// Those with a send that is `pending`, `uncertain`, `sent`, `delivered`, `read`, `replied`, `skipped` or `failed`.
    #[arg(long, value_name = "WORD")]
    send_status: Option<String>,
    /// Most enrollments.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    most: u32,
}

impl Filter {
    fn message(&self) -> v1::EnrollmentFilter {
        let text = |given: &Option<String>| given.clone().unwrap_or_default();
        v1::EnrollmentFilter {
            sequence: text(&self.sequence),
            state: text(&self.state),
            contact: text(&self.contact),
            target: self.target.clone().into(),
            exit_reason: text(&self.exit_reason),
            due_from: self.due_from.clone().into(),
            due_until: self.due_until.clone().into(),
            send_status: text(&self.send_status),
            ..Default::default()
        }
    }
}

/// Prints a tenant's enrollments, page after page until there are enough.
pub(crate) async fn list(
    shared: &Shared,
    server: &Server,
    tenant: String,
    wanted: &Filter,
) -> Result<(), Failure> {
    let filter = wanted.message();
    let page = async |all: &v1::ListEnrollmentsResponse, page_token| {
        let missing = wanted.most - u32::try_from(all.enrollments.len()).unwrap_or(wanted.most);
        let request = v1::ListEnrollmentsRequest {
            tenant: tenant.clone(),
            filter: filter.clone().into(),
            page_size: missing.min(PAGE),
            page_token,
            ..Default::default()
        };
        answer(server, server.enrollments().list_enrollments(request)).await
    };
    let enough = |all: &v1::ListEnrollmentsResponse| all.enrollments.len() >= wanted.most as usize;
    let all = pages::until(page, enough).await?;
    if !shared.json && all.enrollments.is_empty() {
        eprintln!("no enrollments");
        return Ok(());
    }
    shared.answer(&all, || table(&all.enrollments).to_string())?;
    if !shared.json && !all.next_page_token.is_empty() {
        eprintln!("there are more: give a narrower filter, or --most");
    }
    Ok(())
}

/// Enrollments as a table.
pub(crate) fn table(enrollments: &[v1::Enrollment]) -> Table {
    let columns = [
        "enrollment",
        "sequence",
        "contact",
        "about",
        "state",
        "why",
        "step",
        "next look (UTC)",
        "quarantine",
    ];
    let mut table = Table::new(&columns.map(|title| (title, Align::Left)));
    for one in enrollments {
        let target = one.target.as_option().map(|target| format!("{}/{}", target.kind, target.id));
        let over = one.step_due_at.is_unset();
        table.row([
            one.id.clone(),
            format!("{}, version {}", one.sequence, one.version),
            one.contact.clone(),
            target.unwrap_or_default(),
            one.state.clone(),
            one.reason.clone(),
            if over { String::new() } else { (one.step + 1).to_string() },
            time::utc(one.next_look_at.as_option()),
            one.quarantine.clone(),
        ]);
    }
    table
}

/// An explanation: one line that says it, then all gates.
pub(crate) fn explanation(explained: &v1::ExplainResponse) -> String {
    let step = explained.step.map(|step| format!("step {}: ", step + 1)).unwrap_or_default();
    let via = match explained.channel.as_str() {
        "" => String::new(),
        channel => format!(", through {channel}"),
    };
    let about = if explained.estimated { "about " } else { "" };
    let at = match explained.at.as_option() {
        None => String::new(),
        Some(at) => format!(", {about}{} UTC", time::utc(Some(at))),
    };
    let mut text = format!("{step}{}{via}{at}\n", explained.text);
    if !explained.binding_gate.is_empty() {
        text.push_str(&format!("decided by: {}\n", explained.binding_gate));
    }
    // While its own wait runs, others that are due before it keep it from nothing.
    if explained.ahead > 0 && matches!(explained.binding_gate.as_str(), "line" | "limits") {
        text.push_str(&format!("in line before it: {}\n", explained.ahead));
    }
    if !explained.gates.is_empty() {
        text.push_str(&format!("\n{}", gates(&explained.gates)));
    }
    text
}

fn gates(gates: &[v1::GateState]) -> Table {
    let columns = ["gate", "state", "until (UTC)", "why"].map(|title| (title, Align::Left));
    let mut table = Table::new(&columns);
    for gate in gates {
        let about = if gate.estimated { "about " } else { "" };
        let until = gate.until.as_option().map(|at| format!("{about}{}", time::utc(Some(at))));
        table.row([gate.gate.clone(), gate.state.clone(), until.unwrap_or_default(), gate.text.clone()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_says_what_when_and_why() {
        let gate = v1::GateState {
            gate: "limits".into(),
            state: "until".into(),
            until: Timestamp::from_unix(1_795_435_200, 0).into(),
            estimated: true,
            text: "used up".into(),
            ..Default::default()
        };
        let text = explanation(&v1::ExplainResponse {
            action: "send".into(),
            text: "the step is sent".into(),
            step: Some(0),
            channel: "mail".into(),
            at: Timestamp::from_unix(1_795_435_200, 0).into(),
            estimated: true,
            binding_gate: "limits".into(),
            gates: vec![gate],
            ..Default::default()
        });
        let first =
            "step 1: the step is sent, through mail, about 2026-11-23 12:00:00 UTC\ndecided by: limits\n";
        assert!(text.starts_with(first), "{text}");
        assert!(text.contains("limits  until  about 2026-11-23 12:00:00  used up"), "{text}");
    }
}
