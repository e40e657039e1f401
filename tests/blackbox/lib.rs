//! What the tests that drive the daemon as it ships have in common: its process, its wire, its Maildir.
//!
//! Nothing here or in the tests that build on it shares code with the daemon: an oracle that did would share its
//! mistakes. All of it is test code, where a broken expectation is the finding; so it panics with what it saw.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

pub mod daemon;
pub mod dormant;
pub mod http;
pub mod maildir;
pub mod refusal;
pub mod repeats;
pub mod seed;
pub mod state;
pub mod table;
pub mod time;
pub mod timeline;
pub mod wire;
