//! Doing what was planned.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream::FuturesUnordered};
use serde_json::{Value, json};

use super::{
    super::{
        client::{Repeat, Trouble},
        contents::Contents,
        name,
        progress::Progress,
        record::Schema,
        registry::{Registry, escape},
    },
    keys,
    plan::Plan,
    queue::Queue,
    verify,
};
use crate::cli::Failure;

const IMPORT: &str = "IMPORT";
/// Registrations at the same time.
const PARALLEL: usize = 8;

/// Does everything, and gives what there is to know of it.
pub(super) async fn run(target: &Registry, contents: &Contents, plan: &Plan<'_>, no_modes: bool) -> Result<Vec<String>, Failure> {
    let before = begin(target, plan).await?;
    register(target, plan).await?;
    delete(target, plan).await?;
    let mut notes = keys::import(target, contents).await?;
    configure(target, contents).await?;
    notes.extend(verify::compare(target, contents).await?);
    end(target, contents, plan, &before, no_modes).await?;
    Ok(notes)
}

fn path(of: &str, scope: &str) -> String {
    if scope.is_empty() { format!("/{of}") } else { format!("/{of}/{}", escape(scope)) }
}

/// The modes that contexts and subjects had of their own; none where it was IMPORT already, or there was none.
type Before = BTreeMap<String, Option<String>>;

/// Sets the mode IMPORT: of contexts, and of subjects that have a mode of their own.
async fn begin(target: &Registry, plan: &Plan<'_>) -> Result<Before, Failure> {
    let mut before = BTreeMap::new();
    let contexts = plan.names().map(|context| (name::whole(context), true));
    for (scope, always) in contexts.chain(plan.known.iter().map(|subject| (subject.clone(), false))) {
        let path = path("mode", &scope);
        let found: Option<Value> = target.find(&path).await?;
        let mode = found.as_ref().and_then(|found| found.get("mode")?.as_str());
        if mode.is_none() && !always {
            continue;
        }
        if mode != Some(IMPORT) {
            // What may be there was looked at before.
            let set = target.put(&format!("{path}?force=true"), &json!({"mode": IMPORT})).await;
            set.map_err(|trouble| format!("{} can't be put into mode {IMPORT}: {trouble}", shown(&scope)))?;
        }
        eprintln!("{} is in mode {IMPORT}", shown(&scope));
        before.insert(scope, mode.filter(|mode| *mode != IMPORT).map(str::to_owned));
    }
    Ok(before)
}

fn of(schema: &Schema) -> String {
    format!("subject {} version {} (id {})", schema.subject, schema.version, schema.id)
}

async fn register(target: &Registry, plan: &Plan<'_>) -> Result<(), Failure> {
    let mut progress = Progress::new("registered", plan.register.len());
    let (mut queue, mut running) = (Queue::new(&plan.register), FuturesUnordered::new());
    let mut failed: Option<(usize, Failure)> = None;
    loop {
        while failed.is_none() && running.len() < PARALLEL {
            let Some(place) = queue.next() else { break };
            let schema = plan.register[place];
            running.push(async move { (place, register_one(target, schema).await) });
        }
        // Also behind a failure, what was begun is waited for: whoever runs the import again then sees all that was done.
        let Some((place, result)) = running.next().await else { break };
        match result {
            Ok(()) => {
                queue.done(place);
                progress.step();
            }
            // Of several, the first of the plan is told.
            Err(_) if failed.as_ref().is_some_and(|(first, _)| *first < place) => {}
            Err(failure) => failed = Some((place, failure)),
        }
    }
    if let Some((_, failure)) = failed {
        return Err(failure);
    }
    progress.end();
    Ok(())
}

async fn register_one(target: &Registry, schema: &Schema) -> Result<(), Failure> {
    let mut body = schema.request();
    body.insert("id".to_owned(), schema.id.into());
    body.insert("version".to_owned(), schema.version.into());
    let path = format!("/subjects/{}/versions", escape(&schema.subject));
    // With an id and a version, once more is the same.
    let answer = target.post(&path, &Value::Object(body), Repeat::Yes).await;
    let answer = answer.map_err(|trouble| format!("{} can't be registered: {trouble}", of(schema)))?;
    let id = answer.get("id").and_then(Value::as_u64);
    if id != Some(schema.id.into()) {
        return Err(Failure(format!("{}: the target gave it the id {}", of(schema), id.unwrap_or_default())));
    }
    Ok(())
}

async fn delete(target: &Registry, plan: &Plan<'_>) -> Result<(), Failure> {
    const SOFT_DELETED: u32 = 40406;
    let mut progress = Progress::new("deleted softly", plan.delete.len());
    for schema in &plan.delete {
        let path = format!("/subjects/{}/versions/{}", escape(&schema.subject), schema.version);
        match target.delete(&path).await {
            Err(trouble) if trouble.code() != Some(SOFT_DELETED) => {
                return Err(Failure(format!("{} can't be deleted softly, as it is in the source: {trouble}", of(schema))));
            }
            _ => progress.step(),
        }
    }
    progress.end();
    Ok(())
}

async fn configure(target: &Registry, contents: &Contents) -> Result<(), Failure> {
    let mut progress = Progress::new("configurations", contents.configs.len());
    for (scope, config) in &contents.configs {
        let mut config = config.clone();
        if let Some(members) = config.as_object_mut() {
            // It is read by one name, and set by another.
            if let Some(level) = members.remove("compatibilityLevel") {
                members.insert("compatibility".to_owned(), level);
            }
            members.retain(|_, value| !value.is_null());
        }
        let set = target.put(&path("config", scope), &config).await;
        set.map_err(|trouble| format!("the configuration of {} can't be set: {trouble}", shown(scope)))?;
        progress.step();
    }
    progress.end();
    Ok(())
}

/// Takes the mode IMPORT away: what the source has comes in its place, else what was before.
async fn end(target: &Registry, contents: &Contents, plan: &Plan<'_>, before: &Before, no_modes: bool) -> Result<(), Failure> {
    let mut modes: BTreeMap<&str, Option<&str>> = before.iter().map(|(scope, mode)| (&**scope, mode.as_deref())).collect();
    let taken = contents.modes.iter().filter(|(_, mode)| !no_modes && *mode != IMPORT);
    modes.extend(taken.map(|(scope, mode)| (&**scope, Some(&**mode))));
    // The narrower first: a mode that closes everything would be in the way.
    let wider: Vec<_> = plan.names().map(name::whole).collect();
    let narrow = modes.iter().filter(|(scope, _)| wider.iter().all(|wide| wide != *scope));
    let wide = wider.iter().rev().filter_map(|scope| modes.get_key_value(&**scope));
    for (scope, mode) in narrow.chain(wide) {
        match mode {
            Some(mode) => set(target, scope, mode).await?,
            None if scope.is_empty() => set(target, scope, "READWRITE").await?,
            None => target.delete(&path("mode", scope)).await.or_else(gone)?,
        }
    }
    Ok(())
}

async fn set(target: &Registry, scope: &str, mode: &str) -> Result<(), Failure> {
    let set = target.put(&path("mode", scope), &json!({"mode": mode})).await;
    Ok(set.map_err(|trouble| format!("the mode of {} can't be set to {mode}: {trouble}", shown(scope)))?)
}

fn gone(trouble: Trouble) -> Result<(), Trouble> {
    if trouble.is_missing() { Ok(()) } else { Err(trouble) }
}

fn shown(scope: &str) -> &str {
    if scope.is_empty() { "the default context" } else { scope }
}
