//! A stored row: its version and its body.

use bytes::Bytes;

/// The number of the commit that wrote a row; see [`crate::Store`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// What stands under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which commit wrote it.
    pub version: Version,
    /// What [`crate::codec`] wrote, or nothing where the key says it all.
    pub body: Bytes,
}
