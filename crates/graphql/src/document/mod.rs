//! Documents: parsed, limited, validated, and kept for the next request with the same text.

mod positions;
mod scan;

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use async_graphql::{
    Positioned, Request, Response, Variables,
    dynamic::Schema,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextExecute},
    parser::{
        parse_query,
        types::{DocumentOperations, ExecutableDocument, OperationDefinition},
    },
};
use aws_lc_rs::digest::{SHA256, digest};
use lru::LruCache;

use crate::{GraphqlLimits, GraphqlRequest, RequestError, limits::DocumentMeter, request::malformed};

/// Documents that a schema keeps.
const KEPT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(127);
/// Texts that a schema keeps for clients that send only their hashes.
const KEPT_TEXTS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);
/// Longer documents are not kept.
const MAX_KEPT_BYTES: usize = 8 << 10;

/// A validated document, and one of its operations.
pub struct Document {
    executable: ExecutableDocument,
    operation_name: Option<String>,
    tokens: usize,
}

impl Document {
    /// Returns the document.
    pub fn executable(&self) -> &ExecutableDocument {
        &self.executable
    }

    /// Returns the operation of the request.
    pub fn operation(&self) -> Option<&Positioned<OperationDefinition>> {
        find_operation(&self.executable, self.operation_name.as_deref()).ok()
    }
}

/// The text of a document, and the operation in it.
type DocumentKey = (String, Option<String>);

/// Documents of a schema that were validated.
pub struct DocumentCache {
    documents: Mutex<LruCache<DocumentKey, Arc<Document>>>,
    /// The texts of documents by their SHA-256 hashes.
    texts: Mutex<LruCache<[u8; 32], String>>,
}

impl Default for DocumentCache {
    fn default() -> Self {
        Self { documents: Mutex::new(LruCache::new(KEPT)), texts: Mutex::new(LruCache::new(KEPT_TEXTS)) }
    }
}

impl DocumentCache {
    /// Returns the document of a request, valid for this schema.
    pub async fn document(&self, schema: &Schema, request: &GraphqlRequest, limits: &GraphqlLimits) -> Result<Arc<Document>, RequestError> {
        let key = (self.text(request)?, request.operation_name.clone());
        if let Some(known) = self.documents.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            scan::check_count(known.tokens, limits)?;
            self.keep_text(request.hash, &key.0);
            return Ok(known.clone());
        }
        let text = &key.0;
        let tokens = scan::count_tokens(text, limits)?;
        let executable = parse_query(text).map_err(|error| RequestError::found("GRAPHQL_SYNTAX", vec![error.into()]))?;
        find_operation(&executable, request.operation_name.as_deref())?;
        DocumentMeter::check_document(&executable, limits)?;
        for (_, operation) in executable.operations.iter() {
            positions::check_variable_types(schema.registry(), &operation.node)?;
        }
        let mut checked = Request::new(String::new());
        checked.operation_name = is_ambiguous(&executable).then(|| request.operation_name.clone()).flatten();
        checked.set_parsed_query(executable.clone());
        let response = schema.execute(checked).await;
        if !response.errors.is_empty() {
            return Err(RequestError::found("GRAPHQL_VALIDATION", response.errors));
        }
        for (_, operation) in executable.operations.iter() {
            positions::check_variables(schema.registry(), &executable, &operation.node)?;
        }
        let document = Arc::new(Document { executable, operation_name: request.operation_name.clone(), tokens });
        if text.len() <= MAX_KEPT_BYTES {
            self.keep_text(request.hash, text);
            self.documents.lock().unwrap_or_else(PoisonError::into_inner).put(key, document.clone());
        }
        Ok(document)
    }

    /// Keeps the text of a valid document for clients that send only its hash.
    fn keep_text(&self, hash: Option<[u8; 32]>, text: &str) {
        if let Some(hash) = hash {
            self.texts.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(hash, || text.to_owned());
        }
    }

    /// Returns the text of the document of a request, which may be known by its hash.
    fn text(&self, request: &GraphqlRequest) -> Result<String, RequestError> {
        if let Some(id) = &request.document_id {
            let message = format!("documentId: there is no trusted document {id}; this frontend has none (setting trusted_documents)");
            return Err(RequestError::one("PERSISTED_QUERY_NOT_FOUND", message, None));
        }
        let Some(hash) = request.hash else { return Ok(request.query.clone()) };
        if request.query.is_empty() {
            let known = self.texts.lock().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned();
            // Clients compare the message, and send the whole document then.
            return known.ok_or_else(|| RequestError::one("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound", None));
        }
        let is_its_hash = digest(&SHA256, request.query.as_bytes()).as_ref() == hash;
        let refuse = || RequestError::from(malformed("extensions.persistedQuery.sha256Hash", "is not the hash of query"));
        if is_its_hash { Ok(request.query.clone()) } else { Err(refuse()) }
    }
}

/// Answers the questions about the schema in an operation. Other fields of it are `null` in the response.
pub async fn introspect(schema: &Schema, document: &Document, variables: &Variables) -> Response {
    let mut request = Request::new(String::new()).variables(variables.clone()).data(Introspection);
    request.operation_name = is_ambiguous(&document.executable).then(|| document.operation_name.clone()).flatten();
    request.set_parsed_query(document.executable.clone());
    schema.execute(request).await
}

/// Tells whether a request has to name the operation, so that the library finds it.
fn is_ambiguous(document: &ExecutableDocument) -> bool {
    matches!(document.operations, DocumentOperations::Multiple(_))
}

/// Finds the operation of a request ("GraphQL", section 6.1). A single operation with a name is stored under it.
fn find_operation<'d>(document: &'d ExecutableDocument, name: Option<&str>) -> Result<&'d Positioned<OperationDefinition>, RequestError> {
    let unknown = |name: &str| RequestError::one("GRAPHQL_OPERATION", format!("the document has no operation {name}"), None);
    match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Ok(operation),
        (DocumentOperations::Single(_), Some(name)) => Err(unknown(name)),
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name).ok_or_else(|| unknown(name)),
        (DocumentOperations::Multiple(operations), None) => match operations.values().next() {
            Some(operation) if operations.len() == 1 => Ok(operation),
            _ => Err(RequestError::one("GRAPHQL_OPERATION", "the document has several operations; name one in operationName", None)),
        },
    }
}

/// Marks a request whose questions about the schema are answered.
struct Introspection;

/// Ends requests after their validation, unless they are marked.
pub struct ValidationOnly;

impl ExtensionFactory for ValidationOnly {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_graphql::async_trait::async_trait]
impl Extension for ValidationOnly {
    async fn execute(&self, context: &ExtensionContext<'_>, operation_name: Option<&str>, next: NextExecute<'_>) -> Response {
        match context.data_opt::<Introspection>() {
            Some(_) => next.run(context, operation_name).await,
            None => Response::default(),
        }
    }
}
