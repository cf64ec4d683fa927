//! `keyvalue_watch`

use std::sync::Arc;

use async_trait::async_trait;

use super::{KeyValue, history::History, scan::Scan};
use prism_call::{
    Context, Error, Messages,
    proto::models::keyvalue::v1::{KeyValueScan, KeyValueWatch, ScanRequest, ScanResponse, WatchRequest, WatchResponse},
};
use prism_driver::{
    Limits, time,
    watch::{self, ChangeLog, Head, Page, TailSlot},
};

/// `keyvalue_watch` over a [`KeyValue`].
pub struct Watch {
    keyvalue: Arc<KeyValue>,
    tail: TailSlot<Changes>,
}

/// The history of a keyspace, as watchers read it.
struct Changes(Arc<KeyValue>);

impl Watch {
    pub fn new(keyvalue: &Arc<KeyValue>) -> Self {
        Self { keyvalue: keyvalue.clone(), tail: TailSlot::new(Arc::new(Changes(keyvalue.clone()))) }
    }
}

#[async_trait]
impl KeyValueWatch for Watch {
    async fn watch(&self, context: &Context, request: WatchRequest) -> Result<Messages<WatchResponse>, Error> {
        self.keyvalue.shared.check_open()?;
        let permit = self.keyvalue.shared.subscription_permit()?;
        watch::watch(self.tail.tail(), context, request, permit).await
    }
}

#[async_trait]
impl ChangeLog for Changes {
    fn limits(&self) -> &Limits {
        &self.0.limits
    }

    fn is_closed(&self) -> bool {
        self.0.shared.check_open().is_err()
    }

    async fn head(&self, _: &Context) -> Result<Head, Error> {
        if let Some(head) = self.0.read()?.head() {
            return Ok(head);
        }
        let mut map = self.0.write(time::now())?;
        let revision = map.revision;
        Ok(map.history.get_or_insert_with(|| History::new(self.0.shared.clone())).head(revision))
    }

    async fn read(&self, _: &Context, epoch: u64, after: u64) -> Result<Option<Page>, Error> {
        Ok(self.0.read()?.history.as_ref().and_then(|history| history.page(epoch, after)))
    }

    async fn changed(&self, _: u64, after: u64) -> Result<(), Error> {
        let last = self.0.read()?.history.as_ref().map(History::last);
        let Some(mut last) = last else { return Ok(()) };
        tokio::select! {
            // An error means that the keyspace is gone, which holds this value.
            _ = last.wait_for(|last| *last > after) => Ok(()),
            closed = self.0.shared.wait_until_closed() => Err(closed),
        }
    }

    async fn entries(&self, context: &Context, request: ScanRequest) -> Result<Messages<ScanResponse>, Error> {
        Scan(self.0.clone()).scan(context, request).await
    }
}
