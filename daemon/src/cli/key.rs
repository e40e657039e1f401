//! Commands of access keys, and the log of what was done with them.

use clap::{Subcommand, ValueEnum};

use crate::cli::ask::answer;
use crate::cli::{Shared, time};
use crate::exit::Failure;
use crate::limits;
use crate::table::{Align, Table};
use followupd_proto::v1;

/// Commands of access keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key and print it; it is shown this once. With --tenant it is for that tenant only.
    Create {
        /// What its holder is called.
        name: String,
        /// What it may do; give it more than once for more.
        #[arg(long, required = true)]
        role: Vec<Role>,
        /// Days it is good for; without, until it is revoked.
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=limits::KEY_DAYS))]
        days: Option<u32>,
    },
    /// The keys there are, without their secrets.
    List,
    /// Take a key away.
    Revoke {
        /// Its name.
        name: String,
    },
}

/// What a key may do.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Role {
    /// Looks at everything.
    Reader,
    /// Enrolls and sends events.
    Sender,
    /// Approves, edits and discards drafts.
    Reviewer,
    /// Everything, settings and keys among it.
    Operator,
}

impl From<Role> for v1::Role {
    fn from(role: Role) -> v1::Role {
        match role {
            Role::Reader => v1::Role::Reader,
            Role::Sender => v1::Role::Sender,
            Role::Reviewer => v1::Role::Reviewer,
            Role::Operator => v1::Role::Operator,
        }
    }
}

/// Does it.
pub(crate) async fn run(shared: &Shared, command: KeyCommand) -> Result<(), Failure> {
    let server = shared.server()?;
    match command {
        KeyCommand::Create { name, role, days } => {
            const DAY: u64 = 86_400;
            let expires_after = days.map(|days| std::time::Duration::from_secs(u64::from(days) * DAY).into());
            let request = v1::CreateKeyRequest {
                name,
                key_tenant: shared.tenant.clone().unwrap_or_default(),
                roles: role.into_iter().map(|role| v1::Role::from(role).into()).collect(),
                expires_after: expires_after.into(),
                ..Default::default()
            };
            let made = answer(&server, server.access().create_key(request)).await?;
            shared.answer(&made, || made.text.clone())
        }
        KeyCommand::List => {
            let found = answer(&server, server.access().list_keys(v1::ListKeysRequest::default())).await?;
            shared.answer(&found, || table(&found.keys).to_string())
        }
        KeyCommand::Revoke { name } => {
            let request = v1::RevokeKeyRequest { name: name.clone(), ..Default::default() };
            let gone = answer(&server, server.access().revoke_key(request)).await?;
            shared.answer(&gone, || format!("key {name} is revoked"))
        }
    }
}

/// Prints who changed what.
pub(crate) async fn audit(shared: &Shared, most: u32) -> Result<(), Failure> {
    let server = shared.server()?;
    let tenant = shared.tenant.clone().unwrap_or_default();
    let request = v1::ListAuditRequest { tenant, page_size: most, ..Default::default() };
    let found = answer(&server, server.access().list_audit(request)).await?;
    shared.answer(&found, || {
        let left = |title| (title, Align::Left);
        let mut table = Table::new(&[left("AT (UTC)"), left("WHO"), left("DID"), left("TO"), left("TRACE")]);
        for entry in &found.entries {
            let at = time::utc_millis(entry.at.as_option());
            table.row([at, entry.by.clone(), entry.act.clone(), entry.what.clone(), entry.trace_id.clone()]);
        }
        table.to_string()
    })
}

fn table(keys: &[v1::AccessKey]) -> Table {
    let left = |title| (title, Align::Left);
    let mut table =
        Table::new(&[left("NAME"), left("TENANT"), left("ROLES"), left("MADE (UTC)"), left("EXPIRES (UTC)")]);
    for key in keys {
        let word = |role: &buffa::EnumValue<v1::Role>| match role.as_known() {
            Some(v1::Role::Reader) => "reader",
            Some(v1::Role::Sender) => "sender",
            Some(v1::Role::Reviewer) => "reviewer",
            Some(v1::Role::Operator) => "operator",
            Some(v1::Role::Unspecified) | None => "unknown",
        };
        let roles: Vec<&str> = key.roles.iter().map(word).collect();
        let tenant = if key.key_tenant.is_empty() { "all" } else { &key.key_tenant };
        table.row([
            key.name.clone(),
            tenant.to_owned(),
            roles.join(", "),
            time::utc(key.made_at.as_option()),
            time::utc(key.expires_at.as_option()),
        ]);
    }
    table
}
