//! `blob_conditional`

use async_trait::async_trait;

use super::{Blobs, PutResult};
use prism_call::{
    Context, Error, Messages,
    proto::models::blob::v1::{
        BlobConditional, CompareAndDeleteRequest, CompareAndDeleteResponse, CompareAndPutRequest, CompareAndPutResponse,
    },
};
use prism_driver::blob::{Condition, Put, check_key};

#[async_trait]
impl BlobConditional for Blobs {
    async fn compare_and_put(&self, _: &Context, request: Messages<CompareAndPutRequest>) -> Result<CompareAndPutResponse, Error> {
        let Put { blob, condition, content } = Put::begin_conditional(&self.limits, request).await?;
        Ok(match self.store(blob, condition, content).await? {
            PutResult::Stored { etag, size } => CompareAndPutResponse { stored: true, etag, size },
            PutResult::Refused(current) => CompareAndPutResponse { stored: false, etag: current.unwrap_or_default(), size: 0 },
        })
    }

    async fn compare_and_delete(&self, _: &Context, request: CompareAndDeleteRequest) -> Result<CompareAndDeleteResponse, Error> {
        check_key(&self.limits, &request.key)?;
        let condition = Condition::of_delete(request.condition)?;
        let (deleted, etag) = self.remove(&request.key, Some(&condition))?;
        Ok(CompareAndDeleteResponse { deleted, etag: etag.unwrap_or_default() })
    }
}
