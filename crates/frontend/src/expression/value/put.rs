//! Encodes expression values as message fields.

use cel::Value;

use super::json::sorted;
use crate::{
    json::MAX_DEPTH,
    message_types::{Field, FieldKind, FieldShape, MessageId, MessageTypes, WellKnownType},
    scalar::{self, Refusal},
    wire::{self, WireType},
};

/// Appends a field with its tag. `null` appends nothing, except for a `google.protobuf.Value`, which can hold it.
///
/// Numbers must be exact in the type of the field, apart from the fraction digits that a `float` loses. Strings are parsed as
/// by [`scalar::put`]. The keys of a map are the field names of the message. The refusal is a sentence that begins with the
/// path from the field, such as ``` `items[0].key` must be … ```. After a refusal `out` holds incomplete data and must not be
/// used.
pub fn put(types: &MessageTypes, field: &Field, value: &Value, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let mut writer = Writer { types, path: vec![field.name.clone()], depth: 0, only_known: false };
    writer.field(field, value, out).map(drop)
}

/// Appends a field as [`put`] does, but skips map members that the message has no field for.
pub fn put_known(types: &MessageTypes, field: &Field, value: &Value, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let mut writer = Writer { types, path: vec![field.name.clone()], depth: 0, only_known: true };
    writer.field(field, value, out).map(drop)
}

/// Appends the fields of a message from a map with their names. As with [`put`], `out` must not be used after a refusal.
pub fn put_message(types: &MessageTypes, message: MessageId, value: &Value, out: &mut Vec<u8>) -> Result<(), Refusal> {
    Writer { types, path: Vec::new(), depth: 0, only_known: false }.message(message, value, out)
}

pub(super) struct Writer<'s> {
    pub(super) types: &'s MessageTypes,
    /// Steps from the field to the current value, as messages show them: `.key`, `[0]`.
    pub(super) path: Vec<String>,
    pub(super) depth: usize,
    /// Whether unknown members are skipped instead of refused.
    pub(super) only_known: bool,
}

