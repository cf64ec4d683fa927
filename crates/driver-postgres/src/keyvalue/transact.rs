//! Evaluates the conditions and operations of a transaction over entries that were read before.

use std::collections::HashMap;

use bytes::Bytes;

use prism_call::{
    Error,
    proto::models::keyvalue::v1::{
        Condition, DeleteResult, Entry, GetResult, Operation, OperationResult, SetResult, TransactRequest, TransactResponse,
        operation::Action, operation_result::Outcome,
    },
};
use prism_driver::{
    time::{self, Millis},
    transactions::{Numbers, holds},
};

/// The entries of a transaction.
pub struct Transaction {
    /// The revision of everything that it stores.
    revision: u64,
    entries: HashMap<Bytes, Entry>,
    /// When the entries expire that it stores.
    stored: HashMap<Bytes, Option<Millis>>,
}

/// What a transaction does with a key.
pub enum KeyState<'t> {
    /// It stores this entry, which expires at this time.
    Stored(&'t Entry, Option<Millis>),
    /// The key has no entry at the end.
    Absent,
    /// The entry stays as it is.
    Unchanged,
}

impl Transaction {
    pub fn new(revision: u64) -> Self {
        Self { revision, entries: HashMap::new(), stored: HashMap::new() }
    }

    /// Adds an entry that exists before the transaction.
    pub fn add_entry(&mut self, entry: Entry) {
        self.entries.insert(entry.key.clone(), entry);
    }

    /// Evaluates the conditions, and does the operations that they select.
    pub fn run(&mut self, request: &TransactRequest) -> Result<TransactResponse, Error> {
        let succeeded = request.conditions.iter().all(|condition| self.condition_holds(condition));
        let operations = if succeeded { &request.then_operations } else { &request.else_operations };
        let results = operations
            .iter()
            .map(|operation| Ok(OperationResult { outcome: self.run_operation(operation)? }))
            .collect::<Result<_, Error>>()?;
        // A key that is set in a list is not deleted in the same list, so something is stored if and only if something was set.
        let revision = if self.stored.is_empty() { 0 } else { self.revision };
        Ok(TransactResponse { succeeded, results, revision })
    }

    /// What becomes of a key.
    pub fn state(&self, key: &[u8]) -> KeyState<'_> {
        match (self.entries.get(key), self.stored.get(key)) {
            (Some(entry), Some(expires)) => KeyState::Stored(entry, *expires),
            (Some(_), None) => KeyState::Unchanged,
            (None, _) => KeyState::Absent,
        }
    }

    fn condition_holds(&self, condition: &Condition) -> bool {
        let entry = self.entries.get(&condition.key);
        let numbers = entry.map(numbers).unwrap_or_default();
        condition.predicate.as_ref().is_some_and(|predicate| holds(predicate, numbers, entry.map(|entry| &entry.value[..])))
    }

    fn run_operation(&mut self, operation: &Operation) -> Result<Option<Outcome>, Error> {
        Ok(match &operation.action {
            Some(Action::Set(set)) => {
                let before = self.entries.get(&set.key).map(numbers);
                let expires = time::expiry(set.ttl.as_ref())?;
                let entry = Entry {
                    key: set.key.clone(),
                    value: set.value.clone(),
                    revision: self.revision,
                    expire_time: expires.map(time::timestamp),
                    flags: set.flags,
                    create_revision: before.map_or(self.revision, |before| before.create_revision),
                    version: before.map_or(1, |before| before.version + 1),
                };
                self.stored.insert(set.key.clone(), expires);
                self.entries.insert(set.key.clone(), entry);
                Some(Outcome::Set(SetResult { revision: self.revision }))
            }
            Some(Action::Get(get)) => Some(Outcome::Get(GetResult { entry: self.entries.get(&get.key).cloned() })),
            Some(Action::Delete(delete)) => {
                let previous_revision = self.entries.remove(&delete.key).map(|entry| entry.revision);
                Some(Outcome::Delete(DeleteResult { deleted: previous_revision.is_some(), previous_revision }))
            }
            None => None,
        })
    }
}

fn numbers(entry: &Entry) -> Numbers {
    Numbers { revision: entry.revision, create_revision: entry.create_revision, version: entry.version }
}
