//! Webhooks that come again and again: what Meta signed once, told so many times by many connections. What is new in it
//! happens once; the rest costs no row. Replies, receipts of a message that was really sent, of one of somebody erased
//! since and of another tenant's, and forged ones.

use std::fs;
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ring::hmac;
use serde_json::{Value, json};

use crate::daemon::{Daemon, Files};
use crate::http::Client;
use crate::time::now_ms;
use crate::{timeline, wire};

/// Whose webhook it is, and who else has the number.
const TENANTS: [&str; 2] = ["acme", "globex"];
const SECRET: &str = "word-of-the-app";
const SETTINGS: &str = "[http]\nallow_plain = true\nnetworks = [\"127.0.0.0/8\"]\n";

/// The channel's number, as Meta names it.
const NUMBER: &str = "106540352242922";

/// Connections that tell at once.
const CONNECTIONS: usize = 32;

/// After so long a message is not going to be sent.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much more memory it may take, in MiB: 50 MB.
const GROWTH_MIB_MOST: f64 = 47.7;

/// Rows that may be written while all of it is told: what the daemon writes of itself, such as what the clock said.
const ROWS_MOST: u64 = 32;

/// One thing that is told again and again.
#[derive(Clone, Debug)]
pub struct Told {
    /// What.
    pub what: &'static str,
    /// How often.
    pub times: usize,
    /// How long all of them took together.
    pub took: Duration,
    /// How long each took, in order of length.
    pub each: Vec<Duration>,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Each kind.
    pub told: Vec<Told>,
    /// What the daemon took of the processors.
    pub cpu: Duration,
    /// By how much its memory grew, in MiB.
    pub growth_mib: f64,
    /// By how much its store grew, in bytes.
    pub store_bytes: usize,
    /// Rows it wrote.
    pub rows: u64,
    /// What was known of the contacts and changed by it: before, and after.
    pub changed: Option<(String, String)>,
}

impl Measured {
    /// What is not as it must be.
    #[must_use]
    pub fn findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        if self.growth_mib > GROWTH_MIB_MOST {
            findings.push(format!("memory grew by {:.1} MiB, more than {GROWTH_MIB_MOST}", self.growth_mib));
        }
        if self.rows > ROWS_MOST {
            findings.push(format!("{} rows were written, more than {ROWS_MOST}", self.rows));
        }
        if let Some((before, after)) = &self.changed {
            findings.push(format!("something was taken more than once: {before}, then {after}"));
        }
        findings
    }
}

/// Tells each of them once, and then so many times together.
///
/// # Panics
/// One is answered as it should not be.
#[must_use]
pub fn measure(folder: &Path, requests: usize) -> Measured {
    let daemon = start(folder);
    let mut client = daemon.client();
    let [replies, own, erased, theirs] = people(&daemon);
    client.must("ContactService/Erase", &json!({ "tenant": erased.tenant, "contact": erased.contact }));
    let reply = json!({ "from": replies.phone, "id": "wamid.word", "timestamp": seconds(), "type": "text",
        "text": { "body": "oi" } });
    let kinds = [
        ("a reply", body(&json!({ "messages": [reply] })), SECRET, 200),
        ("a receipt", receipt(&own), SECRET, 200),
        ("a receipt of somebody erased", receipt(&erased), SECRET, 200),
        ("a receipt of another tenant's", receipt(&theirs), SECRET, 200),
        ("a forged receipt", receipt(&own), "word-of-another", 403),
    ];
    // The first of each is what is new.
    for (what, body, secret, right) in &kinds {
        assert_eq!(tell(&mut client, body, secret), *right, "{what}");
    }
    assert_eq!(statuses(&daemon, &own), ["delivered", "pending"]);
    assert_eq!(statuses(&daemon, &theirs), ["sent", "pending"], "it is another tenant's");
    assert_eq!(statuses(&daemon, &replies)[0], "replied");
    let live = [&replies, &own, &theirs];
    let (before, memory, bytes) = (seen(&daemon, &live), daemon.memory_mib(), stored(&daemon.store()));
    let (rows, cpu) = (rows(&mut client), daemon.cpu());
    let each = requests / kinds.len();
    let told =
        kinds.iter().map(|(what, body, secret, right)| again(&daemon, what, each, body, secret, *right));
    let told = told.collect();
    let (cpu, after) = (daemon.cpu().saturating_sub(cpu), seen(&daemon, &live));
    let measured = Measured {
        told,
        cpu,
        growth_mib: daemon.memory_mib() - memory,
        store_bytes: stored(&daemon.store()).saturating_sub(bytes),
        rows: self::rows(&mut client).saturating_sub(rows),
        changed: (before != after).then_some((before, after)),
    };
    daemon.stop();
    measured
}

/// Somebody to whom a message was really sent.
struct One {
    tenant: &'static str,
    contact: String,
    phone: String,
    /// The message's key, which comes back with its receipts.
    key: String,
}

