//! Builds the model from descriptors.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use indexmap::IndexMap;
use prost_reflect::{DescriptorPool, MessageDescriptor};

use super::{
    BatchRpc, ConnectionType, EntityType, EnumType, InputField, InputFields, InputTarget, InputType, Model, NamespaceField, ObjectField,
    ObjectType, OperationKind, RootField, RootFields, is_scalar,
    names::{NameTable, camel, field_name, pascal, short},
};
use prism_call::{
    Method,
    proto::{
        self,
        patterns::slots::v1::{Capabilities, Support},
    },
};
use prism_frontend::{
    message_types::{Field, FieldKind, FieldShape, MessageId, MessageTypes},
    openapi,
    render::EventFields,
};

/// The fields of a request that a connection sets itself, and the one that would make it wait.
const PAGE_FIELDS: [&str; 3] = ["limit", "cursor", "follow"];

/// How an RPC is supported in a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RpcSupport {
    /// It is not available. The schema does not have it.
    Unavailable,
    /// It is emulated, in this way.
    Emulated(String),
}

/// The RPCs of a namespace that are not supported natively, by their names in `GetCapabilities`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Availability(BTreeMap<String, RpcSupport>);

impl Availability {
    /// Reads the capabilities of a namespace.
    pub fn of(capabilities: &Capabilities) -> Self {
        let support = |operation: &proto::patterns::slots::v1::Operation| match operation.support() {
            Support::Unavailable => Some(RpcSupport::Unavailable),
            Support::Emulated => Some(RpcSupport::Emulated(operation.note.clone())),
            Support::Native | Support::Unspecified => None,
        };
        Self(capabilities.operations.iter().filter_map(|operation| Some((operation.rpc.clone(), support(operation)?))).collect())
    }

    fn get(&self, method: &Method) -> Option<&RpcSupport> {
        self.0.get(&method.label)
    }
}

impl Model {
    /// Builds the model of these RPCs. Leaves out those that are not available, and those with a stream of requests, which GraphQL can't
    /// express.
    pub fn new(methods: &[Arc<Method>], availability: &Availability) -> Self {
        Self::with_types(MessageTypes::of_methods(methods), methods, availability)
    }

    /// Like [`new`](Self::new), with the types of these descriptors.
    pub fn with_types(types: &'static MessageTypes, methods: &[Arc<Method>], availability: &Availability) -> Self {
        let mut builder = Builder::new(types);
        builder.add_group(String::new(), methods, availability);
        builder.model
    }

    /// Returns a model that has no root fields.
    pub fn without_rpcs(types: &'static MessageTypes) -> Self {
        Builder::new(types).model
    }

    /// Builds the model of a gateway: it has a field for each of these namespaces. Namespaces with the same RPCs share their types. As a
    /// subgraph, it has entities too.
    pub fn of_gateway(namespaces: &[NamespaceRpcs], is_subgraph: bool) -> Self {
        let needs_interfaces = namespaces.iter().any(|one| one.methods.iter().any(|method| method.interface.is_some()));
        let mut builder = Builder::new(if needs_interfaces { MessageTypes::with_interfaces() } else { MessageTypes::all() });
        let mut fields = IndexMap::new();
        let mut groups: HashMap<(&str, usize, &Availability), usize> = HashMap::new();
        // In the order of their names, so that the schema depends on nothing else.
        let mut namespaces: Vec<&NamespaceRpcs> = namespaces.iter().collect();
        namespaces.sort_by(|one, other| one.name.cmp(&other.name));
        for NamespaceRpcs { name, methods, availability } in namespaces {
            let service = methods.first().map(|method| method.service.as_str()).unwrap_or_default();
            let group = *groups.entry((service, methods.len(), availability)).or_insert_with(|| {
                let prefix = builder.choose_prefix(service);
                builder.add_group(prefix, methods, availability);
                builder.model.groups.len() - 1
            });
            let field = field_name(&camel(name), |field| fields.contains_key(field));
            fields.insert(field, NamespaceField { namespace: name.clone(), group });
        }
        if is_subgraph {
            let entities = fields.values().flat_map(|field| builder.entities(field)).collect();
            builder.model.entities = Some(entities);
        }
        builder.model.namespaces = Some(fields);
        builder.model
    }
}

/// A namespace of the schema of a gateway.
pub struct NamespaceRpcs {
    /// Its name.
    pub name: Arc<str>,
    /// Its RPCs.
    pub methods: Arc<[Arc<Method>]>,
    /// How they are supported.
    pub availability: Availability,
}

/// The option of an RPC that reads single items: which RPC reads several of them.
const BATCH_OPTION: &str = "prism.options.v1.batch";

