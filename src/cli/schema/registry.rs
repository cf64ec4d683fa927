//! The REST API of a registry, as far as it is used here.

use std::collections::HashSet;

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    client::{Client, Repeat, Trouble},
    name::Prefix,
    record::{Key, Schema},
};

/// Schemas of one request. Registries have a limit of their own, often 1,000; what is over it comes with the next request.
const PAGE: usize = 200;
/// All but what is itself in every part of a URL.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A name as one segment of a path, or as a value of a query.
pub(super) fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// A registry.
pub(super) struct Registry {
    client: Client,
}

impl Registry {
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        self.client.url()
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Trouble> {
        let body = self.client.ask(Method::GET, path, None, Repeat::Yes).await?;
        self.read(path, &body)
    }

    /// What may not be there.
    pub async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Trouble> {
        match self.get(path).await {
            Err(trouble) if trouble.is_absent() => Ok(None),
            other => other.map(Some),
        }
    }

    pub async fn post(&self, path: &str, body: &Value, repeat: Repeat) -> Result<Value, Trouble> {
        let body = self.client.ask(Method::POST, path, Some(body.to_string().into()), repeat).await?;
        if body.is_empty() { Ok(Value::Null) } else { self.read(path, &body) }
    }

    pub async fn put(&self, path: &str, body: &Value) -> Result<(), Trouble> {
        self.client.ask(Method::PUT, path, Some(body.to_string().into()), Repeat::Yes).await.map(drop)
    }

    pub async fn delete(&self, path: &str) -> Result<(), Trouble> {
        self.client.ask(Method::DELETE, path, None, Repeat::Yes).await.map(drop)
    }

    fn read<T: DeserializeOwned>(&self, path: &str, body: &[u8]) -> Result<T, Trouble> {
        serde_json::from_slice(body).map_err(|error| {
            let url = self.client.url();
            Trouble::Lost(format!(
                "{url}{path} does not answer as a schema registry does ({error}); is --url right, and does it lack a path?"
            ))
        })
    }

    /// A version of a subject; the latest one if none is named.
    pub async fn version(&self, subject: &str, version: Option<&str>, query: &str) -> Result<Value, Trouble> {
        let version = version.unwrap_or("latest");
        self.get(&format!("/subjects/{}/versions/{}{query}", escape(subject), escape(version))).await
    }

    /// Versions of subjects, by subject and version. Those that are softly deleted are marked.
    pub async fn schemas(&self, prefix: &Prefix, deleted: bool, latest_only: bool) -> Result<Vec<Schema>, Trouble> {
        let mut found = self.list(prefix, deleted, latest_only).await?;
        // Older registries list what is deleted without saying that it is.
        if deleted && found.iter().all(|schema| !schema.deleted) {
            let live: HashSet<Key> = self.list(prefix, false, latest_only).await?.iter().map(Schema::key).collect();
            for schema in &mut found {
                schema.deleted = !live.contains(&schema.key());
            }
        }
        found.sort_by(|one, other| (&one.subject, one.version).cmp(&(&other.subject, other.version)));
        Ok(found)
    }

    async fn list(&self, prefix: &Prefix, deleted: bool, latest_only: bool) -> Result<Vec<Schema>, Trouble> {
        let query = format!("subjectPrefix={}&deleted={deleted}&latestOnly={latest_only}&limit={PAGE}", escape(&prefix.query()));
        match self.pages(&query).await {
            Err(trouble) if trouble.is_missing() => self.one_by_one(prefix, deleted, latest_only).await,
            rows => Ok(rows?.into_iter().filter(|schema: &Schema| prefix.matches(&schema.subject)).collect()),
        }
    }

    /// Names that stand for other subjects, as far as the registry tells them.
    pub async fn aliases(&self) -> Result<Vec<String>, Trouble> {
        let query = format!("subjectPrefix={}&aliases=true&latestOnly=true&limit={PAGE}", escape(":*:"));
        let rows = match self.pages(&query).await {
            Err(trouble) if trouble.is_absent() => Vec::new(),
            rows => rows?,
        };
        Ok(rows.into_iter().flat_map(|row| row.aliases.into_iter().chain([row.subject])).collect())
    }

    async fn pages(&self, query: &str) -> Result<Vec<Schema>, Trouble> {
        let (mut found, mut seen, mut offset) = (Vec::new(), HashSet::new(), 0);
        loop {
            let page: Vec<Schema> = self.get(&format!("/schemas?{query}&offset={offset}")).await?;
            offset += page.len();
            let before = seen.len();
            found.extend(page.into_iter().filter(|schema| seen.insert(schema.key())));
            // A registry that doesn't know pages gives everything each time.
            if seen.len() == before {
                return Ok(found);
            }
        }
    }

    /// For registries that have no list of schemas.
    async fn one_by_one(&self, prefix: &Prefix, deleted: bool, latest_only: bool) -> Result<Vec<Schema>, Trouble> {
        let subjects: Vec<String> = self.get(&format!("/subjects?deleted={deleted}")).await?;
        let mut found = Vec::new();
        for subject in subjects.into_iter().filter(|subject| prefix.matches(subject)) {
            let path = format!("/subjects/{}/versions", escape(&subject));
            let versions: Vec<u32> = self.get(&format!("{path}?deleted={deleted}")).await?;
            let first = if latest_only { versions.len().saturating_sub(1) } else { 0 };
            for version in versions.get(first..).unwrap_or_default() {
                found.push(self.get(&format!("{path}/{version}?deleted={deleted}")).await?);
            }
        }
        Ok(found)
    }
}
