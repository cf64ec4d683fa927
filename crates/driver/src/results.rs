//! The memory of results that are computed as a whole before they are sent.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures::{StreamExt as _, stream};

use prism_call::{Code, Error, Messages};

/// Most bytes of all results of a backend.
pub const MAX_RESULT_BYTES: usize = 64 << 20;

/// Counts the bytes of the results of a backend.
#[derive(Debug, Default)]
pub struct ResultMemory(Arc<AtomicUsize>);

impl ResultMemory {
    /// An empty result.
    pub fn result(&self) -> ResultBytes {
        ResultBytes { used: self.0.clone(), bytes: 0 }
    }
}

/// The bytes of one result, which are free again when it is dropped.
#[derive(Debug)]
pub struct ResultBytes {
    used: Arc<AtomicUsize>,
    bytes: usize,
}

impl ResultBytes {
    /// Adds bytes to the result. Fails with `RESOURCE_EXHAUSTED BACKEND_FULL` if all results together become too large.
    pub fn add(&mut self, bytes: usize) -> Result<(), Error> {
        self.bytes += bytes;
        if self.used.fetch_add(bytes, Ordering::Relaxed) + bytes > MAX_RESULT_BYTES { Err(results_too_large()) } else { Ok(()) }
    }

    /// Streams the items of the result, whose bytes are free again when the stream is dropped.
    pub fn stream<T, I>(self, items: I) -> Messages<T>
    where
        T: Send + 'static,
        I: Iterator<Item = T> + Send + 'static,
    {
        stream::iter(items)
            .map(move |item| {
                let _reserved = &self;
                Ok(item)
            })
            .boxed()
    }
}

impl Drop for ResultBytes {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// `RESOURCE_EXHAUSTED BACKEND_FULL`
fn results_too_large() -> Error {
    Error::new(
        Code::ResourceExhausted,
        "BACKEND_FULL",
        format!(
            "the results that are computed at the same time need more than {} MiB of memory, which is the limit of a backend; repeat the call later, or \
             let it read less; the result of an operation on sets can be stored in a set and read from there",
            MAX_RESULT_BYTES >> 20
        ),
    )
    .with("limit", MAX_RESULT_BYTES.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_share_one_limit() {
        let memory = ResultMemory::default();
        let (mut one, mut other) = (memory.result(), memory.result());
        one.add(MAX_RESULT_BYTES / 2).unwrap();
        other.add(MAX_RESULT_BYTES / 2).unwrap();
        assert_eq!(one.add(1).unwrap_err().reason(), "BACKEND_FULL");
        drop(other);
        one.add(1).unwrap();
    }
}
