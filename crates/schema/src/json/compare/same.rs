//! Finds schemas that are equal word for word.

use std::collections::HashSet;

use super::JsonComparison;
use crate::json::node::SubschemaId;

/// The memory of an entry for a pair, in bytes.
const PAIR_BYTES: usize = 64;

impl JsonComparison {
    /// Returns whether two schemas have the same assertions with the same keywords, wherever their references are defined. Annotations such
    /// as `title` don't count.
    pub(super) fn is_same(&mut self, left: SubschemaId, right: SubschemaId) -> bool {
        let pair = (self.follow_references(left), self.follow_references(right));
        if let Some(answer) = self.equal.get(&pair) {
            return *answer;
        }
        let mut seen = HashSet::from([pair]);
        let mut todo = vec![pair];
        while let Some((left, right)) = todo.pop() {
            if left == right || self.equal.get(&(left, right)) == Some(&true) {
                continue;
            }
            let links = self.nodes[left].links.count();
            let Some(pairs) = self.pair_links(left, right).filter(|_| self.spend(1 + 4 * links)) else {
                self.equal.insert((left, right), false);
                self.equal.insert(pair, false);
                return false;
            };
            todo.extend(pairs.into_iter().filter(|pair| seen.insert(*pair)));
        }
        self.hold(seen.len() * PAIR_BYTES);
        self.equal.extend(seen.into_iter().map(|pair| (pair, true)));
        true
    }

    /// Returns the pairs of linked subschemas, or `None` if the assertions or the links differ.
    fn pair_links(&self, left: SubschemaId, right: SubschemaId) -> Option<Vec<(SubschemaId, SubschemaId)>> {
        let (left, right) = (&self.nodes[left], &self.nodes[right]);
        if left.shape != right.shape || left.verdict == Some(false) && right.verdict != Some(false) {
            return None;
        }
        if left.links.count() != right.links.count() {
            return None;
        }
        let all = |links: &crate::json::node::SubschemaLinks| {
            let mut all = Vec::new();
            links.visit(|keyword, name, id| all.push((format!("{keyword}/{name}"), self.follow_references(id))));
            all.sort();
            all
        };
        let (left, right) = (all(&left.links), all(&right.links));
        let same = left.iter().zip(&right).all(|(left, right)| left.0 == right.0);
        same.then(|| left.into_iter().zip(right).map(|(left, right)| (left.1, right.1)).collect())
    }

    /// Follows references of schemas that have no other keyword.
    fn follow_references(&self, id: SubschemaId) -> SubschemaId {
        const MAX_REFERENCES: usize = 64;
        let mut target = id;
        for _ in 0..MAX_REFERENCES {
            let node = &self.nodes[target];
            let Some(reference) = node.links.reference.filter(|_| node.shape.is_empty()) else { return target };
            if node.links.count() > 1 {
                return target;
            }
            target = reference;
        }
        target
    }
}
