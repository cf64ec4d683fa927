//! Runs work on schemas: parsing, comparing, rendering.
//!
//! Small work runs at once, on the thread of the call, with few steps. All other work, and small work that needs more steps, waits for one
//! of the threads of [`WorkPool`]. All namespaces share them, so that work on schemas never takes all cores from other calls. Work that
//! nobody waits for any longer, because the deadline passed or the caller left, ends at its next step, and only then its thread is free.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use prism_call::{Code, Error};
use prism_schema::{CancelFlag, WorkEnd, run_work};
use tokio::sync::Semaphore;

/// The maximum size of all texts of work that is tried on the thread of the call, in bytes.
const MAX_SMALL_BYTES: usize = 8 << 10;
/// The maximum number of steps of such work. They take less than a millisecond.
const MAX_SMALL_STEPS: u64 = 5_000;
/// The maximum number of pieces of work that wait for a thread.
const MAX_WAITING: usize = 64;
/// How long a caller should wait before it tries again, if too much work waits.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The threads for work on schemas: one less than the number of cores, at least one.
static POOL: LazyLock<WorkPool> = LazyLock::new(|| {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    WorkPool { threads: Arc::new(Semaphore::new(cores.saturating_sub(1).max(1))), waiting: AtomicUsize::new(0) }
});

struct WorkPool {
    threads: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// A place in the queue for a thread.
struct QueuePlace<'a>(&'a AtomicUsize);

impl<'a> QueuePlace<'a> {
    /// Takes a place, or refuses if there is none.
    fn take(waiting: &'a AtomicUsize) -> Result<Self, Error> {
        let place = Self(waiting);
        if waiting.fetch_add(1, Ordering::Relaxed) < MAX_WAITING {
            return Ok(place);
        }
        let message = format!("{MAX_WAITING} pieces of work on schemas are waiting for a thread already; try again later");
        Err(Error::new(Code::ResourceExhausted, "SCHEMA_WORK_QUEUE_FULL", message).with_retry_after(RETRY_AFTER))
    }
}

impl Drop for QueuePlace<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Cancels work when the future that waits for it is dropped.
struct CancelOnDrop(CancelFlag);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Runs work on schemas whose texts have `bytes` together. The work may run twice, so it must change nothing.
pub(super) async fn run<T: Send + 'static>(bytes: usize, work: impl Fn() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    if bytes <= MAX_SMALL_BYTES
        && let (result, WorkEnd::Complete) = run_work(&CancelFlag::default(), MAX_SMALL_STEPS, &work)
    {
        return result;
    }
    let place = QueuePlace::take(&POOL.waiting)?;
    let thread = Arc::clone(&POOL.threads).acquire_owned().await;
    drop(place);
    let flag = CancelFlag::default();
    let _cancel = CancelOnDrop(flag.clone());
    let done = tokio::task::spawn_blocking(move || {
        // The thread counts as taken until the work has really ended.
        let _thread = thread;
        run_work(&flag, u64::MAX, work).0
    });
    done.await.map_err(|error| Error::internal(format!("the work on a schema failed: {error}")))?
}

#[cfg(test)]
mod tests {
    use prism_schema::{Schema, SchemaFormat};

    use super::*;

    /// A JSON Schema that takes long to compare with the same one with another bound.
    fn choices(bound: usize) -> Schema {
        let choice = |at| {
            let branch = |name: &str| format!(r#"{{"properties":{{"{name}{at}":{{"maximum":{bound}}}}}}}"#);
            format!(r#"{{"anyOf":[{},{}]}}"#, branch("a"), branch("b"))
        };
        let all: Vec<String> = (0..40).map(choice).collect();
        Schema::parse(SchemaFormat::Json, &format!(r#"{{"allOf":[{}]}}"#, all.join(",")), &[]).unwrap()
    }

    // One test, because all tests share the threads.
    #[tokio::test]
    async fn work_is_bounded_and_ends_with_its_caller() {
        let here = thread::current().id();
        assert_eq!(run(10, move || Ok(thread::current().id())).await.unwrap(), here);
        assert_ne!(run(1 << 20, move || Ok(thread::current().id())).await.unwrap(), here);
        let (old, new) = (Arc::new(choices(2)), Arc::new(choices(1)));
        let compare = |bytes, times| {
            let (old, new) = (old.clone(), new.clone());
            run(bytes, move || {
                for _ in 0..times {
                    Schema::differences(&new, &old, prism_schema::CompatibilityPolicy::Strict);
                }
                Ok(thread::current().id())
            })
        };
        assert_ne!(compare(10, 1).await.unwrap(), here, "small texts with many steps don't keep the thread of the call busy");

        let threads = POOL.threads.available_permits();
        // Each of these would take hours. A comparison ends at its first step after its work was cancelled.
        let tasks: Vec<_> = (0..threads + MAX_WAITING).map(|_| tokio::spawn(compare(1 << 20, 10_000))).collect();
        while POOL.waiting.load(Ordering::Relaxed) < MAX_WAITING {
            tokio::task::yield_now().await;
        }
        let refused = compare(1 << 20, 1).await.unwrap_err();
        assert_eq!((refused.code(), refused.reason()), (Code::ResourceExhausted, "SCHEMA_WORK_QUEUE_FULL"));
        assert!(refused.retry_after().is_some());
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
        while POOL.threads.available_permits() < threads || POOL.waiting.load(Ordering::Relaxed) > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(run(1 << 20, || Ok(1)).await.unwrap(), 1);
    }
}
