//! Commands that put tenants, channels and sequences, and those that hold and release them.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use followupd_domain::channel::Transport;

use crate::cli::ask::answer;
use crate::cli::{Shared, files, scope, sequence};
use crate::exit::Failure;
use followupd_proto::v1;

/// Commands of tenants.
#[derive(Debug, Subcommand)]
pub(crate) enum TenantCommand {
    /// Make a tenant or replace its settings.
    Put {
        /// Its name.
        name: String,
        /// Its settings; `followupd example tenant` prints some.
        #[arg(long, short, value_name = "YAML")]
        file: PathBuf,
    },
    /// Print a tenant's settings, as the file that puts them.
    Get {
        /// Its name.
        name: String,
    },
    /// The tenants there are for this key.
    List,
    /// Delete a tenant with everything of it, the access keys that are for it alone among that.
    Delete {
        /// Its name.
        name: String,
        /// Do it: what is deleted does not come back.
        #[arg(long, required = true)]
        yes: bool,
    },
}

/// Commands of channels.
#[derive(Debug, Subcommand)]
pub(crate) enum ChannelCommand {
    /// Make a channel or replace its settings.
    Put {
        /// Its name.
        name: String,
        /// Its settings; `followupd example channel` prints some.
        #[arg(long, short, value_name = "YAML")]
        file: PathBuf,
    },
    /// Print what waits to leave by a channel, and its settings, as the file that puts them, but for what is secret of
    /// them.
    #[command(visible_alias = "show")]
    Get {
        /// Its name.
        name: String,
    },
    /// The channels of the tenant, with their pace.
    List,
}

/// Commands of sequences.
#[derive(Debug, Subcommand)]
pub(crate) enum SequenceCommand {
    /// Make a sequence or replace its draft.
    Put {
        /// Its name.
        name: String,
        /// The sequence; `followupd example sequence` prints one.
        #[arg(long, short, value_name = "YAML")]
        file: PathBuf,
        /// Publish it at once.
        #[arg(long)]
        publish: bool,
    },
    /// Make a version of the draft, on which enrollments start from now on.
    Publish {
        /// Its name.
        name: String,
    },
    /// Print a sequence: where it stands, its draft and a version, as the files that put them.
    Get {
        /// Its name.
        name: String,
        /// Which version to show; 0: the latest.
        #[arg(long, value_name = "N", default_value_t = 0)]
        version: u32,
    },
    /// The sequences of the tenant.
    List {
        /// Those that are unpublished, active, paused or archived only.
        #[arg(long, default_value = "")]
        status: String,
    },
    /// Say what is wrong with a draft and what is probably not meant, and write nothing.
    Validate {
        /// Its name.
        name: String,
        /// A draft to look at instead of the one that was put last.
        #[arg(long, short, value_name = "YAML")]
        file: Option<PathBuf>,
    },
    /// Show what one contact would get, step by step, and write nothing.
    Preview(sequence::PreviewOptions),
    /// Pause a sequence: nobody is enrolled and nothing is sent until it is resumed.
    Pause {
        /// Its name.
        name: String,
        /// Why, for whoever finds it paused.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Let a paused sequence go on.
    Resume {
        /// Its name.
        name: String,
    },
    /// End a sequence for good: whoever is in it exits.
    Archive {
        /// Its name.
        name: String,
    },
}

/// What a hold covers.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ScopeOption {
    /// The whole tenant.
    #[arg(long)]
    whole_tenant: bool,
    /// One account, with all its channels.
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// One channel.
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// One sequence.
    #[arg(long, value_name = "NAME")]
    sequence: Option<String>,
}

impl ScopeOption {
    /// An account, a channel or a sequence; the whole tenant where none is named.
    pub(crate) fn new(
        account: Option<String>,
        channel: Option<String>,
        sequence: Option<String>,
    ) -> ScopeOption {
        let whole_tenant = account.is_none() && channel.is_none() && sequence.is_none();
        ScopeOption { whole_tenant, account, channel, sequence }
    }

