//! Schemas that are made of schemas, Core section 10.2.

use super::{Conjunction, JsonComparison};
use crate::json::node::{Subschema, SubschemaId};

impl JsonComparison {
    /// `$ref`, `allOf`, `anyOf`, `oneOf`, `not` and `if`.
    pub(super) fn combined(&mut self, reader: SubschemaId, node: &Subschema, writer: &Conjunction) -> bool {
        let mut answer = true;
        if let Some(target) = node.links.reference {
            answer &= self.reference(reader, target, writer);
        }
        answer &= self.product(node, writer);
        for (keyword, branches) in [("anyOf", &node.links.any_of), ("oneOf", &node.links.one_of)] {
            if !branches.is_empty() {
                answer &= self.sum(reader, keyword, branches, writer);
            }
        }
        if !answer && self.quiet > 0 {
            return false;
        }
        if let Some(not) = node.links.not {
            answer &= self.negation(not, writer);
        }
        if let Some(condition) = node.links.condition {
            answer &= self.condition(condition, writer);
        }
        if node.links.dynamic.is_empty() {
            return answer;
        }
        // What a dynamic reference means depends on who asks. Schemas that are the same as a whole never get here.
        self.tell("COMBINED_TYPE_SUBSCHEMAS_CHANGED", reader, &["$dynamicRef"], String::new(), || {
            "what this reference means depends on how it is reached, so it can't be compared; keep this schema and all that it may mean, or use `$ref`".to_owned()
        })
    }

    fn reference(&mut self, reader: SubschemaId, target: SubschemaId, writer: &Conjunction) -> bool {
        let leaves = self.nodes[reader].place.document == 0 && self.nodes[target].place.document > 0;
        if leaves {
            let outside = self.path(reader, &["$ref"]).0;
            self.outside.insert(0, outside);
        }
        let answer = self.check(target, writer);
        if leaves {
            self.outside.remove(0);
        }
        answer
    }

    fn product(&mut self, node: &Subschema, writer: &Conjunction) -> bool {
        let parts = &node.links.all_of;
        let before = writer.iter().map(|id| self.nodes[*id].links.all_of.len()).max().unwrap_or(0);
        let mut answer = true;
        for (index, part) in parts.iter().enumerate() {
            if self.quiet == 0 && before > 0 && parts.len() > before && index >= before && !self.takes(*part, writer) {
                let why = self.first_reason(*part, writer);
                answer = self.tell("PRODUCT_TYPE_EXTENDED", *part, &[], String::new(), || {
                    format!("`allOf` has a part that the old one has not, and data written with it needn't be valid for it: {why}")
                });
            } else {
                answer &= self.check(*part, writer);
            }
            if !answer && self.quiet > 0 {
                return false;
            }
        }
        answer
    }

    fn first_reason(&mut self, reader: SubschemaId, writer: &Conjunction) -> String {
        self.reasons(reader, writer).into_iter().next().map_or_else(String::new, |(path, message)| format!("at `{path}`: {message}"))
    }

    /// What would be told of two schemas. Nothing, within reasons for something else: once is enough.
    pub(super) fn reasons(&mut self, reader: SubschemaId, writer: &Conjunction) -> Vec<(String, String)> {
        if self.quiet > 0 || self.explaining {
            return Vec::new();
        }
        self.explaining = true;
        let (found, told, reported) = (std::mem::take(&mut self.found), std::mem::take(&mut self.told), std::mem::take(&mut self.reported));
        self.check(reader, writer);
        let reasons = std::mem::replace(&mut self.found, found);
        (self.told, self.reported) = (told, reported);
        self.explaining = false;
        reasons.into_iter().map(|difference| (difference.path, difference.message)).collect()
    }

    /// `not`: nothing that the writer lets through may be what it forbids.
    fn negation(&mut self, not: SubschemaId, writer: &Conjunction) -> bool {
        if !self.step() {
            return false;
        }
        let olds: Vec<SubschemaId> = writer.iter().filter_map(|id| self.nodes[*id].links.not).collect();
        if self.strictly(|comparison| olds.iter().any(|old| comparison.takes(*old, &[not]))) {
            return true;
        }
        let both = self.flat_with(writer, &[not]);
        if self.is_empty(&both, 0) {
            return true;
        }
        if self.choices(writer).is_some_and(|parts| {
            self.quiet += 1;
            let answer = parts.into_iter().all(|part| {
                let writer = self.flat_with(writer, &part);
                self.negation(not, &writer)
            });
            self.quiet -= 1;
            answer
        }) {
            return true;
        }
        let had = !olds.is_empty();
        self.tell("NOT_TYPE_EXTENDED", not, &[], String::new(), || {
            let what = if had { "`not` forbids more than it did" } else { "`not` is added" };
            format!("{what}, and data written with the old schema may be of that kind; forbid no more than the old schema did")
        })
    }

    /// `if`, `then` and `else`: what holds under a condition is asked of the writer under that condition.
    fn condition(&mut self, [condition, then, otherwise]: [SubschemaId; 3], writer: &Conjunction) -> bool {
        let (mut yes, mut no) = (vec![condition], Vec::new());
        for id in writer.iter() {
            if let Some([old, old_then, old_else]) = self.nodes[*id].links.condition {
                if self.strictly(|comparison| comparison.takes(old, &[condition])) {
                    yes.push(old_then);
                }
                if self.strictly(|comparison| comparison.takes(condition, &[old])) {
                    no.push(old_else);
                }
            }
        }
        let (yes, no) = (self.flat_with(writer, &yes), self.flat_with(writer, &no));
        let mut answer = self.is_empty(&yes, 0) || self.check(then, &yes);
        if !self.strictly(|comparison| comparison.takes(condition, writer)) {
            answer &= self.check(otherwise, &no);
        }
        answer
    }

    /// A choice that the writer leaves open, types included.
    pub(super) fn choices(&mut self, writer: &Conjunction) -> Option<Vec<Vec<SubschemaId>>> {
        self.open_choice(writer).or_else(|| self.open_types(writer))
    }
}
