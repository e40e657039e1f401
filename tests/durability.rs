//! Durability: no answer leaves before the sync that covers it, watched on the daemon as it ships. Needs `strace`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod durability {
    pub(crate) mod order;
    pub(crate) mod trace;
}

use blackbox::daemon::Daemon;
use blackbox::{row, table};

use durability::{order, trace};

#[test]
fn no_answer_leaves_before_the_sync_that_covers_it() {
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().join("strace");
    let calls = "read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,pwrite64,fsync,fdatasync";
    let daemon = Daemon::start_under(trace::options(calls, 64, &written), folder.path());
    let asked = order::ask_one_after_another(&daemon);
    daemon.stop();
    let watched = order::check(&trace::read(&written));
    let rows = [row!["calls", watched.answers], row!["journal writes before their answers", watched.writes]];
    table::print("answers and the syncs that cover them", &rows);
    assert_eq!(watched.answers, asked);
}
