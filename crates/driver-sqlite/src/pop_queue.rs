//! The calls of this process that wait for elements of lists.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use prism_call::Error;
use prism_driver::{Keyspace, list::too_many_waiters, lock::lock};

/// The waiting calls of a backend in the order in which they came, for each list. The setting `max_waiting_pops` limits their number.
///
/// The table `list_waiters` has those of all processes, but a call is in it only after a commit, and here at once.
pub struct PopQueue {
    permits: Arc<Semaphore>,
    limit: usize,
    state: Arc<Mutex<QueueState>>,
}

#[derive(Default)]
struct QueueState {
    /// The number of the last call.
    last: i64,
    /// The numbers of the calls that wait for a list. A lower number is older.
    by_list: HashMap<(Arc<Keyspace>, Bytes), BTreeSet<i64>>,
}

/// A call in the queue. It leaves the queue when this is dropped.
pub struct QueuedPop {
    /// When the call came, in nanoseconds since 1970. No other call of this process has this number.
    pub number: i64,
    keyspace: Arc<Keyspace>,
    keys: Arc<[Bytes]>,
    state: Arc<Mutex<QueueState>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl PopQueue {
    /// A queue of at most this many calls.
    pub fn new(limit: usize) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Self { permits: Arc::new(Semaphore::new(limit)), limit, state: Arc::default() }
    }

    /// Adds a call that waits for lists, or returns `RESOURCE_EXHAUSTED TOO_MANY_WAITERS`.
    pub fn add(&self, keyspace: &Keyspace, keys: &Arc<[Bytes]>) -> Result<QueuedPop, Error> {
        let permit = self.permits.clone().try_acquire_owned().map_err(|_| too_many_waiters(self.limit, "max_waiting_pops"))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX));
        let keyspace = Arc::new(keyspace.clone());
        let mut state = lock(&self.state);
        state.last = now.max(state.last.saturating_add(1));
        let number = state.last;
        for key in keys.iter() {
            state.by_list.entry((keyspace.clone(), key.clone())).or_default().insert(number);
        }
        drop(state);
        Ok(QueuedPop { number, keyspace, keys: keys.clone(), state: self.state.clone(), permit: Some(permit) })
    }

    /// Whether calls wait.
    pub fn any(&self) -> bool {
        self.permits.available_permits() < self.limit
    }
}

impl QueuedPop {
    /// The lists for which no other call of this process has waited longer, in the order of the call.
    pub fn next_keys(&self) -> Vec<Bytes> {
        let state = lock(&self.state);
        let is_next =
            |key: &Bytes| state.by_list.get(&(self.keyspace.clone(), key.clone())).and_then(BTreeSet::first) == Some(&self.number);
        self.keys.iter().filter(|key| is_next(key)).cloned().collect()
    }

    /// Leaves the queue, but still counts as a waiting call until the permit is dropped.
    pub fn leave(mut self) -> Option<OwnedSemaphorePermit> {
        self.permit.take()
    }
}

impl Drop for QueuedPop {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        for key in self.keys.iter() {
            let list = (self.keyspace.clone(), key.clone());
            if let Some(numbers) = state.by_list.get_mut(&list) {
                numbers.remove(&self.number);
                if numbers.is_empty() {
                    state.by_list.remove(&list);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_served_in_their_order() {
        let queue = PopQueue::new(3);
        let keyspace = Keyspace { namespace: "n".to_owned(), slot: "s".to_owned() };
        let keys = |keys: &[&'static str]| keys.iter().map(|key| Bytes::from(*key)).collect::<Arc<[Bytes]>>();
        let first = queue.add(&keyspace, &keys(&["a", "b"])).unwrap();
        let second = queue.add(&keyspace, &keys(&["b", "c"])).unwrap();
        let other = queue.add(&Keyspace { slot: "t".to_owned(), ..keyspace.clone() }, &keys(&["b"])).unwrap();
        assert!(first.number < second.number && queue.any());
        assert_eq!(queue.add(&keyspace, &keys(&["a"])).err().unwrap().reason(), "TOO_MANY_WAITERS");
        assert_eq!([&first, &second, &other].map(|call| call.next_keys().len()), [2, 1, 1]);
        drop(first);
        assert_eq!(second.next_keys(), ["b", "c"]);
        drop((second, other));
        assert!(!queue.any() && lock(&queue.state).by_list.is_empty());
    }
}
