//! The entities of a subgraph ("Apollo Federation", `Query._entities`): items that a router asks for by their keys.

use std::sync::Arc;

use async_graphql::{Name, Pos, Value, parser::types::SelectionSet};
use bytes::Bytes;
use futures::StreamExt as _;

use super::{
    CONCURRENT_CALLS, FieldRpc, RpcCall, RpcCaller,
    batch::{self, BatchResult, MAX_ITEMS},
    plan::Planner,
};
use crate::{RequestError, input, limits::LIMIT, model::BatchRpc};
use prism_call::{Code, Error};

/// Entities of one field.
const MAX_ENTITIES: usize = 1000;

/// The items that a router asks for.
pub struct EntitiesCall {
    /// In the order of the representations.
    pub items: Vec<Result<EntityItem, Error>>,
}

/// An item.
pub struct EntityItem {
    /// The namespace that has it.
    namespace: Arc<str>,
    /// The call that reads it, and what is written of it.
    pub call: RpcCall,
}

/// The reply for an item; `None`: it does not exist.
pub type EntityReply = Result<Option<Bytes>, Error>;

impl EntitiesCall {
    /// Plans the calls for these representations.
    pub fn new(planner: &Planner<'_>, given: Option<&Value>, below: &[&SelectionSet], at: Pos) -> Result<Self, RequestError> {
        let representations = match given {
            Some(Value::List(all)) => all.as_slice(),
            Some(one) => std::slice::from_ref(one),
            None => &[],
        };
        if representations.len() > MAX_ENTITIES {
            let message = format!("the field asks for {} entities; the limit is {MAX_ENTITIES}", representations.len());
            return Err(RequestError::one(LIMIT, message, Some(at)));
        }
        let mut items = Vec::with_capacity(representations.len());
        for representation in representations {
            items.push(plan(planner, representation, below)?);
        }
        Ok(Self { items })
    }

    /// Reads the items. Those that one RPC can read at once are one call.
    pub async fn read(&self, path: &str, caller: &dyn RpcCaller) -> Vec<EntityReply> {
        let mut replies: Vec<Option<EntityReply>> = self.items.iter().map(|_| None).collect();
        self.read_batches(path, caller, &mut replies).await;
        let mut calls = Vec::new();
        for (place, item) in self.items.iter().enumerate().filter(|(place, _)| replies[*place].is_none()) {
            calls.push(async move { (place, read_one(item, path, caller).await) });
        }
        let mut calls = futures::stream::iter(calls).buffer_unordered(CONCURRENT_CALLS);
        while let Some((place, reply)) = calls.next().await {
            replies[place] = Some(reply);
        }
        replies.into_iter().map(|reply| reply.unwrap_or(Ok(None))).collect()
    }

    async fn read_batches(&self, path: &str, caller: &dyn RpcCaller, replies: &mut [Option<EntityReply>]) {
        let mut waiting: Vec<usize> = (0..self.items.len()).collect();
        let mut calls = Vec::new();
        while let Some((rpc, group)) = self.next_batch(&mut waiting) {
            let items: Vec<&[u8]> = group.iter().filter_map(|place| batch::item_of(&self.items[*place].as_ref().ok()?.call)).collect();
            if group.len() < 2 || items.len() != group.len() {
                continue;
            }
            let item = &self.items[group[0]];
            let (Ok(EntityItem { namespace, .. }), Some(batch)) = (item, rpc) else { continue };
            let rpc = FieldRpc { method: &batch.method, path, namespace: Some(namespace) };
            calls.push(async move { (group, batch::read(batch, rpc, items, caller).await) });
        }
        let mut calls = futures::stream::iter(calls).buffer_unordered(CONCURRENT_CALLS);
        while let Some((group, result)) = calls.next().await {
            match &*result {
                BatchResult::Replies(found) => {
                    for (place, reply) in group.iter().zip(found) {
                        replies[*place] = reply.clone().map(|reply| Ok(Some(reply)));
                    }
                }
                BatchResult::Failed(error) => group.iter().for_each(|place| replies[*place] = Some(Err(error.for_client()))),
            }
        }
    }

    /// Takes the items that one batch can read from those that wait. `None`: no item waits any more.
    fn next_batch(&self, waiting: &mut Vec<usize>) -> Option<(Option<&BatchRpc>, Vec<usize>)> {
        let key = |place: usize| {
            let item = self.items[place].as_ref().ok()?;
            let batch = item.call.batch.as_deref().filter(|_| item.call.message.is_ok())?;
            Some((&*item.namespace, batch.method.path.as_str(), batch))
        };
        let first = key(*waiting.first()?);
        let is_same = |place: usize| match (first, key(place)) {
            (Some((namespace, path, _)), Some((other, other_path, _))) => (namespace, path) == (other, other_path),
            (None, None) => true,
            _ => false,
        };
        let mut group: Vec<usize> = Vec::new();
        waiting.retain(|place| {
            let is_taken = group.len() < MAX_ITEMS && is_same(*place);
            if is_taken {
                group.push(*place);
            }
            !is_taken
        });
        Some((first.map(|(_, _, batch)| batch), group))
    }
}

async fn read_one(item: &Result<EntityItem, Error>, path: &str, caller: &dyn RpcCaller) -> EntityReply {
    let EntityItem { namespace, call } = item.as_ref().map_err(Error::for_client)?;
    let message = call.message.as_ref().map_err(Error::for_client)?.clone();
    let rpc = FieldRpc { method: &call.method, path, namespace: Some(namespace) };
    match caller.call(rpc, message).await {
        Ok(reply) => Ok(Some(reply)),
        // A router takes `null` for an entity that does not exist.
        Err(error) if error.code() == Code::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Plans the call for a representation: an object with the name of its type, and its key.
fn plan(planner: &Planner<'_>, representation: &Value, below: &[&SelectionSet]) -> Result<Result<EntityItem, Error>, RequestError> {
    let refuse = |problem: String| Ok(Err(Error::invalid("representations", problem)));
    let Value::Object(members) = representation else { return refuse("must be objects".to_owned()) };
    let Some(Value::String(name)) = members.get("__typename") else { return refuse("must have a __typename".to_owned()) };
    let found = planner.model.entities.as_ref().and_then(|entities| entities.get(name));
    let Some((entity, root)) = found.and_then(|entity| Some((entity, planner.model.query_of(entity)?))) else {
        return refuse(format!("there is no entity {name}"));
    };
    let Some(key) = members.get(entity.key.as_str()).filter(|key| **key != Value::Null) else {
        return refuse(format!("the key {} of {name} is missing", entity.key));
    };
    let message = input::encode_arguments(planner.model, root, &[(Name::new(&entity.key), key.clone())]);
    let text = serde_json::to_vec(key).unwrap_or_default();
    let plan = planner.entity(name, root.output, (&entity.key, &text), below)?;
    let (method, batch, output) = (root.method.clone(), root.batch.clone(), root.output);
    Ok(Ok(EntityItem { namespace: entity.namespace.clone(), call: RpcCall { method, message, batch, output, plan: Some(plan) } }))
}
