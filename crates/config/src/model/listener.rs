//! Listeners for clients.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Serialize;

use crate::serialize::{write_duration, write_size};
use prism_settings::{ByteSize, HumanDuration};

/// A listener for clients. HTTP/1.1 and HTTP/2 are detected automatically.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// `IP:PORT`. Port 0 selects a free port. Only `main` has a default.
    #[serde(default = "main_address")]
    #[schemars(with = "String")]
    pub address: SocketAddr,
    /// Certificate and key for TLS. Default: connections without TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Maximum number of open connections. Further connections are closed at once.
    #[serde(default = "max_connections")]
    pub max_connections: u32,
    /// Maximum number of open connections from one address. Further connections are closed at once. Default: `max_connections`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections_per_peer: Option<u32>,
    /// How long a connection may stay open without a request. Choose a longer time than that of a load balancer in front.
    #[serde(default = "idle_timeout", serialize_with = "write_duration")]
    #[schemars(with = "HumanDuration")]
    pub idle_timeout: Duration,
    /// How long the TLS handshake and the headers of a request may take.
    #[serde(default = "header_timeout", serialize_with = "write_duration")]
    #[schemars(with = "HumanDuration")]
    pub header_timeout: Duration,
    /// How long a client may take nothing of a reply that is ready. Then its stream ends, or its connection.
    #[serde(default = "write_timeout", serialize_with = "write_duration")]
    #[schemars(with = "HumanDuration")]
    pub write_timeout: Duration,
    /// Maximum bytes of replies that the clients of the listener have not taken. Beyond half of it, connections with unsent replies get no
    /// further ones. Small replies do not count.
    #[serde(default = "max_unsent_bytes", serialize_with = "write_size")]
    #[schemars(with = "ByteSize")]
    pub max_unsent_bytes: u64,
    /// Maximum bytes of replies that the client of one connection has not taken.
    #[serde(default = "max_unsent_bytes_per_connection", serialize_with = "write_size")]
    #[schemars(with = "ByteSize")]
    pub max_unsent_bytes_per_connection: u64,
    /// Host names that requests may have (`Host`, `:authority`), without port, as `api.example.com` or `*.example.com`; `*` means any. The
    /// hosts of frontends are always allowed. Default: any; for a listener on a loopback address, only `localhost` and loopback addresses,
    /// so that no web page can reach it by a name of its own (DNS rebinding).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_hosts: Vec<String>,
    /// The proxies in front of the listener, and what they say about their clients. Default: none, and what clients say is ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_proxies: Option<TrustedProxies>,
    /// Which web pages may call from a browser.
    #[serde(default)]
    pub cors: Cors,
    /// How callers are authenticated: names of `authenticators`, in order. The first one that accepts the credentials decides. `anonymous`
    /// serves requests without credentials too. Default, for a loopback address only: `anonymous`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authentication: Vec<String>,
    /// Serve one GraphQL API for all namespaces at `/graphql`, with the settings of this frontend: `graphql`, or one of `frontends` with the
    /// type `graphql`. It has a field for each namespace that binds the frontend on this listener without a `host` and without other settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graphql: Option<String>,
    /// Serve pages at `/` that show the namespaces of the listener, their values, streams and schemas. They need no more than the public
    /// API. `prism serve` without a file does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub web_demo: bool,
}

fn main_address() -> SocketAddr {
    Listener::at(8980).address
}

fn max_connections() -> u32 {
    10_000
}

fn idle_timeout() -> Duration {
    Duration::from_mins(5)
}

fn header_timeout() -> Duration {
    Duration::from_secs(30)
}

fn write_timeout() -> Duration {
    Duration::from_secs(30)
}

fn max_unsent_bytes() -> u64 {
    256 << 20
}

fn max_unsent_bytes_per_connection() -> u64 {
    64 << 20
}

impl Listener {
    pub(crate) fn at(port: u16) -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            tls: None,
            max_connections: max_connections(),
            max_connections_per_peer: None,
            idle_timeout: idle_timeout(),
            header_timeout: header_timeout(),
            write_timeout: write_timeout(),
            max_unsent_bytes: max_unsent_bytes(),
            max_unsent_bytes_per_connection: max_unsent_bytes_per_connection(),
            allowed_hosts: Vec::new(),
            trusted_proxies: None,
            cors: Cors::default(),
            authentication: Vec::new(),
            graphql: None,
            web_demo: false,
        }
    }
}

/// Certificate and key of a listener. ALPN offers HTTP/2.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file with the certificate and its chain.
    #[schemars(with = "String")]
    pub certificate: PathBuf,
    /// PEM file with the private key.
    #[schemars(with = "String")]
    pub key: PathBuf,
    /// PEM file with the authorities that sign the certificates of clients. Default: clients are not asked for a certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub client_ca: Option<PathBuf>,
    /// PEM files with revocation lists. With them, each authority in the chain of a client needs a list that has not expired. Default: nothing is
    /// revoked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub client_crls: Vec<PathBuf>,
    /// With `client_ca`: whether a client must present a certificate.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Option<ClientCertificates>")]
    pub client_certificates: ClientCertificates,
}

/// Whether clients must present a certificate.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum ClientCertificates {
    /// The TLS handshake fails without one.
    #[default]
    Required,
    /// A client may present one.
    Optional,
}

/// Proxies that may say who their clients are. From all other addresses, their headers are ignored.
#[derive(Clone, Debug, Default, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct TrustedProxies {
    /// The addresses and networks of the proxies, as `10.0.0.7` or `10.0.0.0/8`. Nobody else may have one of them.
    pub addresses: Vec<String>,
    /// Their connections begin with the header of the PROXY protocol, version 1 or 2. A connection of a proxy without it is closed.
    #[serde(default)]
    pub proxy_protocol: bool,
    /// They append the address of their client to `X-Forwarded-For`.
    #[serde(default)]
    pub forwarded_for: bool,
    /// They verify the certificates of their clients, and write them to `X-Forwarded-Client-Cert`, as Envoy does.
    #[serde(default)]
    pub forwarded_client_cert: bool,
}

impl TrustedProxies {
    /// Returns the networks of the proxies.
    pub fn networks(&self) -> Vec<IpNet> {
        self.addresses.iter().filter_map(|address| parse_network(address)).collect()
    }
}

/// Parses a network, or an address as a network of its own.
pub fn parse_network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(|address| address.to_canonical().into()))
}

/// Which web pages may call from a browser. Writes from pages of other origins are refused. This does not concern other clients.
#[derive(Clone, Debug, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Cors {
    /// Origins such as `https://app.example.com`. The port `*` means any port; `*` alone means any origin. Default: pages that this machine
    /// serves, so that a page on the internet can't access the data of a developer who visits it.
    pub allowed_origins: Vec<String>,
    /// How long a browser may cache the response to a preflight request.
    #[serde(serialize_with = "write_duration")]
    #[schemars(with = "HumanDuration")]
    pub max_age: Duration,
}

impl Default for Cors {
    fn default() -> Self {
        let local = ["http://localhost:*", "https://localhost:*", "http://127.0.0.1:*", "https://127.0.0.1:*"];
        Self { allowed_origins: local.map(str::to_owned).to_vec(), max_age: Duration::from_hours(2) }
    }
}

impl Cors {
    /// Returns whether pages of an origin (the value of an `Origin` header) may call.
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
fn is_default(value: &ClientCertificates) -> bool {
    *value == ClientCertificates::default()
}
