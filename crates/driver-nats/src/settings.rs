//! The settings of a NATS backend.

use std::{fs, path::PathBuf};

use async_nats::{ConnectOptions, ServerAddr};
use schemars::JsonSchema;
use serde::Deserialize;

use prism_driver::{
    retry::Retry,
    settings::{ByteSize, CheckSettings, Count, HumanDuration, Secret, SettingProblem},
    subscriptions::Subscriptions,
    tls::{TlsFiles, client_config},
};

/// Settings of a backend of `type: nats`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NatsSettings {
    /// `nats://[USER:PASSWORD@]HOST[:PORT][,nats://HOST…]`, or `tls://…` for TLS. The servers of one cluster.
    pub url: Secret,
    /// User, if it is not in the URL. Needs a password.
    pub username: Option<String>,
    /// Password, if it is not in the URL.
    pub password: Option<Secret>,
    /// Token, for servers with token authentication.
    pub token: Option<Secret>,
    /// Seed of a user's NKey; it begins with `SU`.
    pub nkey_seed: Option<Secret>,
    /// Contents of a credentials file, with a JWT and the seed of its user.
    pub credentials: Option<Secret>,
    /// Credentials file, with a JWT and the seed of its user.
    pub credentials_file: Option<PathBuf>,
    /// Encryption, and how the server and Prism are authenticated.
    #[serde(default)]
    pub tls: NatsTls,
    /// JetStream domain of the servers, if they are in one.
    pub domain: Option<String>,
    /// Prefix of all subjects; with `_` for each dot, prefix of all JetStream streams.
    #[serde(default = "subject_prefix")]
    pub subject_prefix: String,
    /// Copies of the data in a cluster, 1 to 5. Only for data that is created after a change.
    #[serde(default = "replicas")]
    pub replicas: Count<5>,
    /// How long one attempt to connect may take.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: HumanDuration,
    /// How long a request may take, including the wait for a connection, even if the call has more time.
    #[serde(default = "request_timeout")]
    pub request_timeout: HumanDuration,
    /// Pauses between attempts to connect.
    #[serde(default)]
    pub retry: Retry,
    /// Limits of subscriptions and of members of consumer groups.
    #[serde(default)]
    pub subscriptions: Subscriptions,
    /// How long messages of `pubsub_persistent` are kept.
    #[serde(default)]
    pub topics: Topics,
    /// Most keys that one scan lists.
    #[serde(default = "max_scan_keys")]
    pub max_scan_keys: Count,
    /// Largest value or payload in bytes; 1 MiB by default. The server's `max_payload`, less 128 KiB for attributes, also limits it.
    #[serde(default = "max_value_bytes")]
    pub max_value_bytes: ByteSize<1, 67_108_864>,
}

/// Encryption, and how the server and Prism are authenticated. For `tls://`, or if the server asks for TLS.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NatsTls {
    /// PEM file with the trust roots. Default: those of the system.
    pub ca_file: Option<PathBuf>,
    /// PEM file with the client certificate of Prism, followed by its chain. Needs `key_file`.
    pub certificate_file: Option<PathBuf>,
    /// PEM file with the private key of the client certificate.
    pub key_file: Option<PathBuf>,
    /// Whether TLS begins before the server sends anything. The server must have `handshake_first` set.
    pub handshake_first: bool,
}

/// How long messages of `pubsub_persistent` are kept. Only for topics that are created after a change.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Topics {
    /// Greatest age of a message.
    pub max_age: HumanDuration<1000>,
    /// Greatest size of the messages of one topic. The server reserves this space for each topic. Default: no limit.
    pub max_bytes: Option<ByteSize>,
}

impl Default for Topics {
    fn default() -> Self {
        Self { max_age: HumanDuration::from_millis(7 * 86_400_000), max_bytes: None }
    }
}

fn subject_prefix() -> String {
    "prism.".to_owned()
}

fn replicas() -> Count<5> {
    Count::new(1)
}

fn connect_timeout() -> HumanDuration {
    HumanDuration::from_millis(2_000)
}

fn request_timeout() -> HumanDuration {
    HumanDuration::from_millis(5_000)
}

fn max_scan_keys() -> Count {
    Count::new(1_000_000)
}

fn max_value_bytes() -> ByteSize<1, 67_108_864> {
    ByteSize::new(1 << 20)
}

/// What a URL must look like.
const URL: &str = "nats://HOST:PORT, or tls:// for TLS, without path; several are separated by commas";
/// What a prefix must look like.
const PREFIX: &str = "tokens of letters, digits and `-`, each followed by a dot, 64 characters at most, as prism.";

impl CheckSettings for NatsSettings {
    fn check(&self) -> Vec<SettingProblem> {
        self.client().err().unwrap_or_default()
    }
}

