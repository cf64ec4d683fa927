//! The skeleton of a definition: a route for each operation, and a TODO at each line that needs a decision.

use std::{fmt::Write as _, sync::Arc};

use super::{
    guess::{is_same_name, rank_methods},
    syntax::{join_lines, member_key, quote, select},
};
use prism_call::Method;
use prism_frontend::{
    definition::{Document, Operation},
    expression::{Member, Type},
    mapping::BodyFormat,
    message_types::{Field, FieldKind, FieldShape, MessageType, MessageTypes},
};

/// Most RPCs that are named in addition to the guess.
const ALTERNATIVES: usize = 3;

/// Returns the text of the skeleton.
pub fn write(name: &str, document_path: &str, pattern: &str, document: &Document, methods: &[Arc<Method>]) -> String {
    let mut out = String::from("# A skeleton: each TODO is a decision. docs/frontends.md describes the language.\n");
    let _ = writeln!(out, "frontend: {}", quote(name));
    if let Some(title) = document.value.pointer("/info/title").and_then(|title| title.as_str()) {
        let _ = writeln!(out, "title: '{}'", join_lines(title).replace('\'', "''"));
    }
    let _ = writeln!(out, "openapi: {}\npattern: {pattern}", quote(document_path));
    if let Some(base) = base_path(document) {
        let _ = writeln!(out, "base_path: {base}");
    }
    write_errors(document, &mut out);
    out.push_str("routes:\n");
    for operation in &document.operations {
        write_route(document, operation, methods, &mut out);
    }
    out
}

/// Returns the path of the document's first server, unless it is the root.
fn base_path(document: &Document) -> Option<String> {
    let url = document.value.pointer("/servers/0/url")?.as_str()?;
    let path = match url.split_once("://") {
        Some((_, rest)) => &rest[rest.find('/')?..],
        None => url,
    };
    let path = path.trim_end_matches('/');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/');
    (path.len() > 1 && path.starts_with('/') && path.bytes().all(plain)).then(|| path.to_owned())
}

/// Writes the body of errors, from the first response that describes one.
fn write_errors(document: &Document, out: &mut String) {
    let described = document.operations.iter().flat_map(|operation| &operation.responses);
    let failures = described.filter(|response| response.status.starts_with(['4', '5']) || response.status == "default");
    let object = failures.flat_map(|response| &response.contents).find_map(|(media, kind)| match kind {
        Type::Object(object) => Some((media, object.clone())),
        _ => None,
    });
    let Some((media, object)) = object else {
        out.push_str("# TODO: the document describes no body of errors, so they are problem documents (RFC 9457). If clients need\n");
        out.push_str("#   another body: errors: {body: {message: error.message}}\n");
        return;
    };
    let _ = writeln!(out, "errors:  # TODO: which codes do clients expect? cases: {{KEY_NOT_FOUND: {{status: 404, code: 40401}}}}");
    let _ = writeln!(out, "  content_type: {media}\n  body:");
    for member in &object.members {
        let value = match member.name.to_ascii_lowercase().as_str() {
            name if name.contains("message") || name.contains("detail") || name.contains("description") || name == "title" => {
                "error.message"
            }
            name if name.contains("status") => "error.status",
            name if name.contains("code") => "error.code",
            name if name.contains("reason") || name.contains("error") || name == "type" => "error.reason",
            _ => "null  # TODO: which value?",
        };
        let _ = writeln!(out, "    {}: {value}", member_key(&member.name));
    }
    if object.members.is_empty() {
        out.push_str("    message: error.message  # TODO: the document does not list the members\n");
    }
}

