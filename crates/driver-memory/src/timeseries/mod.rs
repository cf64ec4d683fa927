//! TimeSeries: for each name its series in the order of their labels, and for each series its points in the order of time.

mod aggregation;
mod basic;
mod interpolation;
mod retention;
mod store;

use std::sync::{Arc, Mutex, MutexGuard};

use self::store::Store;
use crate::state::SharedState;
use prism_call::{Error, proto::Interfaces};
use prism_driver::lock::lock;

/// The time-series interfaces over one keyspace. Its streams keep the data alive.
#[derive(Clone)]
pub struct TimeSeries {
    shared: Arc<SharedState>,
    store: Arc<Mutex<Store>>,
}

/// Adds the time-series interfaces to those of a keyspace.
pub fn add(series: &Arc<TimeSeries>, interfaces: &mut Interfaces) {
    interfaces.timeseries_basic = Some(series.clone());
    interfaces.timeseries_aggregation = Some(series.clone());
    interfaces.timeseries_retention = Some(series.clone());
    interfaces.timeseries_interpolation = Some(series.clone());
}

impl TimeSeries {
    pub fn new(shared: Arc<SharedState>) -> Self {
        Self { store: Arc::new(Mutex::new(Store::new(shared.clone()))), shared }
    }

    /// Removes points that are past their retention.
    pub fn sweep(&self) {
        lock(&self.store).compact_all();
    }

    fn store(&self) -> Result<MutexGuard<'_, Store>, Error> {
        self.shared.check_open()?;
        Ok(lock(&self.store))
    }
}
