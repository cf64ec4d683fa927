//! What an import has to do, and what stands in its way; found out before anything is changed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::super::{
    catalog::Catalog,
    contents::Contents,
    name::DEFAULT_CONTEXT,
    record::{Key, Schema, pruned},
};

/// What an import has to do.
#[derive(Default)]
pub(super) struct Plan<'a> {
    /// In an order in which everything that a schema refers to is before it.
    pub register: Vec<&'a Schema>,
    /// In an order in which nothing that is there refers to what is deleted.
    pub delete: Vec<&'a Schema>,
    /// What stands in the way, a sentence each.
    pub conflicts: Vec<String>,
    pub contexts: BTreeMap<String, Context>,
    /// Subjects that are there and get something: they may have modes of their own.
    pub known: BTreeSet<String>,
}

/// What becomes of a context of the target.
#[derive(Debug, Default)]
pub(super) struct Context {
    pub subjects: usize,
    pub versions: usize,
    pub register: usize,
    pub delete: usize,
    /// Versions that are there and are not of this import.
    pub others: usize,
}

impl<'a> Plan<'a> {
    pub fn make(contents: &'a Contents, existing: &'a [Schema]) -> Self {
        let (wanted, there) = (Catalog::new(&contents.schemas), Catalog::new(existing));
        let mut plan = Self::default();
        for scope in contents.configs.keys().chain(contents.modes.keys()) {
            plan.contexts.entry(super::super::name::split(scope).0.to_owned()).or_default();
        }
        plan.check_ids(contents, &wanted, existing, &there);
        let mut subjects = BTreeSet::new();
        for schema in plan.order(contents, &wanted, &there) {
            let context = plan.contexts.entry(schema.context().to_owned()).or_default();
            context.versions += 1;
            context.subjects += usize::from(subjects.insert(&schema.subject));
            let known = there.get(&schema.key());
            if let Some(known) = known.filter(|known| !same(&wanted, schema, &there, known)) {
                plan.conflicts.push(format!(
                    "subject {} version {}: it is there with id {}, and another schema has to have id {}",
                    schema.subject, schema.version, known.id, schema.id
                ));
                continue;
            }
            let register = known.is_none_or(|known| known.deleted && !schema.deleted);
            let delete = schema.deleted && known.is_none_or(|known| !known.deleted);
            context.register += usize::from(register);
            context.delete += usize::from(delete);
            plan.register.extend(register.then_some(schema));
            plan.delete.extend(delete.then_some(schema));
        }
        plan.delete.reverse();
        let changed: HashSet<_> = plan.register.iter().chain(&plan.delete).map(|schema| &schema.subject).collect();
        plan.known.extend(existing.iter().map(|other| &other.subject).filter(|subject| changed.contains(subject)).cloned());
        for other in existing.iter().filter(|other| wanted.get(&other.key()).is_none()) {
            if let Some(context) = plan.contexts.get_mut(other.context()) {
                context.others += 1;
            }
        }
        plan
    }

    /// An id means one schema in a context.
    fn check_ids(&mut self, contents: &'a Contents, wanted: &Catalog, existing: &'a [Schema], there: &Catalog) {
        let mut ids: HashMap<(&str, u32), (&Schema, &Catalog)> = HashMap::new();
        for schema in existing {
            ids.entry((schema.context(), schema.id)).or_insert((schema, there));
        }
        let (mut keys, mut told) = (HashSet::new(), HashSet::new());
        for schema in &contents.schemas {
            let Schema { subject, version, id, .. } = schema;
            if !keys.insert(schema.key()) {
                self.conflicts.push(format!("subject {subject} version {version}: two contexts have it; map them to different ones"));
            }
            let first = *ids.entry((schema.context(), *id)).or_insert((schema, wanted));
            if !same(wanted, schema, first.1, first.0) && told.insert((schema.context(), *id)) {
                let Schema { subject: other, version: of, .. } = first.0;
                self.conflicts.push(format!("id {id}: {subject} version {version} has it, and {other} version {of} is another schema"));
            }
        }
    }

