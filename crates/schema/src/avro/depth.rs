//! How deep the JSON of a schema is with all types in place.

use serde_json::Value;

use super::model::{AvroKind, AvroType, Properties, TypeId};

/// Levels of objects and lists around the innermost value, when each named type is written where it is first met. Walks
/// in the order in which a schema is printed, without recursion: this is what makes recursion there safe.
pub(super) fn of(nodes: &[AvroType], root: TypeId) -> usize {
    let mut met = vec![false; nodes.len()];
    let mut deepest = 0;
    let mut open = vec![(root, 0)];
    let mut inner = Vec::new();
    while let Some((id, depth)) = open.pop() {
        let node = &nodes[id.0];
        if node.kind.named().is_some() && std::mem::replace(&mut met[id.0], true) {
            continue;
        }
        let word = matches!(node.kind, AvroKind::Primitive(_)) && node.properties.is_empty();
        deepest = deepest.max(depth + usize::from(!word) + deepest_of(&node.properties));
        match &node.kind {
            AvroKind::Array(id) | AvroKind::Map(id) => inner.push((*id, depth + 1)),
            AvroKind::Union(branches) => inner.extend(branches.iter().map(|branch| (*branch, depth + 1))),
            AvroKind::Record(record) => {
                for field in &record.fields {
                    // The record, its list of fields, and the field.
                    let depth = depth + 3;
                    let default = field.default.as_ref().map_or(0, levels);
                    deepest = deepest.max(depth + default.max(deepest_of(&field.properties)));
                    inner.push((field.schema, depth));
                }
            }
            // A list of symbols or aliases.
            AvroKind::Enum(_) | AvroKind::Fixed(_) => deepest = deepest.max(depth + 2),
            AvroKind::Primitive(_) | AvroKind::Forward => {}
        }
        open.extend(inner.drain(..).rev());
    }
    deepest
}

fn deepest_of(properties: &Properties) -> usize {
    properties.iter().map(|(_, value)| levels(value)).max().unwrap_or(0)
}

/// Levels of a value, which JSON bounds where it is read.
fn levels(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(levels).max().unwrap_or(0),
        Value::Object(object) => 1 + object.values().map(levels).max().unwrap_or(0),
        _ => 0,
    }
}
