//! Checks the parameters and bodies of a document: what OpenAPI does not allow, and what Prism does not read.

use std::collections::HashSet;

use super::{
    convert::{Converter, Version, entries},
    references::Place,
    structure::Kind,
};
use crate::bind::ContentType;
use prism_yaml::{Key, Node, Position, Value};

/// The header parameters that OpenAPI ignores, because other parts of a document describe them.
pub const IGNORED_HEADERS: [&str; 3] = ["accept", "content-type", "authorization"];

/// The styles of each location; the first one is the default.
const STYLES: [(&str, &[&str]); 4] = [
    ("path", &["simple", "label", "matrix"]),
    ("query", &["form", "spaceDelimited", "pipeDelimited", "deepObject"]),
    ("header", &["simple"]),
    ("cookie", &["form"]),
];

impl<'n> Converter<'n> {
    /// Checks a parameter, or a header of a response.
    pub fn check_parameter(&mut self, kind: Kind, place: Place<'n>) {
        let node = place.node;
        let entry = |name: &str| entries(node).iter().find(|(key, _)| key.name == name).map(|(key, node)| (key, node));
        let location = if kind == Kind::Header { Some("header") } else { self.location(place) };
        if kind == Kind::Parameter && node.get("name").and_then(Node::text).is_none() {
            self.problem(place, &node.position, "the parameter needs `name`");
        }
        let Some(location) = location else { return };
        if let Some(style) = node.get("style") {
            let known = STYLES.iter().find(|(known, _)| *known == location).map_or(&[][..], |(_, styles)| *styles);
            if style.text().is_none_or(|style| !known.contains(&style)) {
                let text = style.text().unwrap_or_default();
                self.problem(
                    place,
                    &style.position,
                    format!("`style: {text}` is not allowed in `{location}`; there are: {}", known.join(", ")),
                );
            }
        }
        for flag in ["explode", "required", "allowEmptyValue", "allowReserved", "deprecated"] {
            if let Some((_, value)) = entry(flag).filter(|(_, value)| !matches!(value.value, Value::Bool(_))) {
                self.problem(place, &value.position, format!("`{flag}` must be true or false, not {}", value.value.kind()));
            }
        }
        match (entry("schema"), entry("content")) {
            (Some(_), Some((key, _))) => self.problem(place, &key.position, "a parameter has either `schema` or `content`, not both"),
            (None, Some((key, content))) => self.check_content(place, key, content),
            (None, None) if kind == Kind::Parameter => {
                self.warning(place, &node.position, "the parameter has no `schema`, so it is any text");
            }
            _ => {}
        }
        if kind == Kind::Parameter && location == "header" {
            let name = node.get("name").and_then(Node::text).unwrap_or_default();
            if IGNORED_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
                self.warning(
                    place,
                    &node.position,
                    format!("OpenAPI ignores the header parameter `{name}`; the media types and `security` describe it"),
                );
            }
        }
    }

    /// Warns of parameters that appear twice in a list.
    pub fn check_repeated(&mut self, place: Place<'n>, items: &'n [Node]) {
        let mut known = HashSet::new();
        for item in items {
            let target = item.get("$ref").and_then(Node::text).map(|reference| self.references.resolve_all(place, reference));
            let node = match &target {
                Some(Ok(target)) => target.place.node,
                Some(Err(_)) => continue,
                None => item,
            };
            let text = |key: &str| node.get(key).and_then(Node::text);
            let (Some(location), Some(name)) = (text("in"), text("name")) else { continue };
            let plain = if location == "header" { name.to_ascii_lowercase() } else { name.to_owned() };
            if !known.insert((location, plain)) {
                self.warning(
                    place,
                    &item.position,
                    format!("the parameter {location}.{name} appears twice in this list; the last one counts"),
                );
            }
        }
    }

    fn location(&mut self, place: Place<'n>) -> Option<&'static str> {
        let node = place.node.get("in");
        let text = node.and_then(Node::text);
        let found = STYLES.iter().map(|(location, _)| *location).find(|location| Some(*location) == text);
        if found.is_none() {
            let position = node.map_or(&place.node.position, |node| &node.position);
            let message = match text {
                Some("body" | "formData") => "a parameter can't be in the body: that was Swagger 2.0; use `requestBody`".to_owned(),
                Some("querystring") => "`in: querystring` is of OpenAPI 3.2, which Prism does not read".to_owned(),
                _ => "the parameter needs `in`: path, query, header or cookie".to_owned(),
            };
            self.problem(place, position, message);
        }
        found
    }

    /// Checks the `content` of a parameter.
    fn check_content(&mut self, place: Place<'n>, key: &Key, content: &Node) {
        let [(media, _)] = entries(content) else {
            self.problem(place, &key.position, "`content` of a parameter has exactly one media type");
            return;
        };
        let essence = ContentType::of(&media.name).essence.to_ascii_lowercase();
        if !ContentType::of(&essence).is_json() && !essence.starts_with("text/") {
            self.problem(
                place,
                &media.position,
                format!("a parameter of the type `{}` can't be read; use application/json or text/plain", media.name),
            );
        }
    }

    /// Checks the media types of a request body.
    pub fn check_body(&mut self, place: Place<'n>) {
        let Some(content) = place.node.get("content") else {
            self.warning(place, &place.node.position, "the body has no `content`, so it is read as bytes");
            return;
        };
        for (media, node) in entries(content) {
            let essence = ContentType::of(&media.name).essence.to_ascii_lowercase();
            let form = essence == "application/x-www-form-urlencoded";
            let encodings = node.get("encoding").map_or(&[][..], entries);
            if form {
                for (name, encoding) in encodings {
                    self.check_encoding(place, name, encoding, node.get("schema"));
                }
                continue;
            }
            if let Some((key, _)) = encodings.first() {
                self.warning(
                    place,
                    &key.position,
                    format!("`encoding` has no effect in {}; Prism reads it in application/x-www-form-urlencoded", media.name),
                );
            }
            let read = ContentType::of(&essence).is_json() || ContentType::of(&essence).is_lines() || essence.starts_with("text/");
            if let Some(schema) = node.get("schema").filter(|schema| !read && !is_bytes(schema)) {
                self.warning(
                    place,
                    &schema.position,
                    format!("a body of the type {} is read as bytes, so this schema has no effect", media.name),
                );
            }
        }
    }

    /// Checks how a member of a form is written.
    fn check_encoding(&mut self, place: Place<'n>, name: &Key, encoding: &Node, schema: Option<&'n Node>) {
        if let Some(style) = encoding.get("style") {
            let known = STYLES[1].1;
            if style.text().is_none_or(|style| !known.contains(&style)) {
                let text = style.text().unwrap_or_default();
                self.problem(place, &style.position, format!("`style: {text}` is not allowed in a form; there are: {}", known.join(", ")));
            }
        } else if let Some(media) = encoding.get("contentType") {
            let types = media.text().unwrap_or_default().split(',').map(|media| ContentType::of(media.trim()).essence.to_ascii_lowercase());
            let is_read =
                |media: String| ContentType::of(&media).is_json() || media.starts_with("text/") || media == "application/octet-stream";
            if !types.into_iter().all(is_read) {
                self.warning(place, &media.position, format!("a field of the type {} is read as text", media.text().unwrap_or_default()));
            }
        }
        if let Some((key, _)) = entries(encoding).iter().find(|(key, _)| key.name == "headers") {
            self.warning(place, &key.position, "the fields of a form have no headers");
        }
        let properties = schema.filter(|schema| schema.get("$ref").is_none()).and_then(|schema| schema.get("properties"));
        if properties.is_some_and(|properties| properties.get(&name.name).is_none()) {
            self.warning(place, &name.position, format!("the schema of the form has no property `{}`", name.name));
        }
    }

    /// Returns why a document can't be read, with the position of its version.
    pub fn version_of(root: &Node) -> Result<Version, (Position, String)> {
        let old = root.get("swagger");
        let Some(node) = root.get("openapi").or(old) else {
            return Err((
                root.position.clone(),
                "this is no OpenAPI document of version 3.0 or 3.1: `openapi: 3.1.0` is missing".to_owned(),
            ));
        };
        if old.is_some() && root.get("openapi").is_none() {
            let message = "this is a document of Swagger 2.0; convert it to OpenAPI 3.0 or 3.1 first, for example with swagger2openapi";
            return Err((node.position.clone(), message.to_owned()));
        }
        let message = match &node.value {
            Value::Text(text) if text.starts_with("3.0.") => return Ok(Version::V30),
            Value::Text(text) if text.starts_with("3.1.") => return Ok(Version::V31),
            Value::Text(text) if text == "3.0" || text == "3.1" => format!("`openapi: {text}` is not a complete version; write {text}.0"),
            Value::Text(text) => format!("OpenAPI {text} is not supported; Prism reads 3.0 and 3.1"),
            Value::Number(number) => {
                format!("`openapi: {number}` is a number; the version is a text with three parts, such as 3.0.3 or 3.1.0")
            }
            other => format!("`openapi` must be a version such as 3.1.0, not {}", other.kind()),
        };
        Err((node.position.clone(), message))
    }
}

/// Whether a schema says no more than that a body is text or bytes.
fn is_bytes(schema: &Node) -> bool {
    let kind = schema.get("type").and_then(Node::text);
    entries(schema).is_empty()
        || (kind == Some("string") || kind.is_none() && schema.get("$ref").is_none() && schema.get("properties").is_none())
}
