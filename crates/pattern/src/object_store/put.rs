//! Stores an object.

use bytes::Bytes;
use futures::{StreamExt as _, stream};

use super::{
    ObjectStore,
    etag::{Expected, mismatch},
};
use prism_call::{
    Context, Error, Messages,
    proto::{
        models::blob::v1::{
            BlobCondition, CompareAndPutRequest, ConditionalBlob, HeadRequest, NewBlob, PutRequest, blob_condition::Test,
            compare_and_put_request, put_request,
        },
        patterns::object_store::v1::{PutObjectRequest, PutObjectResponse},
    },
};

pub async fn put(store: &ObjectStore, context: &Context, mut request: Messages<PutObjectRequest>) -> Result<PutObjectResponse, Error> {
    let Some(first) = request.next().await.transpose()? else {
        return Err(Error::invalid("key", "must be set in the first message").with_reason("INVALID_KEY"));
    };
    let PutObjectRequest { key, content_type, attributes, size, if_match, if_none_match, chunk } = first;
    store.check_key(&key)?;
    let limit = store.limits.max_value_bytes;
    if size.is_some_and(|size| size > limit) {
        return Err(too_large(limit));
    }
    let expected = Expected::of(if_match, &if_none_match)?;
    let blob = NewBlob { key, content_type, attributes, size };
    let chunks = limited(chunk, request, limit);
    let Some(expected) = expected else {
        let parts = stream::iter([Ok(put_request::Part::Blob(blob))]).chain(chunks.map(|chunk| Ok(put_request::Part::Chunk(chunk?))));
        let messages = parts.map(|part: Result<_, Error>| Ok(PutRequest { part: Some(part?) }));
        let put = store.basic.put(context, Box::pin(messages)).await?;
        return Ok(PutObjectResponse { etag: put.etag, size: put.size });
    };
    let conditional = store.require(store.conditional.as_ref(), "PutObject with a condition", "blob_conditional")?;
    let test = test_of(store, context, &blob.key, &expected).await?;
    let first =
        compare_and_put_request::Part::Blob(ConditionalBlob { blob: Some(blob), condition: Some(BlobCondition { test: Some(test) }) });
    let parts = stream::iter([Ok(first)]).chain(chunks.map(|chunk| Ok(compare_and_put_request::Part::Chunk(chunk?))));
    let messages = parts.map(|part: Result<_, Error>| Ok(CompareAndPutRequest { part: Some(part?) }));
    let put = conditional.compare_and_put(context, Box::pin(messages)).await?;
    if put.stored { Ok(PutObjectResponse { etag: put.etag, size: put.size }) } else { Err(mismatch(&expected, &put.etag)) }
}

/// Returns the condition for the backend. Of several ETags, it is the current one.
pub async fn test_of(store: &ObjectStore, context: &Context, key: &str, expected: &Expected) -> Result<Test, Error> {
    if let Some(test) = expected.test() {
        return Ok(test);
    }
    let head = store.basic.head(context, HeadRequest { key: key.to_owned() }).await?;
    let current = head.metadata.map(|metadata| metadata.etag).unwrap_or_default();
    if expected.matches(&current) && !current.is_empty() { Ok(Test::Etag(current)) } else { Err(mismatch(expected, &current)) }
}

/// Returns the chunks of the messages. Fails if there are more than `limit` bytes.
fn limited(first: Bytes, rest: Messages<PutObjectRequest>, limit: u64) -> Messages<Bytes> {
    let rest = rest.map(|message| {
        let message = message?;
        if !message.key.is_empty() {
            return Err(Error::invalid("key", "must be set in the first message only"));
        }
        Ok(message.chunk)
    });
    let mut size = 0;
    Box::pin(stream::iter([Ok(first)]).chain(rest).map(move |chunk: Result<Bytes, Error>| {
        let chunk = chunk?;
        size += chunk.len() as u64;
        if size > limit { Err(too_large(limit)) } else { Ok(chunk) }
    }))
}

/// `INVALID_ARGUMENT OBJECT_TOO_LARGE`
fn too_large(limit: u64) -> Error {
    Error::invalid("chunk", format!("the object is larger than {limit} bytes, the limit of this namespace (settings.max_object_size)"))
        .with_reason("OBJECT_TOO_LARGE")
        .with("limit", limit.to_string())
}
