//! Reading stored rows from outside: what tools and tests look at that have a store and no engine.

use followupd_domain::decision::Entry;
use followupd_domain::enrollment::Enrollment;
use followupd_store::codec::Format;

use crate::api::Error;
use crate::loaded::decode;
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
