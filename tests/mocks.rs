//! The mocks of providers: what they take, what they refuse, and what they post to us.
//!
//! Each stands in `tests/mocks`, written from its provider's public reference, and is first driven by a client that
//! others wrote, in `tests/mocks/clients`; then our adapters pass the same mock. What they post is checked and read by
//! `followupd_channel::inbound`, and its signature checks are tried against the vendors' own code.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "mocks/adapters.rs"]
mod adapters;
#[path = "mocks/codes.rs"]
mod codes;
#[path = "mocks/credentials.rs"]
mod credentials;
#[path = "mocks/doubt.rs"]
mod doubt;
#[path = "mocks/faults.rs"]
mod faults;
#[path = "mocks/inbound.rs"]
mod inbound;
#[path = "mocks/mail.rs"]
mod mail;
#[path = "mocks/refusals.rs"]
mod refusals;
#[path = "mocks/running.rs"]
mod running;
#[path = "mocks/signatures.rs"]
mod signatures;
#[path = "mocks/strangers.rs"]
mod strangers;
#[path = "mocks/whole.rs"]
mod whole;
#[path = "mocks/world.rs"]
mod world;

use running::{Mock, client, must};

#[test]
fn pywa_drives_the_mock_of_whatsapp() {
    let mock = Mock::start("whatsapp");
    must(client("pywa_client.py").arg(mock.port()), "");
}

#[test]
fn twilios_own_client_drives_the_mock_of_twilio() {
    let mock = Mock::start("twilio");
    must(client("twilio_client.py").arg(mock.port()), "");
}

#[test]
fn chatwoots_own_sdk_drives_the_mock_of_chatwoot() {
    let mock = Mock::start("chatwoot");
    must(client("chatwoot_client.py").arg(mock.port()), "");
}