impl NatsSettings {
    /// Makes what is needed to connect. Does not connect.
    pub fn client(&self) -> Result<(Vec<ServerAddr>, ConnectOptions), Vec<SettingProblem>> {
        let mut problems = Vec::new();
        let servers = parse_url(self.url.expose());
        if servers.is_none() {
            problems.push(SettingProblem::expected("url", URL));
        }
        if !is_prefix(&self.subject_prefix) {
            problems.push(SettingProblem::expected("subject_prefix", PREFIX));
        }
        if self.domain.as_ref().is_some_and(|domain| !is_token(domain)) {
            problems.push(SettingProblem::expected("domain", "a name of letters, digits and `-`"));
        }
        let servers = servers.unwrap_or_default();
        let options = self.login(&servers, ConnectOptions::new(), &mut problems);
        let options = match client_config(&TlsFiles {
            ca: self.tls.ca_file.as_deref(),
            certificate: self.tls.certificate_file.as_deref(),
            key: self.tls.key_file.as_deref(),
        }) {
            Ok(config) => options.tls_client_config(config),
            // Without TLS, trust roots are not needed.
            Err(_) if !self.uses_tls(&servers) => options,
            Err(more) => {
                problems.extend(more);
                options
            }
        };
        let options = options.require_tls(self.uses_tls(&servers));
        if problems.is_empty() {
            Ok((servers, if self.tls.handshake_first { options.tls_first() } else { options }))
        } else {
            Err(problems)
        }
    }

    fn uses_tls(&self, servers: &[ServerAddr]) -> bool {
        let NatsTls { ca_file, certificate_file, key_file, handshake_first } = &self.tls;
        *handshake_first
            || [ca_file, certificate_file, key_file].into_iter().any(Option::is_some)
            || servers.iter().any(ServerAddr::tls_required)
    }

    /// Adds the login to the options, and what is wrong with it to the problems.
    fn login(&self, servers: &[ServerAddr], options: ConnectOptions, problems: &mut Vec<SettingProblem>) -> ConnectOptions {
        let in_url = |part: fn(&ServerAddr) -> Option<&str>| servers.iter().find_map(part).map(decode);
        let username = self.username.clone().or_else(|| in_url(ServerAddr::username));
        let password = self.password.as_ref().map(|password| password.expose().to_owned()).or_else(|| in_url(ServerAddr::password));
        let file = self.credentials_file.as_ref().map(|path| {
            fs::read_to_string(path).map_err(|error| SettingProblem::other("credentials_file", format!("can't be read: {error}")))
        });
        let ways = [
            username.is_some() || password.is_some(),
            self.token.is_some(),
            self.nkey_seed.is_some(),
            self.credentials.is_some(),
            self.credentials_file.is_some(),
        ];
        if ways.into_iter().filter(|set| *set).count() > 1 {
            let problem = "must be the only login: set a user and a password, token, nkey_seed, credentials or credentials_file";
            problems.push(SettingProblem::other(self.login_setting(), problem));
            return options;
        }
        let mut options = options;
        match (username, password) {
            (Some(username), Some(password)) => options = options.user_and_password(username, password),
            (Some(_), None) => problems.push(SettingProblem::other("password", "is missing: a user name needs one")),
            (None, Some(_)) => problems.push(SettingProblem::other("username", "is missing: a password needs one")),
            (None, None) => {}
        }
        if let Some(token) = &self.token {
            options = options.token(token.expose().to_owned());
        }
        if let Some(seed) = &self.nkey_seed {
            // The check of the crate is the first connection, so the form is checked here.
            if !seed.expose().starts_with("SU") {
                problems.push(SettingProblem::expected("nkey_seed", "the seed of a user, which begins with SU"));
            }
            options = options.nkey(seed.expose().to_owned());
        }
        let credentials = match file {
            Some(Ok(text)) => Some(("credentials_file", text)),
            Some(Err(problem)) => {
                problems.push(problem);
                None
            }
            None => self.credentials.as_ref().map(|text| ("credentials", text.expose().to_owned())),
        };
        if let Some((setting, text)) = credentials {
            // The error of the crate is not used, because it may contain parts of the credentials.
            match ConnectOptions::with_credentials(&text) {
                Ok(_) => options = options.credentials(&text).unwrap_or_default(),
                Err(_) => problems.push(SettingProblem::other(setting, "has no JWT and seed in the form that `nsc generate creds` writes")),
            }
        }
        options
    }

    /// The setting of the login that was probably added last.
    fn login_setting(&self) -> &'static str {
        if self.credentials_file.is_some() {
            "credentials_file"
        } else if self.credentials.is_some() {
            "credentials"
        } else if self.nkey_seed.is_some() {
            "nkey_seed"
        } else {
            "token"
        }
    }
}

