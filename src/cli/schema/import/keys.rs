//! Entries of keys: where keys that encrypt keys are, and data keys that clients have encrypted.

use serde_json::{Map, Value};

use super::super::{
    client::{Repeat, Trouble},
    contents::Contents,
    gather,
    progress::Progress,
    registry::{Registry, escape},
};
use crate::cli::Failure;

const KEKS: &str = "/dek-registry/v1/keks";

/// Brings the keys that are not there yet, and gives what could not be brought.
pub(super) async fn import(target: &Registry, contents: &Contents) -> Result<Vec<String>, Failure> {
    let mut notes = Vec::new();
    if contents.keks.is_empty() {
        return Ok(notes);
    }
    let mut there = Contents::default();
    gather::keys(target, &mut there).await?;
    let missing = |wanted: &[Value], there: &[Value], members: &[&str]| -> Vec<Value> {
        let same = |one: &Value, other: &Value| members.iter().all(|member| one.get(member) == other.get(member));
        wanted.iter().filter(|one| !there.iter().any(|other| same(one, other))).cloned().collect()
    };
    let keks = missing(&contents.keks, &there.keks, &["name"]);
    let deks = missing(&contents.deks, &there.deks, &["kekName", "subject", "algorithm", "version"]);
    let mut progress = Progress::new("keys", keks.len() + deks.len());
    for kek in &keks {
        create(target, KEKS, kek, &["name", "kmsType", "kmsKeyId", "kmsProps", "doc", "shared"]).await?;
        progress.step();
    }
    for dek in &deks {
        if text(dek, "encryptedKeyMaterial").is_empty() {
            let (subject, kek) = (text(dek, "subject"), text(dek, "kekName"));
            notes.push(format!("the data key of {subject} below {kek} was not brought: the source does not tell it in its encrypted form"));
            continue;
        }
        let path = format!("{}/deks", below(text(dek, "kekName")));
        create(target, &path, dek, &["subject", "version", "algorithm", "encryptedKeyMaterial"]).await?;
        progress.step();
    }
    for dek in deks.iter().filter(|dek| is_deleted(dek) && !text(dek, "encryptedKeyMaterial").is_empty()) {
        let version = dek.get("version").map(ToString::to_string).unwrap_or_default();
        let (kek, subject) = (below(text(dek, "kekName")), escape(text(dek, "subject")));
        let path = format!("{kek}/deks/{subject}/versions/{version}?algorithm={}", escape(text(dek, "algorithm")));
        target.delete(&path).await?;
    }
    for kek in keks.iter().filter(|kek| is_deleted(kek)) {
        target.delete(&below(text(kek, "name"))).await?;
    }
    progress.end();
    Ok(notes)
}

async fn create(target: &Registry, path: &str, entry: &Value, members: &[&str]) -> Result<(), Trouble> {
    let kept = members.iter().filter_map(|member| Some(((*member).to_owned(), entry.get(member)?.clone())));
    let body: Map<String, Value> = kept.filter(|(_, value)| !value.is_null()).collect();
    target.post(path, &Value::Object(body), Repeat::Yes).await.map(drop)
}

fn below(kek: &str) -> String {
    format!("{KEKS}/{}", escape(kek))
}

fn text<'a>(entry: &'a Value, member: &str) -> &'a str {
    entry.get(member).and_then(Value::as_str).unwrap_or_default()
}

fn is_deleted(entry: &Value) -> bool {
    entry.get("deleted").and_then(Value::as_bool) == Some(true)
}
