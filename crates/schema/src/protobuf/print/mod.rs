//! Prints a descriptor as source: one text for all files that mean the same.
//!
//! The order follows Protobuf's style guide (<https://protobuf.dev/programming-guides/style/>): syntax, package, imports, options, messages,
//! enums, extensions, services. In a message: options, reserved, extension ranges, fields, extensions, messages, enums. The indentation is
//! two spaces, one empty line separates declarations, and comments are removed. Messages keep their order, including map entries and groups,
//! because data in Kafka identifies a message by its index.

mod message;
mod options;

use std::collections::HashSet;

use message::MessageScope;
use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};
use prost_types::{EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, ServiceDescriptorProto};

use super::{
    link::LinkedFile,
    names::{NameIndex, join_name},
    read::{Syntax, Visibility},
};

/// The form of the printed text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextShape {
    /// The shortest names, and the order of the text.
    Canonical,
    /// Full names. Imports are sorted by name and fields by number.
    Normalized,
    /// Canonical, but without custom options and extensions.
    Bare,
}

/// Prints a file.
pub(super) fn print_file(linked: &LinkedFile, shape: TextShape) -> String {
    let proto = linked.file.file_descriptor_proto();
    let pool = linked.file.parent_pool();
    // The pool knows the custom options, which the crate's own types drop.
    let descriptor = pool.get_message_by_name("google.protobuf.FileDescriptorProto").unwrap_or_else(|| proto.descriptor());
    let node = DynamicMessage::decode(descriptor, linked.file.encode_to_vec().as_slice()).ok();
    let names = NameIndex::new(pool, proto.package());
    let mut printer =
        ProtobufPrinter { out: String::new(), depth: 0, gap: false, names, shape, syntax: linked.syntax, linked: linked.clone() };
    printer.file(proto, node.as_ref(), linked);
    printer.out
}

struct ProtobufPrinter {
    out: String,
    depth: usize,
    /// Whether an empty line comes before the next line.
    gap: bool,
    names: NameIndex,
    shape: TextShape,
    syntax: Syntax,
    linked: LinkedFile,
}

/// A declaration in the descriptor of the file. It contains the options.
type DeclarationNode<'a> = Option<&'a DynamicMessage>;

/// Returns a part of a node by its field and index.
fn part<'a>(node: DeclarationNode<'a>, field: &str, index: usize) -> DeclarationNode<'a> {
    let node = node?;
    let number = field_number(node, field)?;
    let (_, Value::List(list)) = node.fields().find(|(known, _)| known.number() == number)? else { return None };
    list.get(index)?.as_message()
}

/// Returns the number of a message's field.
fn field_number(message: &DynamicMessage, field: &str) -> Option<u32> {
    message.descriptor().get_field_by_name(field).map(|field| field.number())
}

impl ProtobufPrinter {
    fn line(&mut self, text: &str) {
        if std::mem::take(&mut self.gap) && !self.out.is_empty() && !self.out.ends_with("{\n") {
            self.out.push('\n');
        }
        self.out.extend(std::iter::repeat_n("  ", self.depth));
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn open(&mut self, head: &str) {
        self.line(&format!("{head} {{"));
        self.depth += 1;
        self.gap = false;
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.gap = false;
        if self.out.ends_with("{\n") {
            self.out.pop();
            self.out.push_str("}\n");
        } else {
            self.line("}");
        }
    }

    /// Returns the keyword before a message or enum.
    fn visibility(&self, full: &str) -> &'static str {
        let package = self.linked.file.package_name();
        let local = if package.is_empty() { Some(full) } else { full.strip_prefix(package).and_then(|rest| rest.strip_prefix('.')) };
        match local.and_then(|local| self.linked.exported.get(local)) {
            Some(true) => "export ",
            Some(false) => "local ",
            None => "",
        }
    }

    fn is_edition(&self) -> bool {
        matches!(self.syntax, Syntax::Edition(_))
    }

    /// Returns the name of a custom option in a scope.
    fn extension_name(&self, full: &str, scope: &str) -> String {
        match self.shape {
            TextShape::Normalized => self.names.full(full, scope),
            TextShape::Canonical | TextShape::Bare => self.names.shortest(full, scope),
        }
    }

    /// Returns the name of a type in a scope.
    fn type_name(&self, full: &str, scope: &str) -> String {
        match self.shape {
            TextShape::Normalized => format!(".{}", full.trim_start_matches('.')),
            TextShape::Canonical | TextShape::Bare => self.names.shortest(full, scope),
        }
    }

