//! List over Redis lists. Operations of several commands are scripts in `lua/`.

mod basic;
mod blocking;
mod indexing;
mod range;

use std::sync::{Arc, LazyLock};

use redis::{Cmd, FromRedisValue, Value};

use crate::{
    blocking::BlockingConnections,
    client::Client,
    error::name_wrong_type,
    keys::KeyNames,
    script::{LuaScript, ScriptCall, scripts},
};
use prism_call::{Context, Error, proto::Interfaces};
use prism_driver::{Limits, list::End};

scripts! {
    POP = "lua/pop.lua";
    POP_FIRST = "lua/pop_first.lua";
    SET = "lua/set.lua";
    INSERT = "lua/insert.lua";
    REMOVE = "lua/remove.lua";
    RANGE = "lua/range.lua";
    TRIM = "lua/trim.lua";
}

/// The list interfaces over one keyspace.
#[derive(Clone)]
pub struct Lists {
    client: Arc<Client>,
    blocking: Arc<BlockingConnections>,
    keys: Arc<KeyNames>,
    limits: Limits,
}

/// Adds the list interfaces to those of a keyspace.
pub fn add(lists: &Arc<Lists>, interfaces: &mut Interfaces) {
    interfaces.list_basic = Some(lists.clone());
    interfaces.list_blocking = Some(lists.clone());
    interfaces.list_indexing = Some(lists.clone());
    interfaces.list_range = Some(lists.clone());
}

impl Lists {
    pub fn new(client: Arc<Client>, blocking: Arc<BlockingConnections>, keys: Arc<KeyNames>, limits: Limits) -> Self {
        Self { client, blocking, keys, limits }
    }

    /// The Redis key of a list.
    fn list_key(&self, key: &[u8]) -> Vec<u8> {
        self.keys.named("list", key)
    }

    /// A call of a script with one list. The arguments of the script follow.
    fn script(&self, lua: &'static LazyLock<LuaScript>, key: &[u8]) -> ScriptCall {
        lua.call(&[&self.list_key(key)])
    }

    async fn call(&self, context: &Context, call: &ScriptCall) -> Result<Value, Error> {
        self.client.call(context, call).await.map_err(name_wrong_type)
    }

    async fn run<T: FromRedisValue>(&self, context: &Context, command: &Cmd) -> Result<T, Error> {
        self.client.run(context, command).await.map_err(name_wrong_type)
    }
}

/// The command that takes an element from an end.
fn pop_command(end: End) -> &'static str {
    match end {
        End::Left => "LPOP",
        End::Right => "RPOP",
    }
}
