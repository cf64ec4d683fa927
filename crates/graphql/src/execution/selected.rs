//! What a request selects of a result, and how it is written: from values of expressions to JSON text.

use async_graphql::parser::types::{BaseType, EnumType, SelectionSet, Type as GraphqlType};
use serde_json::Value as Json;

use super::{
    plan::{PlanMember, Planner, type_name},
    render::response_too_large,
};
use crate::{
    RequestError,
    defined::{SchemaTypes, TypeShape},
};
use prism_call::{Code, Error};
use prism_frontend::{
    expression::{Value, value::to_json},
    mapping::member,
};

/// Maximum errors of the parts of one result.
const MAX_ERRORS: usize = 100;

/// A type, with what is selected of its objects.
pub struct SelectedType {
    /// Whether `null` is a value.
    pub nullable: bool,
    shape: SelectedShape,
    /// The type as text, for errors.
    name: String,
}

enum SelectedShape {
    Int,
    Float,
    String,
    Boolean,
    Id,
    Custom,
    Enum(Vec<String>),
    List(Box<SelectedType>),
    Object(Vec<PlanMember<SelectedMember>>),
}

/// Where the value of a member comes from.
enum SelectedMember {
    /// It is this JSON text.
    Constant(Vec<u8>),
    /// The member of the object with this name.
    Field(String, SelectedType),
}

impl SelectedType {
    /// Returns what is selected of a value of this type.
    pub fn new(types: &SchemaTypes, planner: &Planner<'_>, ty: &GraphqlType, sets: &[&SelectionSet]) -> Result<Self, RequestError> {
        let shape = match &ty.base {
            BaseType::List(inner) => SelectedShape::List(Box::new(Self::new(types, planner, inner, sets)?)),
            BaseType::Named(name) => match types.shape(name) {
                Some(TypeShape::Int) => SelectedShape::Int,
                Some(TypeShape::Float) => SelectedShape::Float,
                Some(TypeShape::String) => SelectedShape::String,
                Some(TypeShape::Boolean) => SelectedShape::Boolean,
                Some(TypeShape::Id) => SelectedShape::Id,
                Some(TypeShape::Enum(EnumType { values })) => {
                    SelectedShape::Enum(values.iter().map(|value| value.node.value.node.to_string()).collect())
                }
                Some(TypeShape::Object(object)) => {
                    let members = planner.members(sets, name, |member, below, at| {
                        match object.fields.iter().find(|known| known.node.name.node == member) {
                            Some(known) => {
                                Ok(SelectedMember::Field(member.to_owned(), Self::new(types, planner, &known.node.ty.node, below)?))
                            }
                            None => Ok(SelectedMember::Constant(type_name(member, name, at)?)),
                        }
                    })?;
                    SelectedShape::Object(members)
                }
                Some(TypeShape::Custom | TypeShape::Input(_)) | None => SelectedShape::Custom,
            },
        };
        Ok(Self { nullable: ty.nullable, shape, name: ty.to_string() })
    }
}

/// An error of a part of a result, with its place in it.
pub type PartError = (Vec<Json>, Error);

/// Why a value is not written.
enum Unwritten {
    /// It is no value of its type. The error is known; the next nullable value around it is `null` ("GraphQL", section 6.4.4).
    Mismatch,
    TooLarge,
}

/// Writes a result.
pub struct ResultWriter {
    limit: usize,
    errors: Vec<PartError>,
    path: Vec<Json>,
}

