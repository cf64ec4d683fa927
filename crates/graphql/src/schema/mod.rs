//! A schema: what clients may ask for, and the preparation of their requests.

mod definition;

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError, Weak},
};

use async_graphql::{
    Variables,
    dynamic::Schema,
    parser::types::{OperationDefinition, OperationType},
};
use futures::Stream;

use crate::{
    Executed, GraphqlLimits, GraphqlRequest, PreparedOperation, RequestError, RpcCaller,
    document::{Document, DocumentCache},
    execution::{self, PageCall, Planner, RootCall, RootTarget, RpcCall, quoted},
    input,
    limits::DocumentMeter,
    model::{Availability, Model, OperationKind},
};
use prism_call::{Error, Method, proto::patterns::slots::v1::Capabilities};
use prism_frontend::message_types::FieldKind;

/// A schema of a set of RPCs.
pub struct GraphqlSchema {
    pub(crate) model: Arc<Model>,
    dynamic: Schema,
    documents: DocumentCache,
}

/// The service of RPCs, and which of them are not supported natively.
type SharedKey = (String, usize, Availability);

/// The schemas in use. Namespaces with the same RPCs share one.
static SHARED: LazyLock<Mutex<HashMap<SharedKey, Weak<GraphqlSchema>>>> = LazyLock::new(Mutex::default);

impl GraphqlSchema {
    /// Returns the schema of the RPCs of a namespace with these capabilities. It takes a few milliseconds, unless it is in use already.
    pub fn of_namespace(methods: &[Arc<Method>], capabilities: &Capabilities) -> Result<Arc<Self>, Error> {
        let availability = Availability::of(capabilities);
        let service = methods.first().map(|method| method.service.clone()).unwrap_or_default();
        let key = (service, methods.len(), availability);
        let shared = || SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = shared().get(&key).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let schema = Arc::new(Self::new(Model::new(methods, &key.2))?);
        let mut all = shared();
        all.retain(|_, known| known.strong_count() > 0);
        all.insert(key, Arc::downgrade(&schema));
        Ok(schema)
    }

    /// Creates the schema of a model.
    pub(crate) fn new(model: Model) -> Result<Self, Error> {
        let dynamic = definition::define(&model)?;
        Ok(Self { model: Arc::new(model), dynamic, documents: DocumentCache::default() })
    }

    /// Returns the schema as text.
    pub fn sdl(&self) -> String {
        definition::sdl(&self.dynamic)
    }

    #[cfg(test)]
    pub(crate) fn dynamic(&self) -> &Schema {
        &self.dynamic
    }

    /// Parses and validates a request, coerces its variables, and plans its execution. Nothing is called yet.
    pub async fn prepare(&self, request: &GraphqlRequest, limits: &GraphqlLimits) -> Result<PreparedOperation, RequestError> {
        let document = self.documents.document(&self.dynamic, request, limits).await?;
        let Some(operation) = document.operation() else {
            return Err(Error::internal("a validated document has lost its operation").into());
        };
        let operation = &operation.node;
        let variables = input::coerce_variables(self.dynamic.registry(), &operation.variable_definitions, &request.variables)?;
        DocumentMeter::check_operation(document.executable(), operation, &variables, limits)?;
        let kind = match operation.ty {
            OperationType::Query => OperationKind::Query,
            OperationType::Mutation => OperationKind::Mutation,
            OperationType::Subscription => OperationKind::Subscription,
        };
        let roots = self.roots(&document, operation, kind, &variables)?;
        Ok(PreparedOperation { kind, document, variables, roots })
    }

    fn roots(
        &self,
        document: &Document,
        operation: &OperationDefinition,
        kind: OperationKind,
        variables: &Variables,
    ) -> Result<Vec<RootCall>, RequestError> {
        let planner = Planner { model: &self.model, document: document.executable(), variables };
        let fields = planner.collect(&[&operation.selection_set.node], kind.type_name())?;
        let mut roots = Vec::with_capacity(fields.len());
        for (key, collected) in fields {
            let field = &collected.field.node;
            let target = match (field.name.node.as_str(), self.model.roots(kind).get(field.name.node.as_str())) {
                ("__typename", _) => RootTarget::Constant(quoted(kind.type_name())),
                ("__schema" | "__type", _) => RootTarget::Introspection,
                (definition::NOTHING, None) => RootTarget::Constant(b"null".to_vec()),
                (_, Some(root)) => {
                    let mut arguments = Vec::with_capacity(field.arguments.len());
                    for (name, value) in &field.arguments {
                        // A variable without a value is an argument that is not given.
                        if let Some(value) = input::resolve_variables(&value.node, variables) {
                            arguments.push((name.node.clone(), value));
                        }
                    }
                    if let Some(connection) = &root.connection {
                        RootTarget::Page(PageCall::new(&planner, root, connection, arguments, &collected.below)?)
                    } else {
                        let plan = planner.value(FieldKind::Message(root.output), &collected.below)?;
                        let message = input::encode_arguments(&self.model, root, &arguments);
                        RootTarget::Rpc(RpcCall {
                            method: root.method.clone(),
                            message,
                            batch: root.batch.clone(),
                            output: root.output,
                            plan,
                        })
                    }
                }
                (name, None) => {
                    let message = format!("{} has no field {name}", kind.type_name());
                    return Err(RequestError::one("GRAPHQL_VALIDATION", message, Some(collected.field.pos)));
                }
            };
            roots.push(RootCall { key: key.to_string(), at: collected.field.pos, target });
        }
        Ok(roots)
    }

    /// Executes a query or a mutation. Fields that fail are `null` in the response, which has their errors.
    pub async fn execute(&self, operation: &PreparedOperation, limits: &GraphqlLimits, caller: &dyn RpcCaller) -> Executed {
        execution::execute(&self.model, &self.dynamic, operation, limits, caller).await
    }

    /// Executes a subscription. The stream has a response for each message; it ends after the first error.
    pub async fn subscribe(
        &self,
        operation: PreparedOperation,
        limits: GraphqlLimits,
        caller: Arc<dyn RpcCaller>,
    ) -> Result<impl Stream<Item = Executed> + Send + use<>, RequestError> {
        execution::subscribe(self.model.clone(), operation, limits, caller).await
    }
}
