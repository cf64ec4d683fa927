//! The access control of a generation: its authenticators, and what each namespace requires.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::PathBuf,
    sync::Arc,
};

use crate::{graphql, plan::Plan};
use prism_access::{
    AuthenticatorSettings, CallRate, DecisionLog, DecisionPoint, DecisionSampling, FailureLimiter, Method, MethodChain, NamespaceAccess,
    QuotaLimits, QuotaSettings, Quotas, Tickets,
};
use prism_call::{AccessControl, Code, Error};
use prism_config::{self as config, ANONYMOUS, Config};

/// The access control of a generation.
#[derive(Default)]
pub struct Access {
    authenticators: BTreeMap<String, OpenAuthenticator>,
    decision_point: Option<OpenDecisionPoint>,
    failures: Arc<FailureLimiter>,
    /// By namespace. They go on counting as long as their settings stay the same.
    quotas: BTreeMap<String, Arc<Quotas>>,
    /// By namespace. `None`: everybody may do everything.
    namespaces: BTreeMap<String, Option<Arc<dyn AccessControl>>>,
    /// Of requests to GraphQL endpoints of listeners, before their fields are called.
    graphql: Option<Arc<dyn AccessControl>>,
    /// `None`: everybody may read the pages of the admin listener.
    admin: Option<Arc<MethodChain>>,
}

/// An authenticator that generations share as long as its settings and files stay the same, with the credentials that it has verified.
struct OpenAuthenticator {
    definition: config::Authenticator,
    /// A hash of the contents of its files.
    contents: u64,
    method: Arc<dyn Method>,
}

/// A decision point that generations share as long as its settings and files stay the same, with its decisions.
struct OpenDecisionPoint {
    settings: config::ResolvedSettings,
    /// A hash of the contents of its files.
    contents: u64,
    point: Arc<DecisionPoint>,
}

