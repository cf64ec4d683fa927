//! Reads the operations of a converted document.

use std::{collections::HashMap, sync::Arc};

use http::Method;
use serde_json::Value as Json;

use super::{Operation, Response, parameter::ParameterReader, requests::RequestView, structure::method};
use crate::{
    bind::ContentType,
    definition::types::{Direction, Schemas},
    expression::Type,
    mapping::{BodyContent, BodyFormat, BodyTypes, Parameter, RequestBody},
};
use prism_yaml::Position;

/// Reads operations.
pub struct Reader<'d> {
    pub value: &'d Json,
    pub schemas: &'d Schemas<'d>,
    pub view: &'d RequestView<'d>,
    /// The position of each operation, by path and method.
    pub positions: &'d HashMap<(String, String), (usize, Position)>,
}

impl<'d> Reader<'d> {
    /// Returns all operations, in their order.
    pub fn operations(&self) -> Vec<Operation> {
        let paths = self.value.get("paths").and_then(Json::as_object).into_iter().flatten();
        let items = paths.filter(|(path, _)| path.starts_with('/'));
        items
            .flat_map(|(path, item)| {
                let members = item.as_object().into_iter().flatten();
                members.filter_map(move |(key, node)| Some(self.operation(method(key)?, path, key, item, node)))
            })
            .collect()
    }

    fn operation(&self, method: Method, path: &str, key: &str, item: &'d Json, node: &'d Json) -> Operation {
        let reader = ParameterReader { schemas: self.schemas, view: self.view };
        let mut parameters: Vec<Parameter> = Vec::new();
        let listed = |node: &'d Json| node.get("parameters").and_then(Json::as_array).into_iter().flatten();
        for parameter in listed(item).chain(listed(node)).filter_map(|node| reader.parameter(self.schemas.resolve(node)?)) {
            // The operation's own parameters override those of the path.
            parameters.retain(|known| known.name != parameter.name || known.location != parameter.location);
            parameters.push(parameter);
        }
        let body = node.get("requestBody").and_then(|node| self.schemas.resolve(node));
        let body = body.map(|node| RequestBody {
            required: node.get("required") == Some(&Json::Bool(true)),
            contents: media_types(node).map(|(media, node)| self.content(reader, media, node)).collect(),
            types: BodyTypes::default(),
            drop_nulls: false,
        });
        let responses =
            node.get("responses").and_then(Json::as_object).into_iter().flatten().filter(|(status, _)| !status.starts_with("x-"));
        let responses = responses.filter_map(|(status, node)| {
            let contents = media_types(self.schemas.resolve(node)?);
            let contents = contents.map(|(media, node)| (essence(media), self.body_type(media, node, Direction::Response)));
            Some(Response { status: status.clone(), contents: contents.collect() })
        });
        let (file, position) = self.positions.get(&(path.to_owned(), key.to_owned())).cloned().unwrap_or((0, Position::WHOLE_FILE));
        Operation {
            id: node.get("operationId").and_then(Json::as_str).map(str::to_owned),
            method,
            path: path.to_owned(),
            position,
            file,
            parameters,
            body,
            responses: responses.collect(),
        }
    }

    /// The schema of an item: `itemSchema` of OpenAPI 3.2, the items of a list, or, in lines, the schema itself.
    fn item(&self, reading: BodyFormat, node: &'d Json) -> Option<&'d Json> {
        let schema = node.get("schema");
        let items = schema.and_then(|schema| self.schemas.resolve(schema)?.get("items"));
        match reading {
            BodyFormat::Lines => node.get("itemSchema").or(items).or(schema),
            BodyFormat::Json => items,
            _ => None,
        }
    }

    fn body_type(&self, media: &str, node: &'d Json, direction: Direction) -> Type {
        let of = |schema: Option<&'d Json>| schema.map_or(Type::Dyn, |schema| self.schemas.type_of(schema, direction));
        let reading = body_format(&essence(media));
        match reading {
            BodyFormat::Json | BodyFormat::Form => of(node.get("schema")),
            BodyFormat::Lines => Type::list(of(self.item(reading, node))),
            BodyFormat::Text => Type::String,
            BodyFormat::Bytes => Type::Bytes,
        }
    }

    fn content(&self, reader: ParameterReader<'d>, media: &str, node: &'d Json) -> BodyContent {
        let essence = essence(media);
        let reading = body_format(&essence);
        let text = |schema: &'d Json| Arc::from(self.view.schema(schema).to_string());
        BodyContent {
            value: self.body_type(media, node, Direction::Request),
            schema: node.get("schema").filter(|_| matches!(reading, BodyFormat::Json | BodyFormat::Form)).map(text),
            item_schema: self.item(reading, node).map(text),
            form: (reading == BodyFormat::Form).then(|| Arc::new(reader.form(node))),
            media: essence,
            reading,
        }
    }
}

/// Returns the media types of a body.
fn media_types(node: &Json) -> impl Iterator<Item = (&String, &Json)> {
    node.get("content").and_then(Json::as_object).into_iter().flatten()
}

fn essence(media: &str) -> String {
    ContentType::of(media).essence.trim().to_ascii_lowercase()
}

/// Returns how a body of a media type is read.
fn body_format(essence: &str) -> BodyFormat {
    let content_type = ContentType::of(essence);
    if content_type.is_json() {
        BodyFormat::Json
    } else if content_type.is_lines() {
        BodyFormat::Lines
    } else if essence == "application/x-www-form-urlencoded" {
        BodyFormat::Form
    } else if essence.starts_with("text/") {
        BodyFormat::Text
    } else {
        BodyFormat::Bytes
    }
}
