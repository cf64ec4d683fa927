//! Whether a default is a value of its field ("Complex Types", "Records", `default`).

use serde_json::Value;

use super::super::{
    model::{AvroKind, AvroType, Primitive, TypeId},
    pointer::{escaped, join},
};

/// Checks the default of a field.
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
    /// A default in which unions nest can be read in very many ways.
    steps: &'a mut usize,
}

struct DefaultProblem {
    at: String,
    what: String,
}

impl DefaultCheck<'_> {
    /// Goes as deep as the default does, which JSON bounds.
    fn value(&mut self, schema: TypeId, value: &Value, at: &str) -> Result<(), DefaultProblem> {
        *self.steps = self.steps.saturating_sub(1);
        let wrong = |what: String| Err(DefaultProblem { at: at.to_owned(), what });
        if *self.steps == 0 {
            return wrong(String::new());
        }
        let kind = &self.nodes[schema.0].kind;
        match (kind, value) {
            (AvroKind::Primitive(primitive), value) if primitive_takes(*primitive, value) => Ok(()),
            (AvroKind::Fixed(_) | AvroKind::Enum(_), Value::String(_)) => Ok(()),
            (AvroKind::Array(items), Value::Array(list)) => {
                list.iter().enumerate().try_for_each(|(index, value)| self.value(*items, value, &join(at, index)))
            }
            (AvroKind::Map(values), Value::Object(object)) => {
                object.iter().try_for_each(|(key, value)| self.value(*values, value, &join(at, escaped(key))))
            }
            (AvroKind::Record(record), Value::Object(object)) => {
                for field in &record.fields {
                    match object.get(&field.name) {
                        Some(value) => self.value(field.schema, value, &join(at, escaped(&field.name)))?,
                        // A default of its own is checked where it stands.
                        None if field.default.is_some() => {}
                        None => {
                            return wrong(format!(
                                "lacks `{}`, which `{}` has no default for; add it",
                                field.name,
                                record.named.name.full()
                            ));
                        }
                    }
                }
                Ok(())
            }
            // Older versions of the specification allow the first type only; Java takes any since 1.9, the
            // specification since 1.12.
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
                        "is {}, which is of no type of the union {}; write a value of its first type, or add a type to it",
                        told(value),
                        self.told_branches(branches)
                    )),
                }
            }
            (kind, value) => wrong(self.hint(kind, value)),
        }
    }

    fn hint(&self, kind: &AvroKind, value: &Value) -> String {
        let called = kind.named().map_or(kind.word(), |named| named.name.full());
        let Some(example) = example(self.nodes, kind) else { return format!("is {}, which is no `{called}`", told(value)) };
        match value {
            Value::Null => format!(
                "is null, which is no `{called}`; write {example}, take the default away, or make the type [\"null\", \"{called}\"]"
            ),
            Value::String(text)
                if matches!(kind, AvroKind::Primitive(_)) && serde_json::from_str::<Value>(text).is_ok_and(|inner| !inner.is_string()) =>
            {
                format!("is {}, which is no `{called}`; write it without quotes", told(value))
            }
            _ => format!("is {}, which is no `{called}`; write one, as {example}", told(value)),
        }
    }

    fn told_branches(&self, branches: &[TypeId]) -> String {
        let named = branches.iter().take(8).map(|branch| {
            let kind = &self.nodes[branch.0].kind;
            kind.named().map_or(kind.word(), |named| named.name.full())
        });
        let mut told = format!("[{}", named.collect::<Vec<_>>().join(", "));
        told.push_str(if branches.len() > 8 { ", …]" } else { "]" });
        told
    }
}

fn primitive_takes(primitive: Primitive, value: &Value) -> bool {
    match primitive {
        Primitive::Null => value.is_null(),
        Primitive::Boolean => value.is_boolean(),
        Primitive::Int => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        Primitive::Long => value.is_i64(),
        // `NaN` and the infinities are no numbers of JSON.
        Primitive::Float | Primitive::Double => {
            value.is_number() || matches!(value.as_str().map(str::trim), Some("NaN" | "Infinity" | "+Infinity" | "-Infinity"))
        }
        Primitive::Bytes | Primitive::String => value.is_string(),
    }
}

/// A value of a type as a default is written; `None` for those that have no short one.
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

/// A value, not more than some of it.
fn told(value: &Value) -> String {
    let text = value.to_string();
    let short: String = text.chars().take(60).collect();
    if short.len() < text.len() { format!("{short}…") } else { text }
}
