//! Carrying out the plan of an import.

use std::collections::{BTreeMap, HashSet};

use futures::{StreamExt as _, stream::FuturesUnordered};
use serde_json::Value;

use super::{
    super::{contents::RegistryContents, progress::Progress},
    keys,
    plan::ImportPlan,
    queue::RegistrationQueue,
    reject::{Rejection, check_references, version_name},
    verify,
};
use crate::cli::{Failure, output::print_note};
use prism_registry_client::{ClientError, ErrorKind, RegistryClient, Retry, SchemaKey, SchemaRecord, context_scope};

const IMPORT: &str = "IMPORT";
/// `error_code` of what the mode does not permit.
const NOT_PERMITTED: u32 = 42205;
/// Registrations at the same time.
const PARALLEL: usize = 8;

/// How an import is carried out.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct ImportOptions {
    /// Skip schemas that the target rejects, and those that refer to them; they are listed at the end
    #[arg(long)]
    pub skip_invalid: bool,

    /// Don't import modes, such as READONLY of a source that was closed for the move; each context keeps its own mode
    #[arg(long)]
    pub no_modes: bool,
}

/// Carries out the plan. Returns notes for the user, and what was skipped beyond the plan.
pub(super) async fn run<'a>(
    target: &RegistryClient,
    contents: &RegistryContents,
    plan: &ImportPlan<'a>,
    options: ImportOptions,
) -> Result<(Vec<String>, Vec<Rejection<'a>>), Failure> {
    let former = set_import_mode(target, plan).await?;
    let rejected = register(target, plan, options.skip_invalid).await?;
    let skipped: HashSet<SchemaKey> = plan.rejected.iter().chain(&rejected).map(|one| one.schema.key()).collect();
    delete_softly(target, plan, &skipped).await?;
    let mut notes = keys::import(target, contents).await?;
    set_configs(target, contents).await?;
    notes.extend(verify::compare(target, contents, &skipped).await?);
    set_final_modes(target, contents, plan, &former, options.no_modes).await?;
    Ok((notes, rejected))
}

/// The modes that contexts and subjects had before the import, by scope. `None` if the mode was IMPORT already, or there was none.
type FormerModes = BTreeMap<String, Option<String>>;

/// Sets the mode IMPORT on the contexts, and on the subjects that have a mode of their own.
async fn set_import_mode(target: &RegistryClient, plan: &ImportPlan<'_>) -> Result<FormerModes, Failure> {
    let mut former = BTreeMap::new();
    let contexts = plan.context_names().map(|context| (context_scope(context), true));
    for (scope, always) in contexts.chain(plan.changed_subjects.iter().map(|subject| (subject.clone(), false))) {
        let mode = target.mode(&scope).await?;
        if mode.is_none() && !always {
            continue;
        }
        if mode.as_deref() != Some(IMPORT) {
            // The plan has compared the import with the schemas that exist, so the registry need not refuse because of them.
            let result = target.set_mode(&scope, IMPORT, true).await;
            result.map_err(|error| format!("{} can't be put into the mode {IMPORT}: {error}", scope_name(&scope)))?;
        }
        print_note(format_args!("{} is in the mode {IMPORT}", scope_name(&scope)));
        former.insert(scope, mode.filter(|mode| mode != IMPORT));
    }
    Ok(former)
}

/// Registers the versions of the plan. With `skip_invalid`, returns those that the target rejected, and those that refer to them.
async fn register<'a>(target: &RegistryClient, plan: &ImportPlan<'a>, skip_invalid: bool) -> Result<Vec<Rejection<'a>>, Failure> {
    let (mut rejected, mut skipped) = (Vec::new(), HashSet::new());
    let mut progress = Progress::new("registered", plan.register.len());
    let (mut queue, mut running) = (RegistrationQueue::new(&plan.register), FuturesUnordered::new());
    let mut failed: Option<(usize, Failure)> = None;
    loop {
        while failed.is_none() && running.len() < PARALLEL {
            let Some(index) = queue.next() else { break };
            let schema = plan.register[index];
            if let Some(reason) = check_references(schema, &skipped) {
                skipped.insert(schema.key());
                rejected.push(Rejection { schema, reason });
                queue.done(index);
                progress.step();
                continue;
            }
            running.push(async move { (index, register_one(target, schema).await) });
        }
        // After a failure, wait for the requests that were sent: an import that is run again then sees all of their effects.
        let Some((index, result)) = running.next().await else { break };
        match result {
            Ok(()) => {
                queue.done(index);
                progress.step();
            }
            Err(RegisterFailure::Rejected(reason)) if skip_invalid => {
                let schema = plan.register[index];
                skipped.insert(schema.key());
                rejected.push(Rejection { schema, reason });
                queue.done(index);
                progress.step();
            }
            // Of several failures, report the one that comes first in the plan.
            Err(_) if failed.as_ref().is_some_and(|(first, _)| *first < index) => {}
            Err(RegisterFailure::Rejected(reason)) => {
                failed = Some((index, Failure(format!("{} can't be registered: {reason}", version_name(plan.register[index])))));
            }
            Err(RegisterFailure::Other(failure)) => failed = Some((index, failure)),
        }
    }
    if let Some((_, failure)) = failed {
        return Err(failure);
    }
    progress.end();
    Ok(rejected)
}

