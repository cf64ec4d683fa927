//! Lists `wellknown/protobuf/**/*.proto`: files that schemas import without a reference, so that a new one needs no line of code.

use std::{error::Error, fmt::Write as _, fs, path::Path};

/// Writes `wellknown.rs`: the files' import paths and contents as one constant.
pub fn write(out: &Path) -> Result<(), Box<dyn Error>> {
    const ROOT: &str = "wellknown/protobuf";
    println!("cargo:rerun-if-changed={ROOT}");
    let mut files = Vec::new();
    super::collect(Path::new(ROOT), "proto", &mut files)?;
    files.sort();
    let mut code = String::from("const FILES: &[(&str, &str)] = &[\n");
    for file in &files {
        let path = file.to_string_lossy().replace('\\', "/");
        let import = path.trim_start_matches(ROOT).trim_start_matches('/');
        writeln!(code, "    ({import:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/{path}\"))),")?;
    }
    code.push_str("];\n");
    fs::write(out.join("wellknown.rs"), code)?;
    Ok(())
}
