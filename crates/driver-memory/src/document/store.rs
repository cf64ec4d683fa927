//! The documents and indexes of one keyspace, and the bytes that they take.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
    sync::Arc,
};

use crate::state::{OVERHEAD, SharedState};
use prism_call::Error;
use prism_driver::{
    document::{
        StoredDocument,
        filter::{Filter, KeyRange},
        index::IndexDefinition,
        memory::object_bytes,
        unique_violation,
        value::Key,
    },
    time::Millis,
};

/// Bytes that an entry of an index counts in addition to its key and its id.
const ENTRY_BYTES: u64 = 32;

/// All collections of a keyspace.
pub struct Store {
    shared: Arc<SharedState>,
    /// None of them has neither documents nor indexes.
    collections: HashMap<String, Collection>,
    /// The documents that expire, by the time at which they do.
    expiring: BTreeSet<(Millis, String, Arc<str>)>,
    /// The revision of the last write. All collections share this counter.
    revision: u64,
}

/// The documents and indexes of a collection.
#[derive(Default)]
pub struct Collection {
    pub documents: BTreeMap<Arc<str>, Arc<StoredDocument>>,
    pub indexes: BTreeMap<String, CollectionIndex>,
}

/// An index of a collection.
pub struct CollectionIndex {
    pub definition: IndexDefinition,
    /// Whether it has the entries of all documents. Until then, no query uses it, and it is not unique.
    pub ready: bool,
    /// The key and the id of each document.
    pub entries: BTreeSet<(Key, Arc<str>)>,
}

impl Store {
    pub fn new(shared: Arc<SharedState>) -> Self {
        Self { shared, collections: HashMap::new(), expiring: BTreeSet::new(), revision: 0 }
    }

    /// A collection, if it exists.
    pub fn collection(&self, name: &str) -> Option<&Collection> {
        self.collections.get(name)
    }

    /// The same, for changes of its indexes.
    pub fn collection_mut(&mut self, name: &str) -> Option<&mut Collection> {
        self.collections.get_mut(name)
    }

    /// A document; `None` if it does not exist or has expired.
    pub fn live(&self, collection: &str, id: &str, now: Millis) -> Option<&Arc<StoredDocument>> {
        self.collections.get(collection)?.documents.get(id).filter(|document| document.facts.is_live(now))
    }

    pub fn next_revision(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }

    /// Stores a document in place of the one that has its id, even if that one has expired. After an error, nothing has changed.
    pub fn put(&mut self, collection: &str, document: StoredDocument, now: Millis) -> Result<Arc<StoredDocument>, Error> {
        if self.live(collection, &document.id, now).is_none() {
            self.remove(collection, &document.id);
        }
        let present = self.collections.get(collection);
        let mut needed = document_bytes(&document);
        let mut entries: Vec<(String, Key)> = Vec::new();
        for (name, index) in present.iter().flat_map(|present| &present.indexes) {
            let unique_key = index.definition.unique_key(&document.body);
            if index.ready && unique_key.as_ref().is_some_and(|key| self.is_taken(collection, index, key, &document.id, now)) {
                return Err(unique_violation(name));
            }
            let key = unique_key.unwrap_or_else(|| index.definition.key(&document.body));
            needed += entry_bytes(&key, &document.id);
            entries.push((name.clone(), key));
        }
        let freed = present.map_or(0, |present| present.bytes_of(&document.id));
        self.reserve(needed, freed, now)?;
        let id = document.id.clone();
        self.take(collection, &id);
        if let Some(expires) = document.facts.expires {
            self.expiring.insert((expires, collection.to_owned(), id.clone()));
        }
        let stored = Arc::new(document);
        let target = self.collections.entry(collection.to_owned()).or_default();
        for (name, key) in entries {
            if let Some(index) = target.indexes.get_mut(&name) {
                index.entries.insert((key, id.clone()));
            }
        }
        target.documents.insert(id, stored.clone());
        Ok(stored)
    }

    /// Removes a document, and returns it even if it has expired.
    pub fn remove(&mut self, collection: &str, id: &str) -> Option<Arc<StoredDocument>> {
        let freed = self.collections.get(collection)?.bytes_of(id);
        let removed = self.take(collection, id);
        self.shared.release(freed);
        self.remove_if_empty(collection);
        removed
    }

    /// Removes a document without counting its bytes.
    fn take(&mut self, collection: &str, id: &str) -> Option<Arc<StoredDocument>> {
        let target = self.collections.get_mut(collection)?;
        let (id, removed) = target.documents.remove_entry(id)?;
        for index in target.indexes.values_mut() {
            index.entries.remove(&(index.definition.key(&removed.body), id.clone()));
        }
        if let Some(expires) = removed.facts.expires {
            self.expiring.remove(&(expires, collection.to_owned(), id));
        }
        Some(removed)
    }

    fn remove_if_empty(&mut self, collection: &str) {
        if self.collections.get(collection).is_some_and(|collection| collection.documents.is_empty() && collection.indexes.is_empty()) {
            self.collections.remove(collection);
        }
    }

    /// Reserves bytes in place of others.
    fn reserve(&mut self, needed: u64, freed: u64, now: Millis) -> Result<(), Error> {
        if needed <= freed {
            self.shared.release(freed - needed);
            return Ok(());
        }
        if self.shared.reserve(needed - freed).is_ok() {
            return Ok(());
        }
        // Expired documents may take the space. The one that is replaced has not expired.
        self.sweep(now, usize::MAX);
        self.shared.reserve(needed - freed)
    }

