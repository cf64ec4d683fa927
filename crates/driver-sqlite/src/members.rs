//! The members of consumer groups in this process.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use prism_call::{Code, Error};
use prism_driver::lock::lock;

/// Most members of one backend: each keeps a stream to its client open, and writes to the file.
const MAX_MEMBERS: usize = 1000;

/// Counts the members in this process, and knows which ones to renew.
#[derive(Default)]
pub struct Members {
    state: Arc<Mutex<MemberState>>,
}

#[derive(Default)]
struct MemberState {
    permits: usize,
    /// The members to renew.
    ids: HashSet<i64>,
}

impl Members {
    /// A permit for one more member. Fails with `RESOURCE_EXHAUSTED TOO_MANY_SUBSCRIPTIONS` if there are too many.
    pub fn permit(&self) -> Result<MemberPermit, Error> {
        let mut state = lock(&self.state);
        if state.permits >= MAX_MEMBERS {
            return Err(too_many_members());
        }
        state.permits += 1;
        Ok(MemberPermit { state: self.state.clone(), id: None })
    }

    /// The ids of the members to renew.
    pub fn all(&self) -> Vec<i64> {
        lock(&self.state).ids.iter().copied().collect()
    }
}

/// `RESOURCE_EXHAUSTED TOO_MANY_SUBSCRIPTIONS`
fn too_many_members() -> Error {
    Error::new(
        Code::ResourceExhausted,
        "TOO_MANY_SUBSCRIPTIONS",
        format!("this gateway has {MAX_MEMBERS} consumer group members, which is the limit; end some, or join on another gateway"),
    )
    .with("limit", MAX_MEMBERS.to_string())
}

/// Permission for one member, given back when it is dropped.
pub struct MemberPermit {
    state: Arc<Mutex<MemberState>>,
    id: Option<i64>,
}

impl MemberPermit {
    /// Makes sure that the member with this id is renewed from now on.
    pub fn renew(&mut self, id: i64) {
        lock(&self.state).ids.insert(id);
        self.id = Some(id);
    }
}

impl Drop for MemberPermit {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.permits -= 1;
        if let Some(id) = self.id {
            state.ids.remove(&id);
        }
    }
}
