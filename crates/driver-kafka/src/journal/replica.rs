//! Reads a journal and applies its commands.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

use prost::Message as _;

use super::{Journal, Operation, SNAPSHOT_BYTES, SNAPSHOT_COMMANDS, SnapshotPart, State, command::Command};
use crate::{
    client::{Client, Place},
    codec::Stored,
    reader::{Item, Position, Reader, Removed},
};
use prism_call::Error;
use prism_driver::lock::lock;

/// Pause after an error.
const PAUSE: Duration = Duration::from_millis(100);

/// The task that reads a journal.
pub struct Replica {
    client: Arc<Client>,
    journal: Weak<Journal>,
    /// Parts of snapshots that are not complete, by their snapshots.
    parts: BTreeMap<u64, Vec<SnapshotPart>>,
    /// Whether the state has all commands before the next one.
    restored: bool,
    /// Commands that came before a complete snapshot.
    early: Vec<Stored>,
    /// Commands and bytes since the last snapshot.
    commands: u64,
    bytes: u64,
}

impl Replica {
    pub fn new(journal: &Arc<Journal>) -> Self {
        Self {
            client: journal.client.clone(),
            journal: Arc::downgrade(journal),
            parts: BTreeMap::new(),
            restored: false,
            early: Vec::new(),
            commands: 0,
            bytes: 0,
        }
    }

    /// Reads until the journal is dropped.
    pub async fn run(mut self) {
        while let Err(error) = self.read().await {
            tracing::debug!(%error, "the reader of a journal begins again");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Reads the journal from its beginning, or continues after an error. Returns when the journal is dropped.
    async fn read(&mut self) -> Result<(), Error> {
        let (first, applied, context, topic) = {
            let Some(journal) = self.journal.upgrade() else { return Ok(()) };
            let deadline = self.client.deadline(&journal.context());
            let first = self.client.offsets(&deadline, &journal.topic, &[0], Place::First).await?.first().copied().unwrap_or(0);
            let applied = *journal.applied.borrow();
            (first, applied, journal.context(), journal.topic.clone())
        };
        let next = if self.restored && first <= applied {
            // The state has all commands before this offset, so that nobody sees an older one.
            applied
        } else {
            (self.restored, self.commands, self.bytes) = (first == 0, 0, 0);
            self.parts.clear();
            self.early.clear();
            first
        };
        // Strict also for the first command: a snapshot may replace it in this moment.
        let positions = BTreeMap::from([(0, Position { strict: true, ..Position::from(next) })]);
        let mut reader = Reader::new(self.client.clone(), context, topic, positions, Removed::Fail).with_patience(Duration::MAX);
        loop {
            // `None` comes only without `follow`; a removed command means that a snapshot came, which the next attempt finds.
            let Some(Item::Record(stored)) = reader.next(true).await? else { continue };
            let Some(journal) = self.journal.upgrade() else { return Ok(()) };
            self.handle(&journal, stored, first);
        }
    }

    fn handle(&mut self, journal: &Arc<Journal>, stored: Stored, first: u64) {
        let next = stored.offset + 1;
        match Command::decode(stored.payload.clone()) {
            Ok(Command { operation: Some(Operation::Snapshot(part)), .. }) => self.handle_part(journal, part, first, stored.time),
            Ok(command) if self.restored => self.apply(journal, command, &stored),
            Ok(_) => self.early.push(stored),
            Err(error) => tracing::warn!(%error, topic = journal.topic, "a record that Prism did not write was ignored"),
        }
        if self.restored {
            journal.applied.send_modify(|applied| *applied = next.max(*applied));
        }
    }

    fn apply(&mut self, journal: &Arc<Journal>, command: Command, stored: &Stored) {
        self.commands += 1;
        self.bytes += stored.payload.len() as u64;
        let own = (self.commands >= SNAPSHOT_COMMANDS || self.bytes >= SNAPSHOT_BYTES) && journal.is_own(command.id);
        journal.apply(command, stored.offset, stored.time);
        if own {
            (self.commands, self.bytes) = (0, 0);
            journal.write_snapshot(stored.offset + 1, stored.time);
        }
    }

    /// Collects the parts of a snapshot. The last one completes it.
    fn handle_part(&mut self, journal: &Arc<Journal>, part: SnapshotPart, first: u64, at: i64) {
        let (snapshot, before, last) = (part.snapshot, part.before, part.last);
        // A gateway may have crashed before it wrote all parts of an older one.
        self.parts.retain(|other, parts| *other == snapshot || parts.first().is_some_and(|part| part.before > before));
        let parts = self.parts.entry(snapshot).or_default();
        if usize::try_from(part.index) == Ok(parts.len()) {
            // A gateway that has the state needs to know only that the snapshot is complete.
            parts.push(if self.restored {
                SnapshotPart { before, index: part.index, last, snapshot, ..SnapshotPart::default() }
            } else {
                part
            });
        }
        if !last {
            return;
        }
        let parts = self.parts.remove(&snapshot).unwrap_or_default();
        if parts.last().is_none_or(|part| !part.last) {
            return;
        }
        if self.restored {
            (self.commands, self.bytes) = (0, 0);
            lock(&journal.state).forget_lines(at);
        } else if before >= first {
            *lock(&journal.state) = State::restore(parts);
            self.restored = true;
            for stored in std::mem::take(&mut self.early) {
                if stored.offset >= before
                    && let Ok(command) = Command::decode(stored.payload.clone())
                {
                    self.apply(journal, command, &stored);
                }
            }
        }
    }
}
