//! What a binding serves: its settings, and the schema of its namespace, or of all namespaces of a gateway. It is built at the first request.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt as _, stream};

use super::stored_documents::StoredDocuments;
use crate::{derived::Derived, documents, variants::Variants};
use prism_call::{Admitted, Error, Method, Namespace, proto::patterns::slots::v1::Capabilities};
use prism_graphql::{GatewayNamespace, GraphqlLimits, GraphqlRequest, GraphqlSchema, GraphqlSettings, RequestError, TrustedDocuments};

/// How long the schema of a gateway waits for the capabilities of a namespace. Until they are known, it has all RPCs of the namespace.
const CAPABILITIES_WAIT: Duration = Duration::from_secs(2);
/// Namespaces that are asked for their capabilities at the same time.
const CONCURRENT_QUESTIONS: usize = 16;

/// A GraphQL frontend of a namespace, or of a gateway.
pub struct GraphqlFrontend {
    /// The limits of requests.
    pub limits: GraphqlLimits,
    /// Whether the page for browsers and the schema as text are served.
    pub documentation: bool,
    /// Whether the schema is a subgraph of a federation.
    is_subgraph: bool,
    /// The only documents that are accepted; `None`: all are.
    trusted: Option<Arc<TrustedDocuments>>,
    /// The same, in a namespace.
    stored: Option<StoredDocuments>,
    source: SchemaSource,
    /// The schemas without RPCs that are hidden from their readers.
    visible: Arc<Variants<GatewayCapabilities, GraphqlSchema>>,
}

/// Where the schema comes from.
enum SchemaSource {
    Namespace(Derived<GraphqlSchema>),
    Gateway {
        namespaces: Arc<GatewayNamespaces>,
        schema: Derived<GraphqlSchema, GatewayCapabilities>,
    },
    /// It is that of a definition, whatever the namespace can do.
    Defined(Arc<GraphqlSchema>),
}

/// The namespaces of a gateway, by their names.
pub type GatewayNamespaces = BTreeMap<Arc<str>, Arc<Namespace>>;
/// The encoded capabilities of the namespaces of a gateway, in the order of their names. `None`: they are not known.
type GatewayCapabilities = Vec<Option<Bytes>>;

impl GraphqlFrontend {
    /// Creates a frontend with these settings, and the trusted documents that they name.
    pub fn new(settings: &GraphqlSettings, trusted: Option<Arc<TrustedDocuments>>, documentation: bool) -> Self {
        let source = SchemaSource::Namespace(Derived::default());
        Self {
            limits: settings.limits(),
            documentation,
            is_subgraph: settings.federation,
            trusted,
            stored: None,
            source,
            visible: Arc::default(),
        }
    }

    /// Serves these namespaces instead of one, each as a field.
    #[must_use]
    pub fn of_gateway(self, namespaces: impl IntoIterator<Item = Arc<Namespace>>) -> Self {
        let namespaces = namespaces.into_iter().map(|namespace| (namespace.name.clone(), namespace)).collect();
        Self { source: SchemaSource::Gateway { namespaces: Arc::new(namespaces), schema: Derived::default() }, ..self }
    }

    /// Accepts only the documents in a namespace with the pattern `keyvalue`.
    #[must_use]
    pub fn with_documents_in(self, namespace: Arc<Namespace>) -> Self {
        Self { stored: Some(StoredDocuments::new(namespace)), ..self }
    }

    /// Serves the schema of a definition instead of that of the namespace.
    #[must_use]
    pub fn of_definition(self, schema: Arc<GraphqlSchema>) -> Self {
        Self { source: SchemaSource::Defined(schema), ..self }
    }

    /// Returns the namespaces, if the frontend serves several.
    pub fn namespaces(&self) -> Option<&Arc<GatewayNamespaces>> {
        match &self.source {
            SchemaSource::Namespace(_) | SchemaSource::Defined(_) => None,
            SchemaSource::Gateway { namespaces, .. } => Some(namespaces),
        }
    }

    /// Returns a request with its document, if it names a trusted one.
    pub async fn resolve(&self, admitted: &Admitted<'_>, mut request: GraphqlRequest) -> Result<GraphqlRequest, RequestError> {
        if let Some(trusted) = &self.trusted {
            trusted.resolve(&mut request)?;
        }
        if let Some(stored) = &self.stored {
            stored.resolve(admitted, &mut request).await?;
        }
        Ok(request)
    }