/// Tells whether an RPC reads single items by their keys.
fn reads_items(method: &Method) -> bool {
    let extension = method.descriptor.parent_pool().get_extension_by_name(BATCH_OPTION);
    method.read_only && extension.is_some_and(|extension| method.descriptor.options().has_extension(&extension))
}

/// Returns the RPC that reads several items of another one at once, if it is native in this namespace.
fn batch_rpc(types: &MessageTypes, methods: &[Arc<Method>], one: &Method, availability: &Availability) -> Option<Arc<BatchRpc>> {
    let extension = one.descriptor.parent_pool().get_extension_by_name(BATCH_OPTION)?;
    let options = one.descriptor.options();
    let option = options.get_extension(&extension);
    let option = option.as_message().filter(|_| options.has_extension(&extension))?;
    let name = |field: &str| option.get_field_by_name(field).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
    let rpc = name("rpc");
    let method = methods.iter().find(|known| known.service == one.service && known.name == rpc)?;
    if availability.get(method).is_some() || !(one.read_only && method.read_only) || method.server_streaming {
        return None;
    }
    let message = |name: &str| types.find(name).map(|id| types.message(id));
    let [item] = message(one.descriptor.input().full_name())?.fields.as_slice() else { return None };
    let [items] = message(method.descriptor.input().full_name())?.fields.as_slice() else { return None };
    let reply = message(method.descriptor.output().full_name())?;
    let results = reply.fields.get(reply.by_name(&name("results"))?)?;
    let FieldKind::Message(result) = results.kind else { return None };
    let result = types.message(result);
    let entry = result.fields.get(result.by_name(&name("entry"))?)?;
    let fits = item.kind == items.kind && matches!(item.kind, FieldKind::String | FieldKind::Bytes);
    fits.then(|| {
        let (item, items, results, entry) = (item.number, items.number, results.number, entry.number);
        Arc::new(BatchRpc { method: method.clone(), item, items, results, entry })
    })
}

struct Builder {
    types: &'static MessageTypes,
    names: NameTable,
    model: Model,
    /// The descriptors of the messages that were used.
    descriptors: HashMap<String, Option<MessageDescriptor>>,
}

impl Builder {
    fn new(types: &'static MessageTypes) -> Self {
        let model = Model {
            types,
            groups: Vec::new(),
            namespaces: None,
            entities: None,
            objects: IndexMap::new(),
            inputs: IndexMap::new(),
            enums: IndexMap::new(),
        };
        Self { types, names: NameTable::default(), model, descriptors: HashMap::new() }
    }

    /// Chooses what the names of the types of root fields begin with, for the RPCs of a pattern: `KeyValue`, `KeyValue2`.
    fn choose_prefix(&mut self, service: &str) -> String {
        let name = service.rsplit('.').next().unwrap_or_default();
        let name = pascal(name.strip_suffix("Service").unwrap_or(name));
        let kinds = [OperationKind::Query, OperationKind::Mutation, OperationKind::Subscription];
        let numbered = (2..u32::MAX).map(|number| format!("{name}{number}"));
        let mut free = std::iter::once(name.clone()).chain(numbered).filter(|prefix| {
            let names: Vec<String> = kinds.iter().map(|kind| format!("{prefix}{}", kind.type_name())).collect();
            names.iter().all(|name| self.names.is_free(name))
        });
        let prefix = free.next().unwrap_or(name);
        for kind in kinds {
            self.names.choose("", &format!("{prefix}{}", kind.type_name()), &format!("the {} of {prefix}", kind.type_name()));
        }
        prefix
    }

    /// Returns the entities of a namespace: what RPCs read that read single items by a key, as the contracts say.
    fn entities(&mut self, field: &NamespaceField) -> Vec<(String, EntityType)> {
        let Some(group) = self.model.groups.get(field.group) else { return Vec::new() };
        let mut entities = Vec::new();
        for (query, root) in &group.queries {
            let mut arguments = root.arguments.keys();
            let (Some(key), None, true) = (arguments.next(), arguments.next(), reads_items(&root.method)) else { continue };
            if root.connection.is_some() || !self.model.objects.contains_key(&root.output) {
                continue;
            }
            let namespace = field.namespace.clone();
            let owner = format!("the entity {query} of {namespace}");
            let name = self.names.choose("", &format!("{}Entry", pascal(&namespace)), &owner);
            entities.push((name, EntityType { namespace, key: key.clone(), group: field.group, query: query.clone() }));
        }
        entities
    }

    /// Adds the root fields of a set of RPCs.
    fn add_group(&mut self, prefix: String, methods: &[Arc<Method>], availability: &Availability) {
        let mut group = RootFields { prefix, ..RootFields::default() };
        for method in methods.iter().filter(|method| !method.client_streaming) {
            let support = availability.get(method);
            if support != Some(&RpcSupport::Unavailable) {
                let batch = batch_rpc(self.types, methods, method, availability);
                self.add(&mut group, method, support, batch);
            }
        }
        self.model.groups.push(group);
    }

