//! A schema: what clients may ask for, and the preparation of their requests.

mod defined;
mod definition;

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError, Weak},
};

use async_graphql::{
    Name, Positioned, Value, Variables,
    dynamic::Schema,
    parser::types::{Field, OperationDefinition, OperationType, SelectionSet},
};
use futures::Stream;

use crate::{
    Executed, GraphqlLimits, GraphqlRequest, PreparedOperation, RequestError, RpcCaller,
    defined::{self as mappings, DefinedSchema},
    document::{Document, DocumentCache},
    execution::{self, Collected, EntitiesCall, MappedCall, PageCall, Planner, RootCall, RootParent, RootTarget, RpcCall, SelectedType},
    input,
    limits::DocumentMeter,
    model::{Availability, Model, NamespaceRpcs, OperationKind, RootField, RootFields},
};
use prism_call::{Error, Method, proto::patterns::slots::v1::Capabilities};
use prism_frontend::{
    definition::{DefinitionHeader, Texts},
    message_types::FieldKind,
};
use prism_yaml::{Position, Problem, Problems};

/// A schema of a set of RPCs.
pub struct GraphqlSchema {
    pub(crate) model: Arc<Model>,
    dynamic: Schema,
    documents: DocumentCache,
    /// The schema of a definition, whose root fields are mapped to RPCs. The model of such a schema has none.
    defined: Option<Arc<DefinedSchema>>,
}

/// A namespace of the schema of a gateway.
pub struct GatewayNamespace {
    /// Its name.
    pub name: Arc<str>,
    /// Its RPCs.
    pub methods: Arc<[Arc<Method>]>,
    /// What it can do.
    pub capabilities: Capabilities,
}

/// A definition of the type `graphql`.
pub struct GraphqlDefinition {
    /// Its header.
    pub header: DefinitionHeader,
    /// Its schema.
    pub schema: Arc<GraphqlSchema>,
}

impl GraphqlDefinition {
    /// Compiles a definition. `methods` returns the RPCs of a pattern.
    pub fn compile(texts: &Texts, methods: &dyn Fn(&str) -> Option<Vec<Arc<Method>>>, patterns: &[&str]) -> Result<Self, Vec<Problems>> {
        let (header, defined) = mappings::compile(texts, methods, patterns)?;
        let schema = GraphqlSchema::of_definition(defined).map_err(|error| {
            let problem = Problem { position: Position::WHOLE_FILE, message: error.message().to_owned() };
            vec![Problems { file: texts.document_name.clone(), list: vec![problem] }]
        })?;
        Ok(Self { header, schema: Arc::new(schema) })
    }
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

    /// Creates the schema of a gateway, with a field for each of these namespaces. As a subgraph of a federation, it has entities too.
    pub fn of_gateway(namespaces: &[GatewayNamespace], is_subgraph: bool) -> Result<Arc<Self>, Error> {
        let rpcs = |namespace: &GatewayNamespace| NamespaceRpcs {
            name: namespace.name.clone(),
            methods: namespace.methods.clone(),
            availability: Availability::of(&namespace.capabilities),
        };
        let namespaces: Vec<NamespaceRpcs> = namespaces.iter().map(rpcs).collect();
        Ok(Arc::new(Self::new(Model::of_gateway(&namespaces, is_subgraph))?))
    }

    /// Creates the schema of a model.
    pub(crate) fn new(model: Model) -> Result<Self, Error> {
        let dynamic = definition::define(&model)?;
        Ok(Self { model: Arc::new(model), dynamic, documents: DocumentCache::default(), defined: None })
    }

    /// Creates the schema of a definition.
    fn of_definition(defined: DefinedSchema) -> Result<Self, Error> {
        let (dynamic, model) = (self::defined::define(defined.types())?, Model::without_rpcs(defined.messages));
        Ok(Self { model: Arc::new(model), dynamic, documents: DocumentCache::default(), defined: Some(Arc::new(defined)) })
    }

    /// Returns the root fields of a definition, with the RPCs that they call.
    pub fn mapped_fields(&self) -> Vec<(String, &str)> {
        let Some(defined) = &self.defined else { return Vec::new() };
        let kinds = [OperationKind::Query, OperationKind::Mutation, OperationKind::Subscription];
        let fields = kinds.into_iter().flat_map(|kind| defined.fields(kind).iter().map(move |(name, mapping)| (kind, name, mapping)));
        fields.map(|(kind, name, mapping)| (format!("{}.{name}", defined.type_name(kind)), mapping.method.label.as_str())).collect()
    }

