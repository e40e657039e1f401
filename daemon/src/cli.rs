//! The command line: what can be asked, and who does it.

use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::cli::client::Server;
use crate::cli::transport::TlsFiles;
use crate::config::{Overrides, Source};
use crate::exit::{self, Code, Failure};
use crate::limits;
use crate::traces::Traces;
use crate::{demo, log, serve};

mod account;
mod apply;
pub(crate) mod ask;
mod backlog;
mod backup;
mod check_config;
pub(crate) mod client;
mod completions;
mod contact;
mod enroll;
mod enrollment;
mod event;
pub(crate) mod files;
mod folder;
pub(crate) mod funnel;
mod init;
mod key;
mod listing;
mod pages;
mod put;
pub(crate) mod scope;
mod sequence;
mod stop;
mod store;
mod time;
pub(crate) mod transport;
pub(crate) mod upload;

/// A re-engagement cadence engine: each enrolled contact walks a sequence of messages at its own pace, and leaves the
/// moment it replies, reaches the goal or opts out.
#[derive(Debug, Parser)]
#[command(name = "followupd", version, after_help = exit::TABLE, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    shared: Shared,
    #[command(subcommand)]
    command: Command,
}

/// What every command that asks a daemon takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Whom to ask, about whom")]
pub(crate) struct Shared {
    /// The daemon to ask.
    #[arg(
        long,
        global = true,
        env = "FOLLOWUPD_SERVER",
        default_value = "http://127.0.0.1:7400",
        value_name = "URL"
    )]
    server: String,
    /// The access key, `fup_…`; the variable is the better place, as others can see command lines.
    #[arg(long, global = true, env = "FOLLOWUPD_KEY", value_name = "KEY", hide_env_values = true)]
    key: Option<String>,
    #[command(flatten)]
    tls: TlsFiles,
    /// The tenant it is about.
    #[arg(long, short, global = true, env = "FOLLOWUPD_TENANT", value_name = "NAME")]
    tenant: Option<String>,
    /// Print the daemon's answer as JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon.
    Serve(Serve),
    /// Check the settings as `serve` would before it listens, and print what is in force.
    CheckConfig(Serve),
    /// Write a settings file of the daemon, and a folder that describes a tenant; what is there stays.
    Init {
        /// Where.
        #[arg(value_name = "FOLDER", default_value = ".")]
        folder: std::path::PathBuf,
    },
    /// Show how a tenant stands to the folder that describes it; changes nothing.
    ///
    /// The folder holds `tenant.yaml`, `accounts/NAME.yaml`, `channels/NAME.yaml` and `sequences/NAME.yaml`, as their
    /// `put` takes them; `init` writes one. Both sides are shown with every default; a secret is compared by the daemon and never shown.
    Diff {
        /// That folder; the tenant is the one of --tenant.
        folder: std::path::PathBuf,
    },
    /// Put what `diff` shows, and publish the folder's sequences.
    ///
    /// Everything is checked before the first put. The tenant comes first, then its accounts, channels and sequences; what
    /// the folder does not name is left alone.
    Apply {
        /// The folder; the tenant is the one of --tenant.
        folder: std::path::PathBuf,
    },
    /// Show what it does: a whole run in half a minute, on a daemon and folders of its own.
    Demo(demo::Options),
    /// Print a commented settings file to start from.
    Example {
        /// What for.
        what: files::Example,
    },
    /// Tenants: `put`, `get`, `list`, `delete`.
    #[command(subcommand)]
    Tenant(put::TenantCommand),
    /// Accounts, what several channels have at one provider together: `put`, `get`, `list`.
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// Channels: `put`, `get`, `list`.
    #[command(subcommand)]
    Channel(put::ChannelCommand),
    /// Sequences: `put`, `publish`, `get`, `list`, `validate`, `preview`, `pause`, `resume`, `archive`.
    #[command(subcommand)]
    Sequence(put::SequenceCommand),
    /// Enroll one contact, or a file of any size.
    Enroll(enroll::Options),
    /// Events: `send`, `receipt`.
    #[command(subcommand)]
    Event(event::EventCommand),
    /// Enrollments: `show`, `timeline`, `list`, `explain`, `exit`, `pause`, `resume`, `release`, `quarantined`.
    #[command(subcommand)]
    Enrollment(enrollment::EnrollmentCommand),
    /// Contacts: `show`, `suppress`, `lift`, `export`, `erase`.
    #[command(subcommand)]
    Contact(contact::ContactCommand),
    /// Access keys: `create`, `list`, `revoke`.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Who changed what, newest first; without --tenant what was done to access keys.
    Audit {
        /// Most lines.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        most: u32,
    },
    /// Count where the enrollments of a sequence stand.
    Funnel {
        /// The sequence.
        sequence: String,
    },
    /// Hold a tenant, account, channel or sequence: no send begins until it is released.
    Hold {
        #[command(flatten)]
        scope: put::ScopeOption,
        /// Why, for whoever finds it held.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// What is held, since when, by whom and why.
    Holds,
    /// Stop sending at once: everything, or what is named. Survives restarts; exits and opt-outs still act.
    StopSending {
        #[command(flatten)]
        scope: stop::StopOption,
        /// Why, for whoever finds it stopped.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Show what would go out if sending went on; with --yes let it go on.
    ResumeSending {
        #[command(flatten)]
        scope: stop::StopOption,
        /// Let it go on.
        #[arg(long)]
        yes: bool,
    },
    /// Release what was held.
    Release {
        #[command(flatten)]
        scope: put::ScopeOption,
    },
    /// Print what has a shell complete commands and options.
    Completions {
        /// For which.
        shell: completions::Shell,
    },
    /// Write all rows of a running daemon, as of one moment, to a file. The key that seals secrets and config.toml are
    /// not in it: keep copies of both.
    Backup {
        /// The file; it must not be there yet.
        file: std::path::PathBuf,
    },
    /// Make a store of a backup, in a folder that has none. Sending is held until `resume-sending`: what was sent after
    /// the backup is not known to it.
    Restore {
        /// The backup.
        file: std::path::PathBuf,
        #[command(flatten)]
        place: store::Place,
    },
    /// The store of a daemon that does not run: `verify`.
    #[command(subcommand)]
    Store(store::StoreCommand),
}

#[derive(Debug, Args)]
struct Serve {
    /// Settings file; `followupd example config` prints one with every key and its default.
    #[arg(long, short, env = "FOLLOWUPD_CONFIG", value_name = "FILE")]
    config: Option<std::path::PathBuf>,
    /// Instead of `listen.address`.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Instead of `store.folder`.
    #[arg(long, value_name = "FOLDER")]
    store: Option<std::path::PathBuf>,
    /// Instead of `outbox.folder`.
    #[arg(long, value_name = "FOLDER")]
    outbox: Option<std::path::PathBuf>,
    /// Instead of `log.level`.
    #[arg(long, env = "FOLLOWUPD_LOG", value_name = "FILTER")]
    log: Option<String>,
}

impl Serve {
    /// Where the settings come from.
    fn source(self) -> Source {
        let overrides =
            Overrides { listen: self.listen, store: self.store, outbox: self.outbox, log_level: self.log };
        Source { path: self.config, overrides }
    }
}

/// Reads the command line and does what it says.
pub(crate) fn main() -> ExitCode {
    // clap answers --help with 0 and a wrong command line with 2, as our table says.
    let cli = Cli::parse();
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    let runtime = match threads.max_blocking_threads(limits::BLOCKING_THREADS).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&Failure::other(format!("no threads can be started: {error}"))),
    };
    let done = runtime.block_on(run(cli));
    // What is still running has been told to stop, or was asked to be left by a second signal.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failed(&failure),
    }
}

