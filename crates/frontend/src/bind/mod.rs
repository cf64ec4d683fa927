//! Builds a request message from path, query and body.
//!
//! The message is written as three fragments: body, query, path. Protobuf merges fragments, and the last value wins. So a field that the
//! path binds has the value in the path, even if the body has another one.
//!
//! - Query parameters can set every field that neither path nor body binds: `limit=3`, nested `filter.name=x`, repeated
//!   `tag=a&tag=b`, maps `labels[env]=prod`, enums by name and number, `Timestamp`, `Duration`, `FieldMask`, wrappers, and
//!   bytes as base64 or base64url. Names may be in lowerCamelCase or as in the proto file.
//! - If the body is bound to a `bytes` field, its bytes are the value. If its content type is `application/json`, it is a base64 string. A
//!   `google.api.HttpBody` takes the bytes and the content type of the body. All other bodies are JSON.
//! - If the RPC takes a stream and its body is bound to such a field, the body is a stream of raw bytes, whatever its content type is. The first
//!   message has what path, query and headers set; each later one has the next bytes, and nothing else.
//! - If a `PATCH` binds its body to one message field, and the request has exactly one `FieldMask`, the mask lists the fields in the body,
//!   unless the query sets the mask.

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
pub use target::{FieldPath, FieldStep};

use super::{
    json::{self, TextOrigin},
    message_types::{FieldKind, FieldShape, MessageId, MessageTypes, WellKnownType},
    percent,
    rule::HttpRule,
    scalar,
    template::{PathTemplate, Variable},
    wire::{self, WireType},
};
use prism_call::{Code, Error};

/// Options for binding the requests of an API.
#[derive(Clone, Copy, Debug, Default)]
pub struct BindOptions {
    /// Ignores unknown query parameters instead of refusing the request.
    pub ignore_unknown_parameters: bool,
}

/// Binds the requests of one route to a message type.
#[derive(Debug)]
pub struct Binding {
    types: &'static MessageTypes,
    input: MessageId,
    variables: Vec<(Variable, FieldPath)>,
    body: body::BodyPlan,
    /// Number of the field mask that is derived from the body.
    mask: Option<u32>,
    /// Whether a body contains a stream of messages.
    streaming: bool,
    cursor: Option<Cursor>,
    /// Numbers of the fields that headers set.
    header_fields: Vec<u32>,
    options: BindOptions,
}

/// The path and the query of a request.
#[derive(Clone, Copy, Debug)]
pub struct PathAndQuery<'a> {
    /// The path below the base path.
    pub path: &'a str,
    /// The text after `?`.
    pub query: Option<&'a str>,
}

impl Binding {
    /// Compiles a rule for a request type.
    pub fn compile(
        types: &'static MessageTypes,
        input: MessageId,
        rule: &HttpRule,
        streaming: bool,
        options: BindOptions,
    ) -> Result<Self, String> {
        let mut variables = Vec::new();
        for variable in rule.template.variables() {
            let name = variable.field.join(".");
            let target = FieldPath::resolve(types, input, variable.field.iter().map(String::as_str))
                .map_err(|error| format!("the path binds {name}: {error}"))?;
            let field = target.field(types);
            if !matches!(field.shape, FieldShape::Singular { .. }) || !scalar::has_text_form(types, field.kind) {
                return Err(format!("the path binds {name}, which is not a single value with a text form"));
            }
            variables.push((variable.clone(), target));
        }
        let body = body::BodyPlan::compile(types, input, &rule.body)?;
        let mask = if rule.method == Some(Method::PATCH) && body.is_message(types, input) { only_mask(types, input) } else { None };
        Ok(Self { types, input, variables, body, mask, streaming, cursor: Cursor::find(types, input), header_fields: Vec::new(), options })
    }

    /// Sets the numbers of the fields that headers set, so that the query can't set them.
    #[must_use]
    pub fn with_header_fields(mut self, numbers: Vec<u32>) -> Self {
        self.header_fields = numbers;
        self
    }

    /// Whether the body is a stream of raw bytes: each message has the next ones.
    pub fn is_raw_stream(&self) -> bool {
        self.streaming && self.body.is_raw()
    }

    /// Builds the first message of a stream of raw bytes from an encoded part, such as the result of [`common`](Self::common).
    pub fn raw_start(&self, media: &Media, common: &[u8]) -> Result<Bytes, Error> {
        let mut out = Vec::with_capacity(common.len() + 64);
        if self.body.has_content_type() {
            self.body.put(self.types, self.input, (&Bytes::new(), TextOrigin::default()), media, &mut out, None)?;
        }
        out.extend_from_slice(common);
        Ok(out.into())
    }

