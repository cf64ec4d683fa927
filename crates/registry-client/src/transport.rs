//! HTTP requests: authentication, deadlines, bounded bodies, retries, and errors that say what to do.

use std::{error::Error, fs, path::Path, time::Duration};

use bytes::{Bytes, BytesMut};
use reqwest::{
    Certificate, Client, Method, Response, Url,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER},
    redirect::Policy,
};
use serde_json::Value;

use prism_settings::without_user_info;

use crate::{
    error::{ClientError, ErrorKind},
    settings::{ClientSettings, Credentials, SettingNames},
};

/// Most bytes of an answer: a page of schemas of the largest size fits in.
const MAX_BODY_BYTES: usize = 256 << 20;
/// Most attempts while the registry says that it is busy.
const MAX_ATTEMPTS: u32 = 5;
/// The wait before the second attempt; it doubles with each attempt.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Longest wait that a registry may ask for.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// Most idle connections that are kept.
const MAX_IDLE: usize = 16;
/// The media type of the API.
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/vnd.schemaregistry.v1+json");

/// Whether a request may be sent again if its effect is unknown or the registry is busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The request is idempotent.
    Allowed,
    /// A second request could have a second effect.
    Forbidden,
}

/// A connection pool for one registry.
pub(crate) struct Transport {
    http: Client,
    /// The URL of the settings, without a slash at its end.
    url: String,
    /// The beginning of the URL of each request, without a slash at its end.
    base: String,
    credentials: Credentials,
    timeout: Duration,
    names: SettingNames,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Transport {
    pub fn new(settings: ClientSettings) -> Result<Self, ClientError> {
        let ClientSettings { url, credentials, ca_file, timeout, names } = settings;
        let base = parse_url(&url, names)?;
        if let Credentials::Bearer(token) = &credentials
            && HeaderValue::try_from(token).is_err()
        {
            return Err(ClientError::settings("the token has characters that an HTTP header can't have"));
        }
        // This build has one provider of cryptography. It is an error if the process has installed it already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = Client::builder()
            .user_agent(concat!("prism/", env!("CARGO_PKG_VERSION")))
            .default_headers(HeaderMap::from_iter([(
                ACCEPT,
                HeaderValue::from_static("application/vnd.schemaregistry.v1+json, application/json; q=0.9, */*; q=0.5"),
            )]))
            .redirect(Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(MAX_IDLE);
        let http = match ca_file {
            // Without TLS, the trust roots of the operating system need not be loaded, nor exist.
            _ if base.scheme() == "http" => http.tls_certs_only([]),
            Some(file) => http.tls_certs_only(read_certificates(&file)?),
            None => http,
        };
        let http = http.build().map_err(|error| {
            let cause = root_cause(&error);
            let ca_file = names.ca_file;
            ClientError::settings(format!(
                "TLS can't be set up: {cause}\nInstall the certificate authorities of the operating system (the package ca-certificates), \
                 or use {ca_file}."
            ))
        })?;
        let base = base.as_str().trim_end_matches('/').to_owned();
        Ok(Self { http, url: url.trim_end_matches('/').to_owned(), base, credentials, timeout, names })
    }

    /// The URL of the settings.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// An error about an answer that a schema registry would not send.
    pub fn unexpected_answer(&self, status: u16, path: &str, answer: &str) -> ClientError {
        let Self { url, names, .. } = self;
        let message = format!(
            "{url}{path} {answer}, and a schema registry would not. Check {}: the URL may lack the path that the API is served under.",
            names.url
        );
        ClientError::new(ErrorKind::UnexpectedAnswer { status }, message)
    }

    /// Sends a request and returns the body of a successful answer. While the registry is busy, retries it if that is allowed.
    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>, retry: Retry) -> Result<Bytes, ClientError> {
        let body = body.map(|body| Bytes::from(body.to_string()));
        let mut attempt = 1;
        loop {
            let answer = self.attempt(&method, path, body.as_ref(), retry).await?;
            let busy = matches!(answer.status, 429 | 503);
            if !busy || retry == Retry::Forbidden || attempt == MAX_ATTEMPTS {
                return self.success_body(path, answer);
            }
            let wanted = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            let wait = wanted.map_or(FIRST_WAIT * 2u32.pow(attempt - 1), Duration::from_secs);
            tokio::time::sleep(wait.min(MAX_WAIT)).await;
            attempt += 1;
        }
    }

    /// Sends a request within the timeout; once more if the connection broke and a retry is allowed.
    async fn attempt(&self, method: &Method, path: &str, body: Option<&Bytes>, retry: Retry) -> Result<Answer, ClientError> {
        let answer = tokio::time::timeout(self.timeout, async {
            match self.exchange(method, path, body).await {
                // The server may have closed an idle connection.
                Err(error) if error.kind() == ErrorKind::ConnectionLost && retry == Retry::Allowed => {
                    self.exchange(method, path, body).await
                }
                answer => answer,
            }
        });
        answer.await.unwrap_or_else(|_| {
            let (url, seconds) = (&self.url, self.timeout.as_secs_f64());
            let message = format!("{url} did not answer within {seconds}s; {} allows more time", self.names.timeout);
            Err(ClientError::new(ErrorKind::TimedOut, message))
        })
    }

    async fn exchange(&self, method: &Method, path: &str, body: Option<&Bytes>) -> Result<Answer, ClientError> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base));
        request = match &self.credentials {
            Credentials::Anonymous => request,
            Credentials::Basic { name, password } => request.basic_auth(name, Some(password)),
            Credentials::Bearer(token) => request.bearer_auth(token),
        };
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, MEDIA_TYPE).body(body.clone());
        }
        let mut response = request.send().await.map_err(|error| self.transport_error(&error))?;
        let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
        let body = self.read_body(response).await?;
        Ok(Answer { status, headers, body })
    }

    async fn read_body(&self, mut response: Response) -> Result<Bytes, ClientError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.transport_error(&error))? {
            if body.len() + chunk.len() > MAX_BODY_BYTES {
                let message = format!("the answer of {} is longer than {} MiB", self.url, MAX_BODY_BYTES >> 20);
                return Err(ClientError::new(ErrorKind::UnexpectedAnswer { status: response.status().as_u16() }, message));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    fn transport_error(&self, error: &reqwest::Error) -> ClientError {
        let (url, cause) = (&self.url, root_cause(error));
        if !error.is_connect() {
            return ClientError::new(ErrorKind::ConnectionLost, format!("the connection to {url} broke: {cause}"));
        }
        if is_tls(error) {
            let message = format!(
                "the TLS handshake with {url} failed: {cause}\nTo trust a certificate authority of your own, use {}.",
                self.names.ca_file
            );
            return ClientError::new(ErrorKind::Tls, message);
        }
        let message = format!("{url} can't be reached: {cause}\nIs the registry running? Set its URL with {}.", self.names.url);
        ClientError::new(ErrorKind::Unreachable, message)
    }

    fn success_body(&self, path: &str, answer: Answer) -> Result<Bytes, ClientError> {
        let Answer { status, headers, body } = answer;
        if (200..300).contains(&status) {
            return Ok(body);
        }
        if (300..400).contains(&status)
            && let Some(target) = headers.get(LOCATION).and_then(|target| target.to_str().ok())
        {
            let message =
                format!("{} redirects to {target}; redirects are not followed, so set that URL with {}", self.url, self.names.url);
            return Err(ClientError::new(ErrorKind::Redirected, message));
        }
        let error: Option<Value> = serde_json::from_slice(&body).ok();
        let member = |name| error.as_ref().and_then(|error| error.get(name));
        let code = member("error_code").and_then(|code| u32::try_from(code.as_u64()?).ok());
        let reason = member("message").and_then(Value::as_str);
        match code {
            Some(code) => Err(self.refusal(status, code, reason.unwrap_or("it gives no reason"))),
            // A proxy in front of the registry refuses in its own format.
            None if matches!(status, 401 | 403 | 429 | 502..=504) => {
                Err(self.refusal(status, u32::from(status), &format!("{} answers {status}", self.url)))
            }
            None => Err(self.unexpected_answer(status, path, &format!("answers {status}"))),
        }
    }

    fn refusal(&self, status: u16, code: u32, reason: &str) -> ClientError {
        let message = match status {
            401 => format!("the registry refused (401): {reason}\nAuthenticate with {}.", self.names.credentials),
            403 => format!("the registry refused (403): {reason}\nThese credentials do not permit it."),
            _ => format!("{reason} ({code})"),
        };
        ClientError::new(ErrorKind::Refused { status, code }, message)
    }
}

fn parse_url(url: &str, names: SettingNames) -> Result<Url, ClientError> {
    let shown = without_user_info(url);
    let wrong = |reason: String| ClientError::settings(format!("`{shown}` can't be a registry's URL: {reason}"));
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(wrong("it must begin with http:// or https://".to_owned()));
    }
    let parsed = Url::parse(url).map_err(|error| wrong(error.to_string()))?;
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(wrong(format!("it has a user name or a password; set them with {}", names.credentials)));
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(wrong("it must end with its path, before any `?` or `#`".to_owned()));
    }
    Ok(parsed)
}

