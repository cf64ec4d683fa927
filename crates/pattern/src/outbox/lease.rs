//! The lease of the gateway that publishes the messages of an outbox, and its fencing token.
//!
//! The lease is a key that expires by itself. The revision that created it is the fencing token: it is greater than those of all earlier
//! holders, and renewals keep it. Every write of a holder is a transaction whose condition is the token, so a gateway that lost the lease
//! without noticing it changes nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use prost::Message as _;

use prism_call::{
    Context, Error,
    proto::{
        messaging::v1::OutboxLease,
        models::keyvalue::v1::{
            Comparison, Condition, DeleteOperation, KeyValueTransactional, Operation, SetOperation, TransactRequest, TransactResponse,
            comparison::{Fact, Operator},
            condition::Predicate,
            operation::Action,
        },
    },
};
use prism_slot::{id, time};

/// The key of the lease.
const KEY: &[u8] = b"\xffoutbox/lease";

/// Why the work of a holder ends.
#[derive(Debug)]
pub enum Stop {
    /// Another gateway holds the lease, or may hold it.
    LeaseLost,
    /// An operation failed.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// The lease as one gateway sees it.
pub struct Lease {
    transactional: Arc<dyn KeyValueTransactional>,
    context: Context,
    /// What is stored under the key.
    value: Bytes,
    lifetime: Duration,
}

/// The time in which this gateway holds the lease.
pub struct Tenure {
    /// The fencing token.
    token: u64,
    began: Instant,
    /// Until when the lease surely lives, in milliseconds after `began`.
    valid_millis: AtomicU64,
}

impl Tenure {
    /// Returns how long the lease surely lives if nobody renews it.
    pub fn remaining(&self) -> Duration {
        Duration::from_millis(self.valid_millis.load(Ordering::Acquire)).saturating_sub(self.began.elapsed())
    }
}

impl Lease {
    /// Creates the lease of a gateway, which does not hold it.
    pub fn new(transactional: Arc<dyn KeyValueTransactional>, context: Context, lifetime: Duration) -> Self {
        let value = OutboxLease { holder: id::random_text() }.encode_to_vec().into();
        Self { transactional, context, value, lifetime }
    }

    /// Takes the lease if nobody holds it.
    pub async fn acquire(&self) -> Result<Option<Tenure>, Error> {
        let began = Instant::now();
        let done = self.transact(Predicate::Exists(false), vec![self.store()]).await?;
        let valid_millis = AtomicU64::new(self.valid_after(Duration::ZERO));
        Ok(done.succeeded.then_some(Tenure { token: done.revision, began, valid_millis }))
    }

    /// Renews the lease. Returns the revision of this write.
    pub async fn renew(&self, tenure: &Tenure) -> Result<u64, Stop> {
        let elapsed = tenure.began.elapsed();
        let revision = self.write(tenure, vec![self.store()]).await?;
        tenure.valid_millis.fetch_max(self.valid_after(elapsed), Ordering::AcqRel);
        Ok(revision)
    }

    /// Removes keys, at most 127.
    pub async fn remove(&self, tenure: &Tenure, keys: &[Bytes]) -> Result<(), Stop> {
        let delete = |key: &Bytes| Operation { action: Some(Action::Delete(DeleteOperation { key: key.clone() })) };
        self.write(tenure, keys.iter().map(delete).collect()).await.map(drop)
    }

    /// Gives the lease back, so that another gateway can take it at once.
    pub async fn release(&self, tenure: &Tenure) -> Result<(), Stop> {
        self.remove(tenure, &[Bytes::from_static(KEY)]).await
    }

    /// Does operations if this gateway still holds the lease. Returns the revision of what they stored.
    async fn write(&self, tenure: &Tenure, operations: Vec<Operation>) -> Result<u64, Stop> {
        let token = Comparison { fact: Fact::CreateRevision.into(), operator: Operator::Equal.into(), number: tenure.token };
        let done = self.transact(Predicate::Compare(token), operations).await?;
        if done.succeeded { Ok(done.revision) } else { Err(Stop::LeaseLost) }
    }

    /// The operation that stores the lease with its whole lifetime.
    fn store(&self) -> Operation {
        let ttl = Some(time::duration(time::ceil_millis(self.lifetime)));
        Operation { action: Some(Action::Set(SetOperation { key: Bytes::from_static(KEY), value: self.value.clone(), ttl, flags: 0 })) }
    }

    async fn transact(&self, predicate: Predicate, then_operations: Vec<Operation>) -> Result<TransactResponse, Error> {
        let conditions = vec![Condition { key: Bytes::from_static(KEY), predicate: Some(predicate) }];
        let context = self.context.clone().with_timeout(self.lifetime / 3);
        self.transactional.transact(&context, TransactRequest { conditions, then_operations, else_operations: Vec::new() }).await
    }

    /// The end of a lease that was written after this time, in milliseconds. A tenth is kept back, because clocks do not run equally fast.
    fn valid_after(&self, elapsed: Duration) -> u64 {
        u64::try_from((elapsed + self.lifetime.mul_f64(0.9)).as_millis()).unwrap_or(u64::MAX)
    }
}
