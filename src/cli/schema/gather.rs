//! Everything of a registry, asked for.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use super::{
    client::Trouble,
    contents::Contents,
    name::{self, Prefix},
    progress::Progress,
    record::{Key, Schema},
    registry::{Registry, escape},
};

/// Requests at the same time.
const PARALLEL: usize = 8;
const ALGORITHMS: [&str; 3] = ["AES128_GCM", "AES256_GCM", "AES256_SIV"];

/// Everything whose subjects begin with the prefix, and what that refers to.
pub(super) async fn everything(registry: &Registry, prefix: &Prefix) -> Result<Contents, Trouble> {
    let all = registry.schemas(&Prefix::new(None, ""), true, false).await?;
    let schemas = chosen(all, prefix);
    eprintln!("schemas: {} of {}", schemas.len(), registry.url());
    let mut contents = Contents { source: registry.url().to_owned(), schemas, ..Contents::default() };
    let scopes = scopes(registry, &contents.schemas, prefix).await?;
    settings(registry, scopes, &mut contents).await?;
    if prefix.is_everything() {
        keys(registry, &mut contents).await?;
    }
    Ok(contents)
}

/// What begins with the prefix, and what it refers to.
fn chosen(all: Vec<Schema>, prefix: &Prefix) -> Vec<Schema> {
    let mut wanted: Vec<Key> = all.iter().filter(|schema| prefix.matches(&schema.subject)).map(Schema::key).collect();
    let mut kept: HashSet<Key> = wanted.iter().cloned().collect();
    let by_key: BTreeMap<Key, &Schema> = all.iter().map(|schema| (schema.key(), schema)).collect();
    while let Some(key) = wanted.pop() {
        for other in by_key.get(&key).into_iter().flat_map(|schema| schema.referred()) {
            if kept.insert(other.clone()) {
                wanted.push(other);
            }
        }
    }
    all.into_iter().filter(|schema| kept.contains(&schema.key())).collect()
}

/// What may have settings of its own.
async fn scopes(registry: &Registry, schemas: &[Schema], prefix: &Prefix) -> Result<Vec<String>, Trouble> {
    let mut scopes: BTreeSet<String> = schemas.iter().map(|schema| schema.subject.clone()).collect();
    // What is set for a context goes with all of it, and what is set for everything with everything.
    scopes.extend(schemas.iter().map(|schema| name::whole(schema.context())).filter(|scope| prefix.matches(scope)));
    scopes.remove("");
    if prefix.is_everything() {
        scopes.insert(String::new());
        let contexts: Option<Vec<String>> = registry.find("/contexts").await?;
        scopes.extend(contexts.into_iter().flatten().map(|context| name::whole(&context)));
    }
    // Subjects that only stand for others have no versions.
    scopes.extend(registry.aliases().await?.into_iter().filter(|name| prefix.matches(name)));
    Ok(scopes.into_iter().collect())
}

async fn settings(registry: &Registry, scopes: Vec<String>, contents: &mut Contents) -> Result<(), Trouble> {
    let mut progress = Progress::new("configurations and modes", scopes.len());
    let asked = scopes.into_iter().map(|scope| async move {
        let below = if scope.is_empty() { String::new() } else { format!("/{}", escape(&scope)) };
        let config: Option<Value> = registry.find(&format!("/config{below}")).await?;
        let mode: Option<Value> = registry.find(&format!("/mode{below}")).await?;
        Ok::<_, Trouble>((scope, config, mode))
    });
    let mut answers = stream::iter(asked).buffer_unordered(PARALLEL);
    while let Some((scope, config, mode)) = answers.try_next().await? {
        if let Some(config) = config {
            contents.configs.insert(scope.clone(), config);
        }
        if let Some(mode) = mode.as_ref().and_then(|mode| mode.get("mode")?.as_str()) {
            contents.modes.insert(scope, mode.to_owned());
        }
        progress.step();
    }
    progress.end();
    Ok(())
}

/// Entries of keys. Registries that have none of them have no such paths.
pub(super) async fn keys(registry: &Registry, contents: &mut Contents) -> Result<(), Trouble> {
    const KEKS: &str = "/dek-registry/v1/keks";
    let Some(names) = registry.find::<Vec<String>>(&format!("{KEKS}?deleted=true")).await? else { return Ok(()) };
    let mut progress = Progress::new("keys", names.len());
    for name in names {
        let kek = format!("{KEKS}/{}", escape(&name));
        contents.keks.push(registry.get(&format!("{kek}?deleted=true")).await?);
        let subjects: Option<Vec<String>> = registry.find(&format!("{kek}/deks?deleted=true")).await?;
        for subject in subjects.into_iter().flatten() {
            let versions = format!("{kek}/deks/{}/versions", escape(&subject));
            for algorithm in ALGORITHMS {
                let query = format!("?algorithm={algorithm}&deleted=true");
                for version in registry.find::<Vec<u32>>(&format!("{versions}{query}")).await?.into_iter().flatten() {
                    contents.deks.push(registry.get(&format!("{versions}/{version}{query}")).await?);
                }
            }
        }
        progress.step();
    }
    progress.end();
    Ok(())
}
