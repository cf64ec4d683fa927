//! What the calls of a connection share: the gateway, and the list of those that are open.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::AbortHandle,
};

use crate::{Served, codec::Codec, routing::ConnectionScope};
use prism_call::{Origin, Peer, Pipeline};

/// How many request messages of a call may wait until they are read.
pub const REQUEST_CREDITS: u32 = 16;

/// What the calls of a connection need of the gateway.
pub struct Gateway {
    pub pipeline: Arc<Pipeline>,
    pub current: Arc<ArcSwap<Served>>,
    pub peer: Arc<Peer>,
    pub origin: Origin,
    pub scope: ConnectionScope,
    pub codec: Codec,
}

/// The open calls of a connection, by id.
#[derive(Clone, Default)]
pub struct OpenCalls(Arc<Mutex<HashMap<u32, OpenCall>>>);

impl OpenCalls {
    pub fn lock(&self) -> MutexGuard<'_, HashMap<u32, OpenCall>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the call of the current task before its last frame is sent, because the client may use its id again after that.
    ///
    /// Returns `false` if another task answers the call, or if it was cancelled. The id may belong to another call then.
    pub fn remove_own(&self, id: u32) -> bool {
        let mut open = self.lock();
        let is_own = open.get(&id).is_some_and(|call| tokio::task::try_id() == Some(call.task.id()));
        is_own && open.remove(&id).is_some()
    }
}

/// A call as the frames of the client see it.
pub struct OpenCall {
    /// The stream of request messages; `None` after its end, and if there is only one message.
    pub request: Option<mpsc::Sender<UnreadMessage>>,
    pub reply_credits: Arc<Semaphore>,
    pub task: AbortHandle,
}

/// A request message that was not read yet, and its part of the limit.
pub struct UnreadMessage {
    pub message: Bytes,
    pub _bytes: OwnedSemaphorePermit,
}
