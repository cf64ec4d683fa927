//! Reads an object or a part of it.

use futures::StreamExt as _;

use super::{
    ObjectStore,
    etag::{Expected, mismatch},
    not_found, range, to_object,
};
use prism_call::{
    Context, Error, Messages,
    proto::{
        models::blob::v1::{FoundBlob, GetRequest, GetResponse, HeadRequest, get_response::Part},
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
    let opened = match open(store, context, wanted.clone()).await {
        Err(error) if error.reason() == "ETAG_MISMATCH" && !wanted.etag.is_empty() => {
            wanted = GetRequest { key: wanted.key, ..GetRequest::default() };
            open(store, context, wanted.clone()).await?
        }
        opened => opened?,
    };
    let (found, rest) = opened.ok_or_else(not_found)?;
    let metadata = found.metadata.unwrap_or_default();
    if let Some(expected) = expected.filter(|expected| !expected.matches(&metadata.etag)) {
        return Err(mismatch(&expected, &metadata.etag));
    }
    let content_range =
        if wanted.range.is_some() { range::content_range(found.offset, found.length, metadata.size) } else { String::new() };
    let first = GetObjectResponse { object: Some(to_object(metadata)), content_length: found.length, content_range, ..Default::default() };
    let chunks = rest.map(|message| match message?.part {
        Some(Part::Chunk(chunk)) => Ok(GetObjectResponse { chunk, ..GetObjectResponse::default() }),
        _ => Err(Error::internal("the driver sent the metadata of a blob twice")),
    });
    Ok(Box::pin(futures::stream::iter([Ok(first)]).chain(chunks)))
}

/// Opens a read and takes its first message. `None`: there is no object.
async fn open(store: &ObjectStore, context: &Context, request: GetRequest) -> Result<Option<(FoundBlob, Messages<GetResponse>)>, Error> {
    let mut stream = store.basic.get(context, request).await?;
    match stream.next().await.transpose()?.map(|message| message.part) {
        None => Ok(None),
        Some(Some(Part::Found(found))) => Ok(Some((found, stream))),
        Some(_) => Err(Error::internal("the driver sent a blob without its metadata")),
    }
}