    /// Builds a later message of a stream of raw bytes.
    pub fn raw_chunk(&self, chunk: &Bytes) -> Result<Bytes, Error> {
        let mut out = Vec::with_capacity(chunk.len() + 16);
        self.body.put(self.types, self.input, (chunk, TextOrigin::default()), &Media::Raw(String::new()), &mut out, None)?;
        Ok(out.into())
    }

    /// Whether requests have a body.
    pub fn reads_body(&self) -> bool {
        self.body.reads()
    }

    /// Returns how to read a body with this content type, or the error for an unsupported type.
    pub fn media(&self, content_type: Option<&str>) -> Result<Media, Error> {
        self.body.media(content_type, self.streaming)
    }

    /// Builds the message of a unary request.
    pub fn message(&self, template: &PathTemplate, parts: PathAndQuery<'_>, body: &Bytes, media: &Media) -> Result<Vec<u8>, Error> {
        let mut out = Vec::with_capacity(body.len() + parts.path.len() + 32);
        let mut mask = self.mask.map(|_| Vec::new());
        self.body.put(self.types, self.input, (body, TextOrigin::default()), media, &mut out, mask.as_mut())?;
        let masked = self.parts(template, parts, &mut out)?;
        if let (Some(number), Some(paths), false) = (self.mask, mask, masked) {
            target::put_mask(number, &paths, &mut out);
        }
        Ok(out)
    }

    /// Encodes path and query, to be appended to each message of a stream.
    pub fn common(&self, template: &PathTemplate, parts: PathAndQuery<'_>) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        self.parts(template, parts, &mut out)?;
        Ok(out)
    }

    /// Builds one message of a stream from an item of the body and the result of [`common`](Self::common).
    pub fn item(&self, item: &Item, media: &Media, common: &[u8]) -> Result<Bytes, Error> {
        let mut out = Vec::with_capacity(item.text.len() + common.len());
        self.body.put(self.types, self.input, (&item.text, item.origin), media, &mut out, None)?;
        out.extend_from_slice(common);
        Ok(out.into())
    }

    /// Lets the stream of a message continue after a cursor, if the request type has that.
    pub fn resume(&self, after: &str, message: &mut Vec<u8>) {
        if let Some(cursor) = self.cursor {
            cursor.put(after, message);
        }
    }

    /// Appends the query, then the path. Returns whether the query set the mask.
    fn parts(&self, template: &PathTemplate, parts: PathAndQuery<'_>, out: &mut Vec<u8>) -> Result<bool, Error> {
        let masked = match parts.query {
            None | Some("") => false,
            Some(query) => self.query(query, out)?,
        };
        for (variable, target) in &self.variables {
            let raw = template.capture(variable, parts.path);
            let value = percent::decode(raw, variable.slash).map_err(|refusal| parameter("path", &target.name, refusal))?;
            target.put(self.types, &value, out).map_err(|refusal| parameter("path", &target.name, &refusal))?;
        }
        Ok(masked)
    }
}

/// The field `cursor` of a request, from which an interrupted stream resumes.
#[derive(Clone, Copy, Debug)]
pub struct Cursor(u32);

impl Cursor {
    /// Finds the field of a request type.
    pub fn find(types: &MessageTypes, input: MessageId) -> Option<Self> {
        let message = types.message(input);
        let field = &message.fields[message.by_name("cursor")?];
        (field.is_plain() && field.kind == FieldKind::String).then_some(Self(field.number))
    }

    /// Appends the field, which overrides an earlier value.
    pub fn put(self, after: &str, message: &mut Vec<u8>) {
        wire::put_tag(message, self.0, WireType::Bytes);
        wire::put_bytes(message, after.as_bytes());
    }
}

/// Returns the error for an invalid value in path or query.
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

/// Returns the number of the `FieldMask` of a message, if it has exactly one.
fn only_mask(types: &MessageTypes, input: MessageId) -> Option<u32> {
    let fields = types.message(input).fields.iter();
    let mut masks = fields
        .filter(|field| types.special(field.kind) == Some(WellKnownType::FieldMask) && matches!(field.shape, FieldShape::Singular { .. }));
    match (masks.next(), masks.next()) {
        (Some(mask), None) => Some(mask.number),
        _ => None,
    }
}

/// Decodes a JSON text to a message, for tests and the command line.
pub fn message_from_json(types: &MessageTypes, message: MessageId, json: &[u8]) -> Result<Bytes, Error> {
    let mut out = Vec::with_capacity(json.len());
    json::decode(types, message, json, &mut out)?;
    Ok(out.into())
}
