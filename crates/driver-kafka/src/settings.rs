//! The settings of a Kafka backend.

use std::{fs, path::PathBuf};

use rdkafka::ClientConfig;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::client_connections::STATISTICS;
use prism_driver::{
    retry::Retry,
    settings::{ByteSize, CheckSettings, Count, HumanDuration, Secret, SettingProblem},
    subscriptions::Subscriptions,
    tls::{TlsFiles, client_config},
};

/// Bytes of a record that its key, its attributes and the format take in addition to its payload.
const RECORD_OVERHEAD: u64 = 256 << 10;
/// The largest record is at least as large as this.
const MIN_RECORD_BYTES: u64 = 2 << 20;

/// Settings of a backend of `type: kafka`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KafkaSettings {
    /// `kafka://HOST[:PORT][,HOST…]`: brokers of one cluster, from which the others are learned.
    pub url: String,
    /// User for SASL. Needs a password.
    pub username: Option<String>,
    /// Password for SASL.
    pub password: Option<Secret>,
    /// How Prism logs in.
    #[serde(default)]
    pub sasl: KafkaSasl,
    /// Encryption, and how the brokers and Prism are authenticated.
    #[serde(default)]
    pub tls: KafkaTls,
    /// Prefix of all Kafka topics.
    #[serde(default = "topic_prefix")]
    pub topic_prefix: String,
    /// Copies of the data in the cluster, 1 to 7. Only for Kafka topics that are created after a change.
    #[serde(default = "replicas")]
    pub replicas: Count<7>,
    /// How batches of records are compressed.
    #[serde(default)]
    pub compression: Compression,
    /// How long a record waits for others, so that they are sent in one batch.
    #[serde(default = "linger")]
    pub linger: HumanDuration<0>,
    /// Bytes of records that wait for Kafka. Further ones are refused with `BACKEND_FULL`.
    #[serde(default = "queue_bytes")]
    pub queue_bytes: ByteSize<1_048_576, 2_147_483_648>,
    /// Consumers that read pages of older records at the same time.
    #[serde(default = "readers")]
    pub readers: Count<256>,
    /// How long one attempt to connect may take.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: HumanDuration<1000>,
    /// How long a request may take, including the wait for a connection, even if the call has more time.
    #[serde(default = "request_timeout")]
    pub request_timeout: HumanDuration<100>,
    /// Pauses between attempts to connect.
    #[serde(default)]
    pub retry: Retry,
    /// Limits of subscriptions and of members of consumer groups.
    #[serde(default)]
    pub subscriptions: Subscriptions,
    /// How long messages of `pubsub_persistent` are kept.
    #[serde(default)]
    pub topics: Topics,
    /// Largest payload in bytes.
    #[serde(default = "max_value_bytes")]
    pub max_value_bytes: ByteSize<1, 67_108_864>,
}

/// How Prism logs in.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaSasl {
    /// Mechanism. Default: `plain` with a user name, `oauthbearer` with a `token_file`, otherwise no login.
    pub mechanism: Option<Mechanism>,
    /// For `oauthbearer`: file with a JSON Web Token, read again before the token expires.
    pub token_file: Option<PathBuf>,
}

/// A mechanism of SASL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mechanism {
    /// User and password, which the broker reads.
    Plain,
    /// User and a proof of the password, with SHA-256.
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    /// User and a proof of the password, with SHA-512.
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
    /// A token.
    Oauthbearer,
}

/// How batches of records are compressed.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip
    Gzip,
    /// Snappy
    Snappy,
    /// LZ4
    #[default]
    Lz4,
    /// Zstandard
    Zstd,
}

/// Encryption, and how the brokers and Prism are authenticated.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaTls {
    /// Whether connections are encrypted. Default: if a file is set.
    pub enabled: Option<bool>,
    /// PEM file with the trust roots. Default: those of the system.
    pub ca_file: Option<PathBuf>,
    /// PEM file with the client certificate of Prism, followed by its chain. Needs `key_file`.
    pub certificate_file: Option<PathBuf>,
    /// PEM file with the private key of the client certificate.
    pub key_file: Option<PathBuf>,
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

