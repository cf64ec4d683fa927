//! Defines the schema of a definition with `async-graphql`, which validates documents, answers introspection and writes the schema as text.

use async_graphql::{
    Positioned,
    dynamic::{
        Enum, EnumItem, Field, InputObject, InputValue, Object, Scalar, Schema, SchemaBuilder, Subscription, SubscriptionField, TypeRef,
    },
    parser::types::{BaseType, ConstDirective, EnumType, FieldDefinition, InputValueDefinition, Type as GraphqlType, TypeKind},
};
use async_graphql_value::ConstValue;

use super::definition::{subscription_field, unresolved};
use crate::{defined::SchemaTypes, document::ValidationOnly, model::OperationKind};
use prism_call::Error;

/// Defines the schema of these types.
pub fn define(types: &SchemaTypes) -> Result<Schema, Error> {
    let query = types.root(OperationKind::Query).unwrap_or_default();
    let (mutation, subscription) = (types.root(OperationKind::Mutation), types.root(OperationKind::Subscription));
    let mut builder = Schema::build(query, mutation, subscription).extension(ValidationOnly).disable_suggestions();
    for (name, found) in &types.types {
        let description = found.node.description.as_ref();
        builder = match &found.node.kind {
            TypeKind::Scalar => {
                let scalar = described(Scalar::new(name), description, Scalar::description);
                let url = text_argument(&found.node.directives, "specifiedBy", "url");
                builder.register(match url {
                    Some(url) => scalar.specified_by_url(url),
                    None => scalar,
                })
            }
            TypeKind::Enum(known) => builder.register(described(enumeration(name, known), description, Enum::description)),
            TypeKind::InputObject(known) => {
                let object = known.fields.iter().fold(InputObject::new(name), |object, field| object.field(input_value(&field.node)));
                let object = if has(&found.node.directives, "oneOf") { object.oneof() } else { object };
                builder.register(described(object, description, InputObject::description))
            }
            TypeKind::Object(known) if subscription == Some(name) => {
                let object = known.fields.iter().fold(Subscription::new(name), |object, field| object.field(stream(&field.node)));
                builder.register(described(object, description, Subscription::description))
            }
            TypeKind::Object(known) => {
                let object = known.fields.iter().fold(Object::new(name), |object, defined| object.field(field(&defined.node)));
                builder.register(described(object, description, Object::description))
            }
            // They were refused when the schema was read.
            TypeKind::Interface(_) | TypeKind::Union(_) => builder,
        };
    }
    finish(builder)
}

fn finish(builder: SchemaBuilder) -> Result<Schema, Error> {
    builder.finish().map_err(|error| Error::internal(error.to_string()))
}

fn field(defined: &FieldDefinition) -> Field {
    let field = unresolved(defined.name.node.as_str(), type_ref(&defined.ty.node));
    let field = defined.arguments.iter().fold(field, |field, argument| field.argument(input_value(&argument.node)));
    let field = described(field, defined.description.as_ref(), Field::description);
    if has(&defined.directives, DEPRECATED) { field.deprecation(reason(&defined.directives)) } else { field }
}

fn stream(defined: &FieldDefinition) -> SubscriptionField {
    let field = subscription_field(defined.name.node.as_str(), type_ref(&defined.ty.node));
    let field = defined.arguments.iter().fold(field, |field, argument| field.argument(input_value(&argument.node)));
    let field = described(field, defined.description.as_ref(), SubscriptionField::description);
    if has(&defined.directives, DEPRECATED) { field.deprecation(reason(&defined.directives)) } else { field }
}

fn enumeration(name: &str, known: &EnumType) -> Enum {
    known.values.iter().fold(Enum::new(name), |defined, value| {
        let item = described(EnumItem::new(value.node.value.node.as_str()), value.node.description.as_ref(), EnumItem::description);
        let is_deprecated = has(&value.node.directives, DEPRECATED);
        defined.item(if is_deprecated { item.deprecation(reason(&value.node.directives)) } else { item })
    })
}

fn input_value(defined: &InputValueDefinition) -> InputValue {
    let value = InputValue::new(defined.name.node.as_str(), type_ref(&defined.ty.node));
    let value = match &defined.default_value {
        Some(default) => value.default_value(default.node.clone()),
        None => value,
    };
    described(value, defined.description.as_ref(), InputValue::description)
}

fn type_ref(ty: &GraphqlType) -> TypeRef {
    let base = match &ty.base {
        BaseType::Named(name) => TypeRef::named(name.as_str()),
        BaseType::List(inner) => TypeRef::List(Box::new(type_ref(inner))),
    };
    if ty.nullable { base } else { TypeRef::NonNull(Box::new(base)) }
}

const DEPRECATED: &str = "deprecated";

fn has(directives: &[Positioned<ConstDirective>], name: &str) -> bool {
    directives.iter().any(|directive| directive.node.name.node == name)
}

fn reason(directives: &[Positioned<ConstDirective>]) -> Option<&str> {
    text_argument(directives, DEPRECATED, "reason")
}

fn text_argument<'d>(directives: &'d [Positioned<ConstDirective>], name: &str, argument: &str) -> Option<&'d str> {
    let found = directives.iter().find(|directive| directive.node.name.node == name)?;
    match found.node.get_argument(argument).map(|value| &value.node) {
        Some(ConstValue::String(text)) => Some(text),
        _ => None,
    }
}

fn described<T>(defined: T, text: Option<&Positioned<String>>, describe: impl FnOnce(T, String) -> T) -> T {
    match text {
        Some(text) => describe(defined, text.node.clone()),
        None => defined,
    }
}
