//! The plan of an import: what it does, and what prevents it. It is made before anything is changed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{
    super::{catalog::Catalog, contents::RegistryContents},
    reject::{self, Rejection},
};
use prism_registry_client::{DEFAULT_CONTEXT, SchemaKey, SchemaRecord, split_subject, without_empty_members};

/// The plan of an import.
#[derive(Default)]
pub(super) struct ImportPlan<'a> {
    /// Versions to register, each after those that it refers to.
    pub register: Vec<&'a SchemaRecord>,
    /// Versions to delete softly, each after those that refer to it.
    pub delete: Vec<&'a SchemaRecord>,
    /// What prevents the import, a sentence each.
    pub conflicts: Vec<String>,
    /// Versions that the target would reject. They are not registered.
    pub rejected: Vec<Rejection<'a>>,
    /// The contexts of the target in which something is registered or set.
    pub contexts: BTreeMap<String, ContextPlan>,
    /// Subjects that exist and change: they may have modes of their own.
    pub changed_subjects: BTreeSet<String>,
    /// Versions that refer to something that is nowhere, and what that is.
    missing: HashMap<SchemaKey, String>,
}

/// Counts for a context of the target.
#[derive(Debug, Default)]
pub(super) struct ContextPlan {
    /// Subjects of the import.
    pub subjects: usize,
    /// Versions of the import.
    pub versions: usize,
    /// Versions to register.
    pub register: usize,
    /// Versions to delete softly.
    pub delete: usize,
    /// Versions that exist and are not part of the import.
    pub others: usize,
}

impl<'a> ImportPlan<'a> {
    /// Compares what is imported with what exists in the target.
    pub fn make(contents: &'a RegistryContents, existing: &'a [SchemaRecord]) -> Self {
        let (wanted, target) = (Catalog::new(&contents.schemas), Catalog::new(existing));
        let mut plan = Self::default();
        for scope in contents.configs.keys().chain(contents.modes.keys()) {
            plan.contexts.entry(split_subject(scope).0.to_owned()).or_default();
        }
        plan.check_ids(contents, &wanted, existing, &target);
        let all = Catalog::new(existing.iter().chain(&contents.schemas));
        let (mut subjects, mut rejected) = (BTreeSet::new(), HashSet::new());
        for schema in plan.order(contents, &wanted, &target) {
            let context = plan.contexts.entry(schema.context().to_owned()).or_default();
            context.versions += 1;
            context.subjects += usize::from(subjects.insert(&schema.subject));
            let known = target.get(&schema.key());
            if let Some(known) = known.filter(|known| !is_same_version(&wanted, schema, &target, known)) {
                plan.conflicts.push(format!(
                    "subject {} version {} exists with id {}, and the import has another schema with id {}",
                    schema.subject, schema.version, known.id, schema.id
                ));
                continue;
            }
            let register = known.is_none_or(|known| known.deleted && !schema.deleted);
            let missing = || plan.missing.remove(&schema.key());
            let reason =
                register.then(|| reject::check_references(schema, &rejected).or_else(missing).or_else(|| reject::check(schema, &all)));
            if let Some(reason) = reason.flatten() {
                rejected.insert(schema.key());
                plan.rejected.push(Rejection { schema, reason });
                continue;
            }
            let delete = schema.deleted && known.is_none_or(|known| !known.deleted);
            context.register += usize::from(register);
            context.delete += usize::from(delete);
            plan.register.extend(register.then_some(schema));
            plan.delete.extend(delete.then_some(schema));
        }
        plan.delete.reverse();
        let changed: HashSet<_> = plan.register.iter().chain(&plan.delete).map(|schema| &schema.subject).collect();
        plan.changed_subjects.extend(existing.iter().map(|other| &other.subject).filter(|subject| changed.contains(subject)).cloned());
        for other in existing.iter().filter(|other| wanted.get(&other.key()).is_none()) {
            if let Some(context) = plan.contexts.get_mut(other.context()) {
                context.others += 1;
            }
        }
        plan
    }

