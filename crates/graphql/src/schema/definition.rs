//! Defines a schema with `async-graphql`, which validates documents, answers introspection and writes the schema as text.

use std::collections::HashSet;

use async_graphql::{
    SDLExportOptions,
    dynamic::{
        Enum, EnumItem, Field, FieldFuture, FieldValue, InputObject, InputValue, Object, Scalar, Schema, SchemaBuilder, Subscription,
        SubscriptionField, SubscriptionFieldFuture, TypeRef,
    },
};
use futures::stream;
use indexmap::IndexMap;

use crate::{
    document::ValidationOnly,
    model::{
        AFTER, ConnectionType, FIRST, InputField, InputFields, InputTarget, Model, NamespaceField, ObjectType, OperationKind, RootField,
        RootFields, SCALARS, may_be_null, scalar_of,
    },
};
use prism_call::{Error, proto};
use prism_frontend::message_types::{FieldKind, FieldShape, MessageId};

/// The field of a `Query` without RPCs, because an object must have a field.
pub const NOTHING: &str = "_nothing";
/// The kinds of operations.
const KINDS: [OperationKind; 3] = [OperationKind::Query, OperationKind::Mutation, OperationKind::Subscription];
/// The type of the place of a page.
const PAGE_INFO: &str = "PageInfo";

