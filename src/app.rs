//! The gateway as a whole: drivers → slots → patterns → pipeline → edges, built in that order. The only file that sees
//! everything.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{
    driver::{self, Backend, BackendSettings, Keyspace},
    plan::Plan,
    telemetry::Telemetry,
};
use prism_call::{AccessLog, CallLimits, Code, Error, Handler, Idempotency, Method, Metrics, Namespace, Pipeline, proto};
use prism_config::{self as config, Config};
use prism_edge::{self as edge, Binding, Bindings, Bound, Cors, Drain, Edge, Services};
use prism_pattern::{self as pattern, Facts};
use prism_registry as registry;
use prism_remote::RemoteHandler;
use prism_slot::{Slot, idempotency};

/// After a drain began, streams that are quiet may go on for this long: most of those that end by themselves have ended then.
const STREAM_GRACE: Duration = Duration::from_secs(1);
/// How long a backend may take to write out what is pending.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// A backend that namespaces share.
struct Connected {
    kind: &'static str,
    backend: Arc<dyn Backend>,
}

/// A gateway that has its ports and its backends, and does not serve yet.
pub struct App {
    listeners: Vec<Listening>,
    admin: TcpListener,
    admin_address: SocketAddr,
    router: axum::Router,
    backends: BTreeMap<String, Connected>,
    health: Vec<(HealthReporter, Vec<String>)>,
    drain: Drain,
    draining: CancellationToken,
    streams: CancellationToken,
    drain_timeout: Duration,
    pipeline: Arc<Pipeline>,
    telemetry: Telemetry,
}

/// A listener and what it serves.
struct Listening {
    name: String,
    bound: Bound,
    edge: Arc<Edge>,
}

/// Where clients reach a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name of the listener.
    pub name: String,
    /// Address with its real port.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub tls: bool,
}

impl App {
    /// Makes the plan and starts it.
    pub async fn build(config: &Config) -> Result<Self, Error> {
        let plan = Plan::new(config).map_err(|problems| {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            Error::new(Code::FailedPrecondition, "CONFIGURATION", lines.join("\n"))
        })?;
        Self::start(config, &plan).await
    }

    /// Takes the ports and connects the backends. Does not serve yet.
    pub async fn start(config: &Config, plan: &Plan) -> Result<Self, Error> {
        // Ports first: a second gateway on the same ports must not touch the first one's data.
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
        let mut namespaces = Vec::new();
        for namespace in &config.namespaces {
            let handler: Arc<dyn Handler> = match &namespace.remote {
                Some(remote) => {
                    let handler = RemoteHandler::connect(&remote.url, &remote.namespace, None)?;
                    probes.push((format!("namespace {} (remote)", namespace.name), probe_remote(&handler)));
                    handler
                }
                None => local(namespace, &backends)?,
            };
            namespaces.push((namespace, open(namespace, handler, idempotency_of(namespace, &backends)?, &metrics)?));
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
            listeners.push(Listening { name: name.clone(), bound, edge: Arc::new(edge) });
        }
        let admin_address = admin.local_addr().unwrap_or(config.admin.address);
        Ok(Self {
            listeners,
            admin,
            admin_address,
            router,
            backends,
            health,
            drain: Drain::default(),
            draining,
            streams,
            drain_timeout: config.shutdown.drain_timeout,
            pipeline,
            telemetry,
        })
    }

    /// The listeners for clients.
    pub fn addresses(&self) -> Vec<Address> {
        self.listeners
            .iter()
            .map(|listening| Address { name: listening.name.clone(), address: listening.bound.address, tls: listening.bound.is_tls() })
            .collect()
    }

