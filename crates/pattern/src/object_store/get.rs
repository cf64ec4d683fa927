//! Reads an object or a part of it.

use futures::StreamExt as _;

use super::{
    ObjectStore,
    etag::{Expected, mismatch},
    not_found, to_object,
};
use crate::blobs::{self, range};
use prism_call::{
    Context, Error, Messages,
    proto::{
        models::blob::v1::{GetRequest, HeadRequest},
        patterns::object_store::v1::{GetObjectRequest, GetObjectResponse},
    },
};

pub async fn get(store: &ObjectStore, context: &Context, request: GetObjectRequest) -> Result<Messages<GetObjectResponse>, Error> {
    let GetObjectRequest { key, range, if_range, if_match } = request;
    store.check_key(&key)?;
    let expected = Expected::of(if_match, &[])?;
    let if_range = Expected::of(if_range, &[])?;
    let mut wanted = GetRequest { key, range: range::parse(&range), etag: String::new() };
    if let (Some(if_range), Some(_)) = (if_range, &wanted.range) {
        let head = store.basic.head(context, HeadRequest { key: wanted.key.clone() }).await?;
        let metadata = head.metadata.ok_or_else(not_found)?;
        if if_range.matches(&metadata.etag) {
            // The object may change before it is read.
            wanted.etag = metadata.etag;
        } else {
            wanted.range = None;
        }
    }
    let opened = match blobs::open(&*store.basic, context, wanted.clone()).await {
        Err(error) if error.reason() == "ETAG_MISMATCH" && !wanted.etag.is_empty() => {
            wanted = GetRequest { key: wanted.key, ..GetRequest::default() };
            blobs::open(&*store.basic, context, wanted.clone()).await?
        }
        opened => opened?,
    };
    let (found, chunks) = opened.ok_or_else(not_found)?;
    let metadata = found.metadata.unwrap_or_default();
    if let Some(expected) = expected.filter(|expected| !expected.matches(&metadata.etag)) {
        return Err(mismatch(&expected, &metadata.etag));
    }
    let content_range =
        if wanted.range.is_some() { range::content_range(found.offset, found.length, metadata.size) } else { String::new() };
    let first = GetObjectResponse { object: Some(to_object(metadata)), content_length: found.length, content_range, ..Default::default() };
    let chunks = chunks.map(|chunk| Ok(GetObjectResponse { chunk: chunk?, ..GetObjectResponse::default() }));
    Ok(Box::pin(futures::stream::iter([Ok(first)]).chain(chunks)))
}
