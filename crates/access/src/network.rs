//! The network of a peer, as limits count it.

use std::net::IpAddr;

use prism_call::Peer;

/// Returns the address of a peer; of IPv6, the first 64 bits of it, which one peer has as a whole. `None` for calls of Prism itself.
pub fn network(peer: &Peer) -> Option<IpAddr> {
    Some(match peer.address?.ip().to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => (address.to_bits() >> 64 << 64).to_be_bytes().into(),
    })
}
