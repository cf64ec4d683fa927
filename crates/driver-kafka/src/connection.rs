//! What the clients of librdkafka report: errors of the connection, logs, and requests for a new token.

use std::{
    error::Error as StdError,
    fs,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, Statistics, client::OAuthToken, config::RDKafkaLogLevel, consumer::ConsumerContext, error::KafkaError,
    types::RDKafkaErrorCode,
};
use serde::Deserialize;

use crate::{client_connections::ClientConnections, error};
use prism_call::{Code, Error};
use prism_driver::{cursor, lock::lock, time};

/// How long a token without expiry time is used before its file is read again.
const TOKEN_LIFETIME: Duration = Duration::from_mins(5);

/// The state of the connections, shared by all clients of a backend.
#[derive(Default)]
pub struct Status {
    closed: AtomicBool,
    last: Mutex<LastError>,
    /// The connections of all clients.
    pub connections: ClientConnections,
}

#[derive(Default)]
struct LastError {
    /// Since when no broker is reachable.
    down_since: Option<Instant>,
    /// The last error that only a change of the settings can solve.
    lasting: Option<(Instant, KafkaError)>,
}

impl Status {
    /// A response came.
    pub fn responded(&self) {
        let mut last = lock(&self.last);
        last.down_since = None;
        last.lasting = None;
    }

    /// How long no broker has been reachable.
    pub fn down_for(&self) -> Option<Duration> {
        lock(&self.last).down_since.map(|since| since.elapsed())
    }

    /// The error of a request that has no response: of the login, if that failed since the request began.
    pub fn no_response(&self, began: Instant) -> Error {
        if self.is_closed() {
            return error::backend_closed();
        }
        let last = lock(&self.last);
        // librdkafka reports a failed login once for each attempt to connect, and these become rarer.
        let lasting = last.lasting.as_ref().filter(|(at, _)| *at + Duration::from_secs(10) >= began);
        lasting.map_or_else(error::no_response, |(_, cause)| error::map(cause, 0))
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    fn failed(&self, cause: &KafkaError) {
        let mapped = error::map(cause, 0);
        let mut last = lock(&self.last);
        if error::code(cause) == Some(RDKafkaErrorCode::AllBrokersDown) {
            last.down_since.get_or_insert_with(Instant::now);
        }
        if mapped.code() == Code::FailedPrecondition {
            last.lasting = Some((Instant::now(), cause.clone()));
        }
    }
}

/// Receives what a client of librdkafka reports.
#[derive(Clone)]
pub struct Reports {
    pub status: Arc<Status>,
    pub token_file: Option<PathBuf>,
}

impl ClientContext for Reports {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // The errors of calls say what fails; these messages say why, for whoever looks for it.
        if let RDKafkaLogLevel::Debug = level {
            tracing::trace!(facility, "{message}");
        } else {
            tracing::debug!(facility, "{message}");
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "a client of Kafka reports an error");
        self.status.failed(&error);
    }

    fn stats(&self, statistics: Statistics) {
        self.status.connections.record(&statistics);
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn StdError>> {
        let file = self.token_file.as_ref().ok_or("sasl.token_file is not set")?;
        let token = fs::read_to_string(file).map_err(|error| format!("sasl.token_file can't be read: {error}"))?.trim().to_owned();
        let claims = parse_claims(&token).unwrap_or_default();
        let lifetime = i64::try_from(TOKEN_LIFETIME.as_millis()).unwrap_or(i64::MAX);
        let lifetime_ms = claims.exp.map_or_else(|| time::now() + lifetime, |seconds| seconds.saturating_mul(1000));
        Ok(OAuthToken { token, principal_name: claims.sub.unwrap_or_default(), lifetime_ms })
    }
}

impl ConsumerContext for Reports {}

/// What librdkafka needs to know of a token.
#[derive(Debug, Default, Deserialize)]
struct Claims {
    sub: Option<String>,
    exp: Option<i64>,
}

/// Reads the claims of a JSON Web Token. The broker verifies it.
fn parse_claims(token: &str) -> Option<Claims> {
    let payload = cursor::decode(token.split('.').nth(1)?).ok()??;
    serde_json::from_slice(&payload).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_claims_of_a_token() {
        let token = format!("e30.{}.c2ln", cursor::encode(br#"{"sub":"ada","exp":1796000000}"#));
        let claims = parse_claims(&token).unwrap();
        assert_eq!((claims.sub.as_deref(), claims.exp), (Some("ada"), Some(1_796_000_000)));
        assert!(parse_claims("opaque").is_none());
    }

    #[test]
    fn remembers_a_refused_login() {
        let status = Status::default();
        let began = Instant::now();
        status.failed(&KafkaError::Global(RDKafkaErrorCode::AllBrokersDown));
        assert_eq!(status.no_response(began).reason(), "BACKEND_UNAVAILABLE");
        assert!(status.down_for().is_some());
        status.failed(&KafkaError::Global(RDKafkaErrorCode::SaslAuthenticationFailed));
        assert_eq!(status.no_response(began).reason(), "BACKEND_AUTHENTICATION");
        status.responded();
        assert_eq!((status.no_response(began).reason(), status.down_for()), ("BACKEND_UNAVAILABLE", None));
    }
}
