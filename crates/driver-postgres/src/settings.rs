//! The settings of a PostgreSQL backend.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use tokio_postgres::{
    Config,
    config::{Host, SslMode, TargetSessionAttrs},
};

use crate::tls::{self, TlsConnector};
use prism_driver::{
    retry::Retry,
    settings::{ByteSize, CheckSettings, Count, HumanDuration, Secret, SettingProblem},
    stream::RetentionLimits,
    subscriptions::Subscriptions,
    time,
    tls::TlsFiles,
};

/// Settings of a backend of `type: postgres`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostgresSettings {
    /// `postgresql://[USER:PASSWORD@]HOST[:PORT][,HOST…]/DATABASE`. Of several hosts, the one that accepts writes is used. Without it, set `host`.
    pub url: Option<Secret>,
    /// Name or address of the server, or the folder of its Unix socket. Instead of `url`.
    pub host: Option<String>,
    /// Port of `host`; 5432 by default.
    pub port: Option<u16>,
    /// Name of the database, if it is not in the URL. Default: the name of the user.
    pub database: Option<String>,
    /// User, if it is not in the URL.
    pub user: Option<String>,
    /// Password, if it is not in the URL.
    pub password: Option<Secret>,
    /// Encryption, and how the server and Prism are authenticated.
    #[serde(default)]
    pub tls: PostgresTls,
    /// Schema that holds the tables. It is created if the user may do that.
    #[serde(default = "default_schema")]
    pub schema: String,
    /// Most connections, 1 to 1000.
    #[serde(default = "max_connections")]
    pub max_connections: Count<1000>,
    /// Most calls that wait for a connection. Further calls fail with `UNAVAILABLE` at once.
    #[serde(default = "max_waiting")]
    pub max_waiting: Count,
    /// Whether statements are prepared once for each connection. Set it to false behind a PgBouncer with `pool_mode = transaction`.
    #[serde(default = "prepared_statements")]
    pub prepared_statements: bool,
    /// How long one attempt to connect may take.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: HumanDuration,
    /// How long the statements of a call may take, including the wait for a connection, even if the call has more time.
    #[serde(default = "request_timeout")]
    pub request_timeout: HumanDuration,
    /// Pauses between attempts to connect.
    #[serde(default)]
    pub retry: Retry,
    /// How often expired data is removed. Reads never return it, so it only takes space until then.
    #[serde(default = "sweep_interval")]
    pub sweep_interval: HumanDuration<100>,
    /// Largest value in bytes; 4 MiB by default.
    #[serde(default = "max_value_bytes")]
    pub max_value_bytes: ByteSize<1, 268_435_456>,
    /// Most open watches.
    #[serde(default = "max_watches")]
    pub max_watches: Count,
    /// The address of the server for the connection that receives notifications, as in `url`. Needed behind a pooler that assigns connections to
    /// transactions. What it does not have is that of the other connections.
    pub listen_url: Option<Secret>,
    /// Limits of subscriptions and of members of consumer groups.
    #[serde(default)]
    pub subscriptions: Subscriptions,
    /// How long messages of `pubsub_persistent` are kept. Only for topics that are created after a change.
    #[serde(default)]
    pub topics: Topics,
}

/// How long messages of `pubsub_persistent` are kept. Only for topics that are created after a change.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Topics {
    /// Greatest age of a message.
    pub max_age: HumanDuration<1000>,
    /// Greatest size of the messages of one topic. Default: no limit.
    pub max_bytes: Option<ByteSize>,
}

impl Default for Topics {
    fn default() -> Self {
        Self { max_age: HumanDuration::from_millis(7 * 86_400_000), max_bytes: None }
    }
}

impl Topics {
    /// The limits of a new topic.
    pub fn limits(&self) -> RetentionLimits {
        let max_age = Some(time::ceil_millis(*self.max_age));
        RetentionLimits { max_age, max_records: None, max_bytes: self.max_bytes.map(|bytes| *bytes) }
    }
}