    /// The listener for operators.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Serves until `end` comes, then drains: readiness goes, no new connections; calls in flight finish, quiet streams are
    /// ended with a status; what is left after the drain timeout is cut; backends write out what is pending.
    pub async fn run(self, end: impl Future<Output = ()>) {
        let mut serving = JoinSet::new();
        for listening in self.listeners {
            serving.spawn(listening.bound.serve(listening.edge, self.drain.clone()));
        }
        // Operators see the drain to its end, so this listener is the last to go.
        let admin = tokio::spawn(async move { axum::serve(self.admin, self.router).await });

        end.await;
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
            tracing::warn!(timeout = ?self.drain_timeout, "calls were still in flight when the drain timeout ended; they are cut");
            self.drain.cut.cancel();
            while serving.join_next().await.is_some() {}
        }
        grace.abort();
        // Calls with an idempotency key go on without their callers, to leave what they came to.
        if tokio::time::timeout(CLOSE_TIMEOUT, self.pipeline.wait_for_background_calls()).await.is_err() {
            tracing::warn!("calls whose callers had left did not finish in time");
        }
        // All calls have ended, so all spans and counts are there.
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

async fn connect(config: &Config) -> Result<BTreeMap<String, Connected>, Error> {
    let mut backends = BTreeMap::new();
    for (name, backend) in &config.backends {
        let kind = driver::kind(&backend.kind).ok_or_else(|| {
            Error::new(Code::FailedPrecondition, "NO_DRIVER", format!("backend {name}: this build has no driver for {}", backend.kind))
        })?;
        let settings = BackendSettings { name: name.clone(), values: backend.settings.values().clone() };
        let connected = (kind.connect)(settings).await.map_err(|error| error.with("backend", name))?;
        backends.insert(name.clone(), Connected { kind: kind.name, backend: connected });
    }
    Ok(backends)
}

fn limits(namespace: &config::Namespace) -> CallLimits {
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

/// The pattern of a namespace on its backends.
fn local(namespace: &config::Namespace, backends: &BTreeMap<String, Connected>) -> Result<Arc<dyn Handler>, Error> {
    let facts = Facts { namespace: namespace.name.as_str().into(), limits: limits(namespace) };
    pattern::build(pattern_of(namespace)?.name, fill(namespace, backends)?, &facts)
}

fn open(
    namespace: &config::Namespace,
    handler: Arc<dyn Handler>,
    idempotency: Idempotency,
    metrics: &Metrics,
) -> Result<Arc<Namespace>, Error> {
    let pattern = pattern_of(namespace)?;
    let methods = Method::of_service(proto::descriptors(), pattern.service).unwrap_or_default();
    let opened = Namespace::new(&namespace.name, pattern.name, methods, handler, limits(namespace), metrics);
    Ok(Arc::new(opened.with_idempotency(idempotency)))
}

/// What a namespace does about idempotency keys: they are kept by the backend of the slot that it names, or else of the first
/// one that can, so that all gateways with the same configuration choose the same.
fn idempotency_of(namespace: &config::Namespace, backends: &BTreeMap<String, Connected>) -> Result<Idempotency, Error> {
    // A remote does what its own configuration says.
    let Some(settings) = &namespace.idempotency else { return Ok(Idempotency::Forwarded) };
    let connected = |slot: &config::Slot| backends.get(&slot.backend).map(|connected| (slot.backend.clone(), connected));
    let can = |connected: &Connected| {
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

/// The namespace's slots over the backends that it names.
fn fill(namespace: &config::Namespace, backends: &BTreeMap<String, Connected>) -> Result<BTreeMap<String, Slot>, Error> {
    let mut slots = BTreeMap::new();
    for (name, filled) in &namespace.slots {
        let connected = backends.get(&filled.backend).ok_or_else(|| {
            let message = format!("namespace {}: there is no backend {}", namespace.name, filled.backend);
            Error::new(Code::FailedPrecondition, "UNKNOWN_BACKEND", message)
        })?;
        let keyspace = Keyspace { namespace: namespace.name.clone(), slot: name.clone() };
        let mut slot = Slot::fill(&keyspace, &filled.backend, connected.kind, &*connected.backend);
        tighten(&mut slot.limits, &namespace.limits);
        slots.insert(name.clone(), slot);
    }
    Ok(slots)
}

/// The tighter of what the driver takes and what the namespace allows.
fn tighten(driver: &mut driver::Limits, namespace: &config::Limits) {
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
