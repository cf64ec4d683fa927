//! Lists `frontends/*.yaml` and `openapi/*.yaml`, so that a frontend that comes with Prism needs no line of code.

use std::{error::Error, fmt::Write as _, fs, path::Path};

/// Writes `frontends.rs`: the files' paths and contents as one constant.
pub fn write(out: &Path) -> Result<(), Box<dyn Error>> {
    let mut code =
        String::from("/// The files of `frontends/` and `openapi/`, by their paths.\npub const EMBEDDED: &[(&str, &str)] = &[\n");
    for folder in ["frontends", "openapi"] {
        println!("cargo:rerun-if-changed={folder}");
        let mut files = Vec::new();
        if Path::new(folder).exists() {
            super::collect(Path::new(folder), "yaml", &mut files)?;
        }
        files.sort();
        for file in &files {
            let name = file.to_string_lossy().replace('\\', "/");
            writeln!(code, "    ({name:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/{name}\"))),")?;
        }
    }
    code.push_str("];\n");
    fs::write(out.join("frontends.rs"), code)?;
    Ok(())
}
