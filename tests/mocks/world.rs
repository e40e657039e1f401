//! The real daemon with one channel that leads to a mock, and what tests ask of the two.

use std::time::{Duration, Instant};

use blackbox::daemon::{Daemon, Files};
use blackbox::http::Client;
use blackbox::timeline::{self, Timeline};
use serde_json::{Value, json};

use crate::running::Mock;

pub(crate) const TENANT: &str = "acme";
pub(crate) const CONFIG: &str = "[http]\nallow_plain = true\nnetworks = [\"127.0.0.0/8\"]\n";
pub(crate) const TENANT_FILE: &str = "on: true\ntime_zone: UTC\n";

/// After so long it is not going to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const BUTTONS: &str = "  buttons: [{ id: \"yes\", title: \"Sim\" }]\n";

/// The template that goes to whom WhatsApp takes nothing else for.
pub(crate) const FALLBACK: &str = "  fallback:
    name: aula
    language: pt_BR
    header_media: { kind: image, link: \"https://cdn.example/a.png\" }
    body: [\"{{ contact.id }}\", 19h]
    buttons: [{ index: 0, payload: \"yes\" }, { index: 1, url_end: \"{{ contact.id }}\" }]
";

/// A daemon with the channel `mail`, and the sequence `welcome` that says hi by it and comes back after two hours.
pub(crate) fn daemon(
    folder: &tempfile::TempDir,
    kind: &str,
    transport: impl FnOnce(&Daemon) -> String,
) -> Daemon {
    // WhatsApp takes an approved template alone of whom nothing was heard lately.
    let rich = if kind == "whatsapp" { [BUTTONS, FALLBACK].concat() } else { String::new() };
    daemon_with(folder, kind, &format!("  body: \"hi\"\n{rich}"), transport)
}

/// A daemon whose first step sends this.
pub(crate) fn daemon_with(
    folder: &tempfile::TempDir,
    kind: &str,
    first: &str,
    transport: impl FnOnce(&Daemon) -> String,
) -> Daemon {
    let daemon = Daemon::start_with(folder.path(), CONFIG);
    let channel = format!("kind: {kind}\n{}", transport(&daemon));
    put(&daemon, TENANT, &channel, &sequence(kind, first));
    daemon
}

/// Puts a tenant that is on, with the channel `mail` and the sequence `welcome`.
pub(crate) fn put(daemon: &Daemon, tenant: &str, channel: &str, sequence: &str) {
    daemon.put(tenant, "welcome", &Files { tenant: TENANT_FILE, channel, sequence });
}

/// A sequence whose first step sends this at once, and whose second one comes two hours later.
pub(crate) fn sequence(kind: &str, first: &str) -> String {
    let again = format!("- {{ wait: 2 hours, channel: {kind}, body: \"again\" }}\n");
    format!("steps:\n- channel: {kind}\n{first}{again}")
}

/// A number of WhatsApp at a mock.
pub(crate) fn number(mock: &Mock) -> String {
    number_with(mock, mock.who("token"))
}

/// The same, with this token.
pub(crate) fn number_with(mock: &Mock, token: &str) -> String {
    format!(
        "transport: meta\nmeta:\n  phone_number_id: \"{}\"\n  token: {{ value: {token} }}\n  base: http://{}\n  \
         app_secrets: [{{ value: {} }}]\n  verify_token: {{ value: hello }}\n",
        mock.who("phone_number_id"),
        mock.address,
        mock.who("app_secret"),
    )
}

/// A number of Twilio's at a mock, that tells this daemon what becomes of its messages.
pub(crate) fn sms(mock: &Mock, daemon: &Daemon) -> String {
    sms_with(mock, mock.who("token"), &webhook(daemon, "mail"))
}

/// The same, with this password, that tells this URL.
pub(crate) fn sms_with(mock: &Mock, password: &str, callback: &str) -> String {
    format!(
        "transport: twilio\ntwilio:\n  account: {}\n  password: {{ value: {password} }}\n  number: \"{}\"\n  \
         base: http://{}\n  status_callback: {callback}\n",
        mock.who("account"),
        mock.who("number"),
        mock.address,
    )
}

/// An account of Chatwoot at a mock, with this token.
pub(crate) fn inbox(mock: &Mock, token: &str) -> String {
    format!(
        "transport: chatwoot\nchatwoot:\n  base: http://{}\n  account: {}\n  token: {{ value: {token} }}\n",
        mock.address,
        mock.number("account"),
    )
}

pub(crate) fn enroll(client: &mut Client, contact: &str, phone: &str) -> Value {
    let enroll = json!({ "contact": contact, "profile": { "phone": phone } });
    let wish = json!({ "tenant": TENANT, "sequence": "welcome", "enroll": enroll });
    client
        .call("EnrollmentService/Enroll", &wish)
        .unwrap_or_else(|failed| json!({ "failed": format!("{failed:?}") }))
}

/// The platform says that a contact wrote: its service window is open.
pub(crate) fn wrote(client: &mut Client, contact: &str) {
    let wrote = json!({ "source": "inbox", "id": contact, "type": "message.received", "contact": contact });
    client.must("EventService/Send", &json!({ "tenant": TENANT, "event": wrote }));
}

/// A contact's one enrollment.
pub(crate) fn of(daemon: &Daemon, contact: &str) -> Timeline {
    timeline::read_all(daemon, TENANT, &[contact]).remove(0).remove(0)
}

/// Waits until an enrollment is as it should be.
pub(crate) fn until(daemon: &Daemon, contact: &str, is_so: impl Fn(&Timeline) -> bool) {
    let began = Instant::now();
    loop {
        let now = of(daemon, contact);
        if is_so(&now) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{contact}: {now:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a contact's enrollment does next.
pub(crate) fn explained(daemon: &Daemon, contact: &str) -> Value {
    let asked = json!({ "tenant": TENANT, "enrollmentId": of(daemon, contact).id });
    daemon.client().must("EnrollmentService/Explain", &asked)
}

/// What is held.
pub(crate) fn held(client: &mut Client) -> Vec<Value> {
    let holds = client.must("TenantService/ListHolds", &json!({ "tenant": TENANT }));
    holds["holds"].as_array().cloned().unwrap_or_default()
}

/// Waits until one thing is held; what and why.
pub(crate) fn until_held(client: &mut Client) -> Value {
    let began = Instant::now();
    loop {
        let mut held = held(client);
        if !held.is_empty() {
            assert_eq!(held.len(), 1, "{held:?}");
            return held.remove(0);
        }
        assert!(began.elapsed() < PATIENCE, "nothing is held");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Has a mock tell something to a URL; what it was answered.
pub(crate) fn tells(mock: &Mock, mut order: Value, url: &str) -> u64 {
    order["url"] = json!(url);
    let said = mock.side("POST", "/_status", &order.to_string());
    said["status"].as_u64().unwrap()
}

pub(crate) fn webhook(daemon: &Daemon, channel: &str) -> String {
    format!("http://{}/v1/webhooks/{TENANT}/{channel}", daemon.door().address)
}

/// The messages that a mock took for a number, however it is written.
pub(crate) fn taken(mock: &Mock, phone: &str) -> Vec<Value> {
    let digits = |text: &str| text.trim_start_matches('+').to_owned();
    let is_to = |sent: &Value| {
        let to = sent["to"].as_str().or_else(|| sent["form"]["To"].as_str());
        to.is_some_and(|to| digits(to) == digits(phone))
    };
    mock.sent().into_iter().filter(is_to).collect()
}
