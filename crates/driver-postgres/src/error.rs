//! Maps errors of PostgreSQL to [`Error`]. Nothing else in this driver does.

use std::{error::Error as _, sync::Arc, time::Duration};

use tokio_postgres::error::{DbError, Severity, SqlState};

use prism_call::{Code, Error};
use prism_driver::transactions;

/// Why a connection can't be used or a statement failed. It can be copied, because calls get the problem of an earlier attempt to connect.
#[derive(Clone, Debug)]
pub enum Problem {
    /// The server refused something, or the connection broke.
    Client(Arc<tokio_postgres::Error>),
    /// The server could not be connected in time.
    ConnectTimeout,
    /// The tables were written by a newer Prism.
    NewerTables { found: i32, known: i32 },
}

impl From<tokio_postgres::Error> for Problem {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Client(Arc::new(error))
    }
}

impl Problem {
    /// Whether the server has replied, so that the connection still works.
    pub fn is_reply(&self) -> bool {
        match self {
            Self::Client(error) => error.as_db_error().is_some_and(|error| error.parsed_severity() == Some(Severity::Error)),
            Self::ConnectTimeout | Self::NewerTables { .. } => false,
        }
    }

    /// Whether the table or the schema of a statement does not exist.
    pub fn is_missing_table(&self) -> bool {
        matches!(self.state(), Some(&SqlState::UNDEFINED_TABLE | &SqlState::INVALID_SCHEMA_NAME))
    }

    fn state(&self) -> Option<&SqlState> {
        match self {
            Self::Client(error) => error.code(),
            Self::ConnectTimeout | Self::NewerTables { .. } => None,
        }
    }

    /// Maps a problem of a statement. `retry_after` is for problems that are temporary.
    pub fn to_error(&self, retry_after: Duration) -> Error {
        match self {
            Self::Client(error) => match error.as_db_error() {
                Some(refusal) => map_refusal(refusal, retry_after).with_source(format!("{} {}", refusal.code().code(), refusal.message())),
                None => map_transport_error(error, "the connection to PostgreSQL broke; a write may or may not have happened", retry_after),
            },
            Self::ConnectTimeout => unavailable("PostgreSQL could not be connected in time", retry_after),
            Self::NewerTables { found, known } => failed_precondition(
                "BACKEND_UNSUPPORTED",
                format!(
                    "the tables were written by a newer Prism (version {found}; this build knows {known}); use that Prism or a newer one"
                ),
            ),
        }
    }

    /// Maps a problem of an attempt to connect.
    pub fn to_connect_error(&self, retry_after: Duration) -> Error {
        match self {
            Self::Client(error) if error.as_db_error().is_none() => map_transport_error(error, "PostgreSQL can't be reached", retry_after),
            _ => self.to_error(retry_after),
        }
    }
}

/// The reason if a foreign key refuses a statement.
pub const FOREIGN_KEY: &str = "FOREIGN_KEY_VIOLATION";

/// `UNAVAILABLE BACKEND_UNAVAILABLE`
pub fn unavailable(message: &'static str, retry_after: Duration) -> Error {
    // An immediate retry would fail again.
    Error::backend_unavailable(message, retry_after.max(Duration::from_millis(10)))
}

/// `UNAVAILABLE BACKEND_UNAVAILABLE`: the backend was closed.
pub fn backend_closed() -> Error {
    unavailable("the PostgreSQL backend is closed because the gateway is stopping", Duration::from_secs(1))
}

/// `FAILED_PRECONDITION BACKEND_MISCONFIGURED`: the gateway can't receive notifications.
pub fn cannot_listen() -> Error {
    misconfigured(
        "subscriptions need a connection to PostgreSQL itself, because a pooler that assigns connections to transactions passes no notifications on; \
         set listen_url to the address of the server",
    )
}

/// A reply in a form that this driver does not expect.
pub fn unexpected_reply() -> Error {
    Error::internal("PostgreSQL sent a reply in a form that Prism does not know")
}

