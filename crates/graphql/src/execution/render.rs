//! Writes replies as JSON, by their plans, from protobuf bytes to text.

use std::cmp::Ordering;

use super::plan::{MemberSource, ObjectPlan, PlanMember};
use crate::model::{Model, is_scalar};
use prism_call::{Code, Error};
use prism_frontend::{
    json::{self, JsonStyle, Occurrence},
    message_types::{Field, FieldKind, FieldShape, MessageId},
    wire::{self, Malformed, WireType, WireValue},
};

/// Writes replies.
pub struct Renderer<'m> {
    /// The model of the schema.
    pub model: &'m Model,
    /// Maximum bytes of the whole response.
    pub limit: usize,
}

/// Why a reply can't be written.
pub enum RenderFailure {
    /// The reply is not a message of its type.
    Malformed,
    /// The response becomes too large.
    TooLarge,
}

impl From<Malformed> for RenderFailure {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl RenderFailure {
    /// Returns the error for the client.
    pub fn into_error(self, limit: usize) -> Error {
        match self {
            Self::Malformed => Error::internal("the reply is not a message of its type"),
            Self::TooLarge => response_too_large(limit),
        }
    }
}

/// Returns the error of a response with more bytes than the limit.
pub fn response_too_large(limit: usize) -> Error {
    let message = format!(
        "the response has more than {limit} bytes, the limit (settings.max_response_bytes of the frontend); select less, or in several requests"
    );
    Error::new(Code::ResourceExhausted, "RESPONSE_TOO_LARGE", message)
}

/// Tells whether something was written.
pub type Rendered = Result<(), RenderFailure>;

impl Renderer<'_> {
    /// Appends a message: an object by its plan, or a scalar.
    pub fn message(&self, id: MessageId, plan: Option<&ObjectPlan>, bytes: &[u8], out: &mut Vec<u8>) -> Rendered {
        let Some(plan) = plan else { return self.scalar(FieldKind::Message(id), WireValue::Bytes(bytes), out) };
        self.object(&plan.members, out, |source, out| match source {
            MemberSource::Constant(text) => self.text(text, out),
            MemberSource::Field { index, below } => self.field(id, *index, below.as_ref(), bytes, out),
            _ => Err(RenderFailure::Malformed),
        })
    }

