//! The gateway as a whole: listeners, and the generation that they serve. Builds it, replaces it when the configuration changes, and drains
//! it at the end.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use crate::change::Change;
use crate::{
    backends::{ConnectedBackend, ObservedBackends},
    generation::{Difference, Generation, Leftover},
    lifecycle::{self, DrainTimeout, OpenHandler},
    listener::{OpenListener, ServedListener, Source},
    plan::Plan,
    start_settings::StartSettings,
    telemetry::Telemetry,
};
use prism_call::{AccessLog, Authenticate, Code, Error, Metrics, Pipeline, ReloadMeters};
use prism_config::{self as config, Config};
use prism_edge::{
    self as edge, AllowedHosts, Bound, Descriptors, Drain, ListenerSettings,
    admin::{Admin, Probe},
};

/// Time that idle streams get after a drain began. Most streams that end by themselves end within it.
const STREAM_GRACE: Duration = Duration::from_secs(1);
/// Time that a backend gets to flush pending writes.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time that a handler has at least to end its background tasks, even if calls took all of the drain timeout.
const MIN_CLOSE_TIME: Duration = Duration::from_secs(1);
/// How often the end of the calls of a removed namespace is looked for.
const RETIREMENT_CHECK: Duration = Duration::from_millis(100);

/// A gateway that has taken its ports and connected its backends, but does not serve yet.
pub struct App {
    shared: Shared,
    listeners: BTreeMap<String, OpenListener>,
    admin: Bound,
    pages: Arc<Admin>,
    generation: Generation,
    /// The part of the configuration that a reload does not change.
    started: StartSettings,
    drain_timeout: DrainTimeout,
    number: u64,
}

/// What all generations share.
struct Shared {
    metrics: Metrics,
    descriptors: Arc<Descriptors>,
    pipeline: Arc<Pipeline>,
    telemetry: Telemetry,
    probes: Arc<ArcSwap<Vec<(String, Probe)>>>,
    /// The backends whose connections are in the metrics.
    backends: ObservedBackends,
    /// Who may read the pages of the admin listener. `None`: everybody.
    admin_access: Arc<ArcSwap<Option<Arc<dyn Authenticate>>>>,
    draining: CancellationToken,
    streams: CancellationToken,
    /// Waits for the calls of namespaces that a reload removed.
    retirements: TaskTracker,
    reloads: ReloadMeters,
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

/// A configuration to serve instead of the present one.
pub struct Reload {
    /// The configuration.
    pub config: Config,
    /// Its plan.
    pub plan: Plan,
}

/// The result of loading a configuration again.
pub enum ReloadRequest {
    /// Serve this configuration.
    Serve(Box<Reload>),
    /// The configuration has problems, described in this text.
    Refuse(String),
}

/// Receives the result of each reload: what has changed, or the problems.
pub type ReloadReport = Box<dyn FnMut(Result<Change, String>) + Send>;

impl App {
    /// Makes the plan, takes the ports and connects the backends.
    pub async fn build(config: &Config) -> Result<Self, Error> {
        let (plan, problems) = Plan::new(config);
        if !problems.is_empty() {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            return Err(Error::new(Code::FailedPrecondition, "CONFIGURATION", lines.join("\n")));
        }
        Self::start(config, &plan).await
    }

    /// Takes the ports and connects the backends. Does not serve yet.
    pub async fn start(config: &Config, plan: &Plan) -> Result<Self, Error> {
        // Ports come first: a second gateway on the same ports must not touch the data of the first.
        let admin = edge::bind_admin(config.admin.address).await?;
        let mut bound = BTreeMap::new();
        for (name, listener) in &config.listeners {
            bound.insert(name.clone(), edge::bind(name, listener.address).await?);
        }
        let unusable = |error| Error::internal("the metrics can't be set up").with_source(error);
        let metrics = Metrics::new().map_err(unusable)?;
        let backends = ObservedBackends::default();
        metrics.observe_backends(backends.source()).map_err(unusable)?;
        let streams = CancellationToken::new();
        let telemetry = Telemetry::start(&config.telemetry, &metrics)?;
        let pipeline = Pipeline::new(access_log(config.log.access), &metrics, streams.clone()).with_tracer(telemetry.tracer());
        let shared = Shared {
            reloads: metrics.reloads(),
            metrics,
            descriptors: Arc::new(Descriptors::of_process()),
            pipeline: Arc::new(pipeline),
            telemetry,
            probes: Arc::default(),
            backends,
            admin_access: Arc::default(),
            draining: CancellationToken::new(),
            streams,
            retirements: TaskTracker::new(),
        };
        let generation = Generation::build(config, plan, &shared.metrics, &Generation::default()).await.map_err(join_errors)?;
        generation.install_access();
        let mut listeners = BTreeMap::new();
        for (name, bound) in bound {
            let Some(definition) = config.listeners.get(&name) else { continue };
            let listener = OpenListener::new(&name, definition, bound, shared.source(&generation, config, plan)).await?;
            listeners.insert(name, listener);
        }
        shared.probes.store(Arc::new(generation.probes()));
        shared.backends.set(generation.backends());
        shared.admin_access.store(Arc::new(generation.admin_access()));
        shared.reloads.record_success(1);
        let pages = Admin {
            metrics: shared.metrics.clone(),
            probes: shared.probes.clone(),
            draining: shared.draining.clone(),
            hosts: AllowedHosts::of_listener(admin.address.ip(), &config.admin.allowed_hosts, []),
            access: shared.admin_access.clone(),
        };
        Ok(Self {
            shared,
            listeners,
            admin,
            pages: Arc::new(pages),
            generation,
            started: StartSettings::of(config),
            drain_timeout: DrainTimeout::new(config.shutdown.drain_timeout),
            number: 1,
        })
    }

