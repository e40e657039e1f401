//! What can be observed of a run, in its order: our ids and virtual times, no actor ids.

use std::hash::Hasher;

use followupd_domain::channel::Kind;
use followupd_domain::enrollment::Enrollment;
use followupd_domain::{EnrollmentId, Moment, SendId, SequenceNo, TenantNo, VersionNo};

/// One line of a trace.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Milliseconds since the run began.
    pub(crate) at: i64,
    /// What the wall said.
    pub(crate) wall: Moment,
    /// In which life of the process.
    pub(crate) life: u32,
    /// What happened.
    pub(crate) what: What,
}

/// What happened.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "a trace is compared and printed, field by field")]
pub(crate) enum What {
    /// A process came up.
    Started,
    /// It died.
    Died(String),
    /// The wall clock was set.
    Jumped(i64),
    /// What the clocks said was written down.
    Kept,
    /// The store did this to a commit.
    Store(String),
    /// What a provider's words hold is durable.
    Held(String),
    /// A call began.
    Begun(Begun),
    /// A call was answered.
    Ended(SendId, &'static str),
    /// Something was asked; the number names the question.
    Asked(usize, String),
    /// It was answered.
    Answered(usize, String),
    /// A transition of an enrollment is durable.
    Durable(EnrollmentId, String),
}

/// A call that began.
#[derive(Clone, Debug)]
pub(crate) struct Begun {
    /// Whose send.
    pub(crate) send: SendId,
    /// Whose.
    pub(crate) tenant: TenantNo,
    /// Through which sequence.
    pub(crate) sequence: SequenceNo,
    /// Which version of it.
    pub(crate) version: VersionNo,
    /// To whom.
    pub(crate) contact: String,
    /// Through which channel.
    pub(crate) channel: String,
    /// Of which kind.
    pub(crate) kind: Kind,
}

/// An acknowledged stop: no call of these may begin after it.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    /// After which line.
    pub(crate) after: usize,
    /// Up to which line, where it was lifted.
    pub(crate) until: Option<usize>,
    /// Up to which moment of the wall, where it ends by itself.
    pub(crate) ends_at: Option<Moment>,
    /// What was acknowledged.
    pub(crate) what: String,
    /// Who is stopped.
    pub(crate) whom: Whom,
    /// Sends that the answer named as under way.
    pub(crate) in_flight: Vec<SendId>,
}

/// Whom a stop stops.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Whom {
    /// One enrollment.
    Enrollment(EnrollmentId),
    /// A contact of a tenant, on a kind of channel.
    Contact(TenantNo, String, Kind),
}

/// The trace of a run.
#[derive(Default)]
pub(crate) struct Trace {
    /// Its lines.
    pub(crate) lines: Vec<Line>,
}

impl Trace {
    /// A number that stands for the whole trace.
    pub(crate) fn hash(&self) -> u64 {
        let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
        for line in &self.lines {
            hasher.write(format!("{line:?}").as_bytes());
        }
        hasher.finish()
    }

    /// The lines that say something about an enrollment, the last of them.
    pub(crate) fn about(&self, needle: &str, most: usize) -> Vec<String> {
        let mut found: Vec<String> = self
            .lines
            .iter()
            .filter(|line| {
                matches!(line.what, What::Started | What::Died(_) | What::Jumped(_))
                    || format!("{line:?}").contains(needle)
            })
            .map(render)
            .collect();
        let surplus = found.len().saturating_sub(most);
        found.drain(..surplus);
        found
    }
}

/// A line for people.
pub(crate) fn render(line: &Line) -> String {
    let (s, ms) = (line.at / 1_000, line.at % 1_000);
    let (d, h, m) = (s / 86_400, s / 3_600 % 24, s / 60 % 60);
    format!(
        "{d}d {h:02}:{m:02}:{:02}.{ms:03} life {} wall {} {:?}",
        s % 60,
        line.life,
        line.wall.0,
        line.what
    )
}

/// How an enrollment reads in a trace.
pub(crate) fn brief(enrollment: &Enrollment) -> String {
    let open = enrollment.open.map(|open| open.attempt);
    format!("{} step {} open {open:?}", enrollment.state.word(), enrollment.step.0)
}

/// FNV-1a with the 64-bit basis and prime of its authors: the standard hasher is not the same from build to build.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
