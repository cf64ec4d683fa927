//! Compiles the contract of the conformance suite.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

const PROTO: &str = "../proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={PROTO}");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let root = Path::new(PROTO);
    let mut compiler = protox::Compiler::new([root])?;
    compiler.include_imports(true).open_files(prism_codegen::files_in(root, "proto")?)?;
    fs::write(out.join("conformance.bin"), compiler.encode_file_descriptor_set())?;
    prost_build::Config::new().bytes(["."]).enable_type_names().compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
