//! Headers of HTTP that are fields of an RPC's messages, as the option `prism.options.v1.headers` of the RPC states.
//!
//! Headers that describe the content (`content-*`, `accept-ranges`, and those with a prefix) are sent only if the body of the response is
//! the content itself. The text form of a header follows from its name and from the type of its field.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use prost_reflect::{MethodDescriptor, Value};

use super::{
    bind::FieldPath,
    message_types::{Field, FieldKind, FieldShape, MessageId, MessageTypes, WellKnownType},
    precondition::EntityTags,
    scalar,
    wire::{self, Fields, WireType, WireValue},
};
use prism_call::{
    Error, Method,
    proto::options::v1::{HeaderField, HttpHeaders},
};

/// Stands for an `If-Match` without a strong tag: no ETag is empty, so it never matches.
const NO_TAG: &str = "";

/// The headers of an RPC.
#[derive(Debug)]
pub struct HeaderFields {
    types: &'static MessageTypes,
    request: Vec<RequestHeader>,
    response: Vec<ResponseHeader>,
}

#[derive(Debug)]
struct RequestHeader {
    name: Name,
    number: u32,
    form: RequestForm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RequestForm {
    /// The text form of a value.
    Scalar(FieldKind),
    /// The entity tags, without quotes, one for each item.
    Tags,
    /// The names after the prefix, with their values.
    Map,
}

#[derive(Debug)]
struct ResponseHeader {
    name: Name,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Constant(HeaderValue),
    /// A field, by the numbers of the fields around it and its own.
    Field(Vec<u32>, ResponseForm),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ResponseForm {
    /// Text; empty text is no header.
    Text,
    /// An unsigned number.
    Number,
    /// Text in quotes.
    Tag,
    /// A timestamp.
    Date,
    /// A map, whose keys follow the prefix.
    Map,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Exact(HeaderName),
    /// All headers that begin with it.
    Prefix(String),
}

impl HeaderFields {
    /// Compiles the option of an RPC. Returns `None` if it has none.
    pub fn compile(types: &'static MessageTypes, method: &Method) -> Result<Option<Self>, String> {
        let Some(option) = option(&method.descriptor) else { return Ok(None) };
        let find = |name: &str| types.find(name).ok_or_else(|| format!("{name} is not a known message type"));
        let (input, output) = (find(method.descriptor.input().full_name())?, find(method.descriptor.output().full_name())?);
        let request = option.request.iter().map(|entry| RequestHeader::compile(types, input, entry)).collect::<Result<_, _>>()?;
        let response = option.response.iter().map(|entry| ResponseHeader::compile(types, output, entry)).collect::<Result<_, _>>()?;
        Ok(Some(Self { types, request, response }))
    }

    /// Whether a header of requests is a field.
    pub fn reads(&self, name: &HeaderName) -> bool {
        self.request.iter().any(|header| matches!(&header.name, Name::Exact(known) if known == name))
    }

    /// Whether responses have this header.
    pub fn writes(&self, name: &HeaderName) -> bool {
        self.response.iter().any(|header| matches!(&header.name, Name::Exact(known) if known == name))
    }

    /// The numbers of the request's fields that headers set.
    pub fn request_fields(&self) -> Vec<u32> {
        self.request.iter().map(|header| header.number).collect()
    }

    /// Encodes the fields that the headers of a request set.
    pub fn encode(&self, headers: &HeaderMap) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        for header in &self.request {
            header.put(self.types, headers, &mut out)?;
        }
        Ok(out)
    }

    /// Sets the headers of a response from a message. `content`: whether its body is the content itself.
    pub fn set(&self, message: &[u8], content: bool, headers: &mut HeaderMap) {
        for header in self.response.iter().filter(|header| content || !header.describes_content()) {
            header.set(message, headers);
        }
    }
}

impl Name {
    fn parse(text: &str) -> Result<Self, String> {
        match text.strip_suffix('*') {
            Some(prefix) if !prefix.is_empty() && prefix.parse::<HeaderName>().is_ok_and(|name| name.as_str() == prefix) => {
                Ok(Self::Prefix(prefix.to_owned()))
            }
            None => text.parse().map(Self::Exact).map_err(|_| format!("{text:?} is not the name of a header")),
            Some(_) => Err(format!("{text:?} is not a prefix of headers in lower case")),
        }
    }
}

fn resolve<'t>(types: &'t MessageTypes, message: MessageId, entry: &HeaderField) -> Result<(FieldPath, &'t Field), String> {
    let path =
        FieldPath::resolve(types, message, entry.field.split('.')).map_err(|error| format!("the header {}: {error}", entry.header))?;
    let last = path.steps.last().copied().ok_or_else(|| format!("the header {} has no field", entry.header))?;
    Ok((path, last.field(types)))
}