/// Two tenants with a channel to the same number, which a sink stands for.
fn start(folder: &Path) -> Daemon {
    let (sink, daemon) = (sink(), Daemon::start_with(folder, SETTINGS));
    let channel = format!(
        "kind: whatsapp\ntransport: meta\nmeta:\n  phone_number_id: \"{NUMBER}\"\n  token: {{ value: none }}\n  \
         base: http://{sink}\n  app_secrets: [{{ value: {SECRET} }}]\n  verify_token: {{ value: hello }}\n"
    );
    let step = "channel: whatsapp\n  body: hi\n  fallback: { name: hello_world, language: en_US }\n";
    let sequence = format!("steps:\n- {step}- wait: 30 days\n  {step}");
    let files = Files { tenant: "on: true\ntime_zone: UTC\n", channel: &channel, sequence: &sequence };
    TENANTS.iter().for_each(|tenant| daemon.put(tenant, "welcome", &files));
    daemon
}

/// What answers every message with an id, as Meta does. It ends with the process.
fn sink() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("a listener has an address");
    let says = r#"{"messaging_product":"whatsapp","messages":[{"id":"wamid.taken"}]}"#;
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{says}",
        says.len()
    );
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || {
                let mut stream = BufReader::new(stream);
                while wire::request(&mut stream).is_some() {
                    if stream.get_mut().write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// Who replies, who gets a receipt, who will be erased, and somebody of another tenant's: each was sent a message.
fn people(daemon: &Daemon) -> [One; 4] {
    let [own, other] = TENANTS;
    let people = [
        ("ana", own, "5511999990001"),
        ("bo", own, "5511999990002"),
        ("cy", own, "5511999990003"),
        ("dee", other, "5511999990004"),
    ];
    people.map(|(contact, tenant, phone)| {
        let enroll = json!({ "contact": contact, "profile": { "phone": format!("+{phone}") } });
        let wish = json!({ "tenant": tenant, "sequence": "welcome", "enroll": enroll });
        daemon.client().must("EnrollmentService/Enroll", &wish);
        let mut one = One { tenant, contact: contact.into(), phone: phone.into(), key: String::new() };
        let began = Instant::now();
        while statuses(daemon, &one) != ["sent", "pending"] {
            assert!(began.elapsed() < PATIENCE, "{contact} is not sent to: {:?}", statuses(daemon, &one));
            std::thread::sleep(Duration::from_millis(20));
        }
        one.key = of(daemon, &one).sends().remove(0).id;
        one
    })
}

fn of(daemon: &Daemon, one: &One) -> timeline::Timeline {
    timeline::read_all(daemon, one.tenant, &[&one.contact]).remove(0).remove(0)
}

fn statuses(daemon: &Daemon, one: &One) -> Vec<String> {
    of(daemon, one).statuses
}

/// The body of a receipt: the message was delivered.
fn receipt(one: &One) -> String {
    let receipt = json!({ "id": "wamid.taken", "status": "delivered", "timestamp": seconds(),
        "recipient_id": one.phone, "biz_opaque_callback_data": one.key });
    body(&json!({ "statuses": [receipt] }))
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
fn tell(client: &mut Client, body: &str, secret: &str) -> u16 {
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), body.as_bytes());
    let hex: String = signature.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let headers = [("X-Hub-Signature-256", &*format!("sha256={hex}")), ("Content-Type", "application/json")];
    let path = format!("/v1/webhooks/{}/mail", TENANTS[0]);
    client.request("POST", &path, &headers, body).expect("a webhook is answered").0
}

/// Tells it so many times by many connections.
fn again(daemon: &Daemon, what: &'static str, times: usize, body: &str, secret: &str, right: u16) -> Told {
    let (began, next) = (Instant::now(), AtomicUsize::new(0));
    let one = || {
        let (mut client, mut took) = (daemon.client(), Vec::new());
        while next.fetch_add(1, Ordering::Relaxed) < times {
            let began = Instant::now();
            assert_eq!(tell(&mut client, body, secret), right, "{what}");
            took.push(began.elapsed());
        }
        took
    };
    let mut each: Vec<Duration> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(one)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a connection ends")).collect()
    });
    each.sort_unstable();
    Told { what, times, took: began.elapsed(), each }
}

/// What is known of these contacts.
fn seen(daemon: &Daemon, people: &[&One]) -> String {
    people.iter().map(|one| format!("{:?} ", of(daemon, one))).collect()
}

/// Rows that the daemon has written so far, by its metrics.
fn rows(client: &mut Client) -> u64 {
    let (status, text) = client.request("GET", "/metrics", &[], "").expect("metrics are told");
    assert_eq!(status, 200, "{text}");
    let lines = text.lines().filter(|line| line.starts_with("followupd_rows_put_total"));
    let counts: Vec<f64> = lines.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    assert!(!counts.is_empty(), "no rows are counted: {text}");
    counts.iter().sum::<f64>() as u64
}

/// The bytes that the files of a folder have together.
fn stored(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).expect("the store's folder can be read").flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => stored(&entry.path()),
            Ok(meta) => meta.len() as usize,
            // The store has removed it meanwhile.
            Err(_) => 0,
        })
        .sum()
}
