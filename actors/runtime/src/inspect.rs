//! Reading stored rows from outside: what tools and tests look at that have a store and no engine.

use followupd_domain::account::Account;
use followupd_domain::channel::Channel;
use followupd_domain::decision::Entry;
use followupd_domain::enrollment::Enrollment;
use followupd_domain::sequence::Sequence;
use followupd_store::Key;
use followupd_store::codec::Format;

use crate::api::Error;
use crate::loaded::decode;
use crate::old;
use crate::record::Record;

/// An enrollment's row.
#[derive(Clone, Debug, PartialEq)]
pub struct EnrollmentRow {
    /// Its state.
    pub enrollment: Enrollment,
    /// Entries of its history that lie in rows of their own.
    pub spilled: u32,
    /// The entries since.
    pub history: Vec<Entry>,
}

/// Reads the body of an enrollment's row.
///
/// # Errors
/// The bytes are damaged, or another kind of row.
pub fn enrollment(body: &[u8]) -> Result<EnrollmentRow, Error> {
    let Record { enrollment, spilled, history } = decode(Format::Enrollment, body)?;
    Ok(EnrollmentRow { enrollment, spilled, history })
}

/// A row of a scope.
#[derive(Clone, Debug, PartialEq)]
pub enum ScopeRow {
    /// A tenant's.
    Tenant,
    /// A channel's.
    Channel(Box<Channel>),
    /// An account's.
    Account(Account),
    /// A sequence's.
    Sequence(Box<Sequence>),
}

/// Reads the row of a scope.
///
/// # Errors
/// The bytes are damaged, or another kind of row.
pub fn scope(key: &Key, body: &[u8]) -> Result<ScopeRow, Error> {
    match key.as_bytes().get(7) {
        Some(b'a') => old::tenant(body).map(|_| ScopeRow::Tenant),
        Some(b'c') => old::channel(body).map(|channel| ScopeRow::Channel(Box::new(channel))),
        Some(b'k') => decode(Format::Account, body).map(ScopeRow::Account),
        Some(b's') => old::sequence(body).map(|sequence| ScopeRow::Sequence(Box::new(sequence))),
        _ => Err(Error::Unavailable("no row of a scope".to_owned())),
    }
}
