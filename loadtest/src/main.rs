//! Measures a daemon on this machine, as it ships: `target/release/followupd`, or `FOLLOWUPD_BIN`.
//!
//! It holds nothing to a limit; what must hold is in the tests. Figures go to stdout.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use blackbox::dormant;
use clap::{Parser, Subcommand};

mod enroll;
mod raw;

/// Measures a followupd daemon on this machine.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    what: What,
    /// Where its store lies while it runs, instead of the system's temporary folder: give one on the disk you mean.
    #[arg(long, global = true, value_name = "FOLDER")]
    within: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// How fast one stream of contacts is enrolled and synced, and its share of the bare store on the same rows.
    Enroll {
        /// How many.
        #[arg(long, default_value_t = 100_000)]
        contacts: usize,
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
    let done = folder.and_then(|folder| match cli.what {
        What::Enroll { contacts } => enroll::measure(folder.path(), contacts),
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

fn failed(error: &io::Error) -> ExitCode {
    eprintln!("followupd-loadtest: {error}");
    ExitCode::FAILURE
}