    fn add(&mut self, group: &mut RootFields, method: &Arc<Method>, support: Option<&RpcSupport>, batch: Option<Arc<BatchRpc>>) {
        let (input, output) = (method.descriptor.input(), method.descriptor.output());
        let (Some(input_id), Some(output_id)) = (self.types.find(input.full_name()), self.types.find(output.full_name())) else { return };
        let pool = input.parent_pool().clone();
        let mut description = proto::comment(method.descriptor.full_name()).map(str::to_owned);
        if let Some(RpcSupport::Emulated(note)) = support {
            let known = description.map(|text| text + "\n\n").unwrap_or_default();
            description = Some(format!("{known}Emulated in this namespace: {note}."));
        }
        let name = match method.interface {
            Some(interface) => camel(&format!("{interface}_{}", method.name)),
            None => camel(&method.name),
        };
        let arguments = self.input_fields(&pool, input_id);
        self.object(&pool, FieldKind::Message(output_id));
        if let Some((name, page)) = self.connection(&pool, method, &name, input_id, output_id, &arguments) {
            group.queries.entry(name).or_insert(RootField { description: description.clone(), ..page });
        }
        let field =
            RootField { method: method.clone(), input: input_id, arguments, output: output_id, description, connection: None, batch };
        let fields = if method.server_streaming {
            &mut group.subscriptions
        } else if method.read_only {
            &mut group.queries
        } else {
            &mut group.mutations
        };
        fields.entry(name).or_insert(field);
    }

    /// Returns the query that reads pages of a stream, with its name: for streams of reads that can be limited, and that can continue after
    /// each reply. It never waits for what comes later.
    fn connection(
        &mut self,
        pool: &DescriptorPool,
        method: &Arc<Method>,
        name: &str,
        input: MessageId,
        output: MessageId,
        arguments: &InputFields,
    ) -> Option<(String, RootField)> {
        if !(method.server_streaming && method.read_only && EventFields::of(self.types, output).has_cursor()) {
            return None;
        }
        self.model.objects.get(&output)?;
        let request = self.types.message(input);
        let number = |name: &str, kinds: &[FieldKind]| {
            let field = request.fields.get(request.by_name(name)?)?;
            (matches!(field.shape, FieldShape::Singular { .. }) && kinds.contains(&field.kind)).then_some(field.number)
        };
        let limit = number("limit", &[FieldKind::Uint32, FieldKind::Uint64])?;
        let cursor = number("cursor", &[FieldKind::String])?;
        let is_own = |field: &InputField| match &field.target {
            InputTarget::Field { index, .. } => !PAGE_FIELDS.contains(&request.fields[*index].name.as_str()),
            InputTarget::Choice { .. } => true,
        };
        let arguments = arguments.iter().filter(|(_, field)| is_own(field)).map(|(name, field)| (name.clone(), field.clone())).collect();
        let (package, _) = Self::split_name(pool, &request.name);
        let mut choose = |kind: &str| self.names.choose(&package, &format!("{}{kind}", pascal(name)), &format!("{} {kind}", request.name));
        let connection = ConnectionType { name: choose("Connection"), edge: choose("Edge"), limit, cursor };
        let field =
            RootField { method: method.clone(), input, arguments, output, description: None, connection: Some(connection), batch: None };
        Some((format!("{name}Connection"), field))
    }

    fn descriptor(&mut self, pool: &DescriptorPool, name: &str) -> Option<MessageDescriptor> {
        self.descriptors.entry(name.to_owned()).or_insert_with(|| pool.get_message_by_name(name)).clone()
    }

    /// Returns the package of a message or an enum, and its name in it.
    fn split_name(pool: &DescriptorPool, full_name: &str) -> (String, String) {
        let message = pool.get_message_by_name(full_name).map(|found| found.package_name().to_owned());
        let package = message.or_else(|| pool.get_enum_by_name(full_name).map(|found| found.package_name().to_owned())).unwrap_or_default();
        let short = short(full_name, &package);
        (package, short)
    }

