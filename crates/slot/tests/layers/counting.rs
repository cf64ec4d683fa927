//! Counts operations.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use prism_call::{Context, Error};
use prism_slot::{Interceptor, Operation};

#[derive(Default)]
pub struct Counting(Mutex<BTreeMap<Operation, u32>>);

impl Counting {
    /// Returns how often an operation was called, as `keyvalue_basic.Get`.
    pub fn count(&self, operation: &str) -> u32 {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().find(|(known, _)| format!("{}.{}", known.interface, known.rpc) == operation).map_or(0, |(_, count)| *count)
    }
}

impl Interceptor for Counting {
    const NAME: &'static str = "counting";

    async fn one<T: Send>(
        &self,
        _: &Context,
        operation: Operation,
        work: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(operation).or_default() += 1;
        work.await
    }
}