/// Parses a list of addresses. The message of the crate is not used, because it may contain parts of the URL.
fn parse_url(url: &str) -> Option<Vec<ServerAddr>> {
    let parse = |part: &str| {
        let plain = part.starts_with("nats://") || part.starts_with("tls://");
        let address: ServerAddr = part.parse().ok().filter(|_| plain && !part.contains(['?', '#']))?;
        let url = address.clone().into_inner();
        (matches!(url.path(), "" | "/") && url.has_host()).then_some(address)
    };
    url.split(',').map(|part| parse(part.trim())).collect()
}

/// Decodes percent escapes of user and password.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let escaped =
            others.get(..2).filter(|_| *first == b'%').and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &others[2..] } else { others };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn is_prefix(text: &str) -> bool {
    text.len() <= 64 && text.strip_suffix('.').is_some_and(|tokens| tokens.split('.').all(is_token))
}

/// The addresses of the servers, without passwords.
pub fn address(servers: &[ServerAddr]) -> String {
    servers.iter().map(|server| format!("{}:{}", server.host(), server.port())).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use prism_driver::settings::BackendSettings;
    use serde_json::json;

    fn parse(values: serde_json::Value) -> Result<NatsSettings, Vec<SettingProblem>> {
        let serde_json::Value::Object(values) = values else { panic!("not an object") };
        BackendSettings { name: "main".to_owned(), values }.parse()
    }

    #[test]
    fn all_settings_except_the_url_have_defaults() {
        let settings = parse(json!({"url": "nats://one,tls://two:4333", "retry": {"max": "3s"}})).unwrap();
        assert_eq!((*settings.replicas, settings.subject_prefix.as_str()), (1, "prism."));
        assert_eq!(address(&settings.client().unwrap().0), "one:4222,two:4333");
        assert_eq!(parse(json!({})).unwrap_err()[0].setting, "url");
    }

    #[test]
    fn reports_every_problem() {
        for (values, expected) in [
            (json!({"url": "http://localhost"}), format!("url must be {URL}")),
            (json!({"url": "nats://localhost/path"}), format!("url must be {URL}")),
            (json!({"url": "nats://one,redis://two"}), format!("url must be {URL}")),
            (json!({"url": "localhost:4222"}), format!("url must be {URL}")),
            (
                json!({"url": "nats://localhost", "username": "ada", "subject_prefix": "a b.", "replicas": 6}),
                format!(
                    "replicas must be a whole number from 1 to 5, subject_prefix must be {PREFIX}, password is missing: a user name needs one"
                ),
            ),
            (
                json!({"url": "nats://ada:x@localhost", "token": "t"}),
                "token must be the only login: set a user and a password, token, nkey_seed, credentials or credentials_file".to_owned(),
            ),
            (
                json!({"url": "nats://localhost", "nkey_seed": "SA", "domain": "a.b"}),
                "domain must be a name of letters, digits and `-`, nkey_seed must be the seed of a user, which begins with SU".to_owned(),
            ),
            (
                json!({"url": "nats://localhost", "credentials": "nothing"}),
                "credentials has no JWT and seed in the form that `nsc generate creds` writes".to_owned(),
            ),
            (
                json!({"url": "tls://localhost", "credentials_file": "/none.creds", "tls": {"ca_file": "Cargo.toml", "key_file": "/none.pem"}}),
                "credentials_file can't be read: No such file or directory (os error 2), \
                 tls.ca_file has no certificate in PEM format: no items found, \
                 tls.key_file can't be read: No such file or directory (os error 2), \
                 tls.certificate_file is missing; tls.key_file needs it"
                    .to_owned(),
            ),
        ] {
            let problems = parse(values).unwrap_err();
            let texts: Vec<_> = problems.iter().map(|problem| format!("{} {}", problem.setting, problem.kind)).collect();
            assert_eq!(texts.join(", "), expected);
        }
    }

    #[test]
    fn shows_no_secret() {
        let settings = parse(json!({"url": "nats://ada:hush1@localhost"})).unwrap();
        assert!(!format!("{settings:?}").contains("hush"));
        for values in [
            json!({"url": "nats://ada:8154711@localhost:notaport"}),
            json!({"url": "nats://localhost", "credentials": "8154711"}),
            json!({"url": "nats://localhost", "nkey_seed": "8154711"}),
        ] {
            assert!(!format!("{:?}", parse(values).unwrap_err()).contains("8154711"));
        }
    }

    #[test]
    fn passwords_in_urls_are_decoded() {
        assert_eq!(decode("open%20sesame%"), "open sesame%");
    }
}
