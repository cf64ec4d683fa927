//! The slot `cache`: copies of values of the slot `storage`, so that reads of the same keys don't reach it.
//!
//! # Behavior
//! - `Retrieve`, `RetrieveBatch` and `Exists` use copies. All other reads go to the storage.
//! - A read of a key without a copy loads it. Of several such reads in one gateway, one loads, and the others wait for its copy. If it
//!   keeps none, they go to the storage at the same time.
//! - A write marks its keys in the cache when the storage has answered. As long as a mark is there, reads go to the storage and keep nothing, so
//!   that a read that began before the write can't bring back the old value. Therefore whoever reads after the end of a write, on any gateway with
//!   the same cache, gets the new value.
//! - If the storage has `keyvalue_watch`, the gateway also marks what others have changed. Until then, and without it, reads may get a value
//!   that is older, by at most the setting `ttl`.
//! - A cache that fails or is slow delays a call by at most the setting `timeout`, and is then left alone for a second. A gateway that could not
//!   mark a key uses no copy that was made before.

mod copies;
mod follow;
mod layer;
mod loads;
mod record;

use std::sync::Arc;

use self::copies::Copies;
use super::settings::CacheSettings;
use crate::{PatternEnvironment, required_interface};
use prism_call::{Context, Error, proto::Interfaces};
use prism_slot::Slot;

/// Name of the layer, as `GetCapabilities` returns it.
pub const LAYER: &str = "cache";

/// Puts the cache around the interfaces of the storage.
pub fn wrap(storage: Interfaces, cache: &Slot, settings: CacheSettings, environment: &PatternEnvironment) -> Result<Interfaces, Error> {
    let basic = required_interface(cache, "keyvalue_basic", cache.interfaces.keyvalue_basic.clone())?;
    let cas = required_interface(cache, "keyvalue_cas", cache.interfaces.keyvalue_cas.clone())?;
    required_interface(cache, "keyvalue_ttl", cache.interfaces.keyvalue_ttl.clone())?;
    let context = Context::internal(environment.namespace.clone());
    let tasks = environment.tasks.clone();
    let copies = Arc::new(Copies::new(basic, cas, settings, cache.limits, tasks, context, environment.cache_meters.clone()));
    if settings.follow_changes
        && let Some(watch) = storage.keyvalue_watch.clone()
    {
        // Nobody has watched since these copies were made, and calls may come before the watch begins.
        copies.distrust();
        environment.tasks.spawn(follow::run(watch, copies.clone()));
    }
    Ok(layer::wrap(storage, &copies))
}
