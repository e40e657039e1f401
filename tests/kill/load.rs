//! What happens during the kill test: the file is enrolled, people reply, the daemon is killed and comes back.
//!
//! Replies follow what has arrived: a contact replies about when its next mail is due, while one is being written,
//! some time after one has arrived, or before it was ever enrolled. Each call is made again until it is answered,
//! always with the same id.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use blackbox::daemon::Daemon;
use blackbox::http::{Client, Door};
use blackbox::maildir::{Mail, Maildir};
use blackbox::seed::Seed;
use blackbox::{daemon, time};
use serde_json::{Value, json};

use crate::kill::contacts::{self, Contact, STEPS, WAIT_MS};
use crate::{SEQUENCE, TENANT};

/// How many kills there are.
const KILLS: usize = 7;

/// Of a thousand contacts so many reply when a step is nearly due, some time after a mail, very early, or while one
/// of its mails is on the wire, if that is ever seen.
const NEAR_DUE: u64 = 220;
const AFTER_A_MAIL: u64 = 120;
const EARLY: u64 = 20;
const ON_THE_WIRE: u64 = 60;

/// Callers that tell the daemon of replies.
const CALLERS: usize = 8;

/// How often the Maildir is looked at.
const TICK: Duration = Duration::from_millis(30);

/// After so long without a new mail everything that was to come has come, or is lost.
const QUIET: Duration = Duration::from_secs(30);

/// Longest time one call may take with all its tries: the daemon is never away for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// One kill.
#[derive(Clone, Debug)]
pub(crate) struct Kill {
    /// How long after the beginning.
    pub(crate) after: Duration,
    /// By then it was dead.
    pub(crate) dead_at: i64,
    /// By then it took calls again.
    pub(crate) back_at: i64,
}

/// A reply, and what the daemon said to it.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// When it happened, as its event says.
    pub(crate) occurred_at: i64,
    /// By then it was acknowledged.
    pub(crate) acked_at: i64,
    /// How often it was asked.
    pub(crate) tries: u32,
    /// Taken in before: the first answer was lost.
    pub(crate) duplicate: bool,
    /// The enrollments that ended by it.
    pub(crate) exited: Vec<String>,
    /// Their sends that had begun.
    pub(crate) in_flight: Vec<String>,
}

/// What happened.
#[derive(Debug)]
pub(crate) struct Played {
    /// Every mail.
    pub(crate) mails: Vec<Mail>,
    /// The replies, by contact.
    pub(crate) replies: BTreeMap<usize, Reply>,
    /// The kills.
    pub(crate) kills: Vec<Kill>,
}

/// When a contact replies.
#[derive(Clone, Copy, Debug)]
enum Wish {
    /// So long before that step is due.
    NearDue { step: usize, before_ms: i64 },
    /// So long after that step has arrived.
    After { step: usize, after_ms: i64 },
    /// At that moment, enrolled or not.
    Early { at: i64 },
    /// While a mail to it is being written.
    OnTheWire,
}

/// Plays it all; ends when nothing more is to come.
pub(crate) fn run(daemon: &mut Daemon, folder: &Path, contacts: &[Contact], seed: &mut Seed) -> Played {
    let (mut wishing, mut killing) = (seed.fork(), seed.fork());
    let door = &daemon.door();
    let csv = folder.join("contacts.csv");
    fs::write(&csv, contacts::csv(contacts)).unwrap();
    let wishes: BTreeMap<usize, Wish> =
        (0..contacts.len()).filter_map(|contact| Some((contact, wish(&mut wishing)?))).collect();
    let outbox = daemon.outbox();
    let (uploaded, arrived) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (killed, watched) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _over = Over(&uploaded);
            upload(door, &csv);
        });
        let (tell, told) = channel();
        let told = Arc::new(Mutex::new(told));
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let told = Arc::clone(&told);
                scope.spawn(move || caller(door, &told, contacts))
            })
            .collect();
        let lurking = tell.clone();
        scope.spawn(|| lurk(&outbox, &wishes, contacts, lurking, &watched));
        let watching = scope.spawn(|| {
            let _over = Over(&watched);
            let done = || uploaded.load(Relaxed) && killed.load(Relaxed);
            watch(Maildir::new(outbox.clone()), &wishes, contacts, tell, &arrived, done)
        });
        let kills = {
            let _over = Over(&killed);
            kill(daemon, &mut killing, &arrived)
        };
        let mails = watching.join().unwrap();
        let replies = callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect();
        wait_until_settled(door);
        let mut mails = mails;
        // Those of the last moment.
        let seen: BTreeSet<String> = mails.iter().map(|mail| mail.file.clone()).collect();
        let all = Maildir::new(outbox.clone()).more();
        mails.extend(all.into_iter().filter(|mail| !seen.contains(&mail.file)));
        Played { mails, replies, kills }
    })
}