/// Why a version was not registered.
enum RegisterFailure {
    /// The target rejects this schema; others may be accepted.
    Rejected(String),
    Other(Failure),
}

async fn register_one(target: &RegistryClient, schema: &SchemaRecord) -> Result<(), RegisterFailure> {
    let mut body = schema.to_request();
    body.insert("id".to_owned(), schema.id.into());
    body.insert("version".to_owned(), schema.version.into());
    // With an id and a version, the registration is idempotent.
    let answer = target.register(&schema.subject, &Value::Object(body), None, Retry::Allowed).await;
    let answer = answer.map_err(|error| match error.kind() {
        // 42205: the target is not in the mode IMPORT any more, which concerns all schemas.
        ErrorKind::Refused { status: 400 | 413 | 422, code } if code != NOT_PERMITTED => RegisterFailure::Rejected(error.to_string()),
        _ => RegisterFailure::Other(Failure(format!("{} can't be registered: {error}", version_name(schema)))),
    })?;
    let id = answer.get("id").and_then(Value::as_u64);
    if id != Some(schema.id.into()) {
        let given = id.unwrap_or_default();
        return Err(RegisterFailure::Other(Failure(format!(
            "{} was registered, but the target gave it the id {given}",
            version_name(schema)
        ))));
    }
    Ok(())
}

async fn delete_softly(target: &RegistryClient, plan: &ImportPlan<'_>, skipped: &HashSet<SchemaKey>) -> Result<(), Failure> {
    const SOFT_DELETED: u32 = 40406;
    let delete: Vec<_> = plan.delete.iter().filter(|schema| !skipped.contains(&schema.key())).collect();
    let mut progress = Progress::new("deleted softly", delete.len());
    for schema in delete {
        match target.delete_version(&schema.subject, schema.version).await {
            Err(error) if error.code() != Some(SOFT_DELETED) => {
                return Err(Failure(format!("{} can't be deleted softly, as it is in the source: {error}", version_name(schema))));
            }
            _ => progress.step(),
        }
    }
    progress.end();
    Ok(())
}

async fn set_configs(target: &RegistryClient, contents: &RegistryContents) -> Result<(), Failure> {
    let mut progress = Progress::new("configurations", contents.configs.len());
    for (scope, config) in &contents.configs {
        let mut config = config.clone();
        if let Some(members) = config.as_object_mut() {
            // The API reads the level as `compatibilityLevel` and sets it as `compatibility`.
            if let Some(level) = members.remove("compatibilityLevel") {
                members.insert("compatibility".to_owned(), level);
            }
            members.retain(|_, value| !value.is_null());
        }
        let result = target.set_config(scope, &config).await;
        result.map_err(|error| format!("the configuration of {} can't be set: {error}", scope_name(scope)))?;
        progress.step();
    }
    progress.end();
    Ok(())
}

/// Ends the mode IMPORT: sets the modes of the source, and elsewhere the former modes.
async fn set_final_modes(
    target: &RegistryClient,
    contents: &RegistryContents,
    plan: &ImportPlan<'_>,
    former: &FormerModes,
    no_modes: bool,
) -> Result<(), Failure> {
    let mut modes: BTreeMap<&str, Option<&str>> = former.iter().map(|(scope, mode)| (&**scope, mode.as_deref())).collect();
    let imported = contents.modes.iter().filter(|(_, mode)| !no_modes && *mode != IMPORT);
    modes.extend(imported.map(|(scope, mode)| (&**scope, Some(&**mode))));
    // Subjects before contexts: after a context is READONLY, its subjects could not be changed.
    let contexts: Vec<_> = plan.context_names().map(context_scope).collect();
    let of_subjects = modes.iter().filter(|(scope, _)| contexts.iter().all(|context| context != *scope));
    let of_contexts = contexts.iter().rev().filter_map(|scope| modes.get_key_value(&**scope));
    for (scope, mode) in of_subjects.chain(of_contexts) {
        match mode {
            Some(mode) => set_mode(target, scope, mode).await?,
            None if scope.is_empty() => set_mode(target, scope, "READWRITE").await?,
            None => target.delete_mode(scope).await.or_else(accept_missing)?,
        }
    }
    Ok(())
}

async fn set_mode(target: &RegistryClient, scope: &str, mode: &str) -> Result<(), Failure> {
    let result = target.set_mode(scope, mode, false).await;
    Ok(result.map_err(|error| format!("the mode of {} can't be set to {mode}: {error}", scope_name(scope)))?)
}

fn accept_missing(error: ClientError) -> Result<(), ClientError> {
    if error.is_refused_as_missing() { Ok(()) } else { Err(error) }
}

/// Returns a scope as messages call it.
fn scope_name(scope: &str) -> &str {
    if scope.is_empty() { "the default context" } else { scope }
}
