//! The settings of an issuer.

use std::{path::PathBuf, time::Duration};

use jsonwebtoken::Algorithm;
use schemars::JsonSchema;
use serde::Deserialize;

use super::key_set::KeySet;
use crate::{claims::ClaimNames, http_client};
use prism_settings::{CheckSettings, HumanDuration, SettingProblem};

/// Longest leeway. A longer one is probably a mistake.
const MAX_LEEWAY: Duration = Duration::from_mins(10);

/// Settings of an authenticator of `type: jwt`: one issuer of tokens.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwtSettings {
    /// The issuer, as tokens have it in `iss`.
    pub issuer: String,
    /// The audiences of which a token must have one in `aud`.
    pub audiences: Vec<String>,
    /// File with the keys of the issuer, as a JSON Web Key Set.
    pub jwks_file: Option<PathBuf>,
    /// URL of the keys. Default, without `jwks_file`: OpenID Connect discovery below the URL of the issuer.
    pub jwks_url: Option<String>,
    /// PEM file with the trust roots for the URL. Default: those of the system.
    pub ca_file: Option<PathBuf>,
    /// The algorithms that signatures may have.
    #[serde(default = "algorithms")]
    pub algorithms: Vec<JwtAlgorithm>,
    /// How far clocks may differ.
    #[serde(default = "leeway")]
    pub leeway: HumanDuration<0>,
    /// How old keys from a URL may become. A token with an unknown key fetches them too.
    #[serde(default = "refresh_interval")]
    pub refresh_interval: HumanDuration<1000>,
    /// Claims that a token must have, beside `iss`, `aud` and `exp`.
    #[serde(default)]
    pub required_claims: Vec<String>,
    /// The claim that is the subject of the caller.
    #[serde(default = "subject_claim")]
    pub subject_claim: String,
    /// The claim that is the tenant of the caller.
    pub tenant_claim: Option<String>,
    /// The claim that has the groups of the caller: a list of texts, or one text with spaces between them.
    pub groups_claim: Option<String>,
}

/// An algorithm of signatures (RFC 7518, section 3.1), with asymmetric keys.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
pub enum JwtAlgorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

impl JwtAlgorithm {
    pub(super) const fn algorithm(self) -> Algorithm {
        match self {
            Self::RS256 => Algorithm::RS256,
            Self::RS384 => Algorithm::RS384,
            Self::RS512 => Algorithm::RS512,
            Self::PS256 => Algorithm::PS256,
            Self::PS384 => Algorithm::PS384,
            Self::PS512 => Algorithm::PS512,
            Self::ES256 => Algorithm::ES256,
            Self::ES384 => Algorithm::ES384,
            Self::EdDSA => Algorithm::EdDSA,
        }
    }
}

fn algorithms() -> Vec<JwtAlgorithm> {
    vec![JwtAlgorithm::RS256, JwtAlgorithm::PS256, JwtAlgorithm::ES256, JwtAlgorithm::ES384, JwtAlgorithm::EdDSA]
}

fn leeway() -> HumanDuration<0> {
    HumanDuration::from_millis(30_000)
}

fn refresh_interval() -> HumanDuration<1000> {
    HumanDuration::from_millis(15 * 60_000)
}

fn subject_claim() -> String {
    "sub".to_owned()
}

impl JwtSettings {
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

impl CheckSettings for JwtSettings {
    fn check(&self) -> Vec<SettingProblem> {
        let mut problems = Vec::new();
        if self.audiences.is_empty() {
            problems.push(SettingProblem::expected("audiences", "a list of audiences, of which a token must have one"));
        }
        if self.algorithms.is_empty() {
            problems.push(SettingProblem::expected("algorithms", "a list of algorithms, as [RS256, ES256]"));
        }
        if *self.leeway > MAX_LEEWAY {
            problems.push(SettingProblem::other("leeway", "must be at most 10m"));
        }
        match (&self.jwks_file, &self.jwks_url) {
            (Some(_), Some(_)) => problems.push(SettingProblem::other("jwks_url", "can't be set beside `jwks_file`; remove one of them")),
            (Some(file), None) => problems.extend(KeySet::read(file).err().map(|problem| SettingProblem::other("jwks_file", problem))),
            (None, Some(url)) if !http_client::is_safe(url) => problems.push(SettingProblem::expected("jwks_url", http_client::SAFE_URL)),
            (None, None) if !http_client::is_safe(&self.issuer) => {
                problems.push(SettingProblem::expected("issuer", format!("{}, or else the keys must be given", http_client::SAFE_URL)));
            }
            _ => {}
        }
        if let Some(file) = &self.ca_file
            && let Err(problem) = http_client::read_roots(file)
        {
            problems.push(SettingProblem::other("ca_file", problem));
        }
        problems
    }
}