    /// Appends an object with these members.
    pub fn object<S>(&self, members: &[PlanMember<S>], out: &mut Vec<u8>, mut write: impl FnMut(&S, &mut Vec<u8>) -> Rendered) -> Rendered {
        out.push(b'{');
        for (index, PlanMember { key, source }) in members.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(key);
            write(source, out)?;
            self.check_size(out)?;
        }
        out.push(b'}');
        Ok(())
    }

    /// Appends a list of these items.
    pub fn list<T>(&self, items: &[T], out: &mut Vec<u8>, mut write: impl FnMut(&T, &mut Vec<u8>) -> Rendered) -> Rendered {
        out.push(b'[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write(item, out)?;
            self.check_size(out)?;
        }
        out.push(b']');
        Ok(())
    }

    /// Appends JSON text.
    pub fn text(&self, text: &[u8], out: &mut Vec<u8>) -> Rendered {
        out.extend_from_slice(text);
        self.check_size(out)
    }

    /// Refuses a response that is too large.
    pub fn check_size(&self, out: &[u8]) -> Rendered {
        if out.len() > self.limit { Err(RenderFailure::TooLarge) } else { Ok(()) }
    }

    fn field(&self, message: MessageId, index: usize, below: Option<&ObjectPlan>, bytes: &[u8], out: &mut Vec<u8>) -> Rendered {
        let types = self.model.types;
        let field = &types.message(message).fields[index];
        let found = json::occurrences_of(types.message(message), field, bytes)?;
        match field.shape {
            FieldShape::Singular { presence: true } if found.is_empty() => out.extend_from_slice(b"null"),
            FieldShape::Singular { .. } => match field.kind {
                FieldKind::Message(_) => self.value(field.kind, below, WireValue::Bytes(&json::merged(&found)), out)?,
                kind => self.value(kind, below, found.last().map_or(json::zero(kind), |(_, value)| *value), out)?,
            },
            FieldShape::Repeated => {
                out.push(b'[');
                let start = out.len();
                for (_, value) in &found {
                    self.elements(field, below, *value, start, out)?;
                }
                out.push(b']');
            }
            FieldShape::Map(key) => self.map(key, field.kind, below, &found, out)?,
        }
        Ok(())
    }

    /// Appends one element of a list, or several packed ones.
    fn elements(&self, field: &Field, below: Option<&ObjectPlan>, value: WireValue<'_>, start: usize, out: &mut Vec<u8>) -> Rendered {
        let wire = field.kind.wire();
        let (WireValue::Bytes(mut packed), false) = (value, wire == WireType::Bytes) else {
            return self.element(field.kind, below, value, start, out);
        };
        while !packed.is_empty() {
            let value = match wire {
                WireType::Fixed64 => WireValue::Fixed64(wire::fixed64(&mut packed)?),
                WireType::Fixed32 => WireValue::Fixed32(wire::fixed32(&mut packed)?),
                _ => WireValue::Varint(wire::varint(&mut packed)?),
            };
            self.element(field.kind, below, value, start, out)?;
        }
        Ok(())
    }

    fn element(&self, kind: FieldKind, below: Option<&ObjectPlan>, value: WireValue<'_>, start: usize, out: &mut Vec<u8>) -> Rendered {
        if out.len() > start {
            out.push(b',');
        }
        self.value(kind, below, value, out)?;
        self.check_size(out)
    }

    /// Appends the entries of a map, sorted by their keys.
    fn map(&self, key: FieldKind, kind: FieldKind, below: Option<&ObjectPlan>, found: &[Occurrence<'_>], out: &mut Vec<u8>) -> Rendered {
        let Some(plan) = below else { return Err(RenderFailure::Malformed) };
        let mut entries = Vec::with_capacity(found.len());
        for (_, entry) in found {
            let WireValue::Bytes(entry) = entry else { return Err(RenderFailure::Malformed) };
            entries.push((wire::last(entry, 1)?.unwrap_or(json::zero(key)), wire::last(entry, 2)?.unwrap_or(json::zero(kind))));
        }
        // A stable sort: of several entries with one key, the last one counts.
        entries.sort_by(|(one, _), (other, _)| compare_keys(key, *one, *other));
        out.push(b'[');
        let start = out.len();
        for (index, (name, value)) in entries.iter().enumerate() {
            let is_repeated = entries.get(index + 1).is_some_and(|(next, _)| compare_keys(key, *name, *next) == Ordering::Equal);
            if is_repeated {
                continue;
            }
            if out.len() > start {
                out.push(b',');
            }
            self.object(&plan.members, out, |source, out| match source {
                MemberSource::Constant(text) => self.text(text, out),
                MemberSource::EntryKey => self.scalar(key, *name, out),
                MemberSource::EntryValue { below } => self.value(kind, below.as_ref(), *value, out),
                MemberSource::Field { .. } => Err(RenderFailure::Malformed),
            })?;
        }
        out.push(b']');
        Ok(())
    }

    fn value(&self, kind: FieldKind, below: Option<&ObjectPlan>, value: WireValue<'_>, out: &mut Vec<u8>) -> Rendered {
        match (kind, value) {
            (FieldKind::Message(id), WireValue::Bytes(bytes)) if !is_scalar(self.model.types, kind) => self.message(id, below, bytes, out),
            _ => self.scalar(kind, value, out),
        }
    }

    fn scalar(&self, kind: FieldKind, value: WireValue<'_>, out: &mut Vec<u8>) -> Rendered {
        let types = self.model.types;
        let is_null = match (kind, value) {
            (FieldKind::Double, WireValue::Fixed64(bits)) => !f64::from_bits(bits).is_finite(),
            (FieldKind::Float, WireValue::Fixed32(bits)) => !f32::from_bits(bits).is_finite(),
            (FieldKind::Enum(id), WireValue::Varint(bits)) => types.enumeration(id).value_name(wire::low32_signed(bits)).is_none(),
            _ => false,
        };
        if is_null {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        Ok(json::encode_scalar(types, kind, Some(value), JsonStyle::default(), out)?)
    }
}

fn compare_keys(kind: FieldKind, one: WireValue<'_>, other: WireValue<'_>) -> Ordering {
    let number = |value: WireValue<'_>| match value {
        WireValue::Varint(bits) | WireValue::Fixed64(bits) => bits,
        WireValue::Fixed32(bits) => bits.into(),
        WireValue::Bytes(_) => 0,
    };
    let signed = |value: WireValue<'_>| match kind {
        FieldKind::Sint32 | FieldKind::Sint64 => wire::unzigzag(number(value)),
        FieldKind::Sfixed32 => wire::low32_signed(number(value)).into(),
        _ => wire::unsigned(number(value)),
    };
    match (one, other) {
        (WireValue::Bytes(one), WireValue::Bytes(other)) => one.cmp(other),
        _ if matches!(kind, FieldKind::Uint32 | FieldKind::Uint64 | FieldKind::Fixed32 | FieldKind::Fixed64 | FieldKind::Bool) => {
            number(one).cmp(&number(other))
        }
        _ => signed(one).cmp(&signed(other)),
    }
}
