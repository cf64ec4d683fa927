//! Set over Redis sets. Operations of several commands are scripts in `lua/`.

mod basic;
mod cardinality;
mod operations;
mod random;
mod scan;

use std::sync::Arc;

use redis::{Cmd, FromRedisValue, Value};

use crate::{
    client::Client,
    error::name_wrong_type,
    keys::KeyNames,
    script::{ScriptCall, scripts},
};
use prism_call::{Context, Error, proto::Interfaces};
use prism_driver::Limits;

scripts! {
    RANDOM = "lua/random.lua";
    POP = "lua/pop.lua";
    STORE = "lua/store.lua";
    READ_RESULT = "lua/read_result.lua";
}

/// The set interfaces over one keyspace.
#[derive(Clone)]
pub struct Sets {
    client: Arc<Client>,
    keys: Arc<KeyNames>,
    limits: Limits,
}

/// Adds the set interfaces to those of a keyspace.
pub fn add(sets: &Arc<Sets>, interfaces: &mut Interfaces) {
    interfaces.set_basic = Some(sets.clone());
    interfaces.set_cardinality = Some(sets.clone());
    interfaces.set_operations = Some(sets.clone());
    interfaces.set_random = Some(sets.clone());
}

impl Sets {
    pub fn new(client: Arc<Client>, keys: Arc<KeyNames>, limits: Limits) -> Self {
        Self { client, keys, limits }
    }

    /// The Redis key of a set.
    fn set_key(&self, key: &[u8]) -> Vec<u8> {
        self.keys.named("set", key)
    }

    async fn call(&self, context: &Context, call: &ScriptCall) -> Result<Value, Error> {
        self.client.call(context, call).await.map_err(name_wrong_type)
    }

    async fn run<T: FromRedisValue>(&self, context: &Context, command: &Cmd) -> Result<T, Error> {
        self.client.run(context, command).await.map_err(name_wrong_type)
    }
}
