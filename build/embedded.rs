//! Lists `frontends/**/*.yaml`, `openapi/**/*.yaml` and `registry/**/*.yaml`, so that a new file needs no line of code, and reads them, so
//! that no gateway has to.

use std::{error::Error, fmt::Write as _, fs, path::Path};

use super::yaml::{
    compact,
    problem::{Place, Problems},
    tree::{self, Node, Value},
};

/// Writes `embedded.rs`, the files' paths, contents and trees as one constant, and the trees beside it.
pub fn write(out: &Path) -> Result<(), Box<dyn Error>> {
    let mut code = String::from("/// The files of `frontends/`, `openapi/` and `registry/`.\npub const EMBEDDED: &[Embedded] = &[\n");
    let mut number = 0;
    for folder in ["frontends", "openapi", "registry"] {
        println!("cargo:rerun-if-changed={folder}");
        let mut files = Vec::new();
        if Path::new(folder).exists() {
            super::collect(Path::new(folder), "yaml", &mut files)?;
        }
        files.sort();
        for file in &files {
            let name = file.to_string_lossy().replace('\\', "/");
            let (root, list) = tree::parse(&fs::read_to_string(file)?);
            if !list.is_empty() {
                return Err(Problems { file: name, list }.into());
            }
            let mut writer = Writer { out: Vec::new(), line: 0 };
            writer.node(&root);
            fs::write(out.join(format!("embedded-{number}.bin")), writer.out)?;
            writeln!(
                code,
                "    Embedded {{ file: {name:?}, text: include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/{name}\")), \
                 tree: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/embedded-{number}.bin\")) }},"
            )?;
            number += 1;
        }
    }
    code.push_str("];\n");
    fs::write(out.join("embedded.rs"), code)?;
    Ok(())
}

/// Writes what `src/yaml/compact.rs` reads.
struct Writer {
    out: Vec<u8>,
    /// Of the place before.
    line: u64,
}

impl Writer {
    fn node(&mut self, node: &Node) {
        self.place(&node.place);
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
                    self.place(&key.place);
                    self.node(node);
                }
            }
        }
    }

    fn place(&mut self, place: &Place) {
        let (line, column) = match place {
            Place::File { line, column } => (*line, *column),
            Place::Named(_) => (0, 0),
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
