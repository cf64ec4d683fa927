//! SortedSet over Redis sorted sets. Operations of several commands are scripts in `lua/`.

mod basic;
mod lex;
mod operations;
mod range;
mod rank;

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use redis::{Cmd, FromRedisValue, Value};

use crate::{
    client::Client,
    error::{self, name_wrong_type},
    keys::KeyNames,
    reply,
    script::{LuaScript, ScriptCall, scripts},
};
use prism_call::{
    Context, Error,
    proto::{Interfaces, models::sortedset::v1::ScoredMember},
};
use prism_driver::{Limits, sortedset::without_sign_of_zero};

scripts! {
    ADD = "lua/add.lua";
    RANK = "lua/rank.lua";
    RANGE = "lua/range.lua";
    RANGE_BY_SCORE = "lua/range_by_score.lua";
    RANGE_BY_LEX = "lua/range_by_lex.lua";
    STORE = "lua/store.lua";
}

/// The interfaces of sorted sets over one keyspace.
#[derive(Clone)]
pub struct SortedSets {
    client: Arc<Client>,
    keys: Arc<KeyNames>,
    limits: Limits,
}

/// Adds the interfaces of sorted sets to those of a keyspace.
pub fn add(sets: &Arc<SortedSets>, interfaces: &mut Interfaces) {
    interfaces.sortedset_basic = Some(sets.clone());
    interfaces.sortedset_lex = Some(sets.clone());
    interfaces.sortedset_operations = Some(sets.clone());
    interfaces.sortedset_range = Some(sets.clone());
    interfaces.sortedset_rank = Some(sets.clone());
}

impl SortedSets {
    pub fn new(client: Arc<Client>, keys: Arc<KeyNames>, limits: Limits) -> Self {
        Self { client, keys, limits }
    }

    /// The Redis key of a sorted set.
    fn set_key(&self, key: &[u8]) -> Vec<u8> {
        self.keys.named("sortedset", key)
    }

    /// A call of a script with one sorted set. The arguments of the script follow.
    fn script(&self, lua: &'static LazyLock<LuaScript>, key: &[u8]) -> ScriptCall {
        lua.call(&[&self.set_key(key)])
    }

    async fn call(&self, context: &Context, call: &ScriptCall) -> Result<Value, Error> {
        self.client.call(context, call).await.map_err(name_wrong_type)
    }

    async fn run<T: FromRedisValue>(&self, context: &Context, command: &Cmd) -> Result<T, Error> {
        self.client.run(context, command).await.map_err(name_wrong_type)
    }
}

/// A score in the form that Redis parses exactly.
fn score_text(score: f64) -> String {
    format!("{score:e}")
}

/// Decodes a score.
fn parse_score(value: &Value) -> Result<f64, Error> {
    let score = match value {
        Value::Double(score) => Some(*score),
        Value::BulkString(text) => std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
        _ => None,
    };
    score.map(without_sign_of_zero).ok_or_else(error::unexpected_reply)
}

/// Decodes members, each followed by its score.
fn parse_members(items: impl IntoIterator<Item = Value>) -> Result<Vec<(Bytes, f64)>, Error> {
    let mut items = items.into_iter();
    let mut members = Vec::new();
    while let (Some(member), Some(score)) = (items.next(), items.next()) {
        members.push((reply::required_bytes(member)?, parse_score(&score)?));
    }
    Ok(members)
}

fn scored((member, score): (Bytes, f64)) -> ScoredMember {
    ScoredMember { member, score }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_parsed_as_they_were_written() {
        for score in [0.0, 1.0, -0.1, f64::MAX, f64::MIN_POSITIVE, 5e-324, f64::INFINITY, f64::NEG_INFINITY, 9_007_199_254_740_993.0] {
            let parsed = parse_score(&Value::BulkString(score_text(score).into_bytes())).unwrap();
            assert_eq!(parsed.to_bits(), score.to_bits(), "{score}");
        }
        assert_eq!(parse_score(&Value::Double(-0.0)).unwrap().to_bits(), 0);
        assert!(parse_score(&Value::Nil).is_err());
    }
}
