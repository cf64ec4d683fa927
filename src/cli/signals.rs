//! The signals that end the gateway.
//!
//! They are awaited in a thread of their own, so that they end the process even if every thread of the gateway is busy.

use std::{io, process::exit, sync::mpsc, thread};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::lifecycle::DrainTimeout;

/// Exit status after the drain timeout.
const TIMED_OUT: i32 = 1;
/// Exit status after a second signal.
const INTERRUPTED: i32 = 130;

/// Waits for SIGTERM or Ctrl-C in a thread of its own, and then cancels the token. The process ends when the drain timeout is over, whatever it
/// does, and at a second signal.
pub fn await_end(timeout: DrainTimeout) -> io::Result<CancellationToken> {
    let end = CancellationToken::new();
    let (ready, started) = mpsc::channel();
    let token = end.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async move {
            let signals = signal(SignalKind::terminate()).and_then(|terminate| Ok((terminate, signal(SignalKind::interrupt())?)));
            let (mut terminate, mut interrupt) = match signals {
                Ok(signals) => signals,
                Err(error) => return drop(ready.send(Err(error))),
            };
            let mut next = async || {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            };
            // Fails only if the gateway has ended already.
            let _ = ready.send(Ok(()));
            next().await;
            // Before the log is written, which may have to wait for its reader.
            token.cancel();
            tracing::info!("ending: calls in flight may finish; a second signal ends at once");
            tokio::select! {
                () = next() => exit(INTERRUPTED),
                () = tokio::time::sleep(timeout.get()) => {
                    tracing::error!(timeout = ?timeout.get(), "the drain timeout is over; what is still running is ended");
                    exit(TIMED_OUT);
                }
            }
        });
    })?;
    // The thread sends in any case; if it ends before, the token is never cancelled.
    started.recv().unwrap_or(Ok(()))?;
    Ok(end)
}
