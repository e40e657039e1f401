//! Journals as fjall writes them, torn and damaged at every place.

#![cfg(test)]

use super::*;
use std::fs;
use tempfile::TempDir;

/// A folder with a journal of so many batches of two rows; and where each batch ends.
fn journal(batches: usize) -> (TempDir, PathBuf, Vec<u64>) {
    let folder = TempDir::new().unwrap();
    let database = fjall::Database::builder(folder.path()).open().unwrap();
    let rows = database.keyspace("rows", fjall::KeyspaceCreateOptions::default).unwrap();
    for number in 0..batches {
        let mut batch = database.batch().durability(Some(fjall::PersistMode::SyncAll));
        batch.insert(&rows, format!("key {number}"), vec![1; 40]);
        batch.insert(&rows, format!("other {number}"), vec![2; 5_000]);
        batch.commit().unwrap();
    }
    drop((rows, database));
    let path = newest(folder.path()).unwrap().unwrap();
    let mut reader = BufReader::new(File::open(&path).unwrap());
    let (mut at, mut ends) = (0, Vec::new());
    while let Some(bytes) = batch(&mut reader).unwrap() {
        at += bytes;
        ends.push(at);
    }
    (folder, path, ends)
}

fn rows(folder: &TempDir) -> usize {
    let database = fjall::Database::builder(folder.path()).open().unwrap();
    let rows = database.keyspace("rows", fjall::KeyspaceCreateOptions::default).unwrap();
    rows.iter().count()
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    use std::os::unix::fs::FileExt;
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
}

#[test]
fn a_whole_journal_stays_as_it_is() {
    let (folder, path, ends) = journal(3);
    assert_eq!(ends.len(), 3, "the layout is read as fjall writes it");
    let before = fs::metadata(&path).unwrap().len();
    assert_eq!(trim(folder.path()).unwrap(), Found::Whole);
    assert_eq!(fs::metadata(&path).unwrap().len(), before);
    assert_eq!(rows(&folder), 6);
}

#[test]
fn a_folder_without_a_journal_has_nothing_to_cut() {
    let folder = TempDir::new().unwrap();
    assert_eq!(trim(folder.path()).unwrap(), Found::Whole);
    assert_eq!(trim(&folder.path().join("none")).unwrap(), Found::Whole);
}

#[test]
fn a_batch_that_lacks_any_part_is_cut_off_and_those_before_it_stay() {
    let (folder, path, ends) = journal(3);
    let (begin, end) = (ends[1], ends[2]);
    let whole = fs::read(&path).unwrap();
    for hole in (begin..end).step_by(61).chain([end - 1]) {
        fs::write(&path, &whole).unwrap();
        let bytes = whole[hole as usize..(hole as usize + 61).min(end as usize)].to_vec();
        overwrite(&path, hole, &vec![0; bytes.len()]);
        assert!(matches!(trim(folder.path()).unwrap(), Found::Cut(_)), "a hole at {hole}");
        assert_eq!(fs::metadata(&path).unwrap().len(), begin);
    }
    assert_eq!(rows(&folder), 4);
}

#[test]
fn a_batch_that_ends_early_is_cut_off() {
    let (folder, path, ends) = journal(2);
    let whole = fs::read(&path).unwrap();
    for end in (ends[0] + 1..ends[1]).step_by(97) {
        fs::write(&path, &whole[..end as usize]).unwrap();
        assert!(matches!(trim(folder.path()).unwrap(), Found::Cut(_)), "an end at {end}");
        assert_eq!(fs::metadata(&path).unwrap().len(), ends[0]);
    }
    assert_eq!(rows(&folder), 2);
}

#[test]
fn a_bad_batch_before_a_whole_one_is_damage_and_stays() {
    let (folder, path, ends) = journal(3);
    overwrite(&path, ends[0] + 40, b"!");
    let before = fs::read(&path).unwrap();
    assert_eq!(trim(folder.path()).unwrap(), Found::Damaged(path.clone(), ends[0]));
    assert_eq!(fs::read(&path).unwrap(), before);
}