    fn file(&mut self, file: &FileDescriptorProto, node: DeclarationNode, linked: &LinkedFile) {
        match self.syntax {
            Syntax::Proto2 => self.line("syntax = \"proto2\";"),
            Syntax::Proto3 => self.line("syntax = \"proto3\";"),
            Syntax::Edition(edition) => self.line(&format!("edition = \"{}\";", edition.name)),
        }
        let package = file.package();
        if !package.is_empty() {
            self.gap = true;
            self.line(&format!("package {package};"));
        }
        self.gap = true;
        self.imports(&linked.imports);
        self.gap = true;
        self.options(node, package);
        let scope = MessageScope::new(package, &file.message_type);
        let groups: HashSet<usize> = file.extension.iter().filter_map(|field| scope.created_by_field(field)).collect();
        for (index, message) in file.message_type.iter().enumerate() {
            if !groups.contains(&index) || self.shape == TextShape::Bare {
                self.message(message, part(node, "message_type", index), package);
            }
        }
        for (index, values) in file.enum_type.iter().enumerate() {
            self.enumeration(values, part(node, "enum_type", index), package);
        }
        self.extensions(&file.extension, node, &scope);
        for (index, service) in file.service.iter().enumerate() {
            self.service(service, part(node, "service", index), package);
        }
    }

    fn imports(&mut self, imports: &[(String, Visibility)]) {
        let mut imports = imports.to_vec();
        if self.shape == TextShape::Normalized {
            imports.sort();
        }
        for (path, visibility) in imports {
            let kind = match visibility {
                Visibility::Private => "",
                Visibility::Public => "public ",
                Visibility::Weak => "weak ",
                Visibility::Option => "option ",
            };
            self.line(&format!("import {kind}{};", options::quote(path.as_bytes())));
        }
    }

    fn enumeration(&mut self, values: &EnumDescriptorProto, node: DeclarationNode, scope: &str) {
        self.gap = true;
        let full = join_name(scope, values.name());
        self.open(&format!("{}enum {}", self.visibility(&full), values.name()));
        self.options(node, &full);
        let ranges = values.reserved_range.iter().map(|range| (i64::from(range.start()), i64::from(range.end()), i64::from(i32::MAX)));
        self.reserved(ranges.collect(), &values.reserved_name);
        for (index, value) in values.value.iter().enumerate() {
            let options = self.inline_options(part(node, "value", index), &full, Vec::new());
            self.line(&format!("{} = {}{options};", value.name(), value.number()));
        }
        self.close();
        self.gap = true;
    }

    fn service(&mut self, service: &ServiceDescriptorProto, node: DeclarationNode, scope: &str) {
        self.gap = true;
        let full = join_name(scope, service.name());
        self.open(&format!("service {}", service.name()));
        self.options(node, &full);
        for (index, method) in service.method.iter().enumerate() {
            let side = |streams: bool, name: &str| {
                let kind = if streams { "stream " } else { "" };
                let short = self.type_name(name, &full);
                // A method hides a type of the same name.
                let hidden = service.method.iter().any(|method| method.name() == short);
                let shown = if hidden { format!(".{}", name.trim_start_matches('.')) } else { short };
                format!("({kind}{shown})")
            };
            let request = side(method.client_streaming(), method.input_type());
            let response = side(method.server_streaming(), method.output_type());
            let head = format!("rpc {}{request} returns {response}", method.name());
            let node = part(node, "method", index);
            let options = self.collect_options(node, &join_name(&full, method.name()));
            if options.is_empty() {
                self.line(&format!("{head};"));
                continue;
            }
            self.open(&head);
            for (name, value) in options {
                self.line(&format!("option {name} = {value};"));
            }
            self.close();
        }
        self.close();
        self.gap = true;
    }

    /// Prints extensions. Consecutive extensions of the same message share a block.
    fn extensions(&mut self, fields: &[FieldDescriptorProto], node: DeclarationNode, scope: &MessageScope) {
        if self.shape == TextShape::Bare {
            return;
        }
        let mut index = 0;
        for block in fields.chunk_by(|left, right| left.extendee() == right.extendee()) {
            self.gap = true;
            let extendee = block.first().map_or("", FieldDescriptorProto::extendee);
            self.open(&format!("extend {}", self.type_name(extendee, scope.name)));
            for field in block {
                self.field(field, part(node, "extension", index), scope, node);
                index += 1;
            }
            self.close();
            self.gap = true;
        }
    }

    /// Prints reserved ranges and names. Ranges have inclusive ends and the value that `max` means.
    fn reserved(&mut self, mut ranges: Vec<(i64, i64, i64)>, names: &[String]) {
        if self.shape == TextShape::Normalized {
            ranges.sort_unstable();
        }
        if !ranges.is_empty() {
            self.line(&format!("reserved {};", message::render_ranges(&ranges)));
        }
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        if self.shape == TextShape::Normalized {
            names.sort_unstable();
        }
        if !names.is_empty() {
            let quote = if self.is_edition() { "" } else { "\"" };
            let list: Vec<String> = names.iter().map(|name| format!("{quote}{name}{quote}")).collect();
            self.line(&format!("reserved {};", list.join(", ")));
        }
        self.gap |= !ranges.is_empty() || !names.is_empty();
    }
}
