//! A storage in memory that can be saved and restored, and whose writes fail on demand.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream;

use prism_call::{Context, Error, Messages, proto::models::keyvalue::v1::*};

/// All keys with values and revisions, and the last revision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    pub entries: BTreeMap<Bytes, (Bytes, u64)>,
    revision: u64,
}

/// A fault of one write.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// The write fails.
    Before,
    /// The write is done, and its response is lost.
    After,
}

type Hook = Box<dyn FnOnce(&mut Content) + Send>;

#[derive(Default)]
pub struct Disk {
    content: Mutex<Content>,
    /// Number of writes that still succeed, and the fault of the next one.
    fault: Mutex<Option<(usize, Fault)>>,
    /// Number of writes before a hook changes the storage, and the hook.
    hook: Mutex<Option<(usize, Hook)>>,
    /// Percentage of writes that fail at random.
    pub failing: AtomicU32,
}

impl Disk {
    pub fn take(&self) -> Content {
        self.content.lock().unwrap().clone()
    }

    pub fn restore(&self, content: &Content) {
        *self.content.lock().unwrap() = content.clone();
    }

    /// Everything is deleted; revisions go on, as they do in a server.
    pub fn wipe(&self) {
        self.content.lock().unwrap().entries.clear();
    }

    /// Lets the write after `writes` others fail.
    pub fn fail(&self, writes: usize, fault: Fault) {
        *self.fault.lock().unwrap() = Some((writes, fault));
    }

    /// Runs a hook after `writes` writes.
    pub fn after_writes(&self, writes: usize, hook: impl FnOnce(&mut Content) + Send + 'static) {
        *self.hook.lock().unwrap() = Some((writes, Box::new(hook)));
    }

    /// Whether no fault and no hook is pending.
    pub fn is_idle(&self) -> bool {
        self.fault.lock().unwrap().is_none() && self.hook.lock().unwrap().is_none()
    }

    pub fn stop_failing(&self) {
        self.failing.store(0, Ordering::SeqCst);
        *self.fault.lock().unwrap() = None;
    }

    pub fn value(&self, key: &str) -> Option<Bytes> {
        self.content.lock().unwrap().entries.get(key.as_bytes()).map(|(value, _)| value.clone())
    }

    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let content = self.content.lock().unwrap();
        let names = content.entries.keys().map(|key| String::from_utf8(key.to_vec()).unwrap());
        names.filter(|name| name.starts_with(prefix)).collect()
    }

    fn fault(&self) -> Option<Fault> {
        let failing = self.failing.load(Ordering::SeqCst);
        if failing > 0 && rand::random_range(0..100) < failing {
            return Some(if rand::random() { Fault::Before } else { Fault::After });
        }
        let mut fault = self.fault.lock().unwrap();
        let (left, kind) = fault.as_mut()?;
        if *left > 0 {
            *left -= 1;
            return None;
        }
        let kind = *kind;
        *fault = None;
        Some(kind)
    }

    async fn write<T>(&self, write: impl FnOnce(&mut Content) -> T) -> Result<T, Error> {
        yield_randomly().await;
        let fault = self.fault();
        let lost = || Error::backend_unavailable("the connection is lost", Duration::from_millis(1));
        if fault == Some(Fault::Before) {
            return Err(lost());
        }
        let done = {
            let mut content = self.content.lock().unwrap();
            let done = write(&mut content);
            let mut hook = self.hook.lock().unwrap();
            match hook.as_mut() {
                Some((0, _)) => (hook.take().unwrap().1)(&mut content),
                Some((left, _)) => *left -= 1,
                None => {}
            }
            done
        };
        yield_randomly().await;
        if fault == Some(Fault::After) { Err(lost()) } else { Ok(done) }
    }

    async fn range(&self, prefix: Bytes, start: Bytes, end: Bytes) -> Vec<Entry> {
        yield_randomly().await;
        let content = self.take();
        let inside = |key: &Bytes| key.starts_with(&prefix) && *key >= start && (end.is_empty() || *key < end);
        content.entries.iter().filter(|(key, _)| inside(key)).map(|(key, (value, revision))| entry(key, value, *revision)).collect()
    }
}

/// Lets other tasks run, a random number of times.
async fn yield_randomly() {
    for _ in 0..rand::random_range(0..3) {
        tokio::task::yield_now().await;
    }
}

fn entry(key: &Bytes, value: &Bytes, revision: u64) -> Entry {
    Entry { key: key.clone(), value: value.clone(), revision, ..Entry::default() }
}

impl Content {
    pub fn revision(&self, key: &[u8]) -> u64 {
        self.entries.get(key).map_or(0, |(_, revision)| *revision)
    }

    fn store(&mut self, items: impl IntoIterator<Item = (Bytes, Bytes)>) -> u64 {
        self.revision += 1;
        let revision = self.revision;
        self.entries.extend(items.into_iter().map(|(key, value)| (key, (value, revision))));
        revision
    }
}

