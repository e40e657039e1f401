//! The demo: a whole run in half a minute, on a daemon of its own, over its real socket.
//!
//! It uses nothing that a platform could not: the daemon's own start, the RPC's own clients. What a person sees goes
//! to stderr while it runs; the funnel at the end goes to stdout.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io};

use clap::Args;

use crate::cli::ask::answer;
use crate::cli::client::Server;
use crate::cli::files;
use crate::cli::transport::TlsFiles;
use crate::cli::upload::{self, Into, Rejects, Totals};
use crate::config::{self, Config, Overrides};
use crate::contacts::Contacts;
use crate::demo::play::Played;
use crate::demo::view::View;
use crate::exit::{Code, Failure};
use crate::serve::{self, first_key, stop};
use crate::{limits, log};
use followupd_proto::v1;

mod play;
mod report;
mod view;

const TENANT: &str = "demo";
const CHANNEL: &str = "mail";
const SEQUENCE: &str = "charge-reminder";
const CONTACTS: &str = include_str!("../assets/demo/contacts.csv");
const SEQUENCE_YAML: &str = include_str!("../assets/demo/charge-reminder.yaml");
const CHANNEL_YAML: &str = include_str!("../assets/demo/channel.yaml");
const TENANT_YAML: &str = include_str!("../assets/demo/tenant.yaml");

/// How often the numbers are read.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How to run the demo.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where its store, mails and log go, instead of a new folder among the system's temporary ones. It must be
    /// empty or not exist. It is kept in either case.
    #[arg(long, value_name = "FOLDER")]
    keep_folder: Option<PathBuf>,
}

/// Runs the demo.
///
/// # Errors
/// The daemon does not start, refuses what must work, or not everything has ended in time.
pub(crate) async fn run(options: Options, json: bool) -> Result<(), Failure> {
    let began = Instant::now();
    let folder = folder(options.keep_folder)?;
    let config = settings(&folder)?;
    let file = fs::File::create(folder.join("daemon.log")).map_err(|error| unusable(&folder, &error))?;
    let log = log::to_file("info", file);
    let daemon = serve::start(config, None, log).await?;
    tracing::info!(address = %daemon.address, "takes calls");
    eprint!("{}", report::opening(daemon.address, &folder));
    let key = first_key::path(&folder.join("store"));
    let key = fs::read_to_string(&key).map_err(|error| unusable(&key, &error))?;
    let server = Server::at(&format!("http://{}", daemon.address), &key, &TlsFiles::default())?;
    let played = tokio::select! {
        played = story(&server, &folder, began) => played,
        () = stop::asked() => Err(Failure::new(Code::Interrupted, "stopped before it was finished")),
    };
    let stopped = daemon.stop().await;
    let end = played?;
    stopped?;
    crate::cli::print(&if json {
        crate::cli::json(&end.report(&folder))?
    } else {
        report::funnel(&end.funnel)
    })?;
    eprint!("{}", report::closing(&end, &folder, began.elapsed()));
    if end.all_ended {
        Ok(())
    } else {
        Err(Failure::other("not every enrollment has ended in time: the machine may be very slow today"))
    }
}

/// What it came to.
pub(crate) struct End {
    funnel: v1::GetFunnelResponse,
    upload: Totals,
    played: Played,
    all_ended: bool,
}

async fn story(server: &Server, folder: &Path, began: Instant) -> Result<End, Failure> {
    put(server).await?;
    let mut view = View::new(began);
    let contacts = Contacts::open(CONTACTS.as_bytes()).map_err(Failure::other)?;
    let rejects = Rejects::to(folder.join("contacts.rejected.csv"), contacts.columns());
    let into = Into { tenant: TENANT.to_owned(), sequence: SEQUENCE.to_owned() };
    let upload = upload::run(server, into, contacts, rejects, Totals::default(), |_, _| ()).await?;
    view.say(&report::enrolled(&upload));
    let script = play::script(CONTACTS);
    let playing = play::run(server, &script, Instant::now());
    let watching = watch(server, &mut view, began);
    let (played, (funnel, all_ended)) = tokio::try_join!(playing, watching)?;
    view.finish(&funnel);
    Ok(End { funnel, upload, played, all_ended })
}

/// Puts the tenant, its channel and the sequence, as a person would with the same files.
async fn put(server: &Server) -> Result<(), Failure> {
    let tenant = || TENANT.to_owned();
    let settings: files::Tenant = files::parse(TENANT_YAML, "tenant.yaml")?;
    let settings = v1::TenantSettings::from(settings).into();
    let request = v1::PutTenantRequest { name: tenant(), settings, ..Default::default() };
    answer(server, server.tenants().put_tenant(request)).await?;
    let settings: files::Channel = files::parse(CHANNEL_YAML, "channel.yaml")?;
    let settings = v1::ChannelSettings::from(settings).into();
    let name = CHANNEL.to_owned();
    let request = v1::PutChannelRequest { tenant: tenant(), name, settings, ..Default::default() };
    answer(server, server.tenants().put_channel(request)).await?;
    let draft: files::Sequence = files::parse(SEQUENCE_YAML, "charge-reminder.yaml")?;
    let sequence = v1::Draft::from(draft).into();
    let name = SEQUENCE.to_owned();
    let request = v1::PutSequenceRequest { tenant: tenant(), name, sequence, ..Default::default() };
    answer(server, server.sequences().put_sequence(request)).await?;
    let sequence = SEQUENCE.to_owned();
    let request = v1::PublishRequest { tenant: tenant(), sequence, ..Default::default() };
    answer(server, server.sequences().publish(request)).await?;
    Ok(())
}

