//! Leases, as clients get them.

use prism_call::Error;
use prism_driver::{cursor, queue::invalid_lease};

/// A lease of one delivery: the id of the message, and a random number of the delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub message: i64,
    pub number: i64,
}

impl Lease {
    /// The text that clients get.
    pub fn encode(self) -> String {
        cursor::encode(&[self.message.to_be_bytes(), self.number.to_be_bytes()].concat())
    }

    pub fn decode(text: &str) -> Result<Self, Error> {
        let bytes = cursor::decode(text).ok().flatten().ok_or_else(invalid_lease)?;
        let (message, number) = bytes.split_first_chunk::<8>().ok_or_else(invalid_lease)?;
        let number: [u8; 8] = number.try_into().map_err(|_| invalid_lease())?;
        Ok(Self { message: i64::from_be_bytes(*message), number: i64::from_be_bytes(number) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_decoded_as_it_was_encoded() {
        let lease = Lease { message: i64::MAX - 3, number: -7 };
        assert_eq!(Lease::decode(&lease.encode()).unwrap(), lease);
        for text in ["", "x", "AAAA", "not base64!"] {
            assert_eq!(Lease::decode(text).err().unwrap().reason(), "INVALID_LEASE");
        }
    }
}
