//! A generation: the backends and namespaces of one configuration. What has not changed is taken over from the generation before, with its
//! connections, permits, streams and replicas.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use crate::{
    access::Access,
    backends::{ConnectedBackend, call_limits, connect, fill_slots, open_pattern},
    driver::{self, Backend, Keyspace},
    graphql,
    lifecycle::{self, OpenHandler},
    plan::Plan,
    tenants::{TenantHandler, TenantSource},
};

use prism_call::{Authenticate, BackgroundTasks, Code, Error, Handler, Idempotency, Method, Metrics, Namespace};
use prism_config::{self as config, Config};
use prism_edge::{self as edge, Binding, Frontend, admin::Probe};
use prism_pattern as pattern;
use prism_registry as registry;
use prism_remote::RemoteHandler;
use prism_slot::{Slot, idempotency};

/// Time that the handlers of a generation that can't be served have to end their background tasks.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A namespace that can serve calls.
#[derive(Clone)]
struct OpenNamespace {
    /// That of its configuration without frontends.
    fingerprint: u128,
    backends: Vec<Arc<ConnectedBackend>>,
    namespace: Arc<Namespace>,
    handler: Arc<OpenHandler>,
    remote: Option<Arc<RemoteHandler>>,
}

/// The backends and namespaces of one configuration.
#[derive(Default)]
pub struct Generation {
    access: Access,
    backends: BTreeMap<String, Arc<ConnectedBackend>>,
    namespaces: BTreeMap<String, OpenNamespace>,
    /// What requests to GraphQL endpoints of listeners are admitted to.
    graphql: Option<Arc<Namespace>>,
}

/// Names of what a generation added, changed and removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Present only now.
    pub added: Vec<String>,
    /// Present before and now, and not the same.
    pub changed: Vec<String>,
    /// Present only before.
    pub removed: Vec<String>,
}

/// What a later generation no longer uses.
pub struct Leftover {
    pub namespaces: Vec<Arc<Namespace>>,
    pub handlers: Vec<Arc<OpenHandler>>,
    pub backends: Vec<(String, Arc<ConnectedBackend>)>,
}

impl Generation {
    /// Builds the generation of a configuration beside the previous one, which is not affected. The error has every problem.
    pub async fn build(config: &Config, plan: &Plan, metrics: &Metrics, previous: &Self) -> Result<Self, Vec<Error>> {
        let mut next = Self::default();
        let mut problems = next.connect(config, previous).await;
        match Access::build(config, plan, &previous.access) {
            Ok(access) => next.access = access,
            Err(more) => problems.extend(more),
        }
        if problems.is_empty() {
            for namespace in &config.namespaces {
                match next.open(namespace, metrics, previous).await {
                    Ok(opened) => drop(next.namespaces.insert(namespace.name.clone(), opened)),
                    Err(error) => problems.push(error),
                }
            }
        }
        if problems.is_empty() {
            next.graphql = graphql::admission(config, metrics);
            return Ok(next);
        }
        let Leftover { handlers, backends, .. } = previous.leftover(&next);
        lifecycle::close(&handlers, CLOSE_TIMEOUT).await;
        for (_, connected) in backends {
            connected.backend.close().await;
        }
        Err(problems)
    }

    /// Returns who may read the pages of the admin listener. `None`: everybody.
    pub fn admin_access(&self) -> Option<Arc<dyn Authenticate>> {
        self.access.of_admin().map(|chain| chain as Arc<dyn Authenticate>)
    }

    /// Puts the access control into service, also of namespaces that the previous generation serves too.
    pub fn install_access(&self) {
        for (name, opened) in &self.namespaces {
            opened.namespace.set_access(self.access.of_namespace(name));
        }
        if let Some(graphql) = &self.graphql {
            graphql.set_access(self.access.of_graphql());
        }
    }

    async fn connect(&mut self, config: &Config, previous: &Self) -> Vec<Error> {
        let mut problems = Vec::new();
        for (name, backend) in &config.backends {
            let known = previous.backends.get(name).filter(|known| known.kind == backend.kind && known.settings == backend.settings);
            let connected = match known {
                Some(known) => Ok(known.clone()),
                None => connect(name, backend).await.map(Arc::new),
            };
            match connected {
                Ok(connected) => drop(self.backends.insert(name.clone(), connected)),
                Err(error) => problems.push(error.with("backend", name)),
            }
        }
        problems
    }

