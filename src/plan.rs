//! The plan of a gateway: everything that a start needs and that needs no connection and no port.
//!
//! `prism serve` and `prism validate` make the same plan, so they find the same problems.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use crate::graphql;
use prism_access::{
    AuthenticatorSettings,
    policy::{self, Policy, PolicyNamespace},
};
use prism_call::{Error, Namespace};
use prism_config::{self as config, Binding, Config, FrontendKind};
use prism_edge::{self as edge, ClientFiles, Documentation, Frontend, GraphqlFrontend, HttpRoutes, ListenerTls, McpFrontend, TlsFiles};
use prism_frontend::{
    bind,
    definition::{self, Definition, Texts},
    message_types::MessageTypes,
    openapi,
    route::{self, Routes},
};
use prism_graphql::{GraphqlDefinition, GraphqlSchema, GraphqlSettings, TrustedDocuments};
use prism_mcp::McpSettings;
use prism_pattern::{self as pattern, Pattern};
use prism_remote as remote;
use prism_settings::{SettingProblem, parse_settings};
use prism_yaml::{Problem, Problems, unknown_name};

/// Everything that a start needs and that needs no connection and no port.
#[derive(Default)]
pub struct Plan {
    /// TLS of listeners, by the name of the listener.
    tls: BTreeMap<String, ListenerTls>,
    /// Routes of annotations, by the name of the pattern.
    annotated: BTreeMap<&'static str, Arc<Routes>>,
    /// Compiled definitions, by their name and the settings of the binding.
    definitions: BTreeMap<DefinitionKey, Definition>,
    /// Schemas of definitions of the type `graphql`, by the names of the definitions.
    schemas: BTreeMap<String, Arc<GraphqlSchema>>,
    /// Trusted documents of GraphQL frontends, by their path. All bindings that name it share them.
    trusted_documents: BTreeMap<PathBuf, Arc<TrustedDocuments>>,
    /// Who may call what, by the name of the namespace. Empty: everybody may call everything.
    policies: BTreeMap<String, Arc<Policy>>,
    /// The files that were read.
    files: BTreeSet<PathBuf>,
}

/// Returns the open namespace with a name.
pub type FindNamespace<'f> = &'f dyn Fn(&str) -> Option<Arc<Namespace>>;
/// The name of a definition, and the settings of a binding as JSON.
type DefinitionKey = (String, String);

impl Plan {
    /// Makes the plan, and returns every problem with file, line and column. A plan with problems can't be served.
    pub fn new(config: &Config) -> (Self, Vec<Problems>) {
        let mut plan = Self::default();
        let mut found = ProblemCollector { config, problems: Vec::new(), definitions: Vec::new() };
        if config.telemetry.otlp.is_some() && !cfg!(feature = "otlp") {
            found.add("telemetry.otlp", "this build can't export telemetry; remove `otlp`, or build with the feature `otlp`".to_owned());
        }
        plan.load_certificates(&mut found);
        for (name, authenticator) in &config.authenticators {
            let settings = AuthenticatorSettings { name: name.clone(), values: authenticator.settings.values().clone() };
            plan.files.extend(settings.files());
        }
        plan.compile_policy(&mut found);
        plan.check_graphql_of_listeners(&mut found);
        for namespace in &config.namespaces {
            found.check_remote(namespace);
            let Some(pattern) = pattern::find(&namespace.pattern) else {
                let message = format!("this build can't serve the pattern `{}`", namespace.pattern);
                found.add(&format!("namespaces.{}.pattern", namespace.name), message);
                continue;
            };
            found.check_limits(namespace, pattern);
            found.check_outbox(namespace, pattern);
            found.check_costs(namespace, pattern);
            for binding in namespace.frontends.iter().filter(|binding| binding.enabled) {
                match binding.kind {
                    FrontendKind::Grpc | FrontendKind::GrpcWeb | FrontendKind::Connect | FrontendKind::Websocket => {}
                    FrontendKind::Rest => plan.compile_annotations(pattern, &mut found),
                    FrontendKind::Graphql => {
                        found.check_settings(&namespace.name, binding, plan.load_trusted_documents(binding, config).err());
                        if binding.definition.is_some() {
                            plan.compile_definition(&namespace.name, binding, &mut found);
                        }
                    }
                    FrontendKind::Mcp => found.check_settings(&namespace.name, binding, mcp_settings(binding, pattern).err()),
                    FrontendKind::Definition => plan.compile_definition(&namespace.name, binding, &mut found),
                }
            }
        }
        (plan, found.into_problems())
    }