    /// Returns the schema with everything that the namespaces can do. Calls are prepared with it, so a caller who may not call an RPC is told so.
    pub async fn schema(&self, admitted: &Admitted<'_>) -> Result<Arc<GraphqlSchema>, Error> {
        let is_subgraph = self.is_subgraph;
        match &self.source {
            SchemaSource::Namespace(schema) => {
                let name = admitted.namespace().name.clone();
                let build = move |methods: &[Arc<Method>], capabilities: &Capabilities| build_one(name, methods, capabilities, is_subgraph);
                schema.get(admitted, build).await
            }
            SchemaSource::Defined(schema) => Ok(schema.clone()),
            SchemaSource::Gateway { namespaces, schema } => {
                let read = async { Ok(read_capabilities(admitted, namespaces, schema.capabilities().unwrap_or_default()).await) };
                let namespaces = namespaces.clone();
                schema.get_for(read, move |capabilities| build(&namespaces, capabilities, is_subgraph)).await
            }
        }
    }

    /// Returns the schema without RPCs that are hidden from its reader: for each namespace, in the order of their names, the names of these RPCs.
    pub async fn visible_schema(&self, admitted: &Admitted<'_>, hidden: &[Vec<String>]) -> Result<Arc<GraphqlSchema>, Error> {
        let full = self.schema(admitted).await?;
        if hidden.iter().all(Vec::is_empty) {
            return Ok(full);
        }
        let known = match &self.source {
            SchemaSource::Namespace(schema) => vec![schema.capabilities()],
            SchemaSource::Gateway { schema, .. } => schema.capabilities().unwrap_or_default(),
            // It is the API that its author has written, for all callers.
            SchemaSource::Defined(schema) => return Ok(schema.clone()),
        };
        let mut known = known.into_iter();
        let mut visible = GatewayCapabilities::with_capacity(hidden.len());
        for rpcs in hidden {
            visible.push(Some(documents::hide_rpcs(&known.next().flatten().unwrap_or_default(), rpcs)?));
        }
        if let Some(found) = self.visible.find(&visible) {
            return Ok(found);
        }
        let (variants, is_subgraph) = (self.visible.clone(), self.is_subgraph);
        let namespaces = self.namespaces().cloned();
        let (name, methods) = (admitted.namespace().name.clone(), admitted.namespace().methods.clone());
        let work = move || {
            variants.get(visible, |visible| match (&namespaces, visible.as_slice()) {
                (Some(namespaces), _) => build(namespaces, visible, is_subgraph),
                (None, [Some(capabilities)]) => build_one(name, &methods, &documents::decode_capabilities(capabilities)?, is_subgraph),
                (None, _) => Err(Error::internal("the schema of a namespace needs its capabilities")),
            })
        };
        let built = tokio::task::spawn_blocking(work).await;
        built.map_err(|error| Error::internal("the schema was not built").with_source(error))?
    }
}

/// Asks all namespaces for their capabilities. One that does not answer has those that are known already.
async fn read_capabilities(admitted: &Admitted<'_>, namespaces: &GatewayNamespaces, known: GatewayCapabilities) -> GatewayCapabilities {
    let mut questions = Vec::with_capacity(namespaces.len());
    for namespace in namespaces.values() {
        questions.push(tokio::time::timeout(CAPABILITIES_WAIT, documents::capabilities_of(admitted, namespace)));
    }
    let mut known = known.into_iter();
    let mut answers = stream::iter(questions).buffered(CONCURRENT_QUESTIONS);
    let mut all = Vec::with_capacity(namespaces.len());
    while let Some(answer) = answers.next().await {
        let known = known.next().flatten();
        all.push(match answer {
            Ok(Ok(capabilities)) => Some(capabilities),
            Ok(Err(_)) | Err(_) => known,
        });
    }
    all
}

fn build_one(name: Arc<str>, methods: &[Arc<Method>], capabilities: &Capabilities, is_subgraph: bool) -> Result<Arc<GraphqlSchema>, Error> {
    if !is_subgraph {
        return GraphqlSchema::of_namespace(methods, capabilities);
    }
    let (methods, capabilities) = (methods.into(), capabilities.clone());
    GraphqlSchema::of_gateway(&[GatewayNamespace { name, methods, capabilities }], true)
}

fn build(namespaces: &GatewayNamespaces, capabilities: &[Option<Bytes>], is_subgraph: bool) -> Result<Arc<GraphqlSchema>, Error> {
    let mut all = Vec::with_capacity(namespaces.len());
    for (namespace, known) in namespaces.values().zip(capabilities) {
        let capabilities = known.as_ref().map_or_else(|| Ok(Capabilities::default()), documents::decode_capabilities)?;
        all.push(GatewayNamespace { name: namespace.name.clone(), methods: namespace.methods.clone(), capabilities });
    }
    GraphqlSchema::of_gateway(&all, is_subgraph)
}
