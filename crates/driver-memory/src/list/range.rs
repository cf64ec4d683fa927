//! `list_range`, in pages: no lock is held while the client is slow.

use std::{collections::VecDeque, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream;

use super::{Lists, element_bytes};
use prism_call::{
    Context, Error, Messages,
    proto::models::list::v1::{GetRangeRequest, GetRangeResponse, ListRange, TrimRequest, TrimResponse},
};
use prism_driver::{
    check, index,
    list::{PAGE_BYTES, PAGE_ELEMENTS},
};

/// `list_range` over [`Lists`]. Its streams keep the data alive.
pub struct Ranges(pub Arc<Lists>);

/// The state of a range that is read.
struct RangeReader {
    lists: Arc<Lists>,
    key: Bytes,
    /// The next index to read and the last one, negative ones from the right until the first page is read.
    start: i64,
    stop: Option<i64>,
    page: VecDeque<GetRangeResponse>,
    done: bool,
    /// Elements until the limit of the request.
    remaining: usize,
}

impl RangeReader {
    /// Reads the next page. From then on, the range counts from the left.
    fn read_page(&mut self) -> Result<(), Error> {
        let state = self.lists.state()?;
        let empty = VecDeque::new();
        let list = state.lists.get(&self.key).unwrap_or(&empty);
        let span = index::span(self.start, self.stop, list.len());
        let mut bytes = 0;
        for (position, value) in span.clone().zip(list.range(span.clone())).take(PAGE_ELEMENTS.min(self.remaining)) {
            self.page.push_back(GetRangeResponse { index: position as u64, value: value.clone() });
            bytes += value.len();
            if bytes >= PAGE_BYTES {
                break;
            }
        }
        self.remaining -= self.page.len();
        let next = span.start + self.page.len();
        self.done = next >= span.end || self.remaining == 0;
        self.start = i64::try_from(next).unwrap_or(i64::MAX);
        self.stop = i64::try_from(span.end).ok().map(|end| end - 1);
        Ok(())
    }
}

#[async_trait]
impl ListRange for Ranges {
    async fn get_range(&self, _: &Context, request: GetRangeRequest) -> Result<Messages<GetRangeResponse>, Error> {
        check::key(&self.0.limits, &request.key)?;
        let reader = RangeReader {
            lists: self.0.clone(),
            key: request.key,
            start: request.start,
            stop: request.stop,
            page: VecDeque::new(),
            done: false,
            remaining: check::limit_or_all(request.limit),
        };
        Ok(Box::pin(stream::try_unfold(reader, |mut reader| async move {
            if reader.page.is_empty() && !reader.done {
                tokio::task::consume_budget().await;
                reader.read_page()?;
            }
            Ok(reader.page.pop_front().map(|message| (message, reader)))
        })))
    }

    async fn trim(&self, _: &Context, request: TrimRequest) -> Result<TrimResponse, Error> {
        check::key(&self.0.limits, &request.key)?;
        let mut state = self.0.state()?;
        let Some(list) = state.lists.get_mut(&request.key) else { return Ok(TrimResponse::default()) };
        let kept = index::span(request.start, request.stop, list.len());
        let mut removed = list.split_off(kept.end);
        removed.extend(list.drain(..kept.start));
        let length = list.len() as u64;
        state.removed(&request.key, removed.iter().map(element_bytes).sum());
        drop(state);
        // The removed elements are freed after the lock: that may take time.
        Ok(TrimResponse { removed: removed.len() as u64, length })
    }
}
