//! Watches. Keys that are not UTF-8 are skipped, as in scans.

use std::future::ready;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};

use super::KeyValue;
use prism_call::{
    Context, Error, Messages,
    proto::{
        models::keyvalue::v1::{self as model, Entry, watch_response::Event as ModelEvent},
        patterns::keyvalue::v1::{CaughtUp, RemovedKey, WatchGap, WatchRequest, WatchResponse, WatchedEntry, watch_response::Event},
    },
};
use prism_slot::check;

pub(super) async fn watch(pattern: &KeyValue, context: &Context, request: WatchRequest) -> Result<Messages<WatchResponse>, Error> {
    let interface = pattern.require(pattern.watch.as_ref(), "Watch", "keyvalue_watch")?;
    let WatchRequest { key, prefix, changes_only, cursor } = request;
    if !key.is_empty() && !prefix.is_empty() {
        return Err(Error::invalid("prefix", "must be empty if `key` is set"));
    }
    let (key, prefix) = (Bytes::from(key.into_bytes()), Bytes::from(prefix.into_bytes()));
    check::key_bound(&pattern.limits, "key", &key)?;
    check::key_bound(&pattern.limits, "prefix", &prefix)?;
    let events = interface.watch(context, model::WatchRequest { key, prefix, changes_only, cursor }).await?;
    Ok(events.try_filter_map(|response| ready(Ok(to_response(response)))).boxed())
}

/// Converts an event of the backend; `None` if its key is not UTF-8.
fn to_response(response: model::WatchResponse) -> Option<WatchResponse> {
    let event = match response.event? {
        ModelEvent::Entry(entry) => Event::Entry(to_entry(entry)?),
        ModelEvent::CaughtUp(model::CaughtUp {}) => Event::CaughtUp(CaughtUp {}),
        ModelEvent::Stored(entry) => Event::Stored(to_entry(entry)?),
        ModelEvent::Removed(model::RemovedKey { key, previous_revision, expired }) => {
            Event::Removed(RemovedKey { key: text(key)?, previous_revision, expired })
        }
        ModelEvent::Gap(model::WatchGap {}) => Event::Gap(WatchGap {}),
    };
    Some(WatchResponse { event: Some(event), cursor: response.cursor })
}

fn to_entry(entry: Entry) -> Option<WatchedEntry> {
    let Entry { key, value, revision, expire_time, flags, create_revision, version } = entry;
    Some(WatchedEntry { key: text(key)?, value, revision, expire_time, flags, create_revision, version })
}

fn text(key: Bytes) -> Option<String> {
    String::from_utf8(key.into()).ok()
}
