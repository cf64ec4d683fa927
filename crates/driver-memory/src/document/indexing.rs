//! `document_indexing`

use std::sync::Arc;

use async_trait::async_trait;

use super::{Documents, EXPIRED_PER_LOCK, store::Collection};
use prism_call::{
    Context, Error,
    proto::models::document::v1::{
        CreateIndexRequest, CreateIndexResponse, DocumentIndexing, DropIndexRequest, DropIndexResponse, ListIndexesRequest,
        ListIndexesResponse,
    },
};
use prism_driver::{
    document::{
        check_collection,
        index::{IndexDefinition, MAX_INDEXES, check_drop, index_differs, too_many_indexes},
        not_unique,
        value::Key,
    },
    time::{self, Millis},
};

/// An index that is being made; removed when it is dropped before it is ready.
struct Building<'d> {
    documents: &'d Documents,
    collection: String,
    name: String,
    ready: bool,
}

impl Building<'_> {
    /// Adds the entries of all documents, with pauses in which other calls take the lock.
    async fn fill(&self) -> Result<(), Error> {
        let mut last: Option<Arc<str>> = None;
        loop {
            let filled = self.documents.write(time::now())?.fill_index(&self.collection, &self.name, last.as_ref(), EXPIRED_PER_LOCK)?;
            if filled.is_none() {
                return Ok(());
            }
            last = filled;
            tokio::task::consume_budget().await;
        }
    }
}

impl Drop for Building<'_> {
    fn drop(&mut self) {
        if !self.ready {
            let removed = self.documents.lock().remove_index(&self.collection, &self.name);
            // Freed after the lock: freeing many entries takes time.
            drop(removed);
        }
    }
}

/// The id of a document whose values in a unique index another one has too.
fn duplicate(collection: &Collection, name: &str, now: Millis) -> Option<Arc<str>> {
    let index = collection.indexes.get(name).filter(|index| index.definition.index.unique)?;
    let live = |id: &Arc<str>| collection.documents.get(id).filter(|document| document.facts.is_live(now));
    let mut former: Option<&(Key, Arc<str>)> = None;
    for entry in &index.entries {
        // Documents are looked up only if two have the same key.
        if let Some((key, other)) = former
            && *key == entry.0
        {
            let Some(document) = live(&entry.1) else { continue };
            if index.definition.unique_key(&document.body).is_some() && live(other).is_some() {
                return Some(entry.1.clone());
            }
        }
        former = Some(entry);
    }
    None
}

#[async_trait]
impl DocumentIndexing for Documents {
    async fn create_index(&self, _: &Context, request: CreateIndexRequest) -> Result<CreateIndexResponse, Error> {
        let (collection, definition) = IndexDefinition::new(request)?;
        let name = definition.index.name.clone();
        let _one_at_a_time = self.indexing.lock().await;
        {
            let mut store = self.write(time::now())?;
            let indexes = store.collection(&collection).map(|collection| &collection.indexes);
            match indexes.and_then(|indexes| indexes.get(&name)) {
                Some(present) if present.definition == definition => return Ok(CreateIndexResponse { created: false }),
                Some(_) => return Err(index_differs(&name)),
                None if indexes.is_some_and(|indexes| indexes.len() == MAX_INDEXES) => return Err(too_many_indexes()),
                None => store.add_index(&collection, definition)?,
            }
        }
        let mut building = Building { documents: self, collection, name, ready: false };
        building.fill().await?;
        let now = time::now();
        let mut store = self.write(now)?;
        if let Some(collection) = store.collection_mut(&building.collection) {
            if let Some(id) = duplicate(collection, &building.name, now) {
                drop(store);
                return Err(not_unique(&id));
            }
            if let Some(index) = collection.indexes.get_mut(&building.name) {
                index.ready = true;
                building.ready = true;
            }
        }
        drop(store);
        Ok(CreateIndexResponse { created: true })
    }

    async fn drop_index(&self, _: &Context, request: DropIndexRequest) -> Result<DropIndexResponse, Error> {
        check_drop(&request)?;
        let _one_at_a_time = self.indexing.lock().await;
        let removed = self.write(time::now())?.remove_index(&request.collection, &request.name);
        Ok(DropIndexResponse { dropped: removed.is_some() })
    }

    async fn list_indexes(&self, _: &Context, request: ListIndexesRequest) -> Result<ListIndexesResponse, Error> {
        check_collection(&request.collection)?;
        let store = self.read()?;
        let indexes = store.collection(&request.collection).into_iter().flat_map(|collection| collection.indexes.values());
        let indexes = indexes.filter(|index| index.ready).map(|index| index.definition.index.clone()).collect();
        Ok(ListIndexesResponse { indexes })
    }
}