    /// Rejects a version that was to be registered, and those that refer to it. Does nothing if it is rejected already.
    pub fn reject(&mut self, schema: &'a SchemaRecord, reason: String) {
        if self.rejected.iter().any(|known| std::ptr::eq(known.schema, schema)) {
            return;
        }
        let mut gone = HashSet::from([schema.key()]);
        self.rejected.push(Rejection { schema, reason });
        let mut kept = Vec::with_capacity(self.register.len());
        // Each version comes after those that it refers to.
        for other in std::mem::take(&mut self.register) {
            if let Some(reason) = reject::check_references(other, &gone) {
                gone.insert(other.key());
                self.rejected.push(Rejection { schema: other, reason });
            } else if !gone.contains(&other.key()) {
                kept.push(other);
                continue;
            }
            if let Some(context) = self.contexts.get_mut(other.context()) {
                context.register -= 1;
            }
        }
        self.register = kept;
        let contexts = &mut self.contexts;
        self.delete.retain(|other| {
            let is_kept = !gone.contains(&other.key());
            if let Some(context) = contexts.get_mut(other.context()).filter(|_| !is_kept) {
                context.delete -= 1;
            }
            is_kept
        });
    }

    /// Checks that each id means one schema in its context.
    fn check_ids(&mut self, contents: &'a RegistryContents, wanted: &Catalog, existing: &'a [SchemaRecord], target: &Catalog) {
        let mut ids: HashMap<(&str, u32), (&SchemaRecord, &Catalog)> = HashMap::new();
        for schema in existing {
            ids.entry((schema.context(), schema.id)).or_insert((schema, target));
        }
        let (mut keys, mut reported) = (HashSet::new(), HashSet::new());
        for schema in &contents.schemas {
            let SchemaRecord { subject, version, id, .. } = schema;
            if !keys.insert(schema.key()) {
                self.conflicts.push(format!("subject {subject} version {version} comes from two contexts; map them to different contexts"));
            }
            let first = *ids.entry((schema.context(), *id)).or_insert((schema, wanted));
            if !is_same_version(wanted, schema, first.1, first.0) && reported.insert((schema.context(), *id)) {
                let SchemaRecord { subject: other, version: other_version, .. } = first.0;
                self.conflicts.push(format!(
                    "id {id} belongs to {subject} version {version} and to {other} version {other_version}, which are different schemas"
                ));
            }
        }
    }

    /// Orders the schemas by their ids, as they were registered, but each after those that it refers to.
    fn order(&mut self, contents: &'a RegistryContents, wanted: &Catalog<'a>, target: &Catalog) -> Vec<&'a SchemaRecord> {
        let mut all: Vec<_> = contents.schemas.iter().collect();
        all.sort_by(|one, other| (one.id, &one.subject, one.version).cmp(&(other.id, &other.subject, other.version)));
        let (mut ordered, mut visited, mut done) = (Vec::with_capacity(all.len()), HashSet::new(), HashSet::<SchemaKey>::new());
        for first in all {
            // A depth-first search. The second time that a schema is popped, its references are done.
            let mut stack = vec![first];
            while let Some(schema) = stack.pop() {
                let key = schema.key();
                if done.contains(&key) {
                    continue;
                }
                if !visited.insert(key.clone()) {
                    done.insert(key);
                    ordered.push(schema);
                    continue;
                }
                stack.push(schema);
                for other in schema.reference_keys() {
                    match wanted.get(&other) {
                        Some(_) if done.contains(&other) => {}
                        Some(_) if visited.contains(&other) => {
                            self.conflicts
                                .push(format!("{} version {} and {} version {} refer to each other", key.0, key.1, other.0, other.1));
                        }
                        Some(dependency) => stack.push(dependency),
                        None if target.get(&other).is_some_and(|known| !known.deleted) => {}
                        None => {
                            let why = format!(
                                "it refers to subject {} version {}, which is neither imported nor in the target",
                                other.0, other.1
                            );
                            self.missing.insert(key.clone(), why);
                        }
                    }
                }
            }
        }
        ordered
    }

    /// Returns the names of the contexts, the default one first.
    pub fn context_names(&self) -> impl Iterator<Item = &str> {
        let default = self.contexts.keys().filter(|name| *name == DEFAULT_CONTEXT);
        default.chain(self.contexts.keys().filter(|name| *name != DEFAULT_CONTEXT)).map(String::as_str)
    }
}

/// Whether a version of the import and one of the target have the same id, schema, references, metadata and rules.
pub(super) fn is_same_version(wanted: &Catalog, schema: &SchemaRecord, target: &Catalog, other: &SchemaRecord) -> bool {
    let extra = |schema: &SchemaRecord| {
        [&schema.metadata, &schema.rule_set].map(|value| value.as_ref().map(without_empty_members).unwrap_or_default())
    };
    let empty = |value: &serde_json::Value| value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
    let alike = extra(schema).iter().zip(&extra(other)).all(|(one, other)| one == other || empty(one) && empty(other));
    let referred =
        |schema: &SchemaRecord| schema.references.iter().map(|one| one.name.clone()).zip(schema.reference_keys()).collect::<BTreeSet<_>>();
    schema.id == other.id && alike && referred(schema) == referred(other) && wanted.is_same(schema, target, other)
}

