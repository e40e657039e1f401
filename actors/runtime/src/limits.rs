//! The bounds of the running tree, each with its reason.

use std::time::Duration;

use followupd_domain::Span;
use followupd_domain::limits::{self as domain_limits, BATCH_ITEMS};
use followupd_domain::signal::Signal;

/// Bytes of a provider's id of a message that stand in an event's id as they are; behind them there is room for a
/// check of the contact.
pub(crate) const TOLD_ID_BYTES: usize = followupd_domain::limits::ID_BYTES - 9;

/// Contacts of one address that hear of what it writes. A number is one person's, with an id for each of their tickets at
/// most; what more have is a placeholder, and a provider does not wait for them.
pub(crate) const CONTACTS_OF_AN_ADDRESS: usize = 10_000;

/// Calls of one tenant that may wait for their answer: enough to keep the committer busy with single calls, few
/// enough that all of them are answered within a second or so.
pub(crate) const WAITING_A_TENANT: usize = 4_096;

/// Items (contacts, events) in the waiting calls of one node: bounds the memory a flood can take.
pub(crate) const WAITING_ITEMS: usize = 16 * BATCH_ITEMS;

/// When a refused caller may come back.
pub(crate) const COME_BACK: Span = Span::seconds(1);

/// Calls a lane has under way at once: connection slots.
pub(crate) const CALLS_A_LANE: usize = 64;

/// Rows a lane looks at besides those it calls: one for so many places, so that the next is ready when one is free, and
/// few are looked at for nothing while calls are slow.
pub(crate) const LOOKED_AT_PART: usize = 4;

/// Rows of the transactional class a lane has under way besides all others.
pub(crate) const URGENT_CALLS: usize = 16;

/// Pause before a jump of the clock is written down again that could not be.
pub(crate) const KEEP_AGAIN: Duration = Duration::from_secs(1);

/// Sends a second that a lane without a rate is taken to make at its whole pace before anybody has seen it: what it is
/// slowed from after a hold.
pub(crate) const PACE_UNKNOWN: i64 = 100;

/// Pause before what a provider asked to hold is written down again that could not be.
pub(crate) const REACT_AGAIN: Duration = Duration::from_secs(1);

/// Rows of one queue a pacer reads at once.
pub(crate) const WINDOW: usize = 256;

/// Rows of one queue a pacer keeps before it lets go of the farthest.
pub(crate) const WINDOW_MOST: usize = 4 * WINDOW;

/// Windows that a lane looks through for open sends before it goes to work, while its shard waits: some ten
/// milliseconds. Calls that were under way are among the first of their queues, and most lanes have few of these.
pub(crate) const DOUBT_WINDOWS: usize = 16;

/// A lane with nothing due sooner than this is a row, not an actor.
pub(crate) const NEAR: Span = Span::seconds(30);

/// A shard with nothing near asks the wall clock at least this often, in case it has jumped.
pub(crate) const LONGEST_SLEEP: Span = Span::minutes(5);

/// How often a commit is decided anew when rows changed under it; beyond that the caller is asked to come back.
pub(crate) const LOOKS: usize = 64;

/// First pause after an enrollment's actor failed; doubles with each failure in a row.
pub(crate) const RETRY_FAILED: Span = Span::seconds(1);

/// Access keys of a store: all of them are kept in memory.
pub(crate) const KEYS: usize = 10_000;

/// How long after the moment of a hold its line in the audit log can be dated: one commit is decided in between.
pub(crate) const HOLD_TOLD: Span = Span::seconds(1);

/// Lines of the audit log that are searched for who held something: more than are written in that time.
pub(crate) const HOLD_LINES: usize = 1_000;

/// Rows of a lane that a forecast counts: more are said to be more.
pub(crate) const FORECAST_ROWS: usize = 100_000;

/// Rows of a lane that a forecast looks at one by one: each costs a few reads.
pub(crate) const FORECAST_LOOKS: usize = 500;

/// Queues of a lane whose backlog is told: each costs some short reads.
pub(crate) const BACKLOG_QUEUES: usize = 500;

/// Hours of one queue that are read for it: those of 83 days, nearly all that an enrollment may live.
pub(crate) const BACKLOG_HOURS: usize = 2_000;

/// Counts of a lane that are read for it: some tens of milliseconds.
pub(crate) const BACKLOG_COUNTS: usize = 20_000;

/// Wakes of the hour that has begun that are looked at in each queue, from either end: what is due of more is an
/// estimate.
pub(crate) const BACKLOG_LOOKS: usize = 1_000;

/// Spans of a cap that a forecast goes through one by one.
pub(crate) const FORECAST_WINDOWS: u64 = 1_000;

/// What holds a lane for less is its pace.
pub(crate) const BACKLOG_HOLDS: Span = Span::seconds(1);

/// Pause before a lane or a shard that failed starts anew.
pub(crate) const RETRY_LANE: Span = Span::seconds(1);

/// Pause of a lane after the store refused a write.
pub(crate) const RETRY_STORE: Span = Span(500);

/// Pause before an accepted event is tried again that not everyone could consume.
pub(crate) const RETRY_CONSUME: Duration = Duration::from_secs(1);

