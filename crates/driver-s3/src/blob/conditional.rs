//! `blob_conditional`

use async_trait::async_trait;

use super::{Blobs, quoted, upload::Upload};
use crate::error::{Meaning, contended, map_error, meaning};
use prism_call::{
    Context, Error, Messages,
    proto::models::blob::v1::{
        BlobConditional, CompareAndDeleteRequest, CompareAndDeleteResponse, CompareAndPutRequest, CompareAndPutResponse,
    },
};
use prism_driver::blob::{Condition, Put};

/// How often a deletion is tried while others replace the blob.
const ATTEMPTS: usize = 8;

#[async_trait]
impl BlobConditional for Blobs {
    async fn compare_and_put(&self, _: &Context, request: Messages<CompareAndPutRequest>) -> Result<CompareAndPutResponse, Error> {
        let Put { blob, condition, content } = Put::begin_conditional(&self.bucket.limits, request).await?;
        let object = self.object(&blob.key)?;
        let key = blob.key.clone();
        let current = self.etag(&key).await?;
        let refused = |current: Option<String>| CompareAndPutResponse { stored: false, etag: current.unwrap_or_default(), size: 0 };
        let condition = match condition {
            Some(condition) if !condition.holds(current.as_deref()) => return Ok(refused(current)),
            // S3 has no such condition. If another writer replaces the blob meanwhile, this write is refused.
            Some(Condition::Exists) => current.map(Condition::Etag),
            condition => condition,
        };
        match Upload::new(&self.bucket, object, blob, condition).run(content).await? {
            Some((etag, size)) => Ok(CompareAndPutResponse { stored: true, etag, size }),
            None => Ok(refused(self.etag(&key).await?)),
        }
    }

    async fn compare_and_delete(&self, _: &Context, request: CompareAndDeleteRequest) -> Result<CompareAndDeleteResponse, Error> {
        let object = self.object(&request.key)?;
        let condition = Condition::of_delete(request.condition)?;
        for _ in 0..ATTEMPTS {
            let current = self.etag(&request.key).await?;
            let etag = match current {
                Some(etag) if condition.holds(Some(&etag)) => etag,
                current => return Ok(CompareAndDeleteResponse { deleted: false, etag: current.unwrap_or_default() }),
            };
            let delete = self.bucket.careful.delete_object().bucket(&self.bucket.name).key(&object).if_match(quoted(&etag));
            match delete.send().await {
                Ok(_) => return Ok(CompareAndDeleteResponse { deleted: true, etag }),
                Err(error) if matches!(meaning(&error), Meaning::ConditionFailed | Meaning::Missing) => {}
                Err(error) => return Err(map_error(error)),
            }
        }
        Err(contended())
    }
}
