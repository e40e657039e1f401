//! The RPC of followupd: messages, services and clients, as the build script generates them from the `.proto` files
//! beside this one.
//!
//! A crate of its own, so that what changes seldom and takes long to compile is compiled seldom.

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

/// All `.proto` files as descriptors, with its comments: what reflection answers from.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/followupd.binpb"));