    /// Returns the addresses of the listeners for clients.
    pub fn addresses(&self) -> Vec<Address> {
        let address = |(name, listener): (&String, &OpenListener)| Address {
            name: name.clone(),
            address: listener.address(),
            tls: listener.is_tls(),
        };
        self.listeners.iter().map(address).collect()
    }

    /// Returns the address of the admin listener.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.address
    }

    /// Stores the drain timeout, also of later generations, in `shared`.
    #[must_use]
    pub fn with_drain_timeout(mut self, shared: DrainTimeout) -> Self {
        shared.set(self.drain_timeout.get());
        self.drain_timeout = shared;
        self
    }

    /// Serves until `end` completes, then drains.
    pub async fn run(self, end: impl Future<Output = ()>) {
        let (_sender, reloads) = mpsc::channel(1);
        self.run_with_reloads(end, reloads, Box::new(drop)).await;
    }

    /// Serves until `end` completes, then drains. The gateway reports that it is not ready and accepts no new connections. Calls in
    /// progress finish, and idle streams are ended with a status. After the drain timeout, all remaining connections are closed. Then the
    /// backends flush pending writes.
    ///
    /// Until then, each configuration from `reloads` replaces the one before, and `report` gets the result.
    pub async fn run_with_reloads(
        mut self,
        end: impl Future<Output = ()>,
        mut reloads: mpsc::Receiver<ReloadRequest>,
        mut report: ReloadReport,
    ) {
        for listener in self.listeners.values_mut() {
            listener.serve(&self.shared.metrics, &self.shared.descriptors);
        }
        // The admin listener is closed last, so that operators can watch the drain.
        let meters = self.shared.metrics.connections(self.admin.name());
        let settings = Arc::new(ArcSwap::from_pointee(ListenerSettings::admin()));
        let admin = tokio::spawn(self.admin.serve(self.pages, settings, meters, None, Drain::default()));

        let mut end = std::pin::pin!(end);
        loop {
            let request = tokio::select! {
                () = &mut end => break,
                request = reloads.recv() => request,
            };
            let result = match request {
                None => {
                    end.await;
                    break;
                }
                Some(ReloadRequest::Refuse(problems)) => Err(problems),
                Some(ReloadRequest::Serve(reload)) => {
                    let Reload { config, plan } = *reload;
                    let state = Reloading {
                        shared: &self.shared,
                        listeners: &mut self.listeners,
                        generation: &mut self.generation,
                        started: &self.started,
                        drain_timeout: &self.drain_timeout,
                        number: &mut self.number,
                    };
                    let result = tokio::select! {
                        () = &mut end => break,
                        result = state.apply(config, &plan) => result,
                    };
                    result.map_err(|errors| join_errors(errors).to_string())
                }
            };
            if result.is_err() {
                self.shared.reloads.record_failure();
            }
            report(result);
        }
        drain(self.shared, self.listeners, self.generation, self.drain_timeout.get()).await;
        admin.abort();
    }
}

/// The state of a gateway that a reload changes.
struct Reloading<'a> {
    shared: &'a Shared,
    listeners: &'a mut BTreeMap<String, OpenListener>,
    generation: &'a mut Generation,
    started: &'a StartSettings,
    drain_timeout: &'a DrainTimeout,
    number: &'a mut u64,
}

