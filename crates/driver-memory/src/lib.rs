//! Memory: everything in this process, bounded in size, gone when it ends. The reference for what the interfaces mean.

mod error;
mod keyvalue;
mod pubsub;
mod queue;
mod settings;
mod shared;
mod stream;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use async_trait::async_trait;
use tokio::task::AbortHandle;

pub use settings::Settings;
use shared::{Shared, lock};

use prism_call::{Error, proto::Interfaces};
use prism_driver::{
    self as driver, Backend, Keyspace, Kind, Limits,
    transactions::{Capacity, Transactions},
};

/// The driver.
pub static KIND: Kind = Kind {
    name: "memory",
    interfaces: || Space::new(&Arc::new(Shared::new(Settings::default()))).interfaces().names(),
    schema: || schemars::schema_for!(Settings),
    connect: |settings| Box::pin(async move { Ok(Arc::new(Memory::connect(&settings)?) as Arc<dyn Backend>) }),
};

/// How often expired data is removed that nobody came across.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// One memory backend.
pub struct Memory {
    shared: Arc<Shared>,
    spaces: Arc<Spaces>,
    sweeper: AbortHandle,
}

type Spaces = Mutex<HashMap<Keyspace, Arc<Space>>>;

/// The data of one keyspace.
struct Space {
    keyvalue: Arc<keyvalue::Store>,
    transactions: Arc<Transactions<keyvalue::Store>>,
    hub: Arc<pubsub::Hub>,
    queues: Arc<queue::Queues>,
    streams: Arc<stream::Streams>,
}

impl Memory {
    /// Makes one, with its sweeper; needs a Tokio runtime around it.
    fn connect(settings: &driver::Settings) -> Result<Self, Error> {
        let parsed: Settings = settings.parse()?;
        parsed.check(&settings.name)?;
        let spaces = Arc::<Spaces>::default();
        let sweeper = tokio::spawn(sweep(Arc::downgrade(&spaces))).abort_handle();
        Ok(Self { shared: Arc::new(Shared::new(parsed)), spaces, sweeper })
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
        lock(&self.spaces).entry(keyspace.clone()).or_insert_with(|| Arc::new(Space::new(&self.shared))).interfaces()
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    async fn health(&self) -> Result<(), Error> {
        self.shared.open()
    }

    async fn close(&self) {
        self.shared.close();
    }
}

const LIMITS: Limits = Limits { max_key_bytes: 1024, max_value_bytes: 4 << 20, max_batch_items: 1000 };

impl Space {
    fn new(shared: &Arc<Shared>) -> Self {
        let capacity = Capacity { transactions: shared.settings.max_transactions, ..Capacity::default() };
        let keyvalue = Arc::new(keyvalue::Store::new(shared.clone(), LIMITS));
        Self {
            transactions: Arc::new(Transactions::with_capacity(keyvalue.clone(), capacity)),
            keyvalue,
            hub: Arc::new(pubsub::Hub::new(shared.clone(), LIMITS)),
            queues: Arc::new(queue::Queues::new(shared.clone(), LIMITS)),
            streams: Arc::new(stream::Streams::new(shared.clone(), LIMITS)),
        }
    }

    fn interfaces(&self) -> Interfaces {
        let pubsub = Arc::new(pubsub::PubSub(self.hub.clone()));
        Interfaces {
            keyvalue_basic: Some(self.keyvalue.clone()),
            keyvalue_batch: Some(self.keyvalue.clone()),
            keyvalue_cas: Some(self.keyvalue.clone()),
            keyvalue_scan: Some(Arc::new(keyvalue::Scan(self.keyvalue.clone()))),
            keyvalue_transactional: Some(self.transactions.clone()),
            keyvalue_ttl: Some(self.keyvalue.clone()),
            pubsub_basic: Some(pubsub.clone()),
            pubsub_filtering: Some(pubsub.clone()),
            pubsub_ordering: Some(pubsub.clone()),
            pubsub_wildcards: Some(pubsub),
            queue_basic: Some(self.queues.clone()),
            queue_dead_letter: Some(self.queues.clone()),
            queue_delayed: Some(self.queues.clone()),
            queue_priority: Some(self.queues.clone()),
            queue_visibility: Some(self.queues.clone()),
            stream_basic: Some(self.streams.clone()),
            stream_consumer_groups: Some(self.streams.clone()),
            stream_partitioning: Some(self.streams.clone()),
            stream_replay: Some(self.streams.clone()),
            stream_retention: Some(self.streams.clone()),
            ..Interfaces::default()
        }
    }

    fn sweep(&self) {
        self.keyvalue.sweep();
        self.hub.sweep();
        self.queues.sweep();
        self.streams.sweep();
    }
}

/// Ends with its backend, because it keeps nothing of it alive.
async fn sweep(spaces: Weak<Spaces>) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(spaces) = spaces.upgrade() else { return };
        let all: Vec<Arc<Space>> = lock(&spaces).values().cloned().collect();
        drop(spaces);
        for space in all {
            space.sweep();
            tokio::task::yield_now().await;
        }
    }
}
