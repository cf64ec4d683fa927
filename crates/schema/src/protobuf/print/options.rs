//! Prints options, including custom ones, in the order of their numbers.

use std::fmt::Write as _;

use prost_reflect::{DynamicMessage, EnumDescriptor, Kind, MapKey, ReflectMessage as _, Value};

use super::{DeclarationNode, ProtobufPrinter, TextShape};

/// Options that do not appear in source.
const HIDDEN: [&str; 2] = ["uninterpreted_option", "map_entry"];

impl ProtobufPrinter {
    /// Prints options as statements.
    pub(super) fn options(&mut self, node: DeclarationNode, scope: &str) {
        let options = self.collect_options(node, scope);
        for (name, value) in &options {
            self.line(&format!("option {name} = {value};"));
        }
        self.gap |= !options.is_empty();
    }

    /// Returns options in brackets behind a declaration. `pseudo` are settings that a descriptor doesn't store as options; they come first.
    pub(super) fn inline_options(&self, node: DeclarationNode, scope: &str, mut pseudo: Vec<(String, String)>) -> String {
        pseudo.extend(self.collect_options(node, scope));
        if pseudo.is_empty() {
            return String::new();
        }
        let all: Vec<String> = pseudo.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        format!(" [{}]", all.join(", "))
    }

    /// Returns the names and values of a declaration's options. A repeated option occurs once for each value.
    pub(super) fn collect_options(&self, node: DeclarationNode, scope: &str) -> Vec<(String, String)> {
        let mut out = Vec::new();
        let options = node.and_then(|node| {
            let number = node.descriptor().get_field_by_name("options")?.number();
            node.fields().find(|(field, _)| field.number() == number)?.1.as_message()
        });
        if let Some(options) = options {
            self.append_options("", options, scope, &mut out);
        }
        out
    }

    fn append_options(&self, prefix: &str, options: &DynamicMessage, scope: &str, out: &mut Vec<(String, String)>) {
        for (field, value) in options.fields().filter(|(field, _)| !HIDDEN.contains(&field.name())) {
            let name = format!("{prefix}{}", field.name());
            match value {
                Value::Message(features) if field.name() == "features" && prefix.is_empty() => {
                    self.append_options("features.", features, scope, out);
                }
                value => for_each_value(&field.kind(), value, |value| out.push((name.clone(), value))),
            }
        }
        if self.shape == TextShape::Bare {
            return;
        }
        for (extension, value) in options.extensions() {
            let name = format!("{prefix}({})", self.extension_name(extension.full_name(), scope));
            for_each_value(&extension.kind(), value, |value| out.push((name.clone(), value)));
        }
    }
}

/// Renders a value, or each value of a list or map, as source.
fn for_each_value(kind: &Kind, value: &Value, mut put: impl FnMut(String)) {
    match value {
        Value::List(list) => list.iter().for_each(|value| put(render_value(kind, value))),
        Value::Map(map) => render_entries(kind, map).into_iter().for_each(put),
        value => put(render_value(kind, value)),
    }
}

/// Renders the entries of a map as messages, sorted by key.
fn render_entries(kind: &Kind, map: &std::collections::HashMap<MapKey, Value>) -> Vec<String> {
    let Kind::Message(entry) = kind else { return Vec::new() };
    let (key_kind, value_kind) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
    let mut all: Vec<_> = map.iter().collect();
    all.sort_by(|(left, _), (right, _)| left.partial_cmp(right).unwrap_or(std::cmp::Ordering::Equal));
    let one = |(key, value): (&MapKey, &Value)| {
        let key = render_value(&key_kind, &Value::from(key.clone()));
        format!("{{ key: {key} value: {} }}", render_value(&value_kind, value))
    };
    all.into_iter().map(one).collect()
}

/// Renders one value as source, <https://protobuf.dev/reference/protobuf/textformat-spec/>.
fn render_value(kind: &Kind, value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::I32(value) => value.to_string(),
        Value::I64(value) => value.to_string(),
        Value::U32(value) => value.to_string(),
        Value::U64(value) => value.to_string(),
        Value::F32(value) => render_float(f64::from(*value), format!("{value:?}")),
        Value::F64(value) => render_float(*value, format!("{value:?}")),
        Value::String(value) => quote(value.as_bytes()),
        Value::Bytes(value) => quote(value),
        Value::EnumNumber(number) => enum_value(kind.as_enum(), *number),
        Value::Message(message) => render_message(message),
        Value::List(_) | Value::Map(_) => String::new(),
    }
}

fn render_float(value: f64, shown: String) -> String {
    match value {
        value if value.is_nan() => "nan".to_owned(),
        value if value.is_infinite() => if value > 0.0 { "inf" } else { "-inf" }.to_owned(),
        _ => shown,
    }
}

fn enum_value(descriptor: Option<&EnumDescriptor>, number: i32) -> String {
    let named = descriptor.and_then(|descriptor| descriptor.get_value(number));
    named.map_or_else(|| number.to_string(), |value| value.name().to_owned())
}

/// Renders a message in the text format, on one line.
fn render_message(message: &DynamicMessage) -> String {
    let mut out = String::from("{");
    let mut put = |name: &str, nested: bool, value: String| {
        let _ = write!(out, " {name}{} {value}", if nested { "" } else { ":" });
    };
    for (field, value) in message.fields() {
        let kind = field.kind();
        let name = match kind.as_message() {
            Some(group) if field.is_group() => group.name().to_owned(),
            _ => field.name().to_owned(),
        };
        for_each_value(&kind, value, |value| put(&name, kind.as_message().is_some(), value));
    }
    for (extension, value) in message.extensions() {
        let kind = extension.kind();
        for_each_value(&kind, value, |value| put(&format!("[{}]", extension.full_name()), kind.as_message().is_some(), value));
    }
    out.push_str(if out.len() == 1 { "}" } else { " }" });
    out
}

/// Renders bytes as a string literal in double quotes. Printable UTF-8 is not escaped.
pub(super) fn quote(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                letter if letter.is_control() => letter.to_string().bytes().for_each(|byte| octal(&mut out, byte)),
                letter => out.push(letter),
            }
        }
        chunk.invalid().iter().for_each(|byte| octal(&mut out, *byte));
    }
    out.push('"');
    out
}

fn octal(out: &mut String, byte: u8) {
    let _ = write!(out, "\\{byte:03o}");
}
