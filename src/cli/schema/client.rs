//! A small HTTP/1.1 client: connections are kept, answers are bounded, and what may be asked twice is.

use std::{
    fmt,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::tls;

/// Most bytes of an answer: a page of schemas of the largest size fits in.
const MAX_BODY_BYTES: usize = 256 << 20;
/// How often a busy registry is asked.
const MAX_ATTEMPTS: u32 = 5;
/// The wait before the second attempt; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Longest wait that a registry may ask for.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// Connections that are kept for the next request.
const MAX_IDLE: usize = 16;

/// Who asks.
#[derive(Clone, Debug)]
pub(super) enum Credentials {
    Nobody,
    /// `name:password`.
    Basic(String),
    Bearer(String),
}

/// Whether a request may be sent again when it is not known what became of it, or the registry was busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    Yes,
    No,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It could not be asked, or what came can't be read.
    Lost(String),
    /// A status without an error of a registry: perhaps it is none.
    Foreign { status: u16, message: String },
    /// It said no.
    Refused { status: u16, code: u32, message: String },
}

impl Trouble {
    /// Whether a registry says that what was asked for is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: 404 | 405, .. })
    }

    /// Whether there is no such thing or no such path, whoever says so.
    pub fn is_absent(&self) -> bool {
        self.is_missing() || matches!(self, Self::Foreign { status: 404 | 405, .. })
    }

    /// The `error_code` of a refusal.
    pub fn code(&self) -> Option<u32> {
        if let Self::Refused { code, .. } = self { Some(*code) } else { None }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(message) | Self::Foreign { message, .. } => f.write_str(message),
            Self::Refused { status: 401, message, .. } => {
                write!(f, "the registry refused (401): {message}\nGive --user NAME:PASSWORD or --token TOKEN.")
            }
            Self::Refused { status: 403, message, .. } => {
                write!(f, "the registry refused (403): {message}\nThese credentials may not do this.")
            }
            Self::Refused { code, message, .. } => write!(f, "{message} ({code})"),
        }
    }
}

/// An answer.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

type Sender = SendRequest<Full<Bytes>>;

/// A server, and the connections to it.
pub(super) struct Client {
    url: String,
    host: String,
    port: u16,
    authority: HeaderValue,
    /// What paths begin with; without a slash at its end.
    path: String,
    tls: Option<TlsConnector>,
    authorization: Option<HeaderValue>,
    timeout: Duration,
    idle: Mutex<Vec<Sender>>,
}

