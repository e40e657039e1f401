//! Timelines as the daemon answers them, as far as the oracles ask.

use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::time;

/// Callers that read at once.
const READERS: usize = 4;

/// One line.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What happened.
    pub kind: String,
    /// When.
    pub at: i64,
    /// Of which step, where the line says.
    pub step: Option<usize>,
    /// When that is due, where the line says.
    pub due_at: Option<i64>,
    /// Which send, where the line says.
    pub send_id: String,
    /// How far it got, where the line says.
    pub status: String,
}

/// One send, from its intent to its outcome.
#[derive(Clone, Debug)]
pub struct Send {
    /// Of which step.
    pub step: usize,
    /// `snd_…`.
    pub id: String,
    /// When it was decided.
    pub intended_at: i64,
    /// When its outcome was known, if it is.
    pub ended_at: Option<i64>,
    /// `sent`, `left_uncertain`, `withdrawn` or `doubted`, say; empty while it is open.
    pub outcome: String,
}

/// An enrollment and its history.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// `enr_…`.
    pub id: String,
    /// `completed`, `exited`, …
    pub state: String,
    /// Why it exited.
    pub reason: String,
    /// When it began.
    pub enrolled_at: i64,
    /// The status of each step it came to.
    pub statuses: Vec<String>,
    /// Its history.
    pub entries: Vec<Entry>,
}

impl Timeline {
    fn read(answer: &Value) -> Timeline {
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        let moment = |value: &Value| value.as_str().and_then(time::parse);
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let enrollment = &answer["enrollment"];
        let entry = |entry: &Value| Entry {
            kind: text(&entry["kind"]),
            at: moment(&entry["at"]).unwrap_or_else(|| panic!("no moment: {entry}")),
            step: entry["step"].as_u64().map(|step| step as usize),
            due_at: moment(&entry["dueAt"]),
            send_id: text(&entry["sendId"]),
            status: text(&entry["status"]),
        };
        Timeline {
            id: text(&enrollment["id"]),
            state: text(&enrollment["state"]),
            reason: text(&enrollment["reason"]),
            enrolled_at: moment(&enrollment["enrolledAt"]).unwrap_or_else(|| panic!("no moment: {answer}")),
            statuses: list(&enrollment["sends"]).iter().map(|send| text(&send["status"])).collect(),
            entries: list(&answer["entries"]).iter().map(entry).collect(),
        }
    }

    /// The lines of one kind.
    pub fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| entry.kind == kind)
    }

    /// Its sends, each with the outcome that follows its intent.
    #[must_use]
    pub fn sends(&self) -> Vec<Send> {
        let mut sends: Vec<Send> = Vec::new();
        for entry in &self.entries {
            match entry.kind.as_str() {
                "intended" => sends.push(Send {
                    step: entry.step.unwrap_or(usize::MAX),
                    id: entry.send_id.clone(),
                    intended_at: entry.at,
                    ended_at: None,
                    outcome: String::new(),
                }),
                "sent" | "left_uncertain" | "withdrawn" | "refused" | "backed_off" | "doubted" => {
                    if let Some(send) = sends.last_mut().filter(|send| send.ended_at.is_none()) {
                        (send.ended_at, send.outcome) = (Some(entry.at), entry.kind.clone());
                    }
                }
                _ => {}
            }
        }
        sends
    }
}

/// The timelines of each of these contacts.
///
/// # Panics
/// The daemon does not tell them.
#[must_use]
pub fn read_all(daemon: &Daemon, tenant: &str, contacts: &[&str]) -> Vec<Vec<Timeline>> {
    let share = contacts.len().div_ceil(READERS);
    std::thread::scope(|scope| {
        let readers: Vec<_> = contacts
            .chunks(share)
            .map(|chunk| scope.spawn(|| chunk.iter().map(reader(daemon, tenant)).collect::<Vec<_>>()))
            .collect();
        readers.into_iter().flat_map(|reader| reader.join().expect("a reader ends")).collect()
    })
}

fn reader(daemon: &Daemon, tenant: &str) -> impl FnMut(&&str) -> Vec<Timeline> {
    let mut client = daemon.client();
    move |contact| {
        let asked = json!({ "tenant": tenant, "contact": contact });
        let known = client.must("EnrollmentService/ListByContact", &asked);
        let ids = known["enrollmentIds"].as_array().cloned().unwrap_or_default();
        let mut read = |id: &Value| {
            let asked = json!({ "tenant": tenant, "enrollmentId": id });
            Timeline::read(&client.must("EnrollmentService/GetTimeline", &asked))
        };
        ids.iter().map(&mut read).collect()
    }
}

/// How many sends were on the wire at a moment: begun before it, their outcome known only after it.
#[must_use]
pub fn in_flight(timelines: &[Vec<Timeline>], at: i64) -> usize {
    let sends = timelines.iter().flatten().flat_map(Timeline::sends);
    sends.filter(|send| send.intended_at < at && send.ended_at.is_none_or(|ended| ended >= at)).count()
}
