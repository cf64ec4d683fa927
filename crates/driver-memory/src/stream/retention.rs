//! `stream_retention`

use async_trait::async_trait;

use super::{Streams, partition::Partition};
use prism_call::{
    Context, Error,
    proto::models::stream::v1::{
        CompactRequest, CompactResponse, GetRetentionRequest, GetRetentionResponse, SetRetentionRequest, SetRetentionResponse,
        StreamRetention,
    },
};
use prism_driver::{lock::lock, stream::RetentionLimits, time};

#[async_trait]
impl StreamRetention for Streams {
    async fn set_retention(&self, _: &Context, request: SetRetentionRequest) -> Result<SetRetentionResponse, Error> {
        let limits = RetentionLimits::parse(request.policy)?;
        let log = self.log(&request.stream)?;
        let mut state = lock(&log.state);
        state.retention = limits;
        state.apply_retention(time::now());
        Ok(SetRetentionResponse { policy: Some(limits.into()) })
    }

    async fn get_retention(&self, _: &Context, request: GetRetentionRequest) -> Result<GetRetentionResponse, Error> {
        self.with_state(&request.stream, |state| GetRetentionResponse {
            policy: Some(state.retention.into()),
            first_offset: state.first_offset(),
            records: Some(state.partitions.iter().map(Partition::len).sum()),
            bytes: Some(state.partitions.iter().map(|partition| partition.bytes).sum()),
        })
    }

    async fn compact(&self, _: &Context, request: CompactRequest) -> Result<CompactResponse, Error> {
        self.with_state(&request.stream, |state| {
            let mut removed = state.apply_retention(time::now());
            if request.by_key {
                removed = removed.add(state.compact());
            }
            CompactResponse { removed: Some(removed.records), first_offset: state.first_offset() }
        })
    }
}
