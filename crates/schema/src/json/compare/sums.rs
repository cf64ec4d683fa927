//! `anyOf` and `oneOf`, Core section 10.2.1.

use super::{Conjunction, JsonComparison};
use crate::json::node::{SubschemaId, TypeSet};

impl JsonComparison {
    /// `anyOf` and `oneOf`: each way that the writer's data may go has to fit one of the branches.
    pub(super) fn sum(&mut self, reader: SubschemaId, keyword: &str, branches: &[SubschemaId], writer: &Conjunction) -> bool {
        let mut taken = Vec::new();
        if self.quietly(|comparison| comparison.fits(keyword == "oneOf", branches, writer, &mut taken)) {
            return true;
        }
        if self.quiet > 0 {
            return false;
        }
        if let Some((one, other)) = taken.first() {
            let paths = [self.path(*one, &[]).0, self.path(*other, &[]).0];
            return self.tell("COMBINED_TYPE_SUBSCHEMAS_CHANGED", reader, &[keyword], String::new(), || {
                format!("data that fits `{}` always fits `{}` too, and `oneOf` takes only what fits one; use `anyOf`, or tell them apart by a `const`", paths[0], paths[1])
            });
        }
        let types = self.mask(writer);
        let new = branches.iter().fold(TypeSet::NONE, |types, branch| types.or(self.mask(&[*branch])));
        let groups = writer.iter().flat_map(|id| {
            let links = &self.nodes[*id].links;
            [links.any_of.len(), links.one_of.len()]
        });
        let before = groups.max().unwrap_or(0);
        if before < 2 && !types.is_within(new) {
            let kind = if types.has(new) { "TYPE_NARROWED" } else { "TYPE_CHANGED" };
            let lost = types.without(new).title();
            return self.tell(kind, reader, &[keyword], lost.clone(), || {
                format!("data of type {lost} fits none of `{keyword}`, and the old schema allows it; add a branch that takes it")
            });
        }
        let mut failing = self.parts(reader, writer).unwrap_or_default();
        failing.retain(|part| {
            let writer = self.flat_with(writer, part);
            !self.quietly(|comparison| comparison.fits(false, branches, &writer, &mut Vec::new()))
        });
        let part = failing.first().map_or_else(|| writer.clone(), |part| self.flat_with(writer, part));
        let nearest = self.nearest(branches, &part);
        let of = failing.first().and_then(|part| part.first()).filter(|id| **id < self.types).map(|id| self.path(*id, &[]).0);
        let of = of.map_or_else(|| "some data of the old schema".to_owned(), |path| format!("data of the old schema's `{path}`"));
        let kind = if before > branches.len() { "SUM_TYPE_NARROWED" } else { "COMBINED_TYPE_SUBSCHEMAS_CHANGED" };
        self.tell(kind, reader, &[keyword], String::new(), || {
            format!("{of} fits none of `{keyword}`; {nearest}; keep a branch that takes it")
        })
    }

    /// Whether each of the writer's choices fits a branch. For `oneOf`, those that surely fit two are put into `taken`.
    fn fits(&mut self, one: bool, branches: &[SubschemaId], writer: &Conjunction, taken: &mut Vec<(SubschemaId, SubschemaId)>) -> bool {
        if !self.is_lenient() {
            return self.fits_surely(one, branches, writer, taken);
        }
        if self.strictly(|comparison| comparison.fits_surely(one, branches, writer, taken)) {
            return true;
        }
        taken.is_empty() && self.fits_assigned(branches, writer)
    }

    fn fits_surely(
        &mut self,
        one: bool,
        branches: &[SubschemaId],
        writer: &Conjunction,
        taken: &mut Vec<(SubschemaId, SubschemaId)>,
    ) -> bool {
        if !self.step() {
            return false;
        }
        let mut fitting = branches.iter().filter(|branch| self.check(**branch, writer)).copied().collect::<Vec<_>>().into_iter();
        let (first, second) = (fitting.next(), fitting.next());
        if let (Some(first), Some(second), true) = (first, second, one)
            && !self.exhausted
            && !self.is_empty(writer, 0)
        {
            taken.push((first, second));
            return false;
        }
        if first.is_some() && (!one || branches.len() < 2) {
            return true;
        }
        // What fits one branch as a whole may fit another one in parts.
        let Some(parts) = self.choices(writer) else { return first.is_some() };
        parts.into_iter().all(|part| {
            let writer = self.flat_with(writer, &part);
            self.is_empty(&writer, 0) || self.fits_surely(one, branches, &writer, taken)
        })
    }

    /// The same in the lenient policy, where objects that have nothing in common may fit each other's branches: so each of
    /// the writer's branches needs one of its own, unless it surely fits one.
    fn fits_assigned(&mut self, branches: &[SubschemaId], writer: &Conjunction) -> bool {
        let Some(parts) = self.choices(writer) else { return branches.iter().any(|branch| self.check(*branch, writer)) };
        let mut free = branches.to_vec();
        let mut open = Vec::new();
        for part in parts {
            let writer = self.flat_with(writer, &part);
            let sure: Vec<SubschemaId> =
                self.strictly(|comparison| branches.iter().filter(|branch| comparison.check(**branch, &writer)).copied().collect());
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
            } else if !self.step() || self.choices(writer).is_none() || !self.fits_assigned(&free, writer) {
                return false;
            }
        }
        let mut assigned = vec![None; free.len()];
        (0..fitting.len()).all(|part| assign(part, &fitting, &mut assigned, &mut vec![false; free.len()]))
    }

    /// The branch that takes most, and what it doesn't.
    fn nearest(&mut self, branches: &[SubschemaId], writer: &Conjunction) -> String {
        let mut best: Option<(usize, String)> = None;
        for branch in branches {
            let reasons = self.reasons(*branch, writer);
            if let Some(first) = reasons.first().filter(|_| best.as_ref().is_none_or(|(count, _)| reasons.len() < *count)) {
                best = Some((reasons.len(), format!("the nearest is `{}`, but at `{}`: {}", self.path(*branch, &[]).0, first.0, first.1)));
            }
        }
        best.map_or_else(|| "no branch is near".to_owned(), |(_, text)| text)
    }
}

/// Finds a branch for a part, moving others to other branches of theirs where that helps.
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