fn topic_prefix() -> String {
    "prism.".to_owned()
}

fn replicas() -> Count<7> {
    Count::new(1)
}

fn linger() -> HumanDuration<0> {
    HumanDuration::from_millis(0)
}

fn queue_bytes() -> ByteSize<1_048_576, 2_147_483_648> {
    ByteSize::new(64 << 20)
}

fn readers() -> Count<256> {
    Count::new(8)
}

fn connect_timeout() -> HumanDuration<1000> {
    HumanDuration::from_millis(2_000)
}

fn request_timeout() -> HumanDuration<100> {
    HumanDuration::from_millis(5_000)
}

fn max_value_bytes() -> ByteSize<1, 67_108_864> {
    ByteSize::new(1 << 20)
}

/// What a URL must look like.
const URL: &str = "kafka://HOST:PORT without user and path; several brokers are separated by commas";
/// What a prefix must look like.
const PREFIX: &str = "letters, digits, `-` and dots, 32 characters at most, with a dot at the end, as prism.";
/// The port of brokers.
const PORT: u16 = 9092;

impl CheckSettings for KafkaSettings {
    fn check(&self) -> Vec<SettingProblem> {
        let mut problems = Vec::new();
        if self.brokers().is_none() {
            problems.push(SettingProblem::expected("url", URL));
        }
        if !is_prefix(&self.topic_prefix) {
            problems.push(SettingProblem::expected("topic_prefix", PREFIX));
        }
        self.check_login(&mut problems);
        let tls = &self.tls;
        if self.uses_tls() {
            let files = TlsFiles { ca: tls.ca_file.as_deref(), certificate: tls.certificate_file.as_deref(), key: tls.key_file.as_deref() };
            problems.extend(client_config(&files).err().unwrap_or_default());
        } else if self.has_tls_files() {
            problems.push(SettingProblem::other("tls.enabled", "is false, but files for TLS are set"));
        }
        problems
    }
}

