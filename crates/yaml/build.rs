//! Lists and parses `frontends/**/*.yaml`, `openapi/**/*.yaml` and `registry/**/*.yaml`. So a new file needs no code, and the gateway does not
//! parse them at every start.

#![expect(dead_code, reason = "the build needs a part of the modules that it shares with the crate")]

// The build parses YAML with the same code as the gateway.
#[path = "src/compact.rs"]
mod compact;
#[path = "src/problem.rs"]
mod problem;
#[path = "src/tree.rs"]
mod tree;

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use prism_codegen::files_in;
use problem::{Position, Problems};
use tree::{Node, Value};

/// The folder of the repository, relative to this crate.
const ROOT: &str = "../..";

/// Writes `embedded.rs`, a constant with the paths, contents and trees of the files, and one file for each tree.
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=src");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut code = String::from("/// The files of `frontends/`, `openapi/` and `registry/`.\npub const EMBEDDED: &[Embedded] = &[\n");
    let mut number = 0;
    for folder in ["frontends", "openapi", "registry"] {
        let folder = Path::new(ROOT).join(folder);
        println!("cargo:rerun-if-changed={}", folder.display());
        for file in &files_in(&folder, "yaml")? {
            let name = file.strip_prefix(ROOT)?.to_string_lossy().replace('\\', "/");
            let (root, list) = tree::parse(&fs::read_to_string(file)?);
            if !list.is_empty() {
                return Err(Problems { file: name, list }.into());
            }
            let mut writer = Writer { out: Vec::new(), line: 0 };
            writer.node(&root);
            fs::write(out.join(format!("embedded-{number}.bin")), writer.out)?;
            writeln!(
                code,
                "    Embedded {{ file: {name:?}, text: include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/{ROOT}/{name}\")), \
                 tree: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/embedded-{number}.bin\")) }},"
            )?;
            number += 1;
        }
    }
    code.push_str("];\n");
    fs::write(out.join("embedded.rs"), code)?;
    Ok(())
}

/// Writes the encoding that `src/compact.rs` reads.
struct Writer {
    out: Vec<u8>,
    /// The line of the previous position.
    line: u64,
}

impl Writer {
    fn node(&mut self, node: &Node) {
        self.position(&node.position);
        match &node.value {
            Value::Null => self.out.push(compact::NULL),
            Value::Bool(false) => self.out.push(compact::FALSE),
            Value::Bool(true) => self.out.push(compact::TRUE),
            Value::Number(number) => {
                self.out.push(compact::NUMBER);
                self.text(&number.to_string());
            }
            Value::Text(text) => {
                self.out.push(compact::TEXT);
                self.text(text);
            }
            Value::List(items) => {
                self.out.push(compact::LIST);
                self.number(items.len() as u64);
                for item in items {
                    self.node(item);
                }
            }
            Value::Map(entries) => {
                self.out.push(compact::MAP);
                self.number(entries.len() as u64);
                for (key, node) in entries {
                    self.text(&key.name);
                    self.position(&key.position);
                    self.node(node);
                }
            }
        }
    }

    fn position(&mut self, position: &Position) {
        let (line, column) = match position {
            Position::File { line, column } => (*line, *column),
            Position::Named(_) => (0, 0),
        };
        let step = line.wrapping_sub(self.line).cast_signed();
        self.line = line;
        self.number((step << 1 ^ step >> 63).cast_unsigned());
        self.number(column);
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.out.extend_from_slice(text.as_bytes());
    }

    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.out.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.out.push(number.to_le_bytes()[0]);
    }
}
