//! The state in memory, and the place of the journal that it was made from.

use std::collections::VecDeque;

use bytes::Bytes;
use prost::Message as _;

use super::state::State;
use prism_call::proto::journal::v1::{Entry, Head, Operation, Snapshot};

/// Entries that a writer who lost the answer knows again.
const REMEMBERED: usize = 256;

/// What is known of `head`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub revision: u64,
    pub position: u64,
    pub nonce: Bytes,
    /// The entry, encoded as it will lie under its own key.
    pub entry: Bytes,
    pub snapshot: Snapshot,
}

impl Place {
    /// Of what was found.
    pub fn new(revision: u64, head: Head, last: &Entry) -> Self {
        let Head { position, entry, snapshot } = head;
        Self { revision, position, nonce: last.nonce.clone(), entry, snapshot: snapshot.unwrap_or_default() }
    }

    /// The value of `head`.
    pub fn head(&self) -> Bytes {
        let Self { position, entry, snapshot, .. } = self.clone();
        Head { position, entry, snapshot: (snapshot.position > 0).then_some(snapshot) }.encode_to_vec().into()
    }
}

/// The state, and what it was made from.
#[derive(Debug, Default)]
pub(super) struct Replica {
    pub state: State,
    pub at: Place,
    /// How often it was begun anew: what was seen of another line may be of another journal.
    pub line: u64,
    /// Nonces of the last entries.
    recent: VecDeque<Bytes>,
}

/// What a reader found between a place and `head`.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// What a state begins with that is made anew.
    pub base: Option<Vec<Operation>>,
    /// The entries behind that, or behind the place: nonce and operations.
    pub entries: Vec<(Bytes, Vec<Operation>)>,
}

impl Replica {
    /// Goes to what was found when it was at `from`. `false`: it has gone elsewhere meanwhile, so that has to be found anew.
    ///
    /// Only this gateway's own appends may have led it elsewhere, and they follow what was there. So it is on the way, or has
    /// passed its end.
    pub fn follow(&mut self, from: &Place, way: Way, to: Place) -> bool {
        let Way { base, mut entries } = way;
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
            self.repeat(operations);
        }
        for (nonce, operations) in entries {
            self.repeat(operations);
            self.remember(nonce);
        }
        self.at = to;
        true
    }

    /// Everything is gone.
    pub fn clear(&mut self) {
        *self = Self { line: self.line + 1, ..Self::default() };
    }

    /// Whether an entry is among the last that were repeated.
    pub fn has(&self, nonce: &Bytes) -> bool {
        self.recent.contains(nonce)
    }

    fn repeat(&mut self, operations: Vec<Operation>) {
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
