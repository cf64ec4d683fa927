//! Plans: which fields of a reply are written, under which names. A plan is made once for each root field, before its RPC is called.

use std::sync::Arc;

use async_graphql::{
    Name, Positioned, Variables,
    parser::types::{Directive, ExecutableDocument, Field, Selection, SelectionSet},
};
use async_graphql_value::Value as DocumentValue;
use bytes::Bytes;
use indexmap::IndexMap;

use crate::{
    RequestError,
    model::{BatchRpc, Model, ObjectField, ObjectType},
};
use prism_call::{Error, Method};
use prism_frontend::{
    json,
    message_types::{FieldKind, FieldShape, MessageId},
};

/// What is written of a message, or of an entry of a map.
pub struct ObjectPlan {
    /// The members of the object, in the order of the document.
    pub members: Vec<PlanMember<MemberSource>>,
}

/// A member of an object.
pub struct PlanMember<S> {
    /// Its name in quotes, with a colon.
    pub key: Vec<u8>,
    /// Where its value comes from.
    pub source: S,
}

/// Where the value of a member comes from.
pub enum MemberSource {
    /// It is this JSON text.
    Constant(Vec<u8>),
    /// The field with this index of the message.
    Field { index: usize, below: Option<ObjectPlan> },
    /// The key of the entry.
    EntryKey,
    /// The value of the entry.
    EntryValue { below: Option<ObjectPlan> },
}

/// The call of an RPC, and what is written of its reply.
pub struct RpcCall {
    /// The RPC.
    pub method: Arc<Method>,
    /// The request message; or the error of the arguments.
    pub message: Result<Bytes, Error>,
    /// The RPC that reads several items at once.
    pub batch: Option<Arc<BatchRpc>>,
    /// The type of the reply.
    pub output: MessageId,
    /// What is written of it; `None` if it is a scalar.
    pub plan: Option<ObjectPlan>,
}

/// Makes plans for the selections of a request.
pub struct Planner<'d> {
    /// The model of the schema.
    pub model: &'d Model,
    /// The document.
    pub document: &'d ExecutableDocument,
    /// The values of variables.
    pub variables: &'d Variables,
}

/// A field of an object with everything that the document selects of it.
pub struct Collected<'d> {
    /// The first place of the field.
    pub field: &'d Positioned<Field>,
    /// The selections below it.
    pub below: Vec<&'d SelectionSet>,
}

/// The fields of an object by their names in the response.
pub type CollectedFields<'d> = IndexMap<&'d Name, Collected<'d>>;

