//! The process edge of followupd: settings, command line, RPC and the demo, around the engine of `followupd-runtime`.
//!
//! What is public here is the RPC's messages and clients, which tests and load generators use too.

use std::process::ExitCode;

mod cli;
mod config;
mod contacts;
mod demo;
mod exit;
mod http;
mod limits;
mod log;
mod metrics;
pub mod proto;
mod rpc;
mod serve;
mod strict;
mod table;
mod tls;
mod traces;

/// Reads the command line, does what it says, and answers with the exit code that [`exit::Code`] documents.
#[must_use]
pub fn main() -> ExitCode {
    cli::main()
}