impl Access {
    /// Makes the access control of a configuration. The error has every problem.
    pub fn build(config: &Config, plan: &Plan, previous: &Self) -> Result<Self, Vec<Error>> {
        let mut next = Self { failures: previous.failures.clone(), ..Self::default() };
        let mut problems = Vec::new();
        for (name, definition) in &config.authenticators {
            match open(name, definition, previous.authenticators.get(name)) {
                Ok(opened) => drop(next.authenticators.insert(name.clone(), opened)),
                Err(error) => problems.push(error),
            }
        }
        if let Some(settings) = config.policy.as_ref().and_then(|policy| policy.decision_point.as_ref()) {
            match open_decision_point(settings, previous.decision_point.as_ref()) {
                Ok(opened) => next.decision_point = Some(opened),
                Err(error) => problems.push(error),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let tickets = Tickets::new(config.tickets.keys.values(), config.tickets.lifetime).map_err(|error| vec![error])?;
        let tickets = Arc::new(tickets);
        let by_listener: BTreeMap<_, _> =
            config.listeners.iter().map(|(name, listener)| (name, next.chain(&listener.authentication))).collect();
        let graphql: HashMap<_, _> = config
            .listeners
            .iter()
            .filter_map(|(name, listener)| Some((name.clone(), next.chain(&graphql::authentication(config, name, listener)?))))
            .collect();
        if graphql.values().any(|chain| !chain.is_open()) {
            let tickets = tickets.clone();
            next.graphql = Some(Arc::new(NamespaceAccess {
                listeners: graphql,
                policy: None,
                decision_point: None,
                decisions: None,
                quotas: None,
                tickets,
            }));
        }
        for namespace in &config.namespaces {
            let own = (!namespace.authentication.is_empty()).then(|| next.chain(&namespace.authentication));
            let listeners: HashMap<_, _> =
                by_listener.iter().map(|(name, chain)| ((*name).clone(), own.as_ref().unwrap_or(chain).clone())).collect();
            let policy = plan.policy(&namespace.name).cloned();
            let quotas = next.quotas(&namespace.name, &namespace.quotas, previous);
            let decision_point = next.decision_point.as_ref().map(|opened| opened.point.clone());
            let is_controlled =
                policy.is_some() || decision_point.is_some() || quotas.is_some() || listeners.values().any(|chain| !chain.is_open());
            let decisions = config.policy.as_ref().and_then(|policy| DecisionLog::new(sampling(policy.log)));
            let control = NamespaceAccess { listeners, policy, decision_point, decisions, quotas, tickets: tickets.clone() };
            let control = is_controlled.then(|| Arc::new(control) as Arc<dyn AccessControl>);
            next.namespaces.insert(namespace.name.clone(), control);
        }
        next.admin = Some(next.chain(&config.admin.authentication)).filter(|chain| !chain.is_open());
        Ok(next)
    }

    /// Returns who may read the pages of the admin listener. `None`: everybody.
    pub fn of_admin(&self) -> Option<Arc<MethodChain>> {
        self.admin.clone()
    }

    /// Returns the access control of a namespace. `None`: everybody may do everything.
    pub fn of_namespace(&self, name: &str) -> Option<Arc<dyn AccessControl>> {
        self.namespaces.get(name).cloned().flatten()
    }

    /// Returns the access control of requests to GraphQL endpoints of listeners. `None`: everybody may send them.
    pub fn of_graphql(&self) -> Option<Arc<dyn AccessControl>> {
        self.graphql.clone()
    }

    /// Returns the quotas of a namespace, if it has any.
    fn quotas(&mut self, name: &str, settings: &config::Quotas, previous: &Self) -> Option<Arc<Quotas>> {
        let limits = |quota: config::Quota| QuotaLimits {
            rate: quota.rate.map(|rate| CallRate { calls: rate.calls, period: rate.period }),
            burst: quota.burst,
            max_concurrent: quota.max_concurrent,
        };
        let config::Quotas { peer, principal, namespace, ref cost } = *settings;
        let (peer, principal, namespace) = (peer.map(limits), principal.map(limits), namespace.map(limits));
        if peer.is_none() && principal.is_none() && namespace.is_none() {
            return None;
        }
        let settings = QuotaSettings { peer, principal, namespace, costs: cost.clone() };
        let known = previous.quotas.get(name).filter(|known| *known.settings() == settings).cloned();
        let quotas = known.unwrap_or_else(|| Arc::new(Quotas::new(settings)));
        self.quotas.insert(name.to_owned(), quotas.clone());
        Some(quotas)
    }

    /// Returns the methods with these names, in order. Without names, nobody needs to authenticate.
    fn chain(&self, names: &[String]) -> Arc<MethodChain> {
        let methods = names.iter().filter_map(|name| Some(self.authenticators.get(name)?.method.clone())).collect();
        let anonymous = names.is_empty() || names.iter().any(|name| name == ANONYMOUS);
        Arc::new(MethodChain::new(methods, anonymous, self.failures.clone()))
    }
}

fn sampling(log: config::PolicyLog) -> DecisionSampling {
    DecisionSampling { denied: log.denied, allowed: log.allowed }
}

/// Opens an authenticator, or takes over the known one if nothing has changed.
fn open(name: &str, definition: &config::Authenticator, known: Option<&OpenAuthenticator>) -> Result<OpenAuthenticator, Error> {
    let kind = prism_access::find(&definition.kind).ok_or_else(|| {
        let message = format!("authenticator {name}: this build has no authenticator of the type {}", definition.kind);
        Error::new(Code::FailedPrecondition, "UNKNOWN_AUTHENTICATOR", message)
    })?;
    let settings = AuthenticatorSettings { name: name.to_owned(), values: definition.settings.values().clone() };
    let contents = hash_files(&settings.files());
    let method = match known.filter(|known| known.definition == *definition && known.contents == contents) {
        Some(known) => known.method.clone(),
        None => (kind.open)(&settings)?,
    };
    Ok(OpenAuthenticator { definition: definition.clone(), contents, method })
}

/// Opens the decision point, or takes over the known one if nothing has changed.
fn open_decision_point(settings: &config::ResolvedSettings, known: Option<&OpenDecisionPoint>) -> Result<OpenDecisionPoint, Error> {
    let contents = hash_files(&prism_access::decision_point_files(settings.values()));
    let point = match known.filter(|known| known.settings == *settings && known.contents == contents) {
        Some(known) => known.point.clone(),
        None => Arc::new(DecisionPoint::open(settings.values())?),
    };
    Ok(OpenDecisionPoint { settings: settings.clone(), contents, point })
}

/// Returns a hash of the contents of files. One that can't be read is a problem of whoever needs it.
fn hash_files(files: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in files {
        fs::read(file).unwrap_or_default().hash(&mut hasher);
    }
    hasher.finish()
}
