//! The checked configuration. The structs have the shape of the file, and their comments are its documentation: the JSON Schema
//! for editors is made of them, and `prism config show` writes them out.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::{
    Settings, Telemetry,
    unit::{DurationText, SizeText, write_duration, write_optional_size, write_size},
};

/// The configuration of Prism, `prism.yaml`.
///
/// Each setting that is a single value can be set by an environment variable too, which then counts: `PRISM_` and the path of
/// the setting in upper case with `_` for everything else, as `PRISM_LOG_LEVEL` or `PRISM_LISTENERS_MAIN_ADDRESS`; an entry of
/// `namespaces` goes by its name. Texts may hold `${env:NAME}` and `${file:PATH}`. Relative paths start in the working directory.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where clients connect, by name; every protocol is spoken on each. Default: `main` on 127.0.0.1:8980.
    pub listeners: BTreeMap<String, Listener>,
    /// The listener for operators: `/healthz`, `/readyz` and `/metrics`.
    pub admin: Admin,
    /// What is written to standard error.
    pub log: Log,
    /// Export of traces and metrics.
    pub telemetry: Telemetry,
    /// How the process ends on SIGTERM.
    pub shutdown: Shutdown,
    /// Running systems that hold the data, by name. Namespaces share them.
    #[schemars(with = "BTreeMap<String, super::schema::AnyBackend>")]
    pub backends: BTreeMap<String, Backend>,
    /// Named definitions of how a namespace is reached. `grpc`, `grpc-web` and `rest` are always there.
    pub frontends: BTreeMap<String, Frontend>,
    /// What clients see: a pattern, its backends, its frontends.
    pub namespaces: Vec<Namespace>,
    /// Where all this comes from.
    #[serde(skip)]
    pub origin: Origin,
    /// What is no problem, and yet probably not meant; one sentence each.
    #[serde(skip)]
    pub warnings: Vec<String>,
}

impl Config {
    /// The namespace of that name.
    pub fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.iter().find(|namespace| namespace.name == name)
    }
}

/// Nothing but the listeners. What `prism serve` starts on without a file is [`super::EMBEDDED`].
impl Default for Config {
    fn default() -> Self {
        Self {
            listeners: BTreeMap::from([("main".to_owned(), Listener::at(8980))]),
            admin: Admin::default(),
            log: Log::default(),
            telemetry: Telemetry::default(),
            shutdown: Shutdown::default(),
            backends: BTreeMap::new(),
            frontends: BTreeMap::new(),
            namespaces: Vec::new(),
            origin: Origin::Embedded,
            warnings: Vec::new(),
        }
    }
}

/// Where a configuration comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// The defaults in the program.
    #[default]
    Embedded,
    /// A file.
    File(PathBuf),
}

/// Where clients connect. HTTP/1.1 and HTTP/2 are told apart by themselves.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// `IP:PORT`. Port 0 takes a free one. Only `main` has a default.
    #[serde(default = "main_address")]
    #[schemars(with = "String")]
    pub address: SocketAddr,
    /// Speak TLS. Without it, connections are plain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Which web pages may call.
    #[serde(default)]
    pub cors: Cors,
}

fn main_address() -> SocketAddr {
    Listener::at(8980).address
}

impl Listener {
    pub(super) fn at(port: u16) -> Self {
        Self { address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), tls: None, cors: Cors::default() }
    }
}

/// Certificate and key of a listener. HTTP/2 is offered by ALPN.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file with the certificate and its chain.
    #[schemars(with = "String")]
    pub certificate: PathBuf,
    /// PEM file with the private key.
    #[schemars(with = "String")]
    pub key: PathBuf,
}

/// Which web pages may call from a browser. Programs that are no browsers are not concerned.
#[derive(Clone, Debug, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Cors {
    /// Origins such as `https://app.example.com`; `*` as the port means any port, `*` alone any origin. Default: pages served
    /// by this machine, so that a page on the internet can't reach the data of a developer who visits it.
    pub allowed_origins: Vec<String>,
    /// How long a browser may remember the answer to a preflight request.
    #[serde(serialize_with = "write_duration")]
    #[schemars(with = "DurationText")]
    pub max_age: Duration,
}

impl Default for Cors {
    fn default() -> Self {
        let local = ["http://localhost:*", "https://localhost:*", "http://127.0.0.1:*", "https://127.0.0.1:*"];
        Self { allowed_origins: local.map(str::to_owned).to_vec(), max_age: Duration::from_hours(2) }
    }
}