fn write_route(document: &Document, operation: &Operation, methods: &[Arc<Method>], out: &mut String) {
    let schema = MessageTypes::all();
    let ranked = rank_methods(operation, methods, schema);
    let Some((method, others)) = ranked.split_first() else { return };
    let others: Vec<&str> = others.iter().take(ALTERNATIVES).map(|method| method.name.as_str()).collect();
    let summary = document.value["paths"][&operation.path][operation.method.as_str().to_ascii_lowercase()]["summary"].as_str();
    if let Some(summary) = summary {
        let _ = writeln!(out, "  # {}", join_lines(summary));
    }
    let request = if operation.id.is_some() { format!("  # {} {}", operation.method, operation.path) } else { String::new() };
    let _ = writeln!(out, "  {}:{request}", quote(&operation.name()));
    let _ = writeln!(out, "    rpc: {}  # TODO: a guess; or {}", method.name, others.join(", "));
    if let Some(input) = schema.find(method.descriptor.input().full_name()) {
        write_request(operation, schema.message(input), schema, out);
    }
    if let Some(output) = schema.find(method.descriptor.output().full_name()) {
        write_response(operation, method, schema.message(output), schema, out);
    }
}

/// Writes the values of the request's fields, and the values that no field takes.
fn write_request(operation: &Operation, message: &MessageType, schema: &MessageTypes, out: &mut String) {
    let mut filled: Vec<(&Field, String, &str)> = Vec::new();
    let mut unused = Vec::new();
    let is_filled = |filled: &[(&Field, String, &str)], field: &Field| filled.iter().any(|(known, ..)| known.number == field.number);
    let by_name = |filled: &[(&Field, String, &str)], name: &str| {
        message.fields.iter().find(|field| is_same_name(&field.name, name) && !is_filled(filled, field))
    };
    for parameter in &operation.parameters {
        let value = select(parameter.location.name(), &parameter.name);
        match by_name(&filled, &parameter.name) {
            Some(field) => filled.push((field, value, "")),
            None => unused.push(value),
        }
    }
    // The first field of a request and the first parameter of a path both identify the object.
    let first =
        message.fields.first().filter(|field| matches!(field.kind, FieldKind::String | FieldKind::Bytes) && !is_filled(&filled, field));
    // A name that is not an identifier is an expression in quotes.
    let in_path = |value: &String| value.trim_start_matches('\'').starts_with("path");
    if let (Some(field), Some(index)) = (first, unused.iter().position(in_path)) {
        filled.push((field, unused.remove(index), "  # TODO: a guess; no field has this name"));
    }
    if let Some(content) = operation.body.as_ref().and_then(|body| body.contents.first()) {
        match (&content.value, content.reading) {
            (Type::Object(object), _) => {
                for member in &object.members {
                    let value = select("body", &member.name);
                    match by_name(&filled, &member.name) {
                        Some(field) => filled.push((field, value, "")),
                        None => unused.push(value),
                    }
                }
            }
            (_, BodyFormat::Text | BodyFormat::Bytes) => {
                let fits = |field: &&Field| {
                    matches!((field.kind, field.shape), (FieldKind::Bytes | FieldKind::String, FieldShape::Singular { .. }))
                        && !is_filled(&filled, field)
                };
                match message.fields.iter().find(fits) {
                    Some(field) => filled.push((field, "body".to_owned(), "  # TODO: a guess, by its type")),
                    None => unused.push("body".to_owned()),
                }
            }
            _ => unused.push("body".to_owned()),
        }
    }
    out.push_str(if filled.is_empty() { "    request: {}  # TODO: no parameter has the name of a field\n" } else { "    request:\n" });
    for (field, value, note) in &filled {
        let _ = writeln!(out, "      {}: {value}{note}", field.name);
    }
    for value in unused {
        let _ = writeln!(out, "      # TODO: {value} is not used yet");
    }
    let left: Vec<String> =
        message.fields.iter().filter(|field| !is_filled(&filled, field)).map(|field| field_text(schema, field)).collect();
    if !left.is_empty() {
        let _ = writeln!(out, "      # fields without a value: {}", left.join(", "));
    }
}