    /// Returns the schema as text.
    pub fn sdl(&self) -> String {
        definition::sdl(&self.model, &self.dynamic)
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
        let set = &operation.selection_set.node;
        if let Some(defined) = &self.defined {
            return mapped_roots(defined, &planner, kind, set);
        }
        let Some(namespaces) = &self.model.namespaces else {
            let group = self.model.groups.first().ok_or_else(|| RequestError::from(Error::internal("the schema has no root fields")))?;
            return self.group_roots(&planner, (group, kind), &[set], None);
        };
        let mut roots = Vec::new();
        for (key, collected) in planner.collect(&[set], kind.type_name())? {
            let name = collected.field.node.name.node.as_str();
            let found = namespaces.get(name).and_then(|known| Some((known, self.model.groups.get(known.group)?)));
            let Some((known, group)) = found else {
                if self.model.entities.is_some() && ["_entities", "_service"].contains(&name) {
                    let target = self.subgraph_target(&planner, &collected)?;
                    roots.push(RootCall::new(key, None, collected.field.pos, target));
                    continue;
                }
                let target = root_without_rpc(name, kind.type_name(), collected.field, true)?;
                roots.push(RootCall::new(key, None, collected.field.pos, target));
                continue;
            };
            let parent = Arc::new(RootParent { key: key.to_string(), namespace: known.namespace.clone() });
            let below = self.group_roots(&planner, (group, kind), &collected.below, Some(&parent))?;
            if below.is_empty() {
                // All of its fields are skipped.
                roots.push(RootCall::new(key, None, collected.field.pos, RootTarget::Constant(b"{}".to_vec())));
            }
            roots.extend(below);
        }
        Ok(roots)
    }

    /// Plans a field that only subgraphs have.
    fn subgraph_target(&self, planner: &Planner<'_>, collected: &Collected<'_>) -> Result<RootTarget, RequestError> {
        let field = &collected.field.node;
        if field.name.node != "_entities" {
            let service = planner.service(&self.sdl(), &collected.below)?;
            return Ok(RootTarget::Service(service));
        }
        let given = field.get_argument("representations");
        let given = given.and_then(|value| input::resolve_variables(&value.node, planner.variables));
        let call = EntitiesCall::new(planner, given.as_ref(), &collected.below, collected.field.pos)?;
        Ok(RootTarget::Entities(call))
    }

    /// Plans the calls of the root fields of a namespace.
    fn group_roots(
        &self,
        planner: &Planner<'_>,
        (group, kind): (&RootFields, OperationKind),
        sets: &[&SelectionSet],
        parent: Option<&Arc<RootParent>>,
    ) -> Result<Vec<RootCall>, RequestError> {
        let type_name = group.type_name(kind);
        let fields = planner.collect(sets, &type_name)?;
        let mut roots = Vec::with_capacity(fields.len());
        for (key, collected) in fields {
            let field = &collected.field.node;
            let target = match group.fields(kind).get(field.name.node.as_str()) {
                None => root_without_rpc(field.name.node.as_str(), &type_name, collected.field, parent.is_none())?,
                Some(root) => self.root_target(planner, root, &collected)?,
            };
            roots.push(RootCall::new(key, parent.cloned(), collected.field.pos, target));
        }
        Ok(roots)
    }

    /// Plans the call of a root field.
    fn root_target(&self, planner: &Planner<'_>, root: &RootField, collected: &Collected<'_>) -> Result<RootTarget, RequestError> {
        let arguments = given_arguments(planner, collected);
        if let Some(connection) = &root.connection {
            return Ok(RootTarget::Page(PageCall::new(planner, root, connection, arguments, &collected.below)?));
        }
        let plan = planner.value(FieldKind::Message(root.output), &collected.below)?;
        let message = input::encode_arguments(&self.model, root, &arguments);
        Ok(RootTarget::Rpc(RpcCall { method: root.method.clone(), message, batch: root.batch.clone(), output: root.output, plan }))
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
        caller: &dyn RpcCaller,
    ) -> Result<impl Stream<Item = Executed> + Send + use<>, RequestError> {
        execution::subscribe(self.model.clone(), operation, limits, caller).await
    }
}

/// Plans the root fields of a definition.
fn mapped_roots(
    defined: &DefinedSchema,
    planner: &Planner<'_>,
    kind: OperationKind,
    set: &SelectionSet,
) -> Result<Vec<RootCall>, RequestError> {
    let type_name = defined.type_name(kind);
    let mut roots = Vec::new();
    for (key, collected) in planner.collect(&[set], type_name)? {
        let name = collected.field.node.name.node.as_str();
        let target = match defined.fields(kind).get(name) {
            None => root_without_rpc(name, type_name, collected.field, true)?,
            Some(mapping) => {
                let arguments = given_arguments(planner, &collected);
                let selected = SelectedType::new(defined.types(), planner, &mapping.defined.ty.node, &collected.below)?;
                RootTarget::Mapped(MappedCall::new(defined.types(), mapping, &arguments, selected))
            }
        };
        roots.push(RootCall::new(key, None, collected.field.pos, target));
    }
    Ok(roots)
}

/// Returns the arguments of a field. A variable without a value is an argument that is not given.
fn given_arguments(planner: &Planner<'_>, collected: &Collected<'_>) -> Vec<(Name, Value)> {
    let arguments = collected.field.node.arguments.iter();
    arguments.filter_map(|(name, value)| Some((name.node.clone(), input::resolve_variables(&value.node, planner.variables)?))).collect()
}

/// Returns where the value of a root field comes from that is no RPC.
fn root_without_rpc(name: &str, type_name: &str, field: &Positioned<Field>, is_root: bool) -> Result<RootTarget, RequestError> {
    Ok(match name {
        "__schema" | "__type" if is_root => RootTarget::Introspection,
        definition::NOTHING => RootTarget::Constant(b"null".to_vec()),
        _ => RootTarget::Constant(execution::type_name(name, type_name, field)?),
    })
}