    async fn open(&self, definition: &config::Namespace, metrics: &Metrics, previous: &Self) -> Result<OpenNamespace, Error> {
        let backends: Vec<_> = definition.slots.values().filter_map(|slot| self.backends.get(&slot.backend).cloned()).collect();
        let same_backends = |known: &&OpenNamespace| {
            known.backends.len() == backends.len() && known.backends.iter().zip(&backends).all(|(one, other)| Arc::ptr_eq(one, other))
        };
        let fingerprint = definition.fingerprint();
        let is_controlled = |generation: &Self| generation.access.of_namespace(&definition.name).is_some();
        // Nobody was authenticated for the streams that are open without access control, so they must not outlive its introduction.
        let can_stay = is_controlled(previous) || !is_controlled(self);
        let known = previous.namespaces.get(&definition.name).filter(|known| can_stay && known.fingerprint == fingerprint);
        if let Some(known) = known.filter(same_backends) {
            return Ok(known.clone());
        }
        let tasks = BackgroundTasks::default();
        let pattern = pattern_of(definition)?;
        // Before the handler is opened, because its tasks go on until somebody closes it.
        let idempotency = self.select_idempotency(definition)?;
        let slots = fill_slots(definition, &self.backends, None)?;
        let services = match &definition.remote {
            // Only the other gateway knows the backend.
            Some(_) => pattern.interface_services.to_vec(),
            None => pattern.available_services(slots.values()),
        };
        let (handler, remote): (Arc<dyn Handler>, _) = if let Some(settings) = &definition.remote {
            let handler = RemoteHandler::connect(&settings.url, &settings.namespace, settings.forward_credentials, None)?;
            (handler.clone(), Some(handler))
        } else {
            let handler = open_pattern(pattern, definition, slots, tasks.clone(), metrics).await?;
            (self.separate_tenants(pattern, definition, handler, &tasks, metrics), None)
        };
        let opened = Arc::new(OpenHandler { namespace: definition.name.clone(), handler: handler.clone(), tasks });
        let namespace = Namespace::new(&definition.name, pattern.name, methods_of(pattern), handler, call_limits(definition), metrics)
            .with_interface_services(services)
            .with_idempotency(idempotency);
        Ok(OpenNamespace { fingerprint, backends, namespace: Arc::new(namespace), handler: opened, remote })
    }

    /// Gives each tenant a handler of its own, if the namespace separates them.
    fn separate_tenants(
        &self,
        pattern: &'static pattern::Pattern,
        definition: &config::Namespace,
        handler: Arc<dyn Handler>,
        tasks: &BackgroundTasks,
        metrics: &Metrics,
    ) -> Arc<dyn Handler> {
        let Some(scope) = &definition.scope else { return handler };
        let own = definition.slots.values().filter_map(|slot| Some((slot.backend.clone(), self.backends.get(&slot.backend)?.clone())));
        let source = TenantSource { pattern, definition: definition.clone(), backends: own.collect(), metrics: metrics.clone() };
        Arc::new(TenantHandler::new(scope.clone(), source, handler, tasks))
    }