/// Writes what the reply becomes.
fn write_response(operation: &Operation, method: &Method, message: &MessageType, schema: &MessageTypes, out: &mut String) {
    let Some(success) = operation.response(operation.success()) else {
        let _ = writeln!(out, "    # TODO: the document has no successful response; the reply is sent with status 200");
        return;
    };
    let Some((media, kind)) = success.contents.first() else { return };
    let fields: Vec<String> = message.fields.iter().map(|field| field_text(schema, field)).collect();
    let reply = method.descriptor.output().name().to_owned();
    let has = format!("{reply} has {}", fields.join(", "));
    let json = media == "application/json" || media.ends_with("+json");
    match kind {
        Type::Object(object) if json && !object.members.is_empty() => {
            out.push_str("    response:\n");
            let _ = writeln!(out, "      # {has}");
            out.push_str("      body:\n");
            write_members(&object.members, message, "reply", method.server_streaming, out);
        }
        Type::List(element) if json => {
            let repeated = message.fields.iter().find_map(|field| match (field.shape, field.kind) {
                (FieldShape::Repeated, FieldKind::Message(id)) => Some((format!("reply.{}", field.name), schema.message(id))),
                _ => None,
            });
            let (list, each) = match repeated {
                _ if method.server_streaming => ("replies".to_owned(), message),
                Some(found) => found,
                None => {
                    let _ = writeln!(out, "    response:\n      body: []  # TODO: the document describes a list; {has}");
                    return;
                }
            };
            let fields: Vec<String> = each.fields.iter().map(|field| field_text(schema, field)).collect();
            let _ = writeln!(
                out,
                "    response:\n      body:\n        $each: {list}  # TODO: is this the right list? An item has {}",
                fields.join(", ")
            );
            match &**element {
                Type::Object(object) if !object.members.is_empty() => {
                    out.push_str("        $item:\n");
                    for member in &object.members {
                        let _ = writeln!(out, "          {}", member_line(member, each, "item", false));
                    }
                }
                _ => {
                    let field = each.fields.first().map_or_else(|| "item".to_owned(), |field| format!("item.{}", field.name));
                    let _ = writeln!(out, "        $item: {field}  # TODO: what does each item become?");
                }
            }
        }
        _ if json => {
            let _ = writeln!(out, "    # TODO: the document does not describe the body, so it is the whole reply; {has}");
        }
        _ => {
            let text = message.fields.iter().find(|field| matches!(field.kind, FieldKind::Bytes | FieldKind::String));
            let value = text.map_or_else(|| "null".to_owned(), |field| format!("reply.{}", field.name));
            let _ = writeln!(out, "    response:\n      body: {value}  # TODO: a guess, sent as {media}; {has}");
        }
    }
}

fn write_members(list: &[Member], message: &MessageType, root: &str, streaming: bool, out: &mut String) {
    for member in list {
        let _ = writeln!(out, "        {}", member_line(member, message, root, streaming));
    }
}

/// Returns a member of a body, with the field of the same name as its value.
fn member_line(member: &Member, message: &MessageType, root: &str, streaming: bool) -> String {
    let name = member_key(&member.name);
    let field = message.fields.iter().find(|field| is_same_name(&field.name, &member.name));
    match (field, &member.value) {
        (_, Type::List(_)) if streaming => format!("{name}: {{$each: replies, $item: item}}  # TODO: what does each reply become?"),
        (Some(field), _) => format!("{name}: {root}.{}", field.name),
        (None, _) => format!("{name}: null  # TODO: no field has this name{}", if member.required { "; it is required" } else { "" }),
    }
}

/// Returns a field with its type, such as `limit (int32)`.
fn field_text(schema: &MessageTypes, field: &Field) -> String {
    let kind = match field.kind {
        FieldKind::Message(id) => last_segment(&schema.message(id).name).to_owned(),
        FieldKind::Enum(id) => last_segment(&schema.enumeration(id).name).to_owned(),
        plain => format!("{plain:?}").to_ascii_lowercase(),
    };
    let many = match field.shape {
        FieldShape::Singular { .. } => "",
        FieldShape::Repeated => "many ",
        FieldShape::Map(_) => "map of ",
    };
    format!("{} ({many}{kind})", field.name)
}

fn last_segment(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
