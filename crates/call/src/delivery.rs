//! Replies on their way to clients. A call counts until its client has taken the last byte of its reply: until then it holds its permit, and
//! the bytes of a large reply count against the limits of its connection and its listener.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use prometheus::IntGauge;

use super::{Code, Error, Namespace, Peer, access::HeldPermits, permit::Permit};

/// Smaller replies are not counted: the number of calls bounds them.
const UNCOUNTED_BYTES: usize = 16 * 1024;
/// When a client may try again that has too many unsent bytes.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Limits for the bytes of replies that clients have not taken yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsentLimits {
    /// For each connection. One reply may always be larger.
    pub connection: usize,
    /// For a listener. Beyond half of it, connections that have unsent replies get no further ones.
    pub listener: usize,
}

impl Default for UnsentLimits {
    fn default() -> Self {
        Self { connection: 64 << 20, listener: 256 << 20 }
    }
}

/// The bytes of replies that the clients of a listener have not taken yet.
pub struct ListenerBacklog {
    bytes: AtomicUsize,
    gauge: IntGauge,
}

impl ListenerBacklog {
    pub(super) fn new(gauge: IntGauge) -> Arc<Self> {
        Arc::new(Self { bytes: AtomicUsize::new(0), gauge })
    }
}

/// The bytes of replies that the client of a connection has not taken yet.
pub struct Backlog {
    bytes: AtomicUsize,
    listener: Arc<ListenerBacklog>,
    limits: UnsentLimits,
}

impl Backlog {
    /// Creates the backlog of a new connection.
    pub fn new(listener: Arc<ListenerBacklog>, limits: UnsentLimits) -> Arc<Self> {
        Arc::new(Self { bytes: AtomicUsize::new(0), listener, limits })
    }

    /// Refuses a call whose reply could not be sent.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.check_with(self.bytes.load(Ordering::Relaxed), self.listener.bytes.load(Ordering::Relaxed))
    }

    /// `own` and `all` are the unsent bytes of the connection and of the listener. A reply in question counts in `own` if it is not the only
    /// one of its connection.
    fn check_with(&self, own: usize, all: usize) -> Result<(), Error> {
        let UnsentLimits { connection, listener } = self.limits;
        if own >= connection {
            return Err(too_many("the client of this connection", connection, "max_unsent_bytes_per_connection"));
        }
        if all >= listener || (own > 0 && all >= listener / 2) {
            return Err(too_many("the clients of this listener", listener, "max_unsent_bytes"));
        }
        Ok(())
    }

    /// Counts the bytes of a reply until the result is dropped. Refuses a reply beyond the limits.
    pub(super) fn reserve(self: &Arc<Self>, bytes: usize) -> Result<Option<Reservation>, Error> {
        if bytes <= UNCOUNTED_BYTES {
            return Ok(None);
        }
        let reservation = Reservation { backlog: self.clone(), bytes };
        let own = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let all = self.listener.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.listener.gauge.add(i64::try_from(bytes).unwrap_or(i64::MAX));
        // The reservation is dropped with an error, and with it the bytes.
        self.check_with(if own == 0 { 0 } else { own + bytes }, all)?;
        Ok(Some(reservation))
    }
}

impl fmt::Debug for Backlog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} unsent bytes", self.bytes.load(Ordering::Relaxed))
    }
}

fn too_many(who: &str, limit: usize, setting: &str) -> Error {
    let message = format!(
        "{who} did not read the replies that were sent; {limit} bytes may wait (listeners.<name>.{setting}); read them, and try again"
    );
    Error::new(Code::ResourceExhausted, "TOO_MANY_UNSENT_BYTES", message).with_retry_after(RETRY_AFTER)
}

/// Unsent bytes of one reply.
pub(super) struct Reservation {
    backlog: Arc<Backlog>,
    bytes: usize,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let Self { backlog, bytes } = self;
        backlog.bytes.fetch_sub(*bytes, Ordering::Relaxed);
        backlog.listener.bytes.fetch_sub(*bytes, Ordering::Relaxed);
        backlog.listener.gauge.sub(i64::try_from(*bytes).unwrap_or(i64::MAX));
    }
}

/// A call among those in flight of its namespace.
pub(super) struct InFlight(Arc<Namespace>);

impl InFlight {
    pub(super) fn begin(namespace: &Arc<Namespace>) -> Self {
        namespace.meters.in_flight().inc();
        Self(namespace.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.meters.in_flight().dec();
    }
}

/// What a call holds until its reply is delivered. The edge drops it when the client has taken the last byte, or when the client is gone.
#[derive(Default)]
#[must_use = "a call ends when its delivery is dropped"]
pub struct Delivery {
    pub(super) _in_flight: Option<InFlight>,
    pub(super) _permit: Option<Permit>,
    pub(super) _share: Option<HeldPermits>,
    pub(super) _reservation: Option<Reservation>,
    /// Further calls that the same response answers.
    pub(super) others: Vec<Delivery>,
}

/// Counts the bytes of a reply of this connection.
pub(super) fn reserve(peer: &Peer, bytes: usize) -> Result<Option<Reservation>, Error> {
    peer.backlog.as_ref().map_or(Ok(None), |backlog| backlog.reserve(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backlog(connection: usize, listener: usize) -> [Arc<Backlog>; 2] {
        let all = ListenerBacklog::new(IntGauge::new("unsent", "unsent").unwrap());
        [0, 1].map(|_| Backlog::new(all.clone(), UnsentLimits { connection, listener }))
    }

    const LARGE: usize = 1 << 20;

    #[test]
    fn a_connection_may_always_have_one_reply() {
        let [one, other] = backlog(2 * LARGE, 100 * LARGE);
        let first = one.reserve(10 * LARGE).unwrap();
        assert!(first.is_some());
        assert_eq!(one.reserve(LARGE).err().unwrap().reason(), "TOO_MANY_UNSENT_BYTES");
        assert!(one.check().is_err() && other.check().is_ok());
        assert!(one.reserve(100).unwrap().is_none(), "small replies are not counted");
        drop(first);
        assert!(one.check().is_ok() && one.reserve(LARGE).is_ok());
        assert_eq!(one.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn half_of_the_limit_of_a_listener_is_for_connections_without_unsent_replies() {
        let [one, other] = backlog(100 * LARGE, 4 * LARGE);
        let first = one.reserve(LARGE).unwrap();
        let second = one.reserve(LARGE).unwrap();
        assert!(one.check().is_err() && other.check().is_ok());
        let third = other.reserve(2 * LARGE).unwrap();
        assert!(other.check().is_err());
        assert_eq!(one.listener.gauge.get(), 4 << 20);
        drop((first, second, third));
        assert!(one.check().is_ok());
        assert_eq!((one.listener.bytes.load(Ordering::Relaxed), one.listener.gauge.get()), (0, 0));
    }
}
