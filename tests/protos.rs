//! What others have compiled from the protos goes on working: every message, field, value and call that was ever there
//! still is, under its name, number and type.
//!
//! They stand in `daemon/proto/wire.txt`, a line each. What is new is added there with `WIRE=write`; a line is taken
//! out by hand only, with the name and number of its field reserved. Names count as numbers do, since calls are JSON
//! as well.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use protox::Compiler;
use protox::prost_reflect::{
    Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, ServiceDescriptor,
};

/// Ours; what we take from others is theirs to keep.
const PACKAGE: &str = "followupd.v1";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../daemon/proto")
}

/// The protos of a folder.
fn pool(folder: &Path) -> DescriptorPool {
    let files = fs::read_dir(folder.join("followupd/v1")).unwrap().map(|file| file.unwrap().path());
    let mut compiler = Compiler::new([folder]).unwrap();
    compiler.open_files(files.filter(|path| path.extension().is_some_and(|end| end == "proto"))).unwrap();
    compiler.descriptor_pool()
}

/// All that others may depend on, a line each.
fn lines(pool: &DescriptorPool) -> BTreeSet<String> {
    let messages = pool.all_messages().filter(|message| message.package_name() == PACKAGE);
    let enums = pool.all_enums().filter(|one| one.package_name() == PACKAGE);
    let services = pool.services().filter(|service| service.package_name() == PACKAGE);
    messages
        .flat_map(of_message)
        .chain(enums.flat_map(of_enum))
        .chain(services.flat_map(of_service))
        .collect()
}

fn of_message(message: MessageDescriptor) -> Vec<String> {
    // A map's entry is said where the map is.
    if message.is_map_entry() {
        return Vec::new();
    }
    let mut lines = vec![format!("message {}", message.full_name())];
    lines.extend(message.fields().map(|field| {
        let (owner, name, number) = (message.full_name(), field.json_name().to_owned(), field.number());
        format!("field {owner}.{} = {number} {} ({name})", field.name(), kind(&field))
    }));
    lines
}

fn kind(field: &FieldDescriptor) -> String {
    let of = |kind: Kind| {
        let message = kind.as_message().map(|message| message.full_name().to_owned());
        let named = message.or_else(|| kind.as_enum().map(|one| one.full_name().to_owned()));
        named.unwrap_or_else(|| format!("{kind:?}").to_lowercase())
    };
    if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
        let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
        return format!("map<{}, {}>", of(key.kind()), of(value.kind()));
    }
    let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
    let how = match (field.cardinality(), oneof) {
        (Cardinality::Repeated, _) => "repeated ".to_owned(),
        (_, Some(oneof)) => format!("oneof {} ", oneof.name()),
        (_, None) if field.supports_presence() => "optional ".to_owned(),
        (_, None) => String::new(),
    };
    how + &of(field.kind())
}

fn of_enum(one: EnumDescriptor) -> Vec<String> {
    let name = one.full_name();
    one.values().map(|value| format!("value {name}.{} = {}", value.name(), value.number())).collect()
}

fn of_service(service: ServiceDescriptor) -> Vec<String> {
    let stream = |streaming: bool| if streaming { "stream " } else { "" };
    let line = |method: protox::prost_reflect::MethodDescriptor| {
        let (input, output) = (method.input(), method.output());
        format!(
            "call {}/{} ({}{}) returns ({}{})",
            service.full_name(),
            method.name(),
            stream(method.is_client_streaming()),
            input.full_name(),
            stream(method.is_server_streaming()),
            output.full_name()
        )
    };
    service.methods().map(line).collect()
}

#[test]
fn nothing_that_others_may_have_compiled_is_gone() {
    let (now, path) = (lines(&pool(&folder())), folder().join("wire.txt"));
    let then: BTreeSet<String> =
        fs::read_to_string(&path).unwrap_or_default().lines().map(str::to_owned).collect();
    let gone: Vec<&String> = then.difference(&now).collect();
    assert!(gone.is_empty(), "these were there, and callers depend on them:\n{gone:#?}");
    if std::env::var("WIRE").is_ok_and(|what| what == "write") {
        let text: String = now.iter().map(|line| format!("{line}\n")).collect();
        fs::write(path, text).unwrap();
        return;
    }
    let new: Vec<&String> = now.difference(&then).collect();
    assert!(
        new.is_empty(),
        "these are new: WIRE=write cargo test -p followupd-tests --test protos\n{new:#?}"
    );
}

#[test]
fn what_breaks_a_caller_changes_a_line() {
    let of = |field: &str, call: &str| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("followupd/v1");
        fs::create_dir_all(&path).unwrap();
        let text = format!(
            "syntax = \"proto3\"; package followupd.v1; message Asked {{ {field} }} \
             service Desk {{ rpc Ask({call} Asked) returns (Asked); }}"
        );
        fs::write(path.join("desk.proto"), text).unwrap();
        lines(&pool(folder.path()))
    };
    let then = of("string name = 1;", "");
    let broken = [
        of("string name = 2;", ""),
        of("bytes name = 1;", ""),
        of("string title = 1;", ""),
        of("repeated string name = 1;", ""),
        of("optional string name = 1;", ""),
        of("string name = 1 [json_name = \"title\"];", ""),
        of("", ""),
        of("string name = 1;", "stream"),
    ];
    for now in broken {
        assert!(!then.is_subset(&now), "{now:?}");
    }
    assert!(then.is_subset(&of("string name = 1; string more = 2;", "")));
}
