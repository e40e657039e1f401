//! What stands at the other end of a wire: a mail server as its authors ship it, and a receiver of webhooks.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::daemon::free_address;
use crate::seed::Seed;

/// Longest wait for a server to listen.
const READY: Duration = Duration::from_secs(30);

/// The Python that `tests/run` installs what the tests need for: `FOLLOWUPD_PYTHON`, else the one in `target/tools`.
///
/// # Panics
/// It is not there.
#[must_use]
pub fn python() -> PathBuf {
    let installed = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/bin/python");
    let python = std::env::var_os("FOLLOWUPD_PYTHON").map_or_else(installed, PathBuf::from);
    assert!(python.is_file(), "{} is not there: `tests/run tools` installs it", python.display());
    python
}

/// aiosmtpd with its Maildir handler: a mail it says yes to is a file.
#[derive(Debug)]
pub struct MailServer {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    folder: PathBuf,
}

impl MailServer {
    /// Starts one that puts mails under `folder`.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start(folder: &Path) -> MailServer {
        let address = free_address();
        let mut command = Command::new(python());
        command.args(["-m", "aiosmtpd", "-n", "-l", &address.to_string(), "-c", "aiosmtpd.handlers.Mailbox"]);
        command.arg(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("the mail server can be run");
        let mut server = MailServer { child, address, folder: folder.to_path_buf() };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            let dead = server.child.try_wait().expect("the mail server can be asked for");
            assert!(dead.is_none() && began.elapsed() < READY, "the mail server does not start: {dead:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
        server
    }

    /// Every mail it has, by Message-ID without its domain; what has none stands under an empty one.
    ///
    /// # Panics
    /// Its folder cannot be read.
    #[must_use]
    pub fn mails(&self) -> BTreeMap<String, Vec<String>> {
        let mut mails: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for entry in fs::read_dir(self.folder.join("new")).into_iter().flatten().flatten() {
            let text = fs::read_to_string(entry.path()).expect("a mail can be read");
            let id = text.lines().find_map(|line| line.strip_prefix("Message-ID: <")).unwrap_or_default();
            let id = id.split('@').next().unwrap_or_default().to_owned();
            mails.entry(id).or_default().push(text);
        }
        mails
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a receiver does now and then instead of saying 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    /// It says 200.
    Kind,
    /// It takes the message and says 500.
    Breaks,
    /// It takes the message and hangs up.
    TakesAndHangsUp,
    /// It hangs up.
    HangsUp,
}

/// A receiver of webhooks that takes each key once.
#[derive(Debug)]
pub struct Sink {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

/// What a receiver was sent.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The messages it took, by key.
    pub taken: BTreeMap<String, Value>,
    /// How often a key came that it had.
    pub repeats: usize,
    /// Keys that came again with another message.
    pub changed: Vec<String>,
    /// Requests it did not answer with 200, by key.
    pub moods: BTreeMap<String, usize>,
}

/// So often a receiver fails a caller with one key at most: with a kill or two in between no message uses up its
/// attempts, and none waits for the long pauses between the last of them.
const MOODS_OF_A_KEY: usize = 2;

impl Sink {
    /// One that fails a caller `unkind` times in a thousand, and twice with one key at most.
    ///
    /// # Panics
    /// No port is free.
    #[must_use]
    pub fn start(unkind: u64, mut seed: Seed) -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, seed) = (Arc::clone(&shared), seed.fork());
                std::thread::spawn(move || receive(stream, &seen, unkind, seed));
            }
        });
        Sink { address, seen }
    }

    /// What it was sent so far.
    ///
    /// # Panics
    /// A receiving thread has panicked.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.seen.lock().expect("no receiver panics").clone()
    }
}

/// Serves one connection until it ends or the mood says so.
fn receive(stream: TcpStream, seen: &Mutex<Seen>, unkind: u64, mut seed: Seed) {
    let mut reader = BufReader::new(stream);
    while let Some((key, body)) = request(&mut reader) {
        let mut has = seen.lock().expect("no receiver panics");
        let moods = has.moods.get(&key).copied().unwrap_or_default();
        let mood = match seed.below(1_000) {
            n if n >= unkind || moods == MOODS_OF_A_KEY => Mood::Kind,
            n if n % 3 == 0 => Mood::Breaks,
            n if n % 3 == 1 => Mood::TakesAndHangsUp,
            _ => Mood::HangsUp,
        };
        if mood != Mood::Kind {
            has.moods.insert(key.clone(), moods + 1);
        }
        if mood != Mood::HangsUp {
            take(&mut has, key, body);
        }
        drop(has);
        let says: &[u8] = match mood {
            Mood::Kind => b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            Mood::Breaks => b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n",
            Mood::TakesAndHangsUp | Mood::HangsUp => return,
        };
        if reader.get_mut().write_all(says).is_err() {
            return;
        }
    }
}

fn take(seen: &mut Seen, key: String, body: Value) {
    match seen.taken.get(&key) {
        None => {
            seen.taken.insert(key, body);
        }
        Some(known) => {
            seen.repeats += 1;
            // When it is called is not the message's.
            let same =
                ["contact", "step", "subject", "body", "enrollment"].iter().all(|f| known[f] == body[f]);
            if !same {
                seen.changed.push(key);
            }
        }
    }
}

/// Reads a request, its idempotency key and its body; nothing when the connection ends.
pub fn request(reader: &mut BufReader<TcpStream>) -> Option<(String, Value)> {
    let (mut key, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ") {
            match name.to_ascii_lowercase().as_str() {
                "idempotency-key" => key = value.to_owned(),
                "content-length" => length = value.parse().ok()?,
                _ => {}
            }
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((key, serde_json::from_slice(&body).ok()?))
}
