//! Defines a schema with `async-graphql`, which validates documents, answers introspection and writes the schema as text.

use std::collections::HashSet;

use async_graphql::{
    SDLExportOptions,
    dynamic::{
        Enum, EnumItem, Field, FieldFuture, FieldValue, InputObject, InputValue, Object, Scalar, Schema, Subscription, SubscriptionField,
        SubscriptionFieldFuture, TypeRef,
    },
};
use futures::stream;

use crate::{
    document::ValidationOnly,
    model::{AFTER, ConnectionType, FIRST, InputField, InputFields, InputTarget, Model, RootField, SCALARS, may_be_null, scalar_of},
};
use prism_call::{Error, proto};
use prism_frontend::message_types::{FieldKind, FieldShape, MessageId};

/// The field of a `Query` without RPCs, because an object must have a field.
pub const NOTHING: &str = "_nothing";
/// The type of the place of a page.
const PAGE_INFO: &str = "PageInfo";

/// Defines the schema of a model.
pub fn define(model: &Model) -> Result<Schema, Error> {
    let named = |is_empty: bool, name| (!is_empty).then_some(name);
    let mut builder =
        Schema::build("Query", named(model.mutations.is_empty(), "Mutation"), named(model.subscriptions.is_empty(), "Subscription"))
            .extension(ValidationOnly);
    // Suggestions tell the schema to clients that may not read it, and the library takes seconds to compare a name of megabytes with all
    // fields.
    builder = builder.disable_suggestions().register(root_object(model, "Query", &model.queries));
    if !model.mutations.is_empty() {
        builder = builder.register(root_object(model, "Mutation", &model.mutations));
    }
    if !model.subscriptions.is_empty() {
        let mut object = Subscription::new("Subscription");
        for (name, root) in &model.subscriptions {
            let mut field = SubscriptionField::new(name, TypeRef::named(output_name(model, root.output)), |_| {
                SubscriptionFieldFuture::new(async { Ok(stream::empty::<async_graphql::Result<FieldValue<'_>>>()) })
            });
            field = arguments(model, root).into_iter().fold(field, SubscriptionField::argument);
            object = object.field(match &root.description {
                Some(text) => field.description(text),
                None => field,
            });
        }
        builder = builder.register(object);
    }
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
        builder = builder.register(object);
    }
    for object in inputs(model) {
        builder = builder.register(object);
    }
    builder.finish().map_err(|error| Error::internal(format!("the GraphQL schema can't be built: {error}")))
}

/// Writes a schema as text.
pub fn sdl(schema: &Schema) -> String {
    // Not with descriptions in one line: the library does not escape them.
    schema.sdl_with_options(SDLExportOptions::new().use_space_ident())
}

/// Returns the names of the scalars in replies and arguments.
fn used_scalars(model: &Model) -> HashSet<&'static str> {
    let mut messages: Vec<MessageId> = model.objects.keys().chain(model.inputs.keys()).copied().collect();
    let mut kinds = Vec::new();
    for root in model.queries.values().chain(model.mutations.values()).chain(model.subscriptions.values()) {
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

fn root_object(model: &Model, name: &str, roots: &indexmap::IndexMap<String, RootField>) -> Object {
    let mut object = Object::new(name);
    if roots.is_empty() {
        object = object.field(unresolved(NOTHING, TypeRef::named(TypeRef::BOOLEAN)).description("Always null: nothing can be read."));
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
fn unresolved(name: &str, kind: TypeRef) -> Field {
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
    for root in model.queries.values() {
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
        let message = model.types.message(*id);
        let mut object = Object::new(&known.name);
        if let Some(text) = proto::comment(&message.name) {
            object = object.description(text);
        }
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
            object = object.field(match proto::comment(&format!("{}.{}", message.name, field.name)) {
                Some(text) => defined.description(text),
                None => defined,
            });
        }
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
    for root in model.queries.values().chain(model.mutations.values()).chain(model.subscriptions.values()) {
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