fn failed(failure: &Failure) -> ExitCode {
    eprintln!("followupd: {failure}");
    failure.code.into()
}

async fn run(cli: Cli) -> Result<(), Failure> {
    let shared = &cli.shared;
    match cli.command {
        Command::Serve(options) => {
            let source = options.source();
            let config = source.read()?;
            let traces = config.traces.as_ref().map(Traces::open).transpose().map_err(Failure::input)?;
            let log = log::to_stderr(&config.log_level, config.log_format, traces.as_ref());
            let ended = serve::run(config, source, log).await;
            if let Some(traces) = traces {
                // It blocks, and nothing else is to be done.
                let _ = tokio::task::spawn_blocking(move || traces.end()).await;
            }
            ended
        }
        Command::CheckConfig(options) => check_config::run(shared, &options.source()),
        Command::Init { folder } => init::run(shared, &folder),
        Command::Diff { folder } => apply::diff(shared, &folder).await,
        Command::Apply { folder } => apply::apply(shared, &folder).await,
        Command::Completions { shell } => print(&completions::script(shell, &mut Cli::command())?),
        Command::Demo(options) => demo::run(options, shared.json).await,
        Command::Example { what } => print(what.text()),
        Command::Tenant(command) => put::tenant(shared, command).await,
        Command::Account(command) => account::run(shared, command).await,
        Command::Channel(command) => put::channel(shared, command).await,
        Command::Sequence(command) => put::sequence(shared, command).await,
        Command::Enroll(options) => enroll::run(shared, options).await,
        Command::Event(command) => event::run(shared, command).await,
        Command::Enrollment(command) => enrollment::run(shared, command).await,
        Command::Contact(command) => contact::run(shared, command).await,
        Command::Audit { most } => key::audit(shared, most).await,
        Command::Key(command) => key::run(shared, command).await,
        Command::Funnel { sequence } => funnel::run(shared, sequence).await,
        Command::Hold { scope, reason } => put::hold(shared, scope, reason).await,
        Command::StopSending { scope, reason } => stop::stop(shared, scope, reason).await,
        Command::ResumeSending { scope, yes } => stop::resume(shared, scope, yes).await,
        Command::Holds => scope::holds(shared).await,
        Command::Release { scope } => put::release(shared, scope).await,
        Command::Backup { file } => backup::run(shared, file).await,
        Command::Restore { file, place } => store::restore(shared, file, place).await,
        Command::Store(command) => store::run(shared, command).await,
    }
}

