//! Every bound of the stores in one place, each with its reason; how they relate is asserted where they stand.

use std::time::Duration;

/// Bytes in a KiB.
const KIB: usize = 1_024;

/// Bytes in a MiB.
const MIB: usize = 1_024 * KIB;

/// Bytes of a key. The longest hold a source's and an event's name; fjall takes 64 KiB, Redis far more.
pub const KEY_BYTES: usize = KIB;

/// Bytes of one encoded record: above a rendered message and its fixed parts, below what would fill a group alone.
pub const RECORD_BYTES: usize = MIB;

/// Bytes of all keys and rows one commit writes: the largest record and its company.
pub const COMMIT_BYTES: usize = 2 * MIB;

/// Rows, expectations, counts and ledger changes of one commit: a batch of a sweep at most.
pub const COMMIT_PARTS: usize = 4_096;

/// Commits of one group: enough that a sync (about 2 ms) is shared by hundreds, few enough that an exit that has
/// just missed a group waits some milliseconds only.
pub const GROUP_COMMITS: usize = 512;

/// Bytes of one group, for the same reason. The first commit of each class is taken even beyond it.
pub const GROUP_BYTES: usize = 4 * MIB;

/// Commits that each class with waiting work has for sure in a full group, so that a flood of a higher class
/// starves none below it.
pub const GROUP_FLOOR: usize = GROUP_COMMITS / 16;

/// Of this many parts of a group new enrollments take one at most while other work waits.
pub const ENROLL_SHARE: usize = 2;

/// Commits that wait in one class before a caller has to wait with its own: some groups' worth. Each class has
/// its own room, so that a queue full of enrolls never keeps an exit out.
pub const QUEUE_COMMITS: usize = 4 * GROUP_COMMITS;

/// Bytes that wait in one class, for commits larger than most.
pub const QUEUE_BYTES: usize = 8 * MIB;

/// What a waiting commit weighs at least: its own structs and its answer.
pub const QUEUE_COMMIT_BYTES: usize = QUEUE_BYTES / QUEUE_COMMITS;

/// Bytes of writes that fjall keeps in memory before it writes a table. At most four of these are resident.
pub const MEMTABLE_BYTES: usize = 16 * MIB;

/// How long the committer lets commits gather where several came in the group before: less than a sync and the
/// switches between threads it costs, and a caller that is alone never waits for it.
pub const GATHER: Duration = Duration::from_micros(250);

/// Where so many wait, the next group is large enough already.
pub const GATHERED: usize = 64;

/// Bytes of journal on disk; opening reads them all. fjall begins a new journal every 64 MB and takes no less.
pub const JOURNAL_BYTES: usize = 128 * MIB;

/// Bytes of blocks kept in memory. With four memtables and what fjall pins it leaves room below 300 MB for a
/// million sleeping enrollments.
pub const CACHE_BYTES: usize = 48 * MIB;

/// Table files kept open; a default of most systems is 1,024 for the whole process.
pub const OPEN_FILES: usize = 400;

/// Bytes read at once of a journal's reserved end.
pub const JOURNAL_CHUNK_BYTES: usize = MIB;

/// Threads of fjall that write and merge tables: one for each, so that merging never holds up writing.
pub const WORKERS: usize = 2;

/// Threads that read: beyond this a disk is not faster, and each thread costs its stack.
pub const READERS: usize = 8;

/// Reads that may wait for each reading thread that is awake before another is roused. One from memory takes some
/// microseconds, less than waking a thread; eight from a disk are still below what a sync takes.
pub const READS_AHEAD: usize = 8;

/// Rows of one scan, whatever it asks for.
pub const SCAN_ROWS: usize = 100_000;

/// Bytes of rows in one part of a backup: large enough that frames cost nothing, small enough that a reader and a
/// slow connection hold little. A single row may be larger.
pub const BACKUP_PART_BYTES: usize = 256 * KIB;

/// Bytes of one frame of a backup: a full part and one more row, the largest there is.
pub const BACKUP_FRAME_BYTES: usize = 2 * MIB;

/// Bytes of free disk below which new work is refused: room for the journals and one merge, so that exits and
/// outcomes can still be written while somebody makes room.
pub const FREE_BYTES_MIN: u64 = 512 * MIB as u64;

/// Below one part in this many of [`FREE_BYTES_MIN`] intents are refused as well.
pub const FREE_CRITICAL_SHARE: u64 = 2;

/// How often the free disk is looked at, and a quiet store is asked whether it is sound.
pub const CHECK_EVERY: Duration = Duration::from_secs(1);

/// How long the committer waits for fjall to write or merge tables before it takes the store for failed. fjall
/// itself would wait without end when its flush has failed.
pub const STALL_MAX: Duration = Duration::from_secs(30);

/// First pause before a failed store is opened again; doubles up to [`REOPEN_AFTER_MAX`].
pub const REOPEN_AFTER: Duration = Duration::from_millis(100);

/// Longest pause between two attempts to open.
pub const REOPEN_AFTER_MAX: Duration = Duration::from_secs(10);

/// A store that stays open so long has recovered, and its next failure begins with the first pause again.
pub const REOPENED_WELL_AFTER: Duration = Duration::from_secs(30);

/// Op ids a Redis shard remembers: more than one owner can have under way.
pub const OPS_REMEMBERED: usize = 8 * GROUP_COMMITS;

/// How often one Redis commit is sent again after a broken connection before its fate is called unknown.
pub const REDIS_ATTEMPTS: u32 = 3;

/// How long one Redis call may take before it counts as not answered.
pub const REDIS_CALL: Duration = Duration::from_secs(2);

/// First and longest pause, and number, of attempts to connect to Redis within one call.
pub const REDIS_CONNECT_AFTER: Duration = Duration::from_millis(50);
/// See [`REDIS_CONNECT_AFTER`].
pub const REDIS_CONNECT_AFTER_MAX: Duration = Duration::from_millis(500);
/// See [`REDIS_CONNECT_AFTER`].
pub const REDIS_CONNECTS: usize = 3;

const _: () = assert!(followupd_domain::limits::RENDERED_BYTES < RECORD_BYTES);
const _: () = assert!(followupd_domain::limits::SEQUENCE_BYTES < RECORD_BYTES);
const _: () = assert!(RECORD_BYTES + KEY_BYTES < COMMIT_BYTES);
const _: () = assert!(BACKUP_PART_BYTES + RECORD_BYTES + KEY_BYTES + 16 < BACKUP_FRAME_BYTES);
const _: () = assert!(COMMIT_BYTES <= GROUP_BYTES / ENROLL_SHARE);
const _: () = assert!(COMMIT_BYTES <= QUEUE_BYTES);
const _: () = assert!(GROUP_COMMITS <= QUEUE_COMMITS);
// Five classes: four floors and at least as much again for the highest.
const _: () = assert!(5 * GROUP_FLOOR < GROUP_COMMITS / 2);
// A group fits into an empty memtable, so that one write never seals two; see `embedded::database`.
const _: () = assert!(GROUP_BYTES + 5 * COMMIT_BYTES < MEMTABLE_BYTES);
const _: () = assert!(JOURNAL_BYTES >= 64 * MIB && JOURNAL_BYTES >= 4 * MEMTABLE_BYTES);
const _: () = assert!(FREE_BYTES_MIN / FREE_CRITICAL_SHARE > (JOURNAL_BYTES + 4 * MEMTABLE_BYTES) as u64);
const _: () = assert!(REOPEN_AFTER_MAX.as_millis() < REOPENED_WELL_AFTER.as_millis());
const _: () = assert!(OPS_REMEMBERED >= QUEUE_COMMITS);
