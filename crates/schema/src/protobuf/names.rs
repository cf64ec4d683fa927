//! How one declaration calls another, <https://protobuf.dev/reference/protobuf/proto3-spec/#fields>: names are looked for from
//! the innermost scope outwards, by their first part.

use std::collections::HashSet;

use prost_reflect::DescriptorPool;
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto};

/// All names that may shadow another.
pub(super) struct NameIndex {
    known: HashSet<String>,
    package: String,
}

impl NameIndex {
    /// Of all files of a pool, as seen in a package.
    pub fn new(pool: &DescriptorPool, package: &str) -> Self {
        let mut names = Self { known: HashSet::new(), package: package.to_owned() };
        for file in pool.files() {
            let proto = file.file_descriptor_proto();
            let package = proto.package();
            for (dot, _) in package.match_indices('.') {
                names.known.insert(package.get(..dot).unwrap_or_default().to_owned());
            }
            if !package.is_empty() {
                names.known.insert(package.to_owned());
            }
            proto.message_type.iter().for_each(|message| names.message(package, message));
            proto.enum_type.iter().for_each(|values| names.enumeration(package, values));
            proto.extension.iter().for_each(|field| names.field(package, field));
            proto.service.iter().for_each(|service| names.add(package, service.name()));
        }
        names
    }

    fn add(&mut self, scope: &str, name: &str) {
        self.known.insert(joined(scope, name));
    }

    fn field(&mut self, scope: &str, field: &FieldDescriptorProto) {
        self.add(scope, field.name());
    }

    fn enumeration(&mut self, scope: &str, values: &EnumDescriptorProto) {
        self.add(scope, values.name());
        values.value.iter().for_each(|value| self.add(scope, value.name()));
    }

    fn message(&mut self, scope: &str, message: &DescriptorProto) {
        let full = joined(scope, message.name());
        message.field.iter().chain(&message.extension).for_each(|field| self.field(&full, field));
        message.oneof_decl.iter().for_each(|oneof| self.add(&full, oneof.name()));
        message.enum_type.iter().for_each(|values| self.enumeration(&full, values));
        message.nested_type.iter().for_each(|nested| self.message(&full, nested));
        self.known.insert(full);
    }

    /// The shortest name, within its own package, that means `full` in `scope`; else all of it.
    pub fn short(&self, full: &str, scope: &str) -> String {
        let full = full.trim_start_matches('.');
        let local =
            if self.package.is_empty() { Some(full) } else { full.strip_prefix(&self.package).and_then(|rest| rest.strip_prefix('.')) };
        if let Some(local) = local {
            let starts = local.match_indices('.').map(|(dot, _)| dot + 1).collect::<Vec<_>>();
            for start in starts.into_iter().rev().chain([0]) {
                let name = local.get(start..).unwrap_or_default();
                if self.means(name, scope, full) {
                    return name.to_owned();
                }
            }
        }
        self.full(full, scope)
    }

    /// The full name, with a dot before it only if something shadows it.
    pub fn full(&self, full: &str, scope: &str) -> String {
        let full = full.trim_start_matches('.');
        if self.means(full, scope, full) { full.to_owned() } else { format!(".{full}") }
    }

    fn means(&self, name: &str, scope: &str, full: &str) -> bool {
        let first = name.split('.').next().unwrap_or_default();
        let mut scope = scope;
        loop {
            if self.known.contains(&joined(scope, first)) {
                return joined(scope, name) == full;
            }
            match scope.rsplit_once('.') {
                Some((outer, _)) => scope = outer,
                None if scope.is_empty() => return false,
                None => scope = "",
            }
        }
    }
}

/// A name in a scope.
pub(super) fn joined(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}
