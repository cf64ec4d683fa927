//! The settings of a GraphQL frontend.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{GraphqlLimits, TrustedDocuments};
use prism_settings::{ByteSize, CheckSettings, Count, SettingProblem};

/// Settings of a frontend of the type `graphql`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GraphqlSettings {
    /// Whether clients may read the schema, by introspection and as text.
    pub introspection: bool,
    /// Longest chain of fields in an operation, 1 to 32.
    pub max_depth: Count<32>,
    /// Maximum cost of an operation: its fields, with those of fragments counted at each use, and those below a list with `first` counted as
    /// often as `first` says.
    pub max_complexity: Count<1_000_000>,
    /// Maximum fields with an alias in a document.
    pub max_aliases: Count<10_000>,
    /// Maximum directives in a document.
    pub max_directives: Count<10_000>,
    /// Maximum tokens of a document: names, numbers, texts and signs.
    pub max_tokens: Count<100_000>,
    /// Maximum size of a response.
    pub max_response_bytes: ByteSize<1024, 1_073_741_824>,
    /// Whether the schema is a subgraph of a federation (Apollo Federation 2): its queries are below a field for the namespace, and what is read
    /// by a key is an entity.
    pub federation: bool,
    /// A folder, or a file, with the only documents that clients may send: `*.graphql`, `*.gql`, and `*.json` with texts by their ids. Without it,
    /// all documents are accepted.
    pub trusted_documents: Option<PathBuf>,
    /// A namespace with the pattern `keyvalue` that has the only documents that clients may send. The keys are their ids, or `sha256:` and the hashes
    /// of their texts.
    pub trusted_documents_namespace: Option<String>,
}

impl Default for GraphqlSettings {
    fn default() -> Self {
        Self {
            introspection: true,
            max_depth: Count::new(20),
            max_complexity: Count::new(2_000),
            max_aliases: Count::new(200),
            max_directives: Count::new(50),
            max_tokens: Count::new(5_000),
            max_response_bytes: ByteSize::new(32 << 20),
            federation: false,
            trusted_documents: None,
            trusted_documents_namespace: None,
        }
    }
}

impl CheckSettings for GraphqlSettings {}

impl GraphqlSettings {
    /// Reads the trusted documents, if there are some.
    pub fn load_trusted_documents(&self) -> Result<Option<TrustedDocuments>, SettingProblem> {
        let Some(path) = &self.trusted_documents else { return Ok(None) };
        TrustedDocuments::load(path)
            .map(Some)
            .map_err(|problem| SettingProblem::other("trusted_documents", format!("can't be used: {problem}")))
    }

    /// Returns the limits of requests.
    pub fn limits(&self) -> GraphqlLimits {
        GraphqlLimits {
            introspection: self.introspection,
            max_depth: self.max_depth.to_usize(),
            max_complexity: self.max_complexity.to_usize(),
            max_aliases: self.max_aliases.to_usize(),
            max_directives: self.max_directives.to_usize(),
            max_tokens: self.max_tokens.to_usize(),
            max_response_bytes: self.max_response_bytes.to_usize(),
        }
    }
}
