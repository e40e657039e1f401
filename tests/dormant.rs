//! A million sleeping enrollments, made over the wire: the daemon stays small while they are made, and after a kill
//! while ten thousand of them leave by a reply.

use blackbox::dormant;

const CONTACTS: usize = 1_000_000;
const REPLIES: usize = 10_000;
/// 300 MB.
const MIB_MOST: f64 = 286.0;

#[test]
fn a_million_sleepers_take_less_than_300_mb() {
    let folder = tempfile::tempdir().unwrap();
    let measured = dormant::measure(folder.path(), CONTACTS, REPLIES);
    measured.print();
    assert!(measured.made_mib < MIB_MOST, "{measured:?}");
    assert!(measured.replied_mib < MIB_MOST, "{measured:?}");
}