    /// By ids, as they were registered, but nothing before what it refers to.
    fn order(&mut self, contents: &'a Contents, wanted: &Catalog<'a>, there: &Catalog) -> Vec<&'a Schema> {
        let mut all: Vec<_> = contents.schemas.iter().collect();
        all.sort_by(|one, other| (one.id, &one.subject, one.version).cmp(&(other.id, &other.subject, other.version)));
        let (mut ordered, mut begun, mut placed) = (Vec::with_capacity(all.len()), HashSet::new(), HashSet::<Key>::new());
        for first in all {
            // Behind what it refers to; the second time that it comes up, all of that has its place.
            let mut stack = vec![first];
            while let Some(schema) = stack.pop() {
                let key = schema.key();
                if placed.contains(&key) {
                    continue;
                }
                if !begun.insert(key.clone()) {
                    placed.insert(key);
                    ordered.push(schema);
                    continue;
                }
                stack.push(schema);
                for other in schema.referred() {
                    match wanted.get(&other) {
                        Some(_) if placed.contains(&other) => {}
                        Some(_) if begun.contains(&other) => {
                            self.conflicts
                                .push(format!("{} version {} and {} version {} refer to each other", key.0, key.1, other.0, other.1));
                        }
                        Some(dependency) => stack.push(dependency),
                        None if there.get(&other).is_some_and(|known| !known.deleted) => {}
                        None => self.conflicts.push(format!(
                            "subject {} version {} refers to subject {} version {}, which is not among what is imported",
                            key.0, key.1, other.0, other.1
                        )),
                    }
                }
            }
        }
        ordered
    }

    /// Contexts in which something is registered or set; the default one first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let default = self.contexts.keys().filter(|name| *name == DEFAULT_CONTEXT);
        default.chain(self.contexts.keys().filter(|name| *name != DEFAULT_CONTEXT)).map(String::as_str)
    }
}

/// Whether two are the same but for their subject, version and deletion.
pub(super) fn same(wanted: &Catalog, schema: &Schema, there: &Catalog, other: &Schema) -> bool {
    let extra = |schema: &Schema| [&schema.metadata, &schema.rule_set].map(|value| value.as_ref().map(pruned).unwrap_or_default());
    let empty = |value: &serde_json::Value| value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
    let alike = extra(schema).iter().zip(&extra(other)).all(|(one, other)| one == other || empty(one) && empty(other));
    let referred = |schema: &Schema| schema.references.iter().map(|one| one.name.clone()).zip(schema.referred()).collect::<BTreeSet<_>>();
    schema.id == other.id && alike && referred(schema) == referred(other) && wanted.same(schema, there, other)
}

#[cfg(test)]
mod tests {
    use super::{super::super::record::Reference, *};

    fn schema(subject: &str, version: u32, id: u32, text: &str, refers: &[(&str, i64)]) -> Schema {
        let references = refers.iter().map(|(subject, version)| Reference {
            name: (*subject).to_owned(),
            subject: (*subject).to_owned(),
            version: *version,
        });
        let (subject, schema) = (subject.to_owned(), text.to_owned());
        Schema { subject, version, id, schema, references: references.collect(), ..Schema::default() }
    }

    fn contents(schemas: &[Schema]) -> Contents {
        Contents { schemas: schemas.to_vec(), ..Contents::default() }
    }

    #[test]
    fn what_is_referred_to_comes_first() {
        let contents = contents(&[
            schema("a", 1, 1, "\"a\"", &[("b", 1), ("c", 1)]),
            schema("b", 1, 2, "\"b\"", &[("c", 1)]),
            schema("c", 1, 3, "\"c\"", &[]),
        ]);
        let plan = Plan::make(&contents, &[]);
        assert_eq!(plan.conflicts, [""; 0]);
        assert_eq!(plan.register.iter().map(|one| &*one.subject).collect::<Vec<_>>(), ["c", "b", "a"]);
    }

    #[test]
    fn what_is_there_is_skipped_and_what_is_in_the_way_is_told() {
        let mut gone = schema("b", 1, 2, "\"b\"", &[]);
        gone.deleted = true;
        let wanted = contents(&[schema("a", 1, 1, "\"a\"", &[]), gone]);
        let there = [schema("a", 1, 1, " \"a\"", &[]), schema("b", 1, 2, "\"b\"", &[]), schema("z", 1, 9, "\"z\"", &[])];
        let plan = Plan::make(&wanted, &there);
        assert_eq!((plan.register.len(), plan.delete.len(), plan.contexts["."].others), (0, 1, 1));
        let there = [schema("a", 1, 7, "\"a\"", &[]), schema("y", 1, 2, "\"y\"", &[])];
        assert_eq!(
            Plan::make(&wanted, &there).conflicts,
            [
                "id 2: b version 1 has it, and y version 1 is another schema",
                "subject a version 1: it is there with id 7, and another schema has to have id 1"
            ]
        );
        let cut = contents(&[schema("a", 1, 1, "\"a\"", &[("b", 3)])]);
        assert_eq!(
            Plan::make(&cut, &[]).conflicts,
            ["subject a version 1 refers to subject b version 3, which is not among what is imported"]
        );
    }
}
