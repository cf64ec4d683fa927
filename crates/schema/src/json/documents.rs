//! Loads a schema and its references, and resolves `$ref` between them.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;

use super::{
    draft::Draft,
    meta::{check_schema, find_meta_schema},
    text::parse_json,
    uri::{decode_fragment, join, pointer_tokens, split},
};
use crate::{
    Dependency, InvalidSchema,
    budget::{BudgetExceeded, hold, spend},
    pointer::escape_token,
    text::list_some,
};

/// A location in a document, as a JSON pointer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SchemaLocation {
    /// The index of the document. 0 is the schema itself.
    pub document: usize,
    /// The JSON pointer in that document.
    pub pointer: Arc<str>,
}

impl SchemaLocation {
    /// Returns the location that some tokens lead to from here.
    pub fn below(&self, tokens: &[&str]) -> Self {
        let mut pointer = self.pointer.to_string();
        for each in tokens {
            pointer.push('/');
            pointer.push_str(&escape_token(each));
        }
        Self { document: self.document, pointer: pointer.into() }
    }
}

/// A schema text that was loaded.
#[derive(Debug)]
pub struct Document {
    /// The name under which it is referenced. Empty for the schema itself.
    pub name: Arc<str>,
    /// The parsed text.
    pub value: Arc<Value>,
    /// The draft that it is written in.
    pub draft: Draft,
    /// The base URI of references in it, unless an `$id` changes it.
    base: String,
}

/// A schema, the schemas that it refers to, and the meta-schemas.
#[derive(Debug, Default)]
pub struct Documents {
    all: Vec<Document>,
    /// Locations by URI without fragment.
    resources: HashMap<String, SchemaLocation>,
    /// Locations by URI without fragment and name of the anchor.
    anchors: HashMap<(String, String), SchemaLocation>,
    /// The locations of dynamic anchors, by name.
    dynamic: HashMap<String, Vec<SchemaLocation>>,
    /// The total size of all pointers and names in bytes.
    size: usize,
}

/// The maximum total size of all pointers and names, in bytes. Deeply nested schemas with long names would need much more time than
/// their text.
const MAX_NAME_BYTES: usize = 64 * 1024 * 1024;
/// The memory of an entry in an index of names beside the names, in bytes.
const ENTRY_BYTES: usize = 128;

/// The maximum number of references in a message.
const MAX_LISTED: usize = 20;

/// Keywords whose values contain data instead of schemas.
const DATA_KEYWORDS: [&str; 5] = ["enum", "const", "default", "examples", "required"];

impl Documents {
    /// Parses and indexes the schema and its dependencies.
    pub fn read(text: &str, dependencies: &[Dependency]) -> Result<Self, InvalidSchema> {
        let mut documents = Self::default();
        let value = parse_json(text)?;
        if !value.is_object() && !value.is_boolean() {
            return Err(InvalidSchema::new("a JSON Schema is an object, or `true` or `false`; this is something else"));
        }
        let draft = Draft::declared_by(&value).unwrap_or(Draft::Seven);
        check_schema(draft, &value, "the schema")?;
        documents.add("".into(), value, draft)?;
        for dependency in dependencies {
            let value = parse_json(&dependency.text)
                .map_err(|error| InvalidSchema::new(format!("the reference `{}`: {}", dependency.name, error.message)))?;
            let draft = Draft::declared_by(&value).unwrap_or(draft);
            check_schema(draft, &value, &format!("the reference `{}`", dependency.name))?;
            documents.add(Arc::clone(&dependency.name), value, draft)?;
        }
        Ok(documents)
    }

