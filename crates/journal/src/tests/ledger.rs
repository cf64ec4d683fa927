//! A state for tests: numbered versions of subjects. Equal texts have one id.

use std::collections::BTreeMap;

use crate::JournalState;

#[derive(Clone, PartialEq, prost::Message)]
pub struct Operation {
    #[prost(oneof = "Change", tags = "1, 2, 3")]
    pub change: Option<Change>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Change {
    #[prost(message, tag = "1")]
    Store(Stored),
    #[prost(message, tag = "2")]
    Remove(Removed),
    /// The last id that was assigned.
    #[prost(uint32, tag = "3")]
    Count(u32),
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Stored {
    #[prost(string, tag = "1")]
    pub subject: String,
    #[prost(uint32, tag = "2")]
    pub version: u32,
    #[prost(uint32, tag = "3")]
    pub id: u32,
    #[prost(string, tag = "4")]
    pub text: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Removed {
    #[prost(string, tag = "1")]
    pub subject: String,
    #[prost(uint32, tag = "2")]
    pub version: u32,
}

#[derive(Debug, Default, PartialEq)]
pub struct Ledger {
    pub last_id: u32,
    /// The texts of ids that a version has.
    pub texts: BTreeMap<u32, String>,
    /// By subject: the ids of its versions.
    pub subjects: BTreeMap<String, BTreeMap<u32, u32>>,
    partial: bool,
}

impl Ledger {
    pub fn id_of(&self, text: &str) -> Option<u32> {
        self.texts.iter().find(|(_, known)| *known == text).map(|(id, _)| *id)
    }
}

impl JournalState for Ledger {
    type Operation = Operation;

    const SUBJECT: &'static str = "the ledger";

    fn apply(&mut self, operation: Operation) {
        match operation.change {
            Some(Change::Store(Stored { subject, version, id, text })) => {
                self.last_id = self.last_id.max(id);
                self.texts.insert(id, text);
                self.subjects.entry(subject).or_default().insert(version, id);
            }
            Some(Change::Remove(Removed { subject, version })) => {
                let Some(versions) = self.subjects.get_mut(&subject) else { return };
                let Some(id) = versions.remove(&version) else { return };
                if versions.is_empty() {
                    self.subjects.remove(&subject);
                }
                if !self.subjects.values().any(|versions| versions.values().any(|other| *other == id)) {
                    self.texts.remove(&id);
                }
            }
            Some(Change::Count(last_id)) => self.last_id = self.last_id.max(last_id),
            // An operation of a later release.
            None => self.partial = true,
        }
    }

    fn snapshot(&self) -> impl Iterator<Item = Operation> {
        let stored = self.subjects.iter().flat_map(|(subject, versions)| {
            versions
                .iter()
                .map(|(&version, &id)| Change::Store(Stored { subject: subject.clone(), version, id, text: self.texts[&id].clone() }))
        });
        std::iter::once(Change::Count(self.last_id)).chain(stored).map(|change| Operation { change: Some(change) })
    }

    fn snapshot_len(&self) -> usize {
        self.subjects.values().map(BTreeMap::len).sum()
    }

    fn is_partial(&self) -> bool {
        self.partial
    }
}