/// Shows the numbers until everything has ended, or it takes too long; the last ones, and whether it has.
async fn watch(
    server: &Server,
    view: &mut View,
    began: Instant,
) -> Result<(v1::GetFunnelResponse, bool), Failure> {
    let mut every = tokio::time::interval(LOOK_EVERY);
    loop {
        every.tick().await;
        let (tenant, sequence) = (TENANT.to_owned(), SEQUENCE.to_owned());
        let request = v1::GetFunnelRequest { tenant, sequence, ..Default::default() };
        let funnel = answer(server, server.sequences().get_funnel(request)).await?;
        view.show(&funnel);
        let ended = has_ended(&funnel);
        if ended || began.elapsed() > limits::DEMO_MOST {
            return Ok((funnel, ended));
        }
    }
}

/// Whether nobody is on the way and no send is open; the last mail of somebody who left may still be on the wire.
fn has_ended(funnel: &v1::GetFunnelResponse) -> bool {
    let version = |version: &v1::Funnel| {
        let open: u32 = version.steps.iter().map(|step| step.uncertain).sum();
        version.enrolled > 0 && version.active + version.paused + open == 0
    };
    !funnel.versions.is_empty() && funnel.versions.iter().all(version)
}

fn settings(folder: &Path) -> Result<Config, Failure> {
    let overrides = Overrides {
        listen: Some(SocketAddr::from(([127, 0, 0, 1], 0)).to_string()),
        store: Some(folder.join("store")),
        outbox: Some(folder.join("outbox")),
        log_level: None,
    };
    config::load(None, &overrides)
}

fn folder(chosen: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let Some(folder) = chosen else {
        let made = tempfile::Builder::new().prefix("followupd-demo-").tempdir();
        return made.map(tempfile::TempDir::keep).map_err(|error| unusable(&std::env::temp_dir(), &error));
    };
    fs::create_dir_all(&folder).map_err(|error| unusable(&folder, &error))?;
    let folder = std::path::absolute(&folder).map_err(|error| unusable(&folder, &error))?;
    let mut inside = fs::read_dir(&folder).map_err(|error| unusable(&folder, &error))?;
    if inside.next().is_some() {
        return Err(Failure::input(format!("{} is not empty: give a new folder", folder.display())));
    }
    Ok(folder)
}

fn unusable(folder: &Path, error: &io::Error) -> Failure {
    Failure::new(Code::Folder, format!("{} cannot be written: {error}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_demo_puts_can_be_read() {
        let tenant: files::Tenant = files::parse(TENANT_YAML, "tenant.yaml").unwrap();
        assert!(v1::TenantSettings::from(tenant).quiet_hours.is_empty());
        let channel: files::Channel = files::parse(CHANNEL_YAML, "channel.yaml").unwrap();
        assert_eq!(v1::ChannelSettings::from(channel).transport, "outbox");
        let sequence: files::Sequence = files::parse(SEQUENCE_YAML, "charge-reminder.yaml").unwrap();
        assert_eq!(v1::Draft::from(sequence).steps.len(), 3);
    }

    #[test]
    fn the_contacts_that_ship_hold_a_few_broken_rows() {
        let mut contacts = Contacts::open(CONTACTS.as_bytes()).unwrap();
        let rows: Vec<_> = std::iter::from_fn(|| contacts.next().unwrap()).collect();
        let broken: Vec<_> = rows.iter().filter_map(|row| row.says.as_ref().err()).collect();
        assert_eq!((rows.len(), broken.len()), (1_007, 6), "{broken:?}");
    }

    #[test]
    fn it_has_ended_when_nobody_is_on_the_way_and_nothing_on_the_wire() {
        let funnel = |active, uncertain| {
            let step = v1::StepFunnel { uncertain, ..Default::default() };
            let version = v1::Funnel { enrolled: 3, active, steps: vec![step], ..Default::default() };
            v1::GetFunnelResponse { versions: vec![version], ..Default::default() }
        };
        assert!(has_ended(&funnel(0, 0)));
        assert!(!has_ended(&funnel(1, 0)) && !has_ended(&funnel(0, 1)));
        assert!(!has_ended(&v1::GetFunnelResponse::default()));
    }

    #[test]
    fn a_folder_with_something_in_it_is_left_alone() {
        let full = tempfile::tempdir().unwrap();
        fs::write(full.path().join("x"), "").unwrap();
        assert_eq!(folder(Some(full.path().to_path_buf())).unwrap_err().code, Code::Input);
        assert!(folder(Some(full.path().join("new"))).is_ok());
    }
}