    /// Returns the names of the documents, in order.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.all.iter().map(|document| Arc::clone(&document.name)).collect()
    }

    /// Returns a document by its index.
    pub fn get(&self, index: usize) -> &Document {
        &self.all[index]
    }

    /// Returns the value at a location.
    pub fn value(&self, location: &SchemaLocation) -> Option<&Value> {
        self.all.get(location.document)?.value.pointer(&location.pointer)
    }

    /// Returns the locations of a dynamic anchor if there are several. Its meaning then depends on the path of references that leads to it.
    pub fn dynamic_anchors(&self, anchor: &str) -> Option<&[SchemaLocation]> {
        self.dynamic.get(anchor).map(Vec::as_slice).filter(|locations| locations.len() > 1)
    }

    /// Adds to the size of stored names, and fails above the limit.
    pub fn count_name_bytes(&mut self, bytes: usize) -> Result<(), InvalidSchema> {
        spend(1 + bytes / 64)?;
        self.size += bytes;
        if self.size > MAX_NAME_BYTES {
            return Err(InvalidSchema::new(format!(
                "the paths of all values in the schema have more than {MAX_NAME_BYTES} bytes together; shorten the longest names"
            )));
        }
        Ok(())
    }

    fn add(&mut self, name: Arc<str>, value: Value, draft: Draft) -> Result<(), InvalidSchema> {
        let index = self.all.len();
        let outer = self.all.first().map_or("", |first| &first.base);
        let retrieved = join(outer, split(&name).0);
        let id = value.get(draft.id_keyword()).and_then(Value::as_str).unwrap_or_default();
        let base = join(&retrieved, split(id).0);
        let root = SchemaLocation { document: index, pointer: "".into() };
        for uri in [&base, &retrieved, &name.to_string()] {
            self.resources.entry(uri.trim_end_matches('#').to_owned()).or_insert_with(|| root.clone());
        }
        // Older drafts ignore `$id` beside a `$ref`, but references inside of the document are relative to it anyway.
        self.index(&value, &root, draft, &base)?;
        self.all.push(Document { name, value: value.into(), draft, base });
        Ok(())
    }

    /// Indexes the names in a value. Recursion is limited by the depth of JSON.
    fn index(&mut self, value: &Value, location: &SchemaLocation, draft: Draft, base: &str) -> Result<(), InvalidSchema> {
        let base = &base_within(value, draft, base);
        self.count_name_bytes(location.pointer.len() + base.len())?;
        match value {
            Value::Object(members) => {
                if let Some(id) = identity(value, draft) {
                    let (uri, fragment) = split(id);
                    if !uri.is_empty() {
                        self.resources.entry(base.clone()).or_insert_with(|| location.clone());
                    }
                    if !fragment.is_empty() {
                        self.anchors.insert((base.clone(), fragment.to_owned()), location.clone());
                    }
                }
                if [draft.id_keyword(), "$anchor", "$dynamicAnchor", "$recursiveAnchor"].iter().any(|name| members.contains_key(*name)) {
                    hold(2 * (ENTRY_BYTES + base.len() + location.pointer.len()))?;
                }
                for keyword in ["$anchor", "$dynamicAnchor"] {
                    if let Some(anchor) = value.get(keyword).and_then(Value::as_str) {
                        self.anchors.insert((base.clone(), anchor.to_owned()), location.clone());
                        if keyword == "$dynamicAnchor" {
                            self.dynamic.entry(anchor.to_owned()).or_default().push(location.clone());
                        }
                    }
                }
                if value.get("$recursiveAnchor") == Some(&Value::Bool(true)) {
                    self.dynamic.entry("#".to_owned()).or_default().push(location.clone());
                }
                for (name, member) in members {
                    if is_container(member) && !DATA_KEYWORDS.contains(&name.as_str()) {
                        self.index(member, &location.below(&[name]), draft, base)?;
                    }
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate().filter(|(_, item)| is_container(item)) {
                    self.index(item, &location.below(&[&index.to_string()]), draft, base)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Resolves a reference that stands at `from`.
    pub fn resolve(&mut self, reference: &str, from: &SchemaLocation) -> Result<SchemaLocation, InvalidSchema> {
        spend(1 + (reference.len() + from.pointer.len()) / 16)?;
        let (uri, fragment) = split(reference);
        let base = self.base(from)?;
        let target = join(&base, uri);
        let plain = uri.trim_start_matches("./");
        let known = [target.as_str(), uri, plain].into_iter().find(|uri| self.resources.contains_key(*uri)).map(str::to_owned);
        let known = known.or_else(|| self.meta(&target)).ok_or_else(|| {
            let known: Vec<_> = self.all.iter().skip(1).map(|document| &document.name).collect();
            let known = if known.is_empty() { "there are none".to_owned() } else { format!("there are {}", list_some(&known, MAX_LISTED)) };
            self.unresolved(reference, from, &format!("no schema has this name; add it to `references` with the name `{uri}` ({known})"))
        })?;
        let root = self.resources.get(&known).cloned().ok_or_else(|| self.unresolved(reference, from, "no schema has this name"))?;
        let fragment = decode_fragment(fragment);
        let location = if fragment.is_empty() {
            Some(root)
        } else if fragment.starts_with('/') {
            let pointer: Vec<String> = pointer_tokens(&fragment).collect();
            let location = root.below(&pointer.iter().map(String::as_str).collect::<Vec<_>>());
            self.value(&location).is_some().then_some(location)
        } else {
            match self.anchors.get(&(known.clone(), fragment.clone())) {
                Some(location) => Some(location.clone()),
                None => self.anchors.get(&(self.base(&root)?, fragment)).cloned(),
            }
        };
        let location = location
            .ok_or_else(|| self.unresolved(reference, from, "the target does not exist; correct the part after `#`, or define it"))?;
        match self.value(&location) {
            Some(Value::Object(_) | Value::Bool(_)) => Ok(location),
            _ => Err(self.unresolved(reference, from, "the target is not a schema: neither an object nor a boolean")),
        }
    }

    fn unresolved(&self, reference: &str, from: &SchemaLocation, why: &str) -> InvalidSchema {
        let document = &self.get(from.document).name;
        let owner = if document.is_empty() { String::new() } else { format!(" of the reference `{document}`") };
        InvalidSchema::new(format!("`{reference}` at `{}`{owner} can't be resolved: {why}", from.below(&["$ref"]).pointer))
    }

    /// Returns the base URI of references at a location.
    fn base(&self, location: &SchemaLocation) -> Result<String, BudgetExceeded> {
        let document = self.get(location.document);
        spend(document.base.len() / 64)?;
        let mut base = document.base.clone();
        let mut value = &*document.value;
        for token in pointer_tokens(&location.pointer) {
            let next = match value {
                Value::Object(members) => members.get(&token),
                Value::Array(items) => token.parse::<usize>().ok().and_then(|index| items.get(index)),
                _ => None,
            };
            let Some(next) = next else { break };
            if let Some(id) = identity(next, document.draft) {
                spend(1 + (base.len() + id.len()) / 64)?;
                base = join(&base, split(id).0);
            }
            value = next;
        }
        Ok(base)
    }

    /// Loads a meta-schema that is referenced.
    fn meta(&mut self, uri: &str) -> Option<String> {
        let draft = Draft::from_uri(uri);
        let (value, draft) = find_meta_schema(uri, draft)?;
        let uri = uri.trim_end_matches('#').to_owned();
        self.add(uri.as_str().into(), value, draft).ok()?;
        Some(uri)
    }
}

/// Returns the `$id` of a schema. Older drafts ignore it beside `$ref`.
fn identity(value: &Value, draft: Draft) -> Option<&str> {
    let ignored = !draft.reference_has_siblings() && value.get("$ref").is_some_and(Value::is_string);
    (!ignored).then(|| value.get(draft.id_keyword())?.as_str()).flatten()
}

fn base_within(value: &Value, draft: Draft, base: &str) -> String {
    identity(value, draft).map_or_else(|| base.to_owned(), |id| join(base, split(id).0))
}

fn is_container(value: &Value) -> bool {
    value.is_object() || value.is_array()
}
