//! Checks the defaults of fields against their types ("Complex Types", "Records", `default`).

use serde_json::Value;

use super::super::{
    model::{AvroKind, AvroType, TypeId},
    pointer::append_step,
    primitive::Primitive,
};
use crate::{budget::spend, pointer::escape_token, text::shorten};

/// The maximum length of a value in a message, in characters.
const MAX_VALUE: usize = 60;

/// Checks the default of a field. `steps` is the budget for all defaults of a text.
pub(super) fn check(nodes: &[AvroType], record: TypeId, index: usize, at: &str, steps: &mut usize) -> Result<(), String> {
    let AvroKind::Record(record) = &nodes[record.0].kind else { return Ok(()) };
    let field = &record.fields[index];
    let Some(default) = &field.default else { return Ok(()) };
    let mut check = DefaultCheck { nodes, steps };
    match check.value(field.schema, default, at) {
        Ok(()) => Ok(()),
        Err(_) if *check.steps == 0 => Err(format!(
            "{at}: checking the defaults of this text takes too long; make its unions of records smaller, or its defaults less deep"
        )),
        Err(wrong) => Err(format!("{}: the default of the field `{}` {}", wrong.at, field.name, wrong.what)),
    }
}

struct DefaultCheck<'a> {
    nodes: &'a [AvroType],
    /// The remaining steps. A default with nested unions can be checked in exponentially many ways.
    steps: &'a mut usize,
}

struct DefaultProblem {
    at: String,
    what: String,
}

impl DefaultCheck<'_> {
    /// Checks a value. Recursion is limited by the depth of JSON.
    fn value(&mut self, schema: TypeId, value: &Value, at: &str) -> Result<(), DefaultProblem> {
        *self.steps = self.steps.saturating_sub(1);
        if spend(1 + at.len() / 16).is_err() {
            *self.steps = 0;
        }
        let wrong = |what: String| Err(DefaultProblem { at: at.to_owned(), what });
        if *self.steps == 0 {
            return wrong(String::new());
        }
        let kind = &self.nodes[schema.0].kind;
        match (kind, value) {
            (AvroKind::Primitive(primitive), value) if is_primitive_value(*primitive, value) => Ok(()),
            (AvroKind::Fixed(_) | AvroKind::Enum(_), Value::String(_)) => Ok(()),
            (AvroKind::Array(items), Value::Array(list)) => {
                list.iter().enumerate().try_for_each(|(index, value)| self.value(*items, value, &append_step(at, index)))
            }
            (AvroKind::Map(values), Value::Object(object)) => {
                object.iter().try_for_each(|(key, value)| self.value(*values, value, &append_step(at, escape_token(key))))
            }
            (AvroKind::Record(record), Value::Object(object)) => {
                for field in &record.fields {
                    match object.get(&field.name) {
                        Some(value) => self.value(field.schema, value, &append_step(at, escape_token(&field.name)))?,
                        // The default of that field is checked with the field.
                        None if field.default.is_some() => {}
                        None => {
                            return wrong(format!(
                                "lacks `{}`, and `{}` has no default for it; add it",
                                field.name,
                                record.named.name.full()
                            ));
                        }
                    }
                }
                Ok(())
            }
            // Older versions of the specification allow only values of the first type. Java accepts any type since 1.9, and the specification
            // since 1.12.
            (AvroKind::Union(branches), value) => {
                let mut first = None;
                for branch in branches {
                    match self.value(*branch, value, at) {
                        Ok(()) => return Ok(()),
                        Err(wrong) => first = first.or(Some(wrong)),
                    }
                }
                let one = branches.len() == 1;
                match first.filter(|_| one) {
                    Some(wrong) => Err(wrong),
                    None => wrong(format!(
                        "is {}, which matches no type of the union {}; write a value of its first type, or add a type to it",
                        shorten(&value.to_string(), MAX_VALUE),
                        self.list_branches(branches)
                    )),
                }
            }
            (kind, value) => wrong(self.hint(kind, value)),
        }
    }

    fn hint(&self, kind: &AvroKind, value: &Value) -> String {
        let called = kind.named().map_or(kind.type_name(), |named| named.name.full());
        let Some(example) = example(self.nodes, kind) else {
            return format!("is {}, which is not of type `{called}`", shorten(&value.to_string(), MAX_VALUE));
        };
        match value {
            Value::Null => format!(
                "is null, which is not of type `{called}`; write {example}, remove the default, or make the type [\"null\", \"{called}\"]"
            ),
            Value::String(text)
                if matches!(kind, AvroKind::Primitive(_)) && serde_json::from_str::<Value>(text).is_ok_and(|inner| !inner.is_string()) =>
            {
                format!("is {}, which is not of type `{called}`; write it without quotes", shorten(&value.to_string(), MAX_VALUE))
            }
            _ => format!("is {}, which is not of type `{called}`; write a value such as {example}", shorten(&value.to_string(), MAX_VALUE)),
        }
    }

    fn list_branches(&self, branches: &[TypeId]) -> String {
        let named = branches.iter().take(8).map(|branch| {
            let kind = &self.nodes[branch.0].kind;
            kind.named().map_or(kind.type_name(), |named| named.name.full())
        });
        let mut list = format!("[{}", named.collect::<Vec<_>>().join(", "));
        list.push_str(if branches.len() > 8 { ", …]" } else { "]" });
        list
    }
}

fn is_primitive_value(primitive: Primitive, value: &Value) -> bool {
    match primitive {
        Primitive::Null => value.is_null(),
        Primitive::Boolean => value.is_boolean(),
        Primitive::Int => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        Primitive::Long => value.is_i64(),
        // JSON has no numbers for `NaN` and the infinities.
        Primitive::Float | Primitive::Double => {
            value.is_number() || matches!(value.as_str().map(str::trim), Some("NaN" | "Infinity" | "+Infinity" | "-Infinity"))
        }
        Primitive::Bytes | Primitive::String => value.is_string(),
    }
}

/// Returns an example default of a type, or `None` for types without a short one.
pub(in super::super) fn example(nodes: &[AvroType], kind: &AvroKind) -> Option<String> {
    Some(match kind {
        AvroKind::Primitive(primitive) => match primitive {
            Primitive::Null => "null",
            Primitive::Boolean => "false",
            Primitive::Int | Primitive::Long => "0",
            Primitive::Float | Primitive::Double => "0.0",
            Primitive::Bytes | Primitive::String => "\"\"",
        }
        .to_owned(),
        AvroKind::Array(_) => "[]".to_owned(),
        AvroKind::Map(_) => "{}".to_owned(),
        AvroKind::Enum(symbols) => format!("\"{}\"", symbols.default.as_ref().or(symbols.symbols.first())?),
        AvroKind::Union(branches) => {
            let kinds = || branches.iter().map(|branch| &nodes[branch.0].kind);
            if kinds().any(|kind| matches!(kind, AvroKind::Primitive(Primitive::Null))) {
                return Some("null".to_owned());
            }
            return kinds().filter(|kind| !matches!(kind, AvroKind::Union(_))).find_map(|kind| example(nodes, kind));
        }
        AvroKind::Record(_) | AvroKind::Fixed(_) | AvroKind::Forward => return None,
    })
}
