//! The messages, services and clients of `proto/`, as the build script generates them.

#[expect(
    missing_docs,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::too_many_lines,
    reason = "generated code; what it means is documented in the .proto files"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/followupd.rs"));
}

pub use generated::followupd::v1;
pub use generated::google::rpc;

/// All of `proto/` as descriptors, with its comments: what reflection answers from.
pub(crate) const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/followupd.binpb"));