/// Longest pause between two tries of what the store or an enrollment does not let happen.
pub(crate) const RETRY_MOST: Duration = Duration::from_secs(30);

/// First pause before an enrollment that failed is asked again; doubles.
pub(crate) const ASK_AGAIN: Duration = Duration::from_millis(50);

/// How often an enrollment that fails is asked: past its quarantine, which lets more things happen to it.
pub(crate) const ASKS: u32 = domain_limits::ACTIVATION_FAILURES as u32 + 3;

/// How long after an enrollment ended a message of its contact is credited to its last send.
pub(crate) const REPLY_CREDIT: Span = Span::days(30);

/// Longest wait for a place at the provider before a wake is put back.
pub(crate) const SLOT: Duration = Duration::from_secs(1);

/// A pacer looks at its lane at least this often while it lives: hours are computed anew, so that a jump of the
/// wall clock is noticed, and queues it has not heard of are found.
pub(crate) const LOOK_AGAIN: Span = Span::seconds(15);

/// Rows one page of a list looks at: read and decoded while the caller waits, some milliseconds.
pub(crate) const LIST_LOOKS: usize = BATCH_ITEMS;

/// Bytes of rows one page of a list shows at most, the last row aside: an answer has to fit a message.
pub(crate) const LIST_BYTES: usize = 512 * 1_024;

/// History entries one page of an export shows at most, those of its last enrollment aside: an answer has to fit a
/// message.
pub(crate) const EXPORT_ENTRIES: usize = 4_096;

/// Wakes that are counted before one that is explained: what stands behind more than these is an estimate anyway.
pub(crate) const LINE_LOOKS: usize = 10_000;

/// Rows a sweep looks at in one step: more than a busy tenant writes in the pause.
pub(crate) const SWEEP: usize = 2_048;

/// Access keys that one commit takes away with their tenant; `followupd_store::limits::COMMIT_PARTS` is the most.
pub(crate) const KEYS_REVOKED: usize = 1_000;

/// Between two rounds through the tables of a deleted tenant: the first takes what is there, the last finds nothing.
pub(crate) const REMOVE_AGAIN: Duration = Duration::from_millis(200);

/// After a full page of what is removed.
pub(crate) const REMOVE_PAUSE: Duration = Duration::from_millis(20);

/// Pause between two steps of a sweep: what is swept never crowds out what is sent.
pub(crate) const SWEEP_STEP: Span = Span::seconds(1);

/// Enrollments that a sweep ends at once: enough to fill a group of the committer, few beside those of callers.
pub(crate) const EXPIRE_TOGETHER: usize = 64;

/// How long a template rests that its provider has paused: the shortest of Meta's pauses. Where it is paused for longer, it
/// says so again.
pub(crate) const TEMPLATE_RESTS: Span = Span::hours(3);

/// How long one rests of which it says that it may not be sent: then it is tried.
pub(crate) const TEMPLATE_AWAY: Span = Span::hours(6);

/// Rows of a channel's signals that are read: one for each signal of each hour that any is kept of.
pub(crate) const SIGNAL_ROWS: usize = Signal::ALL.len() * (8 * 24 + 2);

/// How often a channel's kill switches look at it, at most: what is in between is few sends for whom it matters.
pub(crate) const WATCH_EVERY: Span = Span::seconds(1);

/// Receipts of a batch that are taken in at once: as many.
pub(crate) const RECEIPTS_TOGETHER: usize = 64;

/// How far back the clock may be at a start, compared with what it said last: a correction, no wrong clock.
pub(crate) const CLOCK_BACK_MOST: Span = Span::seconds(5);

/// How far ahead the clock may be at a start: a night without the process is more, and somebody should look at what
/// goes out after one.
pub(crate) const CLOCK_AHEAD_MOST: Span = Span::hours(6);

/// How often the pause before a step of a sweep doubles that failed again: up to an hour and more.
pub(crate) const SWEEP_DOUBLES: u32 = 12;

/// Pause between two rounds of a sweep.
pub(crate) const SWEEP_ROUND: Span = Span::hours(1);

/// How long a lane rests whose channel has no way out (a secret is missing on this machine, say): soon enough after
/// it is mended, and seldom enough that nobody's log is filled.
pub(crate) const NO_WAY_OUT: Span = Span::seconds(10);

const _: () = assert!(WINDOW < WINDOW_MOST);
const _: () = assert!(BACKLOG_HOURS < BACKLOG_COUNTS);
const _: () = assert!(WAITING_ITEMS >= BATCH_ITEMS);
const _: () = assert!(CALLS_A_LANE <= WINDOW);
const _: () = assert!(LOOK_AGAIN.0 <= NEAR.0);
const _: () = assert!(KEYS_REVOKED + 3 <= followupd_store::limits::COMMIT_PARTS);
const _: () = assert!(SWEEP <= followupd_store::limits::COMMIT_PARTS);
const _: () = assert!(SWEEP * followupd_store::limits::KEY_BYTES <= followupd_store::limits::COMMIT_BYTES);
const _: () = assert!(NEAR.0 <= LONGEST_SLEEP.0);