impl KafkaSettings {
    /// The addresses of the brokers, as librdkafka expects them.
    pub fn brokers(&self) -> Option<String> {
        let broker = |part: &str| {
            let (host, port) = match part.rsplit_once(':') {
                Some((host, port)) if !host.ends_with(':') => (host, port.parse().ok()?),
                _ => (part, PORT),
            };
            let plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte));
            (plain && !host.is_empty() && port > 0).then(|| format!("{host}:{port}"))
        };
        let brokers = self.url.strip_prefix("kafka://")?.trim_end_matches('/').split(',');
        Some(brokers.map(broker).collect::<Option<Vec<_>>>()?.join(","))
    }

    /// The mechanism of the login; `None` = no login.
    fn mechanism(&self) -> Option<Mechanism> {
        self.sasl.mechanism.or(match (&self.username, &self.sasl.token_file) {
            (Some(_), _) => Some(Mechanism::Plain),
            (None, Some(_)) => Some(Mechanism::Oauthbearer),
            (None, None) => None,
        })
    }

    fn check_login(&self, problems: &mut Vec<SettingProblem>) {
        let token = self.sasl.token_file.as_ref();
        match self.mechanism() {
            Some(Mechanism::Oauthbearer) => {
                match token {
                    Some(file) => {
                        if let Err(error) = fs::metadata(file) {
                            problems.push(SettingProblem::other("sasl.token_file", format!("can't be read: {error}")));
                        }
                    }
                    None => problems.push(SettingProblem::other("sasl.token_file", "is missing: oauthbearer needs one")),
                }
                if self.username.is_some() || self.password.is_some() {
                    problems.push(SettingProblem::other("username", "is not used by oauthbearer: the token has the user"));
                }
            }
            Some(_) => {
                if self.username.is_none() {
                    problems.push(SettingProblem::other("username", "is missing: the mechanism of sasl needs one"));
                }
                if self.password.is_none() {
                    problems.push(SettingProblem::other("password", "is missing: a user name needs one"));
                }
                if token.is_some() {
                    problems.push(SettingProblem::other("sasl.token_file", "is only for the mechanism oauthbearer"));
                }
            }
            None if self.password.is_some() => {
                problems.push(SettingProblem::other("username", "is missing: a password needs one"));
            }
            None => {}
        }
    }

    fn has_tls_files(&self) -> bool {
        let KafkaTls { ca_file, certificate_file, key_file, .. } = &self.tls;
        [ca_file, certificate_file, key_file].into_iter().any(Option::is_some)
    }

    fn uses_tls(&self) -> bool {
        self.tls.enabled.unwrap_or_else(|| self.has_tls_files())
    }

    /// Largest record, with everything in it. A part of a snapshot of the journal is a record, too.
    pub fn max_record_bytes(&self) -> u64 {
        (*self.max_value_bytes + RECORD_OVERHEAD).max(MIN_RECORD_BYTES)
    }

    /// The options that all clients of librdkafka have.
    pub fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        let millis = |duration: std::time::Duration| duration.as_millis().to_string();
        let mut set = |name: &str, value: &str| {
            config.set(name, value);
        };
        set("bootstrap.servers", &self.brokers().unwrap_or_default());
        set("client.id", "prism");
        set("allow.auto.create.topics", "false");
        set("socket.keepalive.enable", "true");
        set("socket.nagle.disable", "true");
        set("socket.connection.setup.timeout.ms", &millis(*self.connect_timeout));
        set("socket.timeout.ms", &millis((*self.request_timeout).max(std::time::Duration::from_secs(1))));
        set("reconnect.backoff.ms", &millis(*self.retry.min));
        set("reconnect.backoff.max.ms", &millis((*self.retry.max).max(*self.retry.min)));
        set("topic.metadata.refresh.fast.interval.ms", "20");
        set("log.connection.close", "false");
        set("enable.metrics.push", "false");
        let mechanism = self.mechanism();
        let protocol = match (self.uses_tls(), mechanism.is_some()) {
            (false, false) => "plaintext",
            (true, false) => "ssl",
            (false, true) => "sasl_plaintext",
            (true, true) => "sasl_ssl",
        };
        set("security.protocol", protocol);
        if self.uses_tls() {
            let path = |file: &PathBuf| file.to_string_lossy().into_owned();
            set("ssl.ca.location", &self.tls.ca_file.as_ref().map_or_else(|| "probe".to_owned(), path));
            if let Some(file) = &self.tls.certificate_file {
                set("ssl.certificate.location", &path(file));
            }
            if let Some(file) = &self.tls.key_file {
                set("ssl.key.location", &path(file));
            }
        }
        if let Some(mechanism) = mechanism {
            let name = match mechanism {
                Mechanism::Plain => "PLAIN",
                Mechanism::ScramSha256 => "SCRAM-SHA-256",
                Mechanism::ScramSha512 => "SCRAM-SHA-512",
                Mechanism::Oauthbearer => "OAUTHBEARER",
            };
            set("sasl.mechanism", name);
        }
        if let Some(username) = &self.username {
            set("sasl.username", username);
        }
        if let Some(password) = &self.password {
            set("sasl.password", password.expose());
        }
        config
    }

    /// The options of the producer.
    pub fn producer_config(&self) -> ClientConfig {
        let mut config = self.client_config();
        let compression = match self.compression {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        };
        let timeout = self.request_timeout.as_millis().max(self.linger.as_millis() + 1);
        config
            .set("statistics.interval.ms", STATISTICS.as_millis().to_string())
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", compression)
            .set("linger.ms", self.linger.as_millis().to_string())
            .set("message.timeout.ms", timeout.to_string())
            .set("message.max.bytes", self.max_record_bytes().to_string())
            .set("queue.buffering.max.kbytes", (*self.queue_bytes / 1024).to_string())
            .set("retry.backoff.ms", "20")
            .set("retry.backoff.max.ms", "500");
        config
    }

    /// The options of consumers. They are in no group: Prism assigns partitions itself, at the offsets that it wants.
    pub fn consumer_config(&self) -> ClientConfig {
        let mut config = self.client_config();
        // Kafka sends one record that is larger than these limits alone.
        let fetch = self.max_record_bytes().max(4 << 20);
        config
            .set("statistics.interval.ms", STATISTICS.as_millis().to_string())
            .set("group.id", format!("{}reader", self.topic_prefix))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("message.max.bytes", self.max_record_bytes().to_string())
            .set("fetch.message.max.bytes", self.max_record_bytes().to_string())
            .set("fetch.max.bytes", fetch.to_string())
            .set("receive.message.max.bytes", (fetch + (1 << 20)).to_string())
            .set("fetch.error.backoff.ms", "50")
            .set("queued.min.messages", "512")
            .set("queued.max.messages.kbytes", (fetch / 1024).max(1024).to_string());
        config
    }
}

