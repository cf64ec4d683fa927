//! The order of registrations: the versions of a subject one after the other, and each schema after those that it refers to.

use std::collections::{BTreeSet, HashMap};

use prism_registry_client::{SchemaKey, SchemaRecord};

/// The schemas of a plan, by their indices in it.
pub(super) struct RegistrationQueue {
    /// For each schema, the number of schemas that must be registered first.
    blockers: Vec<usize>,
    /// For each schema, the schemas that wait for it.
    dependents: Vec<Vec<usize>>,
    /// Schemas that wait for no other, in the order of the plan.
    ready: BTreeSet<usize>,
}

impl RegistrationQueue {
    /// `schemas` must be in an order in which each schema is after those that it refers to.
    pub fn new(schemas: &[&SchemaRecord]) -> Self {
        let mut queue =
            Self { blockers: Vec::with_capacity(schemas.len()), dependents: vec![Vec::new(); schemas.len()], ready: BTreeSet::new() };
        let (mut indices, mut latest) = (HashMap::<SchemaKey, usize>::new(), HashMap::<&str, usize>::new());
        for (index, schema) in schemas.iter().enumerate() {
            // References that are not in the plan exist in the target.
            let mut before: BTreeSet<usize> = schema.reference_keys().filter_map(|key| indices.get(&key).copied()).collect();
            before.extend(latest.insert(&schema.subject, index));
            queue.blockers.push(before.len());
            if before.is_empty() {
                queue.ready.insert(index);
            }
            for other in before {
                queue.dependents[other].push(index);
            }
            indices.insert(schema.key(), index);
        }
        queue
    }

    /// Returns the next schema to register, or `None` until another registration is done.
    pub fn next(&mut self) -> Option<usize> {
        self.ready.pop_first()
    }

    /// Marks a schema as registered.
    pub fn done(&mut self, index: usize) {
        for other in std::mem::take(&mut self.dependents[index]) {
            self.blockers[other] -= 1;
            if self.blockers[other] == 0 {
                self.ready.insert(other);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use prism_registry_client::Reference;

    use super::*;

    fn schema(subject: &str, version: u32, refers: &[(&str, i64)]) -> SchemaRecord {
        let reference = |(subject, version): &(&str, i64)| {
            let subject = (*subject).to_owned();
            Reference { name: subject.clone(), subject, version: *version }
        };
        SchemaRecord { subject: subject.to_owned(), version, references: refers.iter().map(reference).collect(), ..SchemaRecord::default() }
    }

    /// Takes all schemas that may be registered now, and returns their subjects and versions.
    fn take_ready(queue: &mut RegistrationQueue, schemas: &[SchemaRecord]) -> Vec<String> {
        let indices = std::iter::from_fn(|| queue.next());
        indices.map(|index| format!("{} {}", schemas[index].subject, schemas[index].version)).collect()
    }

    #[test]
    fn subjects_are_registered_in_parallel_and_their_versions_in_order() {
        let schemas = [
            schema("a", 1, &[]),
            schema("b", 1, &[]),
            schema("b", 2, &[("a", 1), ("a", 1)]),
            schema("a", 2, &[("gone", 1)]),
            schema("c", 1, &[("b", 2)]),
        ];
        let mut queue = RegistrationQueue::new(&schemas.iter().collect::<Vec<_>>());
        assert_eq!(take_ready(&mut queue, &schemas), ["a 1", "b 1"]);
        queue.done(1);
        assert_eq!(take_ready(&mut queue, &schemas), [""; 0]);
        queue.done(0);
        assert_eq!(take_ready(&mut queue, &schemas), ["b 2", "a 2"]);
        queue.done(3);
        assert_eq!(take_ready(&mut queue, &schemas), [""; 0]);
        queue.done(2);
        assert_eq!(take_ready(&mut queue, &schemas), ["c 1"]);
        queue.done(4);
        assert_eq!(take_ready(&mut queue, &schemas), [""; 0]);
    }
}
