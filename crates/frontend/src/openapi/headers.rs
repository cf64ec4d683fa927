//! Headers that are fields of messages (`prism.options.v1.headers`), as parameters and as headers of responses.

use prost_reflect::{Kind, MessageDescriptor};
use serde_json::{Value, json};

use super::{
    examples, path,
    schemas::{ComponentSchemas, describe as describe_field},
    values::Direction,
};
use prism_call::proto::options::v1::{HeaderField, HttpHeaders};

/// Headers of requests that OpenAPI describes elsewhere: in the body.
const OF_BODY: [&str; 2] = ["content-type", "content-length"];
/// Preconditions, which routes that read describe elsewhere.
const PRECONDITIONS: [&str; 2] = ["if-match", "if-none-match"];
/// An entity tag.
const TAG: &str = "\"5d41402abc4b2a76\"";

/// Whether responses have an `ETag` from a field.
pub fn has_tag(fields: &HttpHeaders) -> bool {
    fields.response.iter().any(|entry| entry.header == "etag")
}

/// Whether responses may have a part of a content.
pub fn has_range(fields: &HttpHeaders) -> bool {
    fields.response.iter().any(|entry| entry.header == "content-range")
}

/// Whether a header sets the field. `field` is a path of proto names.
pub fn sets(fields: &HttpHeaders, field: &str) -> bool {
    fields.request.iter().any(|entry| entry.field == field)
}

/// Returns the response to a precondition that fails, if the headers have preconditions.
pub fn precondition_failed(fields: &HttpHeaders) -> Option<Value> {
    let has = fields.request.iter().any(|entry| PRECONDITIONS.contains(&entry.header.as_str()));
    has.then(|| json!({"$ref": "#/components/responses/PreconditionFailed"}))
}

/// Returns the parameters of the headers. A family of headers (`x-meta-*`) is none, because OpenAPI can't express it.
pub fn parameters(schemas: &mut ComponentSchemas, input: &MessageDescriptor, fields: &HttpHeaders, reads: bool) -> Vec<Value> {
    let shown = |entry: &&HeaderField| {
        let name = entry.header.as_str();
        let elsewhere = OF_BODY.contains(&name) || (reads && PRECONDITIONS.contains(&name));
        !name.ends_with('*') && !elsewhere
    };
    let parameters = fields.request.iter().filter(shown).filter_map(|entry| {
        let field = input.get_field_by_name(&entry.field)?;
        let mut parameter = json!({"name": title(&entry.header), "in": "header"});
        describe_field(&mut parameter, field.full_name());
        if field.is_list() {
            let example = if entry.header == "if-none-match" { "*" } else { TAG };
            parameter["schema"] = json!({"type": "string"});
            parameter["example"] = example.into();
        } else {
            parameter["schema"] = schemas.field(&field, Direction::Text);
            parameter["example"] = examples::field(&field);
        }
        Some(parameter)
    });
    parameters.collect()
}

/// Adds the headers of a response. `content`: whether its body is the content itself.
pub fn describe(output: &MessageDescriptor, fields: &HttpHeaders, content: bool, headers: &mut Value) {
    for entry in fields.response.iter().filter(|entry| !entry.header.ends_with('*') && entry.header != "content-type") {
        let of_content = entry.header.starts_with("content-") || entry.header == "accept-ranges";
        if of_content && !content {
            continue;
        }
        let names: Vec<String> = entry.field.split('.').map(str::to_owned).collect();
        let field = path::resolve(output, &names);
        let number = field.as_ref().is_some_and(|field| matches!(field.kind(), Kind::Uint32 | Kind::Uint64));
        let mut header = json!({"schema": {"type": if number { "integer" } else { "string" }}});
        match field {
            Some(field) => describe_field(&mut header, field.full_name()),
            None => header["description"] = format!("Always `{}`.", entry.value).into(),
        }
        headers[title(&entry.header)] = header;
    }
}

/// Returns the usual spelling of a header: `if-none-match` → `If-None-Match`
fn title(name: &str) -> String {
    if name == "etag" {
        return "ETag".to_owned();
    }
    let words = name.split('-').map(|word| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
    });
    words.collect::<Vec<_>>().join("-")
}
