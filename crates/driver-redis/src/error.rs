//! What goes wrong with Redis, as an [`Error`].

use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use prism_call::{Code, Error};

/// Makes an [`Error`] of one of the client's. `retry_after` is for those that pass by themselves.
pub fn from(error: &RedisError, retry_after: Duration) -> Error {
    let detail = error.detail().unwrap_or_default();
    let made = match error.kind() {
        ErrorKind::AuthenticationFailed => login("it refused the username or the password"),
        ErrorKind::Server(kind) => match server(kind, detail) {
            Some(made) => made,
            None => by_code(error.code().unwrap_or_default(), detail, retry_after),
        },
        ErrorKind::Extension => by_code(error.code().unwrap_or_default(), detail, retry_after),
        ErrorKind::RESP3NotSupported => too_old("it does not speak RESP3"),
        ErrorKind::Io if error.to_string().contains("peer certificate") => refused(
            "BACKEND_CERTIFICATE",
            "the certificate of Redis is not trusted; check the setting tls.ca_file, and that url has the name in the certificate"
                .to_owned(),
        ),
        ErrorKind::Io => lost("the connection to Redis broke; a write may or may not have happened", retry_after),
        _ => Error::internal(format!("Redis answered what it should not: {}", error.category())),
    };
    made.with_source(error.clone())
}

/// How long to wait before an error that passes by itself is met again.
pub fn pause(error: &Error) -> Duration {
    error.retry_after().unwrap_or_default().clamp(Duration::from_millis(20), Duration::from_secs(1))
}

/// `UNAVAILABLE BACKEND_UNAVAILABLE`
pub fn lost(message: &'static str, retry_after: Duration) -> Error {
    // A client that is told to come back at once would only come back too early.
    Error::backend_unavailable(message, retry_after.max(Duration::from_millis(10)))
}

fn server(kind: ServerErrorKind, detail: &str) -> Option<Error> {
    Some(match kind {
        ServerErrorKind::NoPerm => refused(
            "BACKEND_PERMISSION",
            "Redis does not allow this user a command that Prism needs; grant the user +@all -@admin and the keys and channels of the key_prefix"
                .to_owned(),
        ),
        ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::CrossSlot => refused(
            "BACKEND_MISCONFIGURED",
            "the server is a node of a Redis Cluster that does not hold this keyspace; point url at one that does, or at a proxy".to_owned(),
        ),
        // Before Redis 7 an error inside a script came as ERR with the original one in its text.
        ServerErrorKind::ResponseError if detail.contains("OOM command not allowed") => full(),
        ServerErrorKind::ResponseError if detail.contains("-WRONGTYPE") => wrong_type(),
        ServerErrorKind::ResponseError if detail.contains("unknown command") || detail.contains("syntax error") => {
            too_old("it does not know a command that Prism needs")
        }
        ServerErrorKind::ResponseError if detail.contains("DB index") => {
            refused("BACKEND_MISCONFIGURED", "Redis has no database of the number that the settings url or database name".to_owned())
        }
        _ => return None,
    })
}

fn by_code(code: &str, detail: &str, retry_after: Duration) -> Error {
    match code {
        "OOM" => full(),
        "NOAUTH" => login("it asks for a password"),
        "WRONGPASS" => login("it refused the username or the password"),
        "WRONGTYPE" => wrong_type(),
        "READONLY" => lost("the server is a replica that takes no writes; a primary is expected here", retry_after),
        "LOADING" => lost("Redis is loading its data", retry_after),
        "MASTERDOWN" => lost("the server is a replica that lost its primary", retry_after),
        "CLUSTERDOWN" | "TRYAGAIN" => lost("the Redis Cluster is not ready", retry_after),
        "BUSY" => lost("Redis is busy with a script", retry_after),
        "NOREPLICAS" => lost("Redis has too few replicas to take writes", retry_after),
        "MISCONF" => lost("Redis takes no writes because it can't save its data; look at its log and its disk", retry_after),
        "EXECABORT" | "UNKILLABLE" => lost("Redis gave up a command", retry_after),
        _ => Error::internal(format!("Redis refused a command of Prism: {code} {detail}")),
    }
}

/// `RESOURCE_EXHAUSTED BACKEND_FULL`
fn full() -> Error {
    Error::new(Code::ResourceExhausted, "BACKEND_FULL", "Redis is full: its limit maxmemory is reached; remove data or raise maxmemory")
}

fn login(problem: &str) -> Error {
    refused("BACKEND_AUTHENTICATION", format!("Redis lets Prism not in: {problem}; check the settings username and password (or url)"))
}

fn wrong_type() -> Error {
    refused(
        "BACKEND_KEY_CONFLICT",
        "a Redis key of Prism holds another type of data: something else writes there; use another key_prefix or database".to_owned(),
    )
}

fn too_old(problem: &str) -> Error {
    refused("BACKEND_UNSUPPORTED", format!("the server can't be used: {problem}; Redis 6.2 or later is needed"))
}

fn refused(reason: &'static str, message: String) -> Error {
    Error::new(Code::FailedPrecondition, reason, message)
}

/// An answer that no version of Redis should give.
pub fn unexpected() -> Error {
    Error::internal("Redis answered in a form that Prism does not know")
}

/// A value that Prism has not written.
pub fn foreign() -> Error {
    refused(
        "BACKEND_KEY_CONFLICT",
        "a Redis key of Prism holds a value that Prism did not write; use another key_prefix or database".to_owned(),
    )
}
