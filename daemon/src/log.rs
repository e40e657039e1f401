//! Log lines of the process: where they go and in which form. What they say is said where it happens.

use std::fs::File;
use std::io;
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::LogFormat;

/// Writes log lines to stderr; stdout is for data.
///
/// `level` is a filter as of `tracing_subscriber::EnvFilter`; it was checked when the settings were read.
pub(crate) fn to_stderr(level: &str, format: LogFormat) {
    install(level, format, io::stderr);
}

/// Writes log lines to a file.
pub(crate) fn to_file(level: &str, file: File) {
    install(level, LogFormat::Text, Mutex::new(file));
}

fn install<W: for<'a> MakeWriter<'a> + Send + Sync + 'static>(level: &str, format: LogFormat, writer: W) {
    let filter = filter(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(false);
    // A second installation in one process is a test's; the first one stays.
    let _ = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}

/// The filter of a level; ractor's spans would wrap each of our lines in one per actor.
pub(crate) fn filter(level: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(format!("ractor=error,{level}")).map_err(|error| error.to_string())
}
