//! Reads parameters and the fields of forms.

use serde_json::Value as Json;

use super::{checks::IGNORED_HEADERS, requests::RequestView};
use crate::{
    bind::ContentType,
    definition::types::{Direction, Schemas},
    expression::Type,
    mapping::{FormFields, PairNames, Parameter, ParameterFormat, ParameterLocation, ParameterStyle, StyledFormat, TextType},
};

/// Reads parameters.
#[derive(Clone, Copy)]
pub struct ParameterReader<'d> {
    pub schemas: &'d Schemas<'d>,
    pub view: &'d RequestView<'d>,
}

impl<'d> ParameterReader<'d> {
    /// Reads a parameter. Returns `None` for the headers that OpenAPI ignores.
    pub fn parameter(&self, node: &'d Json) -> Option<Parameter> {
        let location = match node.get("in").and_then(Json::as_str)? {
            "path" => ParameterLocation::Path,
            "query" => ParameterLocation::Query,
            "header" => ParameterLocation::Header,
            "cookie" => ParameterLocation::Cookie,
            _ => return None,
        };
        let mut name = node.get("name").and_then(Json::as_str)?.to_owned();
        if location == ParameterLocation::Header {
            name.make_ascii_lowercase();
            if IGNORED_HEADERS.contains(&name.as_str()) {
                return None;
            }
        }
        let flag = |key: &str| node.get(key).and_then(Json::as_bool);
        let content = node.get("content").and_then(Json::as_object).and_then(|content| content.iter().next());
        let schema = match content {
            Some((_, media)) => media.get("schema"),
            None => node.get("schema"),
        };
        let resolved = schema.and_then(|schema| self.schemas.resolve(schema));
        let kind = schema.map_or(TextType::Text, |schema| self.schemas.text_type(schema));
        let format = match content {
            Some((media, _)) if ContentType::of(media).is_json() => ParameterFormat::Json,
            Some(_) => ParameterFormat::Text(TextType::Text),
            None => format(location, node, kind),
        };
        Some(Parameter {
            name,
            location,
            required: location == ParameterLocation::Path || flag("required") == Some(true),
            value: schema.map_or(Type::String, |schema| self.schemas.type_of(schema, Direction::Request)),
            default: resolved.and_then(|schema| schema.get("default")).cloned(),
            allow_empty: flag("allowEmptyValue") == Some(true),
            schema: self.check(schema, &format),
            format,
        })
    }

    /// Returns the schema that a value is checked against, if its type says less.
    fn check(&self, schema: Option<&'d Json>, format: &ParameterFormat) -> Option<std::sync::Arc<str>> {
        let schema = schema?;
        let plain = matches!(format, ParameterFormat::Text(_)) && self.schemas.resolve(schema).is_some_and(|schema| !asks_for_more(schema));
        (!plain).then(|| self.view.schema(schema).to_string().into())
    }

    /// Reads the fields of a form.
    pub fn form(&self, media: &'d Json) -> FormFields {
        let Some(TextType::Object(object)) = media.get("schema").map(|schema| self.schemas.text_type(schema)) else {
            return FormFields::default();
        };
        let field = |name: &String, kind: &TextType| {
            let encoding = media.get("encoding").and_then(|encoding| encoding.get(name));
            let has = |key: &str| encoding.is_some_and(|encoding| encoding.get(key).is_some());
            let media = encoding.and_then(|encoding| encoding.get("contentType")).and_then(Json::as_str).unwrap_or_default();
            let styled = has("style") || has("explode") || has("allowReserved");
            let format = if !styled && ContentType::of(media).is_json() {
                ParameterFormat::Json
            } else if !styled && kind.object().is_some() && kind.list().is_none() && kind.single().is_none() {
                // Without a style, an object is JSON (OpenAPI 3.1.1, Encoding Object, `contentType`).
                ParameterFormat::Text(kind.clone())
            } else {
                format(ParameterLocation::Form, encoding.unwrap_or(&Json::Null), kind.clone())
            };
            let (name, value) = (name.clone(), Type::Dyn);
            Parameter {
                name,
                location: ParameterLocation::Form,
                required: false,
                value,
                format,
                default: None,
                allow_empty: false,
                schema: None,
            }
        };
        let list: Vec<Parameter> = object.members.iter().map(|(name, kind)| field(name, kind)).collect();
        FormFields { names: PairNames::new(&list, ParameterLocation::Form), list, others: object.others.clone().unwrap_or_default() }
    }
}

/// Returns how a parameter is serialized. The document was checked before.
fn format(location: ParameterLocation, node: &Json, kind: TextType) -> ParameterFormat {
    let style = match (node.get("style").and_then(Json::as_str), location) {
        (Some("label"), _) => ParameterStyle::Label,
        (Some("matrix"), _) => ParameterStyle::Matrix,
        (Some("spaceDelimited"), _) => ParameterStyle::Space,
        (Some("pipeDelimited"), _) => ParameterStyle::Pipe,
        (Some("deepObject"), _) => ParameterStyle::Deep,
        (_, ParameterLocation::Path | ParameterLocation::Header) => ParameterStyle::Simple,
        _ => ParameterStyle::Form,
    };
    let explode = node.get("explode").and_then(Json::as_bool).unwrap_or(style == ParameterStyle::Form);
    let marked = matches!(style, ParameterStyle::Label | ParameterStyle::Matrix | ParameterStyle::Deep);
    // A parameter whose schema does not tell its type is one text, unless its style says more.
    if kind.is_single() && (!marked || style == ParameterStyle::Deep && kind != TextType::Any) {
        return ParameterFormat::Text(kind);
    }
    ParameterFormat::Styled(Box::new(StyledFormat { style, explode, kind }))
}

/// Whether a schema contains more than a type. The type is checked when a value is read.
fn asks_for_more(schema: &Json) -> bool {
    const PLAIN: [&str; 7] = ["type", "description", "default", "example", "examples", "format", "title"];
    schema.as_object().is_none_or(|members| {
        members.iter().any(|(key, value)| !PLAIN.contains(&key.as_str()) && !key.starts_with("x-") || key == "type" && value.is_array())
    })
}
