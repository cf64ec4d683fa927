//! The contract of the service, `proto/depot.proto`.

use std::{fs, path::Path, sync::LazyLock};

use prism::frontend::message_types::MessageTypes;
use prost_reflect::DescriptorPool;

pub const SERVICE: &str = "prism.testing.depot.v1.DepotService";

/// The encoded descriptors with all imports, which configure a transcoder.
pub static DESCRIPTORS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    compiled(&root.join("tests/transcoding/proto"), &root.join("proto"))
});

/// The descriptors for grpc-gateway, whose generator fails on a path parameter of a client-streaming RPC.
pub fn for_gateway() -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let whole = fs::read_to_string(root.join("tests/transcoding/proto/depot.proto")).unwrap();
    let kept: String = whole.lines().filter(|line| !line.ends_with("// not for grpc-gateway")).flat_map(|line| [line, "\n"]).collect();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("depot.proto"), kept).unwrap();
    compiled(folder.path(), &root.join("proto"))
}

fn compiled(own: &Path, shared: &Path) -> Vec<u8> {
    let mut compiler = protox::Compiler::new([own, shared]).unwrap();
    // Transcoders also need the types of error details.
    compiler.include_imports(true).open_files(["depot.proto", "google/rpc/error_details.proto", "google/rpc/status.proto"]).unwrap();
    compiler.encode_file_descriptor_set()
}

pub static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS.as_slice()).unwrap());

pub static SCHEMA: LazyLock<MessageTypes> = LazyLock::new(|| MessageTypes::of(&POOL));