/// Encryption, and how the server and Prism are authenticated.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PostgresTls {
    /// Whether connections are encrypted.
    pub mode: TlsMode,
    /// PEM file with the trust roots. Default: those of the system.
    pub ca_file: Option<PathBuf>,
    /// PEM file with the client certificate of Prism, followed by its chain. Needs `key_file`.
    pub certificate_file: Option<PathBuf>,
    /// PEM file with the private key of the client certificate.
    pub key_file: Option<PathBuf>,
}

impl PostgresTls {
    fn files(&self) -> TlsFiles<'_> {
        TlsFiles { ca: self.ca_file.as_deref(), certificate: self.certificate_file.as_deref(), key: self.key_file.as_deref() }
    }
}

/// Whether connections are encrypted. The words are those of the option `sslmode` of PostgreSQL.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// Not encrypted.
    #[default]
    Disable,
    /// Encrypted. The certificate of the server must be trusted and have the name of the host.
    VerifyFull,
}

fn default_schema() -> String {
    "prism".to_owned()
}

fn max_connections() -> Count<1000> {
    Count::new(16)
}

fn max_waiting() -> Count {
    Count::new(1000)
}

fn prepared_statements() -> bool {
    true
}

fn connect_timeout() -> HumanDuration {
    HumanDuration::from_millis(2_000)
}

fn request_timeout() -> HumanDuration {
    HumanDuration::from_millis(5_000)
}

fn sweep_interval() -> HumanDuration<100> {
    HumanDuration::from_millis(1_000)
}

fn max_value_bytes() -> ByteSize<1, 268_435_456> {
    ByteSize::new(4 << 20)
}

fn max_watches() -> Count {
    Count::new(10_000)
}

/// What a URL must look like.
const URL: &str = "postgresql://USER@HOST:PORT/DATABASE, without query and fragment";

/// Names in PostgreSQL have at most 63 bytes.
const MAX_NAME_BYTES: usize = 63;

impl CheckSettings for PostgresSettings {
    fn check(&self) -> Vec<SettingProblem> {
        self.client().err().unwrap_or_default()
    }
}

impl PostgresSettings {
    /// Whether a connection can receive notifications. A pooler behind which statements can't be prepared passes none on.
    pub fn can_listen(&self) -> bool {
        self.prepared_statements || self.listen_url.is_some()
    }

    /// Makes what is needed to connect: for statements, and for notifications. Does not connect.
    pub fn client(&self) -> Result<(Config, Config, TlsConnector), Vec<SettingProblem>> {
        let mut problems = self.name_problems();
        let config = self.address(&mut problems);
        let listen_config = match (&self.listen_url, &config) {
            (Some(url), Some(config)) => self.listen_address(url, config, &mut problems),
            (_, config) => config.clone(),
        };
        let connector = match self.tls.mode {
            TlsMode::VerifyFull => tls::connector(&self.tls.files()).map_err(|more| problems.extend(more)).ok(),
            TlsMode::Disable => {
                let files = [&self.tls.ca_file, &self.tls.certificate_file, &self.tls.key_file];
                if files.into_iter().any(Option::is_some) {
                    problems.push(SettingProblem::other("tls.mode", "must be verify-full, because other settings of `tls` are set"));
                }
                Some(TlsConnector::disabled())
            }
        };
        match (config, listen_config, connector) {
            (Some(config), Some(listen_config), Some(connector)) if problems.is_empty() => Ok((config, listen_config, connector)),
            _ => Err(problems),
        }
    }

    /// The address for notifications. It has the login of the other connections, unless the URL has one.
    fn listen_address(&self, url: &Secret, others: &Config, problems: &mut Vec<SettingProblem>) -> Option<Config> {
        let Some(mut config) = parse_url(url.expose()) else {
            problems.push(SettingProblem::expected("listen_url", URL));
            return None;
        };
        if let (None, Some(user)) = (config.get_user(), others.get_user()) {
            config.user(user);
        }
        if let (None, Some(password)) = (config.get_password(), others.get_password()) {
            config.password(password);
        }
        if let (None, Some(database)) = (config.get_dbname(), others.get_dbname()) {
            config.dbname(database);
        }
        self.complete(&mut config);
        Some(config)
    }

