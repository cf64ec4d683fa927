//! Prints messages and their fields.

use std::collections::{HashMap, HashSet};

use prost_types::{
    DescriptorProto, FieldDescriptorProto, MessageOptions, OneofDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

use super::{DeclarationNode, ProtobufPrinter, TextShape, options::quote, part};
use crate::protobuf::{
    names::{join_name, json_name},
    read::Syntax,
};

/// The maximum field number.
const MAX_NUMBER: i64 = 536_870_911;

/// The messages of a scope, to find those that fields create: groups and map entries.
pub(super) struct MessageScope<'a> {
    pub name: &'a str,
    messages: &'a [DescriptorProto],
    indexes: HashMap<&'a str, usize>,
}

impl<'a> MessageScope<'a> {
    pub fn new(name: &'a str, messages: &'a [DescriptorProto]) -> Self {
        let indexes = messages.iter().enumerate().map(|(index, message)| (message.name(), index)).collect();
        Self { name, messages, indexes }
    }

    /// Returns the index of the message that a field of this scope creates.
    pub fn created_by_field(&self, field: &FieldDescriptorProto) -> Option<usize> {
        let full = field.type_name().strip_prefix('.')?;
        let local = if self.name.is_empty() { full } else { full.strip_prefix(self.name)?.strip_prefix('.')? };
        let index = *self.indexes.get(local)?;
        let entry = self.messages.get(index)?.options.as_ref().is_some_and(MessageOptions::map_entry);
        (entry || field.r#type() == Type::Group).then_some(index)
    }
}

/// Renders ranges with inclusive ends. The third number is the value that `max` means.
pub(super) fn render_ranges(ranges: &[(i64, i64, i64)]) -> String {
    let one = |(start, end, max): &(i64, i64, i64)| match (start, end) {
        (start, end) if end >= max && start != end => format!("{start} to max"),
        (start, end) if start == end => start.to_string(),
        (start, end) => format!("{start} to {end}"),
    };
    ranges.iter().map(one).collect::<Vec<_>>().join(", ")
}

impl ProtobufPrinter {
    pub(super) fn message(&mut self, message: &DescriptorProto, node: DeclarationNode, scope: &str) {
        self.gap = true;
        let full = join_name(scope, message.name());
        self.open(&format!("{}message {}", self.visibility(&full), message.name()));
        self.body(message, node, &full);
        self.close();
        self.gap = true;
    }

    /// Prints everything inside of the braces of a message or a group.
    fn body(&mut self, message: &DescriptorProto, node: DeclarationNode, full: &str) {
        self.options(node, full);
        self.gap = self.gap || message.options.is_some();
        let reserved = message.reserved_range.iter().map(|range| (i64::from(range.start()), i64::from(range.end()) - 1, MAX_NUMBER));
        self.reserved(reserved.collect(), &message.reserved_name);
        self.extension_ranges(message, node, full);
        let scope = MessageScope::new(full, &message.nested_type);
        let created_by_field: Vec<Option<usize>> = message.field.iter().map(|field| scope.created_by_field(field)).collect();
        let extending =
            message.extension.iter().filter(|_| self.shape != TextShape::Bare).filter_map(|field| scope.created_by_field(field));
        let mut nested =
            NestedMessages { printed: 0, created_by_field: created_by_field.iter().copied().flatten().chain(extending).collect() };
        let mut oneofs = oneof_members(message);
        for index in self.field_order(message, &created_by_field) {
            let Some(field) = message.field.get(index) else { continue };
            if let Some(before) = created_by_field.get(index).copied().flatten() {
                self.nested(message, node, full, &mut nested, before);
            }
            let oneof = field.oneof_index.filter(|_| !field.proto3_optional()).and_then(|at| usize::try_from(at).ok());
            match oneof.and_then(|at| Some((at, message.oneof_decl.get(at)?))) {
                None => self.field(field, part(node, "field", index), &scope, node),
                Some((at, oneof)) => {
                    if let Some(members) = oneofs.get_mut(at).map(std::mem::take).filter(|members| !members.is_empty()) {
                        self.open_oneof(oneof, part(node, "oneof_decl", at), full);
                        self.oneof(message, members, node, &scope);
                    }
                }
            }
        }
        self.gap = true;
        self.extensions(&message.extension, node, &scope);
        self.nested(message, node, full, &mut nested, message.nested_type.len());
        for (index, values) in message.enum_type.iter().enumerate() {
            self.enumeration(values, part(node, "enum_type", index), full);
        }
    }

