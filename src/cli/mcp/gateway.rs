//! Sends messages to the endpoint of a gateway.

use std::{error::Error as StdError, fs, path::PathBuf, sync::OnceLock, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use reqwest::{Certificate, Client, Response, redirect::Policy};
use serde_json::{Value, json};
use tokio::sync::mpsc::Sender;

use crate::cli::Failure;
use prism_mcp::HeaderNames;

/// Longest time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest answer, in bytes.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// The code of errors of this program, in the range that JSON-RPC leaves to servers.
const BRIDGE_ERROR: i32 = -32_000;
const VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// How to reach a gateway.
pub struct GatewayOptions {
    /// The URL of the endpoint.
    pub url: String,
    /// Headers of all requests, among them credentials.
    pub headers: Vec<(String, String)>,
    /// A file with the certificate authorities to trust.
    pub ca_file: Option<PathBuf>,
}

/// The endpoint of a gateway.
pub struct McpGateway {
    http: Client,
    url: String,
    /// The revision that `initialize` has negotiated.
    revision: OnceLock<HeaderValue>,
}

impl McpGateway {
    /// Checks the options. Nothing is sent yet.
    pub fn new(options: GatewayOptions) -> Result<Self, Failure> {
        let GatewayOptions { url, headers, ca_file } = options;
        let scheme = reqwest::Url::parse(&url).map_err(|error| format!("{url} is not a URL: {error}"))?.scheme().to_owned();
        if !matches!(scheme.as_str(), "http" | "https") {
            return Err(format!("{url} must begin with http:// or https://").into());
        }
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            let invalid = || format!("the value of the header {name} has characters that a header can't have");
            let mut value = HeaderValue::try_from(value).map_err(|_| invalid())?;
            value.set_sensitive(true);
            all.append(HeaderName::try_from(&name).map_err(|_| format!("{name} can't be the name of a header"))?, value);
        }
        all.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        all.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let http = Client::builder()
            .user_agent(concat!("prism/", env!("CARGO_PKG_VERSION")))
            .default_headers(all)
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT);
        let http = match ca_file {
            // Without TLS, the trust roots of the operating system need not be loaded, nor exist.
            _ if scheme == "http" => http.tls_certs_only([]),
            Some(file) => {
                let unreadable = |error: &dyn std::fmt::Display| format!("{} can't be used: {error}", file.display());
                let pem = fs::read(&file).map_err(|error| unreadable(&error))?;
                let roots = Certificate::from_pem_bundle(&pem).map_err(|error| unreadable(&error))?;
                if roots.is_empty() {
                    return Err(unreadable(&"it has no certificate in PEM").into());
                }
                http.tls_certs_only(roots)
            }
            None => http,
        };
        // This build has one provider of cryptography. It is an error if the process has installed it already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = http.build().map_err(|error| format!("TLS can't be set up: {}", root_cause(&error)))?;
        Ok(Self { http, url, revision: OnceLock::new() })
    }

    /// Sends a message, and passes on the messages that answer it. A request always has an answer.
    pub async fn send(&self, line: Bytes, message: &Value, answers: &Sender<Bytes>) {
        let id = message.get("id").filter(|_| message.get("method").is_some());
        if let Err(problem) = self.exchange(line, message, answers).await
            && let Some(id) = id
        {
            let error = json!({"jsonrpc": "2.0", "id": id, "error": {"code": problem.code, "message": problem.message}});
            // If nobody reads any longer, the bridge ends.
            let _ = answers.send(error.to_string().into()).await;
        }
    }

    async fn exchange(&self, line: Bytes, message: &Value, answers: &Sender<Bytes>) -> Result<(), Problem> {
        let request = self.http.post(&self.url).headers(self.headers(message)).body(line);
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let is_stream = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        if is_stream && response.status().is_success() {
            return self.events(response, answers).await;
        }
        let status = response.status();
        let body = self.body(response).await?;
        if body.is_empty() && status.is_success() {
            return Ok(());
        }
        let answer: Value = serde_json::from_slice(&body).map_err(|_| self.unexpected(status))?;
        // A refusal before the message was read has no id.
        if answer.get("id").is_none() && !answer.is_array() {
            let Some(error) = answer.get("error") else { return Err(self.unexpected(status)) };
            let text = error.get("message").and_then(Value::as_str).unwrap_or_default();
            let code = error.get("code").and_then(Value::as_i64).and_then(|code| i32::try_from(code).ok()).unwrap_or(BRIDGE_ERROR);
            return Err(Problem { code, message: format!("{text} ({status})") });
        }
        if let Some(revision) = answer.pointer("/result/protocolVersion").and_then(Value::as_str)
            && message.get("method").and_then(Value::as_str) == Some("initialize")
            && let Ok(revision) = HeaderValue::try_from(revision)
        {
            // A client initializes once.
            let _ = self.revision.set(revision);
        }
        // One message on one line, whatever its spelling.
        let _ = answers.send(answer.to_string().into()).await;
        Ok(())
    }

    /// Returns the headers that repeat what a message says.
    fn headers(&self, message: &Value) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let meta = message.pointer("/params/_meta").and_then(|meta| meta.get(VERSION)).and_then(Value::as_str);
        match meta {
            Some(version) => insert(&mut headers, HeaderNames::VERSION, version),
            None => {
                if let Some(revision) = self.revision.get() {
                    headers.insert(HeaderNames::VERSION, revision.clone());
                }
            }
        }
        if let Some(method) = message.get("method").and_then(Value::as_str) {
            insert(&mut headers, HeaderNames::METHOD, method);
        }
        let name = message.pointer("/params/name").or_else(|| message.pointer("/params/uri")).and_then(Value::as_str);
        if let Some(name) = name {
            insert(&mut headers, HeaderNames::NAME, name);
        }
        headers
    }

    /// Passes on the data of each event.
    async fn events(&self, mut response: Response, answers: &Sender<Bytes>) -> Result<(), Problem> {
        let mut pending = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            pending.extend_from_slice(&chunk);
            while let Some(end) = pending.windows(2).position(|pair| pair == b"\n\n") {
                let event = pending.split_to(end + 2);
                let lines = event[..].split(|byte| *byte == b'\n');
                let data: Vec<u8> = lines.filter_map(|line| line.strip_prefix(b"data: ")).flatten().copied().collect();
                if !data.is_empty() {
                    let _ = answers.send(data.into()).await;
                }
            }
            if pending.len() > MAX_ANSWER_BYTES {
                return Err(self.too_long());
            }
        }
        Ok(())
    }

    async fn body(&self, mut response: Response) -> Result<Bytes, Problem> {
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(self.too_long());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    fn unreachable(&self, error: &reqwest::Error) -> Problem {
        let message = format!(
            "Prism can't be reached at {}: {}. Start it with `prism serve`, or give its address with --address or PRISM_ADDRESS.",
            self.url,
            root_cause(error)
        );
        Problem { code: BRIDGE_ERROR, message }
    }

    fn unexpected(&self, status: http::StatusCode) -> Problem {
        let message = format!(
            "{} answered with {status}, and not as an MCP endpoint. Check the namespace, and whether it has the frontend mcp: `prism frontend list`.",
            self.url
        );
        Problem { code: BRIDGE_ERROR, message }
    }

    fn too_long(&self) -> Problem {
        Problem { code: BRIDGE_ERROR, message: format!("the answer of {} is longer than {} MiB", self.url, MAX_ANSWER_BYTES >> 20) }
    }
}

/// Why a request has no answer of a gateway.
struct Problem {
    code: i32,
    message: String,
}

/// Sets a header. What can't be in a header is `=?base64?…?=`.
fn insert(headers: &mut HeaderMap, name: &'static str, text: &str) {
    let is_plain = text.trim() == text && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && !text.starts_with("=?base64?");
    let value = if is_plain { text.to_owned() } else { format!("=?base64?{}?=", STANDARD.encode(text)) };
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn StdError = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
