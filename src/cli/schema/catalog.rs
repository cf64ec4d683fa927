//! Schemas together with everything that they refer to.

use std::collections::{HashMap, HashSet};

use prism_registry_client::{ClientError, RegistryClient, SchemaKey, SchemaQuery, SchemaRecord};
use prism_schema::{Dependency, InvalidSchema, Schema};

/// Most schemas that one refers to, directly or through others.
const MAX_DEPENDENCIES: usize = 1000;

/// Versions of subjects, by their keys.
pub(super) struct Catalog<'a> {
    schemas: HashMap<SchemaKey, &'a SchemaRecord>,
}

impl<'a> Catalog<'a> {
    pub fn new(schemas: impl IntoIterator<Item = &'a SchemaRecord>) -> Self {
        Self { schemas: schemas.into_iter().map(|schema| (schema.key(), schema)).collect() }
    }

    pub fn get(&self, key: &SchemaKey) -> Option<&'a SchemaRecord> {
        self.schemas.get(key).copied()
    }

    /// Parses a schema with its dependencies from the catalog. The schema itself need not be in the catalog.
    pub fn parse(&self, schema: &SchemaRecord) -> Result<Schema, InvalidSchema> {
        let format = schema.type_name().parse().map_err(|()| InvalidSchema::new(format!("unknown schema type {}", schema.type_name())))?;
        let (mut dependencies, mut seen) = (Vec::new(), HashSet::new());
        self.collect_dependencies(schema, &mut seen, &mut dependencies);
        Schema::parse_registered(format, &schema.schema, &dependencies)
    }

    /// Returns the dependencies of a schema that the catalogs have, each after its own dependencies.
    pub fn dependencies(&self, schema: &SchemaRecord) -> Vec<Dependency> {
        let mut dependencies = Vec::new();
        self.collect_dependencies(schema, &mut HashSet::new(), &mut dependencies);
        dependencies
    }

    /// Adds the dependencies of a schema, each after its own dependencies. The parser reports missing ones.
    fn collect_dependencies(&self, schema: &SchemaRecord, seen: &mut HashSet<(String, SchemaKey)>, dependencies: &mut Vec<Dependency>) {
        for (reference, key) in schema.references.iter().zip(schema.reference_keys()) {
            if seen.len() >= MAX_DEPENDENCIES || !seen.insert((reference.name.clone(), key.clone())) {
                continue;
            }
            if let Some(dependency) = self.get(&key) {
                self.collect_dependencies(dependency, seen, dependencies);
                dependencies.push(Dependency { name: reference.name.as_str().into(), text: dependency.schema.as_str().into() });
            }
        }
    }

    /// Whether a schema of this catalog and one of another catalog are the same: equal as texts, as JSON, or in canonical form.
    pub fn is_same(&self, schema: &SchemaRecord, other_catalog: &Catalog, other: &SchemaRecord) -> bool {
        if schema.type_name() != other.type_name() {
            return false;
        }
        if schema.schema == other.schema {
            return true;
        }
        let json = |schema: &SchemaRecord| serde_json::from_str::<serde_json::Value>(&schema.schema).ok();
        if json(schema).is_some_and(|value| json(other) == Some(value)) {
            return true;
        }
        match (self.parse(schema), other_catalog.parse(other)) {
            (Ok(one), Ok(other)) => one.canonical() == other.canonical(),
            _ => false,
        }
    }
}

/// Reads everything that a schema refers to, directly or through others, from a registry.
pub(super) async fn fetch_dependencies(registry: &RegistryClient, schema: &SchemaRecord) -> Result<Vec<SchemaRecord>, ClientError> {
    let (mut dependencies, mut seen) = (Vec::new(), HashSet::new());
    let mut wanted: Vec<SchemaKey> = schema.reference_keys().collect();
    while let Some((subject, version)) = wanted.pop() {
        if seen.len() >= MAX_DEPENDENCIES || !seen.insert((subject.clone(), version)) {
            continue;
        }
        let number = if version == 0 { "latest".to_owned() } else { version.to_string() };
        let query = SchemaQuery { deleted: true, format: None };
        let mut dependency: SchemaRecord = registry.schema_by_version(&subject, &number, query).await?;
        // References find it by this key, even if the registry answers with another one, as for `latest`.
        (dependency.subject, dependency.version) = (subject, version);
        wanted.extend(dependency.reference_keys());
        dependencies.push(dependency);
    }
    Ok(dependencies)
}
