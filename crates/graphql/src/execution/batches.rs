//! The batches of an operation: fields of one query that read items of the same kind are one call, if the namespace has an RPC for it.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};

use super::{
    RootCall, RootTarget, RpcCaller,
    batch::{self, BatchResult, MAX_ITEMS},
};
use crate::model::BatchRpc;
use prism_call::Error;

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
        let mut groups: HashMap<(Option<&str>, &str), Group<'o>> = HashMap::new();
        for (place, root) in roots.iter().enumerate() {
            let RootTarget::Rpc(call) = &root.target else { continue };
            if let (Some(item), Some(batch)) = (batch::item_of(call), &call.batch) {
                groups.entry((root.namespace(), batch.method.path.as_str())).or_insert_with(|| (batch, Vec::new())).1.push((place, item));
            }
        }
        let mut fields = HashMap::new();
        for (batch, items) in groups.into_values() {
            for items in items.chunks(MAX_ITEMS).filter(|items| items.len() > 1) {
                let first = &roots[items[0].0];
                let asked: Vec<&'o [u8]> = items.iter().map(|(_, item)| *item).collect();
                let result = batch::read(batch, first.rpc(&batch.method), asked, caller).boxed().shared();
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