    fn text(&self) -> String {
        match (&self.account, &self.channel, &self.sequence) {
            (Some(account), ..) => format!("account {account}"),
            (None, Some(channel), _) => format!("channel {channel}"),
            (None, None, Some(sequence)) => format!("sequence {sequence}"),
            (None, None, None) => "the whole tenant".to_owned(),
        }
    }

    /// As the daemon is told.
    pub(crate) fn message(self) -> v1::Scope {
        use v1::__buffa::oneof::scope::Scope;
        let one = match (self.account, self.channel, self.sequence) {
            (Some(account), ..) => Scope::Account(account),
            (None, Some(channel), _) => Scope::Channel(channel),
            (None, None, Some(sequence)) => Scope::Sequence(sequence),
            (None, None, None) => Scope::WholeTenant(true),
        };
        v1::Scope { scope: Some(one), ..Default::default() }
    }
}

/// Puts, shows or deletes tenants.
pub(crate) async fn tenant(shared: &Shared, command: TenantCommand) -> Result<(), Failure> {
    let (name, file) = match command {
        TenantCommand::Put { name, file } => (name, file),
        TenantCommand::Get { name } => return scope::tenant(shared, name).await,
        TenantCommand::List => return scope::tenants(shared).await,
        TenantCommand::Delete { name, yes: _ } => return delete(shared, name).await,
    };
    let settings: files::Tenant = files::read(&file)?;
    let settings = v1::TenantSettings::from(settings).into();
    let server = shared.server()?;
    let request = v1::PutTenantRequest { name, settings, ..Default::default() };
    let put = answer(&server, server.tenants().put_tenant(request)).await?;
    shared.answer(&put, || {
        let on = if put.on { "on" } else { "off: set `on: true` to let it send" };
        format!("tenant {} · {} · {on}", put.name, put.time_zone)
    })
}

async fn delete(shared: &Shared, name: String) -> Result<(), Failure> {
    let server = shared.server()?;
    // The one that is there now, and no other that takes its name meanwhile.
    let request = v1::GetTenantRequest { tenant: name.clone(), ..Default::default() };
    let found = answer(&server, server.tenants().get_tenant(request)).await?;
    let expected_revision = found.tenant.as_option().map_or(0, |found| found.revision);
    let request = v1::DeleteTenantRequest { tenant: name.clone(), expected_revision, ..Default::default() };
    let deleted = answer(&server, server.tenants().delete_tenant(request)).await?;
    shared.answer(&deleted, || format!("tenant {name} is deleted; its rows are removed by and by"))
}

/// Puts a channel.
pub(crate) async fn channel(shared: &Shared, command: ChannelCommand) -> Result<(), Failure> {
    let (name, file) = match command {
        ChannelCommand::Put { name, file } => (name, file),
        ChannelCommand::Get { name } => return scope::channel(shared, name).await,
        ChannelCommand::List => return scope::channels(shared).await,
    };
    let settings: files::Channel = files::read(&file)?;
    let settings = v1::ChannelSettings::from(settings);
    let server = shared.server()?;
    let (tenant, transport) = (shared.tenant()?, settings.transport.clone());
    let request = v1::PutChannelRequest {
        tenant: tenant.clone(),
        name,
        settings: settings.into(),
        ..Default::default()
    };
    let put = answer(&server, server.tenants().put_channel(request)).await?;
    shared.answer(&put, || {
        let webhook = webhook(&tenant, &put.name, &transport);
        format!("channel {} · {} through {transport}{webhook}", put.name, put.kind)
    })
}

/// Where a channel's provider tells what contacts write and what became of messages, as a line of its own; nothing of
/// one that tells nothing.
fn webhook(tenant: &str, channel: &str, transport: &str) -> String {
    if !Transport::TOLD.contains(&transport) {
        return String::new();
    }
    format!(
        "\nits webhook, for the provider: /v1/webhooks/{tenant}/{channel}, behind this daemon's address on the internet"
    )
}

