//! An endpoint, and the operations that its clients ask for.

use std::{sync::Arc, time::Duration};

use futures::Stream;
use http::HeaderMap;

use super::{
    caller::{CallSource, FieldCaller, FieldNamespaces},
    frontend::GraphqlFrontend,
};
use prism_call::{Admitted, Delivery, Error, Namespace};
use prism_graphql::{Executed, GraphqlLimits, GraphqlRequest, GraphqlSchema, OperationKind, PreparedOperation, RequestError};

/// The endpoint of a namespace, or of a gateway.
pub struct Endpoint {
    /// What requests are admitted to, before their calls are.
    pub namespace: Arc<Namespace>,
    /// What it serves.
    pub frontend: Arc<GraphqlFrontend>,
}

/// An operation that may be executed, with the caller of its fields.
pub struct EndpointOperation {
    schema: Arc<GraphqlSchema>,
    prepared: PreparedOperation,
    limits: GraphqlLimits,
    caller: FieldCaller,
}

impl Endpoint {
    /// Returns the caller of the fields of a request. `timeout` is the one that its client asks for.
    fn caller(&self, calls: CallSource, admitted: &Admitted<'_>, headers: &HeaderMap, timeout: Option<Duration>) -> FieldCaller {
        let namespaces = match self.frontend.namespaces() {
            Some(namespaces) => FieldNamespaces::Gateway(namespaces.clone()),
            None => FieldNamespaces::One(self.namespace.clone()),
        };
        FieldCaller::new(calls, namespaces, admitted, headers, timeout)
    }

    /// Prepares a request: nothing is called yet.
    pub async fn prepare(
        &self,
        calls: CallSource,
        admitted: &Admitted<'_>,
        headers: &HeaderMap,
        timeout: Option<Duration>,
        request: GraphqlRequest,
    ) -> Result<EndpointOperation, RequestError> {
        let request = self.frontend.resolve(admitted, request).await?;
        let mut schema = self.frontend.schema(admitted).await?;
        let mut prepared = schema.prepare(&request, &self.frontend.limits).await?;
        let caller = self.caller(calls, admitted, headers, timeout);
        if prepared.reads_schema() {
            let hidden = caller.check_reader(admitted).await?;
            let visible = self.frontend.visible_schema(admitted, &hidden).await?;
            if !Arc::ptr_eq(&visible, &schema) {
                prepared = visible.prepare(&request, &self.frontend.limits).await?;
                schema = visible;
            }
        }
        Ok(EndpointOperation { schema, prepared, limits: self.frontend.limits, caller })
    }

    /// Returns the schema of what the caller may call.
    pub async fn schema(&self, calls: CallSource, admitted: &Admitted<'_>, headers: &HeaderMap) -> Result<Arc<GraphqlSchema>, Error> {
        let hidden = self.caller(calls, admitted, headers, None).check_reader(admitted).await?;
        self.frontend.visible_schema(admitted, &hidden).await
    }
}

impl EndpointOperation {
    /// Returns what it does.
    pub fn kind(&self) -> OperationKind {
        self.prepared.kind
    }

    /// Tells whether it may change data.
    pub fn may_write(&self) -> bool {
        self.prepared.may_write()
    }

    /// Executes a query or a mutation. Returns the response, and what its calls hold until the response is delivered.
    pub async fn execute(&self) -> (Executed, Vec<Delivery>) {
        let executed = self.schema.execute(&self.prepared, &self.limits, &self.caller).await;
        (executed, self.caller.take_deliveries())
    }

    /// Executes a subscription: a response for each message. The stream needs nothing of the endpoint, and may last for days.
    pub async fn subscribe(self) -> Result<impl Stream<Item = Executed> + Send + 'static, RequestError> {
        let Self { schema, prepared, limits, caller } = self;
        schema.subscribe(prepared, limits, &caller).await
    }
}
