//! Proxies in front of a listener, and what they say about their clients: the PROXY protocol, `X-Forwarded-For` and `X-Forwarded-Client-Cert`.
//!
//! What a peer says counts only if its address is that of a trusted proxy. Everybody else could say anything.

mod client_certificate;
mod forwarded_for;
pub mod protocol;

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use prism_call::{Peer, TlsPeer};

/// The addresses that a request came through (not standardized; RFC 7239 describes it).
pub const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The client certificate that a proxy has verified, in the form of Envoy.
pub const FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// The proxies in front of a listener.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    /// Their addresses.
    pub networks: Vec<IpNet>,
    /// Whether their connections begin with the header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// Whether they write `X-Forwarded-For`.
    pub forwarded_for: bool,
    /// Whether they write `X-Forwarded-Client-Cert`.
    pub client_certificates: bool,
}

impl TrustedProxies {
    /// Tells whether an address is that of a trusted proxy.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Returns the peer of a request, if it is another one than that of its connection. Takes the headers that say so, from anybody, so that
    /// nothing behind the listener takes them for true.
    pub fn forwarded_peer(&self, peer: &Peer, headers: &mut HeaderMap) -> Option<Peer> {
        // A proxy whose own certificate is no longer trusted isn't either.
        let is_trusted = peer.address.is_some_and(|address| self.trusts(address.ip())) && peer.tls.as_ref().is_none_or(TlsPeer::is_trusted);
        let forwarded = is_trusted.then(|| self.read_peer(peer, headers));
        for (name, is_used) in [(FORWARDED_FOR, self.forwarded_for), (FORWARDED_CLIENT_CERT, self.client_certificates)] {
            if is_used {
                headers.remove(name);
            }
        }
        forwarded
    }

    /// Returns these proxies for a connection whose client is not known: the headers are removed, and nobody is trusted.
    #[must_use]
    pub fn distrusted(&self) -> Self {
        Self { networks: Vec::new(), ..self.clone() }
    }

    /// Reads the peer from the headers of a trusted proxy.
    fn read_peer(&self, peer: &Peer, headers: &HeaderMap) -> Peer {
        let mut forwarded = peer.clone();
        if self.forwarded_for {
            let lines = headers.get_all(FORWARDED_FOR);
            forwarded.address = peer.address.map(|address| forwarded_for::client(address, lines.iter(), |address| self.trusts(address)));
        }
        if self.client_certificates {
            // The certificate of the proxy itself is not that of a client.
            let own = TlsPeer { server_name: peer.tls.as_ref().and_then(|tls| tls.server_name.clone()), ..TlsPeer::default() };
            forwarded.tls = match client_certificate::parse(headers.get_all(FORWARDED_CLIENT_CERT).iter()) {
                Some(names) => Some(TlsPeer { client_names: Some(names.into()), ..own }),
                None => peer.tls.is_some().then_some(own),
            };
        }
        forwarded
    }
}

/// Returns an address with the port 0, for clients whose port is not known.
fn without_port(address: IpAddr) -> SocketAddr {
    SocketAddr::new(address, 0)
}

#[cfg(test)]
mod tests;
