//! `set_basic`

use std::{collections::VecDeque, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream;

use super::{Sets, key_bytes, member_bytes};
use prism_call::{
    Context, Error, Messages,
    proto::models::set::v1::{
        AddRequest, AddResponse, ContainsRequest, ContainsResponse, GetMembersRequest, GetMembersResponse, RemoveRequest, RemoveResponse,
        SetBasic,
    },
};
use prism_driver::{
    check, cursor,
    set::{check_add, check_members, decode_cursor, encode_cursor},
};

/// Members that are read while the lock is held once.
const PAGE: usize = 256;

/// `set_basic` over [`Sets`]. Its streams keep the data alive.
pub struct Basic(pub Arc<Sets>);

/// The state of a stream of members, which go from the last number to the first.
struct MemberReader {
    sets: Arc<Sets>,
    key: Bytes,
    /// The number of the member before which the stream is; `None` = at the start.
    before: Option<usize>,
    page: VecDeque<GetMembersResponse>,
    /// Members until the limit of the request.
    remaining: usize,
}

impl MemberReader {
    fn read_page(&mut self) -> Result<(), Error> {
        let state = self.sets.state()?;
        let set = state.sets.get(&self.key);
        let length = set.map_or(0, super::members::MemberSet::len);
        let before = self.before.map_or(length, |before| before.min(length));
        let first = before.saturating_sub(PAGE.min(self.remaining));
        for number in (first..before).rev() {
            if let Some(member) = set.and_then(|set| set.get(number)) {
                let cursor = encode_cursor(&self.key, &(number as u64).to_be_bytes());
                self.page.push_back(GetMembersResponse { member: member.clone(), cursor });
            }
        }
        self.before = Some(first);
        self.remaining -= self.page.len();
        Ok(())
    }
}

#[async_trait]
impl SetBasic for Basic {
    async fn add(&self, _: &Context, request: AddRequest) -> Result<AddResponse, Error> {
        check_add(&self.0.limits, &request.key, &request.members)?;
        let mut state = self.0.state()?;
        let present = state.sets.get(&request.key);
        let mut new: Vec<&Bytes> = request.members.iter().filter(|member| present.is_none_or(|set| !set.contains(member))).collect();
        new.sort_unstable();
        new.dedup();
        let key = if present.is_none() { key_bytes(&request.key) } else { 0 };
        self.0.shared.reserve(new.iter().map(|member| member_bytes(member)).sum::<u64>() + key)?;
        let added = new.len() as u64;
        // Copies: the bytes of the request may be small parts of a large buffer.
        let set = state.sets.entry(Bytes::copy_from_slice(&request.key)).or_default();
        for member in new {
            set.insert(Bytes::copy_from_slice(member));
        }
        Ok(AddResponse { added })
    }

    async fn remove(&self, _: &Context, request: RemoveRequest) -> Result<RemoveResponse, Error> {
        check_members(&self.0.limits, &request.key, &request.members)?;
        let mut state = self.0.state()?;
        let Some(set) = state.sets.get_mut(&request.key) else { return Ok(RemoveResponse { removed: 0 }) };
        let removed: Vec<Bytes> = request.members.iter().filter_map(|member| set.remove(member)).collect();
        state.removed(&request.key, removed.iter().map(member_bytes).sum());
        Ok(RemoveResponse { removed: removed.len() as u64 })
    }

    async fn contains(&self, _: &Context, request: ContainsRequest) -> Result<ContainsResponse, Error> {
        check::key(&self.0.limits, &request.key)?;
        let contains = self.0.state()?.sets.get(&request.key).is_some_and(|set| set.contains(&request.member));
        Ok(ContainsResponse { contains })
    }

    async fn get_members(&self, _: &Context, request: GetMembersRequest) -> Result<Messages<GetMembersResponse>, Error> {
        check::key(&self.0.limits, &request.key)?;
        let before = match decode_cursor(&request.key, &request.cursor)? {
            None => None,
            Some(position) => {
                let number = <[u8; 8]>::try_from(&position[..]).map_err(|_| cursor::invalid())?;
                Some(usize::try_from(u64::from_be_bytes(number)).unwrap_or(usize::MAX))
            }
        };
        let remaining = check::limit_or_all(request.limit);
        let reader = MemberReader { sets: self.0.clone(), key: request.key, before, page: VecDeque::new(), remaining };
        Ok(Box::pin(stream::try_unfold(reader, |mut reader| async move {
            if reader.page.is_empty() && reader.before != Some(0) && reader.remaining > 0 {
                tokio::task::consume_budget().await;
                reader.read_page()?;
            }
            Ok(reader.page.pop_front().map(|message| (message, reader)))
        })))
    }
}
