//! Validates single values, for schemas that list their values.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::JsonComparison;
use crate::json::{
    node::{Subschema, SubschemaId, TypeSet, normalized_text},
    number::{compare, is_multiple},
};

/// The maximum nesting depth.
const MAX_LEVELS: usize = 32;

/// Valid, invalid, or unknown (`None`).
type Answer = Option<bool>;

fn and(left: Answer, right: impl FnOnce() -> Answer) -> Answer {
    match left {
        Some(false) => Some(false),
        Some(true) => right(),
        None => right().filter(|right| !right),
    }
}

impl JsonComparison {
    /// Returns whether `value` is valid for a schema.
    pub(super) fn eval(&mut self, id: SubschemaId, value: &Value, level: usize) -> Answer {
        if level > MAX_LEVELS || !self.step() {
            return None;
        }
        let node = self.node(id);
        if let Some(verdict) = node.verdict {
            return Some(verdict);
        }
        let size = match value {
            Value::Array(items) => items.len(),
            Value::Object(members) => members.len(),
            Value::String(text) => text.len() / 16,
            _ => 0,
        };
        if !self.spend(size) {
            return None;
        }
        for _ in &node.values {
            // Comparing a value with a list takes its whole text.
            if !self.spend(normalized_text(value).len() / 8) {
                return None;
            }
        }
        let plain = node.types.is_none_or(|types| TypeSet::of_value(value).is_within(types))
            && node.values.iter().all(|values| values.contains(value));
        let own = and(Some(plain), || match value {
            Value::Number(number) => {
                let bounds = [
                    node.minimum.as_ref().is_none_or(|bound| compare(number, bound) != Ordering::Less),
                    node.maximum.as_ref().is_none_or(|bound| compare(number, bound) != Ordering::Greater),
                    node.exclusive_minimum.as_ref().is_none_or(|bound| compare(number, bound) == Ordering::Greater),
                    node.exclusive_maximum.as_ref().is_none_or(|bound| compare(number, bound) == Ordering::Less),
                ];
                and(Some(!bounds.contains(&false)), || node.multiple_of.as_ref().map_or(Some(true), |step| is_multiple(number, step)))
            }
            Value::String(text) => self.eval_text(&node, text),
            Value::Array(items) => self.eval_array(&node, items, level),
            Value::Object(members) => self.eval_object(&node, members, level),
            _ => Some(true),
        });
        let own = and(own, || if node.links.dynamic.is_none() { Some(true) } else { None });
        and(own, || self.eval_combined(&node, value, level))
    }

    fn eval_text(&mut self, node: &Subschema, text: &str) -> Answer {
        let length = text.chars().count() as u64;
        let fits = length >= node.min_length && node.max_length.is_none_or(|most| length <= most);
        let matched = and(Some(fits), || node.pattern.as_ref().map_or(Some(true), |pattern| self.pattern_matches(pattern, text)));
        and(matched, || if node.format.is_some() { None } else { Some(true) })
    }

    fn eval_array(&mut self, node: &Subschema, items: &[Value], level: usize) -> Answer {
        let length = items.len() as u64;
        let mut answer = Some(length >= node.min_items && node.max_items.is_none_or(|most| length <= most));
        if node.unique {
            let texts: std::collections::HashSet<String> = items.iter().map(normalized_text).collect();
            answer = and(answer, || Some(texts.len() == items.len()));
        }
        for (index, item) in items.iter().enumerate() {
            if let Some(schema) = node.links.prefix.get(index).copied().or(node.links.items) {
                answer = and(answer, || self.eval(schema, item, level + 1));
            }
        }
        let Some(contains) = node.links.contains else { return answer };
        let answers: Vec<Answer> = items.iter().map(|item| self.eval(contains, item, level + 1)).collect();
        let sure = answers.iter().filter(|answer| **answer == Some(true)).count() as u64;
        let maybe = answers.iter().filter(|answer| **answer != Some(false)).count() as u64;
        let (least, most) = (node.min_contains.unwrap_or(1), node.max_contains.unwrap_or(u64::MAX));
        and(answer, || match (sure >= least && maybe <= most, maybe < least || sure > most) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        })
    }

    fn eval_object(&mut self, node: &Subschema, members: &Map<String, Value>, level: usize) -> Answer {
        let size = members.len() as u64;
        let fits = size >= node.min_properties && node.max_properties.is_none_or(|most| size <= most);
        let fits = fits && node.required.iter().all(|name| members.contains_key(name));
        let depends =
            |(name, needed): (&String, &Vec<String>)| !members.contains_key(name) || needed.iter().all(|name| members.contains_key(name));
        let mut answer = Some(fits && node.dependent_required.iter().all(depends));
        for (name, member) in members {
            let (mut matched, mut unknown) = (false, false);
            let named = node.links.properties.get(name.as_str()).map(|schema| (None, *schema));
            let patterns = node.links.patterns.iter().map(|(pattern, schema)| (Some(pattern), *schema));
            for (pattern, schema) in named.into_iter().chain(patterns) {
                match pattern.map_or(Some(true), |pattern| self.pattern_matches(pattern, name)) {
                    Some(true) => {
                        matched = true;
                        answer = and(answer, || self.eval(schema, member, level + 1));
                    }
                    Some(false) => {}
                    None => {
                        unknown = true;
                        answer = and(answer, || self.eval(schema, member, level + 1).filter(|answer| *answer));
                    }
                }
            }
            if let Some(rest) = node.links.additional.filter(|_| !matched) {
                answer = and(answer, || self.eval(rest, member, level + 1).filter(|answer| *answer || !unknown));
            }
            if let Some(names) = node.links.property_names {
                answer = and(answer, || self.eval(names, &Value::from(name.as_str()), level + 1));
            }
        }
        let value = || Value::Object(members.clone());
        for (name, schema) in &node.links.dependent {
            if members.contains_key(&**name) {
                answer = and(answer, || self.eval(*schema, &value(), level + 1));
            }
        }
        answer
    }

    fn eval_combined(&mut self, node: &Subschema, value: &Value, level: usize) -> Answer {
        let links = &node.links;
        let mut answer = Some(true);
        for part in links.reference.iter().chain(&links.all_of) {
            answer = and(answer, || self.eval(*part, value, level + 1));
        }
        for (one, branches) in [(false, &links.any_of), (true, &links.one_of)] {
            if branches.is_empty() || answer == Some(false) {
                continue;
            }
            let answers: Vec<Answer> = branches.iter().map(|branch| self.eval(*branch, value, level + 1)).collect();
            let sure = answers.iter().filter(|answer| **answer == Some(true)).count();
            let open = answers.contains(&None);
            answer = and(answer, || match (sure, open) {
                (0, false) => Some(false),
                (2.., _) if one => Some(false),
                (1.., false) => Some(true),
                (1.., true) if !one => Some(true),
                _ => None,
            });
        }
        if let Some(not) = links.not {
            answer = and(answer, || self.eval(not, value, level + 1).map(|answer| !answer));
        }
        if let Some([condition, then, otherwise]) = links.condition {
            answer = and(answer, || match self.eval(condition, value, level + 1) {
                Some(true) => self.eval(then, value, level + 1),
                Some(false) => self.eval(otherwise, value, level + 1),
                None => None,
            });
        }
        // The exact meaning of `unevaluated…` lies between the two translations.
        let (Some(least), Some(most)) = (links.rest_at_least, links.rest_at_most) else { return answer };
        and(answer, || match self.eval(most, value, level + 1) {
            Some(true) => Some(true),
            _ => self.eval(least, value, level + 1).filter(|answer| !answer),
        })
    }
}