    /// Whether another document has a key of a unique index.
    fn is_taken(&self, collection: &str, index: &CollectionIndex, key: &Key, id: &str, now: Millis) -> bool {
        index.ids(&KeyRange::of_key(key.clone())).any(|other| **other != *id && self.live(collection, other, now).is_some())
    }

    /// Removes at most `limit` expired documents, and returns how many.
    pub fn sweep(&mut self, now: Millis, limit: usize) -> usize {
        let mut swept = 0;
        while swept < limit
            && let Some((expires, collection, id)) = self.expiring.first()
            && *expires <= now
        {
            let (collection, id) = (collection.clone(), id.clone());
            self.remove(&collection, &id);
            swept += 1;
        }
        swept
    }

    /// Adds an index without entries, and the collection if it does not exist.
    pub fn add_index(&mut self, collection: &str, definition: IndexDefinition) -> Result<(), Error> {
        self.shared.reserve(index_bytes(&definition))?;
        let index = CollectionIndex { definition: definition.clone(), ready: false, entries: BTreeSet::new() };
        self.collections.entry(collection.to_owned()).or_default().indexes.insert(definition.index.name, index);
        Ok(())
    }

    /// Adds the entries of documents with greater ids to an index, of at most `limit` documents. Returns the last id; `None` at the end.
    pub fn fill_index(&mut self, collection: &str, name: &str, after: Option<&Arc<str>>, limit: usize) -> Result<Option<Arc<str>>, Error> {
        let Some(Collection { documents, indexes }) = self.collections.get_mut(collection) else { return Ok(None) };
        let Some(index) = indexes.get_mut(name) else { return Ok(None) };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut last = None;
        for (id, document) in documents.range::<Arc<str>, _>((from, Bound::Unbounded)).take(limit) {
            let entry = (index.definition.key(&document.body), id.clone());
            if !index.entries.contains(&entry) {
                self.shared.reserve(entry_bytes(&entry.0, id))?;
                index.entries.insert(entry);
            }
            last = Some(id.clone());
        }
        Ok(last)
    }

    /// Removes an index, and returns it so that the caller frees its entries without the lock.
    pub fn remove_index(&mut self, collection: &str, name: &str) -> Option<CollectionIndex> {
        let index = self.collections.get_mut(collection)?.indexes.remove(name)?;
        self.shared.release(index.bytes());
        self.remove_if_empty(collection);
        Some(index)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let documents = self.collections.values().flat_map(|collection| collection.documents.values());
        let indexes = self.collections.values().flat_map(|collection| collection.indexes.values());
        self.shared
            .release(documents.map(|document| document_bytes(document)).sum::<u64>() + indexes.map(CollectionIndex::bytes).sum::<u64>());
    }
}

impl Collection {
    /// Bytes that a document and its entries in indexes take.
    fn bytes_of(&self, id: &str) -> u64 {
        let Some(document) = self.documents.get(id) else { return 0 };
        let entries = self.indexes.values().map(|index| {
            let entry = (index.definition.key(&document.body), document.id.clone());
            // An index that is being made may not have the entry yet.
            if index.entries.contains(&entry) { entry_bytes(&entry.0, id) } else { 0 }
        });
        document_bytes(document) + entries.sum::<u64>()
    }

    /// Whether an index can tell for which documents a filter may hold.
    pub fn can_use_index(&self, filter: &Filter) -> bool {
        self.best_index(filter).is_some()
    }

    /// The documents for which a filter may hold.
    pub fn candidates(&self, filter: &Filter) -> Vec<Arc<StoredDocument>> {
        match self.best_index(filter) {
            Some((index, range)) => index.ids(&range).filter_map(|id| self.documents.get(id).cloned()).collect(),
            None => self.documents.values().cloned().collect(),
        }
    }

    /// The index that limits the documents best, and the range of its keys.
    fn best_index(&self, filter: &Filter) -> Option<(&CollectionIndex, KeyRange)> {
        let ready = self.indexes.values().filter(|index| index.ready);
        let ranges = ready.filter_map(|index| index.definition.range(filter).map(|(range, one_value)| (index, range, one_value)));
        ranges.max_by_key(|(_, _, one_value)| *one_value).map(|(index, range, _)| (index, range))
    }
}

impl CollectionIndex {
    /// The ids of the documents in a range of keys.
    pub fn ids(&self, range: &KeyRange) -> impl Iterator<Item = &Arc<str>> {
        // `BTreeSet` would panic if the range were the wrong way round.
        let upper = range.upper.clone().max(range.lower.clone());
        let bounds = (Bound::Included((range.lower.clone(), Arc::from(""))), Bound::Excluded((upper, Arc::from(""))));
        self.entries.range(bounds).map(|(_, id)| id)
    }

    fn bytes(&self) -> u64 {
        index_bytes(&self.definition) + self.entries.iter().map(|(key, id)| entry_bytes(key, id)).sum::<u64>()
    }
}

fn index_bytes(definition: &IndexDefinition) -> u64 {
    let paths: usize = definition.index.fields.iter().map(|field| field.path.len()).sum();
    OVERHEAD + (definition.index.name.len() + paths) as u64
}

fn entry_bytes(key: &[u8], id: &str) -> u64 {
    (key.len() + id.len()) as u64 + ENTRY_BYTES
}

/// Bytes that a document counts without its entries in indexes.
fn document_bytes(document: &StoredDocument) -> u64 {
    OVERHEAD + document.id.len() as u64 + object_bytes(&document.body)
}
