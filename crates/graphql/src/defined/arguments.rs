//! Arguments: their types in expressions, and their values.

use async_graphql::{
    Name, Positioned, Value as GraphqlValue,
    parser::types::{BaseType, InputValueDefinition, Type as GraphqlType},
};

use super::sdl::{SchemaTypes, TypeShape};
use prism_frontend::{
    expression::{Member, Type, Value, value::from_json},
    mapping::map,
};

/// Input objects that are nested deeper have any type in expressions, because they may contain themselves.
const MAX_DEPTH: usize = 8;

/// Returns the type of an object of input values.
pub fn object_type(types: &SchemaTypes, fields: &[Positioned<InputValueDefinition>]) -> Type {
    object_at(types, fields, 0)
}

fn object_at(types: &SchemaTypes, fields: &[Positioned<InputValueDefinition>], depth: usize) -> Type {
    Type::object(fields.iter().map(|field| {
        let InputValueDefinition { name, ty, default_value, .. } = &field.node;
        let required = !ty.node.nullable || default_value.as_ref().is_some_and(|value| value.node != GraphqlValue::Null);
        Member { name: name.node.to_string(), value: type_at(types, &ty.node, depth), required }
    }))
}

fn type_at(types: &SchemaTypes, ty: &GraphqlType, depth: usize) -> Type {
    match &ty.base {
        BaseType::List(inner) => Type::list(type_at(types, inner, depth)),
        BaseType::Named(name) => match types.shape(name) {
            Some(TypeShape::Int) => Type::Int,
            Some(TypeShape::Float) => Type::Double,
            Some(TypeShape::String | TypeShape::Id | TypeShape::Enum(_)) => Type::String,
            Some(TypeShape::Boolean) => Type::Bool,
            Some(TypeShape::Input(object)) if depth < MAX_DEPTH => object_at(types, &object.fields, depth + 1),
            _ => Type::Dyn,
        },
    }
}

/// Returns the values of the given arguments as an object. Defaults apply, and what is `null` is left out, so that it is absent in expressions.
/// The values were validated.
pub fn object_value<'v>(
    types: &SchemaTypes,
    fields: &[Positioned<InputValueDefinition>],
    given: impl Fn(&Name) -> Option<&'v GraphqlValue>,
) -> Value {
    let members = fields.iter().filter_map(|field| {
        let InputValueDefinition { name, ty, default_value, .. } = &field.node;
        // An explicit null is no default.
        let value = given(&name.node).or_else(|| default_value.as_ref().map(|value| &value.node))?;
        (*value != GraphqlValue::Null).then(|| (name.node.to_string(), value_of(types, &ty.node, value)))
    });
    map(members.collect::<Vec<_>>())
}

fn value_of(types: &SchemaTypes, ty: &GraphqlType, value: &GraphqlValue) -> Value {
    match (&ty.base, value) {
        (_, GraphqlValue::Null) => Value::Null,
        (BaseType::List(inner), GraphqlValue::List(items)) => {
            Value::List(items.iter().map(|item| value_of(types, inner, item)).collect::<Vec<_>>().into())
        }
        // One value is a list of it.
        (BaseType::List(inner), value) => Value::List(vec![value_of(types, inner, value)].into()),
        (BaseType::Named(name), value) => match (types.shape(name), value) {
            (Some(TypeShape::Input(object)), GraphqlValue::Object(members)) => {
                object_value(types, &object.fields, |name| members.get(name))
            }
            (Some(TypeShape::Float), GraphqlValue::Number(number)) => Value::Float(number.as_f64().unwrap_or_default()),
            (Some(TypeShape::Id), GraphqlValue::Number(number)) => Value::String(number.to_string().into()),
            (_, GraphqlValue::Enum(name)) => Value::String(name.to_string().into()),
            (_, value) => value.clone().into_json().map_or(Value::Null, |json| from_json(&json)),
        },
    }
}
