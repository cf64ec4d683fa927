//! The tasks of a listener: its connections, and what continues after a response.

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The two signals of a graceful shutdown.
#[derive(Clone, Default)]
pub struct Drain {
    /// Stops new connections and new calls.
    pub begin: CancellationToken,
    /// Closes the remaining connections.
    pub cut: CancellationToken,
}

/// Runs tasks until the drain cuts them off.
#[derive(Clone, Default)]
pub struct ConnectionTasks {
    running: TaskTracker,
    drain: Drain,
}

impl ConnectionTasks {
    /// Creates a group of tasks for a listener with this drain.
    pub fn new(drain: Drain) -> Self {
        Self { running: TaskTracker::new(), drain }
    }

    /// Returns the signal that the drain begins. Tasks then finish what they do, and end.
    pub fn draining(&self) -> &CancellationToken {
        &self.drain.begin
    }

    /// Runs a task, until its end or until the drain cuts it off.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let cut = self.drain.cut.clone();
        self.running.spawn(async move {
            tokio::select! {
                () = work => {}
                () = cut.cancelled() => {}
            }
        });
    }

    /// Waits until all tasks have ended, also those that tasks start in the meantime.
    pub async fn wait(&self) {
        self.running.close();
        self.running.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn drain_waits_for_upgraded_connections() {
        let drain = Drain::default();
        let tasks = ConnectionTasks::new(drain.clone());
        let (upgraded, seen) = (tasks.clone(), tokio::sync::oneshot::channel());
        tasks.spawn(async move {
            // The connection ends, and what it was upgraded to continues.
            let signal = upgraded.draining().clone();
            upgraded.spawn(async move {
                signal.cancelled().await;
                seen.0.send("said goodbye").unwrap();
            });
        });
        let waiting = tasks.wait();
        tokio::pin!(waiting);
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut waiting).await.is_err());
        drain.begin.cancel();
        waiting.await;
        assert_eq!(seen.1.await, Ok("said goodbye"));
    }

    #[tokio::test]
    async fn drain_cuts_tasks_that_do_not_end() {
        let drain = Drain::default();
        let tasks = ConnectionTasks::new(drain.clone());
        tasks.spawn(std::future::pending());
        drain.cut.cancel();
        tasks.wait().await;
    }
}
