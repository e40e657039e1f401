//! The bounds of the process edge, each with its reason.

use std::num::NonZeroU32;
use std::time::Duration;

/// Bytes of one RPC message: a batch of 1,000 contacts with generous attributes, far below what hurts.
pub(crate) const MESSAGE_BYTES: usize = 4 * 1_024 * 1_024;

/// Threads for what blocks: files of the outbox above all, which wait in line when all are taken.
/// tokio would start up to 512, whenever one is asked for in the moment between another's end and its being idle,
/// and each keeps some MiB of heap for good.
pub(crate) const BLOCKING_THREADS: usize = 16;

/// Batches of one enroll stream the engine works on at once: one is decided while the one before is synced.
pub(crate) const ENROLL_BATCHES_AHEAD: usize = 4;

/// Bytes of a `request-id`: a UUID and what a caller may put around it.
pub(crate) const REQUEST_ID_BYTES: usize = 128;

/// Bytes of the name in `on-behalf-of`: it stands on every timeline entry of what the caller does.
pub(crate) const BEHALF_BYTES: usize = 128;

/// Characters of the reason of a hold.
pub(crate) const HOLD_REASON_CHARS: usize = 200;

/// Characters of the reason of a suppression.
pub(crate) const SUPPRESSION_REASON_CHARS: usize = 200;

/// Days an access key is good for where it has an end: ten years, and no year that JSON cannot write.
pub(crate) const KEY_DAYS: i64 = 3_660;

/// Times a stream comes back by itself to an engine that has too much to do; then its client is told.
pub(crate) const STREAM_RETRIES: usize = 60;

/// When a caller may try again after the store did not answer.
pub(crate) const STORE_RETRY: Duration = Duration::from_secs(1);

/// Log lines one place in the code writes a second: more than anyone reads, and in an hour far less than a disk.
pub(crate) const LOG_LINES_A_PLACE: NonZeroU32 = NonZeroU32::MIN.saturating_add(49);

/// How often the files of TLS are looked at: a renewal is in use soon after.
pub(crate) const TLS_EVERY: Duration = Duration::from_secs(5);

/// Pause after a connection could not be accepted for a reason that is not its own.
pub(crate) const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Access keys whose pace is kept before those that have not called lately are forgotten.
pub(crate) const PACED_KEYS: usize = 10_000;

/// How often it is looked whether calls are wanted, for whoever watches health.
pub(crate) const READY_EVERY: Duration = Duration::from_secs(1);

/// How long a lane may be behind with looking at due rows before the daemon is not ready: twice the longest time a
/// lane rests by itself, so that only one that is stuck counts.
pub(crate) const BEHIND_MOST: Duration = Duration::from_secs(30);

/// How far the wall clock may be off the time limits are counted in before the daemon is not ready: less is drift or
/// a correction, more is a wrong clock, by which messages would go out at night.
pub(crate) const CLOCK_OFF_MOST: Duration = Duration::from_secs(6 * 3_600);

/// How often it is written down what the clock says: the next start compares, and a minute is nothing to six hours.
pub(crate) const CLOCK_EVERY: Duration = Duration::from_secs(60);

/// How long an end waits for the last of these: a healthy store takes milliseconds.
pub(crate) const CLOCK_LAST: Duration = Duration::from_secs(1);

/// A certificate is said to expire soon when less than this is left, and less than a third of its life: those who
/// renew by themselves do so with a third left.
pub(crate) const CERTIFICATE_SOON: Duration = Duration::from_secs(14 * 24 * 3_600);

/// Contacts a CSV upload puts in one batch: large enough to fill a commit, small enough to show progress.
pub(crate) const CSV_BATCH: usize = 500;

/// CSV batches on their way that have no result yet: bounds what an upload keeps in memory.
pub(crate) const CSV_BATCHES_AHEAD: usize = 8;

/// Bytes of one CSV row: attributes have at most 16 KiB, so one that is larger has lost its end.
pub(crate) const CSV_ROW_BYTES: usize = 1_024 * 1_024;

/// Bytes of contacts taken from a pipe, which has to be kept to be read twice: millions of rows, and no disk full.
pub(crate) const CSV_PIPE_BYTES: u64 = 256 * 1_024 * 1_024;

/// Bytes of the beginning of a CSV file that tell it from another.
pub(crate) const CSV_HEAD_BYTES: u64 = 64 * 1_024;

/// Longest wait for the answer to one call of the command line.
pub(crate) const CLI_CALL: Duration = Duration::from_secs(60);

/// Longest wait for a connection to the daemon.
pub(crate) const CLI_CONNECT: Duration = Duration::from_secs(5);

/// Calls of the command line that may wait for its one connection over TLS.
pub(crate) const CLI_CALLS_WAITING: usize = 1_024;

/// After so long the demo ends, whatever is left.
pub(crate) const DEMO_MOST: Duration = Duration::from_secs(55);

/// Bytes of a settings file of the command line (tenant, channel, sequence): 100 steps of 64 KiB do not fit one
/// message anyway.
pub(crate) const FILE_BYTES: u64 = MESSAGE_BYTES as u64;

/// Files of a folder that describes a tenant: what one comparison takes.
pub(crate) const FOLDER_FILES: usize = followupd_domain::limits::BATCH_ITEMS;

/// Bytes of sequences that are compared at once: their answer holds each of them twice, with its defaults.
pub(crate) const COMPARED_BYTES: usize = MESSAGE_BYTES / 4;

/// Bytes of an answer to the command line: what is there beside what is to be, of the largest there can be.
pub(crate) const ANSWER_BYTES: usize = 4 * MESSAGE_BYTES;

/// Bytes of a provider's code in a receipt, as it stands on timelines.
pub(crate) const CODE_BYTES: usize = 64;

/// Bytes of all bodies of providers' webhooks that are read and not taken in yet: twenty of the longest, thousands of the
/// usual ones, and what a flood of forged ones may take.
pub(crate) const TOLD_BYTES: usize = 64 * 1024 * 1024;

/// How long such a body may take to come: a provider's own comes at once.
pub(crate) const TOLD_BODY: Duration = Duration::from_secs(10);

/// First pause before what a provider told and does not tell again is taken in once more; doubles each time.
pub(crate) const TOLD_AGAIN: Duration = Duration::from_millis(100);

/// The last such pause: with those before it less than the 15 seconds that Twilio waits for an answer.
pub(crate) const TOLD_AGAIN_MOST: Duration = Duration::from_millis(6_400);

const _: () = assert!(CSV_BATCH <= followupd_domain::limits::BATCH_ITEMS);
const _: () = assert!(CSV_ROW_BYTES > followupd_domain::limits::ATTRIBUTE_BYTES);
const _: () = assert!(ENROLL_BATCHES_AHEAD <= CSV_BATCHES_AHEAD);
const _: () = assert!(MESSAGE_BYTES > followupd_domain::limits::ATTRIBUTE_BYTES * 2);
