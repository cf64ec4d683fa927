//! `keyvalue_scan` over the index: a sorted set whose members all have score 0, which Redis keeps in byte order.

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{COUNT, SCAN, Store, entry, head};
use crate::{
    call::{Context, Error, Messages},
    driver::{
        common::{check, cursor},
        redis::reply,
    },
    proto::models::keyvalue::v1::{
        CountRequest, CountResponse, KeyValueScan, ScanKeysRequest, ScanKeysResponse, ScanRequest, ScanResponse,
    },
};

/// Most keys, and about how many bytes, that one script gives.
const PAGE_KEYS: usize = 256;
const PAGE_BYTES: usize = 1 << 20;
/// Most expired keys that one script forgets before it counts.
const SWEEP: u64 = 1000;

/// The bounds of a range, as `ZRANGEBYLEX` takes them.
struct Range {
    lower: Vec<u8>,
    upper: Vec<u8>,
    empty: bool,
}

impl Range {
    fn new(prefix: &[u8], start: &[u8], end: &[u8], behind: Option<&[u8]>) -> Self {
        let from = prefix.max(start);
        let prefix_end = successor(prefix);
        let to = match (prefix_end.as_deref(), end) {
            (None, []) => None,
            (Some(one), []) => Some(one),
            (None, other) => Some(other),
            (Some(one), other) => Some(one.min(other)),
        };
        let lower = match behind {
            Some(key) if key >= from => [b"(", key].concat(),
            _ if from.is_empty() => b"-".to_vec(),
            _ => [b"[", from].concat(),
        };
        let empty = to.is_some_and(|to| from >= to || behind.is_some_and(|key| key >= to));
        let upper = to.map_or_else(|| b"+".to_vec(), |to| [b"(", to].concat());
        Self { lower, upper, empty }
    }
}

/// The first key behind all that begin with a prefix; `None` when no key is.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut next = prefix[..=last].to_vec();
    next[last] += 1;
    Some(next)
}

/// What is left of a scan.
struct Walk {
    store: Store,
    context: Context,
    range: Range,
    values: bool,
    /// Entries that may still come.
    left: usize,
}

impl Walk {
    /// The next page: keys and what they hold; `None` behind the last one.
    async fn page(mut self) -> Result<Option<(Vec<(Bytes, Bytes)>, Self)>, Error> {
        if self.range.empty || self.left == 0 {
            return Ok(None);
        }
        let call = self
            .store
            .script(&SCAN)
            .arg(&self.range.lower)
            .arg(&self.range.upper)
            .arg(self.left.min(PAGE_KEYS))
            .arg(u8::from(self.values))
            .arg(PAGE_BYTES);
        let mut items = reply::list(self.store.call(&self.context, &call).await?)?.into_iter();
        match items.next().map(reply::bytes).transpose()?.flatten() {
            Some(last) => self.range.lower = [b"(", &last[..]].concat(),
            None => self.range.empty = true,
        }
        let mut page = Vec::with_capacity(items.len() / 2);
        while let (Some(key), Some(held)) = (items.next(), items.next()) {
            page.push((reply::some_bytes(key)?, reply::some_bytes(held)?));
        }
        self.left -= page.len().min(self.left);
        Ok(Some((page, self)))
    }
}

impl Store {
    fn walk(&self, context: &Context, request: &ScanKeysRequest, values: bool) -> Result<Messages<(Bytes, Bytes)>, Error> {
        let behind = cursor::decode(&request.cursor)?;
        self.check_bounds(&request.prefix, &request.start_key, &request.end_key)?;
        let walk = Walk {
            store: self.clone(),
            context: context.clone(),
            range: Range::new(&request.prefix, &request.start_key, &request.end_key, behind.as_deref()),
            values,
            left: if request.limit == 0 { usize::MAX } else { request.limit as usize },
        };
        let pages = stream::try_unfold(walk, Walk::page);
        Ok(Box::pin(pages.map_ok(|page| stream::iter(page).map(Ok)).try_flatten()))
    }

    fn check_bounds(&self, prefix: &[u8], start: &[u8], end: &[u8]) -> Result<(), Error> {
        check::key_bound(&self.limits, "prefix", prefix)?;
        check::key_bound(&self.limits, "start_key", start)?;
        check::key_bound(&self.limits, "end_key", end)
    }
}

#[async_trait]
impl KeyValueScan for Store {
    async fn scan(&self, context: &Context, request: ScanRequest) -> Result<Messages<ScanResponse>, Error> {
        let ScanRequest { prefix, start_key, end_key, cursor, limit } = request;
        let found = self.walk(context, &ScanKeysRequest { prefix, start_key, end_key, cursor, limit }, true)?;
        Ok(Box::pin(found.map(|item| {
            let (key, stored) = item?;
            let cursor = cursor::encode(&key);
            Ok(ScanResponse { entry: Some(entry(key, &stored)?), cursor })
        })))
    }

    async fn scan_keys(&self, context: &Context, request: ScanKeysRequest) -> Result<Messages<ScanKeysResponse>, Error> {
        let found = self.walk(context, &request, false)?;
        Ok(Box::pin(found.map(|item| {
            let (key, stored) = item?;
            let (revision, _) = head(&stored)?;
            Ok(ScanKeysResponse { cursor: cursor::encode(&key), key, revision })
        })))
    }

    async fn count(&self, context: &Context, request: CountRequest) -> Result<CountResponse, Error> {
        self.check_bounds(&request.prefix, &request.start_key, &request.end_key)?;
        let range = Range::new(&request.prefix, &request.start_key, &request.end_key, None);
        if range.empty {
            return Ok(CountResponse::default());
        }
        let call = self.script(&COUNT).arg(&range.lower).arg(&range.upper).arg(SWEEP);
        loop {
            let answer = reply::integer(&self.call(context, &call).await?)?;
            if let Ok(count) = u64::try_from(answer) {
                return Ok(CountResponse { count });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(prefix: &[u8], start: &[u8], end: &[u8], behind: Option<&[u8]>) -> Option<(Vec<u8>, Vec<u8>)> {
        let range = Range::new(prefix, start, end, behind);
        (!range.empty).then_some((range.lower, range.upper))
    }

    #[test]
    fn the_narrower_bound_holds() {
        let pair = |lower: &[u8], upper: &[u8]| Some((lower.to_vec(), upper.to_vec()));
        assert_eq!(bounds(b"", b"", b"", None), pair(b"-", b"+"));
        assert_eq!(bounds(b"ab", b"", b"", None), pair(b"[ab", b"(ac"));
        assert_eq!(bounds(b"a\xff", b"", b"", None), pair(b"[a\xff", b"(b"));
        assert_eq!(bounds(b"\xff", b"", b"", None), pair(b"[\xff", b"+"));
        assert_eq!(bounds(b"a", b"ac", b"ad", None), pair(b"[ac", b"(ad"));
        assert_eq!(bounds(b"a", b"A", b"z", None), pair(b"[a", b"(b"));
        assert_eq!(bounds(b"", b"", b"", Some(b"k")), pair(b"(k", b"+"));
        assert_eq!(bounds(b"", b"m", b"", Some(b"k")), pair(b"[m", b"+"));
        assert_eq!(bounds(b"a", b"b", b"", None), None);
        assert_eq!(bounds(b"", b"b", b"a", None), None);
        assert_eq!(bounds(b"", b"", b"k", Some(b"k")), None);
    }
}
