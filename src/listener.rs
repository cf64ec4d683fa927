//! The listeners of a gateway: each has a port for as long as it exists, and serves something else in each generation.

use std::{net::SocketAddr, sync::Arc};

use arc_swap::ArcSwap;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;

use crate::{generation::Generation, plan::Plan};
use prism_call::{Error, Metrics, Pipeline, UnsentLimits};
use prism_config::{self as config, Config};
use prism_edge::{
    self as edge, AllowedHosts, Bindings, Bound, ConnectionLimits, Cors, Demo, DemoFrontend, DemoNamespace, Descriptors, Drain, Edge,
    Health, ListenerSettings, Served, Services, TrustedProxies,
};

/// A listener with its port, and what it serves.
pub struct OpenListener {
    /// The address in the configuration.
    configured: SocketAddr,
    /// The address with the real port.
    address: SocketAddr,
    edge: Arc<Edge>,
    settings: Arc<ArcSwap<ListenerSettings>>,
    health: Health,
    services: Vec<String>,
    drain: Drain,
    /// The port, until connections are accepted.
    bound: Option<Bound>,
    serving: Option<JoinHandle<()>>,
}

/// A generation, and what listeners need to serve it.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    pub generation: &'a Generation,
    pub config: &'a Config,
    pub plan: &'a Plan,
    pub pipeline: &'a Arc<Pipeline>,
    /// Ends idle streams.
    pub ending: &'a CancellationToken,
}

/// What a listener serves in a generation.
pub struct ServedListener {
    served: Served,
    /// The services that health and reflection list.
    services: Vec<String>,
    settings: ListenerSettings,
}

fn serve_bindings(name: &str, definition: &config::Listener, health: &Health, source: Source<'_>) -> Result<ServedListener, Error> {
    let Source { generation, config, plan, ending, .. } = source;
    let bindings = generation.bindings(name, config, plan)?;
    let bound = bindings.iter().filter_map(|binding| binding.host.clone());
    let hosts = AllowedHosts::of_listener(definition.address.ip(), &definition.allowed_hosts, bound);
    let bindings = Bindings::new(bindings);
    let names = bindings.services();
    let services = Services::new(health, names.clone(), ending.clone());
    let allowed = definition.cors.clone();
    let cors = Cors::new(Box::new(move |origin| allowed.allows(origin)), definition.cors.max_age.as_secs());
    let settings = listener_settings(definition, plan.tls(name));
    let demo = definition.web_demo.then(|| Demo::new(&demo_namespaces(name, config)));
    Ok(ServedListener { served: Served { bindings, services, cors, hosts, demo }, services: names, settings })
}

/// Returns the namespaces that web pages of a listener can call.
fn demo_namespaces(listener: &str, config: &Config) -> Vec<DemoNamespace> {
    let namespaces = config.namespaces.iter().map(|namespace| {
        let bindings = namespace.frontends.iter().filter(|binding| binding.enabled && binding.host.is_none());
        let own = bindings.filter(|binding| binding.listener.as_deref().is_none_or(|only| only == listener));
        DemoNamespace {
            name: namespace.name.clone(),
            pattern: namespace.pattern.clone(),
            frontends: own.map(|binding| DemoFrontend { name: binding.frontend.clone(), path: binding.base_path.clone() }).collect(),
        }
    });
    namespaces.filter(|namespace| !namespace.frontends.is_empty()).collect()
}

impl OpenListener {
    /// Creates a listener on a bound port.
    pub async fn new(name: &str, definition: &config::Listener, bound: Bound, source: Source<'_>) -> Result<Self, Error> {
        let health = Health::new();
        let ServedListener { served, services, settings } = serve_bindings(name, definition, &health, source)?;
        for service in &services {
            health.reporter().set_service_status(service, ServingStatus::Serving).await;
        }
        Ok(Self {
            configured: definition.address,
            address: bound.address,
            edge: Arc::new(Edge::new(source.pipeline.clone(), served)),
            settings: Arc::new(ArcSwap::from_pointee(settings)),
            health,
            services,
            drain: Drain::default(),
            bound: Some(bound),
            serving: None,
        })
    }

    /// Returns the address in the configuration.
    pub fn configured(&self) -> SocketAddr {
        self.configured
    }

    /// Returns the address with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tells whether new connections must use TLS.
    pub fn is_tls(&self) -> bool {
        self.settings.load().tls.is_some()
    }

    /// Makes what the listener serves in another generation.
    pub fn make(&self, name: &str, definition: &config::Listener, source: Source<'_>) -> Result<ServedListener, Error> {
        serve_bindings(name, definition, &self.health, source)
    }

    /// Starts to accept connections.
    pub fn serve(&mut self, metrics: &Metrics, descriptors: &Arc<Descriptors>) {
        if let Some(bound) = self.bound.take() {
            let meters = metrics.connections(bound.name());
            let (edge, settings, drain) = (self.edge.clone(), self.settings.clone(), self.drain.clone());
            self.serving = Some(tokio::spawn(bound.serve(edge, settings, meters, Some(descriptors.clone()), drain)));
        }
    }

    /// Applies the settings of another generation to new connections, and to the trust in the certificates of clients.
    pub fn replace_settings(&self, made: &ServedListener) {
        self.settings.store(Arc::new(made.settings.clone()));
    }

    /// Serves something else on the same port. Connections stay.
    pub async fn replace(&mut self, made: ServedListener) {
        let ServedListener { served, services, .. } = made;
        self.edge.served.store(Arc::new(served));
        let reporter = self.health.reporter();
        for service in services.iter().filter(|service| !self.services.contains(service)) {
            reporter.set_service_status(service, ServingStatus::Serving).await;
        }
        for service in self.services.iter().filter(|service| !services.contains(service)) {
            reporter.set_service_status(service, ServingStatus::NotServing).await;
        }
        self.services = services;
    }

    /// Reports to clients that watch the health that nothing is served any more.
    pub async fn report_not_serving(&self) {
        for service in std::iter::once("").chain(self.services.iter().map(String::as_str)) {
            self.health.reporter().set_service_status(service, ServingStatus::NotServing).await;
        }
    }

    /// Accepts no further connections, and lets calls finish. The task ends with the last connection; `cut` closes those that are left.
    pub fn begin_drain(self) -> (Option<JoinHandle<()>>, CancellationToken) {
        self.drain.begin.cancel();
        (self.serving, self.drain.cut)
    }
}

fn listener_settings(definition: &config::Listener, tls: Option<edge::ListenerTls>) -> ListenerSettings {
    let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    let size = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
    let limits = ConnectionLimits {
        max_connections: count(definition.max_connections),
        max_connections_per_peer: count(definition.max_connections_per_peer.unwrap_or(definition.max_connections)),
        idle_timeout: definition.idle_timeout,
        header_timeout: definition.header_timeout,
        write_timeout: definition.write_timeout,
        unsent: UnsentLimits { connection: size(definition.max_unsent_bytes_per_connection), listener: size(definition.max_unsent_bytes) },
    };
    let proxies = definition.trusted_proxies.as_ref().map(|proxies| {
        Arc::new(TrustedProxies {
            networks: proxies.networks(),
            proxy_protocol: proxies.proxy_protocol,
            forwarded_for: proxies.forwarded_for,
            client_certificates: proxies.forwarded_client_cert,
        })
    });
    ListenerSettings { tls, limits, proxies }
}
