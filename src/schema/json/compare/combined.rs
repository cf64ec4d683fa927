//! Schemas that are made of schemas, Core section 10.2.

use super::{Comparison, Conjunction};
use crate::schema::json::node::{Id, Node};

impl Comparison {
    /// `$ref`, `allOf`, `anyOf`, `oneOf`, `not` and `if`.
    pub(super) fn combined(&mut self, reader: Id, node: &Node, writer: &Conjunction) -> bool {
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

    fn reference(&mut self, reader: Id, target: Id, writer: &Conjunction) -> bool {
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

    fn product(&mut self, node: &Node, writer: &Conjunction) -> bool {
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

    /// `anyOf` and `oneOf`: each way that the writer's data may go has to fit one of the branches.
    fn sum(&mut self, reader: Id, keyword: &str, branches: &[Id], writer: &Conjunction) -> bool {
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
        let new = branches.iter().fold(crate::schema::json::node::Types::NONE, |types, branch| types.or(self.mask(&[*branch])));
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
    fn fits(&mut self, one: bool, branches: &[Id], writer: &Conjunction, taken: &mut Vec<(Id, Id)>) -> bool {
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
            self.is_empty(&writer, 0) || self.fits(one, branches, &writer, taken)
        })
    }

    /// The branch that takes most, and what it doesn't.
    fn nearest(&mut self, branches: &[Id], writer: &Conjunction) -> String {
        let mut best: Option<(usize, String)> = None;
        for branch in branches {
            let reasons = self.reasons(*branch, writer);
            if let Some(first) = reasons.first().filter(|_| best.as_ref().is_none_or(|(count, _)| reasons.len() < *count)) {
                best = Some((reasons.len(), format!("the nearest is `{}`, but at `{}`: {}", self.path(*branch, &[]).0, first.0, first.1)));
            }
        }
        best.map_or_else(|| "no branch is near".to_owned(), |(_, text)| text)
    }

    fn first_reason(&mut self, reader: Id, writer: &Conjunction) -> String {
        self.reasons(reader, writer).into_iter().next().map_or_else(String::new, |(path, message)| format!("at `{path}`: {message}"))
    }

    /// What would be told of two schemas. Nothing, within reasons for something else: once is enough.
    fn reasons(&mut self, reader: Id, writer: &Conjunction) -> Vec<(String, String)> {
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
    fn negation(&mut self, not: Id, writer: &Conjunction) -> bool {
        if !self.step() {
            return false;
        }
        let olds: Vec<Id> = writer.iter().filter_map(|id| self.nodes[*id].links.not).collect();
        if olds.iter().any(|old| self.takes(*old, &[not])) {
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
    fn condition(&mut self, [condition, then, otherwise]: [Id; 3], writer: &Conjunction) -> bool {
        let (mut yes, mut no) = (vec![condition], Vec::new());
        for id in writer.iter() {
            if let Some([old, old_then, old_else]) = self.nodes[*id].links.condition {
                if self.takes(old, &[condition]) {
                    yes.push(old_then);
                }
                if self.takes(condition, &[old]) {
                    no.push(old_else);
                }
            }
        }
        let (yes, no) = (self.flat_with(writer, &yes), self.flat_with(writer, &no));
        let mut answer = self.is_empty(&yes, 0) || self.check(then, &yes);
        if !self.takes(condition, writer) {
            answer &= self.check(otherwise, &no);
        }
        answer
    }

    /// A choice that the writer leaves open, types included.
    fn choices(&mut self, writer: &Conjunction) -> Option<Vec<Vec<Id>>> {
        self.open_choice(writer).or_else(|| self.open_types(writer))
    }
}
