//! Maps errors of Redis to [`Error`]. Nothing else in this driver does.

use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use prism_call::{Code, Error};

/// The reason of errors that tell that another program writes to a key of Prism.
const KEY_CONFLICT: &str = "BACKEND_KEY_CONFLICT";

/// Maps an error of the Redis client. `retry_after` is for errors that are temporary.
pub fn map_redis_error(error: &RedisError, retry_after: Duration) -> Error {
    let detail = error.detail().unwrap_or_default();
    let mapped = match error.kind() {
        ErrorKind::AuthenticationFailed => authentication_failed("it refused the username or the password"),
        ErrorKind::Server(kind) => match map_server_error(kind, detail) {
            Some(mapped) => mapped,
            None => map_error_code(error.code().unwrap_or_default(), detail, retry_after),
        },
        ErrorKind::Extension => map_error_code(error.code().unwrap_or_default(), detail, retry_after),
        ErrorKind::RESP3NotSupported => unsupported_server("it does not support RESP3"),
        ErrorKind::Io if error.to_string().contains("peer certificate") => failed_precondition(
            "BACKEND_CERTIFICATE",
            "the certificate of Redis is not trusted; check the setting tls.ca_file, and that url has the host name in the certificate"
                .to_owned(),
        ),
        ErrorKind::Io => unavailable("the connection to Redis broke; a write may or may not have happened", retry_after),
        _ => Error::internal(format!("Redis sent an unexpected reply: {}", error.category())),
    };
    mapped.with_source(error.clone())
}

/// How long to wait before the next attempt after a temporary error.
pub fn retry_pause(error: &Error) -> Duration {
    error.retry_after().unwrap_or_default().clamp(Duration::from_millis(20), Duration::from_secs(1))
}

/// `UNAVAILABLE BACKEND_UNAVAILABLE`
pub fn unavailable(message: &'static str, retry_after: Duration) -> Error {
    // An immediate retry would fail again.
    Error::backend_unavailable(message, retry_after.max(Duration::from_millis(10)))
}

/// `UNAVAILABLE BACKEND_UNAVAILABLE`: the backend was closed.
pub fn backend_closed() -> Error {
    unavailable("the Redis backend is closed because the gateway is stopping", Duration::from_secs(1))
}

fn map_server_error(kind: ServerErrorKind, detail: &str) -> Option<Error> {
    Some(match kind {
        ServerErrorKind::NoPerm => failed_precondition(
            "BACKEND_PERMISSION",
            "Redis does not allow this user a command that Prism needs; grant the user +@all -@admin and the keys and channels of the key_prefix"
                .to_owned(),
        ),
        ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::CrossSlot => failed_precondition(
            "BACKEND_MISCONFIGURED",
            "the server is a node of a Redis Cluster that does not hold this keyspace; set url to one that does, or to a proxy".to_owned(),
        ),
        // Before Redis 7, an error inside a script has the code ERR, with the original error in its text.
        ServerErrorKind::ResponseError if detail.contains("OOM command not allowed") => memory_full(),
        ServerErrorKind::ResponseError if detail.contains("-WRONGTYPE") => wrong_type(),
        ServerErrorKind::ResponseError if detail.contains("unknown command") || detail.contains("syntax error") => {
            unsupported_server("it does not know a command that Prism needs")
        }
        ServerErrorKind::ResponseError if detail.contains("DB index") => {
            failed_precondition("BACKEND_MISCONFIGURED", "Redis has no database with the number in the setting url or database".to_owned())
        }
        _ => return None,
    })
}

fn map_error_code(code: &str, detail: &str, retry_after: Duration) -> Error {
    match code {
        "OOM" => memory_full(),
        "NOAUTH" => authentication_failed("it asks for a password"),
        "WRONGPASS" => authentication_failed("it refused the username or the password"),
        "WRONGTYPE" => wrong_type(),
        "READONLY" => unavailable("the server is a replica that accepts no writes; set url to the primary", retry_after),
        "LOADING" => unavailable("Redis is loading its data", retry_after),
        "MASTERDOWN" => unavailable("the server is a replica that lost its primary", retry_after),
        "CLUSTERDOWN" | "TRYAGAIN" => unavailable("the Redis Cluster is not ready", retry_after),
        "BUSY" => unavailable("Redis is busy with a script", retry_after),
        "NOREPLICAS" => unavailable("Redis has too few replicas to accept writes", retry_after),
        "MISCONF" => unavailable("Redis accepts no writes because it can't save its data; check its log and its disk", retry_after),
        "EXECABORT" | "UNKILLABLE" => unavailable("Redis aborted a command", retry_after),
        _ => Error::internal(format!("Redis refused a command of Prism: {code} {detail}")),
    }
}

/// `RESOURCE_EXHAUSTED BACKEND_FULL`
fn memory_full() -> Error {
    Error::new(Code::ResourceExhausted, "BACKEND_FULL", "Redis is full: its limit maxmemory is reached; remove data or raise maxmemory")
        .with_retry_after(Duration::from_secs(5))
}

fn authentication_failed(problem: &str) -> Error {
    failed_precondition(
        "BACKEND_AUTHENTICATION",
        format!("Redis refused the login of Prism: {problem}; check the settings username and password (or url)"),
    )
}

fn wrong_type() -> Error {
    failed_precondition(
        KEY_CONFLICT,
        "a Redis key of Prism holds another type of data: another program writes there; use another key_prefix or database".to_owned(),
    )
}

/// The error of a command on a key that a client chose, as the contracts of lists and sets name it: `WRONG_TYPE`, if the key holds
/// another type.
pub fn name_wrong_type(error: Error) -> Error {
    if error.reason() == KEY_CONFLICT { error.with_reason("WRONG_TYPE") } else { error }
}

fn unsupported_server(problem: &str) -> Error {
    failed_precondition("BACKEND_UNSUPPORTED", format!("the server can't be used: {problem}; Redis 6.2 or later is required"))
}

fn failed_precondition(reason: &'static str, message: String) -> Error {
    Error::new(Code::FailedPrecondition, reason, message)
}

/// `UNAVAILABLE BACKEND_UNAVAILABLE`: the result of an operation on sets was not read for a minute.
pub fn result_expired() -> Error {
    unavailable("the result of the operation has expired, because its stream was not read for a minute; repeat the call", Duration::ZERO)
}

/// A reply in a form that this driver does not expect from any version of Redis.
pub fn unexpected_reply() -> Error {
    Error::internal("Redis sent a reply in a form that Prism does not know")
}

/// A stored value that Prism did not write.
pub fn foreign_value() -> Error {
    failed_precondition(
        KEY_CONFLICT,
        "a Redis key of Prism holds a value that Prism did not write; use another key_prefix or database".to_owned(),
    )
}
