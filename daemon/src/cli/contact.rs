//! Commands of contacts.

use clap::{Args, Subcommand};

use crate::cli::ask::answer;
use crate::cli::client::Server;
use crate::cli::{self, Shared, pages, time};
use crate::exit::Failure;
use crate::table::{Align, Table};
use followupd_proto::v1;

/// Commands of contacts.
#[derive(Debug, Subcommand)]
pub(crate) enum ContactCommand {
    /// What is known of one contact.
    Show(Id),
    /// Send nothing more to a contact, or to an address whoever has it.
    Suppress {
        #[command(flatten)]
        whom: Whom,
        /// Why, for whoever finds it suppressed.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Lift a suppression.
    Lift(Whom),
    /// Print everything that is known of a contact as one JSON document.
    Export(Id),
    /// Erase a contact for good; it is not written to again.
    Erase {
        #[command(flatten)]
        id: Id,
        /// Do it: what is erased does not come back.
        #[arg(long, required = true)]
        yes: bool,
    },
}

/// Names one contact.
#[derive(Debug, Args)]
pub(crate) struct Id {
    /// The platform's id of the contact.
    #[arg(value_name = "CONTACT")]
    contact: String,
}

/// Names a contact or an address, and a kind of channel.
#[derive(Debug, Args)]
pub(crate) struct Whom {
    /// The platform's id of the contact.
    #[arg(value_name = "CONTACT", required_unless_present = "address", conflicts_with = "address")]
    contact: Option<String>,
    /// An e-mail address or phone number instead, whoever has it.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// The kind of channel: `email`, `whatsapp`, `sms`, `conversation` or `webhook`; without, every one that reaches it.
    #[arg(long, value_name = "KIND", default_value = "")]
    kind: String,
}

impl Whom {
    fn text(&self) -> String {
        let whom = self.contact.as_deref().or(self.address.as_deref()).unwrap_or_default();
        let kind = if self.kind.is_empty() { "every kind of channel" } else { &self.kind };
        format!("{whom}, {kind}")
    }
}

/// Does it.
pub(crate) async fn run(shared: &Shared, command: ContactCommand) -> Result<(), Failure> {
    let (server, tenant) = (shared.server()?, shared.tenant()?);
    let asked = server.contacts();
    match command {
        ContactCommand::Show(Id { contact }) => {
            let request = v1::GetContactRequest { tenant, contact, ..Default::default() };
            let found = answer(&server, asked.get_contact(request)).await?;
            shared.answer(&found, || show(&found.contact))
        }
        ContactCommand::Suppress { whom, reason } => {
            let text = whom.text();
            let request = v1::SuppressRequest {
                tenant,
                contact: whom.contact.unwrap_or_default(),
                address: whom.address.unwrap_or_default(),
                kind: whom.kind,
                reason,
                ..Default::default()
            };
            let done = answer(&server, asked.suppress(request)).await?;
            shared.answer(&done, || suppressed(&text, &done))
        }
        ContactCommand::Lift(whom) => {
            let text = whom.text();
            let request = v1::LiftRequest {
                tenant,
                contact: whom.contact.unwrap_or_default(),
                address: whom.address.unwrap_or_default(),
                kind: whom.kind,
                ..Default::default()
            };
            let done = answer(&server, asked.lift(request)).await?;
            let verb = if done.changed { "is lifted" } else { "was not suppressed" };
            shared.answer(&done, || format!("{text}: {verb}"))
        }
        ContactCommand::Export(Id { contact }) => export(&server, tenant, contact).await,
        ContactCommand::Erase { id: Id { contact }, yes: _ } => {
            let request = v1::EraseRequest { tenant, contact, ..Default::default() };
            let done = answer(&server, asked.erase(request)).await?;
            shared.answer(&done, || {
                let in_flight = done.in_flight_send_ids.iter();
                let in_flight = in_flight.map(|send| format!("\n{send} had begun before and ends by itself"));
                let count = done.enrollments;
                format!(
                    "erased; {} stands in {count} enrollments{}",
                    done.pseudonym,
                    in_flight.collect::<String>()
                )
            })
        }
    }
}

/// Prints all pages as one document.
async fn export(server: &Server, tenant: String, contact: String) -> Result<(), Failure> {
    let page = async |page_token| {
        let (tenant, contact) = (tenant.clone(), contact.clone());
        let request = v1::ExportContactRequest { tenant, contact, page_token, ..Default::default() };
        answer(server, server.contacts().export_contact(request)).await
    };
    let all = pages::all(page).await?;
    cli::print(&cli::json(&all)?)
}

fn suppressed(whom: &str, done: &v1::SuppressResponse) -> String {
    let mut lines = vec![format!("{whom}: suppressed")];
    lines.extend(done.exited_enrollment_ids.iter().map(|id| format!("{id} has left")));
    let in_flight = done.in_flight_send_ids.iter();
    lines.extend(in_flight.map(|send| format!("{send} had begun before and ends by itself")));
    lines.join("\n")
}

fn show(contact: &v1::Contact) -> String {
    let profile = &contact.profile;
    let mut attributes: Vec<String> =
        profile.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
    attributes.sort();
    let unusable = contact.unusable.iter();
    let unusable = unusable.map(|one| format!("by {} until {}", one.kind, time::utc(one.until.as_option())));
    let lines = [
        ("contact", contact.id.clone()),
        ("name", profile.name.clone()),
        ("e-mail", profile.email.clone()),
        ("phone", profile.phone.clone()),
        ("time zone", profile.time_zone.clone()),
        ("attributes", attributes.join(", ")),
        ("last wrote", time::utc(contact.last_inbound_at.as_option())),
        ("unreachable", unusable.collect::<Vec<_>>().join(", ")),
        ("audit log", contact.pseudonym.clone()),
    ];
    let mut text = String::new();
    for (label, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
        text.push_str(&format!("{label:<12}{value}\n"));
    }
    if !contact.suppressions.is_empty() {
        text.push_str(&format!("\n{}", suppressions(&contact.suppressions)));
    }
    if !contact.enrollments.is_empty() {
        text.push_str(&format!("\n{}", enrollments(&contact.enrollments)));
    }
    text
}

fn suppressions(all: &[v1::Suppression]) -> Table {
    let columns = ["suppressed", "since (UTC)", "why", "by", "reason", "whose"];
    let mut table = Table::new(&columns.map(|title| (title, Align::Left)));
    for one in all {
        table.row([
            one.kind.clone(),
            time::utc(one.since.as_option()),
            one.why.clone(),
            one.by.clone(),
            one.reason.clone(),
            if one.by_address { "the address's".to_owned() } else { String::new() },
        ]);
    }
    table
}

fn enrollments(all: &[v1::ContactEnrollment]) -> Table {
    let columns = ["enrollment", "sequence", "about", "ended (UTC)"].map(|title| (title, Align::Left));
    let mut table = Table::new(&columns);
    for one in all {
        let target = one.target.as_option().map(|target| format!("{}/{}", target.kind, target.id));
        let ended = time::utc(one.ended_at.as_option());
        table.row([one.enrollment_id.clone(), one.sequence.clone(), target.unwrap_or_default(), ended]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_shows_what_is_known_and_what_is_suppressed() {
        let profile = v1::Profile { email: "ana@mail.example".into(), ..Default::default() };
        let suppression = v1::Suppression { kind: "sms".into(), by_address: true, ..Default::default() };
        let text = show(&v1::Contact {
            id: "ana".into(),
            profile: profile.into(),
            suppressions: vec![suppression],
            ..Default::default()
        });
        assert!(text.starts_with("contact     ana\ne-mail      ana@mail.example\n"), "{text}");
        assert!(text.contains("sms         the address's") && !text.contains("phone"), "{text}");
    }
}
