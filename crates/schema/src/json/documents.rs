//! Where a schema and all that it refers to are found.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;

use super::{
    draft::Draft,
    text::read,
    uri::{decoded, join, split, token, tokens},
};
use crate::{Dependency, InvalidSchema};

/// A place in a document, as a JSON pointer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SchemaLocation {
    /// Which document; the first one is the schema itself.
    pub document: usize,
    /// Where in it.
    pub pointer: Arc<str>,
}

impl SchemaLocation {
    /// A place below this one.
    pub fn below(&self, tokens: &[&str]) -> Self {
        let mut pointer = self.pointer.to_string();
        for each in tokens {
            pointer.push('/');
            pointer.push_str(&token(each));
        }
        Self { document: self.document, pointer: pointer.into() }
    }
}

/// A text that takes part.
#[derive(Debug)]
pub struct Document {
    /// How others call it; empty: it is the schema itself.
    pub name: Arc<str>,
    /// What it says.
    pub value: Arc<Value>,
    /// How it is read.
    pub draft: Draft,
    /// What references within it are relative to, unless an `$id` says something else.
    base: String,
}

/// A schema, the schemas that it refers to, and the meta-schemas.
#[derive(Debug, Default)]
pub struct Documents {
    all: Vec<Document>,
    /// By URI without fragment.
    resources: HashMap<String, SchemaLocation>,
    /// By URI without fragment and name of the anchor.
    anchors: HashMap<(String, String), SchemaLocation>,
    /// The places that have a dynamic anchor, by its name.
    dynamic: HashMap<String, Vec<SchemaLocation>>,
    /// How many bytes the names of all places have.
    size: usize,
}

/// Longest that all pointers into a schema and all its names may be together, in bytes: long names of schemas that hold many
/// others would take more memory than the text.
const MAX_NAMES: usize = 64 * 1024 * 1024;

/// Members of a schema whose values hold no schemas.
const DATA: [&str; 5] = ["enum", "const", "default", "examples", "required"];

impl Documents {
    /// Reads and indexes all texts.
    pub fn read(text: &str, dependencies: &[Dependency]) -> Result<Self, InvalidSchema> {
        let mut documents = Self::default();
        let value = read(text)?;
        if !value.is_object() && !value.is_boolean() {
            return Err(InvalidSchema::new("a JSON Schema is an object, or `true` or `false`; this is something else"));
        }
        let draft = Draft::named(&value).unwrap_or(Draft::Seven);
        draft.check(&value, "the schema")?;
        documents.add("".into(), value, draft)?;
        for dependency in dependencies {
            let value = read(&dependency.text)
                .map_err(|error| InvalidSchema::new(format!("the reference `{}`: {}", dependency.name, error.message)))?;
            let draft = Draft::named(&value).unwrap_or(draft);
            draft.check(&value, &format!("the reference `{}`", dependency.name))?;
            documents.add(Arc::clone(&dependency.name), value, draft)?;
        }
        Ok(documents)
    }

