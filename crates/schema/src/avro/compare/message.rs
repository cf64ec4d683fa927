//! What differences say to people: what differs, and what to change.

use std::collections::HashSet;

use super::{
    super::{
        model::{AvroKind, Enum, Field, Fixed, NamedType, Primitive, Record, TypeGraph, TypeId},
        pointer::join,
        read::example,
    },
    pairs::Pairs,
    report, same_full_name, same_name,
};

/// A type in a sentence.
fn called(kind: &AvroKind) -> String {
    match kind.named() {
        Some(named) => format!("{} `{}`", kind.word(), named.name.full()),
        None => format!("`{}`", kind.word()),
    }
}

/// Some names in a sentence, not more than eight.
fn listed(names: &[&str]) -> String {
    let some: Vec<String> = names.iter().take(8).map(|name| format!("`{name}`")).collect();
    match names.len() {
        0..=8 => some.join(", "),
        all => format!("{} and {} more", some.join(", "), all - 8),
    }
}

pub(super) fn types(reader: &AvroKind, writer: &AvroKind, branch: bool) -> String {
    let (r, w) = (called(reader), called(writer));
    let hint = match (reader, writer) {
        (AvroKind::Primitive(reader), AvroKind::Primitive(writer)) if writer.reads(*reader) => {
            format!("; {w} holds more than {r}, so this can only change the other way")
        }
        (_, AvroKind::Primitive(Primitive::Null)) => format!("; make the type [\"null\", {}]", short(reader)),
        _ if branch => format!("; make the type a union that holds both, or keep {w} out of the writer's"),
        _ => "; keep the type, make it a union that holds both, or add a field of another name that has a default".to_owned(),
    };
    if branch {
        format!("the writer's union may hold {w}, which can't be read as {r}{hint}")
    } else {
        format!("what was written as {w} can't be read as {r}{hint}")
    }
}

/// A type as it could stand in a text.
fn short(kind: &AvroKind) -> String {
    match kind {
        AvroKind::Primitive(_) => format!("\"{}\"", kind.word()),
        _ => kind.named().map_or_else(|| "…".to_owned(), |named| format!("\"{}\"", named.name.full())),
    }
}

pub(super) fn names(word: &str, reader: &NamedType, writer: &NamedType, branch: bool) -> String {
    let (r, w) = (reader.name.full(), writer.name.full());
    format!(
        "the {word} is called `{r}`, and `{w}` in {}; call it `{}`, or add \"aliases\": [\"{w}\"] to it",
        if branch { "a branch of the writer's union" } else { "what was written" },
        writer.name.simple()
    )
}

pub(super) fn size(reader: &Fixed, writer: &Fixed) -> String {
    format!(
        "`{}` has {} bytes, and {} in what was written; a fixed size can't change: keep it, or add a type of another name, or use `bytes`",
        reader.named.name.full(),
        reader.size,
        writer.size
    )
}

pub(super) fn symbols(reader: &Enum, missing: &[&str]) -> String {
    let default = reader.symbols.first().map_or_else(String::new, |first| format!(", as \"default\": \"{first}\""));
    format!(
        "what was written may hold {}, which the enum `{}` doesn't have; add {} to its symbols, or give it a default among them{default}",
        listed(missing),
        reader.named.name.full(),
        if missing.len() == 1 { "it" } else { "them" }
    )
}

pub(super) fn missing(model: &TypeGraph, (reader, writer): (&Record, &Record), field: &Field) -> String {
    let record = reader.named.name.full();
    let kind = model.kind(field.schema);
    let default = match (kind, example(&model.nodes, kind)) {
        (AvroKind::Union(_), Some(example)) if example == "null" => "\"default\": null".to_owned(),
        (kind, Some(example)) if !matches!(kind, AvroKind::Union(_)) => format!("\"default\": {example}"),
        _ => format!("\"type\": [\"null\", {}], \"default\": null", short(kind)),
    };
    let mut message =
        format!("the field `{}` of `{record}` isn't in what was written and has no default; give it one, as {default}", field.name);
    if matches!(kind, AvroKind::Enum(symbols) if symbols.default.is_some()) {
        message.push_str(" (the default of its enum stands for unknown symbols, not for missing fields)");
    }
    if let Some(old) = renamed(reader, writer, field) {
        message = format!("{message}; if it was `{old}` before, add \"aliases\": [\"{old}\"]");
    }
    message
}

/// Most fields among which an old name is looked for.
const MAX_RENAMED: usize = 1000;

/// A field of the writer that has gone from the reader and is called almost as this one.
fn renamed<'a>(reader: &Record, writer: &'a Record, field: &Field) -> Option<&'a str> {
    if reader.fields.len().max(writer.fields.len()) > MAX_RENAMED {
        return None;
    }
    let plain = |name: &str| name.replace('_', "").to_lowercase();
    let kept: HashSet<&str> =
        reader.fields.iter().flat_map(|field| std::iter::once(&field.name).chain(&field.aliases)).map(String::as_str).collect();
    let gone = writer.fields.iter().map(|field| field.name.as_str()).filter(|name| !kept.contains(name));
    gone.map(|name| (strsim::jaro_winkler(&plain(name), &plain(&field.name)), name))
        .filter(|(alike, _)| *alike > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

pub(super) fn several(reader: &Record, field: &Field, names: &[&str]) -> String {
    format!(
        "by its name and aliases the field `{}` of `{}` stands for {} of what was written, and can be read from one only; take aliases away until one is left",
        field.name,
        reader.named.name.full(),
        listed(names)
    )
}

/// What is said of a type that no branch of the union at `union` reads. `nearest` asks for the reason why the branch that
/// is most like it doesn't.
pub(super) fn no_branch(pairs: &Pairs, (r, w): (TypeId, TypeId), union: &str, nearest: bool) -> String {
    let writer = pairs.writer.kind(w);
    let told = format!("what was written may hold {}, which no type of the reader's union reads", called(writer));
    let AvroKind::Union(branches) = pairs.reader.kind(r) else { return told };
    // The branch of the very name, or else the first one that is called the same, or the only one of its kind.
    let alike = |same: fn(&NamedType, &NamedType) -> bool| {
        branches.iter().enumerate().find(|(_, branch)| {
            let reader = pairs.reader.kind(**branch);
            let named = reader.named().zip(writer.named());
            reader.word() == writer.word() && named.is_none_or(|(r, w)| same(r, w))
        })
    };
    let alike = alike(same_full_name).or_else(|| alike(same_name));
    if let Some((index, branch)) = alike.filter(|_| nearest) {
        let inner = report::from(pairs, (*branch, w), join(union, index), 1, false);
        if let Some(inner) = inner.first() {
            return format!("{told}: at {}, {}", inner.path, inner.message);
        }
    }
    let example = match writer {
        AvroKind::Primitive(_) => format!("add {} to the union", short(writer)),
        _ => format!("add {} to the union", called(writer)),
    };
    let same_kind =
        branches.iter().find_map(|branch| pairs.reader.named(*branch).filter(|_| pairs.reader.kind(*branch).word() == writer.word()));
    match (same_kind, writer.named()) {
        (Some(reader), Some(writer)) => format!(
            "{told}; {example}, or, if `{}` is its new name, add \"aliases\": [\"{}\"] to that",
            reader.name.full(),
            writer.name.full()
        ),
        _ => format!("{told}; {example}"),
    }
}
