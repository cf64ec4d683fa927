//! Converts a document to one OpenAPI 3.1 document without references to other files, and checks it on the way.
//!
//! The conversion follows the structure of OpenAPI, so it changes only what is a part of the document: examples, defaults and extensions
//! are data. What a reference leads to outside of `components` is copied into `components`.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    rc::Rc,
};

use serde_json::{Map, Value as Json, json};

use super::{
    files::DocumentFiles,
    references::{Place, References, Target},
    structure::{Content, Kind, is_method},
};
use prism_yaml::{Key, Node, Position, Problem, Value, suggest};

/// The version of OpenAPI in which a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 3.0
    V30,
    /// 3.1
    V31,
}

/// What a conversion has to find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thoroughness {
    /// Only what is needed to serve the document.
    Serve,
    /// Everything that a reader of the document would like to know.
    Lint,
}

/// Converts a document.
pub struct Converter<'n> {
    pub files: &'n DocumentFiles,
    pub references: References<'n>,
    pub version: Version,
    pub thoroughness: Thoroughness,
    /// The position of each operation, by path and method.
    pub operations: HashMap<(String, String), (usize, Position)>,
    /// Whether a schema has a member that is read-only or write-only.
    pub has_directions: bool,
    /// What is not wrong, but does nothing, with its file.
    pub warnings: Vec<(usize, Problem)>,
    /// The name in `components` of each part that was copied there, by file and pointer.
    copied: HashMap<(usize, Rc<str>), String>,
    waiting: VecDeque<(Kind, Place<'n>, String)>,
    /// The names in each section of `components`.
    pub names: HashSet<(&'static str, String)>,
    /// The parts that are being copied in place, so that cycles end.
    inlined: Vec<*const Node>,
    /// How deep the current schema is in its outermost one.
    pub depth: usize,
    /// The patterns that have been checked.
    pub patterns: HashMap<&'n str, bool>,
    /// The keys of unused settings that were reported before.
    reported: HashSet<&'static str>,
}

impl<'n> Converter<'n> {
    /// Creates a converter.
    pub fn new(files: &'n DocumentFiles, version: Version, thoroughness: Thoroughness) -> Self {
        Self {
            files,
            references: References::new(files),
            version,
            thoroughness,
            operations: HashMap::new(),
            has_directions: false,
            warnings: Vec::new(),
            copied: HashMap::new(),
            waiting: VecDeque::new(),
            names: HashSet::new(),
            inlined: Vec::new(),
            depth: 0,
            patterns: HashMap::new(),
            reported: HashSet::new(),
        }
    }

    /// Converts the whole document.
    pub fn document(&mut self) -> Json {
        let root = self.references.root();
        if let Some(components) = root.node.get("components") {
            let components = self.follow(self.references.inside(root, components));
            let sections = [Kind::Schema, Kind::Response, Kind::Parameter, Kind::Example, Kind::RequestBody, Kind::Header, Kind::Link];
            for section in sections.into_iter().filter_map(Kind::section) {
                let Some(named) = components.node.get(section) else { continue };
                let named = self.follow(self.references.inside(components, named));
                self.names.extend(entries(named.node).iter().map(|(key, _)| (section, key.name.clone())));
            }
        }
        let mut document = self.object(Kind::Document, root);
        while let Some((kind, place, name)) = self.waiting.pop_front() {
            let value = self.convert(kind, place);
            if let Some(section) = kind.section() {
                document["components"][section][&name] = value;
            }
        }
        document["openapi"] = "3.1.0".into();
        document
    }

    /// Reports a problem.
    pub fn problem(&self, place: Place<'_>, position: &Position, message: impl Into<String>) {
        self.files.list[place.file].source.problem(position, message);
    }

    /// Reports something that has no effect.
    pub fn warning(&mut self, place: Place<'_>, position: &Position, message: impl Into<String>) {
        if self.thoroughness == Thoroughness::Lint {
            self.warnings.push((place.file, Problem { position: position.clone(), message: message.into() }));
        }
    }

    /// Reports a setting that Prism does not use, once for the document.
    fn unused(&mut self, place: Place<'_>, key: &Key, name: &'static str, message: &str) {
        // An empty list says that there is nothing.
        let empty = place.node.get(name).is_some_and(|node| matches!(&node.value, Value::List(items) if items.is_empty()));
        if !empty && self.reported.insert(name) {
            self.warning(place, &key.position, format!("`{name}` has no effect: {message}"));
        }
    }

    /// Converts a part of the document.
    pub fn convert(&mut self, kind: Kind, place: Place<'n>) -> Json {
        if let Some(reference) = place.node.get("$ref").filter(|node| node.text().is_some()) {
            return self.reference(kind, place, reference);
        }
        if kind == Kind::Schema {
            return self.schema(place);
        }
        self.object(kind, place)
    }

    /// Converts a reference.
    fn reference(&mut self, kind: Kind, place: Place<'n>, node: &'n Node) -> Json {
        let reference = node.text().unwrap_or_default();
        let target = match self.references.resolve_all(place, reference) {
            // A cycle of references has no end; everything else is resolved one step at a time.
            Ok(_) => self.references.resolve(place, reference),
            Err(problem) => Err(problem),
        };
        let target = match target {
            Ok(target) => target,
            Err(problem) => {
                self.problem(place, &node.position, &*problem);
                return json!({});
            }
        };
        if kind.section().is_none() {
            return self.inline(kind, place, &target, node);
        }
        let mut converted = json!({});
        if let Some(pointer) = self.pointer(kind, &target) {
            converted["$ref"] = pointer.into();
        } else {
            let found = target.pointer.split('/').nth(2).unwrap_or_default();
            let message = format!("`{reference}` leads to `components.{found}`, but {} is expected", kind.name());
            self.problem(place, &node.position, message);
        }
        if kind == Kind::Schema {
            self.beside_reference(place, &mut converted);
        }
        converted
    }

    /// Returns the reference to a part. What is outside of `components` is copied into it. Returns `None` if the part is a component of
    /// another kind.
    pub fn pointer(&mut self, kind: Kind, target: &Target<'n>) -> Option<String> {
        let section = kind.section()?;
        let mut steps = target.pointer.split('/').skip(1);
        if target.place.file == 0 && steps.next() == Some("components") {
            let (found, depth) = (steps.next(), steps.count());
            if depth == 1 && found != Some(section) {
                return None;
            }
            // Schemas keep their structure, so a pointer into one stays valid.
            if depth == 1 || kind == Kind::Schema && found == Some(section) && depth > 1 {
                return Some(format!("#{}", target.pointer));
            }
        }
        let key = (target.place.file, target.pointer.clone());
        if let Some(name) = self.copied.get(&key) {
            return Some(format!("#/components/{section}/{name}"));
        }
        let name = self.name(section, target);
        self.copied.insert(key, name.clone());
        self.waiting.push_back((kind, target.place, name.clone()));
        Some(format!("#/components/{section}/{name}"))
    }

    /// Chooses a name for a copied part: the last step of its pointer that is a name, or the name of its file.
    fn name(&mut self, section: &'static str, target: &Target<'n>) -> String {
        let file = self.files.list[target.place.file].source.name();
        let stem = std::path::Path::new(file).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let steps = target.pointer.rsplit('/').filter(|step| !step.is_empty() && *step != "schema");
        let step = steps.into_iter().find(|step| !step.bytes().all(|byte| byte.is_ascii_digit())).map_or(stem, str::to_owned);
        let base: String = step.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' }).collect();
        let mut name = base.clone();
        let mut number = 1;
        while !self.names.insert((section, name.clone())) {
            number += 1;
            name = format!("{base}_{number}");
        }
        name
    }

    /// Copies what a reference leads to into the place of the reference.
    fn inline(&mut self, kind: Kind, place: Place<'n>, target: &Target<'n>, node: &'n Node) -> Json {
        let address = std::ptr::from_ref(target.place.node);
        if self.inlined.contains(&address) {
            self.problem(place, &node.position, format!("`{}` contains itself", node.text().unwrap_or_default()));
            return json!({});
        }
        self.inlined.push(address);
        let mut value = self.convert(kind, target.place);
        self.inlined.pop();
        // A path may have members beside its `$ref`.
        if let (Kind::PathItem, Json::Object(members)) = (kind, &mut value) {
            for (key, node) in entries(place.node).iter().filter(|(key, _)| key.name != "$ref") {
                if let Some((_, content)) = kind.members().iter().find(|(name, _)| *name == key.name) {
                    let own = self.content(*content, key, self.references.inside(place, node));
                    members.insert(key.name.clone(), own);
                }
            }
        }
        value
    }

    fn object(&mut self, kind: Kind, place: Place<'n>) -> Json {
        let Value::Map(members) = &place.node.value else {
            // An empty object is often left out.
            if !matches!(place.node.value, Value::Null) || matches!(kind, Kind::Parameter) {
                self.problem(place, &place.node.position, format!("{} must be a mapping, not {}", kind.name(), place.node.value.kind()));
            }
            return json!({});
        };
        match kind {
            Kind::Parameter | Kind::Header => self.check_parameter(kind, place),
            Kind::RequestBody => self.check_body(place),
            _ => {}
        }
        let mut converted = Map::new();
        for (key, node) in members {
            let inner = self.references.inside(place, node);
            if key.name.starts_with("x-") {
                converted.insert(key.name.clone(), node.to_json());
                continue;
            }
            let known = kind.members().iter().find(|(name, _)| *name == key.name).map(|(_, content)| *content);
            let Some(content) = known.or_else(|| kind.others()) else {
                self.unknown(kind, place, key);
                converted.insert(key.name.clone(), node.to_json());
                continue;
            };
            self.check_member(kind, place, key);
            if kind == Kind::Paths {
                self.remember_operations(&key.name, inner);
            }
            converted.insert(key.name.clone(), self.content(content, key, inner));
        }
        Json::Object(converted)
    }

    /// Converts the value of a member.
    pub fn content(&mut self, content: Content, key: &'n Key, place: Place<'n>) -> Json {
        match content {
            Content::Data => place.node.to_json(),
            Content::One(kind) => self.convert(kind, place),
            Content::Text => {
                let reference = place.node.get("$ref").filter(|node| node.text().is_some());
                match reference.map(|node| (node, self.references.resolve_all(place, node.text().unwrap_or_default()))) {
                    None => place.node.to_json(),
                    Some((_, Ok(target))) => target.place.node.to_json(),
                    Some((node, Err(problem))) => {
                        self.problem(place, &node.position, &*problem);
                        Json::Null
                    }
                }
            }
            Content::Named(kind) => {
                let place = self.follow(place);
                let list = self.files.list[place.file].source.entries(&format!("`{}`", key.name), place.node);
                let mut converted = Map::new();
                for (name, node) in list {
                    let inner = self.references.inside(place, node);
                    // Extensions are allowed in many maps.
                    let extension =
                        name.name.starts_with("x-") && !matches!(kind, Kind::Schema | Kind::Header | Kind::Example | Kind::Encoding);
                    converted.insert(name.name.clone(), if extension { node.to_json() } else { self.convert(kind, inner) });
                }
                Json::Object(converted)
            }
            Content::List(kind) => {
                let place = self.follow(place);
                let items = self.files.list[place.file].source.items(&format!("`{}`", key.name), place.node);
                if kind == Kind::Parameter {
                    self.check_repeated(place, items);
                }
                items.iter().map(|item| self.convert(kind, self.references.inside(place, item))).collect()
            }
        }
    }

    /// Follows the reference of a map or a list.
    fn follow(&self, place: Place<'n>) -> Place<'n> {
        let Some(node) = place.node.get("$ref").filter(|node| node.text().is_some()) else { return place };
        match self.references.resolve_all(place, node.text().unwrap_or_default()) {
            Ok(target) => target.place,
            Err(problem) => {
                self.problem(place, &node.position, &*problem);
                place
            }
        }
    }

    /// Remembers where the operations of a path are.
    fn remember_operations(&mut self, path: &str, place: Place<'n>) {
        let own = place;
        let place = self.follow(place);
        for (key, node) in entries(place.node).iter().chain(entries(own.node)).filter(|(key, _)| is_method(&key.name)) {
            let file = if node.get("$ref").is_some() { self.follow(self.references.inside(place, node)).file } else { place.file };
            let position = if file == place.file { key.position.clone() } else { Position::File { line: 1, column: 1 } };
            self.operations.insert((path.to_owned(), key.name.clone()), (file, position));
        }
    }

    /// Reports an unknown member.
    fn unknown(&mut self, kind: Kind, place: Place<'n>, key: &Key) {
        if matches!(key.name.as_str(), "query" | "additionalOperations") && kind == Kind::PathItem {
            self.problem(place, &key.position, format!("`{}` is not served: it is not a part of OpenAPI 3.1", key.name));
            return;
        }
        if self.thoroughness == Thoroughness::Serve {
            return;
        }
        let known = kind.members().iter().map(|(name, _)| *name);
        let hint = suggest(&key.name, known).map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
        self.warning(place, &key.position, format!("`{}` is not a member of {} and has no effect{hint}", key.name, kind.name()));
    }

    /// Warns of what is valid but has no effect in Prism.
    fn check_member(&mut self, kind: Kind, place: Place<'n>, key: &'n Key) {
        match (kind, key.name.as_str()) {
            (Kind::Document | Kind::Operation, "security") => {
                self.unused(place, key, "security", "Prism does not check who calls an operation");
            }
            (Kind::Document, "webhooks") => self.unused(place, key, "webhooks", "Prism does not call clients"),
            (Kind::Operation, "callbacks") => self.unused(place, key, "callbacks", "Prism does not call clients"),
            (Kind::Operation | Kind::PathItem, "servers") => {
                self.unused(place, key, "servers", "the base path of the binding applies to all operations");
            }
            (Kind::Document, "jsonSchemaDialect") => {
                const DIALECTS: [&str; 2] =
                    ["https://spec.openapis.org/oas/3.1/dialect/base", "https://json-schema.org/draft/2020-12/schema"];
                let dialect = place.node.get("jsonSchemaDialect");
                if let Some(node) = dialect.filter(|node| !node.text().is_some_and(|text| DIALECTS.contains(&text))) {
                    self.problem(place, &node.position, "schemas must be of JSON Schema 2020-12, the dialect of OpenAPI 3.1");
                }
            }
            (Kind::Paths, path) if !path.starts_with('/') => {
                self.problem(place, &key.position, format!("the path `{path}` must begin with `/`"));
            }
            _ => {}
        }
    }
}

/// Returns the entries of a mapping; none if it is something else.
pub fn entries(node: &Node) -> &[(Key, Node)] {
    if let Value::Map(entries) = &node.value { entries } else { &[] }
}
