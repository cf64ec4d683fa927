//! Leases as texts.

use prism_call::Error;
use prism_driver::{cursor, queue::invalid_lease};

const SCOPE: &str = "lease";

/// A lease of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub queue: String,
    pub sequence: u64,
    /// Random.
    pub number: u64,
}

impl Lease {
    pub fn encode(&self) -> String {
        let bytes = [&self.sequence.to_be_bytes()[..], &self.number.to_be_bytes(), self.queue.as_bytes()].concat();
        cursor::seal(SCOPE, &bytes)
    }

    pub fn decode(text: &str) -> Result<Self, Error> {
        let bytes = cursor::open(SCOPE, text).ok().flatten().ok_or_else(invalid_lease)?;
        let (sequence, rest) = bytes.split_first_chunk().ok_or_else(invalid_lease)?;
        let (number, queue) = rest.split_first_chunk().ok_or_else(invalid_lease)?;
        let queue = String::from_utf8(queue.to_vec()).map_err(|_| invalid_lease())?;
        Ok(Self { queue, sequence: u64::from_be_bytes(*sequence), number: u64::from_be_bytes(*number) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_texts_are_leases() {
        let lease = Lease { queue: "größe".to_owned(), sequence: 5, number: u64::MAX };
        assert_eq!(Lease::decode(&lease.encode()).unwrap(), lease);
        for bad in ["", "AAAA", "no lease", &cursor::seal(SCOPE, b"short"), &cursor::seal("other", &[0; 20])] {
            assert_eq!(Lease::decode(bad).unwrap_err().reason(), "INVALID_LEASE", "{bad}");
        }
    }
}
