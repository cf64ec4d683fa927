//! The settings of a Redis backend.

use std::{fmt, fs, path::PathBuf};

use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion, TlsCertificates, io::tcp::TcpSettings};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error as _};

use prism_call::Error;
use prism_driver::{self as driver, duration::HumanDuration};

/// Settings of a backend of `type: redis`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://…` for TLS.
    pub url: Secret,
    /// User of the access control list, if it is not in the URL. Needs a password.
    pub username: Option<String>,
    /// Password, if it is not in the URL.
    pub password: Option<Secret>,
    /// Number of the database, if it is not in the URL.
    #[schemars(range(min = 0))]
    pub database: Option<u32>,
    /// For `rediss://`: how the server proves who it is.
    #[serde(default)]
    pub tls: Tls,
    /// Stands before every key and channel, so that other data in the same database stays untouched.
    #[serde(default = "key_prefix")]
    pub key_prefix: String,
    /// Connections that all commands share, 1 to 64.
    #[serde(default = "connections")]
    #[schemars(range(min = 1, max = 64))]
    pub connections: usize,
    /// Most connections for reads that wait at the end of a stream, 1 to 1024. Readers beyond that ask again and again.
    #[serde(default = "waiting_connections")]
    #[schemars(range(min = 1, max = 1024))]
    pub waiting_connections: usize,
    /// How long one attempt to connect may take.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: HumanDuration,
    /// How long a command may take, waiting for a connection included, even when the call has more time.
    #[serde(default = "request_timeout")]
    pub request_timeout: HumanDuration,
    /// Pauses between attempts to connect.
    #[serde(default)]
    pub retry: Retry,
    /// How subscriptions and members of consumer groups are held.
    #[serde(default)]
    pub subscriptions: Subscriptions,
    /// Largest value or payload in bytes; 4 MiB by default.
    #[serde(default = "max_value_bytes")]
    #[schemars(range(min = 1, max = 536_870_000))]
    pub max_value_bytes: u64,
}

/// How a server proves who it is.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// File with the certificates (PEM) of the authorities to trust; absent = those of the system.
    pub ca_file: Option<PathBuf>,
}

/// Pauses between attempts to connect: each is twice the one before, of which a random half is left out.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// The first pause.
    pub min: HumanDuration,
    /// The longest pause.
    pub max: HumanDuration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { min: HumanDuration::from_millis(50), max: HumanDuration::from_millis(1_000) }
    }
}

/// How subscriptions and members of consumer groups are held.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Subscriptions {
    /// Most open subscriptions, and most open members of consumer groups.
    #[schemars(range(min = 1))]
    pub max: usize,
    /// Messages that wait for a slow subscriber; those beyond are dropped, and it is told by a Gap.
    #[schemars(range(min = 1))]
    pub buffer: usize,
    /// Bytes that wait for a slow subscriber.
    #[schemars(range(min = 1))]
    pub buffer_bytes: usize,
    /// How long a subscription waits for a server that went away before it ends with `UNAVAILABLE`.
    pub patience: HumanDuration,
}

impl Default for Subscriptions {
    fn default() -> Self {
        Self { max: 10_000, buffer: 1024, buffer_bytes: 16 << 20, patience: HumanDuration::from_millis(60_000) }
    }
}

fn key_prefix() -> String {
    "prism:".to_owned()
}

fn connections() -> usize {
    2
}

fn waiting_connections() -> usize {
    32
}

fn connect_timeout() -> HumanDuration {
    HumanDuration::from_millis(2_000)
}

fn request_timeout() -> HumanDuration {
    HumanDuration::from_millis(1_000)
}

fn max_value_bytes() -> u64 {
    4 << 20
}

/// The JSON Schema of [`Settings`].
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Settings)
}

impl Settings {
    /// Reads and checks the settings of a backend, and makes the client of them; nothing is connected yet.
    pub fn read(settings: &driver::Settings) -> Result<(Self, Client), Error> {
        let read: Self = settings.parse()?;
        let field = |name: &str| format!("backends.{}.{name}", settings.name);
        for (name, value, max) in [
            ("connections", read.connections, 64),
            ("waiting_connections", read.waiting_connections, 1024),
            ("subscriptions.max", read.subscriptions.max, usize::MAX),
            ("subscriptions.buffer", read.subscriptions.buffer, usize::MAX),
            ("subscriptions.buffer_bytes", read.subscriptions.buffer_bytes, usize::MAX),
        ] {
            if value == 0 || value > max {
                return Err(Error::invalid(field(name), format!("must be at least 1{}", most(max))));
            }
        }
        for (name, wait) in [
            ("connect_timeout", read.connect_timeout),
            ("request_timeout", read.request_timeout),
            ("retry.min", read.retry.min),
            ("retry.max", read.retry.max),
            ("subscriptions.patience", read.subscriptions.patience),
        ] {
            if wait.is_zero() {
                return Err(Error::invalid(field(name), "must be more than 0ms"));
            }
        }
        if read.max_value_bytes == 0 || read.max_value_bytes > 536_870_000 {
            return Err(Error::invalid(field("max_value_bytes"), "must be 1 to 536870000; Redis holds no longer strings"));
        }
        let client = read.client(&field)?;
        Ok((read, client))
    }

