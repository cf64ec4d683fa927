//! Waits for the next record of a stream.

use std::time::Duration;

use super::{Streams, record_id::RecordId};
use prism_call::Error;

/// How long a reader sleeps if all connections for waiting commands are in use.
const SLEEP_WITHOUT_CONNECTION: Duration = Duration::from_millis(100);

impl Streams {
    /// Returns when a stream has a record after an id, at the latest after a duration. `stream` is the Redis key.
    pub(super) async fn wait_for_record(&self, stream: &[u8], after: RecordId, longest: Duration) -> Result<(), Error> {
        let millis = u64::try_from(longest.as_millis()).unwrap_or(1).max(1);
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(1).arg("BLOCK").arg(millis).arg("STREAMS").arg(stream).arg(after);
        if self.blocking.run(&command, longest).await?.is_none() {
            tokio::time::sleep(longest.min(SLEEP_WITHOUT_CONNECTION)).await;
        }
        Ok(())
    }
}
