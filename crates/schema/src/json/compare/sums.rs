//! Compares `anyOf` and `oneOf`, Core section 10.2.1.

use serde_json::Value;

use super::{Conjunction, JsonComparison};
use crate::{
    json::node::{SubschemaId, TypeSet},
    text::shorten,
};

/// The maximum length of a value in a message, in characters.
const MAX_VALUE: usize = 200;

/// Two branches of the reader's `oneOf` that accept the same data of the writer.
struct BranchOverlap {
    branches: [SubschemaId; 2],
    /// Such data. `None`: all data of the writer.
    value: Option<Value>,
}

impl JsonComparison {
    /// Compares `anyOf` or `oneOf`: the writer's data has to fit one of the branches, in each of its open choices.
    pub(super) fn check_choice(&mut self, reader: SubschemaId, keyword: &str, branches: &[SubschemaId], writer: &Conjunction) -> bool {
        let mut overlaps = Vec::new();
        if self.without_reporting(|comparison| comparison.fits(keyword == "oneOf", branches, writer, &mut overlaps)) {
            return true;
        }
        if self.quiet > 0 {
            return false;
        }
        if let Some(BranchOverlap { branches: [one, other], value }) = overlaps.first() {
            let paths = [self.path(*one, &[]).0, self.path(*other, &[]).0];
            let example = match value {
                Some(value) => format!(
                    "data of the old schema such as `{}` fits both `{}` and `{}`",
                    shorten(&value.to_string(), MAX_VALUE),
                    paths[0],
                    paths[1]
                ),
                None => format!("data that fits `{}` always fits `{}` too", paths[0], paths[1]),
            };
            return self.report("COMBINED_TYPE_SUBSCHEMAS_CHANGED", reader, &[keyword], String::new(), || {
                format!("{example}, and `oneOf` accepts only data that fits exactly one; use `anyOf`, or distinguish them with a `const`")
            });
        }
        let types = self.possible_types(writer);
        let new = branches.iter().fold(TypeSet::NONE, |types, branch| types.or(self.possible_types(&[*branch])));
        let groups = writer.iter().flat_map(|id| {
            let links = &self.nodes[*id].links;
            [links.any_of.len(), links.one_of.len()]
        });
        let before = groups.max().unwrap_or(0);
        if before < 2 && !types.is_within(new) {
            let kind = if types.intersects(new) { "TYPE_NARROWED" } else { "TYPE_CHANGED" };
            let lost = types.without(new).title();
            return self.report(kind, reader, &[keyword], lost.clone(), || {
                format!("data of type {lost} fits none of `{keyword}`, and the old schema allows it; add a branch that accepts it")
            });
        }
        let mut failing = self.open_branches(reader, writer).unwrap_or_default();
        failing.retain(|part| {
            let writer = self.flatten_with(writer, part);
            !self.without_reporting(|comparison| comparison.fits(false, branches, &writer, &mut Vec::new()))
        });
        let part = failing.first().map_or_else(|| writer.clone(), |part| self.flatten_with(writer, part));
        let nearest = self.describe_nearest(branches, &part);
        let source = failing.first().and_then(|part| part.first()).filter(|id| **id < self.types).map(|id| self.path(*id, &[]).0);
        let source = source.map_or_else(|| "some data of the old schema".to_owned(), |path| format!("data of the old schema's `{path}`"));
        let kind = if before > branches.len() { "SUM_TYPE_NARROWED" } else { "COMBINED_TYPE_SUBSCHEMAS_CHANGED" };
        self.report(kind, reader, &[keyword], String::new(), || {
            format!("{source} fits none of `{keyword}`; {nearest}; keep a branch that accepts it")
        })
    }

    /// Returns whether each open choice of the writer fits a branch. For `oneOf`, pairs of branches that fit the same data are added to
    /// `overlaps`.
    fn fits(&mut self, one: bool, branches: &[SubschemaId], writer: &Conjunction, overlaps: &mut Vec<BranchOverlap>) -> bool {
        if !self.is_lenient() {
            return self.fits_strictly(one, branches, writer, overlaps);
        }
        if self.with_strict_policy(|comparison| comparison.fits_strictly(one, branches, writer, overlaps)) {
            return true;
        }
        // Objects of different branches often have no property that both require, and users of this policy accept that.
        overlaps.retain(|overlap| !overlap.value.as_ref().is_some_and(Value::is_object));
        overlaps.is_empty() && self.fits_by_assignment(branches, writer)
    }

