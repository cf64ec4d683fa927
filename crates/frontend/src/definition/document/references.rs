//! Resolves `$ref`: JSON pointers, anchors, `$id` and files (JSON Schema core, section 8; RFC 6901).

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    rc::Rc,
};

use super::{
    files::DocumentFiles,
    folder::DocumentFolders,
    structure::{has_names, is_data},
};
use crate::{
    json_pointer::{push, tokens},
    percent::{Slash, decode},
};
use prism_yaml::{Node, Value, suggest};

/// Maximum number of references that lead to each other.
const MAX_CHAIN: usize = 64;

/// A part of a document.
#[derive(Clone, Copy, Debug)]
pub struct Place<'n> {
    /// Index of its file.
    pub file: usize,
    /// Index of the resource to which its references are relative: the file, or the nearest schema with an `$id`.
    pub resource: usize,
    /// The part.
    pub node: &'n Node,
}

/// What a reference leads to.
#[derive(Clone, Debug)]
pub struct Target<'n> {
    /// The part.
    pub place: Place<'n>,
    /// The JSON pointer from the root of its file.
    pub pointer: Rc<str>,
}

/// A file, or a schema with an `$id`.
struct Resource<'n> {
    file: usize,
    root: &'n Node,
    /// The pointer of the root in the file.
    pointer: String,
    /// The address to which references are relative.
    address: String,
    anchors: HashMap<&'n str, (&'n Node, String)>,
}

/// What a resolved reference is, or why there is nothing.
type Resolved<'n> = Result<Target<'n>, Rc<str>>;

/// Resolves the references of a document. Each one is resolved once.
pub struct References<'n> {
    files: &'n DocumentFiles,
    resources: Vec<Resource<'n>>,
    /// The resource of each schema with an `$id`, by the address of the node in memory.
    by_node: HashMap<*const Node, usize>,
    by_address: HashMap<String, usize>,
    resolved: RefCell<HashMap<(usize, &'n str), Resolved<'n>>>,
    /// The number of references that are being resolved, each for the pointer of the one before.
    depth: Cell<usize>,
}

impl<'n> References<'n> {
    /// Finds the resources of all files.
    pub fn new(files: &'n DocumentFiles) -> Self {
        let mut references = Self {
            files,
            resources: Vec::with_capacity(files.list.len()),
            by_node: HashMap::new(),
            by_address: HashMap::new(),
            resolved: RefCell::default(),
            depth: Cell::new(0),
        };
        for (index, file) in files.list.iter().enumerate() {
            let address = file.source.name().to_owned();
            references.resources.push(Resource { file: index, root: &file.root, pointer: String::new(), address, anchors: HashMap::new() });
        }
        if files.has_identifiers {
            for (index, file) in files.list.iter().enumerate() {
                references.identify(&file.root, index, &mut String::new(), false);
            }
        }
        references
    }