fn is_prefix(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    plain && text.len() <= 32 && text.ends_with('.') && !text.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use prism_driver::settings::BackendSettings;
    use serde_json::json;

    fn parse(values: serde_json::Value) -> Result<KafkaSettings, Vec<SettingProblem>> {
        let serde_json::Value::Object(values) = values else { panic!("not an object") };
        BackendSettings { name: "main".to_owned(), values }.parse()
    }

    #[test]
    fn all_settings_except_the_url_have_defaults() {
        let settings = parse(json!({"url": "kafka://one,two:4333,[::1]:9093", "compression": "zstd"})).unwrap();
        assert_eq!((*settings.replicas, settings.topic_prefix.as_str()), (1, "prism."));
        assert_eq!(settings.brokers().unwrap(), "one:9092,two:4333,[::1]:9093");
        assert_eq!(settings.client_config().get("security.protocol"), Some("plaintext"));
        assert_eq!(settings.producer_config().get("compression.type"), Some("zstd"));
        assert_eq!(parse(json!({})).unwrap_err()[0].setting, "url");
    }

    #[test]
    fn logins() {
        let settings = parse(json!({"url": "kafka://one", "username": "ada", "password": "x", "tls": {"enabled": true}})).unwrap();
        let config = settings.client_config();
        assert_eq!((config.get("security.protocol"), config.get("sasl.mechanism")), (Some("sasl_ssl"), Some("PLAIN")));
        let scram = json!({"url": "kafka://one", "username": "ada", "password": "x", "sasl": {"mechanism": "scram-sha-512"}});
        assert_eq!(parse(scram).unwrap().client_config().get("sasl.mechanism"), Some("SCRAM-SHA-512"));
        let token = parse(json!({"url": "kafka://one", "sasl": {"token_file": "Cargo.toml"}})).unwrap();
        assert_eq!(token.client_config().get("sasl.mechanism"), Some("OAUTHBEARER"));
    }

    #[test]
    fn reports_every_problem() {
        for (values, expected) in [
            (json!({"url": "localhost:9092"}), format!("url must be {URL}")),
            (json!({"url": "kafka://ada:x@localhost"}), format!("url must be {URL}")),
            (json!({"url": "kafka://localhost/path"}), format!("url must be {URL}")),
            (
                json!({"url": "kafka://localhost", "username": "ada", "topic_prefix": "a b.", "replicas": 8}),
                format!(
                    "replicas must be a whole number from 1 to 7, topic_prefix must be {PREFIX}, password is missing: a user name needs one"
                ),
            ),
            (
                json!({"url": "kafka://localhost", "sasl": {"mechanism": "oauthbearer"}}),
                "sasl.token_file is missing: oauthbearer needs one".to_owned(),
            ),
            (
                json!({"url": "kafka://localhost", "tls": {"enabled": false, "ca_file": "Cargo.toml"}}),
                "tls.enabled is false, but files for TLS are set".to_owned(),
            ),
            (
                json!({"url": "kafka://localhost", "tls": {"ca_file": "Cargo.toml"}}),
                "tls.ca_file has no certificate in PEM format: no items found".to_owned(),
            ),
        ] {
            let problems = parse(values).unwrap_err();
            let texts: Vec<_> = problems.iter().map(|problem| format!("{} {}", problem.setting, problem.kind)).collect();
            assert_eq!(texts.join(", "), expected);
        }
    }

    #[test]
    fn shows_no_secret() {
        let settings = parse(json!({"url": "kafka://localhost", "username": "ada", "password": "hush1"})).unwrap();
        assert!(!format!("{settings:?}").contains("hush"));
    }
}
