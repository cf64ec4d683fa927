//! Checks that the result of a mapping has the type of its field.

use async_graphql::parser::types::{BaseType, ObjectType, Type as GraphqlType};

use super::sdl::{SchemaTypes, TypeShape};
use prism_frontend::{
    definition::SourceFile,
    expression::{Object, Type},
    message_types::{MessageId, MessageTypes},
};
use prism_yaml::{Key, Node, Value as Yaml, unknown_name};

/// Messages that are nested deeper are not checked, because they may contain themselves.
const MAX_DEPTH: usize = 8;

/// Checks results.
pub struct ResultChecker<'c> {
    /// The file of the definition.
    pub file: &'c SourceFile,
    /// The types of the schema.
    pub types: &'c SchemaTypes,
    /// The types of messages.
    pub messages: &'static MessageTypes,
}

impl ResultChecker<'_> {
    /// Checks a value of a type, for a field with a name such as `Query.note`. `node` is where the value is in the definition.
    pub fn check(&self, name: &str, node: &Node, kind: &Type, expected: &GraphqlType) {
        self.check_at(name, node, kind, expected, 0);
    }

    fn check_at(&self, name: &str, node: &Node, kind: &Type, expected: &GraphqlType, depth: usize) {
        let fits = match (&expected.base, kind) {
            (_, Type::Dyn) => true,
            (_, Type::Null) => expected.nullable,
            (BaseType::List(inner), Type::List(element)) => {
                let items = match &node.value {
                    Yaml::List(items) => items.as_slice(),
                    _ => &[],
                };
                if **element != Type::Null {
                    // Each item of a literal list is part of the type of all.
                    let node = node.get("$item").or(items.first()).unwrap_or(node);
                    self.check_at(name, node, element, inner, depth);
                }
                true
            }
            (BaseType::List(_), _) => false,
            (BaseType::Named(of), kind) => match (self.types.shape(of), kind) {
                (Some(TypeShape::Object(object)), Type::Object(given)) => {
                    self.members((of, object), node, given, depth);
                    true
                }
                (Some(TypeShape::Object(object)), Type::Message(id)) => {
                    self.message((of, object), node, *id, depth);
                    true
                }
                (Some(shape), kind) => fits(shape, kind),
                (None, _) => false,
            },
        };
        if !fits {
            let kind = kind.describe(self.messages);
            self.file.problem(&node.position, format!("`{name}` has the type {expected}, but this is {kind}"));
        }
    }

    fn members(&self, (of, object): (&str, &ObjectType), node: &Node, given: &Object, depth: usize) {
        let entries: &[(Key, Node)] = match &node.value {
            Yaml::Map(entries) => entries,
            _ => &[],
        };
        let names = || object.fields.iter().map(|field| field.node.name.node.as_str());
        for (key, _) in entries.iter().filter(|(key, _)| !key.name.starts_with('$') && !names().any(|name| name == key.name)) {
            self.file.problem(&key.position, unknown_name(&format!("field of {of}"), &key.name, names().collect::<Vec<_>>()));
        }
        for field in &object.fields {
            let name = field.node.name.node.as_str();
            match given.member(name) {
                Some(member) => {
                    let node = entries.iter().find(|(key, _)| key.name == name).map_or(node, |(_, node)| node);
                    self.check_at(&format!("{of}.{name}"), node, &member.value, &field.node.ty.node, depth);
                }
                None if given.open => {}
                None => self.file.problem(&node.position, format!("the field `{name}` of {of} has no mapping; set it here, or use null")),
            }
        }
    }

    /// Fields of a message have their names in the contract.
    fn message(&self, (of, object): (&str, &ObjectType), node: &Node, id: MessageId, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        let message = self.messages.message(id);
        for field in &object.fields {
            let name = field.node.name.node.as_str();
            if let Some(known) = message.fields.iter().find(|known| known.name == name) {
                let kind = Type::of_field(self.messages, known);
                self.check_at(&format!("{of}.{name}"), node, &kind, &field.node.ty.node, depth + 1);
            } else {
                let problem = format!("the message {} has no field `{name}`, which {of} has; map each field of {of}", message.name);
                self.file.problem(&node.position, problem);
            }
        }
    }
}

/// Tells whether values of a type may be of a shape. Whether an integer is small enough is known at run time.
fn fits(shape: TypeShape<'_>, kind: &Type) -> bool {
    match shape {
        TypeShape::Int => matches!(kind, Type::Int | Type::Uint),
        TypeShape::Float => kind.is_number(),
        TypeShape::String | TypeShape::Enum(_) => kind.is_text(),
        TypeShape::Id => kind.is_text() || matches!(kind, Type::Int | Type::Uint),
        TypeShape::Boolean => *kind == Type::Bool,
        TypeShape::Custom => true,
        TypeShape::Object(_) => matches!(kind, Type::Map(_)),
        TypeShape::Input(_) => false,
    }
}
