//! What a frontend derives from the capabilities of its namespace, such as a schema. It is built at the first request, and again when the
//! capabilities have changed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use prost::Message as _;
use tokio::sync::Mutex;

use crate::documents;
use prism_call::{Admitted, Error, Method, proto::patterns::slots::v1::Capabilities};

/// How long the capabilities of a namespace are taken for granted. Those of a namespace in another process may change.
pub const CAPABILITIES_AGE: Duration = Duration::from_mins(1);

/// A value that is derived from the capabilities of a namespace.
pub struct Derived<T> {
    built: ArcSwapOption<Built<T>>,
    /// Held while the value is built, so that concurrent first requests build one.
    building: Mutex<()>,
}

/// A value, and what it was built for.
struct Built<T> {
    value: Arc<T>,
    /// The encoded capabilities of the namespace.
    capabilities: Bytes,
    checked: Instant,
}

impl<T> Built<T> {
    fn is_current(&self) -> bool {
        self.checked.elapsed() < CAPABILITIES_AGE
    }
}

impl<T> Default for Derived<T> {
    fn default() -> Self {
        Self { built: ArcSwapOption::empty(), building: Mutex::new(()) }
    }
}

impl<T: Send + Sync + 'static> Derived<T> {
    /// Returns the value for the namespace of a request. `build` may take milliseconds: it runs on a thread of its own.
    pub async fn get(
        &self,
        admitted: &Admitted<'_>,
        build: impl FnOnce(&[Arc<Method>], &Capabilities) -> Result<Arc<T>, Error> + Send + 'static,
    ) -> Result<Arc<T>, Error> {
        if let Some(built) = self.built.load().as_ref().filter(|built| built.is_current()) {
            return Ok(built.value.clone());
        }
        let _building = match (self.building.try_lock(), self.built.load_full()) {
            (Ok(building), _) => building,
            // Another request asks for the capabilities again. If the namespace does not answer, only that request waits.
            (Err(_), Some(built)) => return Ok(built.value.clone()),
            (Err(_), None) => self.building.lock().await,
        };
        let known = self.built.load_full();
        if let Some(built) = known.as_ref().filter(|built| built.is_current()) {
            return Ok(built.value.clone());
        }
        let capabilities = match (documents::shared_capabilities(admitted).await, &known) {
            (Ok(capabilities), _) => capabilities,
            // A namespace that can't be reached has its last value, and its RPCs say what is wrong.
            (Err(_), Some(known)) => known.capabilities.clone(),
            (Err(error), None) => return Err(error),
        };
        let value = match known {
            Some(known) if known.capabilities == capabilities => known.value.clone(),
            _ => {
                let broken = |error| Error::internal("the namespace answered GetCapabilities with something else").with_source(error);
                let decoded = Capabilities::decode(capabilities.clone()).map_err(broken)?;
                let methods = admitted.namespace().methods.clone();
                let built = tokio::task::spawn_blocking(move || build(&methods, &decoded)).await;
                built.map_err(|error| Error::internal("what depends on the capabilities was not built").with_source(error))??
            }
        };
        self.built.store(Some(Arc::new(Built { value: value.clone(), capabilities, checked: Instant::now() })));
        Ok(value)
    }
}
