//! The connections of all clients of librdkafka, which reports them from time to time.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use rdkafka::{Statistics, statistics::Broker};

use prism_driver::{ConnectionStats, lock::lock};

/// How often a client reports.
pub const STATISTICS: Duration = Duration::from_secs(2);
/// A client that has not reported for this long was closed.
const FORGET: Duration = Duration::from_secs(30);

/// The connections of all clients of a backend.
#[derive(Debug, Default)]
pub struct ClientConnections(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// By the name of the client.
    clients: HashMap<String, (Instant, Counts)>,
    /// Of clients that were closed.
    closed: Counts,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    open: u64,
    reconnects: u64,
    failures: u64,
}

impl ClientConnections {
    /// Takes a report of a client.
    pub fn record(&self, statistics: &Statistics) {
        let mut counts = Counts::default();
        for broker in statistics.brokers.values() {
            counts.add(counts_of(broker));
        }
        let mut state = lock(&self.0);
        let known = state.clients.get(&statistics.name).map(|(_, counts)| *counts).unwrap_or_default();
        // A broker that has left the cluster is not in the report any longer, but its counts may not decrease.
        counts.reconnects = counts.reconnects.max(known.reconnects);
        counts.failures = counts.failures.max(known.failures);
        state.clients.insert(statistics.name.clone(), (Instant::now(), counts));
        state.forget_closed();
    }

    /// What the connections of all clients did when they last reported.
    pub fn stats(&self) -> ConnectionStats {
        let mut state = lock(&self.0);
        state.forget_closed();
        let mut total = state.closed;
        for (_, counts) in state.clients.values() {
            total.add(*counts);
        }
        ConnectionStats { in_use: total.open, idle: None, waiting: None, reconnects: Some(total.reconnects), failures: total.failures }
    }
}

impl State {
    fn forget_closed(&mut self) {
        let Self { clients, closed } = self;
        clients.retain(|_, (reported, counts)| {
            let is_alive = reported.elapsed() < FORGET;
            if !is_alive {
                closed.add(Counts { open: 0, ..*counts });
            }
            is_alive
        });
    }
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.open += other.open;
        self.reconnects += other.reconnects;
        self.failures += other.failures;
    }
}

/// librdkafka counts attempts to connect, and connections that ended after the TCP connection was established.
fn counts_of(broker: &Broker) -> Counts {
    let unsigned = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default();
    let (attempts, ended) = (unsigned(broker.connects), unsigned(broker.disconnects));
    let open = u64::from(matches!(broker.state.as_str(), "UP" | "REAUTH"));
    let is_attempting =
        matches!(broker.state.as_str(), "CONNECT" | "SSL_HANDSHAKE" | "AUTH_LEGACY" | "APIVERSION_QUERY" | "AUTH_HANDSHAKE" | "AUTH_REQ");
    Counts {
        open,
        reconnects: (ended + open).saturating_sub(1),
        failures: attempts.saturating_sub(ended + open + u64::from(is_attempting)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(state: &str, connects: i64, disconnects: i64) -> Statistics {
        let broker = Broker { state: state.to_owned(), connects: Some(connects), disconnects: Some(disconnects), ..Broker::default() };
        Statistics { name: "a".to_owned(), brokers: HashMap::from([("b".to_owned(), broker)]), ..Statistics::default() }
    }

    #[test]
    fn counts_reconnects_and_failures_of_a_broker() {
        let connections = ClientConnections::default();
        let after = |state, connects, disconnects| {
            connections.record(&report(state, connects, disconnects));
            let stats = connections.stats();
            (stats.in_use, stats.reconnects, stats.failures)
        };
        assert_eq!(after("UP", 1, 0), (1, Some(0), 0));
        assert_eq!(after("TRY_CONNECT", 1, 1), (0, Some(0), 0));
        assert_eq!(after("CONNECT", 3, 1), (0, Some(0), 1));
        assert_eq!(after("UP", 4, 1), (1, Some(1), 2));
    }
}