fn read_certificates(file: &Path) -> Result<Vec<Certificate>, ClientError> {
    let name = file.display();
    let unreadable = |error: &dyn Error| ClientError::settings(format!("the CA file {name} can't be read as PEM: {error}"));
    let text = fs::read(file).map_err(|error| unreadable(&error))?;
    let certificates = Certificate::from_pem_bundle(&text).map_err(|error| unreadable(&error))?;
    if certificates.is_empty() {
        return Err(ClientError::settings(format!("the CA file {name} has no certificate: it needs PEM, `-----BEGIN CERTIFICATE-----`")));
    }
    Ok(certificates)
}

/// Whether TLS failed, and not the connection below it. An [`std::io::Error`] hides its inner error from [`Error::source`].
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>() || inner.is_some_and(|inner| is_tls(inner)) || error.source().is_some_and(is_tls)
}

fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: SettingNames = SettingNames { url: "url", credentials: "credentials", ca_file: "ca_file", timeout: "timeout" };

    fn transport(url: &str, credentials: Credentials) -> Result<Transport, ClientError> {
        Transport::new(ClientSettings { url: url.to_owned(), credentials, ca_file: None, timeout: Duration::from_secs(1), names: NAMES })
    }

    #[test]
    fn urls_are_checked() {
        let transport = |url: &str| transport(url, Credentials::Anonymous);
        assert_eq!(transport("http://[::1]:8081/below/a/path/").unwrap().base, "http://[::1]:8081/below/a/path");
        assert_eq!(transport("http://localhost").unwrap().base, "http://localhost");
        for wrong in ["", "localhost:8081", "ftp://a", "http://", "http://me:secret@a", "http://a?b=c", "http://a#b"] {
            assert_eq!(transport(wrong).err().map(|error| error.kind()), Some(ErrorKind::InvalidSettings), "{wrong}");
        }
    }

    #[test]
    fn tokens_are_checked() {
        assert!(transport("http://a", Credentials::Bearer("a.b-c".to_owned())).is_ok());
        assert!(transport("http://a", Credentials::Bearer("a\nb".to_owned())).is_err());
    }
}
