//! Lists objects.

use super::ObjectStore;
use prism_call::{
    Context, Error,
    proto::{
        models::blob::v1::{ListRequest, ListedBlob},
        patterns::object_store::v1::{ListObjectsRequest, ListObjectsResponse, Object},
    },
};
use prism_slot::check;

pub async fn list(store: &ObjectStore, context: &Context, request: ListObjectsRequest) -> Result<ListObjectsResponse, Error> {
    let interface = store.require(store.list.as_ref(), "ListObjects", "blob_list")?;
    let ListObjectsRequest { prefix, delimiter, limit, cursor } = request;
    check::key_bound(&store.limits, "prefix", prefix.as_bytes())?;
    let page = interface.list(context, ListRequest { prefix, delimiter, limit, cursor }).await?;
    let objects = page.blobs.into_iter().map(|blob| {
        let ListedBlob { key, size, etag, update_time } = blob;
        Object { key, size, etag, update_time, ..Object::default() }
    });
    Ok(ListObjectsResponse { objects: objects.collect(), prefixes: page.prefixes, cursor: page.cursor })
}
