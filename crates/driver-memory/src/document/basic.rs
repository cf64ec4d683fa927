//! `document_basic`

use std::sync::Arc;

use async_trait::async_trait;

use super::Documents;
use prism_call::{
    Context, Error,
    proto::models::document::v1::{
        DeleteRequest, DeleteResponse, DocumentBasic, GetRequest, GetResponse, InsertRequest, InsertResponse, UpdateRequest, UpdateResponse,
    },
};
use prism_driver::{
    document::{
        Facts, StoredDocument, check_collection, check_id, document_exists,
        projection::Projection,
        update::{NewDocument, Update, Written, check_delete},
    },
    time,
};

impl Documents {
    /// Writes what an update has made of a document, if the document is still the same. Returns `None` if it is not.
    fn write_unchanged(
        &self,
        update: &Update,
        seen: Option<&Arc<StoredDocument>>,
        written: Option<Written>,
    ) -> Result<Option<UpdateResponse>, Error> {
        let now = time::now();
        let revision = |document: Option<&Arc<StoredDocument>>| document.map_or(0, |document| document.facts.revision);
        let mut store = self.write(now)?;
        if revision(store.live(&update.collection, &update.id, now)) != revision(seen) {
            return Ok(None);
        }
        let Some(Written { body, expires }) = written else { return Ok(Some(Update::refusal(revision(seen)))) };
        let created = seen.map_or(now, |document| document.facts.created);
        let facts = Facts { revision: store.next_revision(), created, updated: now, expires };
        let stored = store.put(&update.collection, StoredDocument { id: update.id.as_str().into(), body, facts }, now)?;
        drop(store);
        Ok(Some(update.response(seen.is_none(), &stored)))
    }
}

#[async_trait]
impl DocumentBasic for Documents {
    async fn insert(&self, _: &Context, request: InsertRequest) -> Result<InsertResponse, Error> {
        let NewDocument { collection, id, body, expires } = NewDocument::new(request)?;
        let now = time::now();
        let mut store = self.write(now)?;
        if let Some(present) = store.live(&collection, &id, now) {
            return Err(document_exists(present.facts.revision));
        }
        let facts = Facts { revision: store.next_revision(), created: now, updated: now, expires };
        store.put(&collection, StoredDocument { id: id.as_str().into(), body, facts }, now)?;
        Ok(InsertResponse { id, revision: facts.revision, create_time: Some(time::timestamp(now)) })
    }

    async fn update(&self, _: &Context, request: UpdateRequest) -> Result<UpdateResponse, Error> {
        let update = Update::new(request)?;
        // The change is made without the lock, to the document as it was read. If it was written meanwhile, the change is made again.
        loop {
            let present = self.read()?.live(&update.collection, &update.id, time::now()).cloned();
            let written = update.apply(present.as_ref().map(|document| (&document.body, &document.facts)))?;
            if let Some(response) = self.write_unchanged(&update, present.as_ref(), written)? {
                return Ok(response);
            }
            tokio::task::consume_budget().await;
        }
    }

    async fn delete(&self, _: &Context, request: DeleteRequest) -> Result<DeleteResponse, Error> {
        check_delete(&request)?;
        let now = time::now();
        let mut store = self.write(now)?;
        let Some(revision) = store.live(&request.collection, &request.id, now).map(|document| document.facts.revision) else {
            return Ok(DeleteResponse { deleted: false, revision: 0 });
        };
        if request.expected_revision.is_some_and(|expected| expected != revision) {
            return Ok(DeleteResponse { deleted: false, revision });
        }
        let removed = store.remove(&request.collection, &request.id);
        drop(store);
        // Freed after the lock: freeing a large body takes time.
        drop(removed);
        Ok(DeleteResponse { deleted: true, revision })
    }

    async fn get(&self, _: &Context, request: GetRequest) -> Result<GetResponse, Error> {
        check_collection(&request.collection)?;
        check_id(&request.id)?;
        let projection = Projection::new(&request.fields)?;
        let document = self.read()?.live(&request.collection, &request.id, time::now()).cloned();
        let document = document.map(|document| document.facts.into_document(request.id, projection.apply(&document.body)));
        Ok(GetResponse { document })
    }
}