    /// Selects the backend that stores replies of calls with an idempotency key: that of the slot that the namespace names, or else the first
    /// one with the required interfaces, so that all gateways with the same configuration select the same.
    fn select_idempotency(&self, namespace: &config::Namespace) -> Result<Idempotency, Error> {
        // A remote gateway follows its own configuration.
        let Some(settings) = &namespace.idempotency else { return Ok(Idempotency::Forwarded) };
        let connected = |slot: &config::Slot| self.backends.get(&slot.backend).map(|connected| (slot.backend.clone(), connected));
        let can = |connected: &ConnectedBackend| {
            let has = driver::kind(connected.kind).map(|kind| (kind.interfaces)()).unwrap_or_default();
            registry::IDEMPOTENCY_INTERFACES.iter().all(|interface| has.contains(interface))
        };
        let chosen = if let Some(name) = &settings.slot {
            namespace.slots.get(name).and_then(connected)
        } else {
            // In the order of the pattern: a required slot before optional ones, such as a cache, which may be the memory of one gateway.
            let known = registry::Registry::embedded().pattern(&namespace.pattern);
            let mut slots: Vec<_> = namespace.slots.iter().collect();
            slots.sort_by_key(|(name, _)| known.and_then(|pattern| pattern.slots.get_index_of(*name)));
            let mut all = slots.into_iter().filter_map(|(_, slot)| connected(slot));
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

    /// Returns what a listener serves.
    pub fn bindings(&self, listener: &str, config: &Config, plan: &Plan) -> Result<Vec<Binding>, Error> {
        let mut bindings = Vec::new();
        let find = |name: &str| self.namespaces.get(name).map(|opened| opened.namespace.clone());
        for definition in &config.namespaces {
            let Some(opened) = self.namespaces.get(&definition.name) else { continue };
            for binding in &definition.frontends {
                if !binding.enabled || binding.listener.as_deref().is_some_and(|only| only != listener) {
                    continue;
                }
                let (frontend, documentation) = plan.frontend(binding, pattern_of(definition)?, &find)?;
                bindings.push(Binding {
                    host: binding.host.clone(),
                    base_path: binding.base_path.clone(),
                    namespace: opened.namespace.clone(),
                    frontend,
                    documentation,
                });
            }
        }
        // The last one, so that it takes no path of a namespace.
        if let (Some(admission), Some((endpoint, namespaces))) = (&self.graphql, config.graphql_of_listener(listener)) {
            let namespaces = namespaces.iter().filter_map(|namespace| self.namespaces.get(&namespace.name));
            let frontend = plan.graphql(&endpoint, &find)?.of_gateway(namespaces.map(|opened| opened.namespace.clone()));
            bindings.push(Binding {
                host: None,
                base_path: endpoint.base_path,
                namespace: admission.clone(),
                frontend: Frontend::Graphql(Arc::new(frontend)),
                documentation: None,
            });
        }
        Ok(bindings)
    }

    /// Returns the probes of everything that calls depend on, each with its name, for example `backend redis-main`.
    pub fn probes(&self) -> Vec<(String, Probe)> {
        let backends = self.backends.iter().map(|(name, connected)| (format!("backend {name}"), probe_backend(&connected.backend)));
        let remotes = self.namespaces.iter().filter_map(|(name, opened)| {
            let remote = opened.remote.as_ref()?;
            Some((format!("namespace {name} (remote)"), probe_remote(remote)))
        });
        backends.chain(remotes).collect()
    }

    /// Returns the namespaces and backends of a previous generation that this one does not use.
    pub fn leftover(&self, previous: &Self) -> Leftover {
        let is_unused = |(name, opened): &(&String, &OpenNamespace)| {
            !self.namespaces.get(*name).is_some_and(|kept| Arc::ptr_eq(&kept.namespace, &opened.namespace))
        };
        let unused: Vec<_> = previous.namespaces.iter().filter(is_unused).map(|(_, opened)| opened).collect();
        let unused_backend = |(name, connected): (&String, &Arc<ConnectedBackend>)| {
            let kept = self.backends.get(name).is_some_and(|kept| Arc::ptr_eq(kept, connected));
            (!kept).then(|| (name.clone(), connected.clone()))
        };
        Leftover {
            namespaces: unused.iter().map(|opened| opened.namespace.clone()).collect(),
            handlers: unused.iter().map(|opened| opened.handler.clone()).collect(),
            backends: previous.backends.iter().filter_map(unused_backend).collect(),
        }
    }

    /// Tells the namespaces of a previous generation that this one serves their data now, if it does.
    pub fn report_replacements(&self, previous: &Self) {
        for (name, replaced) in &previous.namespaces {
            if self.namespaces.get(name).is_some_and(|opened| !Arc::ptr_eq(&opened.namespace, &replaced.namespace)) {
                replaced.handler.tasks.report_replacement();
            }
        }
    }

    /// Returns the handlers of all namespaces.
    pub fn handlers(&self) -> impl Iterator<Item = &Arc<OpenHandler>> {
        self.namespaces.values().map(|opened| &opened.handler)
    }

    /// Returns the backends, by name.
    pub fn backends(&self) -> impl Iterator<Item = (&String, &Arc<ConnectedBackend>)> {
        self.backends.iter()
    }

    /// Returns how the namespaces differ from those of a previous generation.
    pub fn changed_namespaces(&self, previous: &Self) -> Difference {
        Difference::between(&previous.namespaces, &self.namespaces, |one, other| Arc::ptr_eq(&one.namespace, &other.namespace))
    }

    /// Returns how the backends differ from those of a previous generation.
    pub fn changed_backends(&self, previous: &Self) -> Difference {
        Difference::between(&previous.backends, &self.backends, Arc::ptr_eq)
    }
}

impl Difference {
    /// Compares two mappings by name.
    pub fn between<T>(old: &BTreeMap<String, T>, new: &BTreeMap<String, T>, same: impl Fn(&T, &T) -> bool) -> Self {
        let is_changed = |name: &String, value: &T| old.get(name).is_some_and(|known| !same(known, value));
        Self {
            added: new.keys().filter(|name| !old.contains_key(*name)).cloned().collect(),
            changed: new.iter().filter(|(name, value)| is_changed(name, value)).map(|(name, _)| name.clone()).collect(),
            removed: old.keys().filter(|name| !new.contains_key(*name)).cloned().collect(),
        }
    }
}

/// The RPCs of a pattern.
type Methods = Arc<[Arc<Method>]>;

/// Returns the RPCs of a pattern. All namespaces share them.
fn methods_of(pattern: &pattern::Pattern) -> Methods {
    static KNOWN: LazyLock<Mutex<HashMap<&'static str, Methods>>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let methods = known.entry(pattern.name).or_insert_with(|| pattern.methods().into());
    methods.clone()
}

fn pattern_of(namespace: &config::Namespace) -> Result<&'static pattern::Pattern, Error> {
    pattern::find(&namespace.pattern).ok_or_else(|| {
        let message = format!("namespace {}: this build can't serve the pattern {}", namespace.name, namespace.pattern);
        Error::new(Code::FailedPrecondition, "UNKNOWN_PATTERN", message)
    })
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
