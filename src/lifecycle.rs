//! The handlers of namespaces: how they are opened, and how they end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use tokio::time::timeout;

use prism_call::{BackgroundTasks, Handler};

/// The drain timeout, which a reload may change.
#[derive(Clone, Debug)]
pub struct DrainTimeout(Arc<AtomicU64>);

impl DrainTimeout {
    /// Creates a timeout that can be shared.
    pub fn new(timeout: Duration) -> Self {
        let shared = Self(Arc::default());
        shared.set(timeout);
        shared
    }

    /// Sets the timeout.
    pub fn set(&self, timeout: Duration) {
        self.0.store(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Returns the timeout.
    pub fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// An open handler of a namespace.
pub(crate) struct OpenHandler {
    /// Name of the namespace.
    pub namespace: String,
    pub handler: Arc<dyn Handler>,
    pub tasks: BackgroundTasks,
}

impl OpenHandler {
    /// Closes the handler, ends its background tasks and waits for them.
    pub async fn close(&self) {
        self.handler.close().await;
        self.tasks.end().await;
    }
}

/// Closes all handlers at the same time. A handler that takes longer than `limit` is left alone.
pub(crate) async fn close(handlers: &[Arc<OpenHandler>], limit: Duration) {
    join_all(handlers.iter().map(|open| async move {
        if timeout(limit, open.close()).await.is_err() {
            tracing::warn!(namespace = open.namespace, "the background tasks of the namespace did not end in time");
        }
    }))
    .await;
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::atomic::{AtomicU32, Ordering},
        time::Instant,
    };

    use async_trait::async_trait;
    use prism_call::{Context, Error, Input, Method, Reply};

    use super::*;

    /// Counts how often it is closed, and takes some time for it.
    struct Closing {
        closed: AtomicU32,
        time: Duration,
    }

    #[async_trait]
    impl Handler for Closing {
        async fn handle(&self, _: &Context, _: &Method, _: Input) -> Result<Reply, Error> {
            Err(Error::internal("not called"))
        }

        async fn close(&self) {
            self.closed.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(self.time).await;
        }
    }

    fn open(time: Duration) -> (Arc<Closing>, OpenHandler) {
        let handler = Arc::new(Closing { closed: AtomicU32::new(0), time });
        let open = OpenHandler { namespace: "test".to_owned(), handler: handler.clone(), tasks: BackgroundTasks::default() };
        open.tasks.spawn(pending());
        (handler, open)
    }

    #[tokio::test]
    async fn handlers_are_closed_and_their_tasks_end() {
        let (quick, quick_open) = open(Duration::ZERO);
        let (slow, slow_open) = open(Duration::from_hours(1));
        let handlers = [slow_open, quick_open].map(Arc::new);
        let began = Instant::now();
        close(&handlers, Duration::from_millis(50)).await;
        assert!(began.elapsed() < Duration::from_mins(1), "the handler that takes longer is left alone");
        assert_eq!((quick.closed.load(Ordering::SeqCst), slow.closed.load(Ordering::SeqCst)), (1, 1));
        assert!(handlers[1].tasks.tracker().is_empty());
        assert!(!handlers[0].tasks.tracker().is_empty(), "its tasks may still be needed");
    }
}