    /// Returns the files that were read, beside the configuration; also those with problems.
    pub fn files(&self) -> &BTreeSet<PathBuf> {
        &self.files
    }

    /// Returns the TLS of a listener, or `None` if its connections are plain.
    pub fn tls(&self, listener: &str) -> Option<ListenerTls> {
        self.tls.get(listener).cloned()
    }

    /// Returns who may call what in a namespace. `None`: everybody may call everything.
    pub fn policy(&self, namespace: &str) -> Option<&Arc<Policy>> {
        self.policies.get(namespace)
    }

    /// Returns what a binding serves, and its documentation.
    /// `find` returns an open namespace.
    pub fn frontend(
        &self,
        binding: &Binding,
        pattern: &'static Pattern,
        find: FindNamespace<'_>,
    ) -> Result<(Frontend, Option<Arc<Documentation>>), Error> {
        let missing = || Error::internal(format!("the frontend {} is not part of the plan", binding.frontend));
        Ok(match binding.kind {
            FrontendKind::Grpc => (Frontend::Grpc(()), None),
            FrontendKind::GrpcWeb => (Frontend::GrpcWeb(()), None),
            FrontendKind::Connect => (Frontend::Connect(message_types(pattern)), None),
            FrontendKind::Websocket => (Frontend::Websocket(message_types(pattern)), None),
            FrontendKind::Rest => {
                let routes = self.annotated.get(pattern.name).ok_or_else(missing)?;
                (Frontend::Rest(HttpRoutes::Annotated(routes.clone())), binding.documentation.then(|| document_annotations(pattern)))
            }
            FrontendKind::Graphql => (Frontend::Graphql(Arc::new(self.graphql(binding, find)?)), None),
            FrontendKind::Mcp => {
                let settings = mcp_settings(binding, pattern).map_err(|_| missing())?;
                (Frontend::Mcp(Arc::new(McpFrontend::new(settings))), None)
            }
            FrontendKind::Definition => {
                let definition = self.definitions.get(&definition_key(binding)).ok_or_else(missing)?;
                let documentation = binding.documentation.then(|| document_definition(definition.document.clone()));
                (Frontend::Rest(HttpRoutes::Mapped(definition.api.clone())), documentation)
            }
        })
    }

    /// Returns what a GraphQL frontend serves. `find` returns an open namespace.
    pub fn graphql(&self, binding: &Binding, find: FindNamespace<'_>) -> Result<GraphqlFrontend, Error> {
        let missing = || Error::internal(format!("the frontend {} is not part of the plan", binding.frontend));
        let settings = graphql_settings(binding).map_err(|_| missing())?;
        let trusted = match &settings.trusted_documents {
            Some(path) => Some(self.trusted_documents.get(path).cloned().ok_or_else(missing)?),
            None => None,
        };
        let mut frontend = GraphqlFrontend::new(&settings, trusted, binding.documentation);
        if let Some(name) = &settings.trusted_documents_namespace {
            frontend = frontend.with_documents_in(find(name).ok_or_else(missing)?);
        }
        Ok(match &binding.definition {
            Some(definition) => frontend.of_definition(self.schemas.get(definition).cloned().ok_or_else(missing)?),
            None => frontend,
        })
    }

