//! The subject of a case: the interfaces of a driver over a new keyspace, behind the guard, as patterns get them.

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
    proto::models::{
        blob::v1 as blob, document::v1 as document, graph::v1 as graph, keyvalue::v1 as kv, list::v1 as list, pubsub::v1 as pubsub,
        queue::v1 as queue, set::v1 as set, sortedset::v1 as sortedset, stream::v1 as stream, timeseries::v1 as timeseries,
    },
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
    /// The slot over this keyspace.
    pub slot: Arc<Slot>,
    /// The context of calls that need no special one.
    pub context: Context,
}

impl Subject {
    /// Creates a keyspace with a new name.
    pub fn new(kind: &'static Kind, backend: &Arc<dyn Backend>, second: Option<&Arc<dyn Backend>>, name: &str) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Names of namespaces have no underscores.
        let keyspace = Keyspace { namespace: format!("{}-{number}", name.replace('_', "-")), slot: "data".to_owned() };
        Self::over(kind, backend.clone(), second.cloned(), keyspace)
    }

    fn over(kind: &'static Kind, backend: Arc<dyn Backend>, second: Option<Arc<dyn Backend>>, keyspace: Keyspace) -> Self {
        let slot = Arc::new(Slot::fill(&keyspace, "under-test", kind.name, backend.as_ref()));
        let context = Context::internal(keyspace.namespace.as_str());
        Self { kind, backend, second, keyspace, slot, context }
    }

    /// Returns another keyspace of the same backend.
    pub fn other_keyspace(&self) -> Self {
        Self::new(self.kind, &self.backend, self.second.as_ref(), &self.keyspace.namespace)
    }

    /// Requests the same keyspace again.
    pub fn reopened(&self) -> Self {
        Self::over(self.kind, self.backend.clone(), self.second.clone(), self.keyspace.clone())
    }

    /// Returns another slot of the same namespace.
    pub fn other_slot(&self) -> Self {
        let keyspace = Keyspace { slot: "other".to_owned(), ..self.keyspace.clone() };
        Self::over(self.kind, self.backend.clone(), self.second.clone(), keyspace)
    }

    /// Returns the same keyspace over the connections of another gateway. Only for suites that are `shared`.
    pub fn on_other_gateway(&self) -> Self {
        let second = self.second.clone().expect("the suite is not declared as shared");
        Self::over(self.kind, second, Some(self.backend.clone()), self.keyspace.clone())
    }

    /// Whether several gateways can work on the data.
    pub fn is_shared(&self) -> bool {
        self.second.is_some()
    }

    /// Whether watches may leave out changes that a later change of the same key has replaced.
    pub fn keeps_last_change_only(&self) -> bool {
        self.kind.name == "nats"
    }

    /// Returns a context with this timeout.
    pub fn with_timeout(&self, timeout: Duration) -> Context {
        self.context.clone().with_timeout(timeout)
    }

    /// The limits of the driver.
    pub fn limits(&self) -> prism::driver::Limits {
        self.slot.limits
    }
}

/// One method for each interface. A case that calls a method without naming the interface in `needs` fails on drivers without it.
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
    keyvalue_watch: kv::KeyValueWatch;
    pubsub_basic: pubsub::PubSubBasic;
    pubsub_wildcards: pubsub::PubSubWildcards;
    pubsub_filtering: pubsub::PubSubFiltering;
    pubsub_ordering: pubsub::PubSubOrdering;
    pubsub_persistent: pubsub::PubSubPersistent;
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
    list_basic: list::ListBasic;
    list_blocking: list::ListBlocking;
    list_indexing: list::ListIndexing;
    list_range: list::ListRange;
    set_basic: set::SetBasic;
    set_cardinality: set::SetCardinality;
    set_operations: set::SetOperations;
    set_random: set::SetRandom;
    sortedset_basic: sortedset::SortedSetBasic;
    sortedset_lex: sortedset::SortedSetLex;
    sortedset_operations: sortedset::SortedSetOperations;
    sortedset_range: sortedset::SortedSetRange;
    sortedset_rank: sortedset::SortedSetRank;
    timeseries_basic: timeseries::TimeSeriesBasic;
    timeseries_aggregation: timeseries::TimeSeriesAggregation;
    timeseries_interpolation: timeseries::TimeSeriesInterpolation;
    timeseries_retention: timeseries::TimeSeriesRetention;
    document_basic: document::DocumentBasic;
    document_query: document::DocumentQuery;
    document_indexing: document::DocumentIndexing;
    graph_basic: graph::GraphBasic;
    graph_traversal: graph::GraphTraversal;
    graph_analytics: graph::GraphAnalytics;
    blob_basic: blob::BlobBasic;
    blob_list: blob::BlobList;
    blob_conditional: blob::BlobConditional;
}
