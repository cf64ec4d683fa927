//! Maps errors of the SDK to [`Error`]. Nothing else in this driver does.

use std::{error::Error as StdError, time::Duration};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    primitives::ByteStreamError,
};

use prism_call::{Code, Error};

/// What an error means, if its meaning depends on the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// There is no such object.
    Missing,
    /// The condition of the request does not hold, or another request changes the object now.
    ConditionFailed,
    /// The range begins after the end of the object.
    RangeBeyondEnd,
    /// Anything else.
    Other,
}

/// Returns the meaning of an error.
pub fn meaning<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Meaning {
    let SdkError::ServiceError(failed) = error else { return Meaning::Other };
    match (failed.raw().status().as_u16(), failed.err().code().unwrap_or_default()) {
        // The upload is missing, not the object.
        (404, "NoSuchBucket" | "NoSuchUpload") => Meaning::Other,
        // HEAD has no body, and so no code.
        (404, _) => Meaning::Missing,
        (412, _) | (409, "ConditionalRequestConflict") => Meaning::ConditionFailed,
        (416, _) => Meaning::RangeBeyondEnd,
        _ => Meaning::Other,
    }
}

/// Whether there is no such multipart upload any longer.
pub fn is_missing_upload<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    error.as_service_error().and_then(ProvideErrorMetadata::code) == Some("NoSuchUpload")
}

/// Maps an error of a request.
pub fn map_error<E>(error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let mapped = match &error {
        SdkError::ServiceError(failed) => {
            let code = failed.err().code().unwrap_or_default();
            map_service_error(failed.raw().status().as_u16(), code, failed.err().message().unwrap_or_default())
        }
        other if is_of_credentials(other) => credentials_missing(),
        SdkError::ConstructionFailure(_) => Error::internal("a request of this driver can't be made"),
        SdkError::TimeoutError(_) => unavailable("S3 does not respond within request_timeout"),
        _ => unavailable("S3 can't be reached, or the connection broke; a write may or may not have happened"),
    };
    mapped.with_source(error)
}

/// Whether an error means that there are no credentials. They are fetched before a connection is made.
fn is_of_credentials(error: &(dyn StdError + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(current) = cause {
        if current.is::<CredentialsError>() {
            return true;
        }
        cause = current.source();
    }
    false
}

fn map_service_error(status: u16, code: &str, message: &str) -> Error {
    let refused = |reason: &'static str, text: &str| Error::new(Code::FailedPrecondition, reason, format!("{text} ({code})"));
    match (status, code) {
        (_, "NoSuchBucket") => bucket_missing(),
        (_, "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") | (301 | 307, _) => {
            refused("BACKEND_MISCONFIGURED", "the bucket is in another region or at another endpoint; change region or endpoint")
        }
        (_, "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired") | (401, _) => {
            refused(
                "BACKEND_AUTHENTICATION",
                "S3 refuses the credentials; check access_key_id and secret_access_key, or the standard chain",
            )
        }
        (_, "NoSuchUpload") => {
            unavailable("the parts of the upload were removed before it was complete; a lifecycle rule may be too short")
        }
        (_, "RequestTimeTooSkewed") => refused("BACKEND_AUTHENTICATION", "the clock of the gateway is wrong; synchronize it"),
        (403, _) => refused("BACKEND_PERMISSION", "S3 denies access; give the credentials the rights that docs/backends/s3.md lists"),
        (_, "KeyTooLongError") => {
            let problem = "is longer than this service allows; with escape_keys, longer keys fit";
            Error::invalid("key", problem).with_reason("INVALID_KEY")
        }
        (_, "EntityTooLarge") => Error::invalid("chunk", "the content is larger than the service allows").with_reason("VALUE_TOO_LARGE"),
        (507, _) | (_, "QuotaExceeded" | "XMinioStorageFull") => {
            Error::new(Code::ResourceExhausted, "BACKEND_FULL", "the bucket is full; remove objects or raise its quota")
        }
        (501, _) => Error::internal("the service does not implement a request of this driver"),
        (409 | 429 | 500.., _) | (_, "SlowDown" | "RequestTimeout" | "Throttling") => unavailable("S3 asks to try again later"),
        _ => Error::internal(format!("S3 refused a request of this driver: {status} {code} {message}")),
    }
}

/// Maps an error while a content is read.
pub fn map_stream_error(error: ByteStreamError) -> Error {
    unavailable("the connection to S3 broke, or S3 stopped sending, while the content was read").with_source(error)
}

/// `UNAVAILABLE BACKEND_UNAVAILABLE`: others write the key all the time.
pub fn contended() -> Error {
    unavailable("other writers change this key all the time; try again")
}

/// `FAILED_PRECONDITION BACKEND_MISCONFIGURED`
pub fn bucket_missing() -> Error {
    Error::new(Code::FailedPrecondition, "BACKEND_MISCONFIGURED", "the bucket does not exist; create it, or change url")
}

fn unavailable(message: &'static str) -> Error {
    Error::backend_unavailable(message, Duration::from_secs(1))
}

fn credentials_missing() -> Error {
    let message =
        "there are no credentials for S3, or they can't be fetched; set access_key_id and secret_access_key, or check the standard chain";
    Error::new(Code::FailedPrecondition, "BACKEND_AUTHENTICATION", message)
}
