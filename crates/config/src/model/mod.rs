//! The checked configuration. The structs have the structure of the file, and their comments are its documentation: the JSON Schema for
//! editors is generated from them, and `prism config show` serializes them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

mod access;
mod listener;
mod namespace;
mod policy;
mod tickets;

pub use access::{ANONYMOUS, Authenticator};
pub use listener::{ClientCertificates, Cors, Listener, Tls, TrustedProxies, parse_network};
pub(crate) use namespace::default_max_open;
pub use namespace::{Idempotency, Limits, Namespace, Remote, Scope, ScopeKind, Slot};
pub use policy::{Policy, PolicyAccess, PolicyEffect, PolicyLog, PolicyRule, Quota, Quotas, Rate};
pub use tickets::{TicketKeys, Tickets};

use super::{Log, ResolvedSettings, Telemetry, serialize::write_duration};
use prism_settings::HumanDuration;
use prism_yaml::Position;

/// The configuration of Prism, `prism.yaml`.
///
/// An environment variable overrides each setting that has a single value. Its name is `PRISM_` and the path of the setting in upper
/// case, with `_` for all other characters: `PRISM_LOG_LEVEL`, `PRISM_LISTENERS_MAIN_ADDRESS`. The path of a namespace contains its name.
/// Texts may contain `${env:NAME}` and `${file:PATH}`. Relative paths start in the working directory.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Listeners for clients, by name. Each serves every protocol. Default: `main` on 127.0.0.1:8980.
    pub listeners: BTreeMap<String, Listener>,
    /// The listener for operators: `/healthz`, `/readyz` and `/metrics`.
    pub admin: Admin,
    /// The log on standard error.
    pub log: Log,
    /// Export of traces and metrics.
    pub telemetry: Telemetry,
    /// What happens on SIGTERM.
    pub shutdown: Shutdown,
    /// Ways to authenticate callers, by name. Listeners and namespaces choose among them.
    #[schemars(with = "BTreeMap<String, super::schema::AnyAuthenticator>")]
    pub authenticators: BTreeMap<String, Authenticator>,
    /// Tickets, with which browsers open event streams that need credentials.
    #[serde(skip_serializing_if = "Tickets::is_default")]
    pub tickets: Tickets,
    /// Who may call what. Default: everybody whom `authentication` lets in may call everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// Systems that store the data, by name. Namespaces share them.
    #[schemars(with = "BTreeMap<String, super::schema::AnyBackend>")]
    pub backends: BTreeMap<String, Backend>,
    /// Frontends by name: protocols and HTTP APIs of namespaces. `grpc`, `grpc-web`, `connect`, `rest`, `websocket`, `graphql` and `mcp` always exist.
    pub frontends: BTreeMap<String, Frontend>,
    /// Namespaces: each has a pattern, its backends and its frontends.
    pub namespaces: Vec<Namespace>,
    /// The source of the configuration.
    #[serde(skip)]
    pub origin: Origin,
    /// Probable mistakes that are not problems, one sentence each.
    #[serde(skip)]
    pub warnings: Vec<String>,
    /// The files that texts refer to, with `${file:PATH}`.
    #[serde(skip)]
    #[schemars(skip)]
    pub files: BTreeSet<PathBuf>,
    /// Where each setting is, by its path.
    #[serde(skip)]
    #[schemars(skip)]
    pub(super) positions: BTreeMap<String, Position>,
}

impl Config {
    /// Returns the namespace with a name.
    pub fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.iter().find(|namespace| namespace.name == name)
    }

    /// Returns what a listener serves at `/graphql`: a frontend, and the namespaces that have a field in its schema. They bind the frontend
    /// as it is, so what it does not allow is not allowed here either.
    pub fn graphql_of_listener(&self, listener: &str) -> Option<(Binding, Vec<&Namespace>)> {
        let name = self.listeners.get(listener)?.graphql.as_ref()?;
        let frontend = self.frontends.get(name);
        let endpoint = Binding {
            frontend: name.clone(),
            kind: FrontendKind::Graphql,
            definition: None,
            enabled: true,
            shared: false,
            settings: frontend.map(|frontend| frontend.settings.clone()).unwrap_or_default(),
            listener: Some(listener.to_owned()),
            host: None,
            base_path: String::new(),
            documentation: frontend.and_then(|frontend| frontend.documentation).unwrap_or(true),
        };
        let is_field = |binding: &Binding| {
            binding.enabled
                && binding.frontend == *name
                && binding.listener.as_deref().is_none_or(|only| only == listener)
                && binding.host.is_none()
                && binding.settings == endpoint.settings
        };
        let namespaces = self.namespaces.iter().filter(|namespace| namespace.frontends.iter().any(is_field)).collect();
        Some((endpoint, namespaces))
    }

    /// Returns where a setting is, as `listeners.main.tls.key`; if it is not set, where the section around it is.
    pub fn position(&self, setting: &str) -> Position {
        let mut path = setting;
        loop {
            if let Some(position) = self.positions.get(path) {
                return position.clone();
            }
            match path.rsplit_once('.') {
                Some((section, _)) => path = section,
                None => return Position::WHOLE_FILE,
            }
        }
    }
}

/// Only the listeners. The configuration of `prism serve` without a file is [`super::EMBEDDED`].
impl Default for Config {
    fn default() -> Self {
        Self {
            listeners: BTreeMap::from([("main".to_owned(), Listener::at(8980))]),
            admin: Admin::default(),
            log: Log::default(),
            telemetry: Telemetry::default(),
            shutdown: Shutdown::default(),
            authenticators: BTreeMap::new(),
            tickets: Tickets::default(),
            policy: None,
            backends: BTreeMap::new(),
            frontends: BTreeMap::new(),
            namespaces: Vec::new(),
            origin: Origin::Embedded,
            warnings: Vec::new(),
            files: BTreeSet::new(),
            positions: BTreeMap::new(),
        }
    }
}

