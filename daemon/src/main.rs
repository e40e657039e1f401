//! The process edge of followupd: settings, command line, RPC and the demo, around the engine of `followupd-runtime`.

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
mod rpc;
mod serve;
mod strict;
mod table;
mod tls;
mod traces;

/// Many small short-lived values over a long life: mimalloc keeps the heap of a million sleeping enrollments flat.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Reads the command line, does what it says, and answers with the exit code that [`exit::Code`] documents.
fn main() -> ExitCode {
    cli::main()
}
