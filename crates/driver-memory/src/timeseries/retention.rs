//! `timeseries_retention`

use async_trait::async_trait;

use super::TimeSeries;
use prism_call::{
    Context, Error,
    proto::models::timeseries::v1::{CompactRequest, CompactResponse, SetRetentionRequest, SetRetentionResponse, TimeSeriesRetention},
};
use prism_driver::{
    time,
    timeseries::{check_name, check_optional_name, max_age},
};

#[async_trait]
impl TimeSeriesRetention for TimeSeries {
    async fn set_retention(&self, _: &Context, request: SetRetentionRequest) -> Result<SetRetentionResponse, Error> {
        check_name("name", &request.name)?;
        let max_age = max_age(request.max_age.as_ref())?;
        let former = self.store()?.set_max_age(request.name, max_age)?;
        Ok(SetRetentionResponse { previous_max_age: former.map(time::duration) })
    }

    async fn compact(&self, _: &Context, request: CompactRequest) -> Result<CompactResponse, Error> {
        check_optional_name("name", &request.name)?;
        let mut store = self.store()?;
        let (points, series) = if request.name.is_empty() { store.compact_all() } else { store.compact(&request.name) };
        Ok(CompactResponse { points_removed: Some(points), series_removed: Some(series) })
    }
}
