//! Tags: an attribute of records and fields.
//!
//! A record is called by its full name, and a field by that of its record and its own: `com.example.Order.id`.

use serde_json::Value;

use super::{
    json,
    model::{Id, Kind, Model, Properties},
};
use crate::tag::{ATTRIBUTE, MAX_PATH, Part, Shown, Visit};

/// Shows all records of the text and their fields, where the text has them.
pub(super) fn each(model: &mut Model, visit: &mut Visit) {
    let seen = vec![false; model.nodes.len()];
    let root = model.root;
    Walk { model, seen, visit }.schema(root);
}

struct Walk<'a, 'b> {
    model: &'a mut Model,
    /// Types that were shown.
    seen: Vec<bool>,
    visit: &'a mut Visit<'b>,
}

impl Walk<'_, '_> {
    /// Goes as deep as [`super::depth`] has allowed.
    fn schema(&mut self, id: Id) {
        let node = &mut self.model.nodes[id.0];
        if node.foreign || std::mem::replace(&mut self.seen[id.0], true) {
            return;
        }
        match &node.kind {
            Kind::Array(inner) | Kind::Map(inner) => {
                let inner = *inner;
                self.schema(inner);
            }
            Kind::Union(branches) => {
                for branch in branches.clone() {
                    self.schema(branch);
                }
            }
            Kind::Record(record) => {
                let (name, fields) = (record.named.name.full().to_owned(), record.fields.len());
                show(self.visit, Part::Record, &name, &mut node.properties);
                for index in 0..fields {
                    self.field(id, index, &name);
                }
            }
            Kind::Primitive(_) | Kind::Enum(_) | Kind::Fixed(_) | Kind::Forward => {}
        }
    }

    fn field(&mut self, record: Id, index: usize, name: &str) {
        let Kind::Record(record) = &mut self.model.nodes[record.0].kind else { return };
        let Some(field) = record.fields.get_mut(index) else { return };
        show(self.visit, Part::Field, &format!("{name}.{}", field.name), &mut field.properties);
        let schema = field.schema;
        self.schema(schema);
    }
}

fn show(visit: &mut Visit, part: Part, path: &str, properties: &mut Properties) {
    if path.len() > MAX_PATH {
        return;
    }
    let at = properties.iter().position(|(name, _)| name == ATTRIBUTE);
    let before = at.map(|at| json::texts(&properties[at].1)).unwrap_or_default();
    let mut tags = before.clone();
    visit(&Shown { part, path, also: None }, &mut tags);
    if tags == before {
        return;
    }
    match at {
        Some(at) if tags.is_empty() => drop(properties.remove(at)),
        Some(at) => properties[at].1 = Value::from(tags),
        None => properties.push((ATTRIBUTE.to_owned(), Value::from(tags))),
    }
}
