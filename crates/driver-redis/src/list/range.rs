//! `list_range`, in pages.

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{Lists, RANGE, TRIM};
use crate::reply;
use prism_call::{
    Context, Error, Messages,
    proto::models::list::v1::{GetRangeRequest, GetRangeResponse, ListRange, TrimRequest, TrimResponse},
};
use prism_driver::{
    check, index,
    list::{PAGE_BYTES, PAGE_ELEMENTS},
};

/// The state of a range that is read.
struct RangeReader {
    lists: Lists,
    context: Context,
    key: Bytes,
    /// The next index to read and the last one, negative ones from the right until the first page is read.
    start: i64,
    stop: i64,
    done: bool,
    /// Elements until the limit of the request.
    remaining: usize,
}

impl RangeReader {
    /// Reads the next page. From then on, the range counts from the left.
    async fn page(mut self) -> Result<Option<(Vec<GetRangeResponse>, Self)>, Error> {
        if self.done {
            return Ok(None);
        }
        let call = self.lists.script(&RANGE, &self.key).arg(self.start).arg(self.stop);
        let call = call.arg(self.remaining.min(PAGE_ELEMENTS)).arg(PAGE_BYTES);
        let mut items = reply::list(self.lists.call(&self.context, &call).await?)?.into_iter();
        let (start, stop) = (items.next().unwrap_or(redis::Value::Nil), items.next().unwrap_or(redis::Value::Nil));
        let (start, stop) = (reply::integer(&start)?, reply::integer(&stop)?);
        let page = (start..)
            .zip(items)
            .map(|(index, value)| {
                Ok(GetRangeResponse { index: u64::try_from(index).unwrap_or_default(), value: reply::required_bytes(value)? })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        self.remaining -= page.len().min(self.remaining);
        self.start = start + i64::try_from(page.len()).unwrap_or(i64::MAX);
        self.stop = stop;
        self.done = page.is_empty() || self.start > stop || self.remaining == 0;
        Ok(Some((page, self)))
    }
}

#[async_trait]
impl ListRange for Lists {
    async fn get_range(&self, context: &Context, request: GetRangeRequest) -> Result<Messages<GetRangeResponse>, Error> {
        check::key(&self.limits, &request.key)?;
        let reader = RangeReader {
            lists: self.clone(),
            context: context.clone(),
            key: request.key,
            start: index::clamp(request.start),
            stop: index::clamp(request.stop.unwrap_or(-1)),
            done: false,
            remaining: check::limit_or_all(request.limit),
        };
        let pages = stream::try_unfold(reader, RangeReader::page);
        Ok(pages.map_ok(|page| stream::iter(page.into_iter().map(Ok))).try_flatten().boxed())
    }

    async fn trim(&self, context: &Context, request: TrimRequest) -> Result<TrimResponse, Error> {
        check::key(&self.limits, &request.key)?;
        let call = self.script(&TRIM, &request.key);
        let call = call.arg(index::clamp(request.start)).arg(index::clamp(request.stop.unwrap_or(-1)));
        let [removed, length] = reply::fixed_list(self.call(context, &call).await?)?;
        Ok(TrimResponse { removed: reply::count(&removed)?, length: reply::count(&length)? })
    }
}
