//! What a pattern gets to open its handler.

use std::sync::Arc;

use serde_json::{Map, Value};

use prism_call::{BackgroundTasks, CacheMeters, CallLimits, Error, FanOutMeters, OutboxMeters};
use prism_settings::{CheckSettings, parse_settings};

/// The environment of a handler: the facts about its namespace, and what it may use while it runs.
#[derive(Clone, Debug)]
pub struct PatternEnvironment {
    /// Name of the namespace.
    pub namespace: Arc<str>,
    /// Limits of calls in the namespace.
    pub limits: CallLimits,
    /// The settings of the pattern in this namespace, as the configuration has them. References are resolved.
    pub settings: Map<String, Value>,
    /// The background tasks of the handler, with the signal of the shutdown.
    pub tasks: BackgroundTasks,
    /// Counts how often reads of the namespace find what they look for in its cache.
    pub cache_meters: Option<CacheMeters>,
    /// Counts the messages of the outbox of the namespace.
    pub outbox_meters: Option<OutboxMeters>,
    /// Counts what the subscribers of the namespace share.
    pub fan_out_meters: Option<FanOutMeters>,
}

impl PatternEnvironment {
    /// Creates the environment of a handler with default settings and without background tasks.
    pub fn new(namespace: impl Into<Arc<str>>, limits: CallLimits) -> Self {
        Self {
            namespace: namespace.into(),
            limits,
            settings: Map::new(),
            tasks: BackgroundTasks::default(),
            cache_meters: None,
            outbox_meters: None,
            fan_out_meters: None,
        }
    }

    /// Sets the settings of the pattern.
    #[must_use]
    pub fn with_settings(self, settings: Map<String, Value>) -> Self {
        Self { settings, ..self }
    }

    /// Parses the settings into the struct of the pattern.
    ///
    /// Errors: `INVALID_ARGUMENT INVALID_FIELD`, with one violation for each problem.
    pub fn settings<T: CheckSettings>(&self) -> Result<T, Error> {
        parse_settings(&self.settings).map_err(|problems| {
            let mut texts = problems.iter().map(|problem| (format!("settings.{}", problem.setting), problem.kind.to_string()));
            let (field, description) = texts.next().unwrap_or_default();
            texts.fold(Error::invalid(field, description), |error, (field, description)| error.with_violation(field, description))
        })
    }
}
