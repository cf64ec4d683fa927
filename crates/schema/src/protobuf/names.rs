//! Finds the shortest name of a declaration in a scope, <https://protobuf.dev/reference/protobuf/proto3-spec/#fields>. Names are resolved by
//! their first part, from the innermost scope outwards.

use std::collections::HashSet;

use prost_reflect::DescriptorPool;
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto};

/// All names that can shadow another name.
pub(super) struct NameIndex {
    known: HashSet<String>,
    package: String,
}

impl NameIndex {
    /// Collects the names of all files of a pool, as seen in a package.
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
        self.known.insert(join_name(scope, name));
    }

    fn field(&mut self, scope: &str, field: &FieldDescriptorProto) {
        self.add(scope, field.name());
    }

    fn enumeration(&mut self, scope: &str, values: &EnumDescriptorProto) {
        self.add(scope, values.name());
        values.value.iter().for_each(|value| self.add(scope, value.name()));
    }

    fn message(&mut self, scope: &str, message: &DescriptorProto) {
        let full = join_name(scope, message.name());
        message.field.iter().chain(&message.extension).for_each(|field| self.field(&full, field));
        message.oneof_decl.iter().for_each(|oneof| self.add(&full, oneof.name()));
        message.enum_type.iter().for_each(|values| self.enumeration(&full, values));
        message.nested_type.iter().for_each(|nested| self.message(&full, nested));
        self.known.insert(full);
    }

    /// Returns the shortest name inside of the package that means `full` in `scope`, or else the full name.
    pub fn shortest(&self, full: &str, scope: &str) -> String {
        let full = full.trim_start_matches('.');
        let local =
            if self.package.is_empty() { Some(full) } else { full.strip_prefix(&self.package).and_then(|rest| rest.strip_prefix('.')) };
        if let Some(local) = local {
            let starts = local.match_indices('.').map(|(dot, _)| dot + 1).collect::<Vec<_>>();
            for start in starts.into_iter().rev().chain([0]) {
                let name = local.get(start..).unwrap_or_default();
                if self.resolves_to(name, scope, full) {
                    return name.to_owned();
                }
            }
        }
        self.full(full, scope)
    }

    /// Returns the full name, with a leading dot only if another name shadows it.
    pub fn full(&self, full: &str, scope: &str) -> String {
        let full = full.trim_start_matches('.');
        if self.resolves_to(full, scope, full) { full.to_owned() } else { format!(".{full}") }
    }

    fn resolves_to(&self, name: &str, scope: &str, full: &str) -> bool {
        let first = name.split('.').next().unwrap_or_default();
        let mut scope = scope;
        loop {
            if self.known.contains(&join_name(scope, first)) {
                return join_name(scope, name) == full;
            }
            match scope.rsplit_once('.') {
                Some((outer, _)) => scope = outer,
                None if scope.is_empty() => return false,
                None => scope = "",
            }
        }
    }
}

/// Joins a scope and a name.
pub(super) fn join_name(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}

/// Returns the default JSON name of a field.
pub(super) fn json_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut upper = false;
    for letter in name.chars() {
        match letter {
            '_' => upper = true,
            letter if std::mem::take(&mut upper) => out.push(letter.to_ascii_uppercase()),
            letter => out.push(letter),
        }
    }
    out
}