impl ResultWriter {
    /// Appends a result to a response of at most `limit` bytes. Returns the errors of its parts, which are `null`. `Err`: the result is `null` as a
    /// whole, and nothing was appended.
    pub fn write(
        value: Option<&Value>,
        selected: &SelectedType,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<Vec<PartError>, Vec<PartError>> {
        let mut writer = Self { limit, errors: Vec::new(), path: Vec::new() };
        let start = out.len();
        match writer.value(value, selected, out) {
            Ok(()) => Ok(writer.errors),
            Err(unwritten) => {
                out.truncate(start);
                if matches!(unwritten, Unwritten::TooLarge) {
                    writer.errors.push((Vec::new(), response_too_large(limit)));
                }
                Err(writer.errors)
            }
        }
    }

    fn value(&mut self, value: Option<&Value>, selected: &SelectedType, out: &mut Vec<u8>) -> Result<(), Unwritten> {
        let (start, depth) = (out.len(), self.path.len());
        let written = match value {
            None | Some(Value::Null) if selected.nullable => {
                out.extend_from_slice(b"null");
                Ok(())
            }
            None | Some(Value::Null) => Err(self.mismatch("null", selected)),
            Some(value) => self.present(value, selected, out),
        };
        if out.len() > self.limit {
            return Err(Unwritten::TooLarge);
        }
        match written {
            Err(Unwritten::Mismatch) if selected.nullable => {
                out.truncate(start);
                self.path.truncate(depth);
                out.extend_from_slice(b"null");
                Ok(())
            }
            written => written,
        }
    }

    fn present(&mut self, value: &Value, selected: &SelectedType, out: &mut Vec<u8>) -> Result<(), Unwritten> {
        match (&selected.shape, value) {
            (SelectedShape::List(inner), Value::List(items)) => {
                out.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    self.path.push(index.into());
                    self.value(Some(item), inner, out)?;
                    self.path.pop();
                }
                out.push(b']');
                return Ok(());
            }
            (SelectedShape::Object(members), Value::Map(_)) => {
                out.push(b'{');
                for (index, PlanMember { key, source }) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(key);
                    match source {
                        SelectedMember::Constant(text) => out.extend_from_slice(text),
                        SelectedMember::Field(name, selected) => {
                            // The name in the response is the key without quotes and colon.
                            let shown = key.get(1..key.len().saturating_sub(2)).unwrap_or_default();
                            self.path.push(String::from_utf8_lossy(shown).into_owned().into());
                            self.value(member(value, name), selected, out)?;
                            self.path.pop();
                        }
                    }
                }
                out.push(b'}');
                return Ok(());
            }
            (shape, value) if is_written_as_it_is(shape, value) => {}
            // Its numbers are text in replies.
            (SelectedShape::Id, Value::Int(_) | Value::UInt(_)) => {
                out.push(b'"');
                to_json(value, out);
                out.push(b'"');
                return Ok(());
            }
            (_, value) => {
                let mut shown = Vec::new();
                to_json(value, &mut shown);
                let shown: String = String::from_utf8_lossy(&shown).chars().take(64).collect();
                return Err(self.mismatch(&shown, selected));
            }
        }
        to_json(value, out);
        Ok(())
    }

    fn mismatch(&mut self, shown: &str, selected: &SelectedType) -> Unwritten {
        let message = format!("the definition of this frontend returns {shown}, which is no value of the type {}", selected.name);
        if self.errors.len() < MAX_ERRORS {
            self.errors.push((self.path.clone(), Error::new(Code::Internal, "RESULT_MISMATCH", message)));
        }
        Unwritten::Mismatch
    }
}

/// Tells whether a value is one of the type in the response, too.
fn is_written_as_it_is(shape: &SelectedShape, value: &Value) -> bool {
    match (shape, value) {
        (SelectedShape::Int, Value::Int(number)) => i32::try_from(*number).is_ok(),
        (SelectedShape::Int, Value::UInt(number)) => i32::try_from(*number).is_ok(),
        (SelectedShape::Float, Value::Float(number)) => number.is_finite(),
        (SelectedShape::Enum(names), Value::String(text)) => names.iter().any(|name| **name == **text),
        (SelectedShape::Float, Value::Int(_) | Value::UInt(_))
        | (SelectedShape::String | SelectedShape::Id, Value::String(_))
        | (SelectedShape::Boolean, Value::Bool(_))
        | (SelectedShape::Custom, _) => true,
        _ => false,
    }
}
