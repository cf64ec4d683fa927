//! The members of consumer groups that this process holds.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prism_call::{Code, Error};

/// Most of them for one backend: each holds a stream to its client open and writes to the file for it.
const MAX_MEMBERS: usize = 1000;

/// Who is here.
#[derive(Default)]
pub struct Members {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    places: usize,
    ids: HashSet<i64>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Members {
    /// Takes a place. `RESOURCE_EXHAUSTED TOO_MANY_SUBSCRIPTIONS` when there is none.
    pub fn enter(&self) -> Result<Place, Error> {
        let mut state = lock(&self.state);
        if state.places >= MAX_MEMBERS {
            return Err(too_many());
        }
        state.places += 1;
        Ok(Place { state: self.state.clone(), id: None })
    }

    /// The ids of those to renew.
    pub fn all(&self) -> Vec<i64> {
        lock(&self.state).ids.iter().copied().collect()
    }
}

fn too_many() -> Error {
    Error::new(
        Code::ResourceExhausted,
        "TOO_MANY_SUBSCRIPTIONS",
        format!("{MAX_MEMBERS} members of consumer groups are on this gateway, which is the limit; end some, or join on another gateway"),
    )
    .with("limit", MAX_MEMBERS.to_string())
}

/// The place of a member, until it is dropped.
pub struct Place {
    state: Arc<Mutex<State>>,
    id: Option<i64>,
}

impl Place {
    /// From now on the member of that id is renewed.
    pub fn renew(&mut self, id: i64) {
        lock(&self.state).ids.insert(id);
        self.id = Some(id);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.places -= 1;
        if let Some(id) = self.id {
            state.ids.remove(&id);
        }
    }
}
