//! Compiles `proto/` into messages, service traits, dispatch functions and the descriptor sets.
//!
//! protox stands in for protoc, so there is nothing to install.

#[path = "build/comments.rs"]
mod comments;

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use prism_codegen::{Collected, Generator, files_in, prost};
use prost_reflect::DescriptorPool;

const PROTO: &str = "../../proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={PROTO}");
    println!("cargo:rerun-if-changed=build");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let root = Path::new(PROTO);
    let files = files_in(root, "proto")?;

    let mut compiler = protox::Compiler::new([root])?;
    compiler.include_source_info(true).include_imports(true).open_files(&files)?;
    let described = compiler.file_descriptor_set();
    comments::write(&out, &described)?;
    // The encoded form keeps custom options (`google.api.http`), which the prost types of a descriptor would drop.
    let encoded = compiler.encode_file_descriptor_set();
    DescriptorPool::decode(encoded.as_slice())?;
    fs::write(out.join("documented.bin"), encoded)?;
    fs::write(
        out.join("descriptors.bin"),
        plain_descriptors(root, &files, &["event_sourcing", "interfaces", "journal", "session_store", "websocket"])?,
    )?;
    fs::write(out.join("all.bin"), plain_descriptors(root, &files, &["event_sourcing", "journal", "session_store", "websocket"])?)?;

    let collected = Collected::default();
    prost(Generator::new(collected.clone()).sharing_bytes(&described)).include_file("messages.rs").compile_fds(described)?;
    fs::write(out.join("interfaces.rs"), collected.interfaces())?;
    Ok(())
}

/// Encodes the descriptors of all files but those in some folders, without comments, which take most of the memory.
fn plain_descriptors(root: &Path, files: &[PathBuf], without: &[&str]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut compiler = protox::Compiler::new([root])?;
    let without: Vec<PathBuf> = without.iter().map(|folder| root.join("prism").join(folder)).collect();
    let wanted = files.iter().filter(|file| !without.iter().any(|folder| file.starts_with(folder)));
    compiler.include_source_info(false).include_imports(true).open_files(wanted)?;
    let encoded = compiler.encode_file_descriptor_set();
    DescriptorPool::decode(encoded.as_slice())?;
    Ok(encoded)
}
