//! What all keyspaces of a bucket share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws_sdk_s3::Client;

use crate::{client::Clients, clock::Clock, connections::RequestCounters};
use prism_call::Error;
use prism_driver::Limits;

/// A bucket.
pub struct Bucket {
    pub client: Client,
    /// For requests with a condition; see [`Clients::careful`].
    pub careful: Client,
    /// Name of the bucket.
    pub name: String,
    pub part_size: usize,
    pub limits: Limits,
    pub clock: Clock,
    /// What the connections do.
    pub connections: Arc<RequestCounters>,
    closed: AtomicBool,
}

impl Bucket {
    pub fn new(clients: Clients, name: String, part_size: usize, limits: Limits) -> Self {
        let Clients { repeating, careful, connections } = clients;
        let (clock, closed) = (Clock::default(), AtomicBool::new(false));
        Self { client: repeating, careful, name, part_size, limits, clock, connections, closed }
    }

    /// Refuses all later calls.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Fails with UNAVAILABLE if the backend is closed.
    pub fn check_open(&self) -> Result<(), Error> {
        if self.closed.load(Ordering::Relaxed) {
            let message = "the connection to S3 is closed because the gateway is stopping";
            return Err(Error::backend_unavailable(message, Duration::from_secs(1)));
        }
        Ok(())
    }
}
