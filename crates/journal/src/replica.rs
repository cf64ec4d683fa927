//! The state in memory, and the head of the journal that it was built from.

use std::collections::VecDeque;

use bytes::Bytes;
use prost::Message as _;

use super::state::JournalState;
use prism_call::proto::journal::v1::{Entry, Head, Snapshot};

/// Number of entries that are remembered. A writer that got no answer looks for its entry among them.
const REMEMBERED: usize = 256;

/// The value of `head`, with its revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct JournalHead {
    pub revision: u64,
    pub position: u64,
    pub nonce: Bytes,
    /// The last entry, encoded as it will be stored under its own key.
    pub entry: Bytes,
    pub snapshot: Snapshot,
}

impl JournalHead {
    /// Converts what was read from the storage.
    pub fn new(revision: u64, head: Head, last: &Entry) -> Self {
        let Head { position, entry, snapshot } = head;
        Self { revision, position, nonce: last.nonce.clone(), entry, snapshot: snapshot.unwrap_or_default() }
    }

    /// Encodes the value of `head`.
    pub fn head(&self) -> Bytes {
        let Self { position, entry, snapshot, .. } = self.clone();
        Head { position, entry, snapshot: (snapshot.position > 0).then_some(snapshot) }.encode_to_vec().into()
    }
}

/// The state, and the head that it was built from.
#[derive(Debug, Default)]
pub(super) struct Replica<S> {
    pub state: S,
    pub at: JournalHead,
    /// Number of times that the state was cleared. Data from another generation may belong to another journal.
    pub generation: u64,
    /// Nonces of the last entries.
    recent: VecDeque<Bytes>,
}

/// The part of the journal between two heads.
#[derive(Debug, Default)]
pub(super) struct JournalSegment<O> {
    /// The operations of a snapshot, if the state is built from scratch.
    pub base: Option<Vec<O>>,
    /// The entries after the snapshot or after the first head: nonce and operations.
    pub entries: Vec<(Bytes, Vec<O>)>,
}

impl<S: JournalState> Replica<S> {
    /// Applies a segment that was read when the state was at `from`. Returns `false` if the state has moved elsewhere; then the segment
    /// must be read again.
    ///
    /// Only the gateway's own appends can have moved the state, and these continue the journal. So the state is within the segment, or
    /// after its end.
    pub fn advance(&mut self, from: &JournalHead, segment: JournalSegment<S::Operation>, to: JournalHead) -> bool {
        let JournalSegment { base, mut entries } = segment;
        if self.at != *from {
            if base.is_some() {
                return false;
            }
            if self.at.position >= to.position {
                return true;
            }
            if self.at.nonce != from.nonce {
                let Some(passed) = entries.iter().position(|(nonce, _)| *nonce == self.at.nonce) else { return false };
                entries.drain(..=passed);
            }
        }
        if let Some(operations) = base {
            self.clear();
            self.apply(operations);
        }
        for (nonce, operations) in entries {
            self.apply(operations);
            self.remember(nonce);
        }
        self.at = to;
        true
    }

    /// Clears the state.
    pub fn clear(&mut self) {
        *self = Self { generation: self.generation + 1, ..Self::default() };
    }

    /// Whether an entry is among the last that were applied.
    pub fn has_applied(&self, nonce: &Bytes) -> bool {
        self.recent.contains(nonce)
    }

    fn apply(&mut self, operations: Vec<S::Operation>) {
        for operation in operations {
            self.state.apply(operation);
        }
    }

    fn remember(&mut self, nonce: Bytes) {
        if self.recent.len() >= REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(nonce);
    }
}
