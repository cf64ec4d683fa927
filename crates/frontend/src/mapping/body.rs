//! The body of a request: chooses its format by the content type and reads it.

use bytes::Bytes;

use super::{
    check::{RequestSchemas, within},
    form::FormFields,
    input::{BodyFormat, BodyTypes, RequestBody},
    unique_json::{parse_json, parse_json_at},
    value,
};
use crate::{
    bind::{ContentType, Item, Items},
    expression::{Type, Value},
};
use prism_call::{Code, Error};

/// The body of a request.
#[derive(Clone, Debug, Default)]
pub enum Payload {
    /// There is none.
    #[default]
    Absent,
    /// JSON, as received and as a value of the type that its schema describes.
    Json {
        /// The received text.
        bytes: Bytes,
        /// The value.
        value: Value,
        /// Whether no member has a type that JSON lacks. Then the text can be decoded to a message directly.
        plain: bool,
    },
    /// The fields of a form.
    Form(Value),
    /// Text in UTF-8.
    Text(Bytes),
    /// Bytes.
    Bytes(Bytes),
}

impl RequestBody {
    /// Returns the format for a content type, or the error for an unsupported type.
    pub fn reading(&self, content_type: Option<&str>) -> Result<BodyFormat, Error> {
        let Some(first) = self.contents.first() else { return Ok(BodyFormat::Bytes) };
        let unsupported = |types: &[&str]| {
            let message = format!("the body can't be {}; send {} in UTF-8", content_type.unwrap_or_default(), types.join(" or "));
            Error::new(Code::InvalidArgument, "UNSUPPORTED_MEDIA_TYPE", message)
        };
        match &self.types {
            BodyTypes::Documented => {}
            BodyTypes::Any => return Ok(first.reading),
            BodyTypes::Listed(types) => {
                let sent = content_type.map_or("", |sent| ContentType::of(sent).essence);
                let is_listed = sent.is_empty() || types.iter().any(|known| known.eq_ignore_ascii_case(sent));
                return if is_listed { Ok(first.reading) } else { Err(unsupported(&types.iter().map(String::as_str).collect::<Vec<_>>())) };
            }
        }
        let Some(sent) = content_type.map(ContentType::of).filter(|sent| !sent.essence.is_empty()) else {
            let json = self.contents.iter().any(|content| content.reading == BodyFormat::Json);
            return Ok(if json { BodyFormat::Json } else { first.reading });
        };
        let essence = sent.essence.to_ascii_lowercase();
        let exactly = || self.contents.iter().find(|content| content.media == essence);
        let any_json = || self.contents.iter().find(|content| content.reading == BodyFormat::Json && sent.is_json());
        let any_lines = || self.contents.iter().find(|content| content.reading == BodyFormat::Lines && sent.is_lines());
        let range = || {
            self.contents.iter().find(|content| {
                let group = content.media.strip_suffix('*').unwrap_or("\0");
                content.media == "*/*" || essence.starts_with(group)
            })
        };
        let utf8 = |reading: BodyFormat| {
            let charset = sent.charset.is_none_or(|charset| charset.eq_ignore_ascii_case("utf-8"));
            matches!(reading, BodyFormat::Bytes | BodyFormat::Form) || charset
        };
        let found =
            exactly().or_else(any_json).or_else(any_lines).or_else(range).map(|content| content.reading).filter(|reading| utf8(*reading));
        found.ok_or_else(|| unsupported(&self.contents.iter().map(|content| content.media.as_str()).collect::<Vec<_>>()))
    }

    /// Reads a body and checks it against its schema.
    pub fn payload(&self, reading: BodyFormat, bytes: Bytes, checks: &RequestSchemas) -> Result<Payload, Error> {
        // An empty text and empty bytes are valid values.
        if bytes.is_empty() && matches!(reading, BodyFormat::Json | BodyFormat::Form) {
            return if self.required { Err(required()) } else { Ok(Payload::Absent) };
        }
        let content = self.contents.iter().find(|content| content.reading == reading);
        let typed = |tree: &serde_json::Value| {
            checks.body(reading, tree)?;
            let kind = content.map_or(&Type::Dyn, |content| &content.value);
            let value = value::typed(kind, tree).map_err(|(path, why)| Error::invalid(path.trim_start_matches('.'), why))?;
            Ok::<_, Error>(value)
        };
        Ok(match reading {
            BodyFormat::Json => {
                let mut tree = parse_json(&bytes)?;
                if self.drop_nulls {
                    drop_nulls(&mut tree);
                }
                let value = typed(&tree)?;
                Payload::Json { bytes, value, plain: content.is_none_or(|content| !has_bytes(&content.value)) }
            }
            BodyFormat::Lines => {
                let (mut items, mut list) = (Items::new(usize::MAX), Vec::new());
                items.push(&bytes);
                while let Some(item) = items.item(true)? {
                    list.push(self.item(&item, checks)?);
                }
                Payload::Json { bytes, value: Value::List(list.into()), plain: false }
            }
            BodyFormat::Bytes => Payload::Bytes(bytes),
            BodyFormat::Text => {
                if std::str::from_utf8(&bytes).is_err() {
                    return Err(Error::invalid("", "the body is not UTF-8 text"));
                }
                Payload::Text(bytes)
            }
            BodyFormat::Form => Payload::Form(typed(&self.form(&bytes)?)?),
        })
    }