impl Writer<'_> {
    /// Returns a refusal of the value at the current path.
    pub(super) fn refused(&self, why: &str) -> Refusal {
        let path = self.path.concat();
        if path.is_empty() { why.to_owned().into() } else { format!("`{}` {why}", path.trim_start_matches('.')).into() }
    }

    /// Runs a closure with one more step on the path.
    pub(super) fn at<R>(&mut self, step: String, run: impl FnOnce(&mut Self) -> Result<R, Refusal>) -> Result<R, Refusal> {
        self.path.push(step);
        let result = run(self)?;
        self.path.pop();
        Ok(result)
    }

    /// Appends a field with its tag. Returns whether the field is set.
    pub(super) fn field(&mut self, field: &Field, value: &Value, out: &mut Vec<u8>) -> Result<bool, Refusal> {
        let holds_null = field.shape != FieldShape::Repeated && self.types.special(field.kind) == Some(WellKnownType::Value);
        match (field.shape, value) {
            (FieldShape::Singular { .. }, Value::Null) if holds_null => {
                wire::put_tag(out, field.number, WireType::Bytes);
                self.value(field.kind, value, out)?;
            }
            (_, Value::Null) => return Ok(false),
            (FieldShape::Singular { .. }, _) => {
                wire::put_tag(out, field.number, field.kind.wire());
                self.value(field.kind, value, out)?;
            }
            (FieldShape::Repeated, Value::List(items)) => self.repeated(field, items, out)?,
            (FieldShape::Repeated, _) => return Err(self.refused("must be a list")),
            (FieldShape::Map(key), Value::Map(map)) => self.map(field, key, map, out)?,
            (FieldShape::Map(_), _) => return Err(self.refused("must be a map")),
        }
        Ok(true)
    }

    fn repeated(&mut self, field: &Field, items: &[Value], out: &mut Vec<u8>) -> Result<(), Refusal> {
        if field.kind.wire() == WireType::Bytes {
            return self.elements(field.number, field.kind, items, out);
        }
        if items.is_empty() {
            return Ok(());
        }
        wire::put_tag(out, field.number, WireType::Bytes);
        wire::put_sized(out, |out| {
            for (index, item) in items.iter().enumerate() {
                self.at(format!("[{index}]"), |writer| writer.value(field.kind, item, out))?;
            }
            Ok(())
        })
    }

    /// Appends length-delimited values, each with its tag.
    pub(super) fn elements(&mut self, number: u32, kind: FieldKind, items: &[Value], out: &mut Vec<u8>) -> Result<(), Refusal> {
        for (index, item) in items.iter().enumerate() {
            wire::put_tag(out, number, WireType::Bytes);
            self.at(format!("[{index}]"), |writer| writer.value(kind, item, out))?;
        }
        Ok(())
    }

    pub(super) fn map(&mut self, field: &Field, key: FieldKind, map: &cel::objects::Map, out: &mut Vec<u8>) -> Result<(), Refusal> {
        for (name, value) in sorted(map) {
            self.at(format!("[{name:?}]"), |writer| {
                wire::put_tag(out, field.number, WireType::Bytes);
                wire::put_sized(out, |out| {
                    wire::put_tag(out, 1, key.wire());
                    scalar::put(writer.types, key, &name, out).map_err(|refusal| writer.refused(&format!("has a key that {refusal}")))?;
                    wire::put_tag(out, 2, field.kind.wire());
                    match text_of_scalar(value).filter(|_| field.kind == FieldKind::String) {
                        Some(text) => wire::put_bytes(out, text.as_bytes()),
                        None => writer.value(field.kind, value, out)?,
                    }
                    Ok(())
                })
            })?;
        }
        Ok(())
    }

    /// Appends a value without its tag.
    pub(super) fn value(&mut self, kind: FieldKind, value: &Value, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let read = |writer: &Self, kind: FieldKind, text: &str, out: &mut Vec<u8>| {
            scalar::put(writer.types, kind, text, out).map_err(|refusal| writer.refused(&refusal))
        };
        match (kind, value) {
            (FieldKind::Message(id), _) => {
                if self.depth == MAX_DEPTH {
                    return Err(self.refused(&format!("is nested deeper than {MAX_DEPTH} levels")));
                }
                self.depth += 1;
                wire::put_sized(out, |out| self.message(id, value, out))?;
                self.depth -= 1;
            }
            (FieldKind::Double, Value::Float(number)) => out.extend_from_slice(&number.to_le_bytes()),
            (FieldKind::Float, Value::Float(number)) => {
                let narrow = narrow(*number).ok_or_else(|| self.refused("is beyond what a float can hold"))?;
                out.extend_from_slice(&narrow.to_le_bytes());
            }
            (FieldKind::Double | FieldKind::Float, Value::Int(_) | Value::UInt(_)) => {
                let text = integer(value).unwrap_or_default();
                let start = out.len();
                read(self, kind, &text, out)?;
                if written(kind, &out[start..]) != text {
                    return Err(self.refused("is a whole number that a floating-point one can't hold exactly"));
                }
            }
            (FieldKind::Bool, Value::Bool(flag)) => out.push(u8::from(*flag)),
            (FieldKind::String, Value::Bytes(bytes)) if std::str::from_utf8(bytes).is_ok() => wire::put_bytes(out, bytes),
            (FieldKind::String, Value::Bytes(_)) => return Err(self.refused("must be text, and these bytes are not UTF-8")),
            (FieldKind::Bytes, Value::Bytes(bytes)) => wire::put_bytes(out, bytes),
            (_, Value::String(text)) => read(self, kind, text, out)?,
            (FieldKind::String | FieldKind::Bytes | FieldKind::Bool, _) => return Err(self.refused(expected(kind))),
            (FieldKind::Enum(id), Value::Null) if self.types.enumeration(id).null => out.push(0),
            // An enum may be given as its number.
            (FieldKind::Enum(_), Value::Int(_) | Value::UInt(_)) => read(self, FieldKind::Int32, &integer(value).unwrap_or_default(), out)?,
            (FieldKind::Enum(_), _) => return Err(self.refused("must be the name of an enum's value, or its number")),
            _ => match integer(value) {
                Some(text) => read(self, kind, &text, out)?,
                None => return Err(self.refused(expected(kind))),
            },
        }
        Ok(())
    }
}

/// Returns a number or a boolean as JSON writes it. A map of strings takes them: its members often come from JSON or YAML, where people
/// leave out quotes.
fn text_of_scalar(value: &Value) -> Option<String> {
    match value {
        Value::Int(number) => Some(number.to_string()),
        Value::UInt(number) => Some(number.to_string()),
        Value::Float(number) => Some(format!("{number:?}")),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// Renders a number as text without loss. Floats are written without an exponent.
fn integer(value: &Value) -> Option<String> {
    match value {
        Value::Int(number) => Some(number.to_string()),
        Value::UInt(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Converts a double to a float, or returns `None` if it is out of range. Fraction digits may be lost, as in every float.
#[expect(clippy::cast_possible_truncation, reason = "that is what a float field asks for")]
fn narrow(number: f64) -> Option<f32> {
    let narrow = number as f32;
    (narrow.is_finite() || !number.is_finite()).then_some(narrow)
}

/// Renders the content of an encoded floating-point field in digits.
fn written(kind: FieldKind, mut bytes: &[u8]) -> String {
    let number = match kind {
        FieldKind::Double => wire::fixed64(&mut bytes).map(f64::from_bits),
        _ => wire::fixed32(&mut bytes).map(|bits| f64::from(f32::from_bits(bits))),
    };
    number.map(|number| format!("{number:.0}")).unwrap_or_default()
}

const fn expected(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::String => "must be a string; convert with string(…)",
        FieldKind::Bytes => "must be bytes, or a string with base64 in it",
        FieldKind::Bool => "must be true or false",
        _ => "must be a number",
    }
}
