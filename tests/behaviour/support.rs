//! Small tools of all suites.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use prism::call::{Code, Error, Messages};
use prost_types::Timestamp;

/// How long something may take that comes by itself, on a machine that has other things to do.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// A time of silence after which we believe that nothing comes.
pub const SILENCE: Duration = Duration::from_millis(150);

/// Milliseconds as a request has them.
pub fn millis(millis: i64) -> prost_types::Duration {
    prost_types::Duration { seconds: millis / 1000, nanos: i32::try_from(millis % 1000).unwrap() * 1_000_000 }
}

/// Seconds as a request has them.
pub fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

/// Milliseconds since 1970 of an answer.
pub fn since_1970(timestamp: Option<&Timestamp>) -> i64 {
    let timestamp = timestamp.expect("a time");
    timestamp.seconds * 1000 + i64::from(timestamp.nanos) / 1_000_000
}

/// Milliseconds since 1970.
pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// A time as a request has it.
pub fn timestamp(millis: i64) -> Timestamp {
    Timestamp { seconds: millis.div_euclid(1000), nanos: i32::try_from(millis.rem_euclid(1000)).unwrap() * 1_000_000 }
}

pub async fn sleep(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// The next item; `None` when the stream has ended.
async fn item<T>(stream: &mut Messages<T>) -> Option<Result<T, Error>> {
    let item = tokio::time::timeout(PATIENCE, stream.next()).await;
    item.unwrap_or_else(|_| panic!("nothing came within {PATIENCE:?}, not even the end of the stream"))
}

/// The next message; it must come, and soon.
pub async fn next<T>(stream: &mut Messages<T>) -> T {
    match item(stream).await {
        Some(Ok(message)) => message,
        Some(Err(error)) => panic!("the stream failed: {error:?}"),
        None => panic!("the stream ended too early"),
    }
}

/// The error that the stream ends with, whatever comes before.
pub async fn end_with_error<T>(stream: &mut Messages<T>) -> Error {
    loop {
        match item(stream).await {
            Some(Ok(_)) => {}
            Some(Err(error)) => return error,
            None => panic!("the stream ended without an error"),
        }
    }
}

/// Everything up to the end of the stream.
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

/// Nothing comes for a while, and the stream does not end.
pub async fn silent<T>(stream: &mut Messages<T>) {
    if let Ok(item) = tokio::time::timeout(SILENCE, stream.next()).await {
        match item {
            Some(Ok(_)) => panic!("a message came that should not"),
            Some(Err(error)) => panic!("the stream failed: {error:?}"),
            None => panic!("the stream ended"),
        }
    }
}

/// What a streaming call refuses with, whether it does so at once or as the first thing in its stream.
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

/// The call was refused with this code and reason.
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

/// The call was refused as `INVALID_ARGUMENT` with this reason, and named the field.
#[track_caller]
pub fn invalid<T>(answer: Result<T, Error>, reason: &str, field: &str) {
    let error = refused(answer, Code::InvalidArgument, reason);
    let fields: Vec<&str> = error.violations().iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, [field], "{error:?}");
}

/// Asks again and again until it is true.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    let began = Instant::now();
    while !ask().await {
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        sleep(20).await;
    }
}

/// A stream that fails as `refusal` finds it, as a `Result` for [`refused`] and [`invalid`].
pub async fn stream_refusal<T>(answer: Result<Messages<T>, Error>) -> Result<(), Error> {
    Err(refusal(answer).await)
}