fn unfit(entry: &HeaderField) -> String {
    format!("the header {} can't be the field {}, because of its type", entry.header, entry.field)
}

impl RequestHeader {
    fn compile(types: &MessageTypes, input: MessageId, entry: &HeaderField) -> Result<Self, String> {
        let (path, field) = resolve(types, input, entry)?;
        if path.steps.len() > 1 {
            return Err(format!("the header {} must be a field of the request itself", entry.header));
        }
        let name = Name::parse(&entry.header)?;
        let form = match (&name, field.shape, field.kind) {
            (Name::Prefix(_), FieldShape::Map(FieldKind::String), FieldKind::String) => RequestForm::Map,
            (Name::Exact(_), FieldShape::Repeated, FieldKind::String) => RequestForm::Tags,
            (Name::Exact(_), FieldShape::Singular { .. }, kind) if scalar::has_text_form(types, kind) => RequestForm::Scalar(kind),
            _ => return Err(unfit(entry)),
        };
        Ok(Self { name, number: field.number, form })
    }

    fn put(&self, types: &MessageTypes, headers: &HeaderMap, out: &mut Vec<u8>) -> Result<(), Error> {
        match (&self.name, self.form) {
            (Name::Exact(name), RequestForm::Scalar(kind)) => {
                let Some(value) = headers.get(name) else { return Ok(()) };
                let text = value.to_str().map_err(|_| invalid(name, "must have visible ASCII characters only"))?;
                wire::put_tag(out, self.number, kind.wire());
                scalar::put(types, kind, text.trim(), out).map_err(|refusal| invalid(name, &refusal))?;
            }
            (Name::Exact(name), RequestForm::Tags) => {
                // `If-Range` may be a date, which identifies no content exactly.
                let tags = match EntityTags::of(headers, name) {
                    Err(_) if name == header::IF_RANGE => Some(EntityTags::List(Vec::new())),
                    tags => tags?,
                };
                for tag in tags.iter().flat_map(tag_texts) {
                    wire::put_tag(out, self.number, WireType::Bytes);
                    wire::put_bytes(out, tag.as_bytes());
                }
            }
            (Name::Prefix(prefix), _) => {
                for (name, value) in headers {
                    let Some(key) = name.as_str().strip_prefix(prefix.as_str()).filter(|key| !key.is_empty()) else { continue };
                    let text = value.to_str().map_err(|_| invalid(name, "must have visible ASCII characters only"))?;
                    wire::put_tag(out, self.number, WireType::Bytes);
                    let mut entry = Vec::with_capacity(key.len() + text.len() + 8);
                    for (number, part) in [(1, key), (2, text)] {
                        wire::put_tag(&mut entry, number, WireType::Bytes);
                        wire::put_bytes(&mut entry, part.as_bytes());
                    }
                    wire::put_bytes(out, &entry);
                }
            }
            (Name::Exact(_), RequestForm::Map) => {}
        }
        Ok(())
    }
}

/// Returns the strong tags without their quotes. A list without a strong tag never matches.
fn tag_texts(tags: &EntityTags) -> Vec<String> {
    match tags {
        EntityTags::Any => vec!["*".to_owned()],
        EntityTags::List(list) => {
            let mut texts: Vec<String> = list.iter().filter(|tag| !tag.weak).map(|tag| tag.text.clone()).collect();
            if texts.is_empty() {
                texts.push(NO_TAG.to_owned());
            }
            texts
        }
    }
}

fn invalid(name: &HeaderName, problem: &str) -> Error {
    Error::invalid(name.as_str(), problem).with("in", "header").with("parameter", name.as_str())
}