impl Cors {
    /// Whether pages of this origin (the value of an `Origin` header) may call.
    pub fn allows(&self, origin: &str) -> bool {
        self.allowed_origins.iter().any(|allowed| match allowed.strip_suffix(":*") {
            _ if allowed == "*" => true,
            None => allowed.eq_ignore_ascii_case(origin),
            Some(any) => {
                let (host, port) = match origin.rsplit_once(':') {
                    Some((host, port)) if !port.starts_with("//") => (host, port),
                    _ => (origin, "0"),
                };
                host.eq_ignore_ascii_case(any) && port.bytes().all(|byte| byte.is_ascii_digit())
            }
        })
    }
}

/// The listener for operators.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// `IP:PORT`. Port 0 takes a free one.
    #[schemars(with = "String")]
    pub address: SocketAddr,
}

impl Default for Admin {
    fn default() -> Self {
        Self { address: Listener::at(8981).address }
    }
}

/// What is written to standard error.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Lines for people, or JSON objects for machines.
    pub format: LogFormat,
    /// The least important lines that are written.
    pub level: LogLevel,
    /// Calls that get a line of their own.
    pub access: AccessLog,
}

/// Lines for people, or JSON objects for machines.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// The least important lines that are written.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Nothing is written.
    Off,
    /// Something failed that should not.
    Error,
    /// Something needs attention soon.
    Warn,
    /// What an operator wants to know.
    #[default]
    Info,
    /// What a developer of Prism wants to know.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// As it is written in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// Calls that get a line of their own.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum AccessLog {
    /// None.
    Off,
    /// Those that failed for a reason of Prism's or a backend's, not of the client's.
    #[default]
    Errors,
    /// All.
    All,
}

/// How the process ends on SIGTERM.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// How long calls in flight may take to finish before they are cut.
    #[serde(serialize_with = "write_duration")]
    #[schemars(with = "DurationText")]
    pub drain_timeout: Duration,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { drain_timeout: Duration::from_secs(30) }
    }
}

/// A running system that holds data: its kind, and the settings of that kind's driver.
#[derive(Clone, Debug, Serialize)]
pub struct Backend {
    /// The driver, as `sqlite`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Everything beside `type`.
    #[serde(flatten)]
    pub settings: Settings,
}

/// A wire protocol that namespaces can be reached by.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub enum FrontendKind {
    /// gRPC.
    Grpc,
    /// gRPC-Web, binary and text.
    GrpcWeb,
    /// REST as the `google.api.http` annotations of the pattern say.
    Rest,
    /// An HTTP API as a definition maps it.
    Definition,
}

impl FrontendKind {
    /// Those that need no definition; each is also the name of a built-in frontend.
    pub const ALL: [Self; 3] = [Self::Grpc, Self::GrpcWeb, Self::Rest];

    /// As it is written in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::GrpcWeb => "grpc-web",
            Self::Rest => "rest",
            Self::Definition => "definition",
        }
    }
}

/// A named way to reach namespaces.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Frontend {
    /// The protocol. Default: `definition`, if there is one.
    #[serde(rename = "type")]
    #[schemars(with = "Option<FrontendKind>")]
    pub kind: FrontendKind,
    /// What maps an HTTP API: a file (`frontends/notes.yaml`; a relative path starts where this configuration is), or the name
    /// of a definition that comes with Prism.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// What the definition lets its bindings decide.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, serde_json::Value>,
    /// Only on this listener; default: on all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
    /// Only for this host name (`Host`, `:authority`), without port; default: for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Where the paths begin; `{namespace}` stands for the name of the namespace. Default: `/{namespace}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_path: Option<String>,
    /// REST: serve the OpenAPI document at `openapi.json` and `openapi.yaml`, and a page to read and try it at `docs`, below the
    /// base path. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documentation: Option<bool>,
}

/// One way to reach a namespace: a frontend, and what is different here.
#[derive(Clone, Debug, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// Name of a frontend: `grpc`, `grpc-web`, `rest`, one of `frontends`, or a definition that comes with Prism.
    pub frontend: String,
    /// The protocol of the frontend.
    #[serde(skip)]
    pub kind: FrontendKind,
    /// The definition of the frontend.
    #[serde(skip)]
    pub definition: Option<String>,
    /// `false` takes it away, which is of use for `grpc`.
    #[serde(skip_serializing_if = "Clone::clone")]
    #[schemars(with = "Option<bool>")]
    pub enabled: bool,
    /// Whether other namespaces may have it in the same place, since a path parameter chooses among them.
    #[serde(skip)]
    pub shared: bool,
    /// What the definition lets its bindings decide, over what the frontend says.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, serde_json::Value>,
    /// Only on this listener; default: what the frontend says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
    /// Only for this host name, lower case, without port; default: what the frontend says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Where the paths begin: empty, or with a slash in front and none behind. Default: what the frontend says. `/` puts the
    /// namespace at the root.
    #[serde(serialize_with = "write_base_path")]
    #[schemars(with = "Option<String>")]
    pub base_path: String,
    /// REST: serve the OpenAPI document and its page. Default: what the frontend says.
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

