//! Compiles `proto/` into messages, service traits, dispatch functions and the descriptor set, and lists the files of `registry/` and the
//! frontends that come with Prism; arranges the functions of a release build.
//!
//! protox stands in for protoc, so there is nothing to install.

mod comments;
mod embedded;
mod layout;
mod services;
mod wellknown;
mod yaml;

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use prost_reflect::DescriptorPool;
use prost_types::{FileDescriptorProto, FileDescriptorSet};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rerun-if-changed=src/yaml");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let root = Path::new("proto");
    let mut files = Vec::new();
    collect(root, "proto", &mut files)?;
    files.sort();

    let mut compiler = protox::Compiler::new([root])?;
    compiler.include_source_info(true).include_imports(true).open_files(&files)?;
    let described = compiler.file_descriptor_set();
    comments::write(&out, &patterns(&described))?;
    // The encoded form keeps custom options (`google.api.http`), which the prost types of a descriptor would drop.
    let encoded = compiler.encode_file_descriptor_set();
    DescriptorPool::decode(encoded.as_slice())?;
    fs::write(out.join("documented.bin"), encoded)?;
    fs::write(out.join("descriptors.bin"), served(root, &files)?)?;

    let collected = services::Collected::default();
    let mut config = prost_build::Config::new();
    config
        .bytes(["."])
        .btree_map(["."])
        .enable_type_names()
        .include_file("messages.rs")
        .service_generator(Box::new(services::Generator::new(collected.clone())))
        .compile_fds(described)?;
    fs::write(out.join("interfaces.rs"), collected.interfaces())?;
    fs::write(out.join("guards.rs"), collected.guards())?;
    embedded::write(&out)?;
    wellknown::write(&out)?;
    layout::write(&out)?;
    conformance(&out)
}

/// What a running gateway needs of it: the patterns, without comments. A tenth of the whole, and so is the memory it takes.
fn served(root: &Path, files: &[PathBuf]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut compiler = protox::Compiler::new([root])?;
    let wanted = files.iter().filter(|file| !file.starts_with("proto/prism/interfaces") && !file.starts_with("proto/prism/journal"));
    compiler.include_source_info(false).include_imports(true).open_files(wanted)?;
    let encoded = compiler.encode_file_descriptor_set();
    DescriptorPool::decode(encoded.as_slice())?;
    Ok(encoded)
}

/// The files that a running gateway knows.
fn patterns(all: &FileDescriptorSet) -> FileDescriptorSet {
    let known = |file: &&FileDescriptorProto| !file.package().starts_with("prism.interfaces.");
    FileDescriptorSet { file: all.file.iter().filter(known).cloned().collect() }
}

/// The contract of the conformance suite, for the test that includes it. A source tree without tests builds too.
fn conformance(out: &Path) -> Result<(), Box<dyn Error>> {
    let root = Path::new("tests/conformance/proto");
    println!("cargo:rerun-if-changed=tests/conformance/proto");
    if !root.exists() {
        return Ok(());
    }
    let mut files = Vec::new();
    collect(root, "proto", &mut files)?;
    let mut compiler = protox::Compiler::new([root])?;
    compiler.include_imports(true).open_files(&files)?;
    fs::write(out.join("conformance.bin"), compiler.encode_file_descriptor_set())?;
    prost_build::Config::new().bytes(["."]).enable_type_names().compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

/// All files of that extension in a folder and its folders.
fn collect(folder: &Path, wanted: &str, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, wanted, files)?;
        } else if path.extension().is_some_and(|extension| extension == wanted) {
            files.push(path);
        }
    }
    Ok(())
}