    /// Adds the object or the enum of a type, and all types that it refers to.
    fn object(&mut self, pool: &DescriptorPool, kind: FieldKind) {
        self.enumeration(pool, kind);
        let FieldKind::Message(id) = kind else { return };
        if is_scalar(self.types, kind) || self.model.objects.contains_key(&id) {
            return;
        }
        let types = self.types;
        let message = types.message(id);
        let (package, short) = Self::split_name(pool, &message.name);
        let name = self.names.choose(&package, &short, &message.name);
        // Before its fields, so that a message may contain itself.
        self.model.objects.insert(id, ObjectType { name: name.clone(), fields: IndexMap::new() });
        let mut fields = IndexMap::new();
        for (index, field) in message.fields.iter().enumerate() {
            let entry = matches!(field.shape, FieldShape::Map(_)).then(|| {
                self.names.choose(&package, &format!("{name}{}Entry", pascal(&field.name)), &format!("{}.{}", message.name, field.name))
            });
            self.object(pool, field.kind);
            let name = field_name(&field.json_name, |name| fields.contains_key(name));
            fields.insert(name, ObjectField { index, entry });
        }
        if let Some(object) = self.model.objects.get_mut(&id) {
            object.fields = fields;
        }
    }

    fn enumeration(&mut self, pool: &DescriptorPool, kind: FieldKind) {
        let FieldKind::Enum(id) = kind else { return };
        let known = self.types.enumeration(id);
        if known.null || self.model.enum_name(&known.name).is_some() {
            return;
        }
        let (package, short) = Self::split_name(pool, &known.name);
        let name = self.names.choose(&package, &short, &known.name);
        let values = known.values.iter().map(|(value, _)| value.clone()).collect();
        self.model.enums.insert(name, EnumType { full_name: known.name.clone(), values });
    }

    /// Adds the input object of a type, and all types that it refers to.
    fn input(&mut self, pool: &DescriptorPool, kind: FieldKind) {
        self.enumeration(pool, kind);
        let FieldKind::Message(id) = kind else { return };
        if is_scalar(self.types, kind) || self.model.inputs.contains_key(&id) {
            return;
        }
        let message = self.types.message(id);
        let (package, short) = Self::split_name(pool, &message.name);
        let short = short.strip_suffix("Request").filter(|rest| !rest.is_empty()).unwrap_or(&short);
        let name = self.names.choose(&package, &format!("{short}Input"), &format!("{} as input", message.name));
        self.model.inputs.insert(id, InputType { name, fields: IndexMap::new(), one_of: false });
        let fields = self.input_fields(pool, id);
        // A message that is nothing but one required choice is the choice itself.
        let only = match fields.values().next() {
            Some(InputField { required: true, target: InputTarget::Choice { members, .. } }) if fields.len() == 1 => Some(members.clone()),
            _ => None,
        };
        if let Some(input) = self.model.inputs.get_mut(&id) {
            input.one_of = only.is_some();
            input.fields = match only {
                Some(members) => {
                    let field = |index| InputField { required: false, target: InputTarget::Field { index, entry: None } };
                    members.into_iter().map(|(name, index)| (name, field(index))).collect()
                }
                None => fields,
            };
        }
    }

    fn input_fields(&mut self, pool: &DescriptorPool, id: MessageId) -> InputFields {
        let types = self.types;
        let message = types.message(id);
        let (package, short) = Self::split_name(pool, &message.name);
        let descriptor = self.descriptor(pool, &message.name);
        let mut fields = InputFields::new();
        for (index, field) in message.fields.iter().enumerate() {
            self.input(pool, field.kind);
            let of_field = descriptor.as_ref().and_then(|message| message.get_field(field.number));
            let choice = of_field.as_ref().and_then(prost_reflect::FieldDescriptor::containing_oneof).filter(|oneof| !oneof.is_synthetic());
            let Some(oneof) = choice else {
                let required = of_field.as_ref().is_some_and(openapi::is_required);
                let entry = self.input_entry(&package, &message.name, &short, field);
                let name = field_name(&field.json_name, |name| fields.contains_key(name));
                fields.insert(name, InputField { required, target: InputTarget::Field { index, entry } });
                continue;
            };
            let name = camel(oneof.name());
            let is_taken =
                message.fields.iter().any(|other| other.json_name == name && (other.oneof.is_none() || other.oneof == field.oneof));
            let name = if is_taken { name + "Choice" } else { name };
            let type_name = self.names.choose(&package, &format!("{short}{}Input", pascal(oneof.name())), oneof.full_name());
            let added = fields.entry(name).or_insert_with(|| {
                let target = InputTarget::Choice { name: type_name, members: IndexMap::new() };
                InputField { required: openapi::must_choose(&oneof), target }
            });
            if let InputTarget::Choice { members, .. } = &mut added.target {
                let name = field_name(&field.json_name, |name| members.contains_key(name));
                members.insert(name, index);
            }
        }
        fields
    }

    fn input_entry(&mut self, package: &str, message: &str, short: &str, field: &Field) -> Option<String> {
        matches!(field.shape, FieldShape::Map(_)).then(|| {
            let name = format!("{short}{}EntryInput", pascal(&field.name));
            self.names.choose(package, &name, &format!("{message}.{} as input", field.name))
        })
    }
}
