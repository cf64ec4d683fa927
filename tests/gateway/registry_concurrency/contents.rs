//! Everything that one gateway returns about its registry, read over its REST API.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use serde_json::Value;
use test_support::http;

use super::load::{Registered, path, text};

/// All schemas by subject and version, with their ids; and the lists of subjects, versions and contexts.
#[derive(Debug, PartialEq)]
pub struct RegistryContents {
    schemas: BTreeMap<(String, u64), (u64, Value)>,
    subjects: Value,
    versions: BTreeMap<String, Value>,
    contexts: Value,
}

async fn get(address: SocketAddr, what: &str) -> Value {
    let answer = http::get(address, &path(what)).await.unwrap();
    assert_eq!(answer.status, 200, "{what}: {}", answer.text());
    answer.json()
}

/// Returns the context of a subject name; `.` is the default context.
fn context(subject: &str) -> &str {
    subject.strip_prefix(':').and_then(|rest| rest.split_once(':')).map_or(".", |(context, _)| context)
}

impl RegistryContents {
    pub async fn read(address: SocketAddr) -> Self {
        let mut schemas = BTreeMap::new();
        for one in get(address, "/schemas?subjectPrefix=:*:").await.as_array().unwrap() {
            let subject = one["subject"].as_str().unwrap().to_owned();
            schemas.insert((subject, one["version"].as_u64().unwrap()), (one["id"].as_u64().unwrap(), text(one)));
        }
        let subjects = get(address, "/subjects").await;
        let mut versions = BTreeMap::new();
        for subject in subjects.as_array().unwrap() {
            let subject = subject.as_str().unwrap();
            versions.insert(subject.to_owned(), get(address, &format!("/subjects/{subject}/versions")).await);
        }
        Self { schemas, subjects, versions, contexts: get(address, "/contexts").await }
    }

    /// Checks the numbering. In each context, ids begin at 1, have no gaps, and each belongs to one schema. In each subject, versions
    /// begin at 1, have no gaps, and each has another schema. The lists of subjects, versions and contexts agree.
    pub fn check_numbering(&self) {
        let mut ids: BTreeMap<&str, BTreeMap<u64, BTreeSet<String>>> = BTreeMap::new();
        let mut versions: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        let mut texts: BTreeSet<(&str, String)> = BTreeSet::new();
        for ((subject, version), (id, schema)) in &self.schemas {
            ids.entry(context(subject)).or_default().entry(*id).or_default().insert(schema.to_string());
            versions.entry(subject).or_default().push(*version);
            assert!(texts.insert((subject, schema.to_string())), "{subject} has {schema} twice");
        }
        assert_eq!(ids.keys().copied().collect::<Vec<_>>(), [".", ".other"]);
        for (context, ids) in &ids {
            let expected: Vec<u64> = (1..=ids.len() as u64).collect();
            assert_eq!(ids.keys().copied().collect::<Vec<_>>(), expected, "{context}: gaps");
            assert!(ids.values().all(|texts| texts.len() == 1), "{context}: an id for several schemas");
            let distinct: BTreeSet<_> = ids.values().flatten().collect();
            assert_eq!(distinct.len(), ids.len(), "{context}: a schema with several ids");
        }
        for (subject, versions) in &versions {
            assert_eq!(*versions, (1..=versions.len() as u64).collect::<Vec<_>>(), "{subject}: gaps");
            assert_eq!(self.versions[*subject], serde_json::json!(versions), "{subject}");
        }
        let listed: BTreeSet<_> = self.subjects.as_array().unwrap().iter().map(|subject| subject.as_str().unwrap()).collect();
        assert_eq!(listed, versions.keys().copied().collect());
        assert_eq!(self.contexts, serde_json::json!([".", ".other"]));
    }

    /// Checks that the registry has every acknowledged registration, and no schema that no client registered.
    pub fn check_registrations(&self, acknowledged: &[Registered]) {
        let mut requested = BTreeSet::new();
        for one in acknowledged {
            let Registered { subject, version, id, schema } = one;
            assert_eq!(self.schemas.get(&(subject.clone(), *version)), Some(&(*id, schema.clone())), "{one:?} was acknowledged");
            requested.insert((subject, schema.to_string()));
        }
        assert_eq!(requested.len(), self.schemas.len(), "the registry has schemas that no client registered");
    }

    /// Checks that each id returns its schema.
    pub async fn check_ids(&self, address: SocketAddr) {
        for ((subject, version), (id, schema)) in &self.schemas {
            let schema_by_id = get(address, &format!("/schemas/ids/{id}?subject={subject}")).await;
            assert_eq!(
                (text(&schema_by_id), &schema_by_id["version"]),
                (schema.clone(), &serde_json::json!(version)),
                "{subject} {version} {id}"
            );
        }
    }
}
