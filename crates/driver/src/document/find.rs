//! Requests of Find and FindOne.

use super::{
    StoredDocument, check_collection,
    filter::Filter,
    order::{Order, Place},
    projection::Projection,
};
use crate::check;
use prism_call::{
    Error,
    proto::models::document::v1::{Document, FindOneRequest, FindRequest, FindResponse},
};

/// A query that was checked.
#[derive(Clone, Debug)]
pub struct Query {
    /// The collection.
    pub collection: String,
    /// Which documents.
    pub filter: Filter,
    /// Their order.
    pub order: Order,
    /// Their fields.
    pub projection: Projection,
    /// Documents to leave out at the beginning.
    pub skip: u64,
    /// Most documents to send.
    pub limit: usize,
    /// The place after which to begin.
    pub after: Option<Place>,
}

impl Query {
    /// Checks Find.
    pub fn new(request: FindRequest) -> Result<Self, Error> {
        check_collection(&request.collection)?;
        let order = Order::new(&request.order)?;
        if request.skip > 0 && !request.cursor.is_empty() {
            return Err(Error::invalid("skip", "is not allowed with cursor: the documents before it are left out already"));
        }
        Ok(Self {
            collection: request.collection,
            filter: Filter::new("filter", request.filter)?,
            projection: Projection::new(&request.fields)?,
            after: order.open(&request.cursor)?,
            order,
            skip: request.skip,
            limit: check::limit_or_all(request.limit),
        })
    }

    /// Checks FindOne.
    pub fn first(request: FindOneRequest) -> Result<Self, Error> {
        let FindOneRequest { collection, filter, order, fields } = request;
        Self::new(FindRequest { collection, filter, order, fields, limit: 1, ..FindRequest::default() })
    }

    /// The message for a document at its place, which is encoded.
    pub fn response(&self, document: StoredDocument, place: &[u8]) -> FindResponse {
        FindResponse { cursor: self.order.cursor(place), document: Some(self.document(document)) }
    }

    /// A document with the fields that were asked for.
    pub fn document(&self, document: StoredDocument) -> Document {
        let StoredDocument { id, body, facts } = document;
        facts.into_document(id.to_string(), self.projection.apply_to(body))
    }
}
