//! The RPCs, in the order of the service.

use async_trait::async_trait;

use super::{WorkQueue, check_queue, dead, submit, worker};
use crate::messaging::names;
use prism_call::{
    Code, Context, Error,
    proto::{
        jobs::v1::JobRecord,
        patterns::work_queue::v1::{
            CompleteRequest, CompleteResponse, DiscardDeadJobsRequest, DiscardDeadJobsResponse, ExtendRequest, ExtendResponse, FailRequest,
            FailResponse, GetCapabilitiesRequest, GetCapabilitiesResponse, GetJobRequest, GetJobResponse, GetQueueRequest,
            GetQueueResponse, ListDeadJobsRequest, ListDeadJobsResponse, RedriveDeadJobsRequest, RedriveDeadJobsResponse, SubmitRequest,
            SubmitResponse, TakeRequest, TakeResponse, WorkQueue as Service,
        },
    },
};

#[async_trait]
impl Service for WorkQueue {
    async fn get_capabilities(&self, _: &Context, _: GetCapabilitiesRequest) -> Result<GetCapabilitiesResponse, Error> {
        Ok(GetCapabilitiesResponse { capabilities: Some(self.capabilities.describe()) })
    }

    async fn submit(&self, context: &Context, request: SubmitRequest) -> Result<SubmitResponse, Error> {
        submit::submit(self, context, request).await
    }

    async fn take(&self, context: &Context, request: TakeRequest) -> Result<TakeResponse, Error> {
        worker::take(self, context, request).await
    }

    async fn extend(&self, context: &Context, request: ExtendRequest) -> Result<ExtendResponse, Error> {
        worker::extend(self, context, request).await
    }

    async fn complete(&self, context: &Context, request: CompleteRequest) -> Result<CompleteResponse, Error> {
        worker::complete(self, context, request).await
    }

    async fn fail(&self, context: &Context, request: FailRequest) -> Result<FailResponse, Error> {
        worker::fail(self, context, request).await
    }

    async fn get_job(&self, context: &Context, request: GetJobRequest) -> Result<GetJobResponse, Error> {
        let GetJobRequest { queue, id } = request;
        check_queue(&queue)?;
        names::id(&id)?;
        let found = self.records("GetJob")?.find(context, &queue, &id).await?;
        let record = found.ok_or_else(|| {
            Error::new(Code::NotFound, "JOB_NOT_FOUND", "there is no job with this id; it was never submitted, or its retention has passed")
        })?;
        let JobRecord { submit_time, completed, complete_time, result, progress, failure, failed_attempt } = record;
        Ok(GetJobResponse { id, completed, result, progress, failure, failed_attempt, submit_time, complete_time })
    }

    async fn get_queue(&self, context: &Context, request: GetQueueRequest) -> Result<GetQueueResponse, Error> {
        dead::count(self, context, request).await
    }

    async fn list_dead_jobs(&self, context: &Context, request: ListDeadJobsRequest) -> Result<ListDeadJobsResponse, Error> {
        dead::list(self, context, request).await
    }

    async fn redrive_dead_jobs(&self, context: &Context, request: RedriveDeadJobsRequest) -> Result<RedriveDeadJobsResponse, Error> {
        dead::redrive(self, context, request).await
    }

    async fn discard_dead_jobs(&self, context: &Context, request: DiscardDeadJobsRequest) -> Result<DiscardDeadJobsResponse, Error> {
        dead::discard(self, context, request).await
    }
}