#[cfg(test)]
mod tests {
    use prism_registry_client::Reference;

    use super::*;

    fn schema(subject: &str, version: u32, id: u32, text: &str, refers: &[(&str, i64)]) -> SchemaRecord {
        let references = refers.iter().map(|(subject, version)| Reference {
            name: (*subject).to_owned(),
            subject: (*subject).to_owned(),
            version: *version,
        });
        let (subject, schema) = (subject.to_owned(), text.to_owned());
        SchemaRecord { subject, version, id, schema, references: references.collect(), ..SchemaRecord::default() }
    }

    fn contents(schemas: &[SchemaRecord]) -> RegistryContents {
        RegistryContents { schemas: schemas.to_vec(), ..RegistryContents::default() }
    }

    #[test]
    fn references_come_first() {
        let contents = contents(&[
            schema("a", 1, 1, "\"int\"", &[("b", 1), ("c", 1)]),
            schema("b", 1, 2, "\"long\"", &[("c", 1)]),
            schema("c", 1, 3, "\"bytes\"", &[]),
        ]);
        let plan = ImportPlan::make(&contents, &[]);
        assert_eq!(plan.conflicts, [""; 0]);
        assert_eq!(plan.register.iter().map(|one| &*one.subject).collect::<Vec<_>>(), ["c", "b", "a"]);
    }

    #[test]
    fn existing_versions_are_skipped_and_conflicts_are_reported() {
        let mut gone = schema("b", 1, 2, "\"long\"", &[]);
        gone.deleted = true;
        let wanted = contents(&[schema("a", 1, 1, "\"int\"", &[]), gone]);
        let existing = [schema("a", 1, 1, " \"int\"", &[]), schema("b", 1, 2, "\"long\"", &[]), schema("z", 1, 9, "\"bytes\"", &[])];
        let plan = ImportPlan::make(&wanted, &existing);
        assert_eq!((plan.register.len(), plan.delete.len(), plan.contexts["."].others), (0, 1, 1));
        let existing = [schema("a", 1, 7, "\"int\"", &[]), schema("y", 1, 2, "\"bytes\"", &[])];
        assert_eq!(
            ImportPlan::make(&wanted, &existing).conflicts,
            [
                "id 2 belongs to b version 1 and to y version 1, which are different schemas",
                "subject a version 1 exists with id 7, and the import has another schema with id 1"
            ]
        );
        let cut = contents(&[schema("a", 1, 1, "\"int\"", &[("b", 3)]), schema("c", 1, 2, "\"string\"", &[("a", 1)])]);
        let plan = ImportPlan::make(&cut, &[]);
        assert_eq!(
            plan.rejected.iter().map(Rejection::line).collect::<Vec<_>>(),
            [
                "subject a version 1 (id 1): it refers to subject b version 3, which is neither imported nor in the target",
                "subject c version 1 (id 2): it refers to subject a version 1, which is rejected",
            ]
        );
        assert!(plan.register.is_empty());
    }

    #[test]
    fn rejected_versions_take_along_those_that_refer_to_them() {
        let contents = contents(&[
            schema("a", 1, 1, "\"int\"", &[]),
            schema("b", 1, 2, "\"long\"", &[("a", 1)]),
            schema("b", 2, 3, "\"string\"", &[("b", 1)]),
            schema("c", 1, 4, "\"bytes\"", &[]),
            schema("d", 1, 5, "what", &[]),
        ]);
        let mut plan = ImportPlan::make(&contents, &[]);
        assert_eq!((plan.rejected.len(), plan.register.len()), (1, 4));
        plan.reject(&contents.schemas[0], "too long".to_owned());
        assert_eq!(plan.register.iter().map(|one| &*one.subject).collect::<Vec<_>>(), ["c"]);
        assert_eq!(plan.rejected.iter().map(|one| &*one.schema.subject).collect::<Vec<_>>(), ["d", "a", "b", "b"]);
        assert_eq!(plan.contexts["."].register, 1);
        plan.reject(&contents.schemas[1], "it refers to a rejected version".to_owned());
        assert_eq!((plan.rejected.len(), plan.contexts["."].register), (4, 1), "a version is rejected once");
    }
}
