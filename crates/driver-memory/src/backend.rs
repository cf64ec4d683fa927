//! The backend: the keyspaces of one memory backend, and the task that removes expired data.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use async_trait::async_trait;
use tokio::task::AbortHandle;

use crate::{
    blob::{self, Blobs},
    document::{self, Documents},
    graph::{self, Graph},
    keyvalue::{self, KeyValue},
    list::{self, Lists},
    pubsub::{self, Hub},
    queue::{self, Queues},
    set::{self, Sets},
    settings::MemorySettings,
    sortedset::{self, SortedSets},
    state::SharedState,
    stream::{self, Streams},
    timeseries::{self, TimeSeries},
};
use prism_call::{Error, proto::Interfaces};
use prism_driver::{
    Backend, BackendSettings, Connecting, Keyspace, Limits,
    lock::lock,
    parse_settings,
    transactions::{Capacity, Transactions},
};

/// How often expired data is removed that no call has removed before.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Greatest sizes that this driver accepts.
pub const LIMITS: Limits = Limits { max_key_bytes: 1024, max_value_bytes: 4 << 20, max_batch_items: 1000 };

/// One memory backend.
pub struct Memory {
    shared: Arc<SharedState>,
    keyspaces: Arc<Keyspaces>,
    sweeper: AbortHandle,
}

type Keyspaces = Mutex<HashMap<Keyspace, Arc<KeyspaceData>>>;

/// The data of one keyspace.
struct KeyspaceData {
    keyvalue: Arc<KeyValue>,
    transactions: Arc<Transactions<KeyValue>>,
    hub: Arc<Hub>,
    queues: Arc<Queues>,
    streams: Arc<Streams>,
    blobs: Arc<Blobs>,
    lists: Arc<Lists>,
    sets: Arc<Sets>,
    sorted_sets: Arc<SortedSets>,
    time_series: Arc<TimeSeries>,
    documents: Arc<Documents>,
    graph: Arc<Graph>,
}

/// Parses the settings and creates an empty backend.
pub fn connect(settings: BackendSettings) -> Connecting {
    Box::pin(async move { Ok(Arc::new(Memory::new(&settings)?) as Arc<dyn Backend>) })
}

/// The names of the interfaces that every keyspace has.
pub fn interfaces() -> Vec<&'static str> {
    KeyspaceData::new(&Arc::new(SharedState::new(MemorySettings::default()))).interfaces().names()
}

impl Memory {
    /// Creates a backend and starts its sweeper. Must be called inside a Tokio runtime.
    fn new(settings: &BackendSettings) -> Result<Self, Error> {
        let parsed: MemorySettings = parse_settings(settings)?;
        let keyspaces = Arc::<Keyspaces>::default();
        let sweeper = tokio::spawn(sweep(Arc::downgrade(&keyspaces))).abort_handle();
        Ok(Self { shared: Arc::new(SharedState::new(parsed)), keyspaces, sweeper })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.sweeper.abort();
    }
}

#[async_trait]
impl Backend for Memory {
    fn keyspace(&self, keyspace: &Keyspace) -> Interfaces {
        lock(&self.keyspaces).entry(keyspace.clone()).or_insert_with(|| Arc::new(KeyspaceData::new(&self.shared))).interfaces()
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    fn connections(&self) -> Option<prism_driver::ConnectionStats> {
        None
    }

    async fn health(&self) -> Result<(), Error> {
        self.shared.check_open()
    }

    async fn close(&self) {
        self.shared.close();
    }
}

impl KeyspaceData {
    fn new(shared: &Arc<SharedState>) -> Self {
        let capacity = Capacity { transactions: shared.settings.max_transactions.to_usize(), ..Capacity::default() };
        let keyvalue = Arc::new(KeyValue::new(shared.clone(), LIMITS));
        Self {
            transactions: Arc::new(Transactions::with_capacity(keyvalue.clone(), capacity)),
            keyvalue,
            hub: Arc::new(Hub::new(shared.clone(), LIMITS)),
            queues: Arc::new(Queues::new(shared.clone(), LIMITS)),
            streams: Arc::new(Streams::new(shared.clone(), LIMITS)),
            blobs: Arc::new(Blobs::new(shared.clone(), LIMITS)),
            lists: Arc::new(Lists::new(shared.clone(), LIMITS)),
            sets: Arc::new(Sets::new(shared.clone(), LIMITS)),
            sorted_sets: Arc::new(SortedSets::new(shared.clone(), LIMITS)),
            time_series: Arc::new(TimeSeries::new(shared.clone())),
            documents: Arc::new(Documents::new(shared.clone())),
            graph: Arc::new(Graph::new(shared.clone())),
        }
    }

    fn interfaces(&self) -> Interfaces {
        let mut interfaces = Interfaces::default();
        keyvalue::add(&self.keyvalue, &self.transactions, &mut interfaces);
        pubsub::add(&self.hub, &mut interfaces);
        queue::add(&self.queues, &mut interfaces);
        stream::add(&self.streams, &mut interfaces);
        blob::add(&self.blobs, &mut interfaces);
        list::add(&self.lists, &mut interfaces);
        set::add(&self.sets, &mut interfaces);
        sortedset::add(&self.sorted_sets, &mut interfaces);
        timeseries::add(&self.time_series, &mut interfaces);
        document::add(&self.documents, &mut interfaces);
        graph::add(&self.graph, &mut interfaces);
        interfaces
    }

    /// Removes expired data.
    fn sweep(&self) {
        self.keyvalue.sweep();
        self.hub.sweep();
        self.queues.sweep();
        self.streams.sweep();
        self.time_series.sweep();
        self.documents.sweep();
    }
}

/// Removes expired data of all keyspaces until the backend is dropped.
async fn sweep(keyspaces: Weak<Keyspaces>) {
    let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(keyspaces) = keyspaces.upgrade() else { return };
        let all: Vec<Arc<KeyspaceData>> = lock(&keyspaces).values().cloned().collect();
        drop(keyspaces);
        for keyspace in all {
            keyspace.sweep();
            tokio::task::yield_now().await;
        }
    }
}
