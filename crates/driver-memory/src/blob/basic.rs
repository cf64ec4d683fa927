//! `blob_basic`

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Blobs, PutResult, StoredBlob};
use prism_call::{
    Context, Error, Messages,
    proto::models::blob::v1::{
        BlobBasic, DeleteRequest, DeleteResponse, FoundBlob, GetRequest, GetResponse, HeadRequest, HeadResponse, PutRequest, PutResponse,
        get_response::Part,
    },
};
use prism_driver::blob::{CHUNK_BYTES, Put, check_etag, check_key, check_range, etag_mismatch, resolve_range};

#[async_trait]
impl BlobBasic for Blobs {
    async fn put(&self, _: &Context, request: Messages<PutRequest>) -> Result<PutResponse, Error> {
        let Put { blob, content, .. } = Put::begin(&self.limits, request).await?;
        match self.store(blob, None, content).await? {
            PutResult::Stored { etag, size } => Ok(PutResponse { etag, size }),
            PutResult::Refused(_) => Err(etag_mismatch("")),
        }
    }

    async fn get(&self, _: &Context, request: GetRequest) -> Result<Messages<GetResponse>, Error> {
        check_key(&self.limits, &request.key)?;
        request.range.as_ref().map(check_range).transpose()?;
        let Some(stored) = self.find(&request.key)? else { return Ok(Box::pin(futures::stream::empty())) };
        check_etag(&request.etag, &stored.etag)?;
        let (offset, length) = resolve_range(request.range.as_ref(), stored.content.size)?;
        let found = FoundBlob { metadata: Some(stored.metadata()), offset, length };
        let first = GetResponse { part: Some(Part::Found(found)) };
        let chunks = parts(stored, offset, length).map(|chunk| GetResponse { part: Some(Part::Chunk(chunk)) });
        Ok(Box::pin(futures::stream::iter(std::iter::once(first).chain(chunks).map(Ok))))
    }

    async fn head(&self, _: &Context, request: HeadRequest) -> Result<HeadResponse, Error> {
        check_key(&self.limits, &request.key)?;
        Ok(HeadResponse { metadata: self.find(&request.key)?.map(|stored| stored.metadata()) })
    }

    async fn delete(&self, _: &Context, request: DeleteRequest) -> Result<DeleteResponse, Error> {
        check_key(&self.limits, &request.key)?;
        let (deleted, _) = self.remove(&request.key, None)?;
        Ok(DeleteResponse { deleted: Some(deleted) })
    }
}

/// Returns the bytes of a part of a blob, in pieces that are not copied.
fn parts(stored: Arc<StoredBlob>, offset: u64, length: u64) -> impl Iterator<Item = Bytes> {
    let (mut index, mut skip, mut left) = (0, offset, length);
    std::iter::from_fn(move || {
        while left > 0 {
            let chunk = stored.content.pieces.get(index)?;
            let size = chunk.len() as u64;
            if skip >= size {
                skip -= size;
                index += 1;
                continue;
            }
            let take = (size - skip).min(left).min(CHUNK_BYTES as u64);
            // Both are at most the length of the chunk.
            let (start, end) = (usize::try_from(skip).unwrap_or(usize::MAX), usize::try_from(skip + take).unwrap_or(usize::MAX));
            skip += take;
            left -= take;
            return Some(chunk.slice(start..end));
        }
        None
    })
}
