//! What may be registered at the same time: the versions of a subject one after the other, and nothing before what it refers to.

use std::collections::{BTreeSet, HashMap};

use super::super::record::{Key, Schema};

/// The schemas of a plan, by their places in it.
pub(super) struct Queue {
    /// For each, how many are to be done before it.
    waits: Vec<usize>,
    /// For each, which ones wait for it.
    waiting: Vec<Vec<usize>>,
    /// What waits for nothing; the first of the plan comes first.
    ready: BTreeSet<usize>,
}

impl Queue {
    /// `schemas` are in an order in which everything that a schema refers to is before it.
    pub fn new(schemas: &[&Schema]) -> Self {
        let mut queue = Self { waits: Vec::with_capacity(schemas.len()), waiting: vec![Vec::new(); schemas.len()], ready: BTreeSet::new() };
        let (mut places, mut latest) = (HashMap::<Key, usize>::new(), HashMap::<&str, usize>::new());
        for (place, schema) in schemas.iter().enumerate() {
            // What isn't in the plan is there already.
            let mut before: BTreeSet<usize> = schema.referred().filter_map(|key| places.get(&key).copied()).collect();
            before.extend(latest.insert(&schema.subject, place));
            queue.waits.push(before.len());
            if before.is_empty() {
                queue.ready.insert(place);
            }
            for other in before {
                queue.waiting[other].push(place);
            }
            places.insert(schema.key(), place);
        }
        queue
    }

    /// One that may be begun; none: first something else has to be done.
    pub fn next(&mut self) -> Option<usize> {
        self.ready.pop_first()
    }

    /// One is done, and those that waited for it alone may be begun.
    pub fn done(&mut self, place: usize) {
        for other in std::mem::take(&mut self.waiting[place]) {
            self.waits[other] -= 1;
            if self.waits[other] == 0 {
                self.ready.insert(other);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::super::record::Reference, *};

    fn schema(subject: &str, version: u32, refers: &[(&str, i64)]) -> Schema {
        let reference = |(subject, version): &(&str, i64)| {
            let subject = (*subject).to_owned();
            Reference { name: subject.clone(), subject, version: *version }
        };
        Schema { subject: subject.to_owned(), version, references: refers.iter().map(reference).collect(), ..Schema::default() }
    }

    /// All that may be begun, by subject and version.
    fn begun(queue: &mut Queue, schemas: &[Schema]) -> Vec<String> {
        let places = std::iter::from_fn(|| queue.next());
        places.map(|place| format!("{} {}", schemas[place].subject, schemas[place].version)).collect()
    }

    #[test]
    fn subjects_go_side_by_side_and_their_versions_one_after_the_other() {
        let schemas = [
            schema("a", 1, &[]),
            schema("b", 1, &[]),
            schema("b", 2, &[("a", 1), ("a", 1)]),
            schema("a", 2, &[("gone", 1)]),
            schema("c", 1, &[("b", 2)]),
        ];
        let mut queue = Queue::new(&schemas.iter().collect::<Vec<_>>());
        assert_eq!(begun(&mut queue, &schemas), ["a 1", "b 1"]);
        queue.done(1);
        assert_eq!(begun(&mut queue, &schemas), [""; 0]);
        queue.done(0);
        assert_eq!(begun(&mut queue, &schemas), ["b 2", "a 2"]);
        queue.done(3);
        assert_eq!(begun(&mut queue, &schemas), [""; 0]);
        queue.done(2);
        assert_eq!(begun(&mut queue, &schemas), ["c 1"]);
        queue.done(4);
        assert_eq!(begun(&mut queue, &schemas), [""; 0]);
    }
}
