//! Waiting for something that another process does: asked again and again, up to a bound.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

/// Far more than anything takes on a machine that is busy with other tests.
const TIMEOUT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// Asks until the answer is `Ok`.
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

/// Waits until it is true.
pub async fn until_true(what: &str, mut is: impl FnMut() -> bool) {
    until(what, || std::future::ready(if is() { Ok(()) } else { Err("no") })).await;
}