    /// Prints the nested messages with an index below `before` that are not printed yet. Map entries and groups are printed with their fields,
    /// and each message keeps its index among them.
    fn nested(&mut self, message: &DescriptorProto, node: DeclarationNode, full: &str, nested: &mut NestedMessages, before: usize) {
        for (index, inner) in message.nested_type.iter().enumerate().take(before).skip(nested.printed) {
            if !nested.created_by_field.contains(&index) {
                self.message(inner, part(node, "nested_type", index), full);
            }
        }
        nested.printed = nested.printed.max(before);
    }

    /// Returns the order of the fields: that of the text, or by number if this moves no nested message.
    fn field_order(&self, message: &DescriptorProto, created_by_field: &[Option<usize>]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..message.field.len()).collect();
        if self.shape != TextShape::Normalized {
            return order;
        }
        let text = order.clone();
        order.sort_by_key(|index| message.field.get(*index).map(FieldDescriptorProto::number));
        let indexes =
            |order: &[usize]| order.iter().filter_map(|index| created_by_field.get(*index).copied().flatten()).collect::<Vec<_>>();
        if indexes(&order).is_sorted() { order } else { text }
    }

    fn extension_ranges(&mut self, message: &DescriptorProto, node: DeclarationNode, full: &str) {
        let mut lines = Vec::new();
        for (index, range) in message.extension_range.iter().enumerate() {
            let bounds = (i64::from(range.start()), i64::from(range.end()) - 1, MAX_NUMBER);
            let options = self.inline_options(part(node, "extension_range", index), full, Vec::new());
            let range = render_ranges(&[bounds]);
            lines.push((bounds, format!("extensions {range}{options};")));
        }
        if self.shape == TextShape::Normalized {
            lines.sort();
        }
        for (_, line) in &lines {
            self.line(line);
        }
        self.gap |= !lines.is_empty();
    }

    fn open_oneof(&mut self, oneof: &OneofDescriptorProto, node: DeclarationNode, full: &str) {
        self.open(&format!("oneof {}", oneof.name()));
        self.options(node, &join_name(full, oneof.name()));
    }

    /// Prints the fields of the open oneof.
    fn oneof(&mut self, message: &DescriptorProto, mut members: Vec<usize>, node: DeclarationNode, scope: &MessageScope) {
        let field = |index: &usize| message.field.get(*index);
        if self.shape == TextShape::Normalized && members.iter().filter_map(field).all(|field| field.r#type() != Type::Group) {
            members.sort_by_key(|index| field(index).map(FieldDescriptorProto::number));
        }
        for index in members {
            if let Some(field) = message.field.get(index) {
                self.field(field, part(node, "field", index), scope, node);
            }
        }
        self.close();
    }

