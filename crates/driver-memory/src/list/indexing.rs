//! `list_indexing`

use std::collections::VecDeque;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Lists, element_bytes};
use prism_call::{
    Context, Error,
    proto::models::list::v1::{
        GetRequest, GetResponse, InsertPosition, InsertRequest, InsertResponse, ListIndexing, RemoveRequest, RemoveResponse, SetRequest,
        SetResponse, insert_request, remove_request,
    },
};
use prism_driver::{
    check,
    index::position,
    list::{check_index_alone, no_target},
};

#[async_trait]
impl ListIndexing for Lists {
    async fn get(&self, _: &Context, request: GetRequest) -> Result<GetResponse, Error> {
        check::key(&self.limits, &request.key)?;
        let state = self.state()?;
        let value = state.lists.get(&request.key).and_then(|list| list.get(position(request.index, list.len())?)).cloned();
        Ok(GetResponse { value })
    }

    async fn set(&self, _: &Context, request: SetRequest) -> Result<SetResponse, Error> {
        check::key(&self.limits, &request.key)?;
        check::value(&self.limits, "value", &request.value)?;
        let value = Bytes::copy_from_slice(&request.value);
        let mut state = self.state()?;
        let Some(list) = state.lists.get_mut(&request.key) else { return Ok(SetResponse { replaced: false }) };
        let position = position(request.index, list.len());
        let Some(element) = position.and_then(|position| list.get_mut(position)) else { return Ok(SetResponse { replaced: false }) };
        let (needed, freed) = (element_bytes(&value), element_bytes(element));
        if needed > freed {
            self.shared.reserve(needed - freed)?;
        } else {
            self.shared.release(freed - needed);
        }
        *element = value;
        Ok(SetResponse { replaced: true })
    }

    async fn insert(&self, _: &Context, request: InsertRequest) -> Result<InsertResponse, Error> {
        check::key(&self.limits, &request.key)?;
        check::value(&self.limits, "value", &request.value)?;
        let after = request.position() == InsertPosition::After;
        let target = request.target.ok_or_else(|| no_target("index or pivot"))?;
        let value = Bytes::copy_from_slice(&request.value);
        let mut state = self.state()?;
        let Some(list) = state.lists.get_mut(&request.key) else { return Ok(InsertResponse::default()) };
        let found = match target {
            insert_request::Target::Index(index) => position(index, list.len()),
            insert_request::Target::Pivot(pivot) => list.iter().position(|value| *value == pivot),
        };
        let inserted = found.is_some();
        if let Some(position) = found {
            self.shared.reserve(element_bytes(&value))?;
            list.insert(position + usize::from(after), value);
        }
        Ok(InsertResponse { inserted, length: list.len() as u64 })
    }

    async fn remove(&self, _: &Context, request: RemoveRequest) -> Result<RemoveResponse, Error> {
        check::key(&self.limits, &request.key)?;
        let target = request.target.ok_or_else(|| no_target("index or value"))?;
        if matches!(target, remove_request::Target::Index(_)) {
            check_index_alone(request.limit, request.from_right)?;
        }
        let mut state = self.state()?;
        let Some(list) = state.lists.get_mut(&request.key) else { return Ok(RemoveResponse::default()) };
        let before = list.len();
        let one = match target {
            remove_request::Target::Index(index) => position(index, before).and_then(|position| list.remove(position)),
            remove_request::Target::Value(value) => {
                remove_equal(list, &value, request.limit, request.from_right);
                Some(value)
            }
        };
        let removed = (before - list.len()) as u64;
        let length = list.len() as u64;
        let bytes = one.map_or(0, |value| element_bytes(&value) * removed);
        state.removed(&request.key, bytes);
        Ok(RemoveResponse { removed, length })
    }
}

/// Removes elements that are equal to a value: at most `limit`, or all if that is 0.
fn remove_equal(list: &mut VecDeque<Bytes>, value: &Bytes, limit: u32, from_right: bool) {
    let equal = list.iter().filter(|element| *element == value).count();
    let removed = if limit == 0 { equal } else { equal.min(limit as usize) };
    // The numbers, from the left, of the equal elements to remove.
    let numbers = if from_right { equal - removed..equal } else { 0..removed };
    let mut number = 0;
    list.retain(|element| {
        if element != value {
            return true;
        }
        number += 1;
        !numbers.contains(&(number - 1))
    });
}
