//! Measures how deeply the JSON of a schema nests when all types are written in place.

use serde_json::Value;

use super::model::{AvroKind, AvroType, Properties, TypeId};

/// Returns the number of value_depth of objects and lists around the innermost value, when each named type is written where it first occurs.
/// Walks in the order in which a schema is printed, but without recursion. The limit on this depth makes recursion in the printer safe.
pub(super) fn nesting_depth(nodes: &[AvroType], root: TypeId) -> usize {
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
        deepest = deepest.max(depth + usize::from(!word) + max_value_depth(&node.properties));
        match &node.kind {
            AvroKind::Array(id) | AvroKind::Map(id) => inner.push((*id, depth + 1)),
            AvroKind::Union(branches) => inner.extend(branches.iter().map(|branch| (*branch, depth + 1))),
            AvroKind::Record(record) => {
                for field in &record.fields {
                    // Three levels: the record, its list of fields, and the field.
                    let depth = depth + 3;
                    let default = field.default.as_ref().map_or(0, value_depth);
                    deepest = deepest.max(depth + default.max(max_value_depth(&field.properties)));
                    inner.push((field.schema, depth));
                }
            }
            // Two levels: the type, and its list of symbols or aliases.
            AvroKind::Enum(_) | AvroKind::Fixed(_) => deepest = deepest.max(depth + 2),
            AvroKind::Primitive(_) | AvroKind::Forward => {}
        }
        open.extend(inner.drain(..).rev());
    }
    deepest
}

fn max_value_depth(properties: &Properties) -> usize {
    properties.iter().map(|(_, value)| value_depth(value)).max().unwrap_or(0)
}

/// Returns the nesting depth of a value. The JSON parser limits it.
fn value_depth(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(value_depth).max().unwrap_or(0),
        Value::Object(object) => 1 + object.values().map(value_depth).max().unwrap_or(0),
        _ => 0,
    }
}