impl Reloading<'_> {
    /// Serves this configuration. On any problem, nothing changes, and the error has all problems.
    async fn apply(self, config: Config, plan: &Plan) -> Result<Change, Vec<Error>> {
        let began = Instant::now();
        let (bound, problems) = self.bind_listeners(&config).await;
        let next = match Generation::build(&config, plan, &self.shared.metrics, self.generation).await {
            Ok(next) if problems.is_empty() => next,
            Ok(next) => {
                close_leftover(self.generation.leftover(&next), MIN_CLOSE_TIME).await;
                return Err(problems);
            }
            Err(more) => return Err(problems.into_iter().chain(more).collect()),
        };
        let source = self.shared.source(&next, &config, plan);
        // Everything is made before anything is replaced.
        let (opened, served) = match self.make_listeners(bound, source).await {
            Ok(made) => made,
            Err(error) => {
                close_leftover(self.generation.leftover(&next), MIN_CLOSE_TIME).await;
                return Err(vec![error]);
            }
        };
        let old_listeners: BTreeMap<_, _> = self.listeners.iter().map(|(name, listener)| (name.clone(), listener.configured())).collect();
        let new_listeners: BTreeMap<_, _> = config.listeners.iter().map(|(name, listener)| (name.clone(), listener.address)).collect();
        // Streams are authenticated again by the new access control, and their certificates must still be trusted then.
        for (name, made) in &served {
            if let Some(listener) = self.listeners.get(name) {
                listener.replace_settings(made);
            }
        }
        next.install_access();
        for (name, made) in served {
            if let Some(listener) = self.listeners.get_mut(&name) {
                listener.replace(made).await;
            }
        }
        let replaced: Vec<_> =
            self.listeners.keys().filter(|name| opened.contains_key(*name) || !config.listeners.contains_key(*name)).cloned().collect();
        for name in replaced {
            if let Some(listener) = self.listeners.remove(&name) {
                self.shared.retire_listener(listener, self.drain_timeout.get());
            }
        }
        for (name, mut listener) in opened {
            listener.serve(&self.shared.metrics, &self.shared.descriptors);
            self.listeners.insert(name, listener);
        }
        self.shared.probes.store(Arc::new(next.probes()));
        self.shared.backends.set(next.backends());
        self.shared.admin_access.store(Arc::new(next.admin_access()));
        *self.number += 1;
        let change = Change {
            generation: *self.number,
            took: began.elapsed(),
            listeners: Difference::between(&old_listeners, &new_listeners, PartialEq::eq),
            backends: next.changed_backends(self.generation),
            namespaces: next.changed_namespaces(self.generation),
            needs_restart: self.started.changed(&config),
        };
        let previous = std::mem::replace(self.generation, next);
        self.generation.report_replacements(&previous);
        self.shared.retire(self.generation.leftover(&previous), self.drain_timeout.get());
        drop(previous);
        self.drain_timeout.set(config.shutdown.drain_timeout);
        self.shared.reloads.record_success(*self.number);
        Ok(change)
    }

    /// Makes the listeners that are new, and what the other ones serve.
    async fn make_listeners(
        &self,
        mut bound: BTreeMap<String, Bound>,
        source: Source<'_>,
    ) -> Result<(BTreeMap<String, OpenListener>, Vec<(String, ServedListener)>), Error> {
        let (mut opened, mut served) = (BTreeMap::new(), Vec::new());
        for (name, definition) in &source.config.listeners {
            if let Some(bound) = bound.remove(name) {
                opened.insert(name.clone(), OpenListener::new(name, definition, bound, source).await?);
            } else if let Some(known) = self.listeners.get(name) {
                served.push((name.clone(), known.make(name, definition, source)?));
            }
        }
        Ok((opened, served))
    }

    /// Binds the ports of listeners that are new or have another address.
    async fn bind_listeners(&self, config: &Config) -> (BTreeMap<String, Bound>, Vec<Error>) {
        let (mut bound, mut problems) = (BTreeMap::new(), Vec::new());
        for (name, listener) in &config.listeners {
            if self.listeners.get(name).is_some_and(|known| known.configured() == listener.address) {
                continue;
            }
            match edge::bind(name, listener.address).await {
                Ok(made) => drop(bound.insert(name.clone(), made)),
                Err(error) => problems.push(error),
            }
        }
        (bound, problems)
    }
}

impl Shared {
    fn source<'a>(&'a self, generation: &'a Generation, config: &'a Config, plan: &'a Plan) -> Source<'a> {
        Source { generation, config, plan, pipeline: &self.pipeline, ending: &self.streams }
    }