    /// Collects `$id` and `$anchor` below a node.
    fn identify(&mut self, node: &'n Node, resource: usize, pointer: &mut String, named: bool) {
        let mut resource = resource;
        if let (Value::Map(_), false) = (&node.value, named) {
            if let Some(id) = node.get("$id").and_then(Node::text) {
                let address = join(&self.resources[resource].address, id.trim_end_matches('#'));
                let file = self.resources[resource].file;
                self.by_node.insert(node, self.resources.len());
                self.by_address.insert(address.clone(), self.resources.len());
                resource = self.resources.len();
                self.resources.push(Resource { file, root: node, pointer: pointer.clone(), address, anchors: HashMap::new() });
            }
            if let Some(anchor) = node.get("$anchor").and_then(Node::text) {
                self.resources[resource].anchors.insert(anchor, (node, pointer.clone()));
            }
        }
        let length = pointer.len();
        match &node.value {
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    push(pointer, &index.to_string());
                    self.identify(item, resource, pointer, false);
                    pointer.truncate(length);
                }
            }
            Value::Map(entries) => {
                for (key, value) in entries.iter().filter(|(key, _)| named || !is_data(&key.name)) {
                    push(pointer, &key.name);
                    self.identify(value, resource, pointer, !named && has_names(&key.name));
                    pointer.truncate(length);
                }
            }
            _ => {}
        }
    }

    /// Returns the root of the document.
    pub fn root(&self) -> Place<'n> {
        Place { file: 0, resource: 0, node: &self.files.list[0].root }
    }

    /// Returns a part of a place.
    pub fn inside(&self, place: Place<'n>, node: &'n Node) -> Place<'n> {
        Place { resource: self.by_node.get(&std::ptr::from_ref(node)).copied().unwrap_or(place.resource), node, ..place }
    }

    /// Resolves a reference, until it leads to something that is not a reference itself.
    pub fn resolve_all(&self, from: Place<'n>, reference: &'n str) -> Resolved<'n> {
        let mut target = self.resolve(from, reference)?;
        let mut seen = HashSet::new();
        while let Some(next) = target.place.node.get("$ref").and_then(Node::text) {
            if !seen.insert(std::ptr::from_ref(target.place.node)) || seen.len() > MAX_CHAIN {
                return Err(format!("`{reference}` refers to itself").into());
            }
            target = self.resolve(target.place, next)?;
        }
        Ok(target)
    }

    /// Resolves a reference.
    pub fn resolve(&self, from: Place<'n>, reference: &'n str) -> Resolved<'n> {
        let key = (from.resource, reference);
        if let Some(known) = self.resolved.borrow().get(&key) {
            return known.clone();
        }
        if self.depth.get() == MAX_CHAIN {
            return Err(format!("`{reference}` is the end of more than {MAX_CHAIN} references that lead to each other").into());
        }
        // Until it is resolved, it leads to nothing. So a pointer through itself ends.
        self.resolved.borrow_mut().insert(key, Err(format!("`{reference}` refers to itself").into()));
        self.depth.update(|depth| depth + 1);
        let found = self.find(from, reference).map_err(Rc::from);
        self.depth.update(|depth| depth - 1);
        self.resolved.borrow_mut().insert(key, found.clone());
        found
    }

    fn find(&self, from: Place<'n>, reference: &'n str) -> Result<Target<'n>, String> {
        let (address, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let resource = if address.is_empty() { from.resource } else { self.resource(from, address, reference)? };
        let fragment = decode(fragment, Slash::Decoded).map_err(|problem| format!("`{reference}` {problem}"))?;
        if fragment.starts_with('/') {
            return self.walk(resource, &fragment, reference);
        }
        let found = &self.resources[resource];
        let (node, pointer) = match (fragment.is_empty(), found.anchors.get(&*fragment)) {
            (true, _) => (found.root, found.pointer.as_str()),
            (false, Some((node, pointer))) => (*node, pointer.as_str()),
            (false, None) => return Err(missing(reference, &fragment, found.anchors.keys().copied())),
        };
        let place = Place { file: found.file, resource, node };
        Ok(Target { place: self.inside(place, node), pointer: pointer.into() })
    }

    /// Returns the resource with an address.
    fn resource(&self, from: Place<'n>, address: &str, reference: &str) -> Result<usize, String> {
        let base = &self.resources[from.resource].address;
        if let Some(known) = self.by_address.get(&join(base, address)) {
            return Ok(*known);
        }
        if address.contains("://") {
            return Err(format!("`{reference}` is not in this document; references lead to its own parts, or to files in its folder"));
        }
        let path = decode(address, Slash::Decoded).map_err(|problem| format!("`{reference}` {problem}"))?;
        let name = DocumentFolders::name(self.files.list[from.file].source.name(), &path);
        match self.files.find(&name) {
            Some(Ok(index)) => Ok(index),
            Some(Err(reason)) => Err(format!("the file of `{reference}` can't be read: {reason}")),
            None => Err(format!("`{reference}` does not exist")),
        }
    }

    /// Follows a JSON pointer. A step that is missing beside a `$ref` is searched in what the reference leads to.
    fn walk(&self, resource: usize, pointer: &str, reference: &str) -> Result<Target<'n>, String> {
        let start = &self.resources[resource];
        let mut place = Place { file: start.file, resource, node: start.root };
        let mut found = start.pointer.clone();
        for name in tokens(pointer) {
            for _ in 0..MAX_CHAIN {
                if child(place.node, &name).is_some() {
                    break;
                }
                let Some(next) = place.node.get("$ref").and_then(Node::text) else { break };
                let target = self.resolve(place, next).map_err(|problem| problem.to_string())?;
                (place, found) = (target.place, target.pointer.to_string());
            }
            let Some(node) = child(place.node, &name) else {
                let Value::Map(entries) = &place.node.value else { return Err(missing(reference, &name, [])) };
                return Err(missing(reference, &name, entries.iter().map(|(key, _)| key.name.as_str())));
            };
            push(&mut found, &name);
            place = self.inside(place, node);
        }
        Ok(Target { place, pointer: found.into() })
    }
}

#[cold]
fn missing<'s>(reference: &str, name: &str, known: impl IntoIterator<Item = &'s str>) -> String {
    match suggest(name, known) {
        Some(suggestion) => format!("`{reference}` does not exist; did you mean `{suggestion}`?"),
        None => format!("`{reference}` does not exist: there is no `{name}`"),
    }
}

fn child<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    match &node.value {
        Value::Map(_) => node.get(name),
        Value::List(items) => items.get(name.parse::<usize>().ok().filter(|index| index.to_string() == name)?),
        _ => None,
    }
}

/// Resolves an address relative to another one (RFC 3986, section 5.2, without queries).
fn join(base: &str, address: &str) -> String {
    if address.is_empty() {
        return base.to_owned();
    }
    if has_scheme(address) {
        return address.to_owned();
    }
    let Some((scheme, rest)) = base.split_once("://").filter(|_| has_scheme(base)) else {
        return if has_scheme(base) { address.to_owned() } else { DocumentFolders::name(base, address) };
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if let Some(absolute) = address.strip_prefix('/') {
        return format!("{scheme}://{host}/{absolute}");
    }
    let mut steps: Vec<&str> = path.split('/').skip(1).collect();
    steps.pop();
    for step in address.split('/') {
        match step {
            "." => {}
            ".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    format!("{scheme}://{host}/{}", steps.join("/"))
}

fn has_scheme(address: &str) -> bool {
    let scheme = address.split_once(':').map_or("", |(scheme, _)| scheme);
    scheme.len() > 1 && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::join;

    #[test]
    fn addresses_are_joined() {
        for (base, address, wanted) in [
            ("https://a.example/x/y", "z", "https://a.example/x/z"),
            ("https://a.example/x/y", "../z", "https://a.example/z"),
            ("https://a.example/x/y", "/z", "https://a.example/z"),
            ("https://a.example", "z", "https://a.example/z"),
            ("https://a.example/x", "https://b.example/q", "https://b.example/q"),
            ("api/openapi.yaml", "schemas/a.yaml", "api/schemas/a.yaml"),
            ("urn:example:a", "urn:example:b", "urn:example:b"),
        ] {
            assert_eq!(join(base, address), wanted);
        }
    }
}
