//! The settings of an S3 backend.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use prism_driver::settings::{ByteSize, CheckSettings, Count, HumanDuration, Secret, SettingProblem};

/// Most characters of the prefix, so that keys have room behind it.
const MAX_PREFIX: usize = 100;

/// Settings of a backend of `type: s3`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S3Settings {
    /// The bucket, as `s3://my-bucket` or `s3://my-bucket/prefix`. It must exist. All objects of Prism are below the prefix.
    pub url: String,
    /// The region of the bucket.
    #[serde(default = "default_region")]
    pub region: String,
    /// URL of a service other than AWS, as `https://s3.example.com`.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Whether the bucket is in the path of URLs and not in the name of the host. Default: true with `endpoint`, false without.
    #[serde(default)]
    pub path_style: Option<bool>,
    /// The access key. Without it, the standard chain of AWS is used: environment variables, the files of the AWS command line, web identity,
    /// and the roles of containers and instances.
    #[serde(default)]
    pub access_key_id: Option<Secret>,
    /// The secret of the access key.
    #[serde(default)]
    pub secret_access_key: Option<Secret>,
    /// The session token of temporary keys.
    #[serde(default)]
    pub session_token: Option<Secret>,
    /// The profile in the files of the AWS command line, for the standard chain.
    #[serde(default)]
    pub profile: Option<String>,
    /// Settings of TLS.
    #[serde(default)]
    pub tls: TlsSettings,
    /// Bytes of one part of a large upload, 5MiB to 512MiB. A write holds at most two parts in memory. A blob has at most 10,000 parts.
    #[serde(default = "default_part_size")]
    pub part_size: ByteSize<5_242_880, 536_870_912>,
    /// Encodes the characters of keys that are neither letters nor digits, for services that treat `/`, `.` and others specially.
    #[serde(default)]
    pub escape_keys: bool,
    /// Offers `keyvalue_scan`, by one request for each page of keys and one for each entry.
    #[serde(default)]
    pub emulate_scan: bool,
    /// How long an attempt to connect may take.
    #[serde(default = "default_connect_timeout")]
    pub connect_timeout: HumanDuration<10>,
    /// How long one attempt of a request may take, including the transfer of one part, but not the transfer of a content that is read.
    #[serde(default = "default_request_timeout")]
    pub request_timeout: HumanDuration<100>,
    /// How often a request is attempted in total, 1 to 10. Pauses between attempts grow, with jitter.
    #[serde(default = "default_attempts")]
    pub max_attempts: Count<10>,
}

/// Settings of TLS.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsSettings {
    /// Trust roots (PEM), instead of those of the system.
    pub ca_file: Option<PathBuf>,
}

fn default_region() -> String {
    "us-east-1".to_owned()
}

fn default_part_size() -> ByteSize<5_242_880, 536_870_912> {
    ByteSize::new(8 << 20)
}

fn default_connect_timeout() -> HumanDuration<10> {
    HumanDuration::from_millis(2000)
}

fn default_request_timeout() -> HumanDuration<100> {
    HumanDuration::from_millis(10_000)
}

fn default_attempts() -> Count<10> {
    Count::new(3)
}

impl S3Settings {
    /// Returns the bucket and the prefix of `url`. A prefix that is not empty ends with `/`.
    pub fn location(&self) -> Option<(&str, String)> {
        let rest = self.url.strip_prefix("s3://")?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.' || byte == b'-';
        let prefix = prefix.trim_end_matches('/');
        let safe = prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.'));
        let segments = prefix.is_empty() || prefix.split('/').all(|segment| !matches!(segment, "" | "." | ".."));
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(fits) || !safe || !segments || prefix.len() > MAX_PREFIX {
            return None;
        }
        Some((bucket, if prefix.is_empty() { String::new() } else { format!("{prefix}/") }))
    }
}

impl CheckSettings for S3Settings {
    fn check(&self) -> Vec<SettingProblem> {
        let mut problems = Vec::new();
        if self.location().is_none() {
            let expected = "s3://BUCKET or s3://BUCKET/PREFIX, with a prefix of at most 100 letters, digits and -_./";
            problems.push(SettingProblem::expected("url", expected));
        }
        if self.region.is_empty() || !self.region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            problems.push(SettingProblem::expected("region", "the name of a region, as eu-central-1"));
        }
        if let Some(endpoint) = &self.endpoint {
            let host = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
            if host.is_none_or(|host| host.is_empty() || host.contains(['@', '?', '#', ' '])) {
                problems.push(SettingProblem::expected("endpoint", "a URL without user and query, as https://s3.example.com"));
            }
        }
        match (&self.access_key_id, &self.secret_access_key) {
            (Some(_), None) => problems.push(SettingProblem::other("secret_access_key", "is missing; access_key_id needs it")),
            (None, Some(_)) => problems.push(SettingProblem::other("access_key_id", "is missing; secret_access_key needs it")),
            _ => {}
        }
        if self.session_token.is_some() && self.access_key_id.is_none() {
            problems.push(SettingProblem::other("session_token", "needs access_key_id and secret_access_key"));
        }
        if self.profile.is_some() && self.access_key_id.is_some() {
            problems.push(SettingProblem::other("profile", "can't be combined with access_key_id; set one of them"));
        }
        if let Some(path) = &self.tls.ca_file
            && let Err(error) = std::fs::read(path)
        {
            problems.push(SettingProblem::other("tls.ca_file", format!("can't be read: {error}")));
        }
        problems
    }
}
