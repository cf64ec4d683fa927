//! TimeSeries: one row for each point, by series and time.

mod aggregation;
mod basic;
mod insert;
mod names;
mod points;
mod retention;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

pub use retention::sweep;

use crate::keyspace::KeyspaceHandle;
use prism_call::proto::Interfaces;

/// The time-series interfaces over one keyspace.
#[derive(Clone)]
pub struct TimeSeries {
    keyspace: Arc<KeyspaceHandle>,
    /// The ids of names, which never change.
    names: Arc<Mutex<HashMap<String, i64>>>,
}

/// Adds the time-series interfaces to those of a keyspace.
pub fn add(keyspace: &Arc<KeyspaceHandle>, interfaces: &mut Interfaces) {
    let series = Arc::new(TimeSeries { keyspace: keyspace.clone(), names: Arc::default() });
    interfaces.timeseries_basic = Some(series.clone());
    interfaces.timeseries_aggregation = Some(series.clone());
    interfaces.timeseries_retention = Some(series);
}
