//! Compiles the `.proto` files beside it into messages, services and clients. The compiler is protox, so no protoc has to be installed.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

const FILES: [&str; 9] = [
    "google/rpc/error_details.proto",
    "followupd/v1/access.proto",
    "followupd/v1/tenant.proto",
    "followupd/v1/sequence.proto",
    "followupd/v1/enrollment.proto",
    "followupd/v1/event.proto",
    "followupd/v1/contact.proto",
    "followupd/v1/settings.proto",
    "followupd/v1/store.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=followupd");
    println!("cargo:rerun-if-changed=google");
    let descriptors = protox::Compiler::new(["."])?
        .include_imports(true)
        .include_source_info(true)
        .open_files(FILES)?
        .encode_file_descriptor_set();
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let set = out.join("followupd.binpb");
    fs::write(&set, descriptors)?;
    connectrpc_build::Config::new()
        .descriptor_set(set)
        .files(&FILES)
        .include_file("followupd.rs")
        .emit_rerun_directives(false)
        .compile()?;
    Ok(())
}
