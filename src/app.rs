//! The gateway as a whole. Builds drivers, slots, patterns, pipeline and edges, in that order, and drains them at the end.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{
    driver::{self, Backend, BackendSettings, Keyspace},
    lifecycle::{self, OpenHandler},
    plan::Plan,
    telemetry::Telemetry,
};
use prism_call::{AccessLog, BackgroundTasks, CallLimits, Code, Error, Handler, Idempotency, Method, Metrics, Namespace, Pipeline, proto};
use prism_config::{self as config, Config};
use prism_edge::{self as edge, Binding, Bindings, Bound, Cors, Drain, Edge, Services};
use prism_pattern::{self as pattern, PatternEnvironment};
use prism_registry as registry;
use prism_remote::RemoteHandler;
use prism_slot::{Slot, idempotency};

/// Time that idle streams get after a drain began. Most streams that end by themselves end within it.
const STREAM_GRACE: Duration = Duration::from_secs(1);
/// Time that a backend gets to flush pending writes.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time that a handler has at least to end its background tasks, even if calls took all of the drain timeout.
const MIN_CLOSE_TIME: Duration = Duration::from_secs(1);

/// A connected backend, which namespaces share.
struct ConnectedBackend {
    kind: &'static str,
    backend: Arc<dyn Backend>,
}

/// A gateway that has taken its ports and connected its backends, but does not serve yet.
pub struct App {
    listeners: Vec<BoundListener>,
    admin: TcpListener,
    admin_address: SocketAddr,
    router: axum::Router,
    backends: BTreeMap<String, ConnectedBackend>,
    handlers: Vec<OpenHandler>,
    health: Vec<(HealthReporter, Vec<String>)>,
    drain: Drain,
    draining: CancellationToken,
    streams: CancellationToken,
    drain_timeout: Duration,
    pipeline: Arc<Pipeline>,
    telemetry: Telemetry,
}

/// A listener with its port, and what it serves.
struct BoundListener {
    name: String,
    bound: Bound,
    edge: Arc<Edge>,
}

/// The address of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name of the listener.
    pub name: String,
    /// Address with the actual port.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub tls: bool,
}

impl App {
    /// Makes the plan, takes the ports and connects the backends.
    pub async fn build(config: &Config) -> Result<Self, Error> {
        let plan = Plan::new(config).map_err(|problems| {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            Error::new(Code::FailedPrecondition, "CONFIGURATION", lines.join("\n"))
        })?;
        Self::start(config, &plan).await
    }