    /// What the documents are called, in their order.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.all.iter().map(|document| Arc::clone(&document.name)).collect()
    }

    /// A document by its index.
    pub fn get(&self, index: usize) -> &Document {
        &self.all[index]
    }

    /// What stands at a place.
    pub fn value(&self, place: &SchemaLocation) -> Option<&Value> {
        self.all.get(place.document)?.value.pointer(&place.pointer)
    }

    /// The places that have this dynamic anchor, if there are several, so that what it means depends on how it is reached.
    pub fn dynamic(&self, anchor: &str) -> Option<&[SchemaLocation]> {
        self.dynamic.get(anchor).map(Vec::as_slice).filter(|places| places.len() > 1)
    }

    /// Counts names that are kept.
    pub fn spend(&mut self, bytes: usize) -> Result<(), InvalidSchema> {
        self.size += bytes;
        if self.size > MAX_NAMES {
            return Err(InvalidSchema::new(format!(
                "the names of all that is in the schema have more than {MAX_NAMES} bytes with what they are in; shorten the longest ones"
            )));
        }
        Ok(())
    }

    fn add(&mut self, name: Arc<str>, value: Value, draft: Draft) -> Result<(), InvalidSchema> {
        let index = self.all.len();
        let outer = self.all.first().map_or("", |first| &first.base);
        let retrieved = join(outer, split(&name).0);
        let id = value.get(draft.id()).and_then(Value::as_str).unwrap_or_default();
        let base = join(&retrieved, split(id).0);
        let root = SchemaLocation { document: index, pointer: "".into() };
        for uri in [&base, &retrieved, &name.to_string()] {
            self.resources.entry(uri.trim_end_matches('#').to_owned()).or_insert_with(|| root.clone());
        }
        // Beside a `$ref` at the top, older drafts ignore `$id`; what is within is relative to it all the same.
        self.index(&value, &root, draft, &base)?;
        self.all.push(Document { name, value: value.into(), draft, base });
        Ok(())
    }

    /// Notes down names in a value. Recursion is bounded by the depth of JSON that is read.
    fn index(&mut self, value: &Value, place: &SchemaLocation, draft: Draft, base: &str) -> Result<(), InvalidSchema> {
        let base = &based(value, draft, base);
        self.spend(place.pointer.len() + base.len())?;
        match value {
            Value::Object(members) => {
                if let Some(id) = identity(value, draft) {
                    let (uri, fragment) = split(id);
                    if !uri.is_empty() {
                        self.resources.entry(base.clone()).or_insert_with(|| place.clone());
                    }
                    if !fragment.is_empty() {
                        self.anchors.insert((base.clone(), fragment.to_owned()), place.clone());
                    }
                }
                for keyword in ["$anchor", "$dynamicAnchor"] {
                    if let Some(anchor) = value.get(keyword).and_then(Value::as_str) {
                        self.anchors.insert((base.clone(), anchor.to_owned()), place.clone());
                        if keyword == "$dynamicAnchor" {
                            self.dynamic.entry(anchor.to_owned()).or_default().push(place.clone());
                        }
                    }
                }
                if value.get("$recursiveAnchor") == Some(&Value::Bool(true)) {
                    self.dynamic.entry("#".to_owned()).or_default().push(place.clone());
                }
                for (name, member) in members {
                    if holds_others(member) && !DATA.contains(&name.as_str()) {
                        self.index(member, &place.below(&[name]), draft, base)?;
                    }
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate().filter(|(_, item)| holds_others(item)) {
                    self.index(item, &place.below(&[&index.to_string()]), draft, base)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The place that a reference means, seen from `from`.
    pub fn resolve(&mut self, reference: &str, from: &SchemaLocation) -> Result<SchemaLocation, InvalidSchema> {
        let (uri, fragment) = split(reference);
        let base = self.base(from);
        let target = join(&base, uri);
        let plain = uri.trim_start_matches("./");
        let known = [target.as_str(), uri, plain].into_iter().find(|uri| self.resources.contains_key(*uri)).map(str::to_owned);
        let known = known.or_else(|| self.meta(&target)).ok_or_else(|| {
            let known: Vec<_> = self.all.iter().skip(1).map(|document| format!("`{}`", document.name)).collect();
            let known = if known.is_empty() { "there are none".to_owned() } else { format!("there are {}", known.join(", ")) };
            self.unresolved(reference, from, &format!("no schema has this name; add it to `references` with the name `{uri}` ({known})"))
        })?;
        let root = self.resources.get(&known).cloned().ok_or_else(|| self.unresolved(reference, from, "no schema has this name"))?;
        let fragment = decoded(fragment);
        let place = if fragment.is_empty() {
            Some(root)
        } else if fragment.starts_with('/') {
            let pointer: Vec<String> = tokens(&fragment).collect();
            let place = root.below(&pointer.iter().map(String::as_str).collect::<Vec<_>>());
            self.value(&place).is_some().then_some(place)
        } else {
            self.anchors
                .get(&(known.clone(), fragment.clone()))
                .cloned()
                .or_else(|| self.anchors.get(&(self.base(&root), fragment)).cloned())
        };
        let place = place.ok_or_else(|| self.unresolved(reference, from, "nothing is there; correct the part behind `#`, or define it"))?;
        match self.value(&place) {
            Some(Value::Object(_) | Value::Bool(_)) => Ok(place),
            _ => Err(self.unresolved(reference, from, "what is there is no schema: neither an object nor a boolean")),
        }
    }

    fn unresolved(&self, reference: &str, from: &SchemaLocation, why: &str) -> InvalidSchema {
        let document = &self.get(from.document).name;
        let of = if document.is_empty() { String::new() } else { format!(" of the reference `{document}`") };
        InvalidSchema::new(format!("`{reference}` at `{}`{of} can't be resolved: {why}", from.below(&["$ref"]).pointer))
    }

    /// What references at a place are relative to.
    fn base(&self, place: &SchemaLocation) -> String {
        let document = self.get(place.document);
        let mut base = document.base.clone();
        let mut value = &*document.value;
        for token in tokens(&place.pointer) {
            let next = match value {
                Value::Object(members) => members.get(&token),
                Value::Array(items) => token.parse::<usize>().ok().and_then(|index| items.get(index)),
                _ => None,
            };
            let Some(next) = next else { break };
            base = based(next, document.draft, &base);
            value = next;
        }
        base
    }

    /// Adds a meta-schema that is referred to.
    fn meta(&mut self, uri: &str) -> Option<String> {
        let draft = Draft::of(uri);
        let (value, draft) = super::meta::schema(uri, draft)?;
        let uri = uri.trim_end_matches('#').to_owned();
        self.add(uri.as_str().into(), value, draft).ok()?;
        Some(uri)
    }
}

/// The name that a schema gives itself. Beside `$ref`, older drafts ignore it.
fn identity(value: &Value, draft: Draft) -> Option<&str> {
    let ignored = !draft.reference_has_siblings() && value.get("$ref").is_some_and(Value::is_string);
    (!ignored).then(|| value.get(draft.id())?.as_str()).flatten()
}

fn based(value: &Value, draft: Draft, base: &str) -> String {
    identity(value, draft).map_or_else(|| base.to_owned(), |id| join(base, split(id).0))
}

fn holds_others(value: &Value) -> bool {
    value.is_object() || value.is_array()
}
