//! The RPCs, in the order of the service.

use async_trait::async_trait;

use super::{EventSourcing, append, check_aggregate, read};
use prism_call::{
    Code, Context, Error, Messages,
    proto::patterns::event_sourcing::v1::{
        AppendRequest, AppendResponse, EventSourcing as Service, GetAggregateRequest, GetAggregateResponse, GetCapabilitiesRequest,
        GetCapabilitiesResponse, LoadRequest, LoadResponse, LoadSnapshotRequest, LoadSnapshotResponse, SaveSnapshotRequest,
        SaveSnapshotResponse, SubscribeRequest, SubscribeResponse,
    },
};

#[async_trait]
impl Service for EventSourcing {
    async fn get_capabilities(&self, _: &Context, _: GetCapabilitiesRequest) -> Result<GetCapabilitiesResponse, Error> {
        Ok(GetCapabilitiesResponse { capabilities: Some(self.capabilities.describe()) })
    }

    async fn append(&self, context: &Context, request: AppendRequest) -> Result<AppendResponse, Error> {
        append::append(self, context, request).await
    }

    async fn load(&self, context: &Context, request: LoadRequest) -> Result<Messages<LoadResponse>, Error> {
        read::load(self, context, request).await
    }

    async fn get_aggregate(&self, context: &Context, request: GetAggregateRequest) -> Result<GetAggregateResponse, Error> {
        check_aggregate(&request.aggregate)?;
        Ok(GetAggregateResponse { version: self.log.version(context, &request.aggregate).await? })
    }

    async fn save_snapshot(&self, context: &Context, request: SaveSnapshotRequest) -> Result<SaveSnapshotResponse, Error> {
        let SaveSnapshotRequest { aggregate, version, state } = request;
        check_aggregate(&aggregate)?;
        if version == 0 {
            return Err(Error::invalid("version", "must be that of an event, from 1"));
        }
        let current = self.log.version(context, &aggregate).await?;
        if version > current {
            let message = format!("the aggregate has version {current}; there is no event {version} whose state this could be");
            return Err(Error::new(Code::FailedPrecondition, "VERSION_MISMATCH", message).with("current_version", current.to_string()));
        }
        Ok(SaveSnapshotResponse { saved: self.snapshots.save(context, &aggregate, version, state).await? })
    }

    async fn load_snapshot(&self, context: &Context, request: LoadSnapshotRequest) -> Result<LoadSnapshotResponse, Error> {
        check_aggregate(&request.aggregate)?;
        let snapshot = self.snapshots.load(context, request.aggregate).await?;
        let snapshot = snapshot.ok_or_else(|| Error::new(Code::NotFound, "SNAPSHOT_NOT_FOUND", "this aggregate has no snapshot"))?;
        Ok(LoadSnapshotResponse { snapshot: Some(snapshot) })
    }

    async fn subscribe(&self, context: &Context, request: SubscribeRequest) -> Result<Messages<SubscribeResponse>, Error> {
        read::subscribe(self, context, request).await
    }
}