fn map_transport_error(error: &tokio_postgres::Error, message: &'static str, retry_after: Duration) -> Error {
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    let text = format!("{error}: {cause}");
    let mapped = if text.contains("certificate") {
        failed_precondition(
            "BACKEND_CERTIFICATE",
            "the certificate of PostgreSQL is not trusted, or it refused that of Prism; check the settings tls.ca_file and \
             tls.certificate_file, and that the address has the host name in the certificate"
                .to_owned(),
        )
    } else if text.contains("server does not support TLS") {
        failed_precondition(
            "BACKEND_MISCONFIGURED",
            "PostgreSQL does not support TLS; set tls.mode to disable, or enable TLS there".to_owned(),
        )
    } else if text.contains("authentication") || text.contains("password missing") {
        authentication_failed("it asks for a password, or for a method of authentication that Prism does not know")
    } else {
        unavailable(message, retry_after)
    };
    mapped.with_source(text)
}

/// Maps an error that the server reported, by its code (PostgreSQL documentation, appendix A).
fn map_refusal(refusal: &DbError, retry_after: Duration) -> Error {
    let code = refusal.code();
    match code.code() {
        "28000" | "28P01" => authentication_failed(if refusal.message().contains("no pg_hba.conf entry") {
            "its pg_hba.conf has no entry that admits this user, database and address with this encryption"
        } else {
            "it refused the user or the password"
        }),
        "3D000" => misconfigured("PostgreSQL has no database with this name; create it, or change the setting database or url"),
        "42501" => failed_precondition(
            "BACKEND_PERMISSION",
            "PostgreSQL does not allow this user a statement that Prism needs; let the user own the schema, or create the schema in the database"
                .to_owned(),
        ),
        "42P07" | "42710" => misconfigured("the schema has tables of another program; set schema to another name"),
        "42P01" | "3F000" | "42703" => misconfigured("tables of Prism were removed or changed in PostgreSQL; restore them, or restart Prism to create new ones"),
        "26000" | "42P05" | "08P01" => misconfigured(
            "PostgreSQL does not know a statement that Prism prepared; behind a pooler such as PgBouncer, set prepared_statements to false",
        ),
        "25006" => unavailable("the server is a standby that accepts no writes; set url to the primary, or to all servers", retry_after),
        // The document interfaces name their own index instead.
        "23505" => prism_driver::document::unique_violation(refusal.constraint().unwrap_or_default()),
        // The graph interfaces name the node instead.
        "23503" => failed_precondition(FOREIGN_KEY, "a row would refer to one that does not exist".to_owned()),
        "40001" | "40P01" => transactions::conflict(),
        "53100" | "54000" => full("its disk, or another of its limits, is full; remove data or add space"),
        "53200" => unavailable("PostgreSQL has no memory left for a statement", retry_after),
        "53300" => unavailable("PostgreSQL has no connection left; raise its max_connections, or lower that of this backend", retry_after),
        "57014" | "55P03" => unavailable("PostgreSQL canceled a statement that took too long; it had no effect", retry_after),
        "57P01" | "57P02" | "57P03" | "57P05" => unavailable("PostgreSQL is starting or stopping", retry_after),
        "0A000" => unavailable("a newer Prism has changed the tables", retry_after),
        "XX001" | "XX002" => Error::new(Code::DataLoss, "DATABASE_DAMAGED", "PostgreSQL reports damaged data; restore it from a backup"),
        other if other.starts_with("08") || other.starts_with("58") => {
            unavailable("PostgreSQL has a problem with its connections or its system; its log has more", retry_after)
        }
        other => Error::internal(format!("PostgreSQL refused a statement of Prism: {other} {}", refusal.message())),
    }
}

/// `RESOURCE_EXHAUSTED BACKEND_FULL`
fn full(problem: &str) -> Error {
    Error::new(Code::ResourceExhausted, "BACKEND_FULL", format!("PostgreSQL is full: {problem}"))
}

fn authentication_failed(problem: &str) -> Error {
    failed_precondition(
        "BACKEND_AUTHENTICATION",
        format!("PostgreSQL refused the login of Prism: {problem}; check the settings user and password (or url)"),
    )
}

fn misconfigured(message: &str) -> Error {
    failed_precondition("BACKEND_MISCONFIGURED", message.to_owned())
}

fn failed_precondition(reason: &'static str, message: String) -> Error {
    Error::new(Code::FailedPrecondition, reason, message)
}
