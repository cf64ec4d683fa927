//! The model of a schema: which RPCs are its root fields, and which GraphQL type each message has. Schema, execution and arguments use it.

mod build;
mod names;
mod scalars;

use std::sync::Arc;

use indexmap::IndexMap;

use prism_call::Method;
use prism_frontend::message_types::{Field, FieldKind, MessageId, MessageTypes};

pub use build::{Availability, NamespaceRpcs};
pub use scalars::{SCALARS, scalar_of, text_of, uint64_of};

/// The argument of connections with the size of a page.
pub const FIRST: &str = "first";
/// The argument of connections with the place where a page begins.
pub const AFTER: &str = "after";

/// A kind of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationKind {
    /// Reads.
    Query,
    /// Writes.
    Mutation,
    /// Receives a stream.
    Subscription,
}

/// The model of a schema.
pub struct Model {
    /// The message types.
    pub types: &'static MessageTypes,
    /// The root fields of each different set of RPCs. The schema of one namespace has exactly one.
    pub groups: Vec<RootFields>,
    /// The namespaces of the schema of a gateway, by their fields. `None`: it is the schema of one namespace.
    pub namespaces: Option<IndexMap<String, NamespaceField>>,
    /// The entities of a subgraph, by their types. `None`: the schema is no subgraph.
    pub entities: Option<IndexMap<String, EntityType>>,
    /// The objects of replies.
    pub objects: IndexMap<MessageId, ObjectType>,
    /// The input objects of requests.
    pub inputs: IndexMap<MessageId, InputType>,
    /// The enums, with their names here, in the order of their first use.
    pub enums: IndexMap<String, EnumType>,
}

/// The root fields of a set of RPCs, by their names.
#[derive(Default)]
pub struct RootFields {
    /// What the names of their types begin with. Empty in the schema of one namespace.
    pub prefix: String,
    /// RPCs without side effects.
    pub queries: IndexMap<String, RootField>,
    /// Other unary RPCs.
    pub mutations: IndexMap<String, RootField>,
    /// RPCs with a stream of replies.
    pub subscriptions: IndexMap<String, RootField>,
}

/// A field of the schema of a gateway: it has the root fields of a namespace.
pub struct NamespaceField {
    /// The name of the namespace.
    pub namespace: Arc<str>,
    /// The index of its root fields among the groups.
    pub group: usize,
}

/// An entity of a subgraph ("Apollo Federation"): what an RPC reads by a key.
pub struct EntityType {
    /// The name of the namespace.
    pub namespace: Arc<str>,
    /// The argument of the RPC, which is the key of the entity.
    pub key: String,
    /// The index of the root fields with the RPC among the groups.
    pub group: usize,
    /// The query that calls the RPC.
    pub query: String,
}

/// A field of `Query`, `Mutation` or `Subscription`.
pub struct RootField {
    /// The RPC that it calls.
    pub method: Arc<Method>,
    /// The type of the request. Its fields are the arguments.
    pub input: MessageId,
    /// The arguments.
    pub arguments: InputFields,
    /// The type of the reply.
    pub output: MessageId,
    /// What the RPC does, for people.
    pub description: Option<String>,
    /// What pages of the stream look like, if the field is a connection.
    pub connection: Option<ConnectionType>,
    /// The RPC that reads several items at once.
    pub batch: Option<Arc<BatchRpc>>,
}

/// An RPC that reads several items of another RPC at once.
#[derive(Debug)]
pub struct BatchRpc {
    /// The RPC.
    pub method: Arc<Method>,
    /// The number of the item in the request for one.
    pub item: u32,
    /// The number of the list of items in the request.
    pub items: u32,
    /// The number of the list of results in the reply.
    pub results: u32,
    /// The number of the reply for one item in a result.
    pub entry: u32,
}

/// The types of a connection ("GraphQL Cursor Connections", relay.dev/graphql/connections.htm): pages of the stream of an RPC.
#[derive(Clone, Debug)]
pub struct ConnectionType {
    /// The name of the connection.
    pub name: String,
    /// The name of an edge.
    pub edge: String,
    /// The number of the field of the request that limits the replies.
    pub limit: u32,
    /// The number of the field of the request after whose place the stream begins.
    pub cursor: u32,
}

