//! Compares keywords that combine schemas, Core section 10.2.

use super::{Conjunction, JsonComparison};
use crate::json::node::{Subschema, SubschemaId};

/// The number of choices of the writer that are taken apart at once, to compare `not`.
const MAX_SPLITS: usize = 3;
/// The maximum number of parts of choices that are looked at, to compare one `not`.
const MAX_NEGATED_PARTS: usize = 512;

impl JsonComparison {
    /// Compares `$ref`, `allOf`, `anyOf`, `oneOf`, `not` and `if`.
    pub(super) fn check_combined(&mut self, reader: SubschemaId, node: &Subschema, writer: &Conjunction) -> bool {
        let mut answer = true;
        if let Some(target) = node.links.reference {
            answer &= self.check_reference(reader, target, writer);
        }
        answer &= self.check_all_of(node, writer);
        for (keyword, branches) in [("anyOf", &node.links.any_of), ("oneOf", &node.links.one_of)] {
            if !branches.is_empty() {
                answer &= self.check_choice(reader, keyword, branches, writer);
            }
        }
        if !answer && self.quiet > 0 {
            return false;
        }
        if let Some(not) = node.links.not {
            answer &= self.check_not(not, writer);
        }
        if let Some(condition) = node.links.condition {
            answer &= self.check_condition(condition, writer);
        }
        if node.links.dynamic.is_none() {
            return answer;
        }
        // The target of a dynamic reference depends on the path to it. Schemas that are equal as a whole never get here.
        self.report("COMBINED_TYPE_SUBSCHEMAS_CHANGED", reader, &["$dynamicRef"], String::new(), || {
            "the target of this reference depends on the path to it, so it can't be compared; keep this schema and all possible targets, or use `$ref`".to_owned()
        })
    }

    fn check_reference(&mut self, reader: SubschemaId, target: SubschemaId, writer: &Conjunction) -> bool {
        let leaves_document = self.nodes[reader].location.document == 0 && self.nodes[target].location.document > 0;
        if leaves_document {
            let outside = self.path(reader, &["$ref"]).0;
            self.outer_references.insert(0, outside);
        }
        let answer = self.check(target, writer);
        if leaves_document {
            self.outer_references.remove(0);
        }
        answer
    }

    fn check_all_of(&mut self, node: &Subschema, writer: &Conjunction) -> bool {
        let parts = &node.links.all_of;
        let before = writer.iter().map(|id| self.nodes[*id].links.all_of.len()).max().unwrap_or(0);
        let mut answer = true;
        for (index, part) in parts.iter().enumerate() {
            if self.quiet == 0 && before > 0 && parts.len() > before && index >= before && !self.accepts(*part, writer) {
                let why = self.first_reason(*part, writer);
                answer = self.report("PRODUCT_TYPE_EXTENDED", *part, &[], String::new(), || {
                    format!("`allOf` has a new part, and data written with the old schema may be invalid for it: {why}")
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

    /// Returns the paths and messages of the differences between two schemas, without reporting them. Empty while another call collects
    /// reasons already.
    pub(super) fn reasons(&mut self, reader: SubschemaId, writer: &Conjunction) -> Vec<(String, String)> {
        if self.quiet > 0 || self.collecting_reasons {
            return Vec::new();
        }
        self.collecting_reasons = true;
        let (differences, paths, pairs) =
            (std::mem::take(&mut self.differences), std::mem::take(&mut self.reported_paths), std::mem::take(&mut self.reported_pairs));
        self.check(reader, writer);
        let reasons = std::mem::replace(&mut self.differences, differences);
        (self.reported_paths, self.reported_pairs) = (paths, pairs);
        self.collecting_reasons = false;
        reasons.into_iter().map(|difference| (difference.path, difference.message)).collect()
    }

    /// Compares `not`: no data of the writer may match the schema that the reader forbids.
    fn check_not(&mut self, not: SubschemaId, writer: &Conjunction) -> bool {
        let mut parts = MAX_NEGATED_PARTS;
        if self.without_reporting(|comparison| comparison.is_excluded(not, writer, MAX_SPLITS, &mut parts)) {
            return true;
        }
        let had = writer.iter().any(|id| self.nodes[*id].links.not.is_some());
        self.report("NOT_TYPE_EXTENDED", not, &[], String::new(), || {
            let what = if had { "`not` forbids more than it did" } else { "`not` is added" };
            format!("{what}, and data written with the old schema may match it; forbid no more than the old schema did")
        })
    }

    /// Returns whether no data of the writer matches a schema. Choices of the writer are taken apart one by one, in `splits` levels, because
    /// all combinations of many choices are too many; `parts` is the number of parts that may still be looked at.
    fn is_excluded(&mut self, not: SubschemaId, writer: &Conjunction, splits: usize, parts: &mut usize) -> bool {
        if !self.step() {
            return false;
        }
        let olds: Vec<SubschemaId> = writer.iter().filter_map(|id| self.nodes[*id].links.not).collect();
        if self.with_strict_policy(|comparison| olds.iter().any(|old| comparison.accepts(*old, &[not]))) {
            return true;
        }
        let both = self.flatten_with(writer, &[not]);
        if self.is_empty(&both, 0) {
            return true;
        }
        let Some(left) = splits.checked_sub(1) else { return false };
        let types = self.open_types(writer);
        for choice in self.open_choices(writer).into_iter().chain(types) {
            let Some(rest) = parts.checked_sub(choice.len()) else { return false };
            *parts = rest;
            let excluded = choice.into_iter().all(|part| {
                let writer = self.flatten_with(writer, &part);
                self.is_excluded(not, &writer, left, parts)
            });
            if excluded {
                return true;
            }
        }
        false
    }

    /// Compares `if`, `then` and `else`: each branch is compared with the writer's data that satisfies the branch's condition.
    fn check_condition(&mut self, [condition, then, otherwise]: [SubschemaId; 3], writer: &Conjunction) -> bool {
        let (mut yes, mut no) = (vec![condition], Vec::new());
        for id in writer.iter() {
            if let Some([old, old_then, old_else]) = self.nodes[*id].links.condition {
                if self.with_strict_policy(|comparison| comparison.accepts(old, &[condition])) {
                    yes.push(old_then);
                }
                if self.with_strict_policy(|comparison| comparison.accepts(condition, &[old])) {
                    no.push(old_else);
                }
            }
        }
        let (yes, no) = (self.flatten_with(writer, &yes), self.flatten_with(writer, &no));
        let mut answer = self.is_empty(&yes, 0) || self.check(then, &yes);
        if !self.with_strict_policy(|comparison| comparison.accepts(condition, writer)) {
            answer &= self.check(otherwise, &no);
        }
        answer
    }

    /// Returns an open choice of the writer, including a choice of types.
    pub(super) fn choices(&mut self, writer: &Conjunction) -> Option<Vec<Vec<SubschemaId>>> {
        self.open_choice(writer).or_else(|| self.open_types(writer))
    }
}
