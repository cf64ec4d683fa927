//! Settings that a change of the configuration does not apply.

use prism_config::{self as config, Config};

/// The settings that only a start applies.
pub struct StartSettings {
    admin: config::Admin,
    log: config::Log,
    telemetry: config::Telemetry,
}

impl StartSettings {
    /// Those of a configuration.
    pub fn of(config: &Config) -> Self {
        Self { admin: config.admin.clone(), log: config.log.clone(), telemetry: config.telemetry.clone() }
    }

    /// Returns the names of the settings that a configuration changes.
    pub fn changed(&self, config: &Config) -> Vec<&'static str> {
        let all = [
            ("admin", self.admin.address != config.admin.address || self.admin.allowed_hosts != config.admin.allowed_hosts),
            ("log", self.log != config.log),
            ("telemetry", self.telemetry != config.telemetry),
        ];
        all.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name).collect()
    }
}
