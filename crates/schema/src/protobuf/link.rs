//! Links a file and all its imports to descriptors that refer to each other.
//!
//! Every file is linked as proto2, because the crate checks some rules of proto3 differently from protoc, and knows no editions.
//! [`super::validate`] checks these rules.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, FileDescriptor, Value};
use prost_types::FileDescriptorProto;

use super::{
    edition::EDITION_2024,
    linkable,
    read::{ProtoFile, Syntax, Visibility},
    wellknown::{self, OPTIONS},
};
use crate::{Dependency, InvalidSchema};

/// The maximum number of files of one schema, including imports.
pub(super) const MAX_FILES: usize = 1_000;
/// The maximum total size of these files in bytes.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// The maximum number of pairs of a file and a file that is visible in it.
const MAX_VISIBLE: usize = 100_000;

/// A linked file.
#[derive(Clone, Debug)]
pub(super) struct LinkedFile {
    pub file: FileDescriptor,
    pub syntax: Syntax,
    pub imports: Vec<(String, Visibility)>,
    /// The names of all files that use an edition.
    pub editions: BTreeSet<String>,
    /// The names of all files in proto3.
    pub proto3: BTreeSet<String>,
    /// Messages and enums by their names in the package: whether they are `export` or `local`.
    pub exported: HashMap<String, bool>,
    /// The same for each file of edition 2024 among the imports.
    pub exports: HashMap<String, HashMap<String, bool>>,
    /// The JSON names of fields, by full name, that the linker would refuse and the descriptor therefore doesn't have.
    pub json_names: HashMap<String, String>,
}

/// Links a file with its imports. Returns it with its descriptors.
pub(super) fn link(name: &str, file: ProtoFile, dependencies: &[Dependency]) -> Result<(Box<ProtoFile>, LinkedFile), InvalidSchema> {
    let mut loaded = FileLoader { dependencies, files: HashMap::new(), order: Vec::new(), bytes: file.text.len() };
    loaded.load_all(name, file)?;
    let visible = loaded.visible_files()?;
    let mut pool = wellknown::options_pool();
    let mut json_names = HashMap::new();
    let mut exports = HashMap::new();
    let (mut editions, mut proto3) = (BTreeSet::new(), BTreeSet::new());
    for path in &loaded.order {
        let Some(file) = loaded.files.get(path) else { continue };
        let seen = visible.get(path.as_str()).cloned().unwrap_or_default();
        if let Some(ProtoFile { syntax: Syntax::Edition(edition), exported, .. }) = file.as_read()
            && edition.number >= EDITION_2024
        {
            exports.insert(path.clone(), exported.clone());
        }
        match file.as_read().map(|file| file.syntax) {
            Some(Syntax::Edition(_)) => drop(editions.insert(path.clone())),
            Some(Syntax::Proto3) => drop(proto3.insert(path.clone())),
            None if wellknown::is_proto3(path) => drop(proto3.insert(path.clone())),
            Some(Syntax::Proto2) | None => {}
        }
        if path != OPTIONS {
            add(&mut pool, path, file, &seen, &mut json_names)?;
        }
    }
    let (Some(LoadedFile::Read(root)), Some(linked)) = (loaded.files.remove(name), pool.get_file_by_name(name)) else {
        return Err(InvalidSchema::new(format!("{name}: the file wasn't linked")));
    };
    let ProtoFile { syntax, imports, exported, .. } = &*root;
    let linked = LinkedFile {
        file: linked,
        syntax: *syntax,
        imports: imports.clone(),
        editions,
        proto3,
        exported: exported.clone(),
        exports,
        json_names,
    };
    Ok((root, linked))
}

/// A file that takes part in linking.
enum LoadedFile {
    Read(Box<ProtoFile>),
    Runtime(Box<FileDescriptorProto>),
}

impl LoadedFile {
    fn as_read(&self) -> Option<&ProtoFile> {
        match self {
            Self::Read(file) => Some(file),
            Self::Runtime(_) => None,
        }
    }

    fn imports(&self) -> Vec<(String, Visibility)> {
        match self {
            Self::Read(file) => file.imports.clone(),
            Self::Runtime(file) => file.dependency.iter().map(|path| (path.clone(), Visibility::Private)).collect(),
        }
    }
}

struct FileLoader<'a> {
    dependencies: &'a [Dependency],
    files: HashMap<String, LoadedFile>,
    /// The paths in linking order: each file after its imports.
    order: Vec<String>,
    bytes: usize,
}