#[async_trait]
impl KeyValueBasic for Disk {
    async fn set(&self, _: &Context, request: SetRequest) -> Result<SetResponse, Error> {
        let SetRequest { key, value, .. } = request;
        let revision = self.write(|content| content.store([(key, value)])).await?;
        Ok(SetResponse { revision })
    }

    async fn get(&self, _: &Context, request: GetRequest) -> Result<GetResponse, Error> {
        yield_randomly().await;
        let found = self.content.lock().unwrap().entries.get(&request.key).cloned();
        yield_randomly().await;
        Ok(GetResponse { entry: found.map(|(value, revision)| entry(&request.key, &value, revision)) })
    }

    async fn delete(&self, _: &Context, request: DeleteRequest) -> Result<DeleteResponse, Error> {
        let deleted = self.write(|content| content.entries.remove(&request.key).is_some()).await?;
        Ok(DeleteResponse { deleted, ..DeleteResponse::default() })
    }

    async fn exists(&self, _: &Context, _: ExistsRequest) -> Result<ExistsResponse, Error> {
        Err(Error::internal("not used"))
    }
}

#[async_trait]
impl KeyValueScan for Disk {
    async fn scan(&self, _: &Context, request: ScanRequest) -> Result<Messages<ScanResponse>, Error> {
        let found = self.range(request.prefix, request.start_key, request.end_key).await;
        Ok(Box::pin(stream::iter(found.into_iter().map(|entry| Ok(ScanResponse { entry: Some(entry), ..ScanResponse::default() })))))
    }

    async fn scan_keys(&self, _: &Context, request: ScanKeysRequest) -> Result<Messages<ScanKeysResponse>, Error> {
        let found = self.range(request.prefix, request.start_key, request.end_key).await;
        Ok(Box::pin(stream::iter(found.into_iter().map(|entry| Ok(ScanKeysResponse { key: entry.key, ..ScanKeysResponse::default() })))))
    }

    async fn count(&self, _: &Context, _: CountRequest) -> Result<CountResponse, Error> {
        Err(Error::internal("not used"))
    }
}

#[async_trait]
impl KeyValueCas for Disk {
    async fn compare_and_swap(&self, _: &Context, request: CompareAndSwapRequest) -> Result<CompareAndSwapResponse, Error> {
        let CompareAndSwapRequest { key, expected_revision, value, .. } = request;
        let swap = |content: &mut Content| {
            let current = content.revision(&key);
            if current != expected_revision {
                return CompareAndSwapResponse { swapped: false, revision: current };
            }
            CompareAndSwapResponse { swapped: true, revision: content.store([(key, value)]) }
        };
        self.write(swap).await
    }

    async fn compare_and_delete(&self, _: &Context, _: CompareAndDeleteRequest) -> Result<CompareAndDeleteResponse, Error> {
        Err(Error::internal("not used"))
    }
}

#[async_trait]
impl KeyValueTransactional for Disk {
    async fn transact(&self, _: &Context, request: TransactRequest) -> Result<TransactResponse, Error> {
        let transact = |content: &mut Content| {
            let holds = request.conditions.iter().all(|condition| match condition.predicate {
                Some(condition::Predicate::Exists(exists)) => content.entries.contains_key(&condition.key) == exists,
                Some(condition::Predicate::RevisionEquals(revision)) => content.revision(&condition.key) == revision,
                _ => panic!("not used"),
            });
            let (mut sets, mut gone) = (Vec::new(), Vec::new());
            for one in request.then_operations.into_iter().filter(|_| holds) {
                match one.action {
                    Some(operation::Action::Set(set)) => sets.push((set.key, set.value)),
                    Some(operation::Action::Delete(delete)) => gone.push(delete.key),
                    _ => panic!("not used"),
                }
            }
            content.entries.retain(|key, _| !gone.contains(key));
            let revision = if sets.is_empty() { 0 } else { content.store(sets) };
            TransactResponse { succeeded: holds, revision, ..TransactResponse::default() }
        };
        self.write(transact).await
    }

    async fn begin_transaction(&self, _: &Context, _: BeginTransactionRequest) -> Result<BeginTransactionResponse, Error> {
        Err(Error::internal("not used"))
    }

    async fn get_in_transaction(&self, _: &Context, _: GetInTransactionRequest) -> Result<GetInTransactionResponse, Error> {
        Err(Error::internal("not used"))
    }

    async fn set_in_transaction(&self, _: &Context, _: SetInTransactionRequest) -> Result<SetInTransactionResponse, Error> {
        Err(Error::internal("not used"))
    }

    async fn delete_in_transaction(&self, _: &Context, _: DeleteInTransactionRequest) -> Result<DeleteInTransactionResponse, Error> {
        Err(Error::internal("not used"))
    }

    async fn commit(&self, _: &Context, _: CommitRequest) -> Result<CommitResponse, Error> {
        Err(Error::internal("not used"))
    }

    async fn rollback(&self, _: &Context, _: RollbackRequest) -> Result<RollbackResponse, Error> {
        Err(Error::internal("not used"))
    }
}
