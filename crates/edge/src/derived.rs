//! What a frontend derives from the capabilities of its namespace, such as a schema. It is built at the first request, and again when the
//! capabilities have changed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use tokio::sync::Mutex;

use crate::documents;
use prism_call::{Admitted, Error, Method, proto::patterns::slots::v1::Capabilities};

/// How long the capabilities of a namespace are taken for granted. Those of a namespace in another process may change.
pub const CAPABILITIES_AGE: Duration = Duration::from_mins(1);

/// A value that is derived from capabilities `C`: those of a namespace, or of several.
pub struct Derived<T, C = Bytes> {
    built: ArcSwapOption<Built<T, C>>,
    /// Held while the value is built, so that concurrent first requests build one.
    building: Mutex<()>,
}

/// A value, and what it was built for.
struct Built<T, C> {
    value: Arc<T>,
    /// The encoded capabilities.
    capabilities: C,
    checked: Instant,
}

impl<T, C> Built<T, C> {
    fn is_current(&self) -> bool {
        self.checked.elapsed() < CAPABILITIES_AGE
    }
}

impl<T, C> Default for Derived<T, C> {
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
        let methods = admitted.namespace().methods.clone();
        let build = move |capabilities: &Bytes| build(&methods, &documents::decode_capabilities(capabilities)?);
        self.get_for(documents::shared_capabilities(admitted), build).await
    }
}

impl<T: Send + Sync + 'static, C: Clone + PartialEq + Send + Sync + 'static> Derived<T, C> {
    /// Returns the value for what `read` returns. It is not awaited if the value is current. `build` runs on a thread of its own.
    pub async fn get_for(
        &self,
        read: impl Future<Output = Result<C, Error>> + Send,
        build: impl FnOnce(&C) -> Result<Arc<T>, Error> + Send + 'static,
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
        let capabilities = match (read.await, &known) {
            (Ok(capabilities), _) => capabilities,
            // A namespace that can't be reached has its last value, and its RPCs say what is wrong.
            (Err(_), Some(known)) => known.capabilities.clone(),
            (Err(error), None) => return Err(error),
        };
        let value = match known {
            Some(known) if known.capabilities == capabilities => known.value.clone(),
            _ => {
                let given = capabilities.clone();
                let built = tokio::task::spawn_blocking(move || build(&given)).await;
                built.map_err(|error| Error::internal("what depends on the capabilities was not built").with_source(error))??
            }
        };
        self.built.store(Some(Arc::new(Built { value: value.clone(), capabilities, checked: Instant::now() })));
        Ok(value)
    }

    /// Returns the capabilities that the value was built for, also if they are old.
    pub fn capabilities(&self) -> Option<C> {
        self.built.load().as_ref().map(|built| built.capabilities.clone())
    }
}