/// Does what is asked of sequences.
pub(crate) async fn sequence(shared: &Shared, command: SequenceCommand) -> Result<(), Failure> {
    let tenant = shared.tenant()?;
    match command {
        SequenceCommand::Put { name, file, publish: at_once } => {
            let draft: files::Sequence = files::read(&file)?;
            let server = shared.server()?;
            let sequence = v1::Draft::from(draft).into();
            let request = v1::PutSequenceRequest {
                tenant: tenant.clone(),
                name: name.clone(),
                sequence,
                ..Default::default()
            };
            let put = answer(&server, server.sequences().put_sequence(request)).await?;
            sequence::warn(&server, &tenant, &name).await;
            if at_once {
                return publish(shared, tenant, name).await;
            }
            shared.answer(&put, || {
                format!(
                    "sequence {} · {} · draft saved: `sequence publish {0}` makes it count",
                    put.name, put.status
                )
            })
        }
        SequenceCommand::Publish { name } => publish(shared, tenant, name).await,
        SequenceCommand::Get { name, version } => sequence::get(shared, name, version).await,
        SequenceCommand::List { status } => sequence::list(shared, status).await,
        SequenceCommand::Validate { name, file } => sequence::validate(shared, name, file).await,
        SequenceCommand::Preview(options) => sequence::preview(shared, options).await,
        SequenceCommand::Pause { name, reason } => sequence::pause(shared, name, reason).await,
        SequenceCommand::Resume { name } => sequence::resume(shared, name).await,
        SequenceCommand::Archive { name } => sequence::archive(shared, name).await,
    }
}

async fn publish(shared: &Shared, tenant: String, sequence: String) -> Result<(), Failure> {
    let server = shared.server()?;
    let request = v1::PublishRequest { tenant, sequence: sequence.clone(), ..Default::default() };
    let published = answer(&server, server.sequences().publish(request)).await?;
    shared.answer(&published, || format!("sequence {sequence} · version {} published", published.version))
}

/// Holds a scope.
pub(crate) async fn hold(shared: &Shared, scope: ScopeOption, reason: String) -> Result<(), Failure> {
    let (server, text) = (shared.server()?, scope.text());
    let scope = scope.message().into();
    let request = v1::HoldRequest { tenant: shared.tenant()?, scope, reason, ..Default::default() };
    let held = answer(&server, server.tenants().hold(request)).await?;
    shared.answer(&held, || match held.changed {
        true => format!("{text} is held: no send begins until it is released"),
        false => format!("{text} was held already, and keeps its reason: `holds` shows it"),
    })
}

/// Releases a scope.
pub(crate) async fn release(shared: &Shared, scope: ScopeOption) -> Result<(), Failure> {
    let (server, text, of_sequence) = (shared.server()?, scope.text(), scope.sequence.is_some());
    let scope = scope.message().into();
    let request = v1::ReleaseRequest { tenant: shared.tenant()?, scope, ..Default::default() };
    let released = answer(&server, server.tenants().release(request)).await?;
    shared.answer(&released, || said_of_release(&text, released.changed, of_sequence))
}

/// What a release comes to. A sequence that was paused shares its lanes with others, which are not slowed down for it.
fn said_of_release(what: &str, was_held: bool, of_sequence: bool) -> String {
    if !was_held {
        return format!("{what} was not held");
    }
    let pace = if of_sequence { "at the pace of its channels" } else { "at a gentle pace" };
    format!(
        "{what} is released: what waited leaves {pace}; waits that ran under a person's hold are pushed back"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_says_whether_anything_was_held_and_what_follows() {
        assert_eq!(said_of_release("channel mail", false, false), "channel mail was not held");
        let said = said_of_release("channel mail", true, false);
        assert!(said.starts_with("channel mail is released: what waited leaves at a gentle pace;"), "{said}");
        assert!(said_of_release("sequence one", true, true).contains("at the pace of its channels"));
    }

    #[test]
    fn the_webhook_of_a_channel_is_told_where_its_provider_tells_something() {
        for transport in ["meta", "twilio"] {
            assert!(webhook("acme", "chat", transport).contains("/v1/webhooks/acme/chat"), "{transport}");
        }
        assert_eq!(webhook("acme", "mail", "smtp"), "");
    }
}
