//! The files of a document: the document itself and the files that it refers to.

use std::collections::{HashMap, VecDeque};

use super::{
    folder::{DocumentFolders, MAX_FILES, MAX_TOTAL_BYTES},
    structure::{has_names, refers},
};
use crate::{
    definition::reader::SourceFile,
    percent::{Slash, decode},
};
use prism_yaml::{self as yaml, Node, Value};

/// One file of a document.
#[derive(Debug)]
pub struct DocumentFile {
    /// Its name and its problems.
    pub source: SourceFile,
    /// Its content.
    pub root: Node,
}

/// All files of a document.
#[derive(Debug)]
pub struct DocumentFiles {
    /// The document is the first one.
    pub list: Vec<DocumentFile>,
    /// The index of each file, or why it can't be read.
    by_name: HashMap<String, Result<usize, String>>,
    /// Whether a file may have schemas with `$id` or `$anchor`.
    pub has_identifiers: bool,
}

/// What a file refers to.
#[derive(Default)]
struct Mentions {
    files: Vec<String>,
    identifiers: bool,
}

impl DocumentFiles {
    /// Parses a document, and the files that it refers to.
    pub fn parse(name: &str, text: &str, folders: &DocumentFolders) -> Self {
        let mut files = Self { list: Vec::new(), by_name: HashMap::new(), has_identifiers: false };
        let (mut waiting, mut bytes) = (VecDeque::new(), text.len());
        files.add(name, text, &mut waiting);
        while let Some(name) = waiting.pop_front() {
            if files.by_name.contains_key(&name) {
                continue;
            }
            if files.list.len() == MAX_FILES {
                files.by_name.insert(name, Err(format!("a document has at most {MAX_FILES} files")));
                continue;
            }
            match folders.read(&name) {
                Ok(text) if bytes + text.len() > MAX_TOTAL_BYTES => {
                    files.by_name.insert(name, Err(format!("the files of a document have at most {MAX_TOTAL_BYTES} bytes together")));
                }
                Ok(text) => {
                    bytes += text.len();
                    files.add(&name, &text, &mut waiting);
                }
                Err(reason) => drop(files.by_name.insert(name, Err(reason))),
            }
        }
        files
    }

    fn add(&mut self, name: &str, text: &str, waiting: &mut VecDeque<String>) {
        let (root, problems) = yaml::parse(text);
        let source = SourceFile::new(name);
        source.add(problems);
        let mut mentions = Mentions::default();
        mentions.collect(&root, false);
        self.has_identifiers |= mentions.identifiers;
        waiting.extend(mentions.files.iter().map(|path| DocumentFolders::name(name, path)));
        self.by_name.insert(name.to_owned(), Ok(self.list.len()));
        self.list.push(DocumentFile { source, root });
    }

    /// Returns the index of a file, or why it can't be read. `None`: no file has this name.
    pub fn find(&self, name: &str) -> Option<Result<usize, &str>> {
        self.by_name.get(name).map(|found| found.as_ref().copied().map_err(String::as_str))
    }

    /// Whether no file has a problem.
    pub fn are_fine(&self) -> bool {
        self.list.iter().all(|file| file.source.is_fine())
    }
}

impl Mentions {
    /// Collects what a node mentions. `named`: the keys of the node are names, not keywords.
    fn collect(&mut self, node: &Node, named: bool) {
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| self.collect(item, false)),
            Value::Map(entries) => {
                for (key, value) in entries {
                    match (key.name.as_str(), &value.value) {
                        (name, Value::Text(reference)) => self.text(name, reference),
                        // These are data, not parts of the document.
                        ("example" | "default" | "enum" | "const", _) if !named => {}
                        (name, _) if name.starts_with("x-") && !named => {}
                        // A discriminator refers to schemas by references, or by their names.
                        ("mapping", Value::Map(schemas)) if !named => {
                            let references = schemas.iter().filter_map(|(_, schema)| schema.text()).filter(|text| refers(text));
                            self.files.extend(references.filter_map(file_of));
                        }
                        (name, _) => self.collect(value, !named && has_names(name)),
                    }
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, key: &str, text: &str) {
        match key {
            "$id" | "$anchor" => self.identifiers = true,
            "$ref" => self.files.extend(file_of(text)),
            _ => {}
        }
    }
}

/// Returns the path of the file in a reference, if it leads to another file.
fn file_of(reference: &str) -> Option<String> {
    let path = reference.split('#').next().filter(|path| !path.is_empty() && !path.contains("://"))?;
    decode(path, Slash::Decoded).ok().map(std::borrow::Cow::into_owned)
}