    /// Returns the value of one item of a body that is a list, and checks it against its schema.
    pub fn item(&self, item: &Item, checks: &RequestSchemas) -> Result<Value, Error> {
        let place = item.origin.index.map_or_else(String::new, |index| format!("[{index}]"));
        let mut tree = parse_json_at(&item.text, item.origin.position)?;
        if self.drop_nulls {
            drop_nulls(&mut tree);
        }
        checks.item(&place, &tree).map_err(|error| item.origin.position.tell(error))?;
        let lists = self.contents.iter().find_map(|content| if let Type::List(inner) = &content.value { Some(&**inner) } else { None });
        value::typed(lists.unwrap_or(&Type::Dyn), &tree)
            .map_err(|(path, why)| item.origin.position.tell(Error::invalid(within(&place, path.trim_start_matches('.')), why)))
    }

    fn form(&self, bytes: &[u8]) -> Result<serde_json::Value, Error> {
        let text = std::str::from_utf8(bytes).map_err(|_| Error::invalid("", "the form is not UTF-8 text"))?;
        let content = self.contents.iter().find(|content| content.reading == BodyFormat::Form);
        content.and_then(|content| content.form.as_ref()).map_or_else(|| FormFields::default().read(text), |form| form.read(text))
    }
}

/// Removes the members of objects that are `null`. Recursion is limited by the depth of JSON.
fn drop_nulls(tree: &mut serde_json::Value) {
    match tree {
        serde_json::Value::Object(members) => {
            members.retain(|_, value| !value.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Whether a value of this type may contain bytes, which are base64 in JSON.
fn has_bytes(kind: &Type) -> bool {
    match kind {
        Type::Bytes => true,
        Type::List(inner) | Type::Map(inner) => has_bytes(inner),
        Type::Object(object) => object.members.iter().any(|member| has_bytes(&member.value)),
        _ => false,
    }
}

/// Returns the error for a missing body.
pub fn required() -> Error {
    Error::new(Code::InvalidArgument, "BODY_REQUIRED", "the request needs a body")
}

impl Payload {
    /// Returns the value of a JSON body or a form.
    pub fn tree(&self) -> Option<&Value> {
        match self {
            Self::Json { value, .. } | Self::Form(value) => Some(value),
            _ => None,
        }
    }

    /// Returns the value for expressions, or `None` if there is no body.
    pub fn value(&self) -> Option<Value> {
        match self {
            Self::Absent => None,
            Self::Json { value, .. } | Self::Form(value) => Some(value.clone()),
            Self::Text(bytes) => Some(Value::String(String::from_utf8_lossy(bytes).into_owned().into())),
            Self::Bytes(bytes) => Some(Value::Bytes(bytes.to_vec().into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::TextOrigin;

    #[test]
    fn null_members_of_items_are_dropped_too() {
        let body = |drop_nulls| RequestBody { required: true, contents: Vec::new(), types: BodyTypes::Any, drop_nulls };
        let item = Item { text: Bytes::from_static(br#"{"a":null,"b":[{"c":null}]}"#), origin: TextOrigin::default(), index: 0 };
        let json = |drop_nulls| {
            let mut json = Vec::new();
            crate::expression::value::to_json(&body(drop_nulls).item(&item, &RequestSchemas::default()).unwrap(), &mut json);
            serde_json::from_slice::<serde_json::Value>(&json).unwrap()
        };
        assert_eq!(json(true), serde_json::json!({"b": [{}]}));
        assert_eq!(json(false), serde_json::json!({"a": null, "b": [{"c": null}]}));
    }
}
