//! The requests of the REST API: schemas, subjects, compatibility, configurations and modes.

use std::collections::HashSet;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    error::ClientError,
    record::{SchemaKey, SchemaRecord, or_default},
    settings::ClientSettings,
    subject::{SubjectPrefix, context_scope},
    transport::{Retry, Transport},
};

/// Schemas of one page. Registries have a limit of their own, often 1,000.
const PAGE_SIZE: usize = 200;
/// Everything but the unreserved characters of RFC 3986, section 2.3.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Escapes a text for a segment of a path or a value of a query.
pub fn escape_segment(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// Escapes the full name of a subject for a segment of a path.
pub(crate) fn escape_subject(subject: &str) -> String {
    // URL parsers remove the segments `.` and `..`, escaped or not. The name with the default context means the same subject.
    if matches!(subject, "." | "..") { escape_segment(&format!(":.:{subject}")) } else { escape_segment(subject) }
}

/// A client of one registry.
pub struct RegistryClient {
    transport: Transport,
}

/// What a request for a schema asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct SchemaQuery<'a> {
    /// Whether softly deleted versions are found too.
    pub deleted: bool,
    /// The format of the text, as `resolved` or `serialized`. Which ones there are depends on the schema's type.
    pub format: Option<&'a str>,
}

impl SchemaQuery<'_> {
    fn to_query(self) -> String {
        let format = self.format.map(|format| format!("&format={}", escape_segment(format)));
        format!("deleted={}{}", self.deleted, format.unwrap_or_default())
    }
}

/// The answer to a compatibility check.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct CompatibilityReport {
    /// Whether the schema may be registered.
    pub is_compatible: bool,
    /// The differences; after them, in braces, the earlier version, its text and the level.
    #[serde(default, deserialize_with = "or_default")]
    pub messages: Vec<String>,
}

impl RegistryClient {
    /// Creates a client. Nothing is sent yet.
    pub fn new(settings: ClientSettings) -> Result<Self, ClientError> {
        Ok(Self { transport: Transport::new(settings)? })
    }

    /// Returns the URL of the settings, without a slash at its end.
    pub fn url(&self) -> &str {
        self.transport.url()
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let body = self.transport.send(Method::GET, path, None, Retry::Allowed).await?;
        self.parse(path, &body)
    }

