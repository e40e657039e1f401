//! The first key: a store that nobody has a key to gets one for its operator, in a file beside its rows.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use followupd_domain::access::{Draw, Role};
use followupd_runtime::{Caller, Engine, KeyWish};

use crate::exit::Failure;

/// What its holder is called.
const NAME: &str = "operator";

/// Where it lies: in the store's folder, which only its owner may read.
pub(crate) fn path(store: &Path) -> PathBuf {
    store.join("operator.key")
}

/// Makes the first key where there is none.
///
/// The file is written first: a key nobody can read is worse than a file that no key stands for, which the next start
/// replaces.
///
/// # Errors
/// The file cannot be written, or the store does not answer.
pub(crate) async fn make(engine: &Engine, store: &Path) -> Result<(), Failure> {
    if !engine.has_no_keys() {
        return Ok(());
    }
    let mut draw: Draw = [0; size_of::<Draw>()];
    getrandom::fill(&mut draw).map_err(|error| Failure::other(format!("no randomness: {error}")))?;
    let wish =
        KeyWish { name: NAME.to_owned(), tenant: None, roles: [Role::Operator].into(), expires_after: None };
    let text = followupd_domain::access::text(&draw);
    write(&path(store), &text)
        .map_err(|error| Failure::other(format!("{} cannot be written: {error}", path(store).display())))?;
    let caller = Caller { by: "the first start".to_owned(), ..Caller::default() };
    let made = engine.make_key(&caller, wish, draw).await;
    made.map(drop).map_err(|error| Failure::other(format!("the first key cannot be made: {error}")))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}
