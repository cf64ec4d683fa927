//! The upload of a blob: one request if it is small, otherwise a multipart upload. Holds at most two parts in memory: the one that
//! is sent, and what has arrived of the next one.

use std::{sync::Arc, time::Duration};

use aws_sdk_s3::{
    primitives::ByteStream,
    types::{CompletedMultipartUpload, CompletedPart},
};
use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;

use super::{object_metadata, quoted, unquoted};
use crate::{
    bucket::Bucket,
    error::{Meaning, is_missing_upload, map_error, meaning},
};
use prism_call::{Error, proto::models::blob::v1::NewBlob};
use prism_driver::blob::{Condition, Content};

/// Pauses before the requests that abort an upload.
const ABORT_PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_secs(2), Duration::from_secs(10)];
/// Most parts of an upload, at AWS and elsewhere.
const MAX_PARTS: usize = 10_000;

/// An upload to one object.
pub struct Upload {
    bucket: Arc<Bucket>,
    object: String,
    blob: NewBlob,
    /// `Exists` is not a condition of S3, so it was replaced by the current ETag.
    condition: Option<Condition>,
}

impl Upload {
    pub fn new(bucket: &Arc<Bucket>, object: String, blob: NewBlob, condition: Option<Condition>) -> Self {
        Self { bucket: bucket.clone(), object, blob, condition }
    }

    /// Uploads the content. Returns the ETag and the size, or `None` if the condition does not hold.
    pub async fn run(&self, mut content: Content) -> Result<Option<(String, u64)>, Error> {
        let part_size = self.bucket.part_size;
        let limit = (part_size as u64).saturating_mul(MAX_PARTS as u64);
        if content.expected().is_some_and(|expected| expected > limit) {
            return Err(too_large(limit));
        }
        let mut buffer = BytesMut::new();
        if !fill(&mut buffer, &mut content, part_size).await? {
            return self.put(buffer.freeze(), content.size()).await;
        }
        let multipart = Multipart::begin(self).await?;
        let mut parts = Vec::new();
        let mut more = true;
        while more || !buffer.is_empty() {
            if parts.len() == MAX_PARTS {
                return Err(too_large(limit));
            }
            let part = buffer.split_to(buffer.len().min(part_size)).freeze();
            parts.push(multipart.part(parts.len() + 1, part).await?);
            more = more && fill(&mut buffer, &mut content, part_size).await?;
        }
        Ok(multipart.complete(parts).await?.map(|etag| (etag, content.size())))
    }

    /// Uploads the whole content with one request.
    async fn put(&self, content: Bytes, size: u64) -> Result<Option<(String, u64)>, Error> {
        let (if_match, if_none_match) = self.headers();
        let client = if self.condition.is_some() { &self.bucket.careful } else { &self.bucket.client };
        let put = client.put_object().bucket(&self.bucket.name).key(&self.object);
        let (content_type, metadata) = object_metadata(&self.blob);
        let put = put.content_type(content_type).set_metadata(Some(metadata));
        match put.set_if_match(if_match).set_if_none_match(if_none_match).body(ByteStream::from(content)).send().await {
            Ok(done) => Ok(Some((unquoted(done.e_tag.as_deref()), size))),
            Err(error) if self.is_refusal(meaning(&error)) => Ok(None),
            Err(error) => Err(map_error(error)),
        }
    }

    /// Returns the headers `If-Match` and `If-None-Match` of the condition.
    fn headers(&self) -> (Option<String>, Option<String>) {
        match &self.condition {
            Some(Condition::Etag(etag)) => (Some(quoted(etag)), None),
            Some(Condition::Absent) => (None, Some("*".to_owned())),
            Some(Condition::Exists) | None => (None, None),
        }
    }

    /// Whether an error means that the condition does not hold. AWS answers 404 if `If-Match` is sent for a missing object.
    fn is_refusal(&self, meaning: Meaning) -> bool {
        match self.condition {
            Some(Condition::Etag(_)) => matches!(meaning, Meaning::ConditionFailed | Meaning::Missing),
            Some(_) => meaning == Meaning::ConditionFailed,
            None => false,
        }
    }
}

