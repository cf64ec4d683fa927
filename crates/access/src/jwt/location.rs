//! URLs that keys may come from.

use std::path::Path;

use reqwest::Certificate;

/// How a URL of keys must be.
pub const SAFE_URL: &str = "a URL such as https://login.example.com; http is allowed for this machine only";

/// Tells whether nobody on the way can replace what a URL returns: `https`, or this machine.
pub fn is_safe(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    url.username().is_empty() && url.password().is_none() && (url.scheme() == "https" || (url.scheme() == "http" && local))
}

/// Reads trust roots. The error completes a sentence that begins with the name of the setting.
pub fn read_roots(file: &Path) -> Result<Vec<Certificate>, String> {
    let text = std::fs::read(file).map_err(|error| format!("can't be read: {}: {error}", file.display()))?;
    let roots = Certificate::from_pem_bundle(&text).map_err(|error| format!("has no certificates: {}: {error}", file.display()))?;
    if roots.is_empty() { Err(format!("has no certificates: {}", file.display())) } else { Ok(roots) }
}
