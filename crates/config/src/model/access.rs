//! Access control.

use serde::Serialize;

use crate::ResolvedSettings;

/// A way to authenticate callers: its kind, and the settings of this kind.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct Authenticator {
    /// The kind, as `api-key`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Everything except `type`.
    #[serde(flatten)]
    pub settings: ResolvedSettings,
}

/// The name in lists of authenticators that stands for no authentication.
pub const ANONYMOUS: &str = "anonymous";
