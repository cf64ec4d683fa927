//! The settings of a Redis backend.

use std::{fs, path::PathBuf};

use redis::{Client, ConnectionAddr, IntoConnectionInfo as _, ProtocolVersion, TlsCertificates, io::tcp::TcpSettings};
use schemars::JsonSchema;
use serde::Deserialize;

use prism_driver::{
    retry::Retry,
    settings::{ByteSize, CheckSettings, Count, HumanDuration, Secret, SettingProblem},
    subscriptions::Subscriptions,
};

/// Settings of a backend of `type: redis`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedisSettings {
    /// `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://…` for TLS.
    pub url: Secret,
    /// User of the access control list, if it is not in the URL. Needs a password.
    pub username: Option<String>,
    /// Password, if it is not in the URL.
    pub password: Option<Secret>,
    /// Number of the database, if it is not in the URL.
    pub database: Option<u32>,
    /// For `rediss://`: how the server is authenticated.
    #[serde(default)]
    pub tls: RedisTls,
    /// Prefix of every key and channel, so that other data in the same database stays untouched.
    #[serde(default = "key_prefix")]
    pub key_prefix: String,
    /// Connections that all commands share, 1 to 64.
    #[serde(default = "connections")]
    pub connections: Count<64>,
    /// Most connections for reads that wait at the end of a stream and for pops that wait for an element, 1 to 1024. Further readers
    /// poll, and further pops are refused.
    #[serde(default = "waiting_connections")]
    pub waiting_connections: Count<1024>,
    /// How long one attempt to connect may take.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: HumanDuration,
    /// How long a command may take, including the wait for a connection, even if the call has more time.
    #[serde(default = "request_timeout")]
    pub request_timeout: HumanDuration,
    /// Pauses between attempts to connect.
    #[serde(default)]
    pub retry: Retry,
    /// Limits of subscriptions and of members of consumer groups.
    #[serde(default)]
    pub subscriptions: Subscriptions,
    /// Largest value or payload in bytes; 4 MiB by default. Redis strings have at most 512 MB.
    #[serde(default = "max_value_bytes")]
    pub max_value_bytes: ByteSize<1, 536_870_000>,
}

/// How the server is authenticated.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedisTls {
    /// PEM file with the trust roots. Default: those of the system.
    pub ca_file: Option<PathBuf>,
}

fn key_prefix() -> String {
    "prism:".to_owned()
}

fn connections() -> Count<64> {
    Count::new(2)
}

fn waiting_connections() -> Count<1024> {
    Count::new(32)
}

fn connect_timeout() -> HumanDuration {
    HumanDuration::from_millis(2_000)
}

fn request_timeout() -> HumanDuration {
    HumanDuration::from_millis(1_000)
}

fn max_value_bytes() -> ByteSize<1, 536_870_000> {
    ByteSize::new(4 << 20)
}

/// How a certificate begins in PEM.
const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";
/// What a URL must look like.
const URL: &str = "redis://HOST:PORT/DATABASE, or rediss:// for TLS, without query and fragment";

impl CheckSettings for RedisSettings {
    fn check(&self) -> Vec<SettingProblem> {
        self.client().err().unwrap_or_default()
    }
}

impl RedisSettings {
    /// Makes the client. Does not connect.
    pub fn client(&self) -> Result<Client, Vec<SettingProblem>> {
        let url = self.url.expose();
        let encrypted = url.starts_with("rediss://");
        let plain = url.starts_with("redis://");
        // The message of the crate is not used, because it may contain parts of the URL.
        let info = Some(url).filter(|_| (encrypted || plain) && !url.contains(['?', '#'])).and_then(|url| url.into_connection_info().ok());
        let mut problems = Vec::new();
        let in_url = info.as_ref().map(redis::ConnectionInfo::redis_settings);
        let user = self.username.is_some() || in_url.is_some_and(|login| login.username().is_some());
        let password = self.password.is_some() || in_url.is_some_and(|login| login.password().is_some());
        if user && !password {
            problems.push(SettingProblem::other("password", "is missing: a user name needs one"));
        }
        if plain && self.tls.ca_file.is_some() {
            problems.push(SettingProblem::other("tls", "needs a `url` that begins with rediss://"));
        }
        let root_cert = match self.tls.ca_file.as_ref().map(fs::read).transpose() {
            Ok(Some(pem)) if !pem.windows(CERTIFICATE.len()).any(|part| part == CERTIFICATE) => {
                problems.push(SettingProblem::other("tls.ca_file", "has no certificate: it needs PEM, `-----BEGIN CERTIFICATE-----`"));
                None
            }
            Ok(pem) => pem,
            Err(error) => {
                problems.push(SettingProblem::other("tls.ca_file", format!("can't be read: {error}")));
                None
            }
        };
        let Some(info) = info else {
            problems.push(SettingProblem::expected("url", URL));
            return Err(problems);
        };
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut login = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3).set_lib_name("prism", env!("CARGO_PKG_VERSION"));
        if let Some(username) = &self.username {
            login = login.set_username(username);
        }
        if let Some(password) = &self.password {
            login = login.set_password(password.expose());
        }
        if let Some(database) = self.database {
            login = login.set_db(database.into());
        }
        let info = info.set_redis_settings(login).set_tcp_settings(TcpSettings::default().set_nodelay(true));
        if !encrypted {
            return Client::open(info).map_err(|_| vec![SettingProblem::expected("url", URL)]);
        }
        Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert }).map_err(|error| {
            vec![SettingProblem::other("tls.ca_file", format!("must be a file of PEM certificates: {}", error.category()))]
        })
    }
}