    /// Checks the GraphQL endpoints that combine all namespaces of a listener.
    fn check_graphql_of_listeners(&mut self, found: &mut ProblemCollector<'_>) {
        let config = found.config;
        for (listener, definition) in &config.listeners {
            let Some(name) = &definition.graphql else { continue };
            let setting = format!("listeners.{listener}.graphql");
            let own =
                || config.frontends.iter().filter(|(_, frontend)| frontend.kind == FrontendKind::Graphql).map(|(name, _)| name.as_str());
            let names = || std::iter::once(FrontendKind::Graphql.name()).chain(own());
            if !names().any(|known| known == name) {
                found.add(&setting, unknown_name("GraphQL frontend", name, names()));
                continue;
            }
            if let Some((endpoint, _)) = config.graphql_of_listener(listener) {
                let problems = self.load_trusted_documents(&endpoint, config).err();
                found.check_settings("", &endpoint, problems);
            }
            for namespace in &config.namespaces {
                let is_here = |binding: &&Binding| binding.enabled && binding.listener.as_deref().is_none_or(|only| only == listener);
                if namespace.frontends.iter().filter(is_here).any(is_at_graphql) {
                    let message = format!(
                        "the namespace `{}` is served at `/graphql` too; give it another base_path, or remove `graphql` here",
                        namespace.name
                    );
                    found.add(&setting, message);
                }
            }
        }
    }

    fn compile_policy(&mut self, found: &mut ProblemCollector<'_>) {
        let Some(source) = &found.config.policy else { return };
        let methods: Vec<_> = found
            .config
            .namespaces
            .iter()
            .filter_map(|namespace| Some((&*namespace.name, pattern::find(&namespace.pattern)?.methods())))
            .collect();
        let namespaces: Vec<_> = methods.iter().map(|(name, methods)| PolicyNamespace { name, methods }).collect();
        if let Some(settings) = &source.decision_point {
            self.files.extend(prism_access::decision_point_files(settings.values()));
        }
        match policy::compile(&crate::policy::source(source), &namespaces) {
            // Without rules, the decision point decides alone.
            Ok(_) if source.rules.is_empty() && source.decision_point.is_some() => {}
            Ok(policies) => {
                let names = methods.iter().map(|(name, _)| (*name).to_owned());
                self.policies = names.zip(policies.into_iter().map(Arc::new)).collect();
            }
            Err(problems) => {
                for problem in problems {
                    found.add(&format!("policy.{}", problem.setting), problem.message);
                }
            }
        }
    }

    fn load_certificates(&mut self, found: &mut ProblemCollector<'_>) {
        for (name, listener) in &found.config.listeners {
            let Some(tls) = &listener.tls else { continue };
            let mode = match tls.client_certificates {
                config::ClientCertificates::Required => edge::ClientCertificates::Required,
                config::ClientCertificates::Optional => edge::ClientCertificates::Optional,
            };
            self.files.extend([&tls.certificate, &tls.key].into_iter().chain(&tls.client_ca).chain(&tls.client_crls).cloned());
            let clients = tls.client_ca.clone().map(|authorities| ClientFiles { authorities, revocations: tls.client_crls.clone(), mode });
            let files = TlsFiles { certificate: tls.certificate.clone(), key: tls.key.clone(), clients };
            match edge::load_tls(&files) {
                Ok(acceptor) => drop(self.tls.insert(name.clone(), acceptor)),
                Err(problems) => {
                    for problem in problems {
                        found.add(&format!("listeners.{name}.tls.{}", problem.setting), problem.message);
                    }
                }
            }
        }
    }

    fn compile_annotations(&mut self, pattern: &'static Pattern, found: &mut ProblemCollector<'_>) {
        if self.annotated.contains_key(pattern.name) {
            return;
        }
        match route::annotated(&pattern.methods(), bind::BindOptions::default()) {
            Ok(routes) => drop(self.annotated.insert(pattern.name, Arc::new(routes))),
            // This is a defect of the build, and a test finds it.
            Err(problems) => found.add("", format!("the HTTP annotations of {} can't be used: {}", pattern.service, problems.join("; "))),
        }
    }

