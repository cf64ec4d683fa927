//! `sortedset_lex`, in pages.

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use redis::Value;

use super::{RANGE_BY_LEX, SortedSets};
use crate::reply;
use prism_call::{
    Context, Error, Messages,
    proto::models::sortedset::v1::{GetRangeByLexRequest, GetRangeByLexResponse, MemberBound, SortedSetLex},
};
use prism_driver::{
    check,
    sortedset::{encode_lex_cursor, lex_start},
};

/// Most members of a page, and the bytes after which a page ends.
const PAGE_MEMBERS: usize = 128;
const PAGE_BYTES: usize = 1 << 20;

/// The state of a range that is read.
struct LexReader {
    sets: SortedSets,
    context: Context,
    key: Bytes,
    min: Option<MemberBound>,
    max: Option<MemberBound>,
    reverse: bool,
    skip: u64,
    done: bool,
    /// Members until the limit of the request.
    remaining: usize,
}

impl LexReader {
    /// Moves the start of the range behind a member. Returns whether that makes the range shorter.
    fn continue_after(&mut self, member: &Bytes) -> bool {
        let start = if self.reverse { &mut self.max } else { &mut self.min };
        let is_before = |bound: &MemberBound| match bound.member.cmp(member) {
            std::cmp::Ordering::Equal => !bound.exclusive,
            order => order.is_lt() != self.reverse,
        };
        let shorter = start.as_ref().is_none_or(is_before);
        if shorter {
            *start = Some(MemberBound { member: member.clone(), exclusive: true });
        }
        shorter
    }

    async fn page(mut self) -> Result<Option<(Vec<GetRangeByLexResponse>, Self)>, Error> {
        if self.done {
            return Ok(None);
        }
        let call = self.sets.script(&RANGE_BY_LEX, &self.key);
        let call = call.arg(bound(self.min.as_ref(), b"-")).arg(bound(self.max.as_ref(), b"+")).arg(u8::from(self.reverse));
        let call = call.arg(self.skip.min(1 << 52)).arg(self.remaining.min(PAGE_MEMBERS)).arg(PAGE_BYTES);
        self.skip = 0;
        let mut items = reply::list(self.sets.call(&self.context, &call).await?)?.into_iter();
        let more = reply::integer(&items.next().unwrap_or(Value::Nil))? == 1;
        let members = items.map(reply::required_bytes).collect::<Result<Vec<_>, _>>()?;
        self.remaining -= members.len().min(self.remaining);
        // If scores differ, the members are in no order of bytes. Then a page may end before its start, and must be the last one.
        let continues = members.last().is_some_and(|last| self.continue_after(last));
        self.done = !more || !continues || self.remaining == 0;
        let reverse = self.reverse;
        let message = |member: Bytes| GetRangeByLexResponse { cursor: encode_lex_cursor(reverse, &member), member };
        Ok(Some((members.into_iter().map(message).collect(), self)))
    }
}

/// A bound in the syntax of `ZRANGEBYLEX`; `open` if there is none.
fn bound(bound: Option<&MemberBound>, open: &[u8]) -> Vec<u8> {
    match bound {
        None => open.to_vec(),
        Some(MemberBound { member, exclusive: false }) => [b"[", &member[..]].concat(),
        Some(MemberBound { member, exclusive: true }) => [b"(", &member[..]].concat(),
    }
}

#[async_trait]
impl SortedSetLex for SortedSets {
    async fn get_range_by_lex(&self, context: &Context, request: GetRangeByLexRequest) -> Result<Messages<GetRangeByLexResponse>, Error> {
        check::key(&self.limits, &request.key)?;
        let after = lex_start(request.reverse, request.skip, &request.cursor)?;
        let mut reader = LexReader {
            sets: self.clone(),
            context: context.clone(),
            key: request.key,
            min: request.min,
            max: request.max,
            reverse: request.reverse,
            skip: request.skip,
            done: false,
            remaining: check::limit_or_all(request.limit),
        };
        if let Some(after) = &after {
            reader.continue_after(after);
        }
        let pages = stream::try_unfold(reader, LexReader::page);
        Ok(pages.map_ok(|page| stream::iter(page.into_iter().map(Ok))).try_flatten().boxed())
    }
}
