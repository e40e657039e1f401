//! Webhooks that come again and again: what Meta signed once, told so many times by many connections. What is new in it
//! happens once; the rest costs no row.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use blackbox::daemon::{Daemon, Files};
use blackbox::http::Client;
use blackbox::time::now_ms;
use blackbox::timeline;
use ring::hmac;
use serde_json::{Value, json};

use crate::figures::{Figures, quantile};

const TENANT: &str = "acme";
const CONTACT: &str = "ana";
const PHONE: &str = "5511999990000";
const SECRET: &str = "word-of-the-app";

/// The channel's number, as Meta names it.
const NUMBER: &str = "106540352242922";

/// Connections that tell at once.
const CONNECTIONS: usize = 32;

/// Tells a reply, a receipt of a send that nobody knows, and a forged reply, so many times together.
///
/// # Errors
/// One is answered as it should not be, or the reply was taken more than once.
pub(crate) fn measure(folder: &Path, requests: usize) -> io::Result<Figures> {
    let daemon = start(folder);
    let mut client = daemon.client();
    let enroll = json!({ "contact": CONTACT, "profile": { "phone": format!("+{PHONE}") } });
    let wish = json!({ "tenant": TENANT, "sequence": "welcome", "enroll": enroll });
    client.must("EnrollmentService/Enroll", &wish);
    let written = body(&json!({ "messages": [reply()] }));
    let read = body(&json!({ "statuses": [receipt()] }));

    // The first of each is what is new.
    expect(200, tell(&mut client, &written, SECRET)?)?;
    expect(200, tell(&mut client, &read, SECRET)?)?;
    let before = seen(&daemon);
    let (memory, bytes) = (daemon.memory_mib(), stored(&daemon.store())?);
    let cpu = daemon.cpu();
    let each = requests / 3;
    let (replies, replies_took) = again(&daemon, each, &written, SECRET, 200)?;
    let (receipts, receipts_took) = again(&daemon, each, &read, SECRET, 200)?;
    let (forged, forged_took) = again(&daemon, each, &written, "word-of-another", 403)?;
    let cpu = daemon.cpu().saturating_sub(cpu);
    let (grown, more) = (daemon.memory_mib() - memory, stored(&daemon.store())?.saturating_sub(bytes));
    if seen(&daemon) != before {
        return Err(io::Error::other(format!("more than once: {}, then {}", before, seen(&daemon))));
    }
    daemon.stop();

    let mut figures = Figures::new("webhooks that come again");
    figures.count("told again", "requests", 3 * each);
    for (what, keys, times, took) in [
        ("a reply", ["replies_per_s", "reply_p99_ms"], replies, replies_took),
        ("a receipt of no send", ["receipts_per_s", "receipt_p99_ms"], receipts, receipts_took),
        ("a forged one", ["forged_per_s", "forged_p99_ms"], forged, forged_took),
    ] {
        figures.rate(&format!("{what}, a second"), keys[0], each, took);
        figures.ms("  p99, ms", keys[1], quantile(&times, 990));
    }
    figures.cpu("cpu_s_per_1000", 3 * each, cpu);
    figures.number("growth of memory, MiB", "growth_mib", grown, 1);
    figures.count("growth of the store, bytes", "store_growth", more);
    Ok(figures)
}

fn start(folder: &Path) -> Daemon {
    let daemon = Daemon::start(folder);
    // Nothing is ever sent there: the first message is due in a month.
    let channel = format!(
        "kind: whatsapp\ntransport: meta\nmeta:\n  phone_number_id: \"{NUMBER}\"\n  token: {{ value: none }}\n  \
         app_secrets: [{{ value: {SECRET} }}]\n  verify_token: {{ value: hello }}\n"
    );
    let sequence = "steps:\n- wait: 30 days\n  channel: whatsapp\n  body: hi\n";
    let files = Files { tenant: "on: true\ntime_zone: UTC\n", channel: &channel, sequence };
    daemon.put(TENANT, "welcome", &files);
    daemon
}

fn reply() -> Value {
    json!({ "from": PHONE, "id": "wamid.word", "timestamp": seconds(), "type": "text", "text": { "body": "oi" } })
}

fn receipt() -> Value {
    json!({ "id": "wamid.nobodys", "status": "delivered", "timestamp": seconds(), "recipient_id": PHONE })
}

fn seconds() -> String {
    (now_ms() / 1_000).to_string()
}

/// What Meta posts of a number.
fn body(tells: &Value) -> String {
    let mut value = json!({ "messaging_product": "whatsapp",
        "metadata": { "display_phone_number": "15550783881", "phone_number_id": NUMBER } });
    for (field, what) in tells.as_object().into_iter().flatten() {
        value[field] = what.clone();
    }
    let change = json!({ "field": "messages", "value": value });
    json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "changes": [change] }] })
        .to_string()
}

/// Tells it once, signed with a secret; the status of the answer.
fn tell(client: &mut Client, body: &str, secret: &str) -> io::Result<u16> {
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), body.as_bytes());
    let hex: String = signature.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let headers = [("X-Hub-Signature-256", &*format!("sha256={hex}")), ("Content-Type", "application/json")];
    let path = format!("/v1/webhooks/{TENANT}/mail");
    client.request("POST", &path, &headers, body).map(|(status, _)| status)
}

fn expect(right: u16, status: u16) -> io::Result<()> {
    if status == right { Ok(()) } else { Err(io::Error::other(format!("{status} instead of {right}"))) }
}

/// Tells it so many times by many connections; how long each took, in order of length, and all together.
fn again(
    daemon: &Daemon,
    times: usize,
    body: &str,
    secret: &str,
    right: u16,
) -> io::Result<(Vec<Duration>, Duration)> {
    let (began, next) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let one = || {
        let (mut client, mut took) = (daemon.client(), Vec::new());
        while next.fetch_add(1, Ordering::Relaxed) < times {
            let began = Instant::now();
            expect(right, tell(&mut client, body, secret)?)?;
            took.push(began.elapsed());
        }
        Ok::<_, io::Error>(took)
    };
    let all: io::Result<Vec<Vec<Duration>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(one)).collect();
        let ended = |thread: std::thread::ScopedJoinHandle<'_, io::Result<Vec<Duration>>>| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a connection panicked")))
        };
        threads.into_iter().map(ended).collect()
    });
    let mut all: Vec<Duration> = all?.into_iter().flatten().collect();
    all.sort_unstable();
    Ok((all, began.elapsed()))
}

/// What is known of the one contact.
fn seen(daemon: &Daemon) -> String {
    format!("{:?}", timeline::read_all(daemon, TENANT, &[CONTACT]))
}

/// The bytes that the files of a folder have together.
fn stored(folder: &Path) -> io::Result<usize> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        bytes += if meta.is_dir() { stored(&entry.path())? } else { meta.len() as usize };
    }
    Ok(bytes)
}