/// Returns the address of a client's server, without the password.
pub fn address(client: &Client) -> String {
    match client.get_connection_info().addr() {
        ConnectionAddr::TcpTls { host, port, .. } => format!("{host}:{port} (TLS)"),
        address => address.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prism_driver::settings::BackendSettings;

    fn parse(values: serde_json::Value) -> Result<RedisSettings, Vec<SettingProblem>> {
        let serde_json::Value::Object(values) = values else { panic!("not an object") };
        BackendSettings { name: "main".to_owned(), values }.parse()
    }

    #[test]
    fn all_settings_except_the_url_have_defaults() {
        let settings = parse(serde_json::json!({"url": "redis://localhost/2", "retry": {"max": "3s"}})).unwrap();
        assert_eq!((*settings.connections, settings.key_prefix.as_str()), (2, "prism:"));
        assert_eq!((settings.retry.min.as_millis(), settings.retry.max.as_millis()), (50, 3000));
        assert_eq!(parse(serde_json::json!({})).unwrap_err()[0].setting, "url");
    }

    #[test]
    fn reports_every_problem() {
        for (values, expected) in [
            (serde_json::json!({"url": "http://localhost"}), format!("url must be {URL}")),
            (serde_json::json!({"url": "rediss://localhost#insecure"}), format!("url must be {URL}")),
            (serde_json::json!({"url": "redis://localhost/x"}), format!("url must be {URL}")),
            (
                serde_json::json!({"url": "redis://localhost", "connections": 0}),
                "connections must be a whole number from 1 to 64".to_owned(),
            ),
            (
                serde_json::json!({"url": "redis://localhost", "username": "ada", "tls": {"ca_file": "Cargo.toml"}}),
                "password is missing: a user name needs one, tls needs a `url` that begins with rediss://, tls.ca_file has no certificate: it needs PEM, \
                 `-----BEGIN CERTIFICATE-----`".to_owned(),
            ),
            (
                serde_json::json!({"url": "rediss://localhost", "tls": {"ca_file": "/none.pem"}}),
                "tls.ca_file can't be read: No such file or directory (os error 2)".to_owned(),
            ),
            (
                serde_json::json!({"url": "redis://localhost", "max_value_bytes": "1GiB", "retry": {"min": "0s"}}),
                "max_value_bytes must be a size such as 64KiB or 4MiB, from 1 to 536870000, \
                 retry.min must be a duration such as 100ms, 30s or 5m, at least 1ms"
                    .to_owned(),
            ),
        ] {
            let problems = parse(values).unwrap_err();
            let texts: Vec<_> = problems.iter().map(|problem| format!("{} {}", problem.setting, problem.kind)).collect();
            assert_eq!(texts.join(", "), expected);
        }
    }

    #[test]
    fn shows_no_password() {
        let settings = parse(serde_json::json!({"url": "redis://ada:hush1@localhost", "password": "hush2"})).unwrap();
        assert!(!format!("{settings:?}").contains("hush"));
        for values in [
            serde_json::json!({"url": "redis://localhost", "password": 815_4711}),
            serde_json::json!({"url": "redis://:8154711@:notaport"}),
            serde_json::json!({"url": ["8154711"]}),
        ] {
            assert!(!format!("{:?}", parse(values).unwrap_err()).contains("8154711"));
        }
    }
}