/// Defines the schema of a model.
pub fn define(model: &Model) -> Result<Schema, Error> {
    let (mutation, subscription) = (OperationKind::Mutation, OperationKind::Subscription);
    let named = |kind: OperationKind| model.has(kind).then(|| kind.type_name());
    // Suggestions tell the schema to clients that may not read it, and the library takes seconds to compare a name of megabytes with all
    // fields.
    let mut builder = Schema::build("Query", named(mutation), named(subscription)).extension(ValidationOnly).disable_suggestions();
    builder = match &model.namespaces {
        None => model.groups.iter().fold(builder, |builder, group| group_types(builder, model, group)),
        Some(namespaces) => {
            let builder = model.groups.iter().fold(builder, |builder, group| namespace_types(builder, model, group));
            gateway_types(builder, model, namespaces)
        }
    };
    let used = used_scalars(model);
    for scalar in SCALARS.iter().filter(|scalar| used.contains(scalar.name)) {
        builder = builder.register(Scalar::new(scalar.name).description(scalar.description).validator(scalar.accepts));
    }
    for (name, known) in &model.enums {
        let mut defined = Enum::new(name);
        if let Some(text) = proto::comment(&known.full_name) {
            defined = defined.description(text);
        }
        for value in &known.values {
            let item = EnumItem::new(value);
            defined = defined.item(match proto::comment(&format!("{}.{value}", known.full_name)) {
                Some(text) => item.description(text),
                None => item,
            });
        }
        builder = builder.register(defined);
    }
    for object in objects(model).into_iter().chain(connections(model)) {
        builder = builder.register(shared(model, object));
    }
    if model.entities.is_some() {
        // It never resolves them: execution is our own.
        builder = builder.enable_federation().entity_resolver(|_| FieldFuture::Value(Some(FieldValue::list(Vec::<FieldValue<'_>>::new()))));
        builder = entities(model).into_iter().fold(builder, SchemaBuilder::register);
    }
    for object in inputs(model) {
        builder = builder.register(object);
    }
    builder.finish().map_err(|error| Error::internal(format!("the GraphQL schema can't be built: {error}")))
}

/// Registers the types of the operations of one namespace.
fn group_types(mut builder: SchemaBuilder, model: &Model, group: &RootFields) -> SchemaBuilder {
    for kind in [OperationKind::Query, OperationKind::Mutation] {
        if model.has(kind) || kind == OperationKind::Query {
            builder = builder.register(root_object(model, &group.type_name(kind), group.fields(kind)));
        }
    }
    if group.subscriptions.is_empty() {
        return builder;
    }
    let mut object = Subscription::new(group.type_name(OperationKind::Subscription));
    for (name, root) in &group.subscriptions {
        let field = subscription_field(name, TypeRef::named(output_name(model, root.output)));
        let field = arguments(model, root).into_iter().fold(field, SubscriptionField::argument);
        object = object.field(match &root.description {
            Some(text) => field.description(text),
            None => field,
        });
    }
    builder.register(object)
}

/// Registers the types of the fields of namespaces, in the schema of a gateway.
fn namespace_types(builder: SchemaBuilder, model: &Model, group: &RootFields) -> SchemaBuilder {
    let kinds = KINDS.into_iter().filter(|kind| !group.fields(*kind).is_empty());
    kinds.fold(builder, |builder, kind| builder.register(shared(model, root_object(model, &group.type_name(kind), group.fields(kind)))))
}

/// Registers the types of operations of a gateway, which have a field for each namespace.
fn gateway_types(builder: SchemaBuilder, model: &Model, namespaces: &IndexMap<String, NamespaceField>) -> SchemaBuilder {
    let fields = |kind: OperationKind| {
        namespaces.iter().filter_map(move |(name, of_namespace)| {
            let group = model.groups.get(of_namespace.group)?;
            let description = format!("The namespace `{}`.", of_namespace.namespace);
            (!group.fields(kind).is_empty()).then(|| (name, TypeRef::named_nn(group.type_name(kind)), description))
        })
    };
    let object = |kind: OperationKind| {
        fields(kind).fold(Object::new(kind.type_name()), |object, (name, kind, description)| {
            // Not null, so that the library goes on below it.
            object.field(Field::new(name, kind, |_| FieldFuture::Value(Some(FieldValue::owned_any(())))).description(description))
        })
    };
    let query = object(OperationKind::Query);
    let builder = builder.register(if model.has(OperationKind::Query) { query } else { query.field(nothing()) });
    let builder = if model.has(OperationKind::Mutation) { builder.register(object(OperationKind::Mutation)) } else { builder };
    if !model.has(OperationKind::Subscription) {
        return builder;
    }
    let subscription = fields(OperationKind::Subscription)
        .fold(Subscription::new(OperationKind::Subscription.type_name()), |object, (name, kind, description)| {
            object.field(subscription_field(name, kind).description(description))
        });
    builder.register(subscription)
}

/// Lets several subgraphs have an object. Those of one version of Prism have the same types.
fn shared(model: &Model, object: Object) -> Object {
    if model.entities.is_some() { object.shareable() } else { object }
}

/// A field of a subscription that `async-graphql` never resolves.
pub fn subscription_field(name: &str, kind: TypeRef) -> SubscriptionField {
    SubscriptionField::new(name, kind, |_| {
        SubscriptionFieldFuture::new(async { Ok(stream::empty::<async_graphql::Result<FieldValue<'_>>>()) })
    })
}

/// The field of an object without other fields.
fn nothing() -> Field {
    unresolved(NOTHING, TypeRef::named(TypeRef::BOOLEAN)).description("Always null: nothing can be read.")
}

/// Writes a schema as text. That of a subgraph has the directives of the federation.
pub fn sdl(model: &Model, schema: &Schema) -> String {
    // Not with descriptions in one line: the library does not escape them.
    let options = SDLExportOptions::new().use_space_ident();
    schema.sdl_with_options(if model.entities.is_some() { options.federation() } else { options })
}

/// Returns the names of the scalars in replies and arguments.
fn used_scalars(model: &Model) -> HashSet<&'static str> {
    let mut messages: Vec<MessageId> = model.objects.keys().chain(model.inputs.keys()).copied().collect();
    let mut kinds = Vec::new();
    for root in model.root_fields() {
        messages.push(root.input);
        kinds.push(FieldKind::Message(root.output));
    }
    for field in messages.iter().flat_map(|id| &model.types.message(*id).fields) {
        kinds.push(field.kind);
        if let FieldShape::Map(key) = field.shape {
            kinds.push(key);
        }
    }
    kinds.into_iter().filter_map(|kind| scalar_of(model.types, kind)).collect()
}

fn root_object(model: &Model, name: &str, roots: &IndexMap<String, RootField>) -> Object {
    let mut object = Object::new(name);
    if roots.is_empty() {
        object = object.field(nothing());
    }
    for (name, root) in roots {
        // Nullable, so that the failure of one field does not hide the others.
        let kind = root.connection.as_ref().map_or_else(|| output_name(model, root.output), |connection| connection.name.clone());
        let mut field = unresolved(name, TypeRef::named(kind));
        field = arguments(model, root).into_iter().fold(field, Field::argument);
        object = object.field(match &root.description {
            Some(text) => field.description(text),
            None => field,
        });
    }
    object
}

/// A field that `async-graphql` never resolves: execution is our own.
pub fn unresolved(name: &str, kind: TypeRef) -> Field {
    Field::new(name, kind, |_| FieldFuture::Value(None))
}

fn arguments(model: &Model, root: &RootField) -> Vec<InputValue> {
    let mut values = input_values(model, root.input, &root.arguments);
    if root.connection.is_some() {
        let first = InputValue::new(FIRST, TypeRef::named_nn(TypeRef::INT)).description("Maximum number of nodes.");
        let after = InputValue::new(AFTER, TypeRef::named(TypeRef::STRING)).description("Cursor to continue after; empty: from the start.");
        values.extend([first, after]);
    }
    values
}

/// Returns the types of connections.
fn connections(model: &Model) -> Vec<Object> {
    let mut all = Vec::new();
    for root in model.root_fields() {
        let Some(ConnectionType { name, edge, .. }) = &root.connection else { continue };
        let node = output_name(model, root.output);
        let connection = Object::new(name)
            .description("A page of a stream, by the specification of cursor connections.")
            .field(unresolved("edges", TypeRef::named_nn_list_nn(edge)).description("The nodes with their cursors."))
            .field(unresolved("nodes", TypeRef::named_nn_list_nn(&node)).description("The nodes."))
            .field(unresolved("pageInfo", TypeRef::named_nn(PAGE_INFO)).description("Where the page is in the stream."));
        let edge = Object::new(edge)
            .description("A node of a page.")
            .field(unresolved("cursor", TypeRef::named_nn(TypeRef::STRING)).description("Cursor to continue after the node."))
            .field(unresolved("node", TypeRef::named_nn(node)).description("The node."));
        all.extend([connection, edge]);
    }
    if !all.is_empty() {
        let flag = |name: &str, text: &str| unresolved(name, TypeRef::named_nn(TypeRef::BOOLEAN)).description(text);
        let cursor = |name: &str, text: &str| unresolved(name, TypeRef::named(TypeRef::STRING)).description(text);
        all.push(
            Object::new(PAGE_INFO)
                .description("Where a page is in its stream.")
                .field(flag("hasNextPage", "Whether there is more after this page."))
                .field(flag("hasPreviousPage", "Always false: streams are only read forwards."))
                .field(cursor("startCursor", "The cursor of the first node; null: there is none."))
                .field(cursor("endCursor", "The cursor of the last node, with which the next page continues; null: there is none.")),
        );
    }
    all
}

fn objects(model: &Model) -> Vec<Object> {
    let mut all = Vec::with_capacity(model.objects.len());
    for (id, known) in &model.objects {
        let mut object = Object::new(&known.name);
        if let Some(text) = proto::comment(&model.types.message(*id).name) {
            object = object.description(text);
        }
        let fields = object_fields(model, *id, known, &mut all);
        all.push(fields.into_iter().fold(object, |object, (_, field)| object.field(field)));
    }
    all
}

/// Returns the fields of an object with their names. Adds the objects of the entries of its maps.
fn object_fields<'m>(model: &Model, id: MessageId, known: &'m ObjectType, all: &mut Vec<Object>) -> Vec<(&'m str, Field)> {
    let message = model.types.message(id);
    let mut fields = Vec::with_capacity(known.fields.len());
    for (name, of_object) in &known.fields {
        let field = &message.fields[of_object.index];
        let element = output_name_of(model, field.kind);
        let is_nullable = may_be_null(model.types, field.kind);
        let kind = match (field.shape, &of_object.entry) {
            (FieldShape::Map(key), Some(entry)) => {
                all.push(entry_object(model, entry, key, field.kind));
                TypeRef::named_nn_list_nn(entry)
            }
            (FieldShape::Repeated | FieldShape::Map(_), _) if is_nullable => TypeRef::named_list_nn(element),
            (FieldShape::Repeated | FieldShape::Map(_), _) => TypeRef::named_nn_list_nn(element),
            (FieldShape::Singular { presence: false }, _) if !is_nullable => TypeRef::named_nn(element),
            (FieldShape::Singular { .. }, _) => TypeRef::named(element),
        };
        let defined = unresolved(name, kind);
        let defined = match proto::comment(&format!("{}.{}", message.name, field.name)) {
            Some(text) => defined.description(text),
            None => defined,
        };
        fields.push((name.as_str(), defined));
    }
    fields
}

/// Returns the entities of a subgraph: the key, and what is read by it.
fn entities(model: &Model) -> Vec<Object> {
    let mut all = Vec::new();
    for (name, entity) in model.entities.iter().flatten() {
        let Some(root) = model.query_of(entity) else { continue };
        let Some((id, known)) = model.object(FieldKind::Message(root.output)) else { continue };
        let Some(InputField { target: InputTarget::Field { index, .. }, .. }) = root.arguments.get(&entity.key) else { continue };
        let key = TypeRef::named_nn(input_name(model, model.field(root.input, *index).kind));
        let object = Object::new(name)
            .description(format!("An item of the namespace `{}`.", entity.namespace))
            .key(&entity.key)
            .field(unresolved(&entity.key, key).description("The key of the item."));
        let fields = object_fields(model, id, known, &mut all).into_iter().filter(|(name, _)| *name != entity.key);
        let object = fields.fold(object, |object, (_, field)| object.field(field));
        all.push(object);
    }
    all
}

/// An entry of a map in replies.
fn entry_object(model: &Model, name: &str, key: FieldKind, value: FieldKind) -> Object {
    let element = output_name_of(model, value);
    let kind = if may_be_null(model.types, value) { TypeRef::named(element) } else { TypeRef::named_nn(element) };
    Object::new(name)
        .description("An entry of a map.")
        .field(unresolved("key", TypeRef::named_nn(output_name_of(model, key))))
        .field(unresolved("value", kind))
}

fn inputs(model: &Model) -> Vec<InputObject> {
    let mut all = Vec::new();
    for root in model.root_fields() {
        further_inputs(model, root.input, &root.arguments, &mut all);
    }
    for (id, known) in &model.inputs {
        further_inputs(model, *id, &known.fields, &mut all);
        let mut object = input_values(model, *id, &known.fields).into_iter().fold(InputObject::new(&known.name), InputObject::field);
        if let Some(text) = proto::comment(&model.types.message(*id).name) {
            object = object.description(text);
        }
        all.push(if known.one_of { object.oneof() } else { object });
    }
    all
}

/// Adds the input objects that fields need beside those of messages: choices and entries.
fn further_inputs(model: &Model, id: MessageId, fields: &InputFields, all: &mut Vec<InputObject>) {
    for field in fields.values() {
        match &field.target {
            InputTarget::Choice { name, members } => {
                let mut object = InputObject::new(name).oneof();
                for (member, index) in members {
                    let target = InputTarget::Field { index: *index, entry: None };
                    object = object.field(input_value(model, id, member, &InputField { required: false, target }));
                }
                all.push(object);
            }
            InputTarget::Field { index, entry: Some(entry) } => {
                let field = model.field(id, *index);
                let FieldShape::Map(key) = field.shape else { continue };
                let object = InputObject::new(entry)
                    .description("An entry of a map.")
                    .field(InputValue::new("key", TypeRef::named_nn(input_name(model, key))))
                    .field(InputValue::new("value", TypeRef::named(input_name(model, field.kind))));
                all.push(object);
            }
            InputTarget::Field { entry: None, .. } => {}
        }
    }
}

fn input_values(model: &Model, id: MessageId, fields: &InputFields) -> Vec<InputValue> {
    fields.iter().map(|(name, field)| input_value(model, id, name, field)).collect()
}

fn input_value(model: &Model, id: MessageId, name: &str, input: &InputField) -> InputValue {
    let message = &model.types.message(id).name;
    let (kind, comment) = match &input.target {
        InputTarget::Choice { name: choice, .. } => (TypeRef::named(choice), None),
        InputTarget::Field { index, entry } => {
            let field = model.field(id, *index);
            let comment = proto::comment(&format!("{message}.{}", field.name));
            let kind = match (field.shape, entry) {
                (FieldShape::Map(_), Some(entry)) => TypeRef::named_nn_list(entry),
                (FieldShape::Repeated | FieldShape::Map(_), _) => TypeRef::named_nn_list(input_name(model, field.kind)),
                (FieldShape::Singular { .. }, _) => TypeRef::named(input_name(model, field.kind)),
            };
            (kind, comment)
        }
    };
    let kind = if input.required { TypeRef::NonNull(Box::new(kind)) } else { kind };
    let value = InputValue::new(name, kind);
    match comment {
        Some(text) => value.description(text),
        None => value,
    }
}

fn output_name(model: &Model, id: MessageId) -> String {
    output_name_of(model, FieldKind::Message(id))
}

fn output_name_of(model: &Model, kind: FieldKind) -> String {
    match model.object(kind) {
        Some((_, object)) => object.name.clone(),
        None => leaf_name(model, kind),
    }
}

fn input_name(model: &Model, kind: FieldKind) -> String {
    let object = match kind {
        FieldKind::Message(id) => model.inputs.get(&id),
        _ => None,
    };
    object.map_or_else(|| leaf_name(model, kind), |object| object.name.clone())
}

/// Returns the name of a scalar or an enum.
fn leaf_name(model: &Model, kind: FieldKind) -> String {
    if let Some(name) = scalar_of(model.types, kind) {
        return name.to_owned();
    }
    let known = match kind {
        FieldKind::Enum(id) => model.enum_name(&model.types.enumeration(id).name),
        _ => None,
    };
    known.unwrap_or("JSON").to_owned()
}
