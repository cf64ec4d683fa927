//! Import of keys: key encryption keys (KEKs), and data encryption keys (DEKs) that clients have encrypted with them.

use serde_json::{Map, Value};

use super::super::{contents::RegistryContents, gather, progress::Progress};
use crate::cli::Failure;
use prism_registry_client::RegistryClient;

/// Creates the keys that the target lacks. Returns a note for each key that can't be imported.
pub(super) async fn import(target: &RegistryClient, contents: &RegistryContents) -> Result<Vec<String>, Failure> {
    let mut notes = Vec::new();
    if contents.keks.is_empty() {
        return Ok(notes);
    }
    let mut existing = RegistryContents::default();
    gather::read_keys(target, &mut existing).await?;
    let keks = missing(&contents.keks, &existing.keks, &["name"]);
    let deks = missing(&contents.deks, &existing.deks, &["kekName", "subject", "algorithm", "version"]);
    let mut progress = Progress::new("keys", keks.len() + deks.len());
    for kek in &keks {
        target.create_kek(&pick(kek, &["name", "kmsType", "kmsKeyId", "kmsProps", "doc", "shared"])).await?;
        progress.step();
    }
    for dek in &deks {
        if text(dek, "encryptedKeyMaterial").is_empty() {
            let (subject, kek) = (text(dek, "subject"), text(dek, "kekName"));
            notes.push(format!(
                "the data key of subject {subject} below {kek} was not imported: the source does not return its encrypted form"
            ));
            continue;
        }
        let body = pick(dek, &["subject", "version", "algorithm", "encryptedKeyMaterial"]);
        target.create_dek(text(dek, "kekName"), &body).await?;
        progress.step();
    }
    for dek in deks.iter().filter(|dek| is_deleted(dek) && !text(dek, "encryptedKeyMaterial").is_empty()) {
        let version = dek.get("version").and_then(Value::as_u64).unwrap_or_default();
        target.delete_dek(text(dek, "kekName"), text(dek, "subject"), version, text(dek, "algorithm")).await?;
    }
    for kek in keks.iter().filter(|kek| is_deleted(kek)) {
        target.delete_kek(text(kek, "name")).await?;
    }
    progress.end();
    Ok(notes)
}

/// Returns the keys that do not exist yet. Two keys are the same if the identifying members are equal.
fn missing(wanted: &[Value], existing: &[Value], identity: &[&str]) -> Vec<Value> {
    let is_same = |one: &Value, other: &Value| identity.iter().all(|member| one.get(member) == other.get(member));
    wanted.iter().filter(|one| !existing.iter().any(|other| is_same(one, other))).cloned().collect()
}

/// Returns an object with some of the members, without nulls.
fn pick(entry: &Value, members: &[&str]) -> Value {
    let kept = members.iter().filter_map(|member| Some(((*member).to_owned(), entry.get(member)?.clone())));
    Value::Object(kept.filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
}

fn text<'a>(entry: &'a Value, member: &str) -> &'a str {
    entry.get(member).and_then(Value::as_str).unwrap_or_default()
}

fn is_deleted(entry: &Value) -> bool {
    entry.get("deleted").and_then(Value::as_bool) == Some(true)
}
