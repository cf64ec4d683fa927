//! Sizes and ages of a journal.

use std::time::Duration;

/// Sizes and ages that decide how the journal is stored and when it is refreshed.
#[derive(Clone, Copy, Debug)]
pub struct JournalOptions {
    /// Operations with more bytes are stored under a key of their own (`aside`), so that `head`, which every read gets, stays small.
    pub inline_bytes: usize,
    /// Number of entries after which a snapshot is written, if it is at least half the number of operations in the snapshot.
    pub snapshot_entries: u64,
    /// Number of entries between two checks whether a snapshot is due: counting the operations of a snapshot takes time.
    pub look_entries: u64,
    /// Bytes of a snapshot's part, unless a single operation is larger.
    pub part_bytes: usize,
    /// Age of the state after which a read of data that never changes, other than by permanent deletion, starts a refresh in the
    /// background.
    pub touch_age: Duration,
    /// Age after which such a read waits for the refresh: for so long after a permanent deletion, other gateways may still return the
    /// deleted data.
    pub max_age: Duration,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self {
            inline_bytes: 4 << 10,
            snapshot_entries: 1024,
            look_entries: 64,
            part_bytes: 256 << 10,
            touch_age: Duration::from_millis(500),
            max_age: Duration::from_secs(5),
        }
    }
}