    fn name_problems(&self) -> Vec<SettingProblem> {
        let mut problems = Vec::new();
        if self.schema.is_empty() || self.schema.len() > MAX_NAME_BYTES || self.schema.contains('\0') {
            problems.push(SettingProblem::expected("schema", "a name of 1 to 63 bytes"));
        } else if self.schema.starts_with("pg_") {
            problems.push(SettingProblem::expected("schema", "a name that does not begin with pg_, because PostgreSQL reserves those"));
        }
        problems
    }

    /// The address and the login; adds what is wrong with them to the problems.
    fn address(&self, problems: &mut Vec<SettingProblem>) -> Option<Config> {
        let mut config = match (&self.url, &self.host) {
            (Some(_), Some(_)) => {
                problems.push(SettingProblem::other("host", "must not be set together with url"));
                return None;
            }
            (None, None) => {
                problems.push(SettingProblem::other("url", "is missing; set url or host"));
                return None;
            }
            (Some(url), None) => {
                if self.port.is_some() {
                    problems.push(SettingProblem::other("port", "must not be set together with url"));
                }
                let Some(config) = parse_url(url.expose()) else {
                    problems.push(SettingProblem::expected("url", URL));
                    return None;
                };
                config
            }
            (None, Some(host)) => {
                let mut config = Config::new();
                config.host(host.as_str()).port(self.port.unwrap_or(5432));
                config
            }
        };
        if let Some(user) = &self.user {
            config.user(user.as_str());
        }
        if let Some(password) = &self.password {
            config.password(password.expose());
        }
        if let Some(database) = &self.database {
            config.dbname(database.as_str());
        }
        if config.get_user().is_none() {
            problems.push(SettingProblem::other("user", "is missing; set it here or in url"));
        }
        self.complete(&mut config);
        Some(config)
    }

