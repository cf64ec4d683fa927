//! `keyvalue_watch`: the scripts that write also record changes in a stream, while the keyspace is watched.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use redis::Value;

use super::{KeyValue, WATCH_READ, WATCH_START, parse_entry};
use crate::{blocking::BlockingConnections, error, pubsub::Hub, reply, stream::RecordId};
use prism_call::{
    Context, Error, Messages,
    proto::models::keyvalue::v1::{KeyValueScan, KeyValueWatch, RemovedKey, ScanRequest, ScanResponse, WatchRequest, WatchResponse},
};
use prism_driver::{
    Limits, id,
    watch::{self, Change, ChangeKind, ChangeLog, HISTORY_MILLIS, Head, PAGE_BYTES, PAGE_CHANGES, Page, Renewal, TailSlot},
};

/// How long the reader waits for a change before it looks for expired keys.
const WAIT: Duration = Duration::from_millis(WAIT_MILLIS);
const WAIT_MILLIS: u64 = 500;
/// How long it waits if all connections for waiting commands are in use.
const WAIT_WITHOUT_CONNECTION: Duration = Duration::from_millis(100);

/// `keyvalue_watch` over one keyspace.
pub struct Watch {
    hub: Arc<Hub>,
    tail: TailSlot<Changes>,
}

/// The history of a keyspace, as watchers read it.
struct Changes {
    keyvalue: KeyValue,
    blocking: Arc<BlockingConnections>,
    renewal: Renewal,
}

impl Watch {
    pub fn new(keyvalue: KeyValue, hub: Arc<Hub>, blocking: Arc<BlockingConnections>) -> Self {
        let changes = Changes { keyvalue, blocking, renewal: Renewal::default() };
        Self { hub, tail: TailSlot::new(Arc::new(changes)) }
    }
}

#[async_trait]
impl KeyValueWatch for Watch {
    async fn watch(&self, context: &Context, request: WatchRequest) -> Result<Messages<WatchResponse>, Error> {
        let permit = self.hub.permit()?;
        watch::watch(self.tail.tail(), context, request, permit).await
    }
}

#[async_trait]
impl ChangeLog for Changes {
    fn limits(&self) -> &Limits {
        &self.keyvalue.limits
    }

    fn is_closed(&self) -> bool {
        self.keyvalue.client.is_closed()
    }

    async fn head(&self, context: &Context) -> Result<Head, Error> {
        let epoch = id::random_number().to_string();
        let call = self.keyvalue.script(&WATCH_START).arg(epoch).arg(HISTORY_MILLIS);
        let [epoch, last, revision] = reply::fixed_list(self.keyvalue.call(context, &call).await?)?;
        self.renewal.renewed();
        Ok(Head { epoch: parse_epoch(epoch)?, position: parse_id(&last)?, revision: reply::count(&revision)? })
    }

    async fn read(&self, context: &Context, epoch: u64, after: u64) -> Result<Option<Page>, Error> {
        if self.renewal.is_due() {
            self.head(context).await?;
        }
        let call = self.keyvalue.script(&WATCH_READ).arg(epoch.to_string()).arg(RecordId(after).to_string());
        let page = self.keyvalue.call(context, &call.arg(PAGE_CHANGES).arg(PAGE_BYTES)).await?;
        if page == Value::Nil {
            return Ok(None);
        }
        let [last, removed, changes] = reply::fixed_list(page)?;
        let (last, removed) = (parse_id(&last)?, parse_id(&removed)?);
        if after < removed || after > last {
            return Ok(None);
        }
        let changes: Vec<_> = reply::list(changes)?.into_iter().map(parse_change).collect::<Result<_, _>>()?;
        let end = changes.last().map_or(last, |change| change.position);
        Ok(Some(Page { changes, end }))
    }

    async fn changed(&self, _: u64, after: u64) -> Result<(), Error> {
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(1).arg("BLOCK").arg(WAIT_MILLIS).arg("STREAMS");
        command.arg(&self.keyvalue.keys.changes).arg(RecordId(after));
        if self.blocking.run(&command, WAIT).await?.is_none() {
            tokio::time::sleep(WAIT_WITHOUT_CONNECTION).await;
        }
        Ok(())
    }

    async fn entries(&self, context: &Context, request: ScanRequest) -> Result<Messages<ScanResponse>, Error> {
        self.keyvalue.scan(context, request).await
    }
}

fn parse_epoch(epoch: Value) -> Result<u64, Error> {
    let digits = reply::required_bytes(epoch)?;
    std::str::from_utf8(&digits).ok().and_then(|digits| digits.parse().ok()).ok_or_else(error::foreign_value)
}

/// Parses the id of a change; 0 if it is empty.
fn parse_id(id: &Value) -> Result<u64, Error> {
    Ok(RecordId::parse(id)?.unwrap_or_default().0)
}

fn parse_change(change: Value) -> Result<Arc<Change>, Error> {
    let [id, fields] = reply::fixed_list(change)?;
    let [_, kind, _, key, _, data] = reply::fixed_list(fields)?;
    let (kind, key, data) = (reply::required_bytes(kind)?, reply::required_bytes(key)?, reply::required_bytes(data)?);
    let kind = match &kind[..] {
        b"s" => ChangeKind::Stored(parse_entry(key, &data)?),
        b"d" => ChangeKind::Removed(RemovedKey { key, previous_revision: reply::big_endian(&data)?, expired: false }),
        // Redis has removed the value, and its revision with it.
        b"e" => ChangeKind::Removed(RemovedKey { key, previous_revision: 0, expired: true }),
        _ => return Err(error::foreign_value()),
    };
    Ok(Arc::new(Change { position: RecordId::required(&id)?.0, kind }))
}
