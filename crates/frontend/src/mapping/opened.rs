//! Caches the fields of a message in a reply, so that several paths into it scan it once.

use crate::{
    bind::{FieldPath, FieldStep},
    json,
    message_types::{Field, FieldKind, FieldShape, MessageTypes},
    wire::{self, Fields, Malformed, WireValue},
};

/// Enough for the fields of most messages.
const FIELDS: usize = 16;

/// The fields of the last message that was read. Most objects in a body copy many fields of one message.
#[derive(Default)]
pub struct MessageCache<'t, 'b> {
    /// The outermost message and the path from it; `None`: the cache is empty.
    way: Option<(&'b [u8], &'t [FieldStep])>,
    /// The message, unless one on the path is not set.
    inside: Option<&'b [u8]>,
    /// Its fields, encoded.
    fields: Vec<(u32, WireValue<'b>)>,
}

/// The value at a path.
pub enum FieldValue<'b> {
    /// The field, or a message on the path, is not set.
    Absent,
    /// The last value of a field; `None`: its zero value.
    Scalar(Option<WireValue<'b>>),
    /// A field in this message.
    Within(&'b [u8]),
}

impl<'t, 'b> MessageCache<'t, 'b> {
    /// Finds the field at a path, from the outermost message.
    pub fn find(&mut self, types: &MessageTypes, target: &'t FieldPath, message: &'b [u8]) -> Result<FieldValue<'b>, Malformed> {
        let Some((last, outer)) = target.steps.split_last() else { return Ok(FieldValue::Absent) };
        if !self.is(message, outer) {
            self.open(types, message, outer)?;
        }
        let Some(inside) = self.inside else { return Ok(FieldValue::Absent) };
        let field = last.field(types);
        let present = field.shape == (FieldShape::Singular { presence: true });
        if is_scalar(field) {
            let found = self.fields.iter().rev().find(|(number, value)| *number == field.number && json::fits(field, *value));
            return Ok(match found {
                None if present => FieldValue::Absent,
                found => FieldValue::Scalar(found.map(|(_, value)| *value)),
            });
        }
        if present && !self.fields.iter().any(|(number, _)| *number == field.number) {
            return Ok(FieldValue::Absent);
        }
        Ok(FieldValue::Within(inside))
    }

    fn is(&self, message: &[u8], outer: &[FieldStep]) -> bool {
        self.way.is_some_and(|(known, way)| known.as_ptr() == message.as_ptr() && known.len() == message.len() && way == outer)
    }

    fn open(&mut self, types: &MessageTypes, message: &'b [u8], outer: &'t [FieldStep]) -> Result<(), Malformed> {
        self.way = None;
        self.fields.clear();
        self.inside = Some(message);
        for step in outer {
            let Some(message) = self.inside else { break };
            self.inside = match wire::last(message, step.field(types).number)? {
                Some(WireValue::Bytes(inner)) => Some(inner),
                _ => None,
            };
        }
        self.fields.reserve(FIELDS);
        let mut fields = Fields::of(self.inside.unwrap_or_default());
        while let Some(field) = fields.field()? {
            self.fields.push(field);
        }
        self.way = Some((message, outer));
        Ok(())
    }
}

/// Whether only the last value of a field matters: it is neither a message, which would be merged, nor a member of a oneof, which another
/// field could clear.
fn is_scalar(field: &Field) -> bool {
    matches!(field.shape, FieldShape::Singular { .. }) && field.oneof.is_none() && !matches!(field.kind, FieldKind::Message(_))
}