    /// Checks the settings of a GraphQL frontend, and reads the trusted documents that they name.
    fn load_trusted_documents(&mut self, binding: &Binding, config: &Config) -> Result<(), Vec<SettingProblem>> {
        let settings = graphql_settings(binding)?;
        graphql::check_documents_namespace(&settings, config).map_err(|problem| vec![problem])?;
        if settings.federation && binding.definition.is_some() {
            let problem = "can't be set for a definition, whose schema has no entities; remove it";
            return Err(vec![SettingProblem::other("federation", problem.to_owned())]);
        }
        if let Some(path) = &settings.trusted_documents
            && !self.trusted_documents.contains_key(path)
            && let Some(documents) = settings.load_trusted_documents().map_err(|problem| vec![problem])?
        {
            self.trusted_documents.insert(path.clone(), Arc::new(documents));
        }
        Ok(())
    }

    fn compile_definition(&mut self, namespace: &str, binding: &Binding, found: &mut ProblemCollector<'_>) {
        let key = definition_key(binding);
        if self.definitions.contains_key(&key) || self.schemas.contains_key(&key.0) {
            return;
        }
        match Texts::find(&key.0) {
            Ok(texts) => {
                // The names of definitions that are part of Prism are no files.
                let mut watch = |names: &[String]| self.files.extend(names.iter().map(PathBuf::from).filter(|path| path.is_file()));
                watch(&[texts.name.clone(), texts.document_name.clone()]);
                let compiled = if binding.kind == FrontendKind::Graphql {
                    compile_graphql(&texts).map(|definition| drop(self.schemas.insert(key.0, definition.schema)))
                } else {
                    compile(&texts, &binding.settings).map(|definition| {
                        watch(&definition.files);
                        self.definitions.insert(key, definition);
                    })
                };
                if let Err(problems) = compiled {
                    watch(&problems.iter().map(|problems| problems.file.clone()).collect::<Vec<_>>());
                    found.add_definition(problems);
                }
            }
            Err(problem) => {
                let own = format!("frontends.{}.definition", binding.frontend);
                let bound = format!("namespaces.{namespace}.frontends.{}", binding.frontend);
                let setting = if found.config.frontends.contains_key(&binding.frontend) { own } else { bound };
                found.add(&setting, format!("the definition `{}` can't be read: {problem}", key.0));
            }
        }
    }
}

/// The backend of a slot, and the namespace whose data it has there.
fn keyspace_of<'c>(namespace: &'c config::Namespace, slot: &str) -> Option<(&'c str, &'c str)> {
    let slot = namespace.slots.get(slot)?;
    Some((&slot.backend, slot.keyspace.as_ref().unwrap_or(&namespace.name)))
}

/// Collects the problems of a plan.
struct ProblemCollector<'c> {
    config: &'c Config,
    /// In the configuration.
    problems: Vec<Problem>,
    /// In the files of definitions.
    definitions: Vec<Problems>,
}

