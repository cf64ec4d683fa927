//! Graph: nodes and edges by their ids, under one lock.

mod analytics;
mod basic;
mod components;
mod path;
mod rank;
mod snapshot;
mod store;
mod traversal;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use self::store::Store;
use crate::state::SharedState;
use prism_call::{Error, proto::Interfaces};

/// The graph interfaces over one keyspace. Its streams keep the data alive.
#[derive(Clone)]
pub struct Graph {
    shared: Arc<SharedState>,
    store: Arc<RwLock<Store>>,
}

/// Adds the graph interfaces to those of a keyspace.
pub fn add(graph: &Arc<Graph>, interfaces: &mut Interfaces) {
    interfaces.graph_basic = Some(graph.clone());
    interfaces.graph_traversal = Some(graph.clone());
    interfaces.graph_analytics = Some(graph.clone());
}

impl Graph {
    pub fn new(shared: Arc<SharedState>) -> Self {
        Self { store: Arc::new(RwLock::new(Store::new(shared.clone()))), shared }
    }

    fn read(&self) -> Result<RwLockReadGuard<'_, Store>, Error> {
        self.shared.check_open()?;
        Ok(self.store.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self) -> Result<RwLockWriteGuard<'_, Store>, Error> {
        self.shared.check_open()?;
        Ok(self.store.write().unwrap_or_else(PoisonError::into_inner))
    }
}
