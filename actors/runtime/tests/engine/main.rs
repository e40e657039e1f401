//! The engine from outside, in virtual time. One program for all of it: each would compile the whole tree once more.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod accounts;
mod backlog;
mod keeping;
mod outside;
mod pacing;
mod people;
mod reactions;
mod resting;
mod returns;
mod scopes;
mod seen;
mod virtual_env;
mod whole;
