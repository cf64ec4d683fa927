//! Batches: items of the same kind that one call reads.

use std::sync::Arc;

use bytes::Bytes;

use super::{FieldRpc, RpcCall, RpcCaller};
use crate::model::BatchRpc;
use prism_call::{Code, Error};
use prism_frontend::wire::{self, WireType, WireValue};

/// Items of one call.
pub const MAX_ITEMS: usize = 100;

/// What a batch said.
pub enum BatchResult {
    /// The replies, in the order of the items. An item without one is asked for alone, so that it has the error of its own RPC: nobody has
    /// to know what a batch says about an item that is not there, is wrong, or may not be read.
    Replies(Vec<Option<Bytes>>),
    /// Single calls would fail too.
    Failed(Error),
}

/// Returns the item that a call reads, as it is in the request of a batch.
pub fn item_of(call: &RpcCall) -> Option<&[u8]> {
    let (Ok(message), Some(batch)) = (&call.message, &call.batch) else { return None };
    match wire::last(message, batch.item) {
        Ok(Some(WireValue::Bytes(item))) => Some(item),
        _ => None,
    }
}

/// Calls a batch.
pub async fn read(batch: &BatchRpc, rpc: FieldRpc<'_>, items: Vec<&[u8]>, caller: &dyn RpcCaller) -> Arc<BatchResult> {
    let mut request = Vec::new();
    for item in &items {
        wire::put_tag(&mut request, batch.items, WireType::Bytes);
        wire::put_bytes(&mut request, item);
    }
    Arc::new(match caller.call(rpc, request.into()).await {
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
