//! `document_query`
//!
//! Documents are taken from the collection in pages, and conditions are evaluated without the lock.

use std::{collections::VecDeque, ops::Bound, sync::Arc};

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::Documents;
use crate::state::ReservedBytes;
use prism_call::{
    Code, Context, Error, Messages,
    proto::models::document::v1::{
        AggregateRequest, AggregateResponse, DocumentQuery, FindOneRequest, FindOneResponse, FindRequest, FindResponse,
    },
};
use prism_driver::{
    document::{
        StoredDocument,
        aggregate::{Aggregation, Groups},
        filter::Filter,
        find::Query,
    },
    time,
};

/// Documents that are taken from a collection while the lock is held once.
const PAGE: usize = 256;
/// Places that are held in addition to those that are sent, if a limit is known: documents may be deleted before they are sent.
const SPARE_PLACES: usize = 512;
/// Bytes of places that are reserved at once.
const RESERVED_AT_ONCE: usize = 1 << 20;
/// Bytes that a place takes in addition to its content.
const PLACE_BYTES: usize = 64;

/// The place of a document, as bytes, and its id.
type Placed = (Vec<u8>, Arc<str>);

/// A stream of documents in the order of their ids, which reads the collection in pages.
struct PageReader {
    documents: Documents,
    query: Query,
    last: Option<Arc<str>>,
    page: VecDeque<Arc<StoredDocument>>,
    more: bool,
    sent: usize,
}

impl PageReader {
    fn new(documents: Documents, mut query: Query) -> Self {
        let last = query.after.take().map(|place| Arc::from(place.id));
        Self { documents, query, last, page: VecDeque::new(), more: true, sent: 0 }
    }

    async fn next(mut self) -> Result<Option<(FindResponse, Self)>, Error> {
        while self.sent < self.query.limit {
            tokio::task::consume_budget().await;
            let Some(document) = self.page.pop_front() else {
                if !self.more {
                    return Ok(None);
                }
                self.read_page()?;
                continue;
            };
            if !self.query.filter.matches(&document.body) {
                continue;
            }
            if self.query.skip > 0 {
                self.query.skip -= 1;
                continue;
            }
            self.sent += 1;
            let response = response(&self.query, &document, document.id.as_bytes());
            return Ok(Some((response, self)));
        }
        Ok(None)
    }

    fn read_page(&mut self) -> Result<(), Error> {
        let store = self.documents.read()?;
        let now = time::now();
        let from = self.last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut seen = 0;
        let mut last = None;
        if let Some(collection) = store.collection(&self.query.collection) {
            for (id, document) in collection.documents.range::<Arc<str>, _>((from, Bound::Unbounded)).take(PAGE) {
                if document.facts.is_live(now) {
                    self.page.push_back(document.clone());
                }
                seen += 1;
                last = Some(id.clone());
            }
        }
        drop(store);
        self.more = seen == PAGE;
        self.last = last.or(self.last.take());
        Ok(())
    }
}

/// A stream of documents whose places were found and sorted before. The documents are read when they are sent.
struct SortedReader {
    documents: Documents,
    query: Query,
    places: VecDeque<Placed>,
    sent: usize,
    /// The bytes of the places.
    _reserved: Vec<ReservedBytes>,
}

impl SortedReader {
    async fn next(mut self) -> Result<Option<(FindResponse, Self)>, Error> {
        while self.sent < self.query.limit
            && let Some((place, id)) = self.places.pop_front()
        {
            tokio::task::consume_budget().await;
            let document = self.documents.read()?.live(&self.query.collection, &id, time::now()).cloned();
            // It may have been deleted or changed since its place was found.
            let Some(document) = document.filter(|document| self.query.filter.matches(&document.body)) else { continue };
            self.sent += 1;
            let response = response(&self.query, &document, &place);
            return Ok(Some((response, self)));
        }
        Ok(None)
    }
}

impl Documents {
    /// The documents of one instant for which a filter may hold.
    fn candidates(&self, collection: &str, filter: &Filter) -> Result<Vec<Arc<StoredDocument>>, Error> {
        let store = self.read()?;
        let now = time::now();
        let Some(collection) = store.collection(collection) else { return Ok(Vec::new()) };
        let mut found = collection.candidates(filter);
        drop(store);
        found.retain(|document| document.facts.is_live(now));
        Ok(found)
    }

