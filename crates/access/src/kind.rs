//! The table of authenticators.

use std::{path::PathBuf, sync::Arc};

use schemars::Schema;
use serde_json::{Map, Value};

use super::{
    certificate::{CertificateSettings, ClientCertificate},
    introspection::{Introspection, IntrospectionSettings},
    jwt::{JsonWebToken, JwtSettings},
    keys::{ApiKey, Basic, KeyFileSettings},
    method::Method,
};
use prism_call::{Code, Error};
use prism_settings::{CheckSettings, SettingProblem, SettingsCheck, parse_settings, settings_schema};

/// A kind of authenticator.
pub struct AuthenticatorKind {
    /// As `api-key`.
    pub name: &'static str,
    /// JSON Schema of its settings.
    pub schema: fn() -> Schema,
    /// Parses and checks the settings. Reads files, but does not connect. The error has every problem.
    pub check: SettingsCheck,
    /// Opens an authenticator with these settings.
    pub open: fn(&AuthenticatorSettings) -> Result<Arc<dyn Method>, Error>,
}

/// The settings of an authenticator, as the configuration has them.
#[derive(Clone)]
pub struct AuthenticatorSettings {
    /// Name of the authenticator.
    pub name: String,
    /// Everything except `type`.
    pub values: Map<String, Value>,
}

/// All kinds of authenticators.
pub const KINDS: &[AuthenticatorKind] = &[
    AuthenticatorKind {
        name: "api-key",
        schema: settings_schema::<KeyFileSettings>,
        check: check::<KeyFileSettings>,
        open: |settings| Ok(Arc::new(ApiKey::open(&parse::<KeyFileSettings>(settings)?).map_err(|error| named(settings, &error))?)),
    },
    AuthenticatorKind {
        name: "basic",
        schema: settings_schema::<KeyFileSettings>,
        check: check::<KeyFileSettings>,
        open: |settings| Ok(Arc::new(Basic::open(&parse::<KeyFileSettings>(settings)?).map_err(|error| named(settings, &error))?)),
    },
    AuthenticatorKind {
        name: "mtls",
        schema: settings_schema::<CertificateSettings>,
        check: check::<CertificateSettings>,
        open: |settings| Ok(Arc::new(ClientCertificate(parse(settings)?))),
    },
    AuthenticatorKind {
        name: "jwt",
        schema: settings_schema::<JwtSettings>,
        check: check::<JwtSettings>,
        open: |settings| Ok(Arc::new(JsonWebToken::open(&settings.name, &parse(settings)?).map_err(|error| named(settings, &error))?)),
    },
    AuthenticatorKind {
        name: "introspection",
        schema: settings_schema::<IntrospectionSettings>,
        check: check::<IntrospectionSettings>,
        open: |settings| Ok(Arc::new(Introspection::open(&settings.name, &parse(settings)?).map_err(|error| named(settings, &error))?)),
    },
];

/// Returns the kind with a name.
pub fn find(name: &str) -> Option<&'static AuthenticatorKind> {
    KINDS.iter().find(|kind| kind.name == name)
}

impl AuthenticatorSettings {
    /// Returns the files that the settings name. If one of them changes, the authenticator is opened again.
    pub fn files(&self) -> Vec<PathBuf> {
        ["file", "jwks_file", "ca_file"].iter().filter_map(|key| Some(self.values.get(*key)?.as_str()?.into())).collect()
    }
}

fn check<T: CheckSettings>(values: &Map<String, Value>) -> Result<(), Vec<SettingProblem>> {
    parse_settings::<T>(values).map(drop)
}

fn parse<T: CheckSettings>(settings: &AuthenticatorSettings) -> Result<T, Error> {
    parse_settings(&settings.values).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(|problem| format!("`{}` {}", problem.setting, problem.kind)).collect();
        named(settings, &lines.join("; "))
    })
}

fn named(settings: &AuthenticatorSettings, problem: &str) -> Error {
    Error::new(Code::FailedPrecondition, "CONFIGURATION", format!("authenticator {}: {problem}", settings.name))
}
