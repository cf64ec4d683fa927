//! Connected backends, and the slots and handlers that use them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use arc_swap::ArcSwap;

use crate::driver::{self, Backend, BackendSettings, Keyspace};

use prism_call::{BackgroundTasks, CallLimits, Code, ConnectionSource, Error, Handler, Metrics};
use prism_config as config;
use prism_pattern::{self as pattern, PatternEnvironment};
use prism_slot::Slot;

/// A connected backend, which namespaces share.
pub struct ConnectedBackend {
    pub kind: &'static str,
    pub settings: config::ResolvedSettings,
    pub backend: Arc<dyn Backend>,
}

/// The backends that are served now, for the metrics of their connections.
#[derive(Clone, Default)]
pub struct ObservedBackends(Arc<ArcSwap<Vec<NamedBackend>>>);

type NamedBackend = (String, Weak<ConnectedBackend>);

impl ObservedBackends {
    /// Observes these backends instead of the previous ones.
    pub fn set<'b>(&self, backends: impl Iterator<Item = (&'b String, &'b Arc<ConnectedBackend>)>) {
        self.0.store(Arc::new(backends.map(|(name, connected)| (name.clone(), Arc::downgrade(connected))).collect()));
    }

    /// Returns what reads their connections.
    pub fn source(&self) -> ConnectionSource {
        let observed = self.clone();
        Box::new(move || {
            let backends = observed.0.load_full();
            let stats = |connected: &Weak<ConnectedBackend>| connected.upgrade()?.backend.connections();
            backends.iter().filter_map(|(name, connected)| Some((name.clone(), stats(connected)?))).collect()
        })
    }
}

/// Connects a backend.
pub async fn connect(name: &str, backend: &config::Backend) -> Result<ConnectedBackend, Error> {
    let kind = driver::kind(&backend.kind).ok_or_else(|| {
        Error::new(Code::FailedPrecondition, "NO_DRIVER", format!("backend {name}: this build has no driver for {}", backend.kind))
    })?;
    let settings = BackendSettings { name: name.to_owned(), values: backend.settings.values().clone() };
    let connected = (kind.connect)(settings).await?;
    Ok(ConnectedBackend { kind: kind.name, settings: backend.settings.clone(), backend: connected })
}

/// Opens the pattern of a namespace on its backends. If it fails, the tasks have ended.
pub async fn open_pattern(
    pattern: &'static pattern::Pattern,
    namespace: &config::Namespace,
    slots: BTreeMap<String, Slot>,
    tasks: BackgroundTasks,
    metrics: &Metrics,
) -> Result<Arc<dyn Handler>, Error> {
    let (name, settings) = (namespace.name.as_str().into(), namespace.settings.values().clone());
    let environment = PatternEnvironment {
        namespace: name,
        limits: call_limits(namespace),
        settings,
        tasks,
        cache_meters: Some(metrics.cache(&namespace.name)),
        outbox_meters: Some(metrics.outbox(&namespace.name)),
        fan_out_meters: Some(metrics.fan_out(&namespace.name)),
    };
    let opened = pattern.open(slots, &environment).await;
    if opened.is_err() {
        // Nobody else knows of the tasks that it has begun.
        environment.tasks.end().await;
    }
    opened
}

/// Fills the slots of a namespace with its backends. `tenant`: with the data of this tenant only.
pub fn fill_slots(
    namespace: &config::Namespace,
    backends: &BTreeMap<String, Arc<ConnectedBackend>>,
    tenant: Option<&str>,
) -> Result<BTreeMap<String, Slot>, Error> {
    let mut slots = BTreeMap::new();
    for (name, filled) in &namespace.slots {
        let connected = backends.get(&filled.backend).ok_or_else(|| {
            let message = format!("namespace {}: there is no backend {}", namespace.name, filled.backend);
            Error::new(Code::FailedPrecondition, "UNKNOWN_BACKEND", message)
        })?;
        let owner = filled.keyspace.as_ref().unwrap_or(&namespace.name);
        // Names of namespaces have no dot.
        let owner = tenant.map_or_else(|| owner.clone(), |tenant| format!("{owner}.{tenant}"));
        let keyspace = Keyspace { namespace: owner, slot: name.clone() };
        let mut slot = Slot::fill(&keyspace, &filled.backend, connected.kind, &*connected.backend);
        tighten_limits(&mut slot.limits, &namespace.limits);
        slots.insert(name.clone(), slot);
    }
    Ok(slots)
}

/// Returns the limits of the calls of a namespace.
pub fn call_limits(namespace: &config::Namespace) -> CallLimits {
    CallLimits {
        max_message_bytes: usize::try_from(namespace.limits.max_message_bytes).unwrap_or(usize::MAX),
        max_concurrent_calls: usize::try_from(namespace.limits.max_concurrent_calls).unwrap_or(usize::MAX),
        max_streams: usize::try_from(namespace.limits.max_streams).unwrap_or(usize::MAX),
        timeout: namespace.limits.timeout,
        max_timeout: namespace.limits.max_timeout,
    }
}

/// Applies the namespace's limits where they are stricter than the driver's.
fn tighten_limits(driver: &mut driver::Limits, namespace: &config::Limits) {
    driver.max_key_bytes = namespace.max_key_bytes.map_or(driver.max_key_bytes, |limit| limit.min(driver.max_key_bytes));
    driver.max_value_bytes = namespace.max_value_bytes.map_or(driver.max_value_bytes, |limit| limit.min(driver.max_value_bytes));
    driver.max_batch_items = namespace.max_batch_items.map_or(driver.max_batch_items, |limit| limit.min(driver.max_batch_items));
}
