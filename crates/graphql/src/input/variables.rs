//! Coerces the variables of a request ("GraphQL", section 6.1.2), and replaces them in arguments (section 6.4.1).

use std::fmt::Write as _;

use async_graphql::{
    Positioned, Value, Variables,
    parser::types::VariableDefinition,
    registry::{MetaType, MetaTypeName, Registry},
};
use async_graphql_value::Value as DocumentValue;
use serde_json::Map;

use crate::RequestError;

/// Returns the values of the variables of an operation. Values of variables that it does not have are ignored.
pub fn coerce_variables(
    registry: &Registry,
    definitions: &[Positioned<VariableDefinition>],
    given: &Map<String, serde_json::Value>,
) -> Result<Variables, RequestError> {
    let mut variables = Variables::default();
    for definition in definitions {
        let VariableDefinition { name, var_type, default_value, .. } = &definition.node;
        let (name, kind) = (&name.node, &var_type.node);
        let refuse = |description: String| {
            let message = format!("the variable ${name} of the type {kind} {description}");
            RequestError::one("GRAPHQL_VARIABLES", message, Some(definition.pos))
        };
        let value = match given.get(name.as_str()) {
            Some(value) => Value::from_json(value.clone()).map_err(|_| refuse("has a value that can't be read".to_owned()))?,
            None => match default_value {
                Some(value) => value.node.clone(),
                None if kind.nullable => continue,
                None => return Err(refuse("has no value".to_owned())),
            },
        };
        let mut path = String::new();
        check(registry, &kind.to_string(), &value, &mut path).map_err(|description| {
            let at = if path.is_empty() { String::new() } else { format!("has at {path} a value that ") };
            refuse(format!("{at}{description}"))
        })?;
        variables.insert(name.clone(), value);
    }
    Ok(variables)
}

/// Replaces the variables in an argument by their values. Returns `None` for a variable without a value: in an object, its member is left
/// out; in a list, the element is `null`.
pub fn resolve_variables(value: &DocumentValue, variables: &Variables) -> Option<Value> {
    match value {
        DocumentValue::Variable(name) => variables.get(name).cloned(),
        DocumentValue::List(elements) => {
            Some(Value::List(elements.iter().map(|element| resolve_variables(element, variables).unwrap_or_default()).collect()))
        }
        DocumentValue::Object(members) => {
            let given = members.iter().filter_map(|(name, member)| Some((name.clone(), resolve_variables(member, variables)?)));
            Some(Value::Object(given.collect()))
        }
        constant => constant.clone().into_const(),
    }
}

/// Checks a value against a type. On an error, `path` tells where it is.
fn check(registry: &Registry, kind: &str, value: &Value, path: &mut String) -> Result<(), String> {
    match (MetaTypeName::create(kind), value) {
        (MetaTypeName::NonNull(_), Value::Null) => Err("must not be null".to_owned()),
        (_, Value::Null) => Ok(()),
        (MetaTypeName::List(kind), Value::List(elements)) => {
            for (index, element) in elements.iter().enumerate() {
                let length = path.len();
                // Writing to a text does not fail.
                let _ = write!(path, "[{index}]");
                check(registry, kind, element, path)?;
                path.truncate(length);
            }
            Ok(())
        }
        // One value is a list of it.
        (MetaTypeName::NonNull(kind) | MetaTypeName::List(kind), value) => check(registry, kind, value, path),
        (MetaTypeName::Named(name), value) => check_named(registry, name, value, path),
    }
}

fn check_named(registry: &Registry, name: &str, value: &Value, path: &mut String) -> Result<(), String> {
    match registry.types.get(name) {
        Some(MetaType::Scalar { is_valid, .. }) => match is_valid {
            Some(is_valid) if !is_valid(value) => Err(format!("is no {name}")),
            _ => Ok(()),
        },
        Some(MetaType::Enum { enum_values, .. }) => match value {
            Value::String(text) if enum_values.contains_key(text.as_str()) => Ok(()),
            Value::Enum(text) if enum_values.contains_key(text.as_str()) => Ok(()),
            _ => Err(format!("is no value of {name}")),
        },
        Some(MetaType::InputObject { input_fields, oneof, .. }) => {
            let Value::Object(members) = value else { return Err(format!("is no {name}, which is an object")) };
            if let Some(unknown) = members.keys().find(|member| !input_fields.contains_key(member.as_str())) {
                return Err(format!("has the field {unknown}, which {name} does not have"));
            }
            if *oneof && (members.len() != 1 || members.values().any(|value| *value == Value::Null)) {
                return Err(format!("must have exactly one field of {name}"));
            }
            for field in input_fields.values() {
                let length = path.len();
                let _ = write!(path, ".{}", field.name);
                match members.get(field.name.as_str()) {
                    Some(value) => check(registry, &field.ty, value, path)?,
                    None if field.default_value.is_none() && MetaTypeName::create(&field.ty).is_non_null() => {
                        return Err("is missing".to_owned());
                    }
                    None => {}
                }
                path.truncate(length);
            }
            Ok(())
        }
        _ => Err(format!("is of the type {name}, which is not for input")),
    }
}
