//! Tags in Avro: an attribute of records and fields.
//!
//! The path of a record is its full name. The path of a field is that of its record and its own name: `com.example.Order.id`.

use serde_json::Value;

use super::{
    json,
    model::{AvroKind, Properties, TypeGraph, TypeId},
};
use crate::tag::{ATTRIBUTE, MAX_PATH, PartKind, PartVisitor, SchemaPart};

/// Visits all records of the text and their fields in the order of the text.
pub(super) fn visit_parts(model: &mut TypeGraph, visit: &mut PartVisitor) {
    let seen = vec![false; model.nodes.len()];
    let root = model.root;
    AvroTagWalk { model, seen, visit }.schema(root);
}

struct AvroTagWalk<'a, 'b> {
    model: &'a mut TypeGraph,
    /// The types that were visited.
    seen: Vec<bool>,
    visit: &'a mut PartVisitor<'b>,
}

impl AvroTagWalk<'_, '_> {
    /// Visits a type. Recursion is limited by [`super::depth`].
    fn schema(&mut self, id: TypeId) {
        let node = &mut self.model.nodes[id.0];
        if node.foreign || std::mem::replace(&mut self.seen[id.0], true) {
            return;
        }
        match &node.kind {
            AvroKind::Array(inner) | AvroKind::Map(inner) => {
                let inner = *inner;
                self.schema(inner);
            }
            AvroKind::Union(branches) => {
                for branch in branches.clone() {
                    self.schema(branch);
                }
            }
            AvroKind::Record(record) => {
                let (name, fields) = (record.named.name.full().to_owned(), record.fields.len());
                visit_part(self.visit, PartKind::Record, &name, &mut node.properties);
                for index in 0..fields {
                    self.field(id, index, &name);
                }
            }
            AvroKind::Primitive(_) | AvroKind::Enum(_) | AvroKind::Fixed(_) | AvroKind::Forward => {}
        }
    }

    fn field(&mut self, record: TypeId, index: usize, name: &str) {
        let AvroKind::Record(record) = &mut self.model.nodes[record.0].kind else { return };
        let Some(field) = record.fields.get_mut(index) else { return };
        visit_part(self.visit, PartKind::Field, &format!("{name}.{}", field.name), &mut field.properties);
        let schema = field.schema;
        self.schema(schema);
    }
}

fn visit_part(visit: &mut PartVisitor, part: PartKind, path: &str, properties: &mut Properties) {
    if path.len() > MAX_PATH {
        return;
    }
    let index = properties.iter().position(|(name, _)| name == ATTRIBUTE);
    let before = index.map(|index| json::string_items(&properties[index].1)).unwrap_or_default();
    let mut tags = before.clone();
    visit(&SchemaPart { part, path, alternative: None }, &mut tags);
    if tags == before {
        return;
    }
    match index {
        Some(index) if tags.is_empty() => drop(properties.remove(index)),
        Some(index) => properties[index].1 = Value::from(tags),
        None => properties.push((ATTRIBUTE.to_owned(), Value::from(tags))),
    }
}