/// Says that something is over, also when it failed: the others must not wait for it.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

fn wish(seed: &mut Seed) -> Option<Wish> {
    let step = |from: u64, seed: &mut Seed| seed.between(from, STEPS as u64) as usize;
    match seed.below(1_000) {
        n if n < NEAR_DUE => Some(Wish::NearDue { step: step(1, seed), before_ms: seed.below(900) as i64 }),
        n if n < NEAR_DUE + AFTER_A_MAIL => {
            Some(Wish::After { step: step(0, seed), after_ms: seed.below(WAIT_MS as u64) as i64 })
        }
        n if n < NEAR_DUE + AFTER_A_MAIL + EARLY => {
            Some(Wish::Early { at: time::now_ms() + seed.below(4_000) as i64 })
        }
        n if n < NEAR_DUE + AFTER_A_MAIL + EARLY + ON_THE_WIRE => Some(Wish::OnTheWire),
        _ => None,
    }
}

/// Enrolls the file as a person would: after a broken connection the same command again.
fn upload(door: &Door, csv: &Path) {
    let began = Instant::now();
    loop {
        let mut command = daemon::asking(door);
        command.args(["--tenant", TENANT]);
        let output = command.args(["enroll", "--sequence", SEQUENCE, "--csv"]).arg(csv).output().unwrap();
        let says = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) => return println!("{}", String::from_utf8_lossy(&output.stdout).trim()),
            // Who left before the file came again is not enrolled again so soon.
            Some(7) => return println!("{}", says.trim()),
            // Unreachable, or refused for now.
            Some(3 | 4) if began.elapsed() < PATIENCE => println!("again: {}", says.trim()),
            code => panic!("the file is not enrolled: {code:?} {says}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Kills at moments of the seed, each while mails are arriving.
fn kill(daemon: &mut Daemon, seed: &mut Seed, arrived: &AtomicUsize) -> Vec<Kill> {
    let began = Instant::now();
    let mut kills = Vec::new();
    // The first one hits the upload, which is over within a second or so.
    let mut pause = seed.between(50, 400);
    for _ in 0..KILLS {
        std::thread::sleep(Duration::from_millis(pause));
        let (before, waited) = (arrived.load(Relaxed), Instant::now());
        while arrived.load(Relaxed) == before && waited.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(1));
        }
        // Not always just after the Maildir was looked at.
        std::thread::sleep(Duration::from_millis(seed.below(TICK.as_millis() as u64)));
        let after = began.elapsed();
        daemon.kill();
        let dead_at = time::now_ms();
        daemon.restart();
        kills.push(Kill { after, dead_at, back_at: time::now_ms() });
        pause = seed.between(2_500, 5_500);
    }
    kills
}

/// Watches what arrives and has people reply; ends when everybody has and nothing has arrived for long.
fn watch(
    mut maildir: Maildir,
    wishes: &BTreeMap<usize, Wish>,
    contacts: &[Contact],
    tell: Sender<usize>,
    arrived: &AtomicUsize,
    done: impl Fn() -> bool,
) -> Vec<Mail> {
    let index: BTreeMap<&str, usize> = contacts.iter().map(|contact| contact.id.as_str()).zip(0..).collect();
    let mut mails: Vec<Mail> = Vec::new();
    let mut due: BTreeSet<(i64, usize)> = BTreeSet::new();
    let mut open: BTreeMap<usize, Wish> = wishes.clone();
    open.retain(|_, wish| !matches!(wish, Wish::OnTheWire));
    let mut last = Instant::now();
    loop {
        for mail in maildir.more() {
            let contact = index.get(mail.header("X-Followup-Contact")).copied();
            let wish = contact.and_then(|contact| Some((contact, open.get(&contact)?)));
            let at = wish.and_then(|(contact, wish)| Some((reply_at(*wish, &mail)?, contact)));
            if let Some((at, contact)) = at {
                open.remove(&contact);
                due.insert((at, contact));
            }
            mails.push(mail);
            last = Instant::now();
        }
        arrived.store(mails.len(), Relaxed);
        let now = time::now_ms();
        open.retain(|contact, wish| match wish {
            Wish::Early { at } => !due.insert((*at, *contact)),
            Wish::NearDue { .. } | Wish::After { .. } | Wish::OnTheWire => true,
        });
        while let Some((_, contact)) = due.first().copied().filter(|(at, _)| *at <= now) {
            due.pop_first();
            tell.send(contact).unwrap();
        }
        let everybody = open.is_empty() && due.is_empty() && mails.len() >= contacts.len();
        let quiet = if everybody { Duration::from_millis(2 * WAIT_MS as u64) } else { QUIET };
        if done() && last.elapsed() > quiet {
            return mails;
        }
        std::thread::sleep(TICK);
    }
}

