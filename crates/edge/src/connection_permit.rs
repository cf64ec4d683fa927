//! How many connections a listener has, and how many it may have.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{descriptors::Descriptors, limits::ConnectionLimits};
use prism_call::{Backlog, ConnectionMeters, UnsentLimits};

/// Counts the connections of a listener.
pub struct Connections {
    by_peer: Mutex<HashMap<IpAddr, usize>>,
    open: AtomicUsize,
    meters: ConnectionMeters,
    /// The file descriptors that connections may have; `None`: as many as there are.
    descriptors: Option<Arc<Descriptors>>,
}

/// A place among the connections of a listener.
pub struct ConnectionPermit {
    owner: Arc<Connections>,
    address: IpAddr,
}

impl Connections {
    pub fn new(meters: ConnectionMeters, descriptors: Option<Arc<Descriptors>>) -> Arc<Self> {
        Arc::new(Self { by_peer: Mutex::default(), open: AtomicUsize::new(0), meters, descriptors })
    }

    /// Returns the backlog of a new connection.
    pub fn backlog(&self, limits: UnsentLimits) -> Arc<Backlog> {
        Backlog::new(self.meters.backlog().clone(), limits)
    }

    /// Admits a connection, or returns `None` if there are too many.
    pub fn admit(self: &Arc<Self>, address: IpAddr, limits: &ConnectionLimits) -> Option<ConnectionPermit> {
        if self.open.load(Ordering::Relaxed) >= limits.max_connections {
            self.meters.count_refused("max_connections");
            return None;
        }
        let mut by_peer = self.by_peer.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_peer.entry(address).or_default();
        if *count >= limits.max_connections_per_peer {
            drop(by_peer);
            self.meters.count_refused("max_connections_per_peer");
            return None;
        }
        if self.descriptors.as_ref().is_some_and(|descriptors| !descriptors.take()) {
            // Connections of this address may be none.
            if *count == 0 {
                by_peer.remove(&address);
            }
            drop(by_peer);
            self.meters.count_refused("file_descriptors");
            return None;
        }
        *count += 1;
        drop(by_peer);
        self.open.fetch_add(1, Ordering::Relaxed);
        self.meters.opened();
        Some(ConnectionPermit { owner: self.clone(), address })
    }
}

impl ConnectionPermit {
    /// Counts the connection as one of another address, whose client a proxy has named. Returns whether that address may have it.
    pub fn move_to(&mut self, address: IpAddr, limits: &ConnectionLimits) -> bool {
        let mut by_peer = self.owner.by_peer.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_peer.get(&address).copied().unwrap_or_default();
        if count >= limits.max_connections_per_peer {
            drop(by_peer);
            self.owner.meters.count_refused("max_connections_per_peer");
            return false;
        }
        *by_peer.entry(address).or_default() += 1;
        give_back(&mut by_peer, self.address);
        self.address = address;
        true
    }

    /// Counts the connection as one that was closed because its client took nothing.
    pub fn count_cut(&self) {
        self.owner.meters.count_cut();
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        give_back(&mut self.owner.by_peer.lock().unwrap_or_else(PoisonError::into_inner), self.address);
        if let Some(descriptors) = &self.owner.descriptors {
            descriptors.give_back();
        }
        self.owner.open.fetch_sub(1, Ordering::Relaxed);
        self.owner.meters.closed();
    }
}

/// Takes back one connection of an address.
fn give_back(by_peer: &mut HashMap<IpAddr, usize>, address: IpAddr) {
    if let Some(count) = by_peer.get_mut(&address) {
        *count -= 1;
        if *count == 0 {
            by_peer.remove(&address);
        }
    }
}
