//! A message in a reply, opened: what several paths lead into is walked through once.

use crate::{
    bind::{Step, Target},
    json,
    schema::{Field, Kind, Schema, Shape},
    wire::{self, Fields, Malformed, Value as Wire},
};

/// Room for the fields of most messages.
const FIELDS: usize = 16;

/// The message that a path led into last. Objects of a body mostly copy many fields of one message.
#[derive(Default)]
pub struct Opened<'t, 'b> {
    /// Where it was begun, and the way from there; none: nothing was opened yet.
    way: Option<(&'b [u8], &'t [Step])>,
    /// The message, unless one on the way is not set.
    inside: Option<&'b [u8]>,
    /// Its fields as they lie on the wire.
    fields: Vec<(u32, Wire<'b>)>,
}

/// What a path leads to.
pub enum Found<'b> {
    /// A field, or a message on the way, is not set.
    Absent,
    /// The last of a field's values; none: its zero value.
    Scalar(Option<Wire<'b>>),
    /// A field of the message.
    Within(&'b [u8]),
}

impl<'t, 'b> Opened<'t, 'b> {
    /// Finds the field that a path leads to, from the beginning of a message.
    pub fn find(&mut self, schema: &Schema, target: &'t Target, message: &'b [u8]) -> Result<Found<'b>, Malformed> {
        let Some((last, outer)) = target.steps.split_last() else { return Ok(Found::Absent) };
        if !self.is(message, outer) {
            self.open(schema, message, outer)?;
        }
        let Some(inside) = self.inside else { return Ok(Found::Absent) };
        let field = last.field(schema);
        let present = field.shape == (Shape::Singular { presence: true });
        if is_scalar(field) {
            let found = self.fields.iter().rev().find(|(number, value)| *number == field.number && json::fits(field, *value));
            return Ok(match found {
                None if present => Found::Absent,
                found => Found::Scalar(found.map(|(_, value)| *value)),
            });
        }
        if present && !self.fields.iter().any(|(number, _)| *number == field.number) {
            return Ok(Found::Absent);
        }
        Ok(Found::Within(inside))
    }

    fn is(&self, message: &[u8], outer: &[Step]) -> bool {
        self.way.is_some_and(|(known, way)| known.as_ptr() == message.as_ptr() && known.len() == message.len() && way == outer)
    }

    fn open(&mut self, schema: &Schema, message: &'b [u8], outer: &'t [Step]) -> Result<(), Malformed> {
        self.way = None;
        self.fields.clear();
        self.inside = Some(message);
        for step in outer {
            let Some(message) = self.inside else { break };
            self.inside = match wire::last(message, step.field(schema).number)? {
                Some(Wire::Bytes(inner)) => Some(inner),
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

/// Whether the last value of a field is all that counts: no message, which would be merged, and nothing that another field may have
/// put out.
fn is_scalar(field: &Field) -> bool {
    matches!(field.shape, Shape::Singular { .. }) && field.oneof.is_none() && !matches!(field.kind, Kind::Message(_))
}
