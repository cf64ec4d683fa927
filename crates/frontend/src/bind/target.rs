//! Paths to fields of a message, resolved once.

use crate::{
    message_types::{Field, FieldKind, FieldShape, MessageId, MessageTypes},
    scalar::{self, Refusal},
    wire::{self, WireType},
};

/// A resolved path to a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath {
    /// The proto names, joined by dots.
    pub name: String,
    /// The steps from the message to the field; never empty.
    pub steps: Vec<FieldStep>,
}

/// A step of a path: a field of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldStep {
    /// The message.
    pub message: MessageId,
    /// Index of the field.
    pub place: usize,
}

impl FieldStep {
    /// The field.
    pub fn field(self, types: &MessageTypes) -> &Field {
        &types.message(self.message).fields[self.place]
    }
}

impl FieldPath {
    /// Resolves a path of JSON names or proto names.
    pub fn resolve<'a>(types: &MessageTypes, message: MessageId, names: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let (mut inside, mut steps, mut name) = (Some(message), Vec::new(), String::new());
        for part in names {
            let Some(message) = inside else { return Err(format!("{name} has no fields inside")) };
            let known = types.message(message);
            let place = known.by_name(part).ok_or_else(|| format!("{part:?} is not a field of {}", known.name))?;
            let field = &known.fields[place];
            inside = match (field.kind, field.shape) {
                (FieldKind::Message(id), FieldShape::Singular { .. }) => Some(id),
                _ => None,
            };
            steps.push(FieldStep { message, place });
            name = if name.is_empty() { field.name.clone() } else { format!("{name}.{}", field.name) };
        }
        if steps.is_empty() { Err("the path is empty".to_owned()) } else { Ok(Self { name, steps }) }
    }

    /// Returns the field.
    pub fn field<'s>(&self, types: &'s MessageTypes) -> &'s Field {
        // `resolve` creates at least one step.
        self.steps[self.steps.len() - 1].field(types)
    }

    /// Parses a value and appends the field, within its surrounding messages.
    pub fn put(&self, types: &MessageTypes, text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
        put(types, &self.steps, out, &mut |field, out| {
            wire::put_tag(out, field.number, field.kind.wire());
            scalar::put(types, field.kind, text, out)
        })
    }
}

/// A function that appends a field with its value.
type Write<'a> = dyn FnMut(&Field, &mut Vec<u8>) -> Result<(), Refusal> + 'a;

/// Appends the messages that contain a field. Calls `write` to append the field itself.
pub(super) fn put(types: &MessageTypes, steps: &[FieldStep], out: &mut Vec<u8>, write: &mut Write<'_>) -> Result<(), Refusal> {
    match steps {
        [] => Ok(()),
        [last] => write(last.field(types), out),
        [outer, inner @ ..] => {
            wire::put_tag(out, outer.field(types).number, WireType::Bytes);
            wire::put_sized(out, |out| put(types, inner, out, write))
        }
    }
}

/// Appends a `FieldMask` of these paths.
pub(super) fn put_mask(number: u32, paths: &[String], out: &mut Vec<u8>) {
    let mut mask = Vec::new();
    for path in paths {
        wire::put_tag(&mut mask, 1, WireType::Bytes);
        wire::put_bytes(&mut mask, path.as_bytes());
    }
    wire::put_tag(out, number, WireType::Bytes);
    wire::put_bytes(out, &mask);
}
