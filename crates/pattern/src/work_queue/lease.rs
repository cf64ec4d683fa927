//! Leases: that of the driver, with what Complete and Fail have to know of the job.

use prost::Message as _;

use prism_call::{Error, proto::jobs::v1::JobLease};
use prism_slot::cursor;

/// What a lease is valid for, so that tokens of other kinds are recognized.
const SCOPE: &str = "work-queue-lease";

/// Encodes a lease as URL-safe text.
pub fn encode(lease: &JobLease) -> String {
    cursor::seal(SCOPE, &lease.encode_to_vec())
}

/// Decodes a lease of this queue.
///
/// Errors: `INVALID_ARGUMENT INVALID_LEASE`.
pub fn decode(queue: &str, lease: &str) -> Result<JobLease, Error> {
    let decoded = cursor::open(SCOPE, lease).ok().flatten().and_then(|bytes| JobLease::decode(&bytes[..]).ok());
    decoded.filter(|decoded| decoded.queue == queue).ok_or_else(|| {
        Error::invalid("lease", "is not a lease of this queue; send it exactly as Take returned it").with_reason("INVALID_LEASE")
    })
}
