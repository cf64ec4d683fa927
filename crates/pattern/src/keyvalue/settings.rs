//! The settings of the pattern.

use schemars::JsonSchema;
use serde::Deserialize;

use prism_settings::CheckSettings;

/// Settings of a namespace with the pattern `keyvalue`. There are none yet.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyValueSettings {}

impl CheckSettings for KeyValueSettings {}