impl ProblemCollector<'_> {
    /// Adds a problem at the position of a setting, as `listeners.main.tls.key`.
    fn add(&mut self, setting: &str, message: String) {
        let problem = Problem { position: self.config.position(setting), message };
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Refuses limits of stored data where the interfaces of drivers are served, because drivers only check their own.
    fn check_limits(&mut self, namespace: &config::Namespace, pattern: &Pattern) {
        let limits = &namespace.limits;
        let set = [
            ("max_key_bytes", limits.max_key_bytes.is_some()),
            ("max_value_bytes", limits.max_value_bytes.is_some()),
            ("max_batch_items", limits.max_batch_items.is_some()),
        ];
        for (name, _) in set.into_iter().filter(|(_, is_set)| *is_set && !pattern.interface_services.is_empty()) {
            let setting = format!("namespaces.{}.limits.{name}", namespace.name);
            self.add(&setting, format!("the pattern `{}` can't have `{name}`; the limits of the backend apply", pattern.name));
        }
    }

    /// Refuses an outbox over a backend without transactions, and in a namespace that separates tenants: the messages of a tenant that nobody
    /// serves at the moment would wait until its next call.
    fn check_outbox(&mut self, namespace: &config::Namespace, pattern: &Pattern) {
        let Some(needs) = pattern::outbox_requirements(pattern.name).filter(|needs| namespace.slots.contains_key(needs.slot)) else {
            return;
        };
        let setting = format!("namespaces.{}.slots.{}", namespace.name, needs.slot);
        if namespace.scope.is_some() {
            self.add(&setting, format!("an outbox (slot `{}`) can't be in a namespace with `scope`; remove one of them", needs.slot));
        }
        let backend = namespace.slots.get(needs.storage).and_then(|slot| self.config.backends.get(&slot.backend));
        let Some(kind) = backend.and_then(|backend| crate::driver::kind(&backend.kind)) else { return };
        if let Some(missing) = needs.interfaces.iter().find(|interface| !(kind.interfaces)().contains(*interface)) {
            let message = format!(
                "an outbox (slot `{}`) needs a backend with {missing} in the slot `{}`, and the driver of kind {} does not implement it",
                needs.slot, needs.storage, kind.name
            );
            self.add(&setting, message);
        }
        self.check_shared_outbox(namespace, needs);
    }

    /// Refuses another target than that of an earlier namespace with the same keyspace: either relay would publish all messages of both.
    fn check_shared_outbox(&mut self, namespace: &config::Namespace, needs: pattern::OutboxRequirements) {
        let config = self.config;
        let before = config.namespaces.iter().take_while(|other| other.name != namespace.name);
        let storage = keyspace_of(namespace, needs.storage);
        let mut sharing = before.filter(|other| other.pattern == namespace.pattern && keyspace_of(other, needs.storage) == storage);
        let target = |one: &config::Namespace| {
            let (backend, keyspace) = keyspace_of(one, needs.slot)?;
            let model = one.settings.values().get("outbox").and_then(|outbox| outbox.get("model")).and_then(|model| model.as_str());
            let model = model.map_or_else(String::new, |model| format!(" and `outbox.model: {model}`"));
            Some(format!("`{}: {{backend: {backend}, keyspace: {keyspace}}}`{model}", needs.slot))
        };
        let Some(own) = target(namespace) else { return };
        let Some((other, theirs)) = sharing.find_map(|other| Some((&other.name, target(other)?)).filter(|(_, theirs)| *theirs != own))
        else {
            return;
        };
        let message = format!(
            "the namespaces `{other}` and `{}` share the data of the slot `{}`, and so its outbox, so their messages must go to the same place; `{other}` has {theirs}, and this namespace has {own}",
            namespace.name, needs.storage
        );
        self.add(&format!("namespaces.{}.slots.{}", namespace.name, needs.slot), message);
    }

    /// Refuses costs of RPCs that the pattern does not have.
    fn check_costs(&mut self, namespace: &config::Namespace, pattern: &Pattern) {
        if namespace.quotas.cost.is_empty() {
            return;
        }
        let methods = pattern.methods();
        let names = methods.iter().map(|method| method.label.as_str());
        for name in namespace.quotas.cost.keys().filter(|name| methods.iter().all(|method| method.label != **name)) {
            self.add(&format!("namespaces.{}.quotas.cost.{name}", namespace.name), prism_yaml::unknown_name("RPC", name, names.clone()));
        }
    }

    fn check_remote(&mut self, namespace: &config::Namespace) {
        let Some(settings) = &namespace.remote else { return };
        let Err(error) = remote::check(&settings.url, &settings.namespace) else { return };
        for violation in error.violations() {
            self.add(&format!("namespaces.{}.{}", namespace.name, violation.field), violation.description.clone());
        }
    }

    /// Adds the problems with the settings of a frontend, where it is bound or defined.
    fn check_settings(&mut self, namespace: &str, binding: &Binding, problems: Option<Vec<SettingProblem>>) {
        for problem in problems.unwrap_or_default() {
            let own = format!("frontends.{}.settings.{}", binding.frontend, problem.setting);
            let first = problem.setting.split('.').next().unwrap_or_default();
            let is_own = self.config.frontends.get(&binding.frontend).is_some_and(|frontend| frontend.settings.contains_key(first));
            let setting =
                if is_own { own } else { format!("namespaces.{namespace}.frontends.{}.settings.{}", binding.frontend, problem.setting) };
            self.add(&setting, format!("`{}` {}", problem.setting, problem.kind));
        }
    }

    /// Adds the problems of a definition, unless another binding of it has the same.
    fn add_definition(&mut self, problems: Vec<Problems>) {
        for one in problems {
            if !self.definitions.contains(&one) {
                self.definitions.push(one);
            }
        }
    }

    fn into_problems(self) -> Vec<Problems> {
        let own = Problems { file: self.config.origin.to_string(), list: self.problems };
        Some(own).filter(|own| !own.list.is_empty()).into_iter().chain(self.definitions).collect()
    }
}

