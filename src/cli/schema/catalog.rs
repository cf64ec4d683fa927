//! Schemas with all that they refer to.

use std::collections::{HashMap, HashSet};

use super::{
    client::Trouble,
    record::{Key, Schema},
    registry::Registry,
};
use prism_schema::{self as schema, Dependency, Invalid};

/// Most schemas that one refers to, directly or by others.
const MAX_DEPENDENCIES: usize = 1000;

/// Versions of subjects, by their names.
pub(super) struct Catalog<'a> {
    schemas: HashMap<Key, &'a Schema>,
}

impl<'a> Catalog<'a> {
    pub fn new(schemas: impl IntoIterator<Item = &'a Schema>) -> Self {
        Self { schemas: schemas.into_iter().map(|schema| (schema.key(), schema)).collect() }
    }

    pub fn get(&self, key: &Key) -> Option<&'a Schema> {
        self.schemas.get(key).copied()
    }

    /// Reads a schema, which need not be of the catalog itself.
    pub fn parse(&self, schema: &Schema) -> Result<schema::Schema, Invalid> {
        let format = schema.kind().parse().map_err(|()| Invalid::new(format!("the type {} is not known", schema.kind())))?;
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        self.collect(schema, &mut seen, &mut found);
        schema::Schema::parse(format, &schema.schema, &found)
    }

    /// Each behind those that it refers to itself; what is missing is told by who reads the text.
    fn collect(&self, schema: &Schema, seen: &mut HashSet<(String, Key)>, found: &mut Vec<Dependency>) {
        for (reference, key) in schema.references.iter().zip(schema.referred()) {
            if seen.len() >= MAX_DEPENDENCIES || !seen.insert((reference.name.clone(), key.clone())) {
                continue;
            }
            if let Some(dependency) = self.get(&key) {
                self.collect(dependency, seen, found);
                found.push(Dependency { name: reference.name.as_str().into(), text: dependency.schema.as_str().into() });
            }
        }
    }

    /// Whether two texts are the same schema, each with what it refers to in its own registry.
    pub fn same(&self, schema: &Schema, there: &Catalog, other: &Schema) -> bool {
        if schema.kind() != other.kind() {
            return false;
        }
        if schema.schema == other.schema {
            return true;
        }
        let json = |schema: &Schema| serde_json::from_str::<serde_json::Value>(&schema.schema).ok();
        if json(schema).is_some_and(|value| json(other) == Some(value)) {
            return true;
        }
        match (self.parse(schema), there.parse(other)) {
            (Ok(one), Ok(other)) => one.canonical() == other.canonical(),
            _ => false,
        }
    }
}

/// All that a schema refers to, from a registry.
pub(super) async fn referred(registry: &Registry, schema: &Schema) -> Result<Vec<Schema>, Trouble> {
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    let mut wanted: Vec<Key> = schema.referred().collect();
    while let Some((subject, version)) = wanted.pop() {
        if seen.len() >= MAX_DEPENDENCIES || !seen.insert((subject.clone(), version)) {
            continue;
        }
        let number = if version == 0 { "latest".to_owned() } else { version.to_string() };
        let answer = registry.version(&subject, Some(&number), "?deleted=true").await?;
        let mut one: Schema = serde_json::from_value(answer)
            .map_err(|error| Trouble::Lost(format!("subject {subject} version {number}: the answer can't be read: {error}")))?;
        // By the name and number that it is referred to by.
        (one.subject, one.version) = (subject, version);
        wanted.extend(one.referred());
        found.push(one);
    }
    Ok(found)
}