impl<'d> Planner<'d> {
    /// Collects the fields of an object ("GraphQL", section 6.3.2). Fields with the same name are one.
    pub fn collect(&self, sets: &[&'d SelectionSet], object: &str) -> Result<CollectedFields<'d>, RequestError> {
        let mut fields = IndexMap::new();
        for set in sets {
            self.collect_into(set, object, &mut fields)?;
        }
        Ok(fields)
    }

    fn collect_into(&self, set: &'d SelectionSet, object: &str, fields: &mut CollectedFields<'d>) -> Result<(), RequestError> {
        for item in &set.items {
            if !self.is_included(item.node.directives()) {
                continue;
            }
            match &item.node {
                Selection::Field(field) => {
                    let key = &field.node.response_key().node;
                    let below = &field.node.selection_set.node;
                    match fields.get_mut(key) {
                        None => drop(fields.insert(key, Collected { field, below: vec![below] })),
                        Some(known) if is_same(&known.field.node, &field.node) => known.below.push(below),
                        Some(_) => {
                            let message = format!("the fields named {key} differ; give one of them an alias");
                            return Err(RequestError::one("GRAPHQL_VALIDATION", message, Some(field.pos)));
                        }
                    }
                }
                Selection::InlineFragment(fragment) => {
                    let condition = fragment.node.type_condition.as_ref();
                    if condition.is_none_or(|condition| condition.node.on.node == object) {
                        self.collect_into(&fragment.node.selection_set.node, object, fields)?;
                    }
                }
                Selection::FragmentSpread(spread) => {
                    let found = self.document.fragments.get(&spread.node.fragment_name.node);
                    if let Some(fragment) = found.filter(|fragment| fragment.node.type_condition.node.on.node == object) {
                        self.collect_into(&fragment.node.selection_set.node, object, fields)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Evaluates `@skip` and `@include`.
    fn is_included(&self, directives: &[Positioned<Directive>]) -> bool {
        directives.iter().all(|directive| {
            let wanted = match directive.node.name.node.as_str() {
                "include" => true,
                "skip" => false,
                _ => return true,
            };
            let condition = directive.node.get_argument("if").map(|value| &value.node);
            match condition {
                Some(DocumentValue::Boolean(value)) => *value == wanted,
                Some(DocumentValue::Variable(name)) => match self.variables.get(name) {
                    Some(async_graphql::Value::Boolean(value)) => *value == wanted,
                    _ => !wanted,
                },
                _ => true,
            }
        })
    }

    /// Makes the plan of a value; `None` if it is a scalar.
    pub fn value(&self, kind: FieldKind, sets: &[&'d SelectionSet]) -> Result<Option<ObjectPlan>, RequestError> {
        match self.model.object(kind) {
            Some((id, object)) => self.object(id, object, sets).map(Some),
            None => Ok(None),
        }
    }

    /// Plans the members of an object that is selected so. `source` returns where the value of the field with a name comes from.
    pub fn members<S>(
        &self,
        sets: &[&'d SelectionSet],
        object: &str,
        source: impl Fn(&str, &[&'d SelectionSet], &Positioned<Field>) -> Result<S, RequestError>,
    ) -> Result<Vec<PlanMember<S>>, RequestError> {
        let collected = self.collect(sets, object)?.into_iter();
        collected
            .map(|(key, Collected { field, below })| {
                Ok(PlanMember { key: member_key(key), source: source(field.node.name.node.as_str(), &below, field)? })
            })
            .collect()
    }

    fn object(&self, id: MessageId, object: &ObjectType, sets: &[&'d SelectionSet]) -> Result<ObjectPlan, RequestError> {
        let members = self.members(sets, &object.name, |name, below, field| match object.fields.get(name) {
            Some(known) => self.member(id, known, below),
            None => Ok(MemberSource::Constant(type_name(name, &object.name, field)?)),
        })?;
        Ok(ObjectPlan { members })
    }

    fn member(&self, id: MessageId, known: &ObjectField, below: &[&'d SelectionSet]) -> Result<MemberSource, RequestError> {
        let described = self.model.field(id, known.index);
        let below = match (&known.entry, described.shape) {
            (Some(entry), FieldShape::Map(_)) => Some(self.entry(entry, described.kind, below)?),
            _ => self.value(described.kind, below)?,
        };
        Ok(MemberSource::Field { index: known.index, below })
    }

    /// Plans an entity of a subgraph: a message of this type, and a key, as JSON, that is not in it.
    pub fn entity(
        &self,
        name: &str,
        output: MessageId,
        (key, text): (&str, &[u8]),
        sets: &[&'d SelectionSet],
    ) -> Result<ObjectPlan, RequestError> {
        let object = self.model.objects.get(&output);
        let members = self.members(sets, name, |member, below, field| match object.and_then(|object| object.fields.get(member)) {
            _ if member == key => Ok(MemberSource::Constant(text.to_vec())),
            Some(known) => self.member(output, known, below),
            None => Ok(MemberSource::Constant(type_name(member, name, field)?)),
        })?;
        Ok(ObjectPlan { members })
    }

    /// Returns `_Service` of a subgraph as JSON.
    pub fn service(&self, sdl: &str, sets: &[&'d SelectionSet]) -> Result<Vec<u8>, RequestError> {
        const NAME: &str = "_Service";
        let members = self.members(sets, NAME, |name, _, field| match name {
            "sdl" => Ok(quoted(sdl)),
            name => type_name(name, NAME, field),
        })?;
        let texts: Vec<Vec<u8>> = members.into_iter().map(|PlanMember { key, source }| [key, source].concat()).collect();
        Ok([b"{".as_slice(), &texts.join(&b','), b"}"].concat())
    }

    fn entry(&self, entry: &str, kind: FieldKind, sets: &[&'d SelectionSet]) -> Result<ObjectPlan, RequestError> {
        let members = self.members(sets, entry, |name, below, field| {
            Ok(match name {
                "key" => MemberSource::EntryKey,
                "value" => MemberSource::EntryValue { below: self.value(kind, below)? },
                name => MemberSource::Constant(type_name(name, entry, field)?),
            })
        })?;
        Ok(ObjectPlan { members })
    }
}

/// Returns the value of `__typename`, the only field that every object has.
pub fn type_name(name: &str, object: &str, field: &Positioned<Field>) -> Result<Vec<u8>, RequestError> {
    if name == "__typename" {
        return Ok(quoted(object));
    }
    let message = format!("{object} has no field {name}");
    Err(RequestError::one("GRAPHQL_VALIDATION", message, Some(field.pos)))
}

/// Returns a text as JSON.
pub fn quoted(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    json::put_string(text, &mut out);
    out
}

/// Returns the name of a member as JSON, with a colon.
pub fn member_key(name: &str) -> Vec<u8> {
    let mut out = quoted(name);
    out.push(b':');
    out
}

/// Tells whether two fields ask for the same.
fn is_same(one: &Field, other: &Field) -> bool {
    one.name.node == other.name.node
        && one.arguments.len() == other.arguments.len()
        && one.arguments.iter().all(|(name, value)| other.get_argument(&name.node).is_some_and(|known| known.node == value.node))
}
