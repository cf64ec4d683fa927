//! Streams events: those of an aggregate, and those of all.

use std::{future::ready, sync::Arc};

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{EventSourcing, check_aggregate, log::Log};
use prism_call::{
    Context, Error, Messages,
    proto::patterns::event_sourcing::v1::{Event, LoadRequest, LoadResponse, SubscribeRequest, SubscribeResponse, load_response::Item},
};
use prism_slot::{check, cursor};

/// Events of a subscription that are read at the same time.
const CONCURRENCY: usize = 16;
/// Positions that a subscription reads at once, so that it sees the end of a log that grows.
const PAGE: u64 = 1000;

pub async fn load(pattern: &EventSourcing, context: &Context, request: LoadRequest) -> Result<Messages<LoadResponse>, Error> {
    let LoadRequest { aggregate, mut after_version, limit, from_snapshot } = request;
    check_aggregate(&aggregate)?;
    if from_snapshot && after_version > 0 {
        return Err(Error::invalid("after_version", "can't be set together with `from_snapshot`"));
    }
    let context = context.without_metadata();
    let snapshot = if from_snapshot { pattern.snapshots.load(&context, aggregate.clone()).await? } else { None };
    if let Some(snapshot) = &snapshot {
        after_version = snapshot.version;
    }
    let version = pattern.log.settled_version(&context, &aggregate).await?;
    let first = stream::iter(snapshot.map(|snapshot| Ok(LoadResponse { item: Some(Item::Snapshot(snapshot)) })));
    if after_version >= version {
        return Ok(first.boxed());
    }
    let events = pattern.log.store.events(&context, aggregate, after_version + 1, version).await?;
    let events = events.map_ok(|event| LoadResponse { item: Some(Item::Event(event)) });
    Ok(first.chain(events.take(check::limit_or_all(limit))).boxed())
}

pub async fn subscribe(
    pattern: &EventSourcing,
    context: &Context,
    request: SubscribeRequest,
) -> Result<Messages<SubscribeResponse>, Error> {
    let SubscribeRequest { follow, cursor, latest, aggregate_prefix, limit } = request;
    let context = context.without_metadata();
    let log = pattern.log.clone();
    let behind = match cursor::decode_number(&cursor)? {
        Some(position) => position,
        None if latest => log.settled_head(&context).await?.position(),
        None => 0,
    };
    let reader = Reader { log, context, behind, follow, aggregate_prefix };
    // One page after the other; the next one is read when the client has taken the one before.
    let pages = stream::try_unfold(reader, |mut reader| async move {
        let page = reader.next_page().await?;
        Ok::<_, Error>(page.map(|page| (page, reader)))
    });
    let responses = pages.try_flatten().map_ok(|event: Event| {
        let cursor = cursor::encode_number(event.position);
        SubscribeResponse { event: Some(event), cursor }
    });
    Ok(responses.take(check::limit_or_all(limit)).boxed())
}

/// A subscription.
struct Reader {
    log: Arc<Log>,
    context: Context,
    /// The position of the last event of the page before.
    behind: u64,
    follow: bool,
    aggregate_prefix: String,
}

impl Reader {
    /// Returns the events of the next page, or `None` at the end.
    async fn next_page(&mut self) -> Result<Option<Messages<Event>>, Error> {
        let mut has_waited = false;
        let end = loop {
            let end = self.log.settled_head(&self.context).await?.position();
            if end > self.behind {
                break end;
            }
            if !self.follow {
                return Ok(None);
            }
            if std::mem::replace(&mut has_waited, true) {
                // The backend has lost events that this gateway knows. The wait ends at once until it has as many again.
                tokio::time::sleep(self.log.poll_interval).await;
            }
            self.log.wait_behind(&self.context, self.behind).await?;
        };
        let (first, last) = (self.behind + 1, end.min(self.behind.saturating_add(PAGE)));
        self.behind = last;
        let references = self.log.store.references(&self.context, first, last).await?;
        let prefix = self.aggregate_prefix.clone();
        let wanted = references.try_filter(move |(_, reference)| ready(reference.aggregate.starts_with(&prefix)));
        let (log, context) = (self.log.clone(), self.context.clone());
        let events = wanted.map_ok(move |(position, reference)| {
            let (log, context) = (log.clone(), context.clone());
            async move {
                let found = log.store.event(&context, reference.aggregate, reference.version).await?;
                found.ok_or_else(|| Error::internal(format!("the event at position {position} is not there; somebody else has removed it")))
            }
        });
        Ok(Some(events.try_buffered(CONCURRENCY).boxed()))
    }
}
