//! Files that every schema may import without a reference: those of the Protobuf runtimes, and those that come with Prism.

use prost_reflect::DescriptorPool;
use prost_types::FileDescriptorProto;

include!(concat!(env!("OUT_DIR"), "/wellknown.rs"));

/// Where all of Protobuf's own files are.
const RUNTIME: &str = "google/protobuf/";

/// The file of that import path, if everybody has it. Protobuf's own files can't be replaced: options are read with them.
pub(super) fn runtime(path: &str) -> Option<FileDescriptorProto> {
    if !path.starts_with(RUNTIME) {
        return None;
    }
    DescriptorPool::global().get_file_by_name(path).map(|file| file.file_descriptor_proto().clone())
}

/// The text of the file of that import path, if it comes with Prism.
pub(super) fn source(path: &str) -> Option<&'static str> {
    FILES.iter().find(|(name, _)| *name == path).map(|(_, text)| *text)
}
