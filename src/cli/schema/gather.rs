//! Reading everything of a registry.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;

use super::{contents::RegistryContents, progress::Progress};
use crate::cli::output::print_note;
use prism_registry_client::{ClientError, RegistryClient, SchemaKey, SchemaRecord, SubjectPrefix, context_scope};

/// Requests at the same time.
const PARALLEL: usize = 8;
/// The context whose settings apply to all contexts.
const GLOBAL_CONTEXT: &str = ".__GLOBAL";
const ALGORITHMS: [&str; 3] = ["AES128_GCM", "AES256_GCM", "AES256_SIV"];

/// Reads everything that belongs to the selected subjects, and the schemas that they refer to.
pub(super) async fn read_registry(registry: &RegistryClient, prefix: &SubjectPrefix) -> Result<RegistryContents, ClientError> {
    let all = registry.list_schemas(&SubjectPrefix::everything(), true, false).await?;
    let schemas = select(all, prefix);
    print_note(format_args!("schemas: {} of {}", schemas.len(), registry.url()));
    let mut contents = RegistryContents { source: registry.url().to_owned(), schemas, ..RegistryContents::default() };
    let scopes = list_scopes(registry, &contents.schemas, prefix).await?;
    read_settings(registry, scopes, &mut contents).await?;
    if prefix.is_everything() {
        read_global_settings(registry, &mut contents).await?;
        read_keys(registry, &mut contents).await?;
    }
    Ok(contents)
}

/// Keeps the selected schemas and those that they refer to.
fn select(all: Vec<SchemaRecord>, prefix: &SubjectPrefix) -> Vec<SchemaRecord> {
    let mut wanted: Vec<SchemaKey> = all.iter().filter(|schema| prefix.matches(&schema.subject)).map(SchemaRecord::key).collect();
    let mut kept: HashSet<SchemaKey> = wanted.iter().cloned().collect();
    let by_key: BTreeMap<SchemaKey, &SchemaRecord> = all.iter().map(|schema| (schema.key(), schema)).collect();
    while let Some(key) = wanted.pop() {
        for other in by_key.get(&key).into_iter().flat_map(|schema| schema.reference_keys()) {
            if kept.insert(other.clone()) {
                wanted.push(other);
            }
        }
    }
    all.into_iter().filter(|schema| kept.contains(&schema.key())).collect()
}

/// Returns every scope that may have a configuration or a mode of its own.
async fn list_scopes(registry: &RegistryClient, schemas: &[SchemaRecord], prefix: &SubjectPrefix) -> Result<Vec<String>, ClientError> {
    let mut scopes: BTreeSet<String> = schemas.iter().map(|schema| schema.subject.clone()).collect();
    // A context's settings are read with the whole context only, and the global settings with the whole registry only.
    scopes.extend(schemas.iter().map(|schema| context_scope(schema.context())).filter(|scope| prefix.matches(scope)));
    scopes.remove("");
    if prefix.is_everything() {
        scopes.insert(String::new());
        let contexts = registry.list_contexts().await?.unwrap_or_default();
        scopes.extend(contexts.iter().map(|context| context_scope(context)));
    }
    // Aliases have no versions, but a configuration.
    scopes.extend(registry.list_aliases().await?.into_iter().filter(|name| prefix.matches(name)));
    Ok(scopes.into_iter().collect())
}

async fn read_settings(registry: &RegistryClient, scopes: Vec<String>, contents: &mut RegistryContents) -> Result<(), ClientError> {
    let mut progress = Progress::new("configurations and modes", scopes.len());
    let requests = scopes.into_iter().map(|scope| async move {
        let config = registry.config(&scope).await?;
        let mode = registry.mode(&scope).await?;
        Ok::<_, ClientError>((scope, config, mode))
    });
    let mut answers = stream::iter(requests).buffer_unordered(PARALLEL);
    while let Some((scope, config, mode)) = answers.try_next().await? {
        if let Some(config) = config {
            contents.configs.insert(scope.clone(), config);
        }
        if let Some(mode) = mode {
            contents.modes.insert(scope, mode);
        }
        progress.step();
    }
    progress.end();
    Ok(())
}

/// Reads the settings of all contexts. A registry may return the defaults where none are set; these are left out.
async fn read_global_settings(registry: &RegistryClient, contents: &mut RegistryContents) -> Result<(), ClientError> {
    let scope = context_scope(GLOBAL_CONTEXT);
    let default = json!({"compatibilityLevel": "BACKWARD"});
    if let Some(config) = registry.config(&scope).await?.filter(|config| *config != default) {
        contents.configs.insert(scope.clone(), config);
    }
    if let Some(mode) = registry.mode(&scope).await?.filter(|mode| mode != "READWRITE") {
        contents.modes.insert(scope, mode);
    }
    Ok(())
}

/// Reads the keys, if the registry supports keys.
pub(super) async fn read_keys(registry: &RegistryClient, contents: &mut RegistryContents) -> Result<(), ClientError> {
    let Some(names) = registry.list_keks().await? else { return Ok(()) };
    let mut progress = Progress::new("keys", names.len());
    for kek in names {
        contents.keks.push(registry.kek(&kek).await?);
        for subject in registry.list_dek_subjects(&kek).await? {
            for algorithm in ALGORITHMS {
                for version in registry.list_dek_versions(&kek, &subject, algorithm).await? {
                    contents.deks.push(registry.dek(&kek, &subject, version, algorithm).await?);
                }
            }
        }
        progress.step();
    }
    progress.end();
    Ok(())
}
