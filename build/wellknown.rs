//! Lists `wellknown/protobuf/**/*.proto`: files that schemas import without a reference, so that a new one needs no line of code; and
//! reads `wellknown/tags.yaml`, the names by which texts tell tags.

use std::{error::Error, fmt::Write as _, fs, path::Path};

use super::yaml::tree;

/// Writes `wellknown.rs`, the files' import paths and contents as one constant, and `tags.rs`, a constant for each name.
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
    tags(out)
}

fn tags(out: &Path) -> Result<(), Box<dyn Error>> {
    const NAMES: &str = "wellknown/tags.yaml";
    println!("cargo:rerun-if-changed={NAMES}");
    let (root, _) = tree::parse(&fs::read_to_string(NAMES)?);
    let mut code = String::new();
    for (key, doc) in [
        ("attribute", "Of records and fields in Avro, of schemas in JSON Schema."),
        ("message", "The option of messages in Protobuf."),
        ("field", "The option of fields in Protobuf."),
        ("import", "The file that declares both options."),
        ("list", "The list in both options."),
    ] {
        let name = root.get(key).and_then(tree::Node::text).ok_or_else(|| format!("{NAMES} has no text {key}"))?;
        writeln!(code, "/// {doc}\npub(super) const {}: &str = {name:?};", key.to_uppercase())?;
    }
    fs::write(out.join("tags.rs"), code)?;
    Ok(())
}
