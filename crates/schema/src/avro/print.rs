//! Prints a schema in the form of Java's `Schema.toString`, so that equal schemas have equal texts.
//!
//! The text has no spaces. Attributes have a fixed order, and unknown attributes follow the known ones. A primitive type without
//! properties is a string. A named type is written in full at its first occurrence and by its name afterwards. Names are as short as the
//! namespace allows.

use std::{cell::OnceCell, collections::HashSet};

use serde_json::Value;

use super::{
    json,
    model::{AvroKind, AvroType, NamedType, Order, Properties, TypeGraph, TypeId},
    name::FullName,
};

/// Prints the text. Types of referenced schemas are written by name.
pub(super) fn canonical(model: &TypeGraph) -> String {
    AvroPrinter::new(model, false, |_, node| node.foreign).print(model.root)
}

/// Prints the canonical text with properties and aliases sorted by name.
pub(super) fn normalized(model: &TypeGraph) -> String {
    AvroPrinter::new(model, true, |_, node| node.foreign).print(model.root)
}

/// Prints the text. Types of referenced schemas are written in place.
pub(super) fn resolved(model: &TypeGraph) -> String {
    AvroPrinter::new(model, false, |_, _| false).print(model.root)
}

/// Prints the definition of one named type. All other named types are written by name.
pub(super) fn definition(model: &TypeGraph, id: TypeId) -> String {
    AvroPrinter::new(model, true, |other, _| other != id).print(id)
}

struct AvroPrinter<'a> {
    model: &'a TypeGraph,
    /// The named types that are written by name.
    known: Vec<bool>,
    /// The full names of all types. Only few schemas need them.
    names: OnceCell<HashSet<&'a str>>,
    sorted: bool,
    out: String,
}

impl<'a> AvroPrinter<'a> {
    fn new(model: &'a TypeGraph, sorted: bool, known: impl Fn(TypeId, &AvroType) -> bool) -> Self {
        let known = model.nodes.iter().enumerate().map(|(index, node)| known(TypeId(index), node)).collect();
        Self { model, known, names: OnceCell::new(), sorted, out: String::new() }
    }

    fn print(mut self, id: TypeId) -> String {
        self.schema(id, None);
        self.out
    }

    /// Prints a type. Recursion is limited by [`super::depth`].
    fn schema(&mut self, id: TypeId, namespace: Option<&str>) {
        let node = self.model.node(id);
        if let Some(named) = node.kind.named()
            && std::mem::replace(&mut self.known[id.0], true)
        {
            let name = self.reference(&named.name, namespace);
            json::write_string(&mut self.out, &name);
            return;
        }
        match &node.kind {
            AvroKind::Primitive(primitive) if node.properties.is_empty() => json::write_string(&mut self.out, primitive.type_name()),
            AvroKind::Union(branches) => {
                self.out.push('[');
                self.list(branches, |printer, branch| printer.schema(*branch, namespace));
                self.out.push(']');
            }
            kind => {
                let error = matches!(kind, AvroKind::Record(record) if record.error);
                self.out.push_str("{\"type\":");
                json::write_string(&mut self.out, if error { "error" } else { kind.type_name() });
                if let Some(named) = kind.named() {
                    self.names(named, namespace);
                }
                self.inner(kind, namespace);
                self.properties(&node.properties);
                if let Some(named) = kind.named() {
                    let aliases = named.aliases.iter().map(|alias| short_alias(alias, &named.name)).collect();
                    self.aliases(aliases);
                }
                self.out.push('}');
            }
        }
    }

