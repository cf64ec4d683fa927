//! What a binding serves: its settings, and the schema of its namespace, which is built at the first request.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use prost::Message as _;
use tokio::sync::Mutex;

use crate::documents;
use prism_call::{Admitted, Error, proto::patterns::slots::v1::Capabilities};
use prism_graphql::{GraphqlLimits, GraphqlSchema, GraphqlSettings};

/// How long the capabilities of a namespace are taken for granted. Those of a namespace in another process may change.
const CAPABILITIES_AGE: Duration = Duration::from_mins(1);

/// A GraphQL frontend of a namespace.
pub struct GraphqlFrontend {
    /// The limits of requests.
    pub limits: GraphqlLimits,
    /// Whether the page for browsers and the schema as text are served.
    pub documentation: bool,
    built: ArcSwapOption<BuiltSchema>,
    /// Held while the schema is built, so that concurrent first requests build one.
    building: Mutex<()>,
}

/// A schema, and what it was built for.
struct BuiltSchema {
    schema: Arc<GraphqlSchema>,
    /// The encoded capabilities of the namespace.
    capabilities: Bytes,
    checked: Instant,
}

impl BuiltSchema {
    fn is_current(&self) -> bool {
        self.checked.elapsed() < CAPABILITIES_AGE
    }
}

impl GraphqlFrontend {
    /// Creates a frontend with these settings.
    pub fn new(settings: &GraphqlSettings, documentation: bool) -> Self {
        Self { limits: settings.limits(), documentation, built: ArcSwapOption::empty(), building: Mutex::new(()) }
    }

    /// Returns the schema of the namespace of a request.
    pub async fn schema(&self, admitted: &Admitted<'_>) -> Result<Arc<GraphqlSchema>, Error> {
        if let Some(built) = self.built.load().as_ref().filter(|built| built.is_current()) {
            return Ok(built.schema.clone());
        }
        let _building = match (self.building.try_lock(), self.built.load_full()) {
            (Ok(building), _) => building,
            // Another request asks for the capabilities again. If the namespace does not answer, only that request waits.
            (Err(_), Some(built)) => return Ok(built.schema.clone()),
            (Err(_), None) => self.building.lock().await,
        };
        let known = self.built.load_full();
        if let Some(built) = known.as_ref().filter(|built| built.is_current()) {
            return Ok(built.schema.clone());
        }
        let capabilities = match (documents::capabilities(admitted).await, &known) {
            (Ok(capabilities), _) => capabilities,
            // A namespace that can't be reached has its last schema, and its RPCs say what is wrong.
            (Err(_), Some(known)) => known.capabilities.clone(),
            (Err(error), None) => return Err(error),
        };
        let schema = match known {
            Some(known) if known.capabilities == capabilities => known.schema.clone(),
            _ => {
                let broken = |error| Error::internal("the namespace answered GetCapabilities with something else").with_source(error);
                let decoded = Capabilities::decode(capabilities.clone()).map_err(broken)?;
                let methods = admitted.namespace().methods.clone();
                // It takes milliseconds, and more for a namespace with all interfaces.
                let built = tokio::task::spawn_blocking(move || GraphqlSchema::of_namespace(&methods, &decoded)).await;
                built.map_err(|error| Error::internal("the GraphQL schema was not built").with_source(error))??
            }
        };
        self.built.store(Some(Arc::new(BuiltSchema { schema: schema.clone(), capabilities, checked: Instant::now() })));
        Ok(schema)
    }
}
