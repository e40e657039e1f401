//! A million sleeping enrollments, made over the wire: the daemon stays small while they are made, and after a kill
//! while ten thousand of them leave by a reply.

use blackbox::{dormant, row, table};

const CONTACTS: usize = 1_000_000;
const REPLIES: usize = 10_000;
const MIB_MOST: f64 = 300.0;

#[test]
fn a_million_sleepers_take_less_than_300_mib() {
    let folder = tempfile::tempdir().unwrap();
    let measured = dormant::measure(folder.path(), CONTACTS, REPLIES);
    let rate = measured.contacts as f64 / measured.enrolling.as_secs_f64();
    table::print(
        "sleepers",
        &[
            row!["enrolled", measured.contacts],
            row!["a second", format!("{rate:.0}")],
            row!["VmHWM until then, MiB", format!("{:.0}", measured.made_mib)],
            row!["seconds to start again after a kill", format!("{:.2}", measured.restarting.as_secs_f64())],
            row!["replies", measured.replies],
            row!["seconds they took", format!("{:.2}", measured.replying.as_secs_f64())],
            row!["VmHWM since the start, MiB", format!("{:.0}", measured.replied_mib)],
        ],
    );
    assert!(measured.made_mib < MIB_MOST, "{measured:?}");
    assert!(measured.replied_mib < MIB_MOST, "{measured:?}");
}
