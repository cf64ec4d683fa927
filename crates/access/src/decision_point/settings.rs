//! The settings of a decision point.

use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::http_client;
use prism_settings::{CheckSettings, HumanDuration, Secret, SettingProblem};

/// Longest `cache_lifetime`. For a longer time, a call would be allowed that is forbidden now.
const MAX_CACHE_LIFETIME: Duration = Duration::from_hours(1);
/// Longest `timeout`.
const MAX_TIMEOUT: Duration = Duration::from_mins(1);

/// An external service that decides who may call what, over the evaluation API of AuthZEN 1.0.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionPointSettings {
    /// URL of the evaluation endpoint, as `https://pdp.example.com/access/v1/evaluation`.
    pub url: String,
    /// The bearer token of Prism. Default: requests have none.
    pub token: Option<Secret>,
    /// PEM file with the trust roots for the URL. Default: those of the system.
    pub ca_file: Option<PathBuf>,
    /// How long a request may take. A call without a decision is refused.
    #[serde(default = "timeout")]
    pub timeout: HumanDuration<10>,
    /// How long a decision counts. Open streams are decided again after this time.
    #[serde(default = "cache_lifetime")]
    pub cache_lifetime: HumanDuration<1000>,
}

fn timeout() -> HumanDuration<10> {
    HumanDuration::from_millis(1000)
}

fn cache_lifetime() -> HumanDuration<1000> {
    HumanDuration::from_millis(5000)
}

impl CheckSettings for DecisionPointSettings {
    fn check(&self) -> Vec<SettingProblem> {
        let mut problems = Vec::new();
        if !http_client::is_safe(&self.url) {
            problems.push(SettingProblem::expected("url", http_client::SAFE_URL));
        }
        let is_token = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if self.token.as_ref().is_some_and(|token| !is_token(token.expose())) {
            problems.push(SettingProblem::other("token", "must be a token without spaces"));
        }
        if *self.timeout > MAX_TIMEOUT {
            problems.push(SettingProblem::other("timeout", "must be at most 1m"));
        }
        if *self.cache_lifetime > MAX_CACHE_LIFETIME {
            problems.push(SettingProblem::other("cache_lifetime", "must be at most 1h"));
        }
        if let Some(file) = &self.ca_file
            && let Err(problem) = http_client::read_roots(file)
        {
            problems.push(SettingProblem::other("ca_file", problem));
        }
        problems
    }
}