    /// Finds the places of all documents, sorts them, and reserves their bytes. If a limit is known, only the first places are held.
    async fn places(&self, query: &Query) -> Result<(Vec<Placed>, Vec<ReservedBytes>), Error> {
        let after = query.after.as_ref().map(|place| query.order.encode(place));
        let wanted = query.limit.saturating_add(usize::try_from(query.skip).unwrap_or(usize::MAX));
        let kept = wanted.saturating_add(SPARE_PLACES);
        let most = kept.saturating_mul(2);
        let mut places: Vec<Placed> = Vec::new();
        let mut reserved: Vec<ReservedBytes> = Vec::new();
        let mut unreserved: usize = 0;
        for document in self.candidates(&query.collection, &query.filter)? {
            tokio::task::consume_budget().await;
            if !query.filter.matches(&document.body) {
                continue;
            }
            let place = query.order.encode(&query.order.place(&document.id, &document.body));
            if after.as_ref().is_some_and(|after| place <= *after) {
                continue;
            }
            let placed = (place, document.id.clone());
            unreserved += place_bytes(&placed);
            places.push(placed);
            if places.len() == most {
                places.select_nth_unstable(kept);
                places.truncate(kept);
                reserved.clear();
                unreserved = places.iter().map(place_bytes).sum();
            }
            if unreserved >= RESERVED_AT_ONCE {
                reserved.push(self.reserve_places(unreserved, places.len())?);
                unreserved = 0;
            }
        }
        reserved.push(self.reserve_places(unreserved, places.len())?);
        places.sort_unstable();
        Ok((places, reserved))
    }

    fn reserve_places(&self, bytes: usize, places: usize) -> Result<ReservedBytes, Error> {
        ReservedBytes::new(&self.shared, bytes as u64).map_err(|_| sort_too_large(places))
    }

    async fn sorted(&self, mut query: Query) -> Result<SortedReader, Error> {
        let (places, reserved) = self.places(&query).await?;
        let skip = usize::try_from(query.skip).unwrap_or(usize::MAX).min(places.len());
        let places: VecDeque<Placed> = places.into_iter().skip(skip).collect();
        query.skip = 0;
        Ok(SortedReader { documents: self.clone(), query, places, sent: 0, _reserved: reserved })
    }

    /// Whether documents have to be found before the first one can be sent.
    fn must_sort(&self, query: &Query) -> Result<bool, Error> {
        if !query.order.is_by_id() {
            return Ok(true);
        }
        let store = self.read()?;
        let collection = store.collection(&query.collection);
        Ok(collection.is_some_and(|collection| collection.can_use_index(&query.filter)))
    }

    async fn find_all(&self, query: Query) -> Result<Messages<FindResponse>, Error> {
        if self.must_sort(&query)? {
            return Ok(stream::try_unfold(self.sorted(query).await?, SortedReader::next).boxed());
        }
        Ok(stream::try_unfold(PageReader::new(self.clone(), query), PageReader::next).boxed())
    }
}

/// The message for a document at its place. Only the fields that were asked for are copied.
fn response(query: &Query, document: &StoredDocument, place: &[u8]) -> FindResponse {
    let body = query.projection.apply(&document.body);
    FindResponse { cursor: query.order.cursor(place), document: Some(document.facts.into_document(document.id.to_string(), body)) }
}

fn place_bytes((place, id): &Placed) -> usize {
    place.len() + id.len() + PLACE_BYTES
}

/// `RESOURCE_EXHAUSTED SORT_TOO_LARGE`
fn sort_too_large(documents: usize) -> Error {
    Error::new(
        Code::ResourceExhausted,
        "SORT_TOO_LARGE",
        format!("the backend has no room to sort {documents} documents; set a limit, or raise max_bytes"),
    )
}

#[async_trait]
impl DocumentQuery for Documents {
    async fn find(&self, _: &Context, request: FindRequest) -> Result<Messages<FindResponse>, Error> {
        self.find_all(Query::new(request)?).await
    }

    async fn find_one(&self, _: &Context, request: FindOneRequest) -> Result<FindOneResponse, Error> {
        let found = self.find_all(Query::first(request)?).await?.try_next().await?;
        Ok(FindOneResponse { document: found.and_then(|found| found.document) })
    }

    async fn aggregate(&self, _: &Context, request: AggregateRequest) -> Result<Messages<AggregateResponse>, Error> {
        let mut groups = Groups::new(Aggregation::new(request)?);
        let candidates = self.candidates(&groups.aggregation().collection, &groups.aggregation().filter)?;
        for document in candidates {
            tokio::task::consume_budget().await;
            if groups.aggregation().filter.matches(&document.body) {
                groups.add_body(&document.body)?;
            }
        }
        Ok(stream::iter(groups.finish().into_iter().map(Ok)).boxed())
    }
}