    /// Takes the ports and connects the backends. Does not serve yet.
    pub async fn start(config: &Config, plan: &Plan) -> Result<Self, Error> {
        // Ports come first: a second gateway on the same ports must not touch the data of the first.
        let admin = TcpListener::bind(config.admin.address).await.map_err(|error| {
            let address = config.admin.address;
            let why = if error.kind() == std::io::ErrorKind::AddrInUse {
                format!("port {} is in use; stop the other program, or choose another port with admin.address", address.port())
            } else {
                format!("can't listen on {address}: {error}")
            };
            Error::new(Code::FailedPrecondition, "LISTENER", format!("admin listener: {why}"))
        })?;
        let mut bound = Vec::new();
        for (name, listener) in &config.listeners {
            bound.push((name, listener, edge::bind(name, listener.address, plan.tls(name)).await?));
        }

        let metrics = Metrics::new().map_err(|error| Error::internal("the metrics can't be set up").with_source(error))?;
        let streams = CancellationToken::new();
        let telemetry = Telemetry::start(&config.telemetry, &metrics)?;
        let pipeline = Arc::new(Pipeline::new(access_log(config.log.access), streams.clone()).with_tracer(telemetry.tracer()));
        let backends = connect(config).await?;
        let mut probes: Vec<_> =
            backends.iter().map(|(name, connected)| (format!("backend {name}"), probe_backend(&connected.backend))).collect();
        let (mut namespaces, mut handlers) = (Vec::new(), Vec::new());
        for namespace in &config.namespaces {
            let tasks = BackgroundTasks::default();
            let handler: Arc<dyn Handler> = match &namespace.remote {
                Some(remote) => {
                    let handler = RemoteHandler::connect(&remote.url, &remote.namespace, None)?;
                    probes.push((format!("namespace {} (remote)", namespace.name), probe_remote(&handler)));
                    handler
                }
                None => open_pattern(namespace, &backends, tasks.clone()).await?,
            };
            handlers.push(OpenHandler { namespace: namespace.name.clone(), handler: handler.clone(), tasks });
            namespaces.push((namespace, open(namespace, handler, select_idempotency(namespace, &backends)?, &metrics)?));
        }

        let draining = CancellationToken::new();
        let router = edge::admin::router(edge::admin::Admin { metrics, probes: Arc::new(probes), draining: draining.clone() });
        let mut listeners = Vec::new();
        let mut health = Vec::new();
        for (name, listener, bound) in bound {
            let bindings = Bindings::new(bindings_of(name, &namespaces, plan)?);
            let names = bindings.services();
            let (services, reporter) = Services::new(names.clone(), streams.clone());
            for service in &names {
                reporter.set_service_status(service, ServingStatus::Serving).await;
            }
            health.push((reporter, names));
            let allowed = listener.cors.clone();
            let cors = Cors::new(Box::new(move |origin| allowed.allows(origin)), listener.cors.max_age.as_secs());
            let edge = Edge { pipeline: pipeline.clone(), bindings, services, cors };
            listeners.push(BoundListener { name: name.clone(), bound, edge: Arc::new(edge) });
        }
        let admin_address = admin.local_addr().unwrap_or(config.admin.address);
        Ok(Self {
            listeners,
            admin,
            admin_address,
            router,
            backends,
            handlers,
            health,
            drain: Drain::default(),
            draining,
            streams,
            drain_timeout: config.shutdown.drain_timeout,
            pipeline,
            telemetry,
        })
    }

    /// Returns the addresses of the listeners for clients.
    pub fn addresses(&self) -> Vec<Address> {
        self.listeners
            .iter()
            .map(|listener| Address { name: listener.name.clone(), address: listener.bound.address, tls: listener.bound.is_tls() })
            .collect()
    }

    /// Returns the address of the admin listener.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Serves until `end` completes, then drains. The gateway reports that it is not ready and accepts no new connections. Calls in
    /// progress finish, and idle streams are ended with a status. After the drain timeout, all remaining connections are closed. Then the
    /// handlers end their background tasks, and the backends flush pending writes.
    pub async fn run(self, end: impl Future<Output = ()>) {
        let mut serving = JoinSet::new();
        for listener in self.listeners {
            serving.spawn(listener.bound.serve(listener.edge, self.drain.clone()));
        }
        // The admin listener is closed last, so that operators can watch the drain.
        let admin = tokio::spawn(async move { axum::serve(self.admin, self.router).await });

        end.await;
        let drain_end = Instant::now() + self.drain_timeout;
        self.draining.cancel();
        for (reporter, services) in &self.health {
            for service in std::iter::once("").chain(services.iter().map(String::as_str)) {
                reporter.set_service_status(service, ServingStatus::NotServing).await;
            }
        }
        self.drain.begin.cancel();
        let streams = self.streams.clone();
        let grace = tokio::spawn(async move {
            tokio::time::sleep(STREAM_GRACE).await;
            streams.cancel();
        });
        let finished = async { while serving.join_next().await.is_some() {} };
        if tokio::time::timeout(self.drain_timeout, finished).await.is_err() {
            tracing::warn!(timeout = ?self.drain_timeout, "calls were still in progress when the drain timeout ended; their connections are closed");
            self.drain.cut.cancel();
            while serving.join_next().await.is_some() {}
        }
        grace.abort();
        // Calls with an idempotency key go on after their clients left, to store their replies.
        if tokio::time::timeout(CLOSE_TIMEOUT, self.pipeline.wait_for_background_calls()).await.is_err() {
            tracing::warn!("calls whose clients had left did not finish in time");
        }
        let left = drain_end.saturating_duration_since(Instant::now());
        lifecycle::close(&self.handlers, left.max(MIN_CLOSE_TIME)).await;
        // All calls have ended, so all spans and counters are final.
        self.telemetry.shutdown().await;
        for (name, connected) in &self.backends {
            if tokio::time::timeout(CLOSE_TIMEOUT, connected.backend.close()).await.is_err() {
                tracing::warn!(backend = name, "the backend did not close in time");
            }
        }
        admin.abort();
    }
}

