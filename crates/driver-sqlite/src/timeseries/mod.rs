//! TimeSeries: one row for each point, by series and time.

mod aggregation;
mod basic;
mod interpolation;
mod names;
mod retention;
mod rows;

use std::sync::Arc;

pub use retention::sweep;

use crate::keyspace::KeyspaceHandle;
use prism_call::proto::Interfaces;

/// The time-series interfaces over one keyspace.
pub struct TimeSeries {
    keyspace: Arc<KeyspaceHandle>,
}

/// Adds the time-series interfaces to those of a keyspace.
pub fn add(keyspace: &Arc<KeyspaceHandle>, interfaces: &mut Interfaces) {
    let series = Arc::new(TimeSeries { keyspace: keyspace.clone() });
    interfaces.timeseries_aggregation = Some(series.clone());
    interfaces.timeseries_basic = Some(series.clone());
    interfaces.timeseries_interpolation = Some(series.clone());
    interfaces.timeseries_retention = Some(series);
}
