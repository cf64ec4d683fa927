//! The settings of the pattern.

use schemars::JsonSchema;
use serde::Deserialize;

use prism_settings::{ByteSize, CheckSettings};

/// Settings of a namespace with the pattern `object-store`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ObjectStoreSettings {
    /// Most bytes of an object, at most 5 TiB. Larger ones are refused with `OBJECT_TOO_LARGE`, as soon as their size is known.
    pub max_object_size: ByteSize<1, 5_497_558_138_880>,
}

impl Default for ObjectStoreSettings {
    fn default() -> Self {
        Self { max_object_size: ByteSize::new(5 << 30) }
    }
}

impl CheckSettings for ObjectStoreSettings {}