impl Shared {
    /// The daemon to ask.
    pub(crate) fn server(&self) -> Result<Server, Failure> {
        let key = self.key.as_deref().ok_or_else(|| {
            Failure::input(
                "which access key? Set FOLLOWUPD_KEY; that of the operator stands in the file operator.key of the \
                 daemon's store, which `followupd serve` names when it starts",
            )
        })?;
        Server::at(&self.server, key, &self.tls)
    }

    /// The tenant it is about.
    pub(crate) fn tenant(&self) -> Result<String, Failure> {
        self.tenant
            .clone()
            .ok_or_else(|| Failure::input("which tenant? Give --tenant NAME, or set FOLLOWUPD_TENANT"))
    }

    /// Prints an answer: as JSON where it was asked for, else as `text` has it.
    pub(crate) fn answer(
        &self,
        answer: &impl serde::Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if self.json { print(&json(answer)?) } else { print(&text()) }
    }
}

/// An answer as JSON for programs.
pub(crate) fn json(answer: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(answer)
        .map_err(|error| Failure::other(format!("the answer is no JSON: {error}")))
}

/// Prints data. A reader that has gone, such as `head`, ends the program without a word.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    match write!(out, "{text}{end}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Code::Failed, format!("stdout cannot be written: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_exit_codes_stand_in_the_help() {
        let help = Cli::command().render_help().to_string();
        assert!(help.contains("Exit codes:"), "{help}");
    }
}
