//! Delays each operation.

use std::time::Duration;

use prism_call::{Context, Error};
use prism_slot::{Interceptor, Operation};

pub struct Delaying(pub Duration);

impl Interceptor for Delaying {
    const NAME: &'static str = "delaying";

    async fn one<T: Send>(&self, _: &Context, _: Operation, work: impl Future<Output = Result<T, Error>> + Send) -> Result<T, Error> {
        tokio::time::sleep(self.0).await;
        work.await
    }
}