fn access_log(log: config::AccessLog) -> AccessLog {
    match log {
        config::AccessLog::Off => AccessLog::Off,
        config::AccessLog::Errors => AccessLog::Errors,
        config::AccessLog::All => AccessLog::All,
    }
}

async fn connect(config: &Config) -> Result<BTreeMap<String, ConnectedBackend>, Error> {
    let mut backends = BTreeMap::new();
    for (name, backend) in &config.backends {
        let kind = driver::kind(&backend.kind).ok_or_else(|| {
            Error::new(Code::FailedPrecondition, "NO_DRIVER", format!("backend {name}: this build has no driver for {}", backend.kind))
        })?;
        let settings = BackendSettings { name: name.clone(), values: backend.settings.values().clone() };
        let connected = (kind.connect)(settings).await.map_err(|error| error.with("backend", name))?;
        backends.insert(name.clone(), ConnectedBackend { kind: kind.name, backend: connected });
    }
    Ok(backends)
}

fn call_limits(namespace: &config::Namespace) -> CallLimits {
    CallLimits {
        max_message_bytes: usize::try_from(namespace.limits.max_message_bytes).unwrap_or(usize::MAX),
        max_concurrent_calls: usize::try_from(namespace.limits.max_concurrent_calls).unwrap_or(usize::MAX),
        timeout: namespace.limits.timeout,
        max_timeout: namespace.limits.max_timeout,
    }
}

fn pattern_of(namespace: &config::Namespace) -> Result<&'static pattern::Pattern, Error> {
    pattern::find(&namespace.pattern).ok_or_else(|| {
        let message = format!("namespace {}: this build can't serve the pattern {}", namespace.name, namespace.pattern);
        Error::new(Code::FailedPrecondition, "UNKNOWN_PATTERN", message)
    })
}

/// Opens the pattern of a namespace on its backends.
async fn open_pattern(
    namespace: &config::Namespace,
    backends: &BTreeMap<String, ConnectedBackend>,
    tasks: BackgroundTasks,
) -> Result<Arc<dyn Handler>, Error> {
    let (name, settings) = (namespace.name.as_str().into(), namespace.settings.values().clone());
    let environment = PatternEnvironment { namespace: name, limits: call_limits(namespace), settings, tasks };
    pattern_of(namespace)?.open(fill_slots(namespace, backends)?, &environment).await
}

fn open(
    namespace: &config::Namespace,
    handler: Arc<dyn Handler>,
    idempotency: Idempotency,
    metrics: &Metrics,
) -> Result<Arc<Namespace>, Error> {
    let pattern = pattern_of(namespace)?;
    let methods = Method::of_service(proto::descriptors(), pattern.service).unwrap_or_default();
    let opened = Namespace::new(&namespace.name, pattern.name, methods, handler, call_limits(namespace), metrics);
    Ok(Arc::new(opened.with_idempotency(idempotency)))
}

