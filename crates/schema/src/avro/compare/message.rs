//! Renders the messages of differences: what differs, and what to change.

use std::collections::HashSet;

use super::{
    super::{
        model::{AvroKind, Enum, Field, Fixed, NamedType, Record, TypeGraph, TypeId},
        primitive::Primitive,
        read::example,
    },
    pairs::Pairs,
};
use crate::{Difference, text::list_some};

/// Renders a type for a sentence.
fn describe(kind: &AvroKind) -> String {
    match kind.named() {
        Some(named) => format!("{} `{}`", kind.type_name(), named.name.full()),
        None => format!("`{}`", kind.type_name()),
    }
}

/// The maximum number of names in a message.
const MAX_LISTED: usize = 8;

pub(super) fn type_mismatch(reader: &AvroKind, writer: &AvroKind, branch: bool) -> String {
    let (r, w) = (describe(reader), describe(writer));
    let hint = match (reader, writer) {
        (AvroKind::Primitive(reader), AvroKind::Primitive(writer)) if writer.can_read(*reader) => {
            format!("; {w} holds more than {r}, so this can only change the other way")
        }
        (_, AvroKind::Primitive(Primitive::Null)) => format!("; make the type [\"null\", {}]", type_literal(reader)),
        _ if branch => format!("; make the type a union that holds both, or keep {w} out of the writer's"),
        _ => "; keep the type, make it a union that holds both, or add a field of another name that has a default".to_owned(),
    };
    if branch {
        format!("the writer's union may hold {w}, which can't be read as {r}{hint}")
    } else {
        format!("data written as {w} can't be read as {r}{hint}")
    }
}

/// Renders a type as it is written in a schema.
fn type_literal(kind: &AvroKind) -> String {
    match kind {
        AvroKind::Primitive(_) => format!("\"{}\"", kind.type_name()),
        _ => kind.named().map_or_else(|| "…".to_owned(), |named| format!("\"{}\"", named.name.full())),
    }
}

pub(super) fn name_mismatch(type_name: &str, reader: &NamedType, writer: &NamedType, branch: bool) -> String {
    let (r, w) = (reader.name.full(), writer.name.full());
    format!(
        "the {type_name} is named `{r}`, and `{w}` in {}; rename it to `{}`, or add \"aliases\": [\"{w}\"] to it",
        if branch { "a branch of the writer's union" } else { "the writer's data" },
        writer.name.simple()
    )
}

pub(super) fn size_mismatch(reader: &Fixed, writer: &Fixed) -> String {
    format!(
        "`{}` has {} bytes, and {} in the writer's data; a fixed size can't change: keep it, or add a type of another name, or use `bytes`",
        reader.named.name.full(),
        reader.size,
        writer.size
    )
}

pub(super) fn missing_symbols(reader: &Enum, missing: &[&str]) -> String {
    let default = reader.symbols.first().map_or_else(String::new, |first| format!(", for example \"default\": \"{first}\""));
    format!(
        "the writer's data may hold {}, which the enum `{}` doesn't have; add {} to its symbols, or give it a default among them{default}",
        list_some(missing, MAX_LISTED),
        reader.named.name.full(),
        if missing.len() == 1 { "it" } else { "them" }
    )
}

pub(super) fn missing_field(model: &TypeGraph, (reader, writer): (&Record, &Record), field: &Field) -> String {
    let record = reader.named.name.full();
    let kind = model.kind(field.schema);
    let default = match (kind, example(&model.nodes, kind)) {
        (AvroKind::Union(_), Some(example)) if example == "null" => "\"default\": null".to_owned(),
        (kind, Some(example)) if !matches!(kind, AvroKind::Union(_)) => format!("\"default\": {example}"),
        _ => format!("\"type\": [\"null\", {}], \"default\": null", type_literal(kind)),
    };
    let mut message =
        format!("the field `{}` of `{record}` isn't in the writer's data and has no default; add one, for example {default}", field.name);
    if matches!(kind, AvroKind::Enum(symbols) if symbols.default.is_some()) {
        message.push_str(" (the default of its enum stands for unknown symbols, not for missing fields)");
    }
    if let Some(old) = find_old_name(reader, writer, field) {
        message = format!("{message}; if it was `{old}` before, add \"aliases\": [\"{old}\"]");
    }
    message
}

/// The maximum number of fields that are searched for an old name.
const MAX_RENAMED: usize = 1000;

/// Finds a removed field of the writer with a similar name.
fn find_old_name<'a>(reader: &Record, writer: &'a Record, field: &Field) -> Option<&'a str> {
    if reader.fields.len().max(writer.fields.len()) > MAX_RENAMED {
        return None;
    }
    let plain = |name: &str| name.replace('_', "").to_lowercase();
    let kept: HashSet<&str> =
        reader.fields.iter().flat_map(|field| std::iter::once(&field.name).chain(&field.aliases)).map(String::as_str).collect();
    let gone = writer.fields.iter().map(|field| field.name.as_str()).filter(|name| !kept.contains(name));
    gone.map(|name| (strsim::jaro_winkler(&plain(name), &plain(&field.name)), name))
        .filter(|(similarity, _)| *similarity > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

pub(super) fn ambiguous_field(reader: &Record, field: &Field, names: &[&str]) -> String {
    format!(
        "with its name and aliases, the field `{}` of `{}` matches {} of the writer's data, but can be read from only one; remove aliases until one is left",
        field.name,
        reader.named.name.full(),
        list_some(names, MAX_LISTED)
    )
}

/// Renders the difference for a type of the writer that no branch of the reader's union can read. `nearest` is the first difference of the
/// most similar branch.
pub(super) fn no_branch(pairs: &Pairs, (r, w): (TypeId, TypeId), nearest: Option<&Difference>) -> String {
    let writer = pairs.writer.kind(w);
    let text = format!("the writer's data may hold {}, which no type of the reader's union reads", describe(writer));
    let AvroKind::Union(branches) = pairs.reader.kind(r) else { return text };
    if let Some(nearest) = nearest {
        return format!("{text}: at {}, {}", nearest.path, nearest.message);
    }
    let example = match writer {
        AvroKind::Primitive(_) => format!("add {} to the union", type_literal(writer)),
        _ => format!("add {} to the union", describe(writer)),
    };
    let same_kind = branches
        .iter()
        .find_map(|branch| pairs.reader.named(*branch).filter(|_| pairs.reader.kind(*branch).type_name() == writer.type_name()));
    match (same_kind, writer.named()) {
        (Some(reader), Some(writer)) => format!(
            "{text}; {example}, or, if `{}` is its new name, add \"aliases\": [\"{}\"] to that",
            reader.name.full(),
            writer.name.full()
        ),
        _ => format!("{text}; {example}"),
    }
}