impl Client {
    pub fn new(url: &str, credentials: &Credentials, ca_file: Option<&Path>, timeout: Duration) -> Result<Self, String> {
        let wrong = |why: &str| format!("`{url}` can't be a registry's URL: {why}");
        let uri: Uri = url.parse().map_err(|error| wrong(&format!("{error}")))?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong("it begins with http:// or https://")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("who asks is told by --user NAME:PASSWORD or its environment variable"));
        }
        if uri.query().is_some() {
            return Err(wrong("it has a query, behind `?`"));
        }
        let authorization = match credentials {
            Credentials::Nobody => None,
            Credentials::Basic(pair) if !pair.contains(':') => return Err("--user takes NAME:PASSWORD".to_owned()),
            Credentials::Basic(pair) => Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))),
            Credentials::Bearer(token) => Some(format!("Bearer {token}")),
        };
        let authorization = authorization.map(|text| {
            let mut value = HeaderValue::try_from(text).map_err(|_| "the token has characters that a header can't have".to_owned())?;
            value.set_sensitive(true);
            Ok::<_, String>(value)
        });
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            authority: HeaderValue::try_from(authority.as_str()).map_err(|_| wrong("its host can't be sent"))?,
            path: uri.path().trim_end_matches('/').to_owned(),
            tls: if secure { Some(tls::connector(ca_file)?) } else { None },
            authorization: authorization.transpose()?,
            timeout,
            idle: Mutex::default(),
        })
    }

    /// As it was given.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Asks, and gives the body of a good answer.
    pub async fn ask(&self, method: Method, path: &str, body: Option<Bytes>, repeat: Repeat) -> Result<Bytes, Trouble> {
        let mut attempt = 1;
        loop {
            let answer = self.once(&method, path, body.clone(), repeat).await?;
            let busy = matches!(answer.status, 429 | 503);
            if !busy || repeat == Repeat::No || attempt == MAX_ATTEMPTS {
                return self.judge(path, answer);
            }
            let asked = answer.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            let wait = asked.map_or(FIRST_WAIT * 2u32.pow(attempt - 1), Duration::from_secs);
            tokio::time::sleep(wait.min(MAX_WAIT)).await;
            attempt += 1;
        }
    }

    fn judge(&self, path: &str, answer: Answer) -> Result<Bytes, Trouble> {
        let Answer { status, headers, body } = answer;
        if (200..300).contains(&status) {
            return Ok(body);
        }
        if let Some(to) = headers.get(header::LOCATION).and_then(|to| to.to_str().ok()).filter(|_| (300..400).contains(&status)) {
            return Err(Trouble::Lost(format!("{} leads to {to}, and redirections are not followed; give that as --url", self.url)));
        }
        let told: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
        let code = told.as_ref().and_then(|told| told.get("error_code")?.as_u64()).and_then(|code| u32::try_from(code).ok());
        let message = told.as_ref().and_then(|told| told.get("message")?.as_str());
        match (code, message) {
            (Some(code), message) => Err(Trouble::Refused { status, code, message: message.unwrap_or("it does not say why").to_owned() }),
            // A proxy in front of the registry says no in its own way.
            (None, _) if matches!(status, 401 | 403 | 429 | 502..=504) => {
                Err(Trouble::Refused { status, code: u32::from(status), message: format!("{} answers {status}", self.url) })
            }
            (None, _) => Err(Trouble::Foreign {
                status,
                message: format!(
                    "{}{path} answers {status}, and not as a schema registry does; is --url right, and does it lack a path?",
                    self.url
                ),
            }),
        }
    }

    async fn once(&self, method: &Method, path: &str, body: Option<Bytes>, repeat: Repeat) -> Result<Answer, Trouble> {
        let limit = tokio::time::timeout(self.timeout, async {
            if let Some(sender) = self.kept().await {
                match self.send(sender, method, path, body.clone()).await {
                    // It was closed while nobody looked.
                    Err(_) if repeat == Repeat::Yes => {}
                    other => return other,
                }
            }
            self.send(self.connect().await?, method, path, body).await
        });
        limit.await.unwrap_or_else(|_| {
            let seconds = self.timeout.as_secs_f64();
            Err(Trouble::Lost(format!("{} did not answer within {seconds}s; --timeout gives it more time", self.url)))
        })
    }

    async fn kept(&self) -> Option<Sender> {
        loop {
            let mut sender = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    fn keep(&self, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if !sender.is_closed() && idle.len() < MAX_IDLE {
            idle.push(sender);
        }
    }

    async fn send(&self, mut sender: Sender, method: &Method, path: &str, body: Option<Bytes>) -> Result<Answer, Trouble> {
        let lost = |error: &dyn fmt::Display| Trouble::Lost(format!("the connection to {} broke: {error}", self.url));
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.path))
            .header(header::HOST, &self.authority)
            .header(header::USER_AGENT, concat!("prism/", env!("CARGO_PKG_VERSION")))
            .header(header::ACCEPT, "application/vnd.schemaregistry.v1+json, application/json; q=0.9, */*; q=0.5");
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/vnd.schemaregistry.v1+json");
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request.body(Full::new(body.unwrap_or_default())).map_err(|error| lost(&error))?;
        let (head, body) = sender.send_request(request).await.map_err(|error| lost(&error))?.into_parts();
        let body = Limited::new(body, MAX_BODY_BYTES).collect().await.map_err(|error| lost(&error))?.to_bytes();
        self.keep(sender);
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }

    async fn connect(&self) -> Result<Sender, Trouble> {
        let away = |error: &dyn fmt::Display| {
            let url = &self.url;
            Trouble::Lost(format!("{url} can't be reached: {error}\nIs the registry running? --url or PRISM_REGISTRY_URL says where."))
        };
        let stream = TcpStream::connect((&*self.host, self.port)).await.map_err(|error| away(&error))?;
        // What is asked is small, and waited for; if it can't be set, it is only slower.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else { return self.handshake(stream).await };
        let name = ServerName::try_from(self.host.clone()).map_err(|error| away(&error))?;
        let stream = tls.connect(name, stream).await.map_err(|error| {
            Trouble::Lost(format!(
                "no TLS with {}: {error}\nA certificate of an authority of your own is trusted with --ca-file.",
                self.url
            ))
        })?;
        self.handshake(stream).await
    }

    async fn handshake<S>(&self, stream: S) -> Result<Sender, Trouble>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let broken = |error: hyper::Error| Trouble::Lost(format!("{} does not speak HTTP: {error}", self.url));
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        tokio::spawn(async move {
            // What goes wrong is told to who waits for the answer.
            let _ = connection.await;
        });
        Ok(sender)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked() {
        let client = |url: &str| Client::new(url, &Credentials::Nobody, None, Duration::from_secs(1));
        let made = client("http://[::1]:8081/below/a/path/").ok();
        assert_eq!(made.as_ref().map(|made| (&*made.host, made.port, &*made.path)), Some(("::1", 8081, "/below/a/path")));
        for wrong in ["", "localhost:8081", "ftp://a", "http://", "http://me:secret@a", "http://a?b=c"] {
            assert!(client(wrong).is_err(), "{wrong}");
        }
        assert!(Client::new("http://a", &Credentials::Basic("me".to_owned()), None, Duration::from_secs(1)).is_err());
    }
}