    fn fits_strictly(&mut self, one: bool, branches: &[SubschemaId], writer: &Conjunction, overlaps: &mut Vec<BranchOverlap>) -> bool {
        if !self.step() {
            return false;
        }
        let mut fitting = branches.iter().filter(|branch| self.check(**branch, writer)).copied().collect::<Vec<_>>().into_iter();
        let (first, second) = (fitting.next(), fitting.next());
        if let (Some(first), Some(second), true) = (first, second, one)
            && self.exhausted.is_none()
            && !self.is_empty(writer, 0)
        {
            overlaps.push(BranchOverlap { branches: [first, second], value: None });
            return false;
        }
        if let Some(first) = first.filter(|_| one) {
            for other in branches.iter().filter(|other| **other != first) {
                let both = self.flatten_with(writer, &[first, *other]);
                if self.is_empty(&both, 0) {
                    continue;
                }
                if let Some(value) = self.find_value(&both, 0) {
                    overlaps.push(BranchOverlap { branches: [first, *other], value: Some(value) });
                    return false;
                }
            }
        }
        if first.is_some() && (!one || branches.len() < 2) {
            return true;
        }
        // Data that fits no branch as a whole can fit several branches in parts.
        let Some(parts) = self.choices(writer) else { return first.is_some() };
        parts.into_iter().all(|part| {
            let writer = self.flatten_with(writer, &part);
            self.is_empty(&writer, 0) || self.fits_strictly(one, branches, &writer, overlaps)
        })
    }

    /// Does the same for the lenient policy, in which objects without common properties can fit each other's branches. So each of the
    /// writer's branches needs its own branch of the reader, unless it fits one strictly.
    fn fits_by_assignment(&mut self, branches: &[SubschemaId], writer: &Conjunction) -> bool {
        let Some(parts) = self.choices(writer) else { return branches.iter().any(|branch| self.check(*branch, writer)) };
        let mut free = branches.to_vec();
        let mut open = Vec::new();
        for part in parts {
            let writer = self.flatten_with(writer, &part);
            let sure: Vec<SubschemaId> = self
                .with_strict_policy(|comparison| branches.iter().filter(|branch| comparison.check(**branch, &writer)).copied().collect());
            if sure.is_empty() && !self.is_empty(&writer, 0) {
                open.push(writer);
            }
            free.retain(|branch| !sure.contains(branch));
        }
        let mut fitting: Vec<Vec<usize>> = Vec::new();
        for writer in &open {
            let found: Vec<usize> = (0..free.len()).filter(|index| self.check(free[*index], writer)).collect();
            if !found.is_empty() {
                fitting.push(found);
            } else if !self.step() || self.choices(writer).is_none() || !self.fits_by_assignment(&free, writer) {
                return false;
            }
        }
        let mut assigned = vec![None; free.len()];
        (0..fitting.len()).all(|part| assign(part, &fitting, &mut assigned, &mut vec![false; free.len()]))
    }

    /// Describes the branch with the fewest differences, and its first difference.
    fn describe_nearest(&mut self, branches: &[SubschemaId], writer: &Conjunction) -> String {
        let mut best: Option<(usize, String)> = None;
        for branch in branches {
            let reasons = self.reasons(*branch, writer);
            if let Some(first) = reasons.first().filter(|_| best.as_ref().is_none_or(|(count, _)| reasons.len() < *count)) {
                best = Some((reasons.len(), format!("the nearest is `{}`, but at `{}`: {}", self.path(*branch, &[]).0, first.0, first.1)));
            }
        }
        best.map_or_else(|| "no branch is similar".to_owned(), |(_, text)| text)
    }
}

/// Assigns a branch to a part (bipartite matching), and moves other parts to other branches if that helps.
fn assign(part: usize, fitting: &[Vec<usize>], assigned: &mut [Option<usize>], seen: &mut [bool]) -> bool {
    fitting[part].iter().any(|branch| {
        if std::mem::replace(&mut seen[*branch], true) {
            return false;
        }
        let is_free = assigned[*branch].is_none_or(|other| assign(other, fitting, assigned, seen));
        if is_free {
            assigned[*branch] = Some(part);
        }
        is_free
    })
}
