//! Helper functions of all suites.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use prism::call::{Code, Error, Messages};
use prost_types::Timestamp;

/// Maximum time until something happens without further action, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// If nothing comes for this long, nothing will come.
pub const SILENCE: Duration = Duration::from_millis(150);

/// Returns milliseconds as a protobuf duration.
pub fn millis(millis: i64) -> prost_types::Duration {
    prost_types::Duration { seconds: millis / 1000, nanos: i32::try_from(millis % 1000).unwrap() * 1_000_000 }
}

/// Returns seconds as a protobuf duration.
pub fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

/// Converts a protobuf timestamp to milliseconds since 1970.
pub fn since_1970(timestamp: Option<&Timestamp>) -> i64 {
    let timestamp = timestamp.expect("a time");
    timestamp.seconds * 1000 + i64::from(timestamp.nanos) / 1_000_000
}

/// Returns the current time in milliseconds since 1970.
pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// Converts milliseconds since 1970 to a protobuf timestamp.
pub fn timestamp(millis: i64) -> Timestamp {
    Timestamp { seconds: millis.div_euclid(1000), nanos: i32::try_from(millis.rem_euclid(1000)).unwrap() * 1_000_000 }
}

pub async fn sleep(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// Returns the next item, or `None` at the end of the stream.
async fn item<T>(stream: &mut Messages<T>) -> Option<Result<T, Error>> {
    let item = tokio::time::timeout(PATIENCE, stream.next()).await;
    item.unwrap_or_else(|_| panic!("nothing came within {PATIENCE:?}, not even the end of the stream"))
}

/// Returns the next message. Panics if none comes in time.
pub async fn next<T>(stream: &mut Messages<T>) -> T {
    match item(stream).await {
        Some(Ok(message)) => message,
        Some(Err(error)) => panic!("the stream failed: {error:?}"),
        None => panic!("the stream ended too early"),
    }
}

/// Returns the error that ends the stream, and skips the messages before it.
pub async fn end_with_error<T>(stream: &mut Messages<T>) -> Error {
    loop {
        match item(stream).await {
            Some(Ok(_)) => {}
            Some(Err(error)) => return error,
            None => panic!("the stream ended without an error"),
        }
    }
}

/// Returns all messages until the end of the stream.
pub async fn all<T>(mut stream: Messages<T>) -> Vec<T> {
    let mut messages = Vec::new();
    loop {
        match item(&mut stream).await {
            Some(Ok(message)) => messages.push(message),
            Some(Err(error)) => panic!("the stream failed: {error:?}"),
            None => return messages,
        }
    }
}

/// Checks that no message comes for a while, and that the stream does not end.
pub async fn silent<T>(stream: &mut Messages<T>) {
    if let Ok(item) = tokio::time::timeout(SILENCE, stream.next()).await {
        match item {
            Some(Ok(_)) => panic!("an unexpected message came"),
            Some(Err(error)) => panic!("the stream failed: {error:?}"),
            None => panic!("the stream ended"),
        }
    }
}

/// Returns the error of a streaming call, either from the call itself or as the first item of its stream.
pub async fn refusal<T>(answer: Result<Messages<T>, Error>) -> Error {
    match answer {
        Err(error) => error,
        Ok(mut stream) => match item(&mut stream).await {
            Some(Err(error)) => error,
            Some(Ok(_)) => panic!("it was not refused: a message came"),
            None => panic!("it was not refused: the stream ended"),
        },
    }
}

/// Checks that the call failed with this code and reason.
#[track_caller]
pub fn refused<T>(answer: Result<T, Error>, code: Code, reason: &str) -> Error {
    match answer {
        Ok(_) => panic!("not refused; {} {reason} was expected", code.name()),
        Err(error) => {
            assert_eq!((error.code().name(), error.reason()), (code.name(), reason), "{error:?}");
            error
        }
    }
}

/// Checks that the call failed as `INVALID_ARGUMENT` with this reason, and that the error names the field.
#[track_caller]
pub fn invalid<T>(answer: Result<T, Error>, reason: &str, field: &str) {
    let error = refused(answer, Code::InvalidArgument, reason);
    let fields: Vec<&str> = error.violations().iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, [field], "{error:?}");
}

/// Repeats a check until it returns true.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    let began = Instant::now();
    while !ask().await {
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        sleep(20).await;
    }
}

/// Like `refusal`, but returns a `Result` for [`refused`] and [`invalid`].
pub async fn stream_refusal<T>(answer: Result<Messages<T>, Error>) -> Result<(), Error> {
    Err(refusal(answer).await)
}
