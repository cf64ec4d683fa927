//! The RPCs, in the order of the service.

use async_trait::async_trait;

use super::{
    ObjectStore,
    etag::{Expected, mismatch},
    get, list, not_found, put, to_object,
};
use prism_call::{
    Context, Error, Messages,
    proto::{
        models::blob::v1::{BlobCondition, CompareAndDeleteRequest, DeleteRequest, HeadRequest},
        patterns::object_store::v1::{
            DeleteObjectRequest, DeleteObjectResponse, GetCapabilitiesRequest, GetCapabilitiesResponse, GetObjectRequest,
            GetObjectResponse, HeadObjectRequest, HeadObjectResponse, ListObjectsRequest, ListObjectsResponse, ObjectStore as Service,
            PutObjectRequest, PutObjectResponse,
        },
    },
};

#[async_trait]
impl Service for ObjectStore {
    async fn get_capabilities(&self, _: &Context, _: GetCapabilitiesRequest) -> Result<GetCapabilitiesResponse, Error> {
        Ok(GetCapabilitiesResponse { capabilities: Some(self.capabilities.describe()) })
    }

    async fn put_object(&self, context: &Context, request: Messages<PutObjectRequest>) -> Result<PutObjectResponse, Error> {
        put::put(self, context, request).await
    }

    async fn get_object(&self, context: &Context, request: GetObjectRequest) -> Result<Messages<GetObjectResponse>, Error> {
        get::get(self, context, request).await
    }

    async fn head_object(&self, context: &Context, request: HeadObjectRequest) -> Result<HeadObjectResponse, Error> {
        self.check_key(&request.key)?;
        let head = self.basic.head(context, HeadRequest { key: request.key }).await?;
        Ok(HeadObjectResponse { object: Some(to_object(head.metadata.ok_or_else(not_found)?)) })
    }

    async fn delete_object(&self, context: &Context, request: DeleteObjectRequest) -> Result<DeleteObjectResponse, Error> {
        let DeleteObjectRequest { key, if_match } = request;
        self.check_key(&key)?;
        let Some(expected) = Expected::of(if_match, &[])? else {
            let done = self.basic.delete(context, DeleteRequest { key }).await?;
            return Ok(DeleteObjectResponse { deleted: done.deleted });
        };
        let conditional = self.require(self.conditional.as_ref(), "DeleteObject with a condition", "blob_conditional")?;
        let test = put::test_of(self, context, &key, &expected).await?;
        let request = CompareAndDeleteRequest { key, condition: Some(BlobCondition { test: Some(test) }) };
        let done = conditional.compare_and_delete(context, request).await?;
        if done.deleted { Ok(DeleteObjectResponse { deleted: Some(true) }) } else { Err(mismatch(&expected, &done.etag)) }
    }

    async fn list_objects(&self, context: &Context, request: ListObjectsRequest) -> Result<ListObjectsResponse, Error> {
        list::list(self, context, request).await
    }
}
