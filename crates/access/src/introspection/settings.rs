//! The settings of an introspection endpoint.

use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{claims::ClaimNames, http_client};
use prism_settings::{CheckSettings, HumanDuration, Secret, SettingProblem};

/// Longest `recheck_interval`. For a longer time, a revoked token would be accepted.
const MAX_RECHECK_INTERVAL: Duration = Duration::from_hours(1);
/// Longest `timeout`.
const MAX_TIMEOUT: Duration = Duration::from_mins(1);

/// Settings of an authenticator of `type: introspection`: tokens that only their issuer understands, and an endpoint that tells who has them (RFC 7662).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IntrospectionSettings {
    /// URL of the introspection endpoint.
    pub url: String,
    /// How Prism authenticates to the endpoint.
    #[serde(default)]
    pub client_authentication: ClientAuthentication,
    /// The id of Prism as a client of the issuer.
    pub client_id: Option<String>,
    /// The secret of this client; with `client_authentication: bearer`, the token.
    pub client_secret: Secret,
    /// PEM file with the trust roots for the URL. Default: those of the system.
    pub ca_file: Option<PathBuf>,
    /// How long a request to the endpoint may take.
    #[serde(default = "timeout")]
    pub timeout: HumanDuration<10>,
    /// How long an answer counts, but never after the token expires. A revoked token is refused, and its streams end, after at most this time.
    #[serde(default = "recheck_interval")]
    pub recheck_interval: HumanDuration<1000>,
    /// What `iss` in the answer must be. Default: it is not checked.
    pub issuer: Option<String>,
    /// The audiences of which the answer must have one in `aud`. Default: it is not checked, so all active tokens of the issuer are accepted.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// Claims that an answer must have.
    #[serde(default)]
    pub required_claims: Vec<String>,
    /// The claim that is the subject of the caller.
    #[serde(default = "subject_claim")]
    pub subject_claim: String,
    /// The claim that is the tenant of the caller.
    pub tenant_claim: Option<String>,
    /// The claim that has the groups of the caller: a list of texts, or one text with spaces between them, as `scope`.
    pub groups_claim: Option<String>,
}

/// How a client authenticates to an introspection endpoint.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAuthentication {
    /// HTTP Basic with id and secret (RFC 6749, section 2.3.1).
    #[default]
    Basic,
    /// Id and secret in the body of the request.
    Post,
    /// A bearer token.
    Bearer,
}

fn timeout() -> HumanDuration<10> {
    HumanDuration::from_millis(5000)
}

fn recheck_interval() -> HumanDuration<1000> {
    HumanDuration::from_millis(10_000)
}

fn subject_claim() -> String {
    "sub".to_owned()
}

impl IntrospectionSettings {
    /// Returns which claims say who a caller is.
    pub(super) fn claim_names(&self) -> ClaimNames {
        ClaimNames {
            subject: self.subject_claim.clone(),
            tenant: self.tenant_claim.clone(),
            groups: self.groups_claim.clone(),
            required: self.required_claims.clone(),
        }
    }
}

impl CheckSettings for IntrospectionSettings {
    fn check(&self) -> Vec<SettingProblem> {
        let mut problems = Vec::new();
        if !http_client::is_safe(&self.url) {
            problems.push(SettingProblem::expected("url", http_client::SAFE_URL));
        }
        match (self.client_authentication, &self.client_id) {
            (ClientAuthentication::Bearer, Some(_)) => {
                problems.push(SettingProblem::other("client_id", "can't be set with `client_authentication: bearer`; remove it"));
            }
            (ClientAuthentication::Basic | ClientAuthentication::Post, None) => {
                problems.push(SettingProblem::expected("client_id", "the id of Prism as a client of the issuer"));
            }
            _ => {}
        }
        // A token is a header field (RFC 6750, section 2.1).
        let is_token = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if self.client_secret.expose().is_empty() {
            problems.push(SettingProblem::other("client_secret", "must not be empty"));
        } else if self.client_authentication == ClientAuthentication::Bearer && !is_token(self.client_secret.expose()) {
            problems.push(SettingProblem::other("client_secret", "must be a token without spaces"));
        }
        if *self.timeout > MAX_TIMEOUT {
            problems.push(SettingProblem::other("timeout", "must be at most 1m"));
        }
        if *self.recheck_interval > MAX_RECHECK_INTERVAL {
            problems.push(SettingProblem::other("recheck_interval", "must be at most 1h"));
        }
        if let Some(file) = &self.ca_file
            && let Err(problem) = http_client::read_roots(file)
        {
            problems.push(SettingProblem::other("ca_file", problem));
        }
        problems
    }
}
