//! `X-Forwarded-For`: each proxy appends the address that it got the request from.

use std::net::{IpAddr, SocketAddr};

use http::HeaderValue;

use super::without_port;

/// Addresses that are looked at, from the end. More proxies than that are no plan but an attack.
const MAX_HOPS: usize = 32;

/// Returns the address of the client: the last one that is not that of a trusted proxy. An address that can't be read, as `unknown`, ends the search:
/// whoever came before it is not known.
pub fn client<'h>(
    peer: SocketAddr,
    lines: impl DoubleEndedIterator<Item = &'h HeaderValue>,
    trusts: impl Fn(IpAddr) -> bool,
) -> SocketAddr {
    let mut client = peer;
    let entries = lines.rev().flat_map(|line| line.to_str().unwrap_or("unreadable").rsplit(','));
    for entry in entries.take(MAX_HOPS) {
        if !trusts(client.ip()) {
            break;
        }
        let Some(before) = parse(entry.trim()) else { break };
        client = before;
    }
    client
}

/// Parses an address, with or without port and brackets.
fn parse(text: &str) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().map(without_port).ok().or_else(|| text.parse().ok())
}
