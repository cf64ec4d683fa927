//! Generates `intercepted.rs`: a wrapper for each interface in `proto/`, which calls an interceptor around each operation.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

const PROTO: &str = "../../proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={PROTO}");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let root = Path::new(PROTO);
    let mut compiler = protox::Compiler::new([root])?;
    compiler.include_imports(true).open_files(prism_codegen::files_in(&root.join("prism/interfaces"), "proto")?)?;
    let services = prism_codegen::services(compiler.file_descriptor_set())?;
    fs::write(out.join("intercepted.rs"), services.intercepted())?;
    Ok(())
}