impl FileLoader<'_> {
    /// Loads the file and all its imports. An explicit stack is used because chains of imports can have any length.
    fn load_all(&mut self, name: &str, file: ProtoFile) -> Result<(), InvalidSchema> {
        let mut stack = vec![(name.to_owned(), file.imports.clone(), 0)];
        self.files.insert(name.to_owned(), LoadedFile::Read(Box::new(file)));
        while let Some((path, imports, next)) = stack.last_mut() {
            let Some((import, _)) = imports.get(*next).cloned() else {
                self.order.push(std::mem::take(path));
                stack.pop();
                continue;
            };
            *next += 1;
            if imports.iter().take(*next - 1).any(|(before, _)| *before == import) {
                return Err(self.import_error(path, *next - 1, &format!("\"{import}\" is imported twice; remove one import")));
            }
            if self.files.contains_key(&import) {
                if stack.iter().any(|(path, ..)| *path == import) {
                    return Err(InvalidSchema::new(format!("\"{import}\" imports itself, directly or indirectly; break the cycle")));
                }
                continue;
            }
            let Some(entry) = self.load_file(&import)? else {
                let hint = format!("import \"{import}\" isn't known; add a reference of that name to `references`");
                return Err(self.import_error(path, *next - 1, &hint));
            };
            let inner = (import.clone(), entry.imports(), 0);
            self.files.insert(import.clone(), entry);
            if self.files.len() > MAX_FILES || self.bytes > MAX_BYTES {
                return Err(InvalidSchema::new(format!(
                    "the schema has more than {MAX_FILES} files or {MAX_BYTES} bytes with all that it imports"
                )));
            }
            stack.push(inner);
        }
        Ok(())
    }

    fn load_file(&mut self, path: &str) -> Result<Option<LoadedFile>, InvalidSchema> {
        if let Some(file) = wellknown::runtime(path) {
            return Ok(Some(LoadedFile::Runtime(Box::new(file))));
        }
        if let Some(dependency) = self.dependencies.iter().find(|dependency| &*dependency.name == path) {
            self.bytes += dependency.text.len();
            return ProtoFile::read(path, &dependency.text).map(|file| Some(LoadedFile::Read(Box::new(file))));
        }
        let Some(text) = wellknown::source(path) else { return Ok(None) };
        ProtoFile::read(path, text).map(|file| Some(LoadedFile::Read(Box::new(file))))
    }

    fn import_error(&self, path: &str, index: usize, why: &str) -> InvalidSchema {
        const DEPENDENCY: i32 = 3;
        let wanted = [DEPENDENCY, i32::try_from(index).unwrap_or(i32::MAX)];
        let position = self.files.get(path).and_then(LoadedFile::as_read).and_then(|file| file.describe_declaration(&wanted));
        match position {
            Some(position) => InvalidSchema::new(format!("{path}: {position}: {why}")),
            None => InvalidSchema::new(format!("{path}: {why}")),
        }
    }

    /// Returns for each file all files whose names it can use: its imports and their public imports, transitively.
    fn visible_files(&self) -> Result<BTreeMap<&str, BTreeSet<String>>, InvalidSchema> {
        let mut public: HashMap<&str, BTreeSet<String>> = HashMap::new();
        let mut visible = BTreeMap::new();
        let mut pairs = 0;
        for path in &self.order {
            let (mut all, mut passed) = (BTreeSet::new(), BTreeSet::new());
            for (import, visibility) in self.files.get(path).map(LoadedFile::imports).unwrap_or_default() {
                let beyond = public.get(import.as_str()).cloned().unwrap_or_default();
                if visibility == Visibility::Public {
                    passed.extend(beyond.iter().cloned());
                    passed.insert(import.clone());
                }
                all.extend(beyond);
                all.insert(import);
            }
            pairs += all.len() + passed.len();
            if pairs > MAX_VISIBLE {
                return Err(InvalidSchema::new("the files have too many public imports of each other; import only what is used"));
            }
            public.insert(path, passed);
            visible.insert(path.as_str(), all);
        }
        Ok(visible)
    }
}

/// Adds a file to the pool. Public imports are added as plain imports of all files that see them, because the crate resolves public imports
/// differently from Protobuf.
fn add(
    pool: &mut DescriptorPool,
    path: &str,
    entry: &LoadedFile,
    visible: &BTreeSet<String>,
    json_names: &mut HashMap<String, String>,
) -> Result<(), InvalidSchema> {
    let dependencies = || visible.iter().cloned();
    let file = match entry {
        LoadedFile::Runtime(file) => {
            return pool.add_file_descriptor_proto((**file).clone()).map_err(|error| InvalidSchema::new(format!("{path}: {error}")));
        }
        LoadedFile::Read(file) => file,
    };
    let refused = |error: &dyn std::fmt::Display| InvalidSchema::new(format!("{path}: {error}"));
    let added = if let Some(parsed) = &file.parsed {
        let mut linkable = FileDescriptorProto {
            name: Some(path.to_owned()),
            syntax: None,
            dependency: dependencies().collect(),
            public_dependency: Vec::new(),
            weak_dependency: Vec::new(),
            source_code_info: None,
            ..parsed.clone()
        };
        linkable::tell_json_names_apart(&mut linkable, json_names);
        let mut numeric = linkable.clone();
        if linkable::write_infinities(&mut numeric) {
            // Names such as `inf` can be the value of an enum or of a number. The linker takes them for the first. A pool is of no use after an
            // error.
            let mut trial = pool.clone();
            match trial.add_file_descriptor_proto(linkable) {
                Ok(()) => {
                    *pool = trial;
                    Ok(())
                }
                Err(_) => pool.add_file_descriptor_proto(numeric),
            }
        } else {
            pool.add_file_descriptor_proto(linkable)
        }
    } else {
        let mut dynamic = DynamicMessage::decode(wellknown::file_descriptor(), file.encoded.as_slice()).map_err(|error| refused(&error))?;
        dynamic.set_field_by_name("name", Value::String(path.to_owned()));
        dynamic.set_field_by_name("dependency", Value::List(dependencies().map(Value::String).collect()));
        dynamic.clear_field_by_name("public_dependency");
        dynamic.clear_field_by_name("weak_dependency");
        dynamic.clear_field_by_name("option_dependency");
        pool.decode_file_descriptor_proto(dynamic.encode_to_vec().as_slice())
    };
    let Err(error) = added else { return Ok(()) };
    match file.describe_declaration(error.path().unwrap_or_default()) {
        Some(position) => Err(refused(&format!("{position}: {error}"))),
        None => Err(refused(&error)),
    }
}
