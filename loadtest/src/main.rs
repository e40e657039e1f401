//! Measures a daemon on this machine, as it ships: `target/release/followupd`, or `FOLLOWUPD_BIN`.
//!
//! Figures go to stdout. What must hold is in the tests; two workloads are too large for them and fail here instead
//! where a figure is over its bar, with exit code 1:
//!
//! - `backlog`: memory grows by no more than 50 MB over that of a daemon that was just started, the first message is no
//!   later than 100 ms, a transactional one behind all of them is there within 1 s, and the reply of the last in line
//!   is answered within 100 ms. The daemon is killed and started again between the enrolls and the due second.
//! - `repeats`: memory grows by no more than 50 MB, the store by no more than a few rows, and what is known of each
//!   contact stays as it was.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use blackbox::dormant;
use clap::{Parser, Subcommand};

mod backlog;
mod calls;
mod each;
mod enroll;
mod figures;
mod fire;
mod raw;
mod repeats;
mod reply;
mod sink;

use figures::Figures;

/// Measures a followupd daemon on this machine.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    what: What,
    /// Where its store lies while it runs, instead of the system's temporary folder: give one on the disk you mean.
    #[arg(long, global = true, value_name = "FOLDER")]
    within: Option<PathBuf>,
    /// Print one line of JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// How fast one stream of contacts is enrolled and synced, and its share of the bare store on the same rows.
    Enroll {
        /// How many.
        #[arg(long, default_value_t = 100_000)]
        contacts: usize,
    },
    /// A, one call for each contact, 64 in flight.
    Each {
        /// How many.
        #[arg(long, default_value_t = 100_000)]
        contacts: usize,
    },
    /// B, webhooks that are all due in the same second, to a sink on this machine.
    Fire {
        /// How many.
        #[arg(long, default_value_t = 100_000)]
        contacts: usize,
    },
    /// C, replies of half the sleepers: one after the other, 64 in flight, and by a stream.
    Reply {
        /// How many sleep.
        #[arg(long, default_value_t = 100_000)]
        contacts: usize,
    },
    /// D, as B, with a daemon that is killed in the middle.
    Crash {
        /// How many.
        #[arg(long, default_value_t = 100_000)]
        contacts: usize,
    },
    /// A backlog: all due at the same second on one lane of 80 a second, a third of them held.
    Backlog {
        /// How many.
        #[arg(long, default_value_t = 1_000_000)]
        contacts: usize,
        /// For how long it is watched, in seconds.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Webhooks of a provider that come again and again, forged ones among them.
    Repeats {
        /// How many.
        #[arg(long, default_value_t = 1_000_000)]
        requests: usize,
    },
    /// The most memory the daemon takes while sleepers are made, and after a kill while some of them reply.
    Dormant {
        /// How many sleep.
        #[arg(long, default_value_t = 1_000_000)]
        contacts: usize,
        /// How many of them reply.
        #[arg(long, default_value_t = 10_000)]
        replies: usize,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let folder = match &cli.within {
        Some(within) => tempfile::tempdir_in(within),
        None => tempfile::tempdir(),
    };
    let print = |figures: Figures| figures.print(cli.json);
    let done = folder.and_then(|folder| match cli.what {
        What::Enroll { contacts } => enroll::measure(folder.path(), contacts).map(print),
        What::Each { contacts } => within_runtime(each::measure(folder.path(), contacts)).map(print),
        What::Fire { contacts } => fire::measure(folder.path(), contacts, false).map(print),
        What::Reply { contacts } => within_runtime(reply::measure(folder.path(), contacts)).map(print),
        What::Crash { contacts } => fire::measure(folder.path(), contacts, true).map(print),
        What::Backlog { contacts, seconds } => {
            backlog::measure(folder.path(), contacts, Duration::from_secs(seconds)).map(print)
        }
        What::Repeats { requests } => repeats::measure(folder.path(), requests).map(print),
        What::Dormant { contacts, replies } => {
            let measured = dormant::measure(folder.path(), contacts, replies.clamp(1, contacts));
            measured.print();
            Ok(())
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn within_runtime<T>(measured: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measured)
}

fn failed(error: &io::Error) -> ExitCode {
    eprintln!("followupd-loadtest: {error}");
    ExitCode::FAILURE
}
