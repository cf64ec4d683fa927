//! From path, query and body to a request message.
//!
//! The message is written as three fragments: body, query, path. Protobuf merges them, the later ones over the earlier: a
//! field that the path binds has the path's value, whatever the body says about it.
//!
//! - Query parameters may set every field that neither path nor body binds: `limit=3`, nested `filter.name=x`, repeated
//!   `tag=a&tag=b`, maps `labels[env]=prod`, enums by name and number, `Timestamp`, `Duration`, `FieldMask`, wrappers, and
//!   bytes as base64 or base64url. Names are taken in lowerCamelCase and as in the proto file.
//! - A body that fills a `bytes` field is taken raw, unless its content type is `application/json`, in which case it is a
//!   string with base64. A `google.api.HttpBody` takes bytes and content type as they come. All else is JSON.
//! - A `PATCH` whose body fills one message field, of a request with exactly one `FieldMask`, gets its mask from what stands
//!   in the body, unless the query has one.

mod body;
mod items;
mod query;
mod target;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::Method;

pub use body::{ContentType, Media};
pub use items::{Item, Items};
pub use query::MAX_PARAMETERS;
pub use target::{Step, Target};

use super::{
    json::{self, Origin},
    percent,
    rule::Rule,
    scalar,
    schema::{Kind, MessageId, Schema, Shape, Special},
    template::{Template, Variable},
    wire::{self, WireType},
};
use prism_call::{Code, Error};

/// What an API decides about its requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// Lets query parameters pass that name no field, instead of refusing the request.
    pub ignore_unknown_parameters: bool,
}

/// How the requests of one route become messages.
#[derive(Debug)]
pub struct Binding {
    schema: &'static Schema,
    input: MessageId,
    variables: Vec<(Variable, Target)>,
    body: body::Plan,
    /// Number of the field that a mask made of the body goes into.
    mask: Option<u32>,
    /// Whether a body holds many messages.
    streaming: bool,
    /// Number of the field `cursor`, where a stream that was broken off goes on.
    cursor: Option<u32>,
    settings: Settings,
}

/// What of a request is not its body.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// The path, or its part that the template matches.
    pub path: &'a str,
    /// What stands behind `?`.
    pub query: Option<&'a str>,
}

impl Binding {
    /// Compiles a rule for a request type.
    pub fn compile(schema: &'static Schema, input: MessageId, rule: &Rule, streaming: bool, settings: Settings) -> Result<Self, String> {
        let mut variables = Vec::new();
        for variable in rule.template.variables() {
            let name = variable.field.join(".");
            let target = Target::resolve(schema, input, variable.field.iter().map(String::as_str))
                .map_err(|error| format!("the path binds {name}: {error}"))?;
            let field = target.field(schema);
            if !matches!(field.shape, Shape::Singular { .. }) || !scalar::has_text_form(schema, field.kind) {
                return Err(format!("the path binds {name}, which is not a single value that has a text form"));
            }
            variables.push((variable.clone(), target));
        }
        let body = body::Plan::compile(schema, input, &rule.body)?;
        let mask = if rule.method == Some(Method::PATCH) && body.is_message(schema, input) { only_mask(schema, input) } else { None };
        let message = schema.message(input);
        let cursor =
            message.by_name("cursor").map(|place| &message.fields[place]).filter(|field| field.is_plain() && field.kind == Kind::String);
        Ok(Self { schema, input, variables, body, mask, streaming, cursor: cursor.map(|field| field.number), settings })
    }

    /// Whether the request has a body that is to be read.
    pub fn reads_body(&self) -> bool {
        self.body.reads()
    }

    /// How the body is to be understood by its content type, or the refusal of that type.
    pub fn media(&self, content_type: Option<&str>) -> Result<Media, Error> {
        self.body.media(content_type, self.streaming)
    }

    /// The message of a request with one body.
    pub fn message(&self, template: &Template, parts: Parts<'_>, body: &Bytes, media: &Media) -> Result<Vec<u8>, Error> {
        let mut out = Vec::with_capacity(body.len() + parts.path.len() + 32);
        let mut mask = self.mask.map(|_| Vec::new());
        self.body.put(self.schema, self.input, (body, Origin::default()), media, &mut out, mask.as_mut())?;
        let masked = self.parts(template, parts, &mut out)?;
        if let (Some(number), Some(paths), false) = (self.mask, mask, masked) {
            target::put_mask(number, &paths, &mut out);
        }
        Ok(out)
    }

    /// What path and query say, to be put behind each message of a stream.
    pub fn common(&self, template: &Template, parts: Parts<'_>) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        self.parts(template, parts, &mut out)?;
        Ok(out)
    }

    /// One message of a stream: an item of the body, and what [`common`](Self::common) gave.
    pub fn item(&self, item: &Item, media: &Media, common: &[u8]) -> Result<Bytes, Error> {
        let mut out = Vec::with_capacity(item.text.len() + common.len());
        self.body.put(self.schema, self.input, (&item.text, item.origin), media, &mut out, None)?;
        out.extend_from_slice(common);
        Ok(out.into())
    }

    /// Sets the field `cursor`, over what else says it; `false`: the request has none.
    pub fn resume(&self, cursor: &str, out: &mut Vec<u8>) -> bool {
        let Some(number) = self.cursor else { return false };
        wire::put_tag(out, number, WireType::Bytes);
        wire::put_bytes(out, cursor.as_bytes());
        true
    }

    /// Query, then path. Tells whether the query set the mask.
    fn parts(&self, template: &Template, parts: Parts<'_>, out: &mut Vec<u8>) -> Result<bool, Error> {
        let masked = match parts.query {
            None | Some("") => false,
            Some(query) => self.query(query, out)?,
        };
        for (variable, target) in &self.variables {
            let raw = template.capture(variable, parts.path);
            let value = percent::decode(raw, variable.slash).map_err(|refusal| parameter("path", &target.name, refusal))?;
            target.put(self.schema, &value, out).map_err(|refusal| parameter("path", &target.name, &refusal))?;
        }
        Ok(masked)
    }
}

/// The refusal of a value in path or query.
fn parameter(place: &'static str, name: &str, refusal: &str) -> Error {
    Error::invalid(name, refusal.to_owned()).with("in", place).with("parameter", name)
}

/// `INVALID_ARGUMENT UNKNOWN_PARAMETER`.
fn unknown_parameter(name: &str, description: &str) -> Error {
    Error::new(Code::InvalidArgument, "UNKNOWN_PARAMETER", format!("the query parameter {name} {description}"))
        .with_violation(name, description)
        .with("in", "query")
        .with("parameter", name)
}

/// The number of the one `FieldMask` of a message, if it has exactly one.
fn only_mask(schema: &Schema, input: MessageId) -> Option<u32> {
    let fields = schema.message(input).fields.iter();
    let mut masks =
        fields.filter(|field| schema.special(field.kind) == Some(Special::FieldMask) && matches!(field.shape, Shape::Singular { .. }));
    match (masks.next(), masks.next()) {
        (Some(mask), None) => Some(mask.number),
        _ => None,
    }
}

/// Whole JSON text to a message, as a test or a command line gives it.
pub fn message_from_json(schema: &Schema, message: MessageId, json: &[u8]) -> Result<Bytes, Error> {
    let mut out = Vec::with_capacity(json.len());
    json::decode(schema, message, json, &mut out)?;
    Ok(out.into())
}
