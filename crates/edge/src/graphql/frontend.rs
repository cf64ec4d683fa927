//! What a binding serves: its settings, and the schema of its namespace, which is built at the first request.

use std::sync::Arc;

use crate::derived::Derived;
use prism_call::{Admitted, Error};
use prism_graphql::{GraphqlLimits, GraphqlSchema, GraphqlSettings};

/// A GraphQL frontend of a namespace.
pub struct GraphqlFrontend {
    /// The limits of requests.
    pub limits: GraphqlLimits,
    /// Whether the page for browsers and the schema as text are served.
    pub documentation: bool,
    schema: Derived<GraphqlSchema>,
}

impl GraphqlFrontend {
    /// Creates a frontend with these settings.
    pub fn new(settings: &GraphqlSettings, documentation: bool) -> Self {
        Self { limits: settings.limits(), documentation, schema: Derived::default() }
    }

    /// Returns the schema of the namespace of a request.
    pub async fn schema(&self, admitted: &Admitted<'_>) -> Result<Arc<GraphqlSchema>, Error> {
        self.schema.get(admitted, GraphqlSchema::of_namespace).await
    }
}