    /// Returns `None` if there is no such object or the registry has no such path.
    pub(crate) async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, ClientError> {
        match self.get(path).await {
            Err(error) if error.is_missing() => Ok(None),
            other => other.map(Some),
        }
    }

    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value, retry: Retry) -> Result<T, ClientError> {
        let body = self.transport.send(Method::POST, path, Some(body), retry).await?;
        self.parse(path, if body.is_empty() { b"null" } else { &body })
    }

    /// Posts, and requires a number in the answer: without it, the server is not a schema registry.
    async fn post_for(&self, member: &str, path: &str, body: &Value, retry: Retry) -> Result<Value, ClientError> {
        let answer: Value = self.post(path, body, retry).await?;
        if answer.get(member).is_some_and(Value::is_u64) {
            return Ok(answer);
        }
        Err(self.transport.unexpected_answer(200, path, &format!("has an unexpected body (it has no `{member}`)")))
    }

    async fn put(&self, path: &str, body: &Value) -> Result<(), ClientError> {
        self.transport.send(Method::PUT, path, Some(body), Retry::Allowed).await.map(drop)
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<(), ClientError> {
        self.transport.send(Method::DELETE, path, None, Retry::Allowed).await.map(drop)
    }

    fn parse<T: DeserializeOwned>(&self, path: &str, body: &[u8]) -> Result<T, ClientError> {
        serde_json::from_slice(body)
            .map_err(|error| self.transport.unexpected_answer(200, path, &format!("has an unexpected body ({error})")))
    }

    /// Returns a version of a subject: `latest` or a number.
    pub async fn schema_by_version<T: DeserializeOwned>(
        &self,
        subject: &str,
        version: &str,
        query: SchemaQuery<'_>,
    ) -> Result<T, ClientError> {
        self.get(&format!("/subjects/{}/versions/{}?{}", escape_subject(subject), escape_segment(version), query.to_query())).await
    }

    /// Returns the schema with an id in a context; without a context, in the default one.
    pub async fn schema_by_id<T: DeserializeOwned>(
        &self,
        id: u32,
        context: Option<&str>,
        query: SchemaQuery<'_>,
    ) -> Result<T, ClientError> {
        let subject = context.map(|context| format!("&subject={}", escape_segment(&context_scope(context))));
        self.get(&format!("/schemas/ids/{id}?{}{}", query.to_query(), subject.unwrap_or_default())).await
    }

    /// Returns the schema with a GUID.
    pub async fn schema_by_guid<T: DeserializeOwned>(&self, guid: &str, query: SchemaQuery<'_>) -> Result<T, ClientError> {
        self.get(&format!("/schemas/guids/{}?{}", escape_segment(guid), query.to_query())).await
    }

    /// Returns the numbers of a subject's versions that are not deleted.
    pub async fn list_versions(&self, subject: &str) -> Result<Vec<u32>, ClientError> {
        self.get(&format!("/subjects/{}/versions", escape_subject(subject))).await
    }

    /// Returns versions of subjects, ordered by subject and version. With `deleted`, softly deleted ones are included and marked.
    pub async fn list_schemas(&self, prefix: &SubjectPrefix, deleted: bool, latest_only: bool) -> Result<Vec<SchemaRecord>, ClientError> {
        let mut schemas = self.list_unmarked(prefix, deleted, latest_only).await?;
        // Older registries list deleted versions without marking them.
        if deleted && schemas.iter().all(|schema| !schema.deleted) {
            let live: HashSet<SchemaKey> = self.list_unmarked(prefix, false, latest_only).await?.iter().map(SchemaRecord::key).collect();
            for schema in &mut schemas {
                schema.deleted = !live.contains(&schema.key());
            }
        }
        schemas.sort_by(|one, other| (&one.subject, one.version).cmp(&(&other.subject, other.version)));
        Ok(schemas)
    }

    async fn list_unmarked(&self, prefix: &SubjectPrefix, deleted: bool, latest_only: bool) -> Result<Vec<SchemaRecord>, ClientError> {
        let query =
            format!("subjectPrefix={}&deleted={deleted}&latestOnly={latest_only}&limit={PAGE_SIZE}", escape_segment(&prefix.to_query()));
        match self.list_pages(&query).await {
            Err(error) if error.is_refused_as_missing() => self.list_one_by_one(prefix, deleted, latest_only).await,
            schemas => Ok(schemas?.into_iter().filter(|schema: &SchemaRecord| prefix.matches(&schema.subject)).collect()),
        }
    }

    /// Returns aliases and the subjects that they stand for. Registries without aliases return none.
    pub async fn list_aliases(&self) -> Result<Vec<String>, ClientError> {
        let query = format!("subjectPrefix={}&aliases=true&latestOnly=true&deleted=true&limit={PAGE_SIZE}", escape_segment(":*:"));
        let schemas = match self.list_pages(&query).await {
            Err(error) if error.is_missing() => Vec::new(),
            schemas => schemas?,
        };
        Ok(schemas.into_iter().flat_map(|schema| schema.aliases.into_iter().chain([schema.subject])).collect())
    }

    async fn list_pages(&self, query: &str) -> Result<Vec<SchemaRecord>, ClientError> {
        let (mut schemas, mut seen, mut offset) = (Vec::new(), HashSet::new(), 0);
        loop {
            let page: Vec<SchemaRecord> = self.get(&format!("/schemas?{query}&offset={offset}")).await?;
            offset += page.len();
            let before = seen.len();
            schemas.extend(page.into_iter().filter(|schema| seen.insert(schema.key())));
            // A registry that does not support pages returns everything each time.
            if seen.len() == before {
                return Ok(schemas);
            }
        }
    }

    /// Asks for each version, since older registries have no list of schemas.
    async fn list_one_by_one(&self, prefix: &SubjectPrefix, deleted: bool, latest_only: bool) -> Result<Vec<SchemaRecord>, ClientError> {
        let subjects: Vec<String> = self.get(&format!("/subjects?deleted={deleted}")).await?;
        let mut schemas = Vec::new();
        for subject in subjects.into_iter().filter(|subject| prefix.matches(subject)) {
            let path = format!("/subjects/{}/versions", escape_subject(&subject));
            let versions: Vec<u32> = self.get(&format!("{path}?deleted={deleted}")).await?;
            let first = if latest_only { versions.len().saturating_sub(1) } else { 0 };
            for version in versions.get(first..).unwrap_or_default() {
                schemas.push(self.get(&format!("{path}/{version}?deleted={deleted}")).await?);
            }
        }
        Ok(schemas)
    }

    /// Returns the names of the contexts; `None` if the registry has no contexts.
    pub async fn list_contexts(&self) -> Result<Option<Vec<String>>, ClientError> {
        self.find("/contexts").await
    }

    /// Registers a schema. Without `normalize`, the registry decides whether it normalizes the text.
    pub async fn register(&self, subject: &str, body: &Value, normalize: Option<bool>, retry: Retry) -> Result<Value, ClientError> {
        let query = normalize.map(|normalize| format!("?normalize={normalize}")).unwrap_or_default();
        self.post_for("id", &format!("/subjects/{}/versions{query}", escape_subject(subject)), body, retry).await
    }

    /// Returns the version of a subject that has this schema.
    pub async fn look_up(&self, subject: &str, body: &Value, normalize: bool) -> Result<Value, ClientError> {
        self.post_for("version", &format!("/subjects/{}?normalize={normalize}", escape_subject(subject)), body, Retry::Allowed).await
    }

    /// Checks whether a schema is compatible with one version, or with those that a registration is checked against.
    pub async fn check_compatibility(
        &self,
        subject: &str,
        version: Option<&str>,
        body: &Value,
        normalize: bool,
    ) -> Result<CompatibilityReport, ClientError> {
        let version = version.map(|version| format!("/{}", escape_segment(version))).unwrap_or_default();
        let path = format!("/compatibility/subjects/{}/versions{version}?verbose=true&normalize={normalize}", escape_subject(subject));
        self.post(&path, body, Retry::Allowed).await
    }

    /// Deletes a version softly.
    pub async fn delete_version(&self, subject: &str, version: u32) -> Result<(), ClientError> {
        self.delete(&format!("/subjects/{}/versions/{version}", escape_subject(subject))).await
    }

    /// Returns the configuration of a scope: a subject, a context as `:.context:`, or everything if it is empty.
    pub async fn config(&self, scope: &str) -> Result<Option<Value>, ClientError> {
        self.find(&scoped("config", scope)).await
    }

    /// Sets the configuration of a scope.
    pub async fn set_config(&self, scope: &str, config: &Value) -> Result<(), ClientError> {
        self.put(&scoped("config", scope), config).await
    }

    /// Returns the mode of a scope, as `READWRITE`.
    pub async fn mode(&self, scope: &str) -> Result<Option<String>, ClientError> {
        let mode: Option<Value> = self.find(&scoped("mode", scope)).await?;
        Ok(mode.as_ref().and_then(|mode| Some(mode.get("mode")?.as_str()?.to_owned())))
    }

    /// Sets the mode of a scope. With `force`, the mode `IMPORT` is set even if the scope has schemas.
    pub async fn set_mode(&self, scope: &str, mode: &str, force: bool) -> Result<(), ClientError> {
        let query = if force { "?force=true" } else { "" };
        self.put(&format!("{}{query}", scoped("mode", scope)), &json!({"mode": mode})).await
    }

    /// Deletes the mode of a scope, so that the mode of the wider scope applies.
    pub async fn delete_mode(&self, scope: &str) -> Result<(), ClientError> {
        self.delete(&scoped("mode", scope)).await
    }
}

fn scoped(resource: &str, scope: &str) -> String {
    if scope.is_empty() { format!("/{resource}") } else { format!("/{resource}/{}", escape_subject(scope)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_of_dots_stay_in_the_path() {
        let url = |subject: &str| reqwest::Url::parse(&format!("http://a/subjects/{}/versions", escape_subject(subject))).unwrap();
        assert_eq!(url("a/b").path(), "/subjects/a%2Fb/versions");
        assert_eq!(url(":.x:s").path(), "/subjects/%3A.x%3As/versions");
        assert_eq!(url("..").path(), "/subjects/%3A.%3A../versions");
    }
}