/// When the contact of this mail replies, if the mail is what it waits for.
fn reply_at(wish: Wish, mail: &Mail) -> Option<i64> {
    match wish {
        Wish::NearDue { step, before_ms } if mail.step() + 1 == step => {
            Some(mail.written_at + WAIT_MS - before_ms)
        }
        Wish::After { step, after_ms } if mail.step() == step => Some(mail.written_at + after_ms),
        Wish::NearDue { .. } | Wish::After { .. } | Wish::Early { .. } | Wish::OnTheWire => None,
    }
}

/// Watches mails while they are written, and has their contacts reply that moment if they wish to.
fn lurk(
    outbox: &Path,
    wishes: &BTreeMap<usize, Wish>,
    contacts: &[Contact],
    tell: Sender<usize>,
    over: &AtomicBool,
) {
    let wishing = wishes.iter().filter(|(_, wish)| matches!(wish, Wish::OnTheWire));
    let mut wishing: BTreeMap<&str, usize> =
        wishing.map(|(contact, _)| (contacts[*contact].id.as_str(), *contact)).collect();
    while !over.load(Relaxed) {
        let entries = fs::read_dir(outbox.join("tmp")).into_iter().flatten().flatten();
        // One that has moved on meanwhile is no longer of interest.
        let texts = entries.filter_map(|entry| fs::read_to_string(entry.path()).ok());
        for text in texts {
            let contact = text.lines().find_map(|line| line.strip_prefix("X-Followup-Contact: "));
            if let Some(contact) = contact.and_then(|contact| wishing.remove(contact)) {
                tell.send(contact).unwrap();
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Tells the daemon of replies until there are no more.
fn caller(door: &Door, told: &Mutex<Receiver<usize>>, contacts: &[Contact]) -> Vec<(usize, Reply)> {
    let mut client = Client::new(door);
    let mut replies = Vec::new();
    loop {
        let next = told.lock().unwrap().recv();
        let Ok(contact) = next else { return replies };
        replies.push((contact, reply(&mut client, &contacts[contact].id)));
    }
}

fn reply(client: &mut Client, contact: &str) -> Reply {
    let occurred_at = time::now_ms();
    let event = json!({
        "source": "inbox",
        "id": format!("reply/{contact}"),
        "type": "message.received",
        "occurredAt": time::text(occurred_at),
        "contact": contact,
        "text": "Thanks, but not now.",
    });
    let request = json!({ "tenant": TENANT, "event": event });
    let (answer, tries) = client.until_answered("EventService/Send", &request, PATIENCE);
    let acked_at = time::now_ms();
    let result = &answer["result"];
    let duplicate = match result["outcome"].as_str() {
        Some("EVENT_OUTCOME_ACCEPTED") => false,
        Some("EVENT_OUTCOME_DUPLICATE") if tries > 1 => true,
        other => panic!("a reply of {contact} is answered {other:?} at try {tries}: {answer}"),
    };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    Reply {
        occurred_at,
        acked_at,
        tries,
        duplicate,
        exited: list(&result["exited"]).iter().map(|exited| text(&exited["enrollmentId"])).collect(),
        in_flight: list(&result["inFlightSendIds"]).iter().map(text).collect(),
    }
}

/// Waits until nobody is on the way, as far as the daemon knows.
fn wait_until_settled(door: &Door) {
    let (began, mut client) = (Instant::now(), Client::new(door));
    let request = json!({ "tenant": TENANT, "sequence": SEQUENCE });
    while began.elapsed() < QUIET {
        let funnel = client.must("SequenceService/GetFunnel", &request);
        if funnel["versions"][0]["active"].as_u64().unwrap_or(0) == 0 {
            return;
        }
        std::thread::sleep(TICK);
    }
}
