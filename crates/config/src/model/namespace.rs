//! Namespaces.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher as _},
    time::Duration,
};

use schemars::JsonSchema;
use serde::Serialize;

use super::{Binding, policy::Quotas};
use crate::ResolvedSettings;
use crate::serialize::{write_duration, write_optional_size, write_size};
use prism_settings::{ByteSize, HumanDuration};

/// The unit of tenancy, routing, limits and metrics: a pattern, a backend for each of its slots, and its frontends.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Namespace {
    /// Unique name: a lower-case letter, then letters, digits, `-` and `_`; at most 63 characters.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9_-]{0,62}$"))]
    pub name: String,
    /// Name of the pattern, as `keyvalue`. `prism registry patterns list` lists all.
    pub pattern: String,
    /// Version of the pattern, as `v1`. Default: the version of this build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern_version: Option<String>,
    /// The backend for each slot of the pattern.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, crate::schema::AnySlot>")]
    pub slots: BTreeMap<String, Slot>,
    /// Another Prism that serves this namespace, instead of `slots`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<Remote>,
    /// Whose data a caller sees. Default: all callers see the same data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// Frontends of the namespace. Default: gRPC, gRPC-Web, Connect, REST, WebSocket, GraphQL and MCP on all listeners. gRPC is always added, unless the list contains
    /// `{frontend: grpc, enabled: false}`.
    #[schemars(with = "Option<Vec<crate::schema::AnyBinding>>")]
    pub frontends: Vec<Binding>,
    /// How callers are authenticated, on every listener. Default: as the listener says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authentication: Vec<String>,
    /// How often, and how much at once, callers may call. Default: any number of calls, within `limits`.
    #[serde(default, skip_serializing_if = "Quotas::is_empty")]
    pub quotas: Quotas,
    /// Limits of calls and of stored data.
    #[serde(default)]
    pub limits: Limits,
    /// How `Idempotency-Key` in HTTP headers and gRPC metadata is handled. A namespace with `remote` forwards the key, and the other Prism
    /// handles it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<Idempotency>,
    /// Settings of the pattern. `prism config schema` and the documentation of the pattern list them.
    #[serde(default, skip_serializing_if = "ResolvedSettings::is_empty")]
    #[schemars(with = "crate::schema::AnySettings")]
    pub settings: ResolvedSettings,
}

impl Namespace {
    /// Returns a hash of everything but the frontends and the access control. If it has not changed, what serves the namespace can stay.
    pub fn fingerprint(&self) -> u128 {
        let Self {
            name,
            pattern,
            pattern_version,
            slots,
            remote,
            scope,
            frontends: _,
            authentication: _,
            quotas: _,
            limits,
            idempotency,
            settings,
        } = self;
        let half = |number: u8| {
            let mut hasher = DefaultHasher::new();
            (number, name, pattern, pattern_version, slots, remote, scope, limits, idempotency, settings).hash(&mut hasher);
            u128::from(hasher.finish())
        };
        half(0) << 64 | half(1)
    }
}

/// Write calls with the same `Idempotency-Key` are executed once. Later calls get the reply of the first one.
#[derive(Clone, Debug, Serialize, JsonSchema, Hash)]
#[serde(default, deny_unknown_fields)]
pub struct Idempotency {
    /// Whether unary write calls without a key are rejected. Streams need no key.
    pub required: bool,
    /// How long a reply is stored after the end of its call. At most one year.
    #[serde(serialize_with = "write_duration")]
    #[schemars(with = "HumanDuration")]
    pub retention: Duration,
    /// The slot whose backend stores the replies. The backend needs keyvalue_basic, keyvalue_cas and keyvalue_ttl. Default: the first slot,
    /// by name, whose backend has them. If there is none, calls with a key are rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
}

impl Default for Idempotency {
    fn default() -> Self {
        Self { required: false, retention: Duration::from_hours(24), slot: None }
    }
}

/// The backend of a slot.
#[derive(Clone, Debug, Serialize, JsonSchema, Hash)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// Name of a backend.
    pub backend: String,
    /// Interfaces that the backend must implement for this namespace. The namespace may use other interfaces too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<String>,
    /// The namespace whose data this slot has: that of its slot of the same name. So a consumer receives what a producer publishes. Default:
    /// this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z][a-z0-9_-]{0,62}$"))]
    pub keyspace: Option<String>,
}

/// Separates the data of callers: each tenant, or each caller, has own data in every slot, and sees nothing of the others.
#[derive(Clone, Debug, Serialize, JsonSchema, Hash)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// What separates them.
    pub by: ScopeKind,
    /// Maximum number of tenants, or callers, that are served at the same time by one gateway. One that does nothing makes place for the
    /// next. From 1 to 100,000.
    #[serde(default = "default_max_open")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_open: usize,
}

/// What separates the data of callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema, Hash)]
#[serde(rename_all = "kebab-case")]
pub enum ScopeKind {
    /// The tenant. Callers without a tenant are refused.
    Tenant,
    /// The caller: tenant and subject. Anonymous callers are refused.
    Subject,
}

/// The default of [`Scope::max_open`].
pub(crate) const fn default_max_open() -> usize {
    1000
}

/// Another Prism that serves a namespace, over gRPC.
#[derive(Clone, Debug, Serialize, JsonSchema, Hash)]
#[serde(deny_unknown_fields)]
pub struct Remote {
    /// `http://HOST:PORT` or `https://HOST:PORT`.
    pub url: String,
    /// Name of the namespace there. Default: the name of this namespace.
    #[schemars(with = "Option<String>")]
    pub namespace: String,
    /// Whether the credentials of callers (`authorization`, `x-api-key`) are forwarded to the other Prism.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forward_credentials: bool,
}

/// Limits of calls and of stored data of a namespace.
#[derive(Clone, Debug, Serialize, JsonSchema, Hash)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Maximum size of one request message.
    #[serde(serialize_with = "write_size")]
    #[schemars(with = "ByteSize")]
    pub max_message_bytes: u64,
    /// Maximum number of calls in flight, without streams. Further calls are rejected with `RESOURCE_EXHAUSTED`.
    pub max_concurrent_calls: u32,
    /// Maximum number of open streams. Further streams are rejected with `RESOURCE_EXHAUSTED`.
    pub max_streams: u32,
    /// Deadline of a unary call if the client sets none.
    #[serde(serialize_with = "write_duration")]
    #[schemars(with = "HumanDuration")]
    pub timeout: Duration,
    /// Maximum deadline. A longer deadline of a client is reduced to it.
    #[serde(serialize_with = "write_duration")]
    #[schemars(with = "HumanDuration")]
    pub max_timeout: Duration,
    /// Maximum size of a key. Default: the limit of the driver.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "write_optional_size")]
    #[schemars(with = "Option<ByteSize>")]
    pub max_key_bytes: Option<u64>,
    /// Maximum size of a value or a payload. Default: the limit of the driver.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "write_optional_size")]
    #[schemars(with = "Option<ByteSize>")]
    pub max_value_bytes: Option<u64>,
    /// Maximum number of items in a batch. Default: the limit of the driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_batch_items: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_bytes: 4 << 20,
            max_concurrent_calls: 4096,
            max_streams: 1024,
            timeout: Duration::from_secs(30),
            max_timeout: Duration::from_hours(24),
            max_key_bytes: None,
            max_value_bytes: None,
            max_batch_items: None,
        }
    }
}
