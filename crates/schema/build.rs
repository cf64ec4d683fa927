//! Lists `wellknown/protobuf/**/*.proto`, the files that schemas can import without a reference.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// Writes `wellknown.rs`: a constant with the import path and the content of each file.
fn main() -> Result<(), Box<dyn Error>> {
    const ROOT: &str = "wellknown/protobuf";
    println!("cargo:rerun-if-changed={ROOT}");
    let files = prism_codegen::files_in(Path::new(ROOT), "proto")?;
    let mut code = String::from("const FILES: &[(&str, &str)] = &[\n");
    for file in &files {
        let path = file.to_string_lossy().replace('\\', "/");
        let import = path.trim_start_matches(ROOT).trim_start_matches('/');
        writeln!(code, "    ({import:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/{path}\"))),")?;
    }
    code.push_str("];\n");
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("wellknown.rs"), code)?;
    Ok(())
}