/// An object of replies.
pub struct ObjectType {
    /// Its name.
    pub name: String,
    /// Its fields, by their names.
    pub fields: IndexMap<String, ObjectField>,
}

/// A field of an object.
#[derive(Clone, Debug)]
pub struct ObjectField {
    /// The index of the field in its message type.
    pub index: usize,
    /// The name of the object of an entry, if the field is a map.
    pub entry: Option<String>,
}

/// The fields of an input object, or the arguments of a root field, by their names.
pub type InputFields = IndexMap<String, InputField>;

/// An input object.
pub struct InputType {
    /// Its name.
    pub name: String,
    /// Its fields.
    pub fields: InputFields,
    /// Whether exactly one field must be given (`@oneOf`).
    pub one_of: bool,
}

/// A field of an input object, or an argument.
#[derive(Clone, Debug)]
pub struct InputField {
    /// Whether it must be given.
    pub required: bool,
    /// What it sets.
    pub target: InputTarget,
}

/// What a field of an input object sets.
#[derive(Clone, Debug)]
pub enum InputTarget {
    /// The field with this index. `entry` is the name of the input object of an entry, if the field is a map.
    Field { index: usize, entry: Option<String> },
    /// One of these fields, which are the members of a `oneof`, by their names: the type is an input object with `@oneOf`.
    Choice { name: String, members: IndexMap<String, usize> },
}

/// An enum.
pub struct EnumType {
    /// Its full name in the contracts.
    pub full_name: String,
    /// Its values.
    pub values: Vec<String>,
}

impl OperationKind {
    /// Returns the name of the type of root fields.
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::Query => "Query",
            Self::Mutation => "Mutation",
            Self::Subscription => "Subscription",
        }
    }
}

impl RootFields {
    /// Returns the fields of operations of this kind.
    pub fn fields(&self, kind: OperationKind) -> &IndexMap<String, RootField> {
        match kind {
            OperationKind::Query => &self.queries,
            OperationKind::Mutation => &self.mutations,
            OperationKind::Subscription => &self.subscriptions,
        }
    }

    /// Returns the name of the type that has these fields.
    pub fn type_name(&self, kind: OperationKind) -> String {
        format!("{}{}", self.prefix, kind.type_name())
    }
}

impl Model {
    /// Returns the type of a message in replies, or `None` if it is a scalar.
    pub fn object(&self, kind: FieldKind) -> Option<(MessageId, &ObjectType)> {
        match kind {
            FieldKind::Message(id) => self.objects.get(&id).map(|object| (id, object)),
            _ => None,
        }
    }

    /// Returns a field of a message type.
    pub fn field(&self, message: MessageId, index: usize) -> &'static Field {
        &self.types.message(message).fields[index]
    }

    /// Returns the root fields of all RPCs.
    pub fn root_fields(&self) -> impl Iterator<Item = &RootField> {
        self.groups.iter().flat_map(|group| group.queries.values().chain(group.mutations.values()).chain(group.subscriptions.values()))
    }

    /// Returns the query of an entity.
    pub fn query_of(&self, entity: &EntityType) -> Option<&RootField> {
        self.groups.get(entity.group)?.queries.get(&entity.query)
    }

    /// Tells whether operations of this kind are possible.
    pub fn has(&self, kind: OperationKind) -> bool {
        self.groups.iter().any(|group| !group.fields(kind).is_empty())
    }

    /// Returns the name of an enum.
    pub fn enum_name(&self, full_name: &str) -> Option<&str> {
        self.enums.iter().find(|(_, known)| known.full_name == full_name).map(|(name, _)| name.as_str())
    }
}

/// Tells whether values of this type may be `null` in replies, because GraphQL can't express all of them: enums that a later version adds,
/// and numbers that are not finite.
pub fn may_be_null(types: &MessageTypes, kind: FieldKind) -> bool {
    matches!(kind, FieldKind::Double | FieldKind::Float | FieldKind::Enum(_)) || types.special(kind).is_some_and(scalars::has_null)
}

/// Tells whether values of this type have no fields in GraphQL. Messages that are empty, or that have a form of their own, are scalars.
pub fn is_scalar(types: &MessageTypes, kind: FieldKind) -> bool {
    scalar_of(types, kind).is_some() || matches!(kind, FieldKind::Enum(_))
}
