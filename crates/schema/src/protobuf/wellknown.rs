//! Files that every schema can import without a reference: those of the Protobuf runtimes, and those that Prism includes.

use std::{collections::HashMap, sync::LazyLock};

use prost_reflect::{DescriptorPool, MessageDescriptor, ReflectMessage as _};
use prost_types::FileDescriptorProto;

use super::{dialect, edits::Edits, scan};

include!(concat!(env!("OUT_DIR"), "/wellknown.rs"));

/// The folder of Protobuf's own files.
const RUNTIME: &str = "google/protobuf/";

/// The file that declares the options.
pub(super) const OPTIONS: &str = "google/protobuf/descriptor.proto";

/// A pool with the file that declares the options.
static OPTIONS_POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let mut pool = DescriptorPool::new();
    // A test links the file, so this can't fail.
    if let Some(file) = runtime(OPTIONS) {
        let _ = pool.add_file_descriptor_proto(file);
    }
    pool
});

/// Returns a pool with the file that declares the options. Options are decoded with it, and no file with the same names can replace it.
pub(super) fn options_pool() -> DescriptorPool {
    OPTIONS_POOL.clone()
}

/// Returns the type of file descriptors, with everything that editions have.
pub(super) fn file_descriptor() -> MessageDescriptor {
    let known = OPTIONS_POOL.get_message_by_name("google.protobuf.FileDescriptorProto");
    known.unwrap_or_else(|| FileDescriptorProto::default().descriptor())
}

/// Returns the runtime file with an import path. Protobuf's own files can't be replaced, because options are decoded with them.
pub(super) fn runtime(path: &str) -> Option<FileDescriptorProto> {
    static PARSED: LazyLock<HashMap<&'static str, FileDescriptorProto>> = LazyLock::new(|| {
        let files = FILES.iter().filter(|(path, _)| path.starts_with(RUNTIME));
        files.filter_map(|(path, text)| Some((*path, parse(path, text)?))).collect()
    });
    if !path.starts_with(RUNTIME) {
        return None;
    }
    let known =
        PARSED.get(path).cloned().or_else(|| Some(DescriptorPool::global().get_file_by_name(path)?.file_descriptor_proto().clone()));
    // Everything is linked as proto2: see `super::link`.
    known.map(|file| FileDescriptorProto { name: Some(path.to_owned()), syntax: None, source_code_info: None, ..file })
}

/// Parses a runtime file, which needs no checks.
fn parse(path: &str, text: &str) -> Option<FileDescriptorProto> {
    let mut edits = Edits::default();
    dialect::rewrite_dialect(text, &scan::tokenize(text), &mut edits).ok()?;
    edits.sort();
    protox::file::File::from_source(path, &edits.apply(text)).ok().map(Into::into)
}

/// Returns whether a runtime file is in proto3.
pub(super) fn is_proto3(path: &str) -> bool {
    let file = DescriptorPool::global().get_file_by_name(path);
    file.is_some_and(|file| file.syntax() == prost_reflect::Syntax::Proto3)
}

/// Returns the text of an included file by its import path.
pub(super) fn source(path: &str) -> Option<&'static str> {
    FILES.iter().find(|(name, _)| *name == path).map(|(_, text)| *text)
}