impl ResponseHeader {
    fn compile(types: &MessageTypes, output: MessageId, entry: &HeaderField) -> Result<Self, String> {
        let name = Name::parse(&entry.header)?;
        if entry.field.is_empty() {
            let value = HeaderValue::from_str(&entry.value).map_err(|_| format!("{:?} is not the value of a header", entry.value))?;
            return Ok(Self { name, source: Source::Constant(value) });
        }
        let (path, field) = resolve(types, output, entry)?;
        let form = match (&name, field.shape, field.kind) {
            (Name::Prefix(_), FieldShape::Map(FieldKind::String), FieldKind::String) => ResponseForm::Map,
            (Name::Exact(name), FieldShape::Singular { .. }, FieldKind::String) if *name == header::ETAG => ResponseForm::Tag,
            (Name::Exact(_), FieldShape::Singular { .. }, FieldKind::String) => ResponseForm::Text,
            (Name::Exact(_), FieldShape::Singular { .. }, FieldKind::Uint32 | FieldKind::Uint64) => ResponseForm::Number,
            (Name::Exact(_), FieldShape::Singular { .. }, kind) if types.special(kind) == Some(WellKnownType::Timestamp) => {
                ResponseForm::Date
            }
            _ => return Err(unfit(entry)),
        };
        let numbers = path.steps.iter().map(|step| step.field(types).number).collect();
        Ok(Self { name, source: Source::Field(numbers, form) })
    }

    fn describes_content(&self) -> bool {
        match &self.name {
            Name::Prefix(_) => true,
            Name::Exact(name) => *name == header::ACCEPT_RANGES || name.as_str().starts_with("content-"),
        }
    }

    fn set(&self, message: &[u8], headers: &mut HeaderMap) {
        let (numbers, form) = match (&self.source, &self.name) {
            (Source::Constant(value), Name::Exact(name)) => {
                headers.insert(name, value.clone());
                return;
            }
            (Source::Field(numbers, form), _) => (numbers, *form),
            (Source::Constant(_), Name::Prefix(_)) => return,
        };
        let Some((last, around)) = numbers.split_last() else { return };
        let mut inside = message;
        for number in around {
            let Ok(Some(WireValue::Bytes(inner))) = wire::last(inside, *number) else { return };
            inside = inner;
        }
        match &self.name {
            Name::Prefix(prefix) => set_map(inside, *last, prefix, headers),
            Name::Exact(name) => {
                if let Some(value) = read(inside, *last, form) {
                    headers.insert(name, value);
                }
            }
        }
    }
}

/// Returns the value of a header. A value that can't be in a header is left out.
fn read(message: &[u8], number: u32, form: ResponseForm) -> Option<HeaderValue> {
    let value = wire::last(message, number).ok()?;
    match (form, value) {
        (ResponseForm::Text, Some(WireValue::Bytes(text))) if !text.is_empty() => HeaderValue::from_bytes(text).ok(),
        (ResponseForm::Tag, Some(WireValue::Bytes(text))) if !text.is_empty() => {
            HeaderValue::from_bytes(&[b"\"", text, b"\""].concat()).ok()
        }
        (ResponseForm::Number, Some(WireValue::Varint(number))) => Some(HeaderValue::from(number)),
        (ResponseForm::Number, None) => Some(HeaderValue::from(0_u64)),
        (ResponseForm::Date, Some(WireValue::Bytes(timestamp))) => match wire::last(timestamp, 1) {
            Ok(Some(WireValue::Varint(seconds))) => {
                let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
                // Years with more than four digits have no form.
                let representable = seconds < 253_402_300_800;
                representable.then(|| HeaderValue::from_str(&httpdate::fmt_http_date(time)).ok()).flatten()
            }
            _ => None,
        },
        _ => None,
    }
}

fn set_map(message: &[u8], number: u32, prefix: &str, headers: &mut HeaderMap) {
    let mut fields = Fields::of(message);
    while let Ok(Some((found, value))) = fields.field() {
        let WireValue::Bytes(entry) = value else { continue };
        if found != number {
            continue;
        }
        let part = |number| match wire::last(entry, number) {
            Ok(Some(WireValue::Bytes(text))) => text,
            _ => &[],
        };
        let name = HeaderName::from_bytes(&[prefix.as_bytes(), part(1)].concat());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(part(2))) {
            headers.insert(name, value);
        }
    }
}

/// Returns the option of an RPC, or `None` if it has none.
pub fn option(method: &MethodDescriptor) -> Option<HttpHeaders> {
    let extension = method.parent_pool().get_extension_by_name("prism.options.v1.headers")?;
    let options = method.options();
    if !options.has_extension(&extension) {
        return None;
    }
    match options.get_extension(&extension).as_ref() {
        Value::Message(message) => message.transcode_to().ok(),
        _ => None,
    }
}

#[cfg(test)]
#[path = "headers_tests.rs"]
mod tests;