/// Tells whether the requests of a binding have paths of the GraphQL endpoint of a listener.
fn is_at_graphql(binding: &Binding) -> bool {
    match binding.kind {
        FrontendKind::Grpc | FrontendKind::GrpcWeb => false,
        FrontendKind::Graphql if binding.base_path.is_empty() => binding.host.is_none(),
        _ => binding.base_path == "/graphql" || binding.base_path.starts_with("/graphql/"),
    }
}

/// Returns the settings of a GraphQL frontend.
fn graphql_settings(binding: &Binding) -> Result<GraphqlSettings, Vec<SettingProblem>> {
    parse_settings(&binding.settings.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// Returns the settings of an MCP frontend, which name RPCs of the pattern.
fn mcp_settings(binding: &Binding, pattern: &Pattern) -> Result<McpSettings, Vec<SettingProblem>> {
    let settings: McpSettings = parse_settings(&binding.settings.iter().map(|(name, value)| (name.clone(), value.clone())).collect())?;
    let problems = prism_mcp::unknown_rpcs(&settings, &pattern.methods());
    if problems.is_empty() { Ok(settings) } else { Err(problems) }
}

fn definition_key(binding: &Binding) -> DefinitionKey {
    (binding.definition.clone().unwrap_or_default(), serde_json::to_string(&binding.settings).unwrap_or_default())
}

/// Compiles a definition for the patterns of this build.
pub fn compile(texts: &Texts, settings: &BTreeMap<String, serde_json::Value>) -> Result<Definition, Vec<Problems>> {
    let patterns: Vec<&str> = pattern::PATTERNS.iter().map(|pattern| pattern.name).collect();
    definition::compile(texts, &|name| pattern::find(name).map(Pattern::methods), &patterns, settings)
}

/// Compiles a definition of the type `graphql` for the patterns of this build.
pub fn compile_graphql(texts: &Texts) -> Result<GraphqlDefinition, Vec<Problems>> {
    let patterns: Vec<&str> = pattern::PATTERNS.iter().map(|pattern| pattern.name).collect();
    GraphqlDefinition::compile(texts, &|name| pattern::find(name).map(Pattern::methods), &patterns)
}

/// The OpenAPI document of annotated routes.
fn document_annotations(pattern: &'static Pattern) -> Arc<Documentation> {
    let unknown = || Error::internal(format!("{} is not among the compiled contracts", pattern.service));
    Arc::new(Documentation::new(move || openapi::generate(&pattern.methods()).ok_or_else(unknown)))
}

/// Returns the message types of the RPCs of a pattern.
fn message_types(pattern: &Pattern) -> &'static MessageTypes {
    if pattern.interface_services.is_empty() { MessageTypes::all() } else { MessageTypes::with_interfaces() }
}

/// The OpenAPI document of a definition. It is kept as text, because a tree takes ten times as much memory.
fn document_definition(text: Arc<str>) -> Arc<Documentation> {
    Arc::new(Documentation::new(move || {
        serde_json::from_str(&text).map_err(|error| Error::internal("the document can't be read").with_source(error))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_protocol_has_its_frontends() {
        let frontends: BTreeSet<&str> = FrontendKind::ALL.into_iter().chain([FrontendKind::Definition]).map(FrontendKind::name).collect();
        assert_eq!(edge::EDGES.iter().flat_map(|edge| edge.names).copied().collect::<BTreeSet<_>>(), frontends);
    }
}
