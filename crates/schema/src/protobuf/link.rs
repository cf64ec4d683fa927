//! A file and all that it imports become descriptors that know each other.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, FileDescriptor, ReflectMessage as _, Value};
use prost_types::FileDescriptorProto;

use super::{
    read::{ProtoFile, Syntax, Visibility},
    wellknown::{self, OPTIONS},
};
use crate::{Dependency, InvalidSchema};

/// Most files that one schema is made of.
pub(super) const MAX_FILES: usize = 1_000;
/// Most bytes that they have together.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Most pairs of a file and one that is visible in it.
const MAX_VISIBLE: usize = 100_000;

/// Files that know each other.
#[derive(Clone, Debug)]
pub(super) struct LinkedFile {
    pub file: FileDescriptor,
    pub syntax: Syntax,
    pub imports: Vec<(String, Visibility)>,
    /// Which of all files are of an edition.
    pub editions: BTreeSet<String>,
}

/// Links a file with what it imports.
pub(super) fn link(name: &str, file: ProtoFile, dependencies: &[Dependency]) -> Result<LinkedFile, InvalidSchema> {
    let mut loaded = FileLoader { dependencies, files: HashMap::new(), order: Vec::new(), bytes: file.text.len() };
    loaded.all(name, file)?;
    let visible = loaded.visible()?;
    let mut pool = DescriptorPool::new();
    if loaded.files.values().any(LoadedFile::needs_options) {
        add(&mut pool, OPTIONS, &runtime(OPTIONS)?, &BTreeSet::new())?;
    }
    let mut editions = BTreeSet::new();
    for path in &loaded.order {
        let Some(file) = loaded.files.get(path) else { continue };
        let seen = visible.get(path.as_str()).cloned().unwrap_or_default();
        if let Some(ProtoFile { syntax: Syntax::Edition(_), .. }) = file.read() {
            editions.insert(path.clone());
        }
        add(&mut pool, path, file, &seen)?;
    }
    let (Some(LoadedFile::Read(root)), Some(linked)) = (loaded.files.remove(name), pool.get_file_by_name(name)) else {
        return Err(InvalidSchema::new(format!("{name}: the file wasn't linked")));
    };
    Ok(LinkedFile { file: linked, syntax: root.syntax, imports: root.imports, editions })
}

/// What a file that takes part in linking is.
enum LoadedFile {
    Read(Box<ProtoFile>),
    Runtime(Box<FileDescriptorProto>),
}

impl LoadedFile {
    fn read(&self) -> Option<&ProtoFile> {
        match self {
            Self::Read(file) => Some(file),
            Self::Runtime(_) => None,
        }
    }

    /// Whether options have to be read with their own file: it knows all features of editions, and a file of the same names
    /// can't take its place if it is there first.
    fn needs_options(&self) -> bool {
        let Self::Read(file) = self else { return false };
        matches!(file.syntax, Syntax::Edition(_))
            || file.package == "google"
            || file.package.strip_prefix("google.protobuf").is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            || (file.package.is_empty() && file.declares_google)
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
    /// Each behind those that it imports.
    order: Vec<String>,
    bytes: usize,
}

impl FileLoader<'_> {
    /// Loads the file and all that it imports. A stack of its own, since chains of imports are as long as anyone likes.
    fn all(&mut self, name: &str, file: ProtoFile) -> Result<(), InvalidSchema> {
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
                return Err(self.import_refused(path, *next - 1, &format!("\"{import}\" is imported twice; leave one import out")));
            }
            if self.files.contains_key(&import) {
                if stack.iter().any(|(path, ..)| *path == import) {
                    return Err(InvalidSchema::new(format!("\"{import}\" imports itself, directly or by others; break the circle")));
                }
                continue;
            }
            let Some(entry) = self.open(&import)? else {
                let hint = format!("import \"{import}\" isn't known; add a reference of that name to `references`");
                return Err(self.import_refused(path, *next - 1, &hint));
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

    fn open(&mut self, path: &str) -> Result<Option<LoadedFile>, InvalidSchema> {
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

    fn import_refused(&self, path: &str, index: usize, why: &str) -> InvalidSchema {
        const DEPENDENCY: i32 = 3;
        let wanted = [DEPENDENCY, i32::try_from(index).unwrap_or(i32::MAX)];
        let place = self.files.get(path).and_then(LoadedFile::read).and_then(|file| file.place_at(&wanted));
        match place {
            Some(place) => InvalidSchema::new(format!("{path}: {place}: {why}")),
            None => InvalidSchema::new(format!("{path}: {why}")),
        }
    }

    /// For each file, all files whose names it may use: its imports, and what those import publicly, and so on.
    fn visible(&self) -> Result<BTreeMap<&str, BTreeSet<String>>, InvalidSchema> {
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
                return Err(InvalidSchema::new("the files import each other publicly too often; import what is used instead"));
            }
            public.insert(path, passed);
            visible.insert(path.as_str(), all);
        }
        Ok(visible)
    }
}

/// Adds a file. Public imports are given as plain ones of all who see them: how the crate follows them isn't how Protobuf does.
fn add(pool: &mut DescriptorPool, path: &str, entry: &LoadedFile, visible: &BTreeSet<String>) -> Result<(), InvalidSchema> {
    let dependencies = || visible.iter().cloned();
    let file = match entry {
        LoadedFile::Runtime(file) => {
            let file = FileDescriptorProto { name: Some(path.to_owned()), source_code_info: None, ..(**file).clone() };
            return pool.add_file_descriptor_proto(file).map_err(|error| InvalidSchema::new(format!("{path}: {error}")));
        }
        LoadedFile::Read(file) => file,
    };
    let refused = |error: &dyn std::fmt::Display| InvalidSchema::new(format!("{path}: {error}"));
    let added = if let Some(parsed) = &file.parsed {
        pool.add_file_descriptor_proto(FileDescriptorProto {
            name: Some(path.to_owned()),
            dependency: dependencies().collect(),
            public_dependency: Vec::new(),
            weak_dependency: Vec::new(),
            source_code_info: None,
            ..parsed.clone()
        })
    } else {
        let descriptor = FileDescriptorProto::default().descriptor();
        let mut dynamic = DynamicMessage::decode(descriptor, file.encoded.as_slice()).map_err(|error| refused(&error))?;
        dynamic.set_field_by_name("name", Value::String(path.to_owned()));
        dynamic.set_field_by_name("dependency", Value::List(dependencies().map(Value::String).collect()));
        dynamic.clear_field_by_name("public_dependency");
        dynamic.clear_field_by_name("weak_dependency");
        pool.decode_file_descriptor_proto(dynamic.encode_to_vec().as_slice())
    };
    let Err(error) = added else { return Ok(()) };
    match file.place_at(error.path().unwrap_or_default()) {
        Some(place) => Err(refused(&format!("{place}: {error}"))),
        None => Err(refused(&error)),
    }
}

fn runtime(path: &str) -> Result<LoadedFile, InvalidSchema> {
    wellknown::runtime(path).map(|file| LoadedFile::Runtime(Box::new(file))).ok_or_else(|| InvalidSchema::new(format!("{path}: not known")))
}