/// The source of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// The configuration that is part of the program.
    #[default]
    Embedded,
    /// A file.
    File(PathBuf),
}

/// The name in front of problems.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str("embedded configuration"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// The listener for operators.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// `IP:PORT`. Port 0 selects a free port.
    #[schemars(with = "String")]
    pub address: SocketAddr,
    /// Host names that requests may have, as in `listeners`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_hosts: Vec<String>,
    /// How callers are authenticated, as in `listeners`; required unless the address is a loopback address. `/healthz` and the bare result of
    /// `/readyz` need no credentials.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authentication: Vec<String>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { address: Listener::at(8981).address, allowed_hosts: Vec::new(), authentication: Vec::new() }
    }
}

/// What happens on SIGTERM.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// Time from the signal to the end of the process. Calls in flight may finish, except for the last second, in which everything is closed.
    /// After it, the process ends whatever still runs. A second signal ends it at once.
    #[serde(serialize_with = "write_duration")]
    #[schemars(with = "HumanDuration")]
    pub drain_timeout: Duration,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { drain_timeout: Duration::from_secs(30) }
    }
}

/// A system that stores data: its kind, and the settings of the driver for this kind.
#[derive(Clone, Debug, Serialize)]
pub struct Backend {
    /// The kind, as `sqlite`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Everything except `type`.
    #[serde(flatten)]
    pub settings: ResolvedSettings,
}

macro_rules! frontend_kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal,)*) => {
        /// A protocol of a frontend.
        #[derive(Clone, Copy, Debug, Serialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[serde(rename_all = "kebab-case")]
        pub enum FrontendKind {
            $($(#[$doc])* $kind,)*
            /// An HTTP API according to a definition.
            Definition,
        }

        impl FrontendKind {
            /// The protocols without a definition. Each has a built-in frontend with the same name.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$kind),*];

            /// Returns the name in the file.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                    Self::Definition => "definition",
                }
            }
        }
    };
}

frontend_kinds! {
    /// gRPC.
    Grpc = "grpc",
    /// gRPC-Web, binary and text.
    GrpcWeb = "grpc-web",
    /// Connect, with JSON and protobuf.
    Connect = "connect",
    /// REST according to the `google.api.http` annotations of the pattern.
    Rest = "rest",
    /// WebSocket, with calls of all kinds on one connection, in JSON or protobuf.
    Websocket = "websocket",
    /// GraphQL, with a schema from the contract of the pattern.
    Graphql = "graphql",
    /// MCP, with the RPCs of the pattern as tools for agents.
    Mcp = "mcp",
}

/// A frontend that namespaces can use.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Frontend {
    /// The protocol. Default: `definition`, if a definition is given.
    #[serde(rename = "type")]
    #[schemars(with = "Option<FrontendKind>")]
    pub kind: FrontendKind,
    /// The definition of an HTTP API: a file (`frontends/notes.yaml`; a relative path starts in the folder of the configuration), or the name
    /// of a definition that is part of Prism.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// Settings of the definition, or of `graphql` or `mcp`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, serde_json::Value>,
    /// Serve only on this listener. Default: on all listeners.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
    /// Serve only this host name (`Host`, `:authority`), without port. Default: all host names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Prefix of all paths. `{namespace}` is replaced by the name of the namespace. Default: `/{namespace}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_path: Option<String>,
    /// REST: serve the OpenAPI document at `openapi.json` and `openapi.yaml`, and Swagger UI at `docs`, below the base path. GraphQL: serve
    /// GraphiQL to browsers, and the schema at `graphql/schema.graphql`. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documentation: Option<bool>,
}

/// A frontend of a namespace, and the settings that differ from the frontend.
#[derive(Clone, Debug, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// Name of a frontend: `grpc`, `grpc-web`, `connect`, `rest`, `websocket`, `graphql`, `mcp`, an entry of `frontends`, or a definition that is part of Prism.
    pub frontend: String,
    /// The protocol of the frontend.
    #[serde(skip)]
    pub kind: FrontendKind,
    /// The definition of the frontend.
    #[serde(skip)]
    pub definition: Option<String>,
    /// `false` removes the frontend. This is useful for `grpc`, which is on by default.
    #[serde(skip_serializing_if = "Clone::clone")]
    #[schemars(with = "Option<bool>")]
    pub enabled: bool,
    /// Whether several namespaces may have the same host and base path, because a path parameter selects the namespace.
    #[serde(skip)]
    pub shared: bool,
    /// Settings of the definition, or of `graphql` or `mcp`. They override those of the frontend.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, serde_json::Value>,
    /// Serve only on this listener. Default: as the frontend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
    /// Serve only this host name, in lower case, without port. Default: as the frontend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Prefix of all paths. `/` serves the namespace at the root. Default: as the frontend.
    #[serde(serialize_with = "write_base_path")]
    #[schemars(with = "Option<String>")]
    pub base_path: String,
    /// REST: serve the OpenAPI document and Swagger UI. GraphQL: serve GraphiQL and the schema. Default: as the frontend.
    #[serde(skip_serializing_if = "is_true")]
    #[schemars(with = "Option<bool>")]
    pub documentation: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
fn is_true(value: &bool) -> bool {
    *value
}

fn write_base_path<S: Serializer>(path: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if path.is_empty() { "/" } else { path })
}
