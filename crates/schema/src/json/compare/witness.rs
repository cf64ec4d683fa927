//! Finds a value that is valid for a conjunction, to show that it accepts some data.
//!
//! Values are tried that the keywords suggest: listed values, bounds and their neighbours, texts and arrays of the allowed lengths, and
//! objects with the required or with all named properties. A value counts only if [`JsonComparison::eval`] is sure that it is valid, so a
//! value that is found proves that there is one. If none is found, nothing is known, for example where a `format` or a pattern decides.

use serde_json::{Map, Number, Value};

use super::{Conjunction, JsonComparison};
use crate::json::{
    node::{SubschemaId, TypeSet},
    number::as_integer,
};

/// The maximum nesting depth of values and choices.
const MAX_LEVELS: usize = 4;
/// The maximum number of listed values, bounds, names or branches that are tried.
const MAX_TRIED: usize = 64;
/// The maximum length of a text in characters, and of an array in items.
const MAX_LENGTH: u64 = 256;

impl JsonComparison {
    /// Returns a value that is valid for all members, if one is found.
    pub(super) fn find_value(&mut self, writer: &Conjunction, level: usize) -> Option<Value> {
        if level > MAX_LEVELS || !self.spend(4 + writer.len()) {
            return None;
        }
        for value in self.suggested_values(writer, level) {
            if writer.iter().all(|id| self.eval(*id, &value, 0) == Some(true)) {
                return Some(value);
            }
            if self.exhausted.is_some() {
                return None;
            }
        }
        // The keywords of a branch suggest other values.
        let branches = self.open_choice(writer)?;
        branches.into_iter().take(MAX_TRIED).find_map(|branch| {
            let writer = self.flatten_with(writer, &branch);
            self.find_value(&writer, level + 1)
        })
    }

    fn suggested_values(&mut self, writer: &Conjunction, level: usize) -> Vec<Value> {
        if let Some(values) = self.finite_values(writer) {
            return values.iter().take(MAX_TRIED).cloned().collect();
        }
        let types = self.possible_types(writer);
        let mut values = Vec::new();
        if types.intersects(TypeSet::NULL) {
            values.push(Value::Null);
        }
        if types.intersects(TypeSet::BOOLEAN) {
            values.extend([Value::Bool(true), Value::Bool(false)]);
        }
        if types.intersects(TypeSet::STRING) {
            values.extend(self.suggested_texts(writer));
        }
        if types.intersects(TypeSet::NUMBER) {
            values.extend(self.suggested_numbers(writer));
        }
        if types.intersects(TypeSet::ARRAY) {
            values.extend(self.suggested_arrays(writer, level));
        }
        if types.intersects(TypeSet::OBJECT) {
            values.extend(self.suggested_objects(writer, level));
        }
        values
    }

    fn suggested_texts(&self, writer: &[SubschemaId]) -> Vec<Value> {
        let longest = writer.iter().filter_map(|id| self.nodes[*id].max_length);
        let shortest = writer.iter().map(|id| self.nodes[*id].min_length);
        let lengths: std::collections::BTreeSet<u64> = longest.chain(shortest).flat_map(|length| [length, length + 1]).collect();
        let text = |length: u64| Value::from("a".repeat(usize::try_from(length).unwrap_or_default()));
        lengths.into_iter().filter(|length| *length <= MAX_LENGTH).take(MAX_TRIED).map(text).collect()
    }

    fn suggested_numbers(&self, writer: &[SubschemaId]) -> Vec<Value> {
        let nodes = || writer.iter().map(|id| &self.nodes[*id]);
        let bounds = nodes().flat_map(|node| [&node.minimum, &node.maximum, &node.exclusive_minimum, &node.exclusive_maximum]);
        let bounds: Vec<Number> = bounds.flatten().take(MAX_TRIED).cloned().chain([Number::from(0)]).collect();
        let steps: Vec<i128> = nodes().filter_map(|node| as_integer(node.multiple_of.as_ref()?)).filter(|step| *step != 0).collect();
        let mut numbers = Vec::new();
        for bound in bounds {
            if let Some(whole) = as_integer(&bound) {
                let multiples = steps.iter().flat_map(|step| [whole.div_euclid(*step) * step, (whole.div_euclid(*step) + 1) * step]);
                let near = [whole, whole.saturating_add(1), whole.saturating_sub(1)];
                let near = near.into_iter().chain(multiples).filter_map(|number| i64::try_from(number).ok());
                numbers.extend(near.map(Value::from));
            }
            let near = bound.as_f64().into_iter().flat_map(|number| [number, number + 0.5, number - 0.5]);
            numbers.extend(near.filter_map(|number| Number::from_f64(number).map(Value::Number)));
        }
        numbers
    }

    fn suggested_arrays(&mut self, writer: &[SubschemaId], level: usize) -> Vec<Value> {
        let least = writer.iter().map(|id| self.nodes[*id].min_items).max().unwrap_or(0);
        if least > MAX_LENGTH {
            return Vec::new();
        }
        let mut arrays = vec![Value::Array(Vec::new())];
        let mut items = Vec::new();
        for index in 0..=usize::try_from(least).unwrap_or_default() {
            let (schemas, _) = self.item_schemas(writer, index);
            let schemas = self.flatten(&schemas);
            let Some(item) = self.find_value(&schemas, level + 1) else { break };
            items.push(item);
            if items.len() as u64 >= least {
                arrays.push(Value::Array(items.clone()));
            }
        }
        arrays
    }

    fn suggested_objects(&mut self, writer: &[SubschemaId], level: usize) -> Vec<Value> {
        let required = self.required_names(writer);
        let named: Vec<String> = writer
            .iter()
            .flat_map(|id| self.nodes[*id].links.properties.keys())
            .filter(|name| !required.contains(&***name))
            .take(MAX_TRIED)
            .map(ToString::to_string)
            .collect();
        let mut members = Map::new();
        for name in required.into_iter().take(MAX_TRIED) {
            let Some(value) = self.find_property(writer, &name, level) else { return Vec::new() };
            members.insert(name, value);
        }
        let mut objects = vec![Value::Object(members.clone())];
        for name in named {
            if let Some(value) = self.find_property(writer, &name, level) {
                members.insert(name, value);
                objects.push(Value::Object(members.clone()));
            }
        }
        objects.extend(self.suggested_outsiders(writer, &objects[0]));
        objects
    }

    /// Returns objects that are invalid for branches of the writer's `oneOf`, so that they can be valid for exactly one of the others.
    fn suggested_outsiders(&self, writer: &[SubschemaId], object: &Value) -> Vec<Value> {
        let branches = writer.iter().flat_map(|id| &self.nodes[*id].links.one_of).filter(|branch| !writer.contains(branch));
        let names = branches.flat_map(|branch| self.nodes[*branch].links.properties.keys()).take(MAX_TRIED / 4);
        let with = |name: &str, value| {
            let mut object = object.clone();
            object[name] = value;
            object
        };
        names.flat_map(|name| [Value::Null, Value::from(0), Value::from("a")].map(|value| with(name, value))).collect()
    }

    fn find_property(&mut self, writer: &[SubschemaId], name: &str, level: usize) -> Option<Value> {
        let (schemas, _) = self.property_schemas(writer, name);
        let schemas = self.flatten(&schemas);
        self.find_value(&schemas, level + 1)
    }
}