    /// Sets what all connections have in common.
    fn complete(&self, config: &mut Config) {
        config.application_name("prism").connect_timeout(*self.connect_timeout).tcp_user_timeout(*self.request_timeout);
        config.ssl_mode(match self.tls.mode {
            TlsMode::Disable => SslMode::Disable,
            TlsMode::VerifyFull => SslMode::Require,
        });
        if config.get_hosts().len() > 1 {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
    }
}

/// Parses a URL. The message of the crate is not used, because it may contain parts of the URL.
fn parse_url(url: &str) -> Option<Config> {
    if !(url.starts_with("postgresql://") || url.starts_with("postgres://")) || url.contains(['?', '#']) {
        return None;
    }
    url.parse().ok().filter(|config: &Config| !config.get_hosts().is_empty())
}

/// The addresses of the servers, without the password.
pub fn address(config: &Config) -> String {
    let ports = config.get_ports();
    let addresses = config.get_hosts().iter().enumerate().map(|(index, host)| {
        let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
        match host {
            Host::Tcp(name) => format!("{name}:{port}"),
            Host::Unix(folder) => format!("{}:{port}", folder.display()),
        }
    });
    addresses.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use prism_driver::settings::BackendSettings;
    use serde_json::json;

    fn parse(values: serde_json::Value) -> Result<PostgresSettings, Vec<SettingProblem>> {
        let serde_json::Value::Object(values) = values else { panic!("not an object") };
        BackendSettings { name: "main".to_owned(), values }.parse()
    }

    #[test]
    fn an_address_is_a_url_or_a_host() {
        let settings = parse(json!({"url": "postgresql://ada@one:6543,two/shop", "retry": {"max": "3s"}})).unwrap();
        assert_eq!((*settings.max_connections, settings.schema.as_str(), settings.prepared_statements), (16, "prism", true));
        let (config, ..) = settings.client().unwrap();
        assert_eq!((address(&config), config.get_dbname()), ("one:6543,two:5432".to_owned(), Some("shop")));
        assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        let settings = parse(json!({"host": "/run/postgresql", "user": "ada", "database": "shop"})).unwrap();
        let (config, ..) = settings.client().unwrap();
        assert_eq!((address(&config), config.get_user()), ("/run/postgresql:5432".to_owned(), Some("ada")));
    }

    #[test]
    fn notifications_may_have_another_address() {
        let settings = parse(json!({"url": "postgresql://ada:x@pooler/shop", "prepared_statements": false})).unwrap();
        assert!(!settings.can_listen());
        let values = json!({"url": "postgresql://ada:x@pooler/shop", "prepared_statements": false, "listen_url": "postgresql://db:6543"});
        let settings = parse(values).unwrap();
        assert!(settings.can_listen());
        let (config, listen_config, _) = settings.client().unwrap();
        assert_eq!((address(&config), address(&listen_config)), ("pooler:5432".to_owned(), "db:6543".to_owned()));
        let login = |config: &Config| {
            (config.get_user().map(str::to_owned), config.get_password().map(<[u8]>::to_vec), config.get_dbname().map(str::to_owned))
        };
        assert_eq!(login(&listen_config), login(&config));
    }

    #[test]
    fn reports_every_problem() {
        for (values, expected) in [
            (json!({}), "url is missing; set url or host".to_owned()),
            (json!({"url": "http://localhost"}), format!("url must be {URL}")),
            (json!({"url": "postgresql://ada@localhost/shop?sslmode=require"}), format!("url must be {URL}")),
            (json!({"url": "postgresql://ada@localhost:x/shop"}), format!("url must be {URL}")),
            (
                json!({"url": "postgresql://localhost/shop", "port": 1}),
                "port must not be set together with url, user is missing; set it here or in url".to_owned(),
            ),
            (json!({"url": "postgresql://ada@localhost/shop", "host": "x"}), "host must not be set together with url".to_owned()),
            (
                json!({"host": "x", "user": "ada", "schema": "pg_x", "max_connections": 0, "tls": {"ca_file": "x.pem"}}),
                "max_connections must be a whole number from 1 to 1000, \
                 schema must be a name that does not begin with pg_, because PostgreSQL reserves those, \
                 tls.mode must be verify-full, because other settings of `tls` are set"
                    .to_owned(),
            ),
            (
                json!({"host": "x", "user": "ada", "tls": {"mode": "verify-full", "ca_file": "Cargo.toml", "certificate_file": "/none.pem"}}),
                "tls.ca_file has no certificate in PEM format: no items found, \
                 tls.certificate_file can't be read: No such file or directory (os error 2), \
                 tls.key_file is missing; tls.certificate_file needs it"
                    .to_owned(),
            ),
            (json!({"host": "x", "user": "ada", "listen_url": "db"}), format!("listen_url must be {URL}")),
            (json!({"host": "x", "user": "ada", "tls": {"mode": "on"}}), "tls.mode must be one of disable, verify-full".to_owned()),
        ] {
            let problems = parse(values).unwrap_err();
            let texts: Vec<_> = problems.iter().map(|problem| format!("{} {}", problem.setting, problem.kind)).collect();
            assert_eq!(texts.join(", "), expected);
        }
    }

    #[test]
    fn shows_no_password() {
        let settings = parse(json!({"url": "postgresql://ada:hush1@localhost/x", "password": "hush2"})).unwrap();
        assert!(!format!("{settings:?}").contains("hush"));
        for values in [json!({"url": "postgresql://ada:8154711@localhost:notaport/x"}), json!({"url": ["8154711"]})] {
            assert!(!format!("{:?}", parse(values).unwrap_err()).contains("8154711"));
        }
    }
}
