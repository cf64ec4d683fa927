//! Requests to the services that access control asks: issuers of tokens, and external decision points.

use std::{path::Path, time::Duration};

use reqwest::{Certificate, Client, RequestBuilder, Url, redirect::Policy};

/// How the URL of a service must be.
pub const SAFE_URL: &str = "a URL such as https://login.example.com; http is allowed for this machine only";

/// Tells whether nobody on the way can replace what a URL returns: `https`, or this machine.
pub fn is_safe(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    url.username().is_empty() && url.password().is_none() && (url.scheme() == "https" || (url.scheme() == "http" && local))
}

/// Reads trust roots. The error completes a sentence that begins with the name of the setting.
pub fn read_roots(file: &Path) -> Result<Vec<Certificate>, String> {
    let text = std::fs::read(file).map_err(|error| format!("can't be read: {}: {error}", file.display()))?;
    let roots = Certificate::from_pem_bundle(&text).map_err(|error| format!("has no certificates: {}: {error}", file.display()))?;
    if roots.is_empty() { Err(format!("has no certificates: {}", file.display())) } else { Ok(roots) }
}

/// Makes a client for the service at a URL. It follows no redirects and uses no proxy, so credentials go nowhere else. `timeout`: for one
/// request. `max_idle`: connections that are kept open.
pub fn client(url: &str, ca_file: Option<&Path>, timeout: Duration, max_idle: usize) -> Result<Client, String> {
    // This build has one provider of cryptography. It is an error if the process has installed it already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let builder = Client::builder().redirect(Policy::none()).no_proxy().timeout(timeout).pool_max_idle_per_host(max_idle);
    let builder = match ca_file {
        // Without TLS, the trust roots of the system need not be loaded, nor exist.
        _ if url.starts_with("http:") => builder.tls_certs_only([]),
        Some(file) => builder.tls_certs_only(read_roots(file).map_err(|problem| format!("`ca_file` {problem}"))?),
        None => builder,
    };
    builder.build().map_err(|error| format!("TLS can't be set up: {}", root_cause(&error)))
}

/// Sends a request, and returns the body of a successful answer, of at most `max_bytes`.
pub async fn send(url: &str, request: RequestBuilder, max_bytes: usize) -> Result<Vec<u8>, String> {
    let broken = |error: reqwest::Error| format!("{url}: {}", root_cause(&error.without_url()));
    let mut response = request.send().await.map_err(broken)?;
    if !response.status().is_success() {
        return Err(format!("{url}: HTTP status {}", response.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > max_bytes {
            return Err(format!("{url}: the answer is longer than {max_bytes} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
