//! Reads attributes of objects in a schema text.

use serde_json::{Map, Value};

use super::super::{model::Properties, pointer::PointerPath};
use crate::{
    budget::{BudgetExceeded, hold},
    text::hold_copy,
};

/// An object of the text and its path.
#[derive(Clone, Copy)]
pub(super) struct SchemaObject<'a> {
    pub object: &'a Map<String, Value>,
    pub at: PointerPath<'a>,
}

impl<'a> SchemaObject<'a> {
    /// Returns the attribute `type`, which has to be a string.
    pub fn type_name(self) -> Result<&'a str, String> {
        let at = self.at;
        match self.object.get("type") {
            Some(Value::String(type_name)) => Ok(type_name),
            Some(Value::Object(_)) => Err(format!(
                "{}: `type` is an object here and has to be a string; put that object in place of the one around it",
                at.key("type")
            )),
            Some(Value::Array(_)) => Err(format!(
                "{}: `type` is a list here and has to be a string; a union is the list itself, in place of the object around it",
                at.key("type")
            )),
            Some(other) => Err(format!("{}: {other} is not a type; write its name in quotes", at.key("type"))),
            None => Err(format!("{at}: the schema has no `type`; add one, such as \"type\": \"record\"")),
        }
    }

    /// Returns a required attribute.
    pub fn required(self, key: &str, meaning: &str) -> Result<&'a Value, String> {
        self.object.get(key).ok_or_else(|| format!("{}: `{key}` is missing; it says {meaning}", self.at))
    }

    /// Returns a required string.
    pub fn required_text(self, key: &str, meaning: &str) -> Result<&'a str, String> {
        self.required(key, meaning)?.as_str().ok_or_else(|| format!("{}: `{key}` has to be a string; it says {meaning}", self.at.key(key)))
    }

    /// Returns a required list.
    pub fn required_list(self, key: &str, meaning: &str) -> Result<&'a [Value], String> {
        match self.required(key, meaning)? {
            Value::Array(list) => Ok(list),
            _ => Err(format!("{}: `{key}` has to be a list; it says {meaning}", self.at.key(key))),
        }
    }

    /// Returns an optional string. Java ignores values of other types, so they are not an error.
    pub fn text(self, key: &str) -> Option<&'a str> {
        self.object.get(key).and_then(Value::as_str)
    }

    /// Returns the aliases without duplicates.
    pub fn aliases(self) -> Result<Vec<&'a str>, String> {
        let at = self.at.key("aliases");
        let Some(aliases) = self.object.get("aliases") else { return Ok(Vec::new()) };
        let Value::Array(aliases) = aliases else { return Err(format!("{at}: `aliases` has to be a list of names")) };
        let mut names: Vec<&str> = Vec::with_capacity(aliases.len());
        let mut seen = std::collections::HashSet::new();
        for (index, alias) in aliases.iter().enumerate() {
            let Value::String(alias) = alias else {
                return Err(format!("{}: {alias} is not a name; an alias is a string", at.index(index)));
            };
            if seen.insert(alias.as_str()) {
                names.push(alias);
            }
        }
        Ok(names)
    }
}

/// Returns all attributes that are not reserved.
pub(super) fn properties(object: SchemaObject, reserved: &[&str]) -> Result<Properties, BudgetExceeded> {
    let others = object.object.iter().filter(|(key, _)| !reserved.contains(&key.as_str()));
    others
        .map(|(key, value)| {
            hold(key.len())?;
            hold_copy(value)?;
            Ok((key.clone(), value.clone()))
        })
        .collect()
}
