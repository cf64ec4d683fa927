//! Checks that the type of each variable fits the places where it is used ("GraphQL", section 5.8.5), which `async-graphql` leaves out.

use std::collections::{HashMap, HashSet};

use async_graphql::{
    Name, Pos, Positioned, Value,
    parser::types::{
        BaseType, Directive, ExecutableDocument, Field, OperationDefinition, OperationType, Selection, SelectionSet, Type,
        VariableDefinition,
    },
    registry::{MetaType, MetaTypeName, Registry},
};
use async_graphql_value::Value as DocumentValue;

use crate::RequestError;

/// Refuses an operation with a variable that does not fit a place where it is used.
pub fn check_variables(registry: &Registry, document: &ExecutableDocument, operation: &OperationDefinition) -> Result<(), RequestError> {
    let root = match operation.ty {
        OperationType::Query => Some(registry.query_type.as_str()),
        OperationType::Mutation => registry.mutation_type.as_deref(),
        OperationType::Subscription => registry.subscription_type.as_deref(),
    };
    let definitions = operation.variable_definitions.iter().map(|definition| (&definition.node.name.node, definition)).collect();
    let mut check = Check { registry, document, definitions, seen: HashSet::new() };
    check.directives(&operation.directives)?;
    check.selection(root.unwrap_or_default(), &operation.selection_set.node)
}

/// Refuses an operation with a variable whose type is not in the schema. The validation of `async-graphql` panics on a list of such a type
/// with a default value.
pub fn check_variable_types(registry: &Registry, operation: &OperationDefinition) -> Result<(), RequestError> {
    for definition in &operation.variable_definitions {
        let VariableDefinition { name, var_type, .. } = &definition.node;
        if registry.concrete_type_by_parsed_type(&var_type.node).is_none() {
            let message = format!("the variable ${} has the type {}, which is not in the schema", name.node, var_type.node);
            return Err(RequestError::one("GRAPHQL_VALIDATION", message, Some(definition.pos)));
        }
    }
    Ok(())
}

struct Check<'d> {
    registry: &'d Registry,
    document: &'d ExecutableDocument,
    definitions: HashMap<&'d Name, &'d Positioned<VariableDefinition>>,
    /// Fragments that were checked.
    seen: HashSet<&'d Name>,
}

impl<'d> Check<'d> {
    fn selection(&mut self, parent: &str, set: &'d SelectionSet) -> Result<(), RequestError> {
        for item in &set.items {
            self.directives(item.node.directives())?;
            match &item.node {
                Selection::Field(field) => self.field(parent, &field.node)?,
                Selection::InlineFragment(fragment) => {
                    let condition = fragment.node.type_condition.as_ref().map_or(parent, |condition| condition.node.on.node.as_str());
                    self.selection(condition, &fragment.node.selection_set.node)?;
                }
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    if let Some((name, fragment)) = self.document.fragments.get_key_value(name)
                        && self.seen.insert(name)
                    {
                        self.directives(&fragment.node.directives)?;
                        self.selection(&fragment.node.type_condition.node.on.node, &fragment.node.selection_set.node)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn field(&mut self, parent: &str, field: &'d Field) -> Result<(), RequestError> {
        let name = field.name.node.as_str();
        let registry = self.registry;
        let below = match (name, registry.types.get(parent).and_then(|known| known.field_by_name(name))) {
            ("__schema", _) => "__Schema",
            ("__type", _) => {
                for (_, value) in &field.arguments {
                    self.value(&value.node, "String!", value.pos)?;
                }
                "__Type"
            }
            (_, Some(known)) => {
                for (argument, value) in &field.arguments {
                    if let Some(argument) = known.args.get(argument.node.as_str()) {
                        self.value(&value.node, &argument.ty, value.pos)?;
                    }
                }
                MetaTypeName::concrete_typename(&known.ty)
            }
            (_, None) => return Ok(()),
        };
        self.selection(below, &field.selection_set.node)
    }

    fn directives(&self, directives: &'d [Positioned<Directive>]) -> Result<(), RequestError> {
        for directive in directives {
            let Some(known) = self.registry.directives.get(directive.node.name.node.as_str()) else { continue };
            for (argument, value) in &directive.node.arguments {
                if let Some(argument) = known.args.get(argument.node.as_str()) {
                    self.value(&value.node, &argument.ty, value.pos)?;
                }
            }
        }
        Ok(())
    }

    fn value(&self, value: &DocumentValue, kind: &str, at: Pos) -> Result<(), RequestError> {
        match (value, MetaTypeName::create(kind).unwrap_non_null()) {
            (DocumentValue::Variable(name), _) => match self.definitions.get(name) {
                Some(definition) if !is_usable(&definition.node, kind) => {
                    let message = format!("the variable ${name} of the type {} can't be used for {kind}", definition.node.var_type.node);
                    Err(RequestError::one("GRAPHQL_VALIDATION", message, Some(at)))
                }
                _ => Ok(()),
            },
            (DocumentValue::List(elements), MetaTypeName::List(kind)) => elements.iter().try_for_each(|value| self.value(value, kind, at)),
            (DocumentValue::Object(members), MetaTypeName::Named(name)) => {
                let Some(MetaType::InputObject { input_fields, oneof, .. }) = self.registry.types.get(name) else { return Ok(()) };
                members.iter().try_for_each(|(member, value)| match input_fields.get(member.as_str()) {
                    // The one member must not be null ("GraphQL", section 5.8.5).
                    Some(field) if *oneof => self.value(value, &format!("{}!", field.ty), at),
                    Some(field) => self.value(value, &field.ty, at),
                    None => Ok(()),
                })
            }
            // A single value is a list of it.
            (value, MetaTypeName::List(kind)) => self.value(value, kind, at),
            _ => Ok(()),
        }
    }
}

fn is_usable(definition: &VariableDefinition, place: &str) -> bool {
    let has_default = definition.default_value.as_ref().is_some_and(|value| value.node != Value::Null);
    match MetaTypeName::create(place) {
        MetaTypeName::NonNull(kind) if definition.var_type.node.nullable && has_default => fits(&definition.var_type.node, kind),
        _ => fits(&definition.var_type.node, place),
    }
}

/// Tells whether all values of a type are values of the type of a place.
fn fits(kind: &Type, place: &str) -> bool {
    match (MetaTypeName::create(place), &kind.base) {
        (MetaTypeName::NonNull(place), _) => !kind.nullable && fits(kind, place),
        (MetaTypeName::Named(place), BaseType::Named(name)) => name == place,
        (MetaTypeName::List(place), BaseType::List(element)) => fits(element, place),
        _ => false,
    }
}