/// Selects the backend that stores replies of calls with an idempotency key: that of the slot that the namespace names, or else the first one
/// with the required interfaces, so that all gateways with the same configuration select the same.
fn select_idempotency(namespace: &config::Namespace, backends: &BTreeMap<String, ConnectedBackend>) -> Result<Idempotency, Error> {
    // A remote gateway follows its own configuration.
    let Some(settings) = &namespace.idempotency else { return Ok(Idempotency::Forwarded) };
    let connected = |slot: &config::Slot| backends.get(&slot.backend).map(|connected| (slot.backend.clone(), connected));
    let can = |connected: &ConnectedBackend| {
        let has = driver::kind(connected.kind).map(|kind| (kind.interfaces)()).unwrap_or_default();
        registry::IDEMPOTENCY_INTERFACES.iter().all(|interface| has.contains(interface))
    };
    let chosen = if let Some(name) = &settings.slot {
        namespace.slots.get(name).and_then(connected)
    } else {
        let mut all = namespace.slots.values().filter_map(connected);
        let first = all.clone().next();
        all.find(|(_, connected)| can(connected)).or(first)
    };
    let Some((backend, connected)) = chosen else { return Ok(Idempotency::Forwarded) };
    let keyspace = Keyspace { namespace: namespace.name.clone(), slot: registry::IDEMPOTENCY_SLOT.to_owned() };
    let slot = Slot::fill(&keyspace, &backend, connected.kind, &*connected.backend);
    match idempotency::KeyspaceReplyStore::new(slot, settings.retention) {
        Ok(store) => Ok(Idempotency::Stored { store: Arc::new(store), required: settings.required }),
        Err(interface) if settings.required => {
            let error = Error::capability_unavailable("idempotency.required", interface, &backend);
            Err(Error::new(Code::FailedPrecondition, "CAPABILITY_UNAVAILABLE", format!("namespace {}: {error}", namespace.name)))
        }
        Err(interface) => Ok(Idempotency::Unavailable { backend, interface }),
    }
}

/// Fills the slots of a namespace with its backends.
fn fill_slots(namespace: &config::Namespace, backends: &BTreeMap<String, ConnectedBackend>) -> Result<BTreeMap<String, Slot>, Error> {
    let mut slots = BTreeMap::new();
    for (name, filled) in &namespace.slots {
        let connected = backends.get(&filled.backend).ok_or_else(|| {
            let message = format!("namespace {}: there is no backend {}", namespace.name, filled.backend);
            Error::new(Code::FailedPrecondition, "UNKNOWN_BACKEND", message)
        })?;
        let keyspace = Keyspace { namespace: namespace.name.clone(), slot: name.clone() };
        let mut slot = Slot::fill(&keyspace, &filled.backend, connected.kind, &*connected.backend);
        tighten_limits(&mut slot.limits, &namespace.limits);
        slots.insert(name.clone(), slot);
    }
    Ok(slots)
}

/// Applies the namespace's limits where they are stricter than the driver's.
fn tighten_limits(driver: &mut driver::Limits, namespace: &config::Limits) {
    driver.max_key_bytes = namespace.max_key_bytes.map_or(driver.max_key_bytes, |limit| limit.min(driver.max_key_bytes));
    driver.max_value_bytes = namespace.max_value_bytes.map_or(driver.max_value_bytes, |limit| limit.min(driver.max_value_bytes));
    driver.max_batch_items = namespace.max_batch_items.map_or(driver.max_batch_items, |limit| limit.min(driver.max_batch_items));
}

fn bindings_of(listener: &str, namespaces: &[(&config::Namespace, Arc<Namespace>)], plan: &Plan) -> Result<Vec<Binding>, Error> {
    let mut bindings = Vec::new();
    for (definition, namespace) in namespaces {
        for binding in &definition.frontends {
            if !binding.enabled || binding.listener.as_deref().is_some_and(|only| only != listener) {
                continue;
            }
            let (frontend, documentation) = plan.frontend(binding, &namespace.service)?;
            bindings.push(Binding {
                host: binding.host.clone(),
                base_path: binding.base_path.clone(),
                namespace: namespace.clone(),
                frontend,
                documentation,
            });
        }
    }
    Ok(bindings)
}

fn probe_backend(backend: &Arc<dyn Backend>) -> edge::admin::Probe {
    let backend = backend.clone();
    Arc::new(move || {
        let backend = backend.clone();
        Box::pin(async move { backend.health().await })
    })
}

fn probe_remote(remote: &Arc<RemoteHandler>) -> edge::admin::Probe {
    let remote = remote.clone();
    Arc::new(move || {
        let remote = remote.clone();
        Box::pin(async move { remote.health().await })
    })
}