    /// Prints the attributes of a kind of type.
    fn inner(&mut self, kind: &'a AvroKind, namespace: Option<&str>) {
        match kind {
            AvroKind::Array(items) => {
                self.out.push_str(",\"items\":");
                self.schema(*items, namespace);
            }
            AvroKind::Map(values) => {
                self.out.push_str(",\"values\":");
                self.schema(*values, namespace);
            }
            AvroKind::Record(record) => {
                self.out.push_str(",\"fields\":[");
                self.list(&record.fields, |printer, field| {
                    printer.out.push_str("{\"name\":");
                    json::write_string(&mut printer.out, &field.name);
                    printer.out.push_str(",\"type\":");
                    printer.schema(field.schema, record.named.name.namespace());
                    printer.doc(field.doc.as_deref());
                    if let Some(default) = &field.default {
                        printer.attribute("default", default);
                    }
                    match field.order {
                        Order::Ascending => {}
                        Order::Descending => printer.out.push_str(",\"order\":\"descending\""),
                        Order::Ignore => printer.out.push_str(",\"order\":\"ignore\""),
                    }
                    printer.aliases(field.aliases.clone());
                    printer.properties(&field.properties);
                    printer.out.push('}');
                });
                self.out.push(']');
            }
            AvroKind::Enum(symbols) => {
                self.out.push_str(",\"symbols\":[");
                self.list(&symbols.symbols, |printer, symbol| json::write_string(&mut printer.out, symbol));
                self.out.push(']');
                if let Some(default) = &symbols.default {
                    self.out.push_str(",\"default\":");
                    json::write_string(&mut self.out, default);
                }
            }
            AvroKind::Fixed(fixed) => {
                self.out.push_str(",\"size\":");
                self.out.push_str(&fixed.size.to_string());
            }
            AvroKind::Primitive(_) | AvroKind::Union(_) | AvroKind::Forward => {}
        }
    }

    fn names(&mut self, named: &NamedType, namespace: Option<&str>) {
        self.out.push_str(",\"name\":");
        json::write_string(&mut self.out, named.name.simple());
        if named.name.namespace() != namespace {
            self.out.push_str(",\"namespace\":");
            json::write_string(&mut self.out, named.name.namespace().unwrap_or_default());
        }
        self.doc(named.doc.as_deref());
    }

    fn doc(&mut self, doc: Option<&str>) {
        if let Some(doc) = doc {
            self.out.push_str(",\"doc\":");
            json::write_string(&mut self.out, doc);
        }
    }

    fn aliases(&mut self, mut aliases: Vec<String>) {
        if aliases.is_empty() {
            return;
        }
        if self.sorted {
            aliases.sort_unstable();
        }
        self.out.push_str(",\"aliases\":[");
        self.list(&aliases, |printer, alias| json::write_string(&mut printer.out, alias));
        self.out.push(']');
    }

    fn properties(&mut self, properties: &Properties) {
        let mut properties: Vec<_> = properties.iter().collect();
        if self.sorted {
            properties.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        }
        for (key, value) in properties {
            self.attribute(key, value);
        }
    }

    fn attribute(&mut self, key: &str, value: &Value) {
        self.out.push(',');
        json::write_string(&mut self.out, key);
        self.out.push(':');
        json::write_value(&mut self.out, value, self.sorted);
    }

    fn list<'b, T>(&mut self, list: &'b [T], mut each: impl FnMut(&mut Self, &'b T)) {
        for (index, item) in list.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            each(self, item);
        }
    }

    /// Returns the reference to a type. A type without a namespace is written with a leading dot if its bare name would mean another type in
    /// this namespace.
    fn reference(&self, name: &FullName, namespace: Option<&str>) -> String {
        let names = || self.model.nodes.iter().filter_map(|node| node.kind.named()).map(|named| named.name.full()).collect();
        let shadowed = name.namespace().is_none()
            && namespace.is_some_and(|namespace| self.names.get_or_init(names).contains(format!("{namespace}.{}", name.simple()).as_str()));
        if shadowed { format!(".{}", name.simple()) } else { name.relative_to(namespace).to_owned() }
    }
}

/// Returns an alias as the type lists it. An alias without a namespace has a leading dot if the type has a namespace.
fn short_alias(alias: &FullName, name: &FullName) -> String {
    match (alias.namespace(), name.namespace()) {
        (None, Some(_)) => format!(".{}", alias.simple()),
        (Some(namespace), own) if Some(namespace) == own => alias.simple().to_owned(),
        _ => alias.full().to_owned(),
    }
}
