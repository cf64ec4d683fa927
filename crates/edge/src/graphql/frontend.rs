//! What a binding serves: its settings, and the schema of its namespace, which is built at the first request.

use std::sync::Arc;

use crate::derived::Derived;
use prism_call::{Admitted, Error};
use prism_graphql::{GraphqlLimits, GraphqlRequest, GraphqlSchema, GraphqlSettings, PreparedOperation, RequestError, TrustedDocuments};

/// A GraphQL frontend of a namespace.
pub struct GraphqlFrontend {
    /// The limits of requests.
    pub limits: GraphqlLimits,
    /// Whether the page for browsers and the schema as text are served.
    pub documentation: bool,
    /// The only documents that are accepted; `None`: all are.
    trusted: Option<Arc<TrustedDocuments>>,
    schema: Derived<GraphqlSchema>,
}

impl GraphqlFrontend {
    /// Creates a frontend with these settings, and the trusted documents that they name.
    pub fn new(settings: &GraphqlSettings, trusted: Option<Arc<TrustedDocuments>>, documentation: bool) -> Self {
        Self { limits: settings.limits(), documentation, trusted, schema: Derived::default() }
    }

    /// Prepares a request: nothing is called yet.
    pub async fn prepare(
        &self,
        admitted: &Admitted<'_>,
        mut request: GraphqlRequest,
    ) -> Result<(Arc<GraphqlSchema>, PreparedOperation), RequestError> {
        if let Some(trusted) = &self.trusted {
            trusted.resolve(&mut request)?;
        }
        let schema = self.schema(admitted).await?;
        let operation = schema.prepare(&request, &self.limits).await?;
        Ok((schema, operation))
    }

    /// Returns the schema of the namespace of a request.
    pub async fn schema(&self, admitted: &Admitted<'_>) -> Result<Arc<GraphqlSchema>, Error> {
        self.schema.get(admitted, GraphqlSchema::of_namespace).await
    }
}
