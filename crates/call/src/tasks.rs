//! Background tasks of a handler.

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The background tasks of a handler, and the signal that ends them. Clones share both.
#[derive(Clone, Debug)]
pub struct BackgroundTasks {
    tracker: TaskTracker,
    shutdown: CancellationToken,
    /// A child of `shutdown`.
    replacement: CancellationToken,
}

impl Default for BackgroundTasks {
    fn default() -> Self {
        let shutdown = CancellationToken::new();
        Self { tracker: TaskTracker::new(), replacement: shutdown.child_token(), shutdown }
    }
}

impl BackgroundTasks {
    /// Spawns a task. At the shutdown it is dropped at its next `await`; after the shutdown it is not started.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        self.tracker.spawn(async move { shutdown.run_until_cancelled_owned(task).await });
    }

    /// Returns the signal of the shutdown, for work that has to end in an orderly way.
    pub fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// Returns the signal that another handler serves the same data now, or that the shutdown has begun. The calls of this handler go on. It is
    /// for work that only one handler does at a time.
    pub fn replacement(&self) -> &CancellationToken {
        &self.replacement
    }

    /// Says that another handler serves the same data now.
    pub fn report_replacement(&self) {
        self.replacement.cancel();
    }

    /// Returns the tracker, for tasks that the shutdown must not drop. They have to watch [`Self::shutdown`] themselves.
    pub fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// Ends all tasks, and waits until they have ended.
    pub async fn end(&self) {
        self.shutdown.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
    };

    use super::*;

    /// Notes when it is dropped.
    struct Dropped(Arc<AtomicBool>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn a_replacement_is_no_shutdown_but_a_shutdown_ends_what_waits_for_a_replacement() {
        let tasks = BackgroundTasks::default();
        tasks.report_replacement();
        assert!(tasks.replacement().is_cancelled() && !tasks.shutdown().is_cancelled());
        let tasks = BackgroundTasks::default();
        tasks.end().await;
        assert!(tasks.replacement().is_cancelled());
    }

    #[tokio::test]
    async fn end_drops_spawned_tasks_and_waits_for_tracked_ones() {
        let tasks = BackgroundTasks::default();
        let (dropped, finished) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let guard = Dropped(dropped.clone());
        tasks.spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        let (shutdown, done) = (tasks.shutdown().clone(), finished.clone());
        tasks.tracker().spawn(async move {
            shutdown.cancelled().await;
            tokio::task::yield_now().await;
            done.store(true, Ordering::SeqCst);
        });
        tasks.end().await;
        assert!(dropped.load(Ordering::SeqCst) && finished.load(Ordering::SeqCst));
        let late = Arc::new(AtomicBool::new(false));
        let ran = late.clone();
        tasks.spawn(async move { ran.store(true, Ordering::SeqCst) });
        tasks.end().await;
        assert!(!late.load(Ordering::SeqCst), "a task was started after the shutdown");
    }
}
