//! A field inside a request, and how a value gets there.

use crate::{
    scalar::{self, Refusal},
    schema::{Field, Kind, MessageId, Schema, Shape},
    wire::{self, WireType},
};

/// A field, found once by its path of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The names, joined by dots as the proto file writes them.
    pub name: String,
    /// From the request down to the field; never empty.
    pub steps: Vec<Step>,
}

/// A field of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The message.
    pub message: MessageId,
    /// Place of the field in it.
    pub place: usize,
}

impl Step {
    /// The field.
    pub fn field(self, schema: &Schema) -> &Field {
        &schema.message(self.message).fields[self.place]
    }
}

impl Target {
    /// Finds a field by the names that lead to it, JSON names or proto names.
    pub fn resolve<'a>(schema: &Schema, message: MessageId, names: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let (mut inside, mut steps, mut name) = (Some(message), Vec::new(), String::new());
        for part in names {
            let Some(message) = inside else { return Err(format!("{name} has no fields inside")) };
            let known = schema.message(message);
            let place = known.by_name(part).ok_or_else(|| format!("{part:?} is no field of {}", known.name))?;
            let field = &known.fields[place];
            inside = match (field.kind, field.shape) {
                (Kind::Message(id), Shape::Singular { .. }) => Some(id),
                _ => None,
            };
            steps.push(Step { message, place });
            name = if name.is_empty() { field.name.clone() } else { format!("{name}.{}", field.name) };
        }
        if steps.is_empty() { Err("it names no field".to_owned()) } else { Ok(Self { name, steps }) }
    }

    /// The field itself.
    pub fn field<'s>(&self, schema: &'s Schema) -> &'s Field {
        // `resolve` gives at least one step.
        self.steps[self.steps.len() - 1].field(schema)
    }

    /// Appends the field with the value that a text says.
    pub fn put(&self, schema: &Schema, text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
        put(schema, &self.steps, out, &mut |field, out| {
            wire::put_tag(out, field.number, field.kind.wire());
            scalar::put(schema, field.kind, text, out)
        })
    }
}

/// Appends a field with its value.
type Write<'a> = dyn FnMut(&Field, &mut Vec<u8>) -> Result<(), Refusal> + 'a;

/// Appends the messages that lead to a field, and in the innermost one what `write` makes of the field.
pub(super) fn put(schema: &Schema, steps: &[Step], out: &mut Vec<u8>, write: &mut Write<'_>) -> Result<(), Refusal> {
    match steps {
        [] => Ok(()),
        [last] => write(last.field(schema), out),
        [outer, inner @ ..] => {
            wire::put_tag(out, outer.field(schema).number, WireType::Bytes);
            wire::put_sized(out, |out| put(schema, inner, out, write))
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