    /// Ends what a generation no longer uses: streams at once, backends when the last call has ended.
    fn retire(&self, leftover: Leftover, timeout: Duration) {
        if leftover.namespaces.is_empty() && leftover.backends.is_empty() {
            return;
        }
        for namespace in &leftover.namespaces {
            namespace.retire();
        }
        self.retirements.spawn(async move {
            let idle = async {
                // Requests and streams hold their namespace.
                while leftover.namespaces.iter().any(|namespace| Arc::strong_count(namespace) > 1) {
                    tokio::time::sleep(RETIREMENT_CHECK).await;
                }
            };
            if tokio::time::timeout(timeout, idle).await.is_err() {
                tracing::warn!(?timeout, "calls of a removed namespace were still in progress when the drain timeout ended");
            }
            close_leftover(leftover, MIN_CLOSE_TIME).await;
        });
    }

    /// Accepts no further connections on a listener, and lets its calls finish.
    fn retire_listener(&self, listener: OpenListener, timeout: Duration) {
        let (serving, cut) = listener.begin_drain();
        if let Some(mut serving) = serving {
            self.retirements.spawn(async move {
                if tokio::time::timeout(timeout, &mut serving).await.is_err() {
                    cut.cancel();
                    let _ = serving.await;
                }
            });
        }
    }
}

/// Closes the handlers, and then the backends that they use.
async fn close_leftover(leftover: Leftover, timeout: Duration) {
    let Leftover { namespaces, handlers, backends } = leftover;
    drop(namespaces);
    lifecycle::close(&handlers, timeout).await;
    close_backends(&backends).await;
}

async fn close_backends(backends: &[(String, Arc<ConnectedBackend>)]) {
    for (name, connected) in backends {
        if tokio::time::timeout(CLOSE_TIMEOUT, connected.backend.close()).await.is_err() {
            tracing::warn!(backend = name, "the backend did not close in time");
        }
    }
}

/// Lets calls finish, and closes everything before the timeout ends.
async fn drain(shared: Shared, listeners: BTreeMap<String, OpenListener>, generation: Generation, timeout: Duration) {
    let end = Instant::now() + timeout;
    let left = || end.saturating_duration_since(Instant::now());
    let time_for_calls = timeout.saturating_sub(MIN_CLOSE_TIME.min(timeout / 4));
    shared.draining.cancel();
    for listener in listeners.values() {
        listener.report_not_serving().await;
    }
    let (mut serving, mut cuts) = (Vec::new(), Vec::new());
    for listener in listeners.into_values() {
        let (task, cut) = listener.begin_drain();
        serving.extend(task);
        cuts.push(cut);
    }
    let streams = shared.streams.clone();
    let grace = tokio::spawn(async move {
        tokio::time::sleep(STREAM_GRACE).await;
        streams.cancel();
    });
    let mut finished = futures::future::join_all(serving);
    if tokio::time::timeout(time_for_calls, &mut finished).await.is_err() {
        tracing::warn!(?timeout, "calls were still in progress when the drain timeout ended; their connections are closed");
        for cut in &cuts {
            cut.cancel();
        }
        finished.await;
    }
    grace.abort();
    // Calls with an idempotency key go on after their clients left, to store their replies.
    if tokio::time::timeout(left().min(CLOSE_TIMEOUT), shared.pipeline.wait_for_background_calls()).await.is_err() {
        tracing::warn!("calls whose clients had left did not finish in time");
    }
    shared.retirements.close();
    if tokio::time::timeout(left().min(CLOSE_TIMEOUT), shared.retirements.wait()).await.is_err() {
        tracing::warn!("calls of removed namespaces did not finish in time");
    }
    let handlers: Vec<Arc<OpenHandler>> = generation.handlers().cloned().collect();
    lifecycle::close(&handlers, left().max(MIN_CLOSE_TIME)).await;
    // All calls have ended, so all spans and counters are final.
    shared.telemetry.shutdown().await;
    let backends: Vec<_> = generation.backends().map(|(name, connected)| (name.clone(), connected.clone())).collect();
    close_backends(&backends).await;
}

/// Joins errors to one, whose message has them all.
fn join_errors(errors: Vec<Error>) -> Error {
    let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
    let mut errors = errors.into_iter();
    match (errors.next(), lines.len()) {
        (Some(only), 1) => only,
        (first, _) => Error::new(first.map_or(Code::Internal, |first| first.code()), "START", lines.join("\n")),
    }
}

fn access_log(log: config::AccessLog) -> AccessLog {
    match log {
        config::AccessLog::Off => AccessLog::Off,
        config::AccessLog::Errors => AccessLog::Errors,
        config::AccessLog::All => AccessLog::All,
    }
}