/// Reads until the buffer has more than `size` bytes, so that more than one part follows. Returns whether it has.
async fn fill(buffer: &mut BytesMut, content: &mut Content, size: usize) -> Result<bool, Error> {
    while buffer.len() <= size {
        match content.next().await? {
            Some(chunk) => buffer.extend_from_slice(&chunk),
            None => return Ok(false),
        }
    }
    Ok(true)
}

fn too_large(limit: u64) -> Error {
    Error::invalid("chunk", format!("the content is larger than {limit} bytes: 10,000 parts of part_size; raise part_size"))
        .with_reason("VALUE_TOO_LARGE")
        .with("limit", limit.to_string())
}

/// A multipart upload. It is aborted when this is dropped before it is complete, so that its parts cost nothing.
struct Multipart<'u> {
    upload: &'u Upload,
    id: String,
    abort: AbortOnDrop,
}

impl<'u> Multipart<'u> {
    async fn begin(upload: &'u Upload) -> Result<Self, Error> {
        let create = upload.bucket.client.create_multipart_upload().bucket(&upload.bucket.name).key(&upload.object);
        let (content_type, metadata) = object_metadata(&upload.blob);
        let create = create.content_type(content_type).set_metadata(Some(metadata));
        let (bucket, object) = (upload.bucket.clone(), upload.object.clone());
        let (sender, receiver) = oneshot::channel();
        // A task, so that the upload is also aborted if the call ends before its id is known.
        tokio::spawn(async move {
            let created = create.send().await.map_err(map_error).and_then(|created| {
                let id = created.upload_id.ok_or_else(|| Error::internal("the service began an upload without an id"))?;
                Ok((id.clone(), AbortOnDrop(Some((bucket, object, id)))))
            });
            // Without a receiver, this drops the upload.
            let _ = sender.send(created);
        });
        let (id, abort) = receiver.await.map_err(|_| Error::internal("the task that begins an upload has ended"))??;
        Ok(Self { upload, id, abort })
    }

    /// Uploads a part; numbers begin with 1.
    async fn part(&self, number: usize, content: Bytes) -> Result<CompletedPart, Error> {
        // There are at most 10,000 parts.
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        let bucket = &self.upload.bucket;
        let part = bucket.client.upload_part().bucket(&bucket.name).key(&self.upload.object).upload_id(&self.id).part_number(number);
        let done = part.body(ByteStream::from(content)).send().await.map_err(map_error)?;
        Ok(CompletedPart::builder().part_number(number).set_e_tag(done.e_tag).build())
    }

    /// Completes the upload. Returns the ETag, or `None` if the condition does not hold.
    async fn complete(mut self, parts: Vec<CompletedPart>) -> Result<Option<String>, Error> {
        let bucket = &self.upload.bucket;
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let (if_match, if_none_match) = self.upload.headers();
        // A second request would not find the upload if the first one has completed it.
        let complete = bucket.careful.complete_multipart_upload().bucket(&bucket.name).key(&self.upload.object).upload_id(&self.id);
        match complete.multipart_upload(parts).set_if_match(if_match).set_if_none_match(if_none_match).send().await {
            Ok(done) => {
                self.abort.0 = None;
                Ok(Some(unquoted(done.e_tag.as_deref())))
            }
            Err(error) if self.upload.is_refusal(meaning(&error)) => Ok(None),
            Err(error) => Err(map_error(error)),
        }
    }
}

/// Aborts a multipart upload when it is dropped: bucket, key and id.
struct AbortOnDrop(Option<(Arc<Bucket>, String, String)>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        let Some((bucket, object, id)) = self.0.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            // A part that was on its way may be stored after the first request, so it is repeated.
            for pause in ABORT_PAUSES {
                tokio::time::sleep(pause).await;
                let abort = bucket.client.abort_multipart_upload().bucket(&bucket.name).key(&object).upload_id(&id);
                match abort.send().await {
                    Ok(_) => {}
                    Err(error) if is_missing_upload(&error) => return,
                    Err(error) => {
                        let error = map_error(error);
                        tracing::warn!(%error, "a multipart upload can't be aborted; a lifecycle rule of the bucket should remove it");
                    }
                }
            }
        });
    }
}
