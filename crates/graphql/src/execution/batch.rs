//! Batches: fields of one query that read items of the same kind are one call, if the namespace has an RPC for it.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};

use super::{RootCall, RootTarget, RpcCall, RpcCaller};
use crate::model::BatchRpc;
use prism_call::{Code, Error};
use prism_frontend::wire::{self, WireType, WireValue};

/// Items of one call.
const MAX_ITEMS: usize = 100;

/// What a batch said.
enum BatchResult {
    /// The replies, in the order of the items. An item without one is asked for alone, so that it has the error of its own RPC: nobody has
    /// to know what a batch says about an item that is not there, is wrong, or may not be read.
    Replies(Vec<Option<Bytes>>),
    /// Single calls would fail too.
    Failed(Error),
}

/// The result of a batch, for which all of its fields wait.
type SharedResult<'o> = Shared<BoxFuture<'o, Arc<BatchResult>>>;
/// The fields that one RPC can read, by their places, each with its item.
type Group<'o> = (&'o BatchRpc, Vec<(usize, &'o [u8])>);

/// The batches of an operation. A batch is called when its first field is executed.
#[derive(Default)]
pub struct Batches<'o> {
    /// The batch of each field that is in one, and its place there.
    fields: HashMap<usize, (SharedResult<'o>, usize)>,
}

impl<'o> Batches<'o> {
    /// Finds the fields that can be read at once.
    pub fn of(roots: &'o [RootCall], caller: &'o dyn RpcCaller) -> Self {
        if roots.len() < 2 {
            return Self::default();
        }
        let mut groups: HashMap<&str, Group<'o>> = HashMap::new();
        for (place, root) in roots.iter().enumerate() {
            let RootTarget::Rpc(RpcCall { message: Ok(message), batch: Some(batch), .. }) = &root.target else { continue };
            if let Ok(Some(WireValue::Bytes(item))) = wire::last(message, batch.item) {
                groups.entry(batch.method.path.as_str()).or_insert_with(|| (batch, Vec::new())).1.push((place, item));
            }
        }
        let mut fields = HashMap::new();
        for (batch, items) in groups.into_values() {
            for items in items.chunks(MAX_ITEMS).filter(|items| items.len() > 1) {
                let name = roots[items[0].0].key.as_str();
                let asked: Vec<&'o [u8]> = items.iter().map(|(_, item)| *item).collect();
                let result = read(batch, name, asked, caller).boxed().shared();
                fields.extend(items.iter().enumerate().map(|(index, (place, _))| (*place, (result.clone(), index))));
            }
        }
        Self { fields }
    }

    /// Returns the reply for a field, or why there is none. `None`: it is in no batch, or its batch says nothing about it.
    pub async fn reply(&self, place: usize) -> Option<Result<Bytes, Error>> {
        let (result, index) = self.fields.get(&place)?;
        match &*result.clone().await {
            BatchResult::Replies(replies) => replies.get(*index).cloned().flatten().map(Ok),
            BatchResult::Failed(error) => Some(Err(error.for_client())),
        }
    }
}

async fn read(batch: &BatchRpc, field: &str, items: Vec<&[u8]>, caller: &dyn RpcCaller) -> Arc<BatchResult> {
    let mut request = Vec::new();
    for item in &items {
        wire::put_tag(&mut request, batch.items, WireType::Bytes);
        wire::put_bytes(&mut request, item);
    }
    Arc::new(match caller.call(&batch.method, field, request.into()).await {
        Ok(reply) => {
            let entries = entries(batch, &reply).filter(|entries| entries.len() == items.len());
            BatchResult::Replies(entries.unwrap_or_default())
        }
        Err(error) if matches!(error.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled) => BatchResult::Failed(error),
        Err(_) => BatchResult::Replies(Vec::new()),
    })
}

/// Returns the entries of the results.
fn entries(batch: &BatchRpc, reply: &Bytes) -> Option<Vec<Option<Bytes>>> {
    let mut entries = Vec::new();
    for result in wire::all(reply, batch.results).ok()? {
        let WireValue::Bytes(result) = result else { return None };
        entries.push(match wire::last(result, batch.entry).ok()? {
            Some(WireValue::Bytes(entry)) => Some(reply.slice_ref(entry)),
            _ => None,
        });
    }
    Some(entries)
}
