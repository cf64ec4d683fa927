//! Polls until a condition holds, or fails after a timeout.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

/// Longer than any condition needs on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// Calls `ask` until it returns `Ok`, and returns that value.
pub async fn until<T, E: Display, F: Future<Output = Result<T, E>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let began = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => assert!(began.elapsed() < TIMEOUT, "not {what} after {TIMEOUT:?}: {error}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Calls `is` until it returns true.
pub async fn until_true(what: &str, mut is: impl FnMut() -> bool) {
    until(what, || std::future::ready(if is() { Ok(()) } else { Err("no") })).await;
}
