//! Loads a [`Registry`] from files. Reports the problems of all files at once.

use std::{collections::BTreeMap, fs, io, path::Path};

use serde::de::DeserializeOwned;

use super::{
    Backend, Model, Name, Pattern, Problems, Registry, contract,
    model::{Capabilities, Capability},
};
use prism_yaml::{self as yaml, EMBEDDED, Position, Problem};

const ROOT: &str = "registry";

impl Registry {
    /// Reads the registry from pairs of path and content. Paths begin with `registry/`.
    pub fn from_files<P: AsRef<str>, T: AsRef<str>>(files: &[(P, T)]) -> Result<Self, Problems> {
        let mut loader = Loader::default();
        for (path, text) in files {
            loader.read(path.as_ref(), text.as_ref());
        }
        loader.finish()
    }

    /// Reads the registry that this binary was built with.
    pub(super) fn from_embedded() -> Result<Self, Problems> {
        let mut loader = Loader::default();
        for known in EMBEDDED.iter().filter(|known| known.file.starts_with("registry/")) {
            loader.read(known.file, known.text);
        }
        loader.finish()
    }

    /// Reads the registry from a folder, so that files can be checked without a new build.
    pub fn from_folder(folder: &Path) -> Result<Self, Problems> {
        let mut files = Vec::new();
        if let Err(error) = collect(folder, ROOT, &mut files) {
            let mut problems = Problems::default();
            problems.add(&folder.display().to_string(), 0, format!("the folder can't be read: {error}"));
            return Err(problems);
        }
        Self::from_files(&files)
    }
}

fn collect(folder: &Path, name: &str, files: &mut Vec<(String, String)>) -> io::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        if path.is_dir() {
            collect(&path, &name, files)?;
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push((name, fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

#[derive(Default)]
struct Loader {
    models: Vec<Model>,
    capabilities: Vec<Capability>,
    backends: Vec<Backend>,
    patterns: Vec<Pattern>,
    matrix: Option<String>,
    paths: BTreeMap<String, String>,
    problems: Problems,
}

impl Loader {
    fn read(&mut self, path: &str, text: &str) {
        let below = path.strip_prefix(ROOT).map_or(path, |rest| rest.trim_start_matches('/'));
        match below.split_once('/') {
            None if below == "matrix.yaml" => self.matrix = Some(text.to_owned()),
            None if below == "capabilities.yaml" => {
                if let Some(read) = self.parse::<Capabilities>(path, text) {
                    self.capabilities = read.capabilities;
                }
            }
            Some(("interfaces", _)) => {
                if let Some(model) = self.parse::<Model>(path, text) {
                    self.check_file_name(path, "interfaces", &model.name);
                    self.models.push(model);
                }
            }
            Some(("backends", _)) => {
                if let Some(backend) = self.parse::<Backend>(path, text) {
                    self.check_file_name(path, "backends", &backend.name);
                    self.backends.push(backend);
                }
            }
            Some(("patterns", _)) => {
                if let Some(mut pattern) = self.parse::<Pattern>(path, text) {
                    self.check_file_name(path, "patterns", &pattern.name);
                    contract::complete(&mut pattern, path, &mut self.problems);
                    self.patterns.push(pattern);
                }
            }
            _ => self.problems.add(path, 0, "the registry has no such file; remove it or move it to the folder of its layer"),
        }
    }

    fn parse<T: DeserializeOwned>(&mut self, path: &str, text: &str) -> Option<T> {
        let (root, mut problems) = yaml::parse(text);
        let read = if problems.is_empty() { yaml::typed(&root).map_err(|problem| problems.push(problem)).ok() } else { None };
        for Problem { position, message } in problems {
            let line = if let Position::File { line, .. } = position { line } else { 0 };
            self.problems.add(path, line, message);
        }
        read
    }

    /// Checks that the file is named after what it defines.
    fn check_file_name(&mut self, path: &str, layer: &str, name: &Name) {
        let expected = format!("{ROOT}/{layer}/{name}.yaml");
        if path != expected {
            self.problems.add(path, name.line(), format!("`{name}` must be in the file {expected}"));
        }
        self.paths.insert(format!("{layer}/{name}"), path.to_owned());
    }

    fn finish(mut self) -> Result<Registry, Problems> {
        if !self.problems.0.is_empty() {
            return Err(self.problems);
        }
        self.models.sort_by_key(|model| model.order);
        self.backends.sort_by(|a, b| (a.driver, a.name.as_str()).cmp(&(b.driver, b.name.as_str())));
        self.patterns.sort_by(|a, b| (a.executor, a.name.as_str()).cmp(&(b.executor, b.name.as_str())));
        Ok(Registry {
            models: self.models,
            capabilities: self.capabilities,
            backends: self.backends,
            patterns: self.patterns,
            matrix: self.matrix,
            paths: self.paths,
        })
    }
}