    /// Prints a field, extension or group. `scope` contains its group or map entry, and `parent` is the node of that scope.
    pub(super) fn field(&mut self, field: &FieldDescriptorProto, node: DeclarationNode, scope: &MessageScope, parent: DeclarationNode) {
        let created_by_field = scope.created_by_field(field).and_then(|index| Some((index, scope.messages.get(index)?)));
        let scope = scope.name;
        let entry = created_by_field.filter(|_| field.r#type() != Type::Group).map(|(_, message)| message);
        let mut pseudo = Vec::new();
        if let Some(default) = &field.default_value {
            pseudo.push(("default".to_owned(), default_value(field.r#type(), default)));
        }
        let json = self.linked.json_names.get(&join_name(scope, field.name())).or(field.json_name.as_ref());
        if let Some(json) = json.filter(|json| **json != json_name(field.name()) && field.extendee.is_none()) {
            pseudo.push(("json_name".to_owned(), quote(json.as_bytes())));
        }
        let full = join_name(scope, field.name());
        let options = self.inline_options(node, &full, pseudo);
        let label = if entry.is_some() { "" } else { self.label(field) };
        let number = field.number();
        if let (Type::Group, Some((index, group))) = (field.r#type(), created_by_field) {
            self.gap = true;
            self.open(&format!("{label}group {} = {number}{options}", group.name()));
            let list = if parent.is_some_and(|parent| super::field_number(parent, "message_type").is_some()) {
                "message_type"
            } else {
                "nested_type"
            };
            self.body(group, part(parent, list, index), &join_name(scope, group.name()));
            self.close();
            self.gap = true;
            return;
        }
        let kind = match entry.map(|entry| entry.field.as_slice()) {
            Some([key, value]) => format!("map<{}, {}>", self.kind(key, scope), self.kind(value, scope)),
            _ => self.kind(field, scope),
        };
        self.line(&format!("{label}{kind} {} = {number}{options};", field.name()));
    }

    /// Returns the label before the type.
    fn label(&self, field: &FieldDescriptorProto) -> &'static str {
        match (field.label(), self.syntax) {
            (Label::Repeated, _) => "repeated ",
            (Label::Required, Syntax::Proto2) => "required ",
            (Label::Optional, Syntax::Proto2) if field.oneof_index.is_none() => "optional ",
            (Label::Optional, Syntax::Proto3) if field.proto3_optional() => "optional ",
            _ => "",
        }
    }

    fn kind(&self, field: &FieldDescriptorProto, scope: &str) -> String {
        let name = match field.r#type() {
            Type::Double => "double",
            Type::Float => "float",
            Type::Int64 => "int64",
            Type::Uint64 => "uint64",
            Type::Int32 => "int32",
            Type::Fixed64 => "fixed64",
            Type::Fixed32 => "fixed32",
            Type::Bool => "bool",
            Type::String => "string",
            Type::Bytes => "bytes",
            Type::Uint32 => "uint32",
            Type::Sfixed32 => "sfixed32",
            Type::Sfixed64 => "sfixed64",
            Type::Sint32 => "sint32",
            Type::Sint64 => "sint64",
            Type::Group | Type::Message | Type::Enum => return self.type_name(field.type_name(), scope),
        };
        name.to_owned()
    }
}

/// Returns the field indexes of each oneof.
fn oneof_members(message: &DescriptorProto) -> Vec<Vec<usize>> {
    let mut members = vec![Vec::new(); message.oneof_decl.len()];
    for (index, field) in message.field.iter().enumerate() {
        let at = field.oneof_index.and_then(|at| usize::try_from(at).ok());
        if let Some(list) = at.and_then(|at| members.get_mut(at)) {
            list.push(index);
        }
    }
    members
}

/// The nested messages that are printed, or printed with their fields.
struct NestedMessages {
    printed: usize,
    created_by_field: HashSet<usize>,
}

/// Renders a default as source. The descriptor has strings unescaped and bytes escaped.
fn default_value(kind: Type, value: &str) -> String {
    match kind {
        Type::String => quote(value.as_bytes()),
        Type::Bytes => format!("\"{value}\""),
        // Compilers write the same number in different ways.
        Type::Float => {
            value.parse::<f32>().ok().filter(|number| number.is_finite()).map_or(value.to_owned(), |number| format!("{number:?}"))
        }
        Type::Double => {
            value.parse::<f64>().ok().filter(|number| number.is_finite()).map_or(value.to_owned(), |number| format!("{number:?}"))
        }
        _ => value.to_owned(),
    }
}
