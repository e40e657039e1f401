//! `[limits]`: what one connection and one access key may take of the daemon.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::Deserialize;

use crate::config::or;
use crate::exit::Failure;

/// Checked bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Connections at once; one more is closed.
    pub(crate) connections: usize,
    /// Calls under way on one connection.
    pub(crate) calls_a_connection: u32,
    /// Calls a second of one access key, and as many at once.
    pub(crate) calls_a_key: NonZeroU32,
    /// For the handshake of TLS and for the head of a request; a kept HTTP/1.1 connection may rest as long.
    pub(crate) head_within: Duration,
    /// How long a peer may take nothing of what is written to it, or leave a ping unanswered.
    pub(crate) stall: Duration,
    /// For a call whose caller names no deadline, its request included.
    pub(crate) call_within: Duration,
    /// The longest deadline a caller may name.
    pub(crate) call_within_most: Duration,
}

/// As it stands in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    connections: Option<u32>,
    calls_per_connection: Option<u32>,
    calls_per_second_per_key: Option<u32>,
    head_seconds: Option<u32>,
    stall_seconds: Option<u32>,
    call_seconds: Option<u32>,
    call_seconds_most: Option<u32>,
}

/// Checks each bound, then those that bear on each other.
pub(super) fn check(given: &Limits, defaults: &Limits) -> Result<Bounds, Failure> {
    let number = |key: &str, given: Option<u32>, default: Option<u32>, most: u32| {
        let key = format!("limits.{key}");
        let value = or(given, default, &key)?;
        NonZeroU32::new(value)
            .filter(|value| value.get() <= most)
            .ok_or_else(|| Failure::input(format!("{key} is {value}: write 1 to {most}")))
    };
    let seconds = |key: &str, given, default| {
        number(key, given, default, 3_600).map(|seconds| Duration::from_secs(seconds.get().into()))
    };
    let connections = number("connections", given.connections, defaults.connections, 1_000_000)?;
    let a_connection = given.calls_per_connection;
    let a_connection = number("calls_per_connection", a_connection, defaults.calls_per_connection, 10_000)?;
    let a_key = given.calls_per_second_per_key;
    let a_key = number("calls_per_second_per_key", a_key, defaults.calls_per_second_per_key, 10_000_000)?;
    let bounds = Bounds {
        connections: usize::try_from(connections.get()).unwrap_or(usize::MAX),
        calls_a_connection: a_connection.get(),
        calls_a_key: a_key,
        head_within: seconds("head_seconds", given.head_seconds, defaults.head_seconds)?,
        stall: seconds("stall_seconds", given.stall_seconds, defaults.stall_seconds)?,
        call_within: seconds("call_seconds", given.call_seconds, defaults.call_seconds)?,
        call_within_most: seconds("call_seconds_most", given.call_seconds_most, defaults.call_seconds_most)?,
    };
    if bounds.call_within > bounds.call_within_most {
        return Err(Failure::input(format!(
            "limits.call_seconds ({}) is more than limits.call_seconds_most ({}): a caller may not get less by asking",
            bounds.call_within.as_secs(),
            bounds.call_within_most.as_secs()
        )));
    }
    Ok(bounds)
}
