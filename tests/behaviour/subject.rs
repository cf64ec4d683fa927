//! What a case works on: the interfaces of a driver over one fresh keyspace, behind the guard, as patterns get them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prism::{
    call::Context,
    driver::{Backend, Keyspace, Kind},
    proto::models::{keyvalue::v1 as kv, pubsub::v1 as pubsub, queue::v1 as queue, stream::v1 as stream},
    slot::Slot,
};

static NEXT: AtomicU64 = AtomicU64::new(1);

/// One keyspace of one backend.
#[derive(Clone)]
pub struct Subject {
    kind: &'static Kind,
    backend: Arc<dyn Backend>,
    second: Option<Arc<dyn Backend>>,
    keyspace: Keyspace,
    /// The slot that it fills.
    pub slot: Arc<Slot>,
    /// Of calls without anything special.
    pub context: Context,
}

impl Subject {
    /// A keyspace that nobody used before.
    pub fn new(kind: &'static Kind, backend: &Arc<dyn Backend>, second: Option<&Arc<dyn Backend>>, name: &str) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Underscores are no part of a namespace's name.
        let keyspace = Keyspace { namespace: format!("{}-{number}", name.replace('_', "-")), slot: "data".to_owned() };
        Self::over(kind, backend.clone(), second.cloned(), keyspace)
    }

    fn over(kind: &'static Kind, backend: Arc<dyn Backend>, second: Option<Arc<dyn Backend>>, keyspace: Keyspace) -> Self {
        let slot = Arc::new(Slot::fill(&keyspace, "under-test", kind.name, backend.as_ref()));
        let context = Context::internal(keyspace.namespace.as_str());
        Self { kind, backend, second, keyspace, slot, context }
    }

    /// Another keyspace of the same backend.
    pub fn other(&self) -> Self {
        Self::new(self.kind, &self.backend, self.second.as_ref(), &self.keyspace.namespace)
    }

    /// The same keyspace, asked for again.
    pub fn again(&self) -> Self {
        Self::over(self.kind, self.backend.clone(), self.second.clone(), self.keyspace.clone())
    }

    /// Another slot of the same namespace.
    pub fn other_slot(&self) -> Self {
        let keyspace = Keyspace { slot: "other".to_owned(), ..self.keyspace.clone() };
        Self::over(self.kind, self.backend.clone(), self.second.clone(), keyspace)
    }

    /// The same keyspace as another gateway has it, with connections of its own. Only for suites that are `shared`.
    pub fn elsewhere(&self) -> Self {
        let second = self.second.clone().expect("the suite is not declared as shared");
        Self::over(self.kind, second, Some(self.backend.clone()), self.keyspace.clone())
    }

    /// A context whose caller stops waiting after this time.
    pub fn within(&self, timeout: Duration) -> Context {
        self.context.clone().with_timeout(timeout)
    }

    /// Greatest sizes.
    pub fn limits(&self) -> prism::driver::Limits {
        self.slot.limits
    }
}

/// One method for each interface. A case that calls one without naming it in `needs` fails where the driver lacks it.
macro_rules! interfaces {
    ($($name:ident: $trait:path;)+) => {
        #[allow(dead_code, reason = "one for each interface that has a suite")]
        impl Subject {
            $(
                pub fn $name(&self) -> Arc<dyn $trait> {
                    self.slot.interfaces.$name.clone().expect(concat!("the case does not name ", stringify!($name), " in its needs"))
                }
            )+
        }
    };
}

interfaces! {
    keyvalue_basic: kv::KeyValueBasic;
    keyvalue_scan: kv::KeyValueScan;
    keyvalue_ttl: kv::KeyValueTtl;
    keyvalue_transactional: kv::KeyValueTransactional;
    keyvalue_batch: kv::KeyValueBatch;
    keyvalue_cas: kv::KeyValueCas;
    pubsub_basic: pubsub::PubSubBasic;
    pubsub_wildcards: pubsub::PubSubWildcards;
    pubsub_filtering: pubsub::PubSubFiltering;
    pubsub_ordering: pubsub::PubSubOrdering;
    stream_basic: stream::StreamBasic;
    stream_consumer_groups: stream::StreamConsumerGroups;
    stream_replay: stream::StreamReplay;
    stream_retention: stream::StreamRetention;
    stream_partitioning: stream::StreamPartitioning;
    queue_basic: queue::QueueBasic;
    queue_visibility: queue::QueueVisibility;
    queue_dead_letter: queue::QueueDeadLetter;
    queue_priority: queue::QueuePriority;
    queue_delayed: queue::QueueDelayed;
}
