//! What a provider tells again and again happens once and costs nothing more. At full size it is measured by
//! `followupd-loadtest repeats`.

use blackbox::repeats;

const REQUESTS: usize = 20_000;

#[test]
fn webhooks_that_come_again_write_no_rows_take_no_memory_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let measured = repeats::measure(folder.path(), REQUESTS);
    println!(
        "{} rows, {} bytes, {:.1} MiB more, {:?} of the processors",
        measured.rows, measured.store_bytes, measured.growth_mib, measured.cpu
    );
    assert_eq!(measured.findings(), [] as [String; 0]);
}
