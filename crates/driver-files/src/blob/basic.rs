//! `blob_basic`

use std::{fs::File, sync::Arc};

use async_trait::async_trait;
use futures::StreamExt as _;

use super::{Blobs, PutResult};
use crate::{
    folder::{Folder, LIMITS},
    upload::read_part,
};
use prism_call::{
    Context, Error, Messages,
    proto::models::blob::v1::{
        BlobBasic, DeleteRequest, DeleteResponse, FoundBlob, GetRequest, GetResponse, HeadRequest, HeadResponse, PutRequest, PutResponse,
        get_response::Part,
    },
};
use prism_driver::blob::{CHUNK_BYTES, Put, check_etag, check_range, etag_mismatch, resolve_range};

#[async_trait]
impl BlobBasic for Blobs {
    async fn put(&self, _: &Context, request: Messages<PutRequest>) -> Result<PutResponse, Error> {
        let Put { blob, content, .. } = Put::begin(&LIMITS, request).await?;
        match self.store(blob, None, content).await? {
            PutResult::Stored { etag, size } => Ok(PutResponse { etag, size }),
            PutResult::Refused(_) => Err(etag_mismatch("")),
        }
    }

    async fn get(&self, _: &Context, request: GetRequest) -> Result<Messages<GetResponse>, Error> {
        request.range.as_ref().map(check_range).transpose()?;
        let Some((file, footer)) = self.open(&request.key).await? else { return Ok(Box::pin(futures::stream::empty())) };
        check_etag(&request.etag, &footer.etag)?;
        let (offset, length) = resolve_range(request.range.as_ref(), footer.size)?;
        let found = FoundBlob { metadata: Some(footer.into_metadata()), offset, length };
        let first = GetResponse { part: Some(Part::Found(found)) };
        let chunks = parts(self.folder.clone(), Arc::new(file), offset, length);
        Ok(Box::pin(futures::stream::iter([Ok(first)]).chain(chunks)))
    }

    async fn head(&self, _: &Context, request: HeadRequest) -> Result<HeadResponse, Error> {
        Ok(HeadResponse { metadata: self.open(&request.key).await?.map(|(_, footer)| footer.into_metadata()) })
    }

    async fn delete(&self, _: &Context, request: DeleteRequest) -> Result<DeleteResponse, Error> {
        let (deleted, _) = self.remove(&request.key, None).await?;
        Ok(DeleteResponse { deleted: Some(deleted) })
    }
}

/// Reads a part of a file chunk by chunk. The file stays the same, even if the key gets another one.
fn parts(folder: Arc<Folder>, file: Arc<File>, offset: u64, length: u64) -> Messages<GetResponse> {
    Box::pin(futures::stream::try_unfold((offset, length), move |(at, left)| {
        let (folder, file) = (folder.clone(), file.clone());
        async move {
            let size = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK_BYTES);
            if size == 0 {
                return Ok(None);
            }
            let chunk = folder.run(move || read_part(&file, at, size)).await?;
            let next = (at + size as u64, left - size as u64);
            Ok(Some((GetResponse { part: Some(Part::Chunk(chunk)) }, next)))
        }
    }))
}