/// The unit of tenancy, routing, limits and metrics: a pattern, a backend for each of its slots, and how it is reached.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Namespace {
    /// Unique name: a lower-case letter, then letters, digits, `-` and `_`; at most 63 characters.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9_-]{0,62}$"))]
    pub name: String,
    /// What clients can do, as `keyvalue`; `prism registry patterns list` shows all.
    pub pattern: String,
    /// Version of the pattern, as `v1`. Default: the one that this build has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern_version: Option<String>,
    /// The backend for each slot of the pattern.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, super::schema::AnySlot>")]
    pub slots: BTreeMap<String, Slot>,
    /// Another Prism that serves this namespace, instead of `slots`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<Remote>,
    /// How it is reached. Default: by gRPC, gRPC-Web and REST on all listeners. gRPC is there beside what a list says, unless
    /// the list has `{frontend: grpc, enabled: false}`.
    #[schemars(with = "Option<Vec<super::schema::AnyBinding>>")]
    pub frontends: Vec<Binding>,
    /// What one client, or all of them, may take.
    #[serde(default)]
    pub limits: Limits,
    /// What is done about `Idempotency-Key`, in HTTP headers and gRPC metadata. A namespace with `remote` passes it on, and the
    /// other Prism does what it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<Idempotency>,
}

/// Calls that write and carry the same `Idempotency-Key` are done once; later ones get the first one's reply.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Idempotency {
    /// Whether unary calls that write are refused without a key. Streams have none.
    pub required: bool,
    /// How long a reply is kept, from the end of its call; at most a year.
    #[serde(serialize_with = "write_duration")]
    #[schemars(with = "DurationText")]
    pub retention: Duration,
    /// The slot whose backend keeps the replies; it needs keyvalue_basic, keyvalue_cas and keyvalue_ttl. Default: the first one, by
    /// name, whose backend has them. Without any, calls with a key are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
}

impl Default for Idempotency {
    fn default() -> Self {
        Self { required: false, retention: Duration::from_hours(24), slot: None }
    }
}

/// The backend of a slot.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// Name of a backend.
    pub backend: String,
    /// Interfaces that this namespace relies on: an error if the backend lacks one. It may still use others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<String>,
}

/// Another Prism that serves a namespace, over gRPC.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Remote {
    /// `http://HOST:PORT` or `https://HOST:PORT`.
    pub url: String,
    /// Its name over there. Default: the name here.
    #[schemars(with = "Option<String>")]
    pub namespace: String,
}

/// What one client, or all of them, may take of a namespace.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of one request message.
    #[serde(serialize_with = "write_size")]
    #[schemars(with = "SizeText")]
    pub max_message_bytes: u64,
    /// Calls in flight; one more is refused with `RESOURCE_EXHAUSTED`.
    pub max_concurrent_calls: u32,
    /// Deadline of a unary call whose client gave none.
    #[serde(serialize_with = "write_duration")]
    #[schemars(with = "DurationText")]
    pub timeout: Duration,
    /// Longest deadline that a client may give; a longer one is cut to this.
    #[serde(serialize_with = "write_duration")]
    #[schemars(with = "DurationText")]
    pub max_timeout: Duration,
    /// Bytes of a key. Default: what the driver takes.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "write_optional_size")]
    #[schemars(with = "Option<SizeText>")]
    pub max_key_bytes: Option<u64>,
    /// Bytes of a value or a payload. Default: what the driver takes.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "write_optional_size")]
    #[schemars(with = "Option<SizeText>")]
    pub max_value_bytes: Option<u64>,
    /// Items in one batch. Default: what the driver takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_batch_items: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_bytes: 4 << 20,
            max_concurrent_calls: 4096,
            timeout: Duration::from_secs(30),
            max_timeout: Duration::from_hours(24),
            max_key_bytes: None,
            max_value_bytes: None,
            max_batch_items: None,
        }
    }
}