    fn client(&self, field: &impl Fn(&str) -> String) -> Result<Client, Error> {
        let url = &self.url.0;
        let shape = "must look like redis://HOST:PORT/DATABASE, or rediss:// for TLS, without query and fragment";
        let encrypted = url.starts_with("rediss://");
        if !(encrypted || url.starts_with("redis://")) || url.contains(['?', '#']) {
            return Err(Error::invalid(field("url"), shape));
        }
        // The crate's own message is not passed on: it might show parts of the URL.
        let info = url.as_str().into_connection_info().map_err(|_| Error::invalid(field("url"), shape))?;
        let mut login = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3).set_lib_name("prism", env!("CARGO_PKG_VERSION"));
        if let Some(username) = &self.username {
            login = login.set_username(username);
        }
        if let Some(password) = &self.password {
            login = login.set_password(&password.0);
        }
        if let Some(database) = self.database {
            login = login.set_db(database.into());
        }
        if login.username().is_some() && login.password().is_none() {
            return Err(Error::invalid(field("password"), "is missing: a username needs one"));
        }
        let info = info.set_redis_settings(login).set_tcp_settings(TcpSettings::default().set_nodelay(true));
        if !encrypted {
            if self.tls.ca_file.is_some() {
                return Err(Error::invalid(field("tls"), "needs a url that begins with rediss://"));
            }
            return Client::open(info).map_err(|_| Error::invalid(field("url"), shape));
        }
        self.encrypted(info, field)
    }

    fn encrypted(&self, info: ConnectionInfo, field: &impl Fn(&str) -> String) -> Result<Client, Error> {
        let root_cert = match &self.tls.ca_file {
            Some(path) => Some(
                fs::read(path).map_err(|error| Error::invalid(field("tls.ca_file"), format!("can't read {}: {error}", path.display())))?,
            ),
            None => None,
        };
        Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert })
            .map_err(|error| Error::invalid(field("tls.ca_file"), format!("is no file of PEM certificates: {}", error.category())))
    }
}

fn most(max: usize) -> String {
    if max == usize::MAX { String::new() } else { format!(" and at most {max}") }
}

/// Where a client connects to, for people; never with a password.
pub fn address(client: &Client) -> String {
    match client.get_connection_info().addr() {
        ConnectionAddr::TcpTls { host, port, .. } => format!("{host}:{port} (TLS)"),
        address => address.to_string(),
    }
}

/// Text that is never shown.
#[derive(Clone, JsonSchema)]
#[schemars(transparent, extend("writeOnly" = true))]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not serde's own message, which would show the value.
        match serde_json::Value::deserialize(deserializer) {
            Ok(serde_json::Value::String(text)) => Ok(Self(text)),
            _ => Err(D::Error::custom("url and password must be text; put it in quotes")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: serde_json::Value) -> Result<Settings, Error> {
        let serde_json::Value::Object(values) = values else { panic!("not an object") };
        Settings::read(&driver::Settings { name: "main".to_owned(), values }).map(|(settings, _)| settings)
    }

    #[test]
    fn has_defaults_for_all_but_the_url() {
        let settings = read(serde_json::json!({"url": "redis://localhost/2", "retry": {"max": "3s"}})).unwrap();
        assert_eq!((settings.connections, settings.key_prefix.as_str()), (2, "prism:"));
        assert_eq!((settings.retry.min.as_millis(), settings.retry.max.as_millis()), (50, 3000));
        assert!(read(serde_json::json!({})).unwrap_err().message().contains("url"));
    }

    #[test]
    fn names_what_is_wrong() {
        for (values, part) in [
            (serde_json::json!({"url": "http://localhost"}), "main.url: must look like redis://"),
            (serde_json::json!({"url": "rediss://localhost#insecure"}), "without query and fragment"),
            (serde_json::json!({"url": "redis://localhost", "connections": 0}), "main.connections: must be at least 1 and at most 64"),
            (serde_json::json!({"url": "redis://localhost", "username": "ada"}), "main.password: is missing"),
            (serde_json::json!({"url": "redis://localhost", "request_timeout": "2d"}), "is not a duration"),
            (serde_json::json!({"url": "redis://localhost", "tls": {"ca_file": "/x"}}), "needs a url that begins with rediss://"),
            (serde_json::json!({"url": "rediss://localhost", "tls": {"ca_file": "/none.pem"}}), "main.tls.ca_file: can't read /none.pem"),
            (serde_json::json!({"url": "redis://localhost", "poolsize": 3}), "poolsize"),
        ] {
            let error = read(values).unwrap_err();
            assert!(error.message().contains(part), "{}", error.message());
        }
    }

    #[test]
    fn shows_no_password() {
        let settings = read(serde_json::json!({"url": "redis://ada:hush1@localhost", "password": "hush2"})).unwrap();
        assert!(!format!("{settings:?}").contains("hush"));
        for values in [
            serde_json::json!({"url": "redis://localhost", "password": 815_4711}),
            serde_json::json!({"url": "redis://:8154711@:notaport"}),
            serde_json::json!({"url": ["8154711"]}),
        ] {
            assert!(!format!("{:?}", read(values).unwrap_err()).contains("8154711"));
        }
    }
}
