//! `blob_basic`

use async_trait::async_trait;
use aws_sdk_s3::{operation::get_object::GetObjectOutput, primitives::ByteStream};
use bytes::Bytes;
use futures::StreamExt as _;

use super::{Blobs, attributes, content_type, quoted, timestamp, unquoted, unsigned, upload::Upload};
use crate::error::{Meaning, map_error, map_stream_error, meaning};
use prism_call::{
    Context, Error, Messages,
    proto::models::blob::v1::{
        BlobBasic, BlobMetadata, ByteRange, DeleteRequest, DeleteResponse, FoundBlob, GetRequest, GetResponse, HeadRequest, HeadResponse,
        PutRequest, PutResponse, byte_range::Start, get_response::Part,
    },
};
use prism_driver::blob::{CHUNK_BYTES, Put, check_range, etag_mismatch, range_not_satisfiable};

/// Greatest position in a request. Services parse it as a signed number.
const MAX_POSITION: u64 = i64::MAX as u64;

#[async_trait]
impl BlobBasic for Blobs {
    async fn put(&self, _: &Context, request: Messages<PutRequest>) -> Result<PutResponse, Error> {
        let Put { blob, content, .. } = Put::begin(&self.bucket.limits, request).await?;
        let object = self.object(&blob.key)?;
        match Upload::new(&self.bucket, object, blob, None).run(content).await? {
            Some((etag, size)) => Ok(PutResponse { etag, size }),
            None => Err(etag_mismatch("")),
        }
    }

    async fn get(&self, _: &Context, request: GetRequest) -> Result<Messages<GetResponse>, Error> {
        request.range.as_ref().map(check_range).transpose()?;
        let object = self.object(&request.key)?;
        if !is_etag(&request.etag) {
            return self.mismatch(&request.key).await;
        }
        let get = self.bucket.client.get_object().bucket(&self.bucket.name).key(object);
        let get = get.set_range(request.range.as_ref().map(range_text));
        let get = get.set_if_match((!request.etag.is_empty()).then(|| quoted(&request.etag)));
        let got = match get.send().await {
            Ok(got) => got,
            Err(error) => {
                return match meaning(&error) {
                    Meaning::Missing => Ok(Box::pin(futures::stream::empty())),
                    Meaning::RangeBeyondEnd => self.beyond_end(&request).await,
                    // Some services also answer this if the object does not exist.
                    Meaning::ConditionFailed => self.mismatch(&request.key).await,
                    Meaning::Other => Err(map_error(error)),
                };
            }
        };
        let found = found(request.key, &got)?;
        if request.range.is_some() && got.content_range.is_none() && found.length > 0 {
            return Err(Error::internal("the service ignores the range of a read"));
        }
        let first = GetResponse { part: Some(Part::Found(found)) };
        Ok(Box::pin(futures::stream::iter([Ok(first)]).chain(chunks(got.body))))
    }

    async fn head(&self, _: &Context, request: HeadRequest) -> Result<HeadResponse, Error> {
        Ok(HeadResponse { metadata: self.metadata(&request.key).await? })
    }

    async fn delete(&self, _: &Context, request: DeleteRequest) -> Result<DeleteResponse, Error> {
        let delete = self.bucket.client.delete_object().bucket(&self.bucket.name).key(self.object(&request.key)?);
        match delete.send().await {
            Ok(_) => Ok(DeleteResponse { deleted: None }),
            Err(error) if meaning(&error) == Meaning::Missing => Ok(DeleteResponse { deleted: Some(false) }),
            Err(error) => Err(map_error(error)),
        }
    }
}

impl Blobs {
    /// Returns the answer to a read with another ETag than that of the blob.
    async fn mismatch(&self, key: &str) -> Result<Messages<GetResponse>, Error> {
        match self.etag(key).await? {
            Some(current) => Err(etag_mismatch(&current)),
            None => Ok(Box::pin(futures::stream::empty())),
        }
    }

    /// Returns the answer to a range that begins after the end: an error with the size.
    async fn beyond_end(&self, request: &GetRequest) -> Result<Messages<GetResponse>, Error> {
        match self.metadata(&request.key).await? {
            Some(metadata) => Err(range_not_satisfiable(Some(metadata.size))),
            None => Ok(Box::pin(futures::stream::empty())),
        }
    }
}

/// Whether a text can be an ETag in a header.
fn is_etag(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"')
}

/// Returns the header of a range that was checked.
fn range_text(range: &ByteRange) -> String {
    match (&range.start, range.length) {
        (Some(Start::Suffix(suffix)), _) => format!("bytes=-{}", suffix.min(&MAX_POSITION)),
        (Some(Start::Offset(offset)), Some(length)) if offset.saturating_add(length) < MAX_POSITION => {
            format!("bytes={offset}-{}", offset + length - 1)
        }
        (Some(Start::Offset(offset)), _) => format!("bytes={}-", offset.min(&MAX_POSITION)),
        (None, _) => "bytes=0-".to_owned(),
    }
}

/// Returns the metadata in a response, and which part follows.
fn found(key: String, got: &GetObjectOutput) -> Result<FoundBlob, Error> {
    let length = unsigned(got.content_length);
    let (offset, size) = match &got.content_range {
        None => (0, length),
        Some(text) => parse_content_range(text).ok_or_else(|| Error::internal("the service sent an invalid Content-Range"))?,
    };
    let metadata = BlobMetadata {
        key,
        size,
        etag: unquoted(got.e_tag.as_deref()),
        content_type: content_type(got.content_type.clone()),
        attributes: attributes(got.metadata.clone()),
        update_time: got.last_modified.map(timestamp),
    };
    Ok(FoundBlob { metadata: Some(metadata), offset, length })
}

/// Returns offset and size: `bytes 5-9/100` → 5, 100
fn parse_content_range(text: &str) -> Option<(u64, u64)> {
    let (part, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    Some((part.split_once('-')?.0.parse().ok()?, size.parse().ok()?))
}

/// Returns the content as it arrives, in chunks that are not too large.
fn chunks(body: ByteStream) -> Messages<GetResponse> {
    Box::pin(futures::stream::try_unfold((body, Bytes::new()), |(mut body, mut rest)| async move {
        while rest.is_empty() {
            match body.next().await {
                Some(next) => rest = next.map_err(map_stream_error)?,
                None => return Ok(None),
            }
        }
        let chunk = rest.split_to(rest.len().min(CHUNK_BYTES));
        Ok(Some((GetResponse { part: Some(Part::Chunk(chunk)) }, (body, rest))))
    }))
}
