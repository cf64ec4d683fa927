//! Lists `registry/**/*.yaml`, so that a new file needs no line of code.

use std::{error::Error, fmt::Write as _, fs, path::Path};

/// Writes `registry.rs`: the files' paths and contents as one constant.
pub fn write(out: &Path) -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=registry");
    let mut files = Vec::new();
    super::collect(Path::new("registry"), "yaml", &mut files)?;
    files.sort();
    let mut code = String::from("pub(super) const EMBEDDED: &[(&str, &str)] = &[\n");
    for file in &files {
        let name = file.to_string_lossy().replace('\\', "/");
        writeln!(code, "    ({name:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/{name}\"))),")?;
    }
    code.push_str("];\n");
    fs::write(out.join("registry.rs"), code)?;
    Ok(())
}
